"""The words of the lab's dashboard, made from what is known and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.printable import escaped
from ...lab.page import Block
from ...lab.predict import Prediction
from ...tasks import Metric
from .cards import Card
from .compare import Judged, Row
from .figures import Line
from .nearest import Recorded
from .price import Price
from .table import Shown
from .trial import Trial
from .tried import Entry

TILE = "display:inline-block;min-width:9em;padding:4px 12px 4px 0"
NOTE = "border-left:4px solid #1b5c96;padding:6px 12px;margin:6px 0;max-width:64em;line-height:21px"


def question(trial: Trial) -> str:
    """What is to be guessed of a trial."""
    return f"Where will “{trial.metric.label}” stand after {trial.budget.steps:,} steps?"


def score_menu(trial: Trial) -> tuple[tuple[str, str], ...]:
    """The scores to draw and to compare by, with their names."""
    return tuple((metric.label, metric.name) for metric in trial.scores)


def price_line(found: Price) -> str:
    """What a trial takes, in four numbers; or why it cannot run."""
    if found.refusal:
        return f'<div role="alert"><b>This cannot run here:</b> {escaped(found.refusal)}</div>'
    runs = f"{found.runs} runs, two at a time" if found.runs > 1 else "1 run"
    tiles = {
        "time, foreseen": f"{found.minutes}",
        "memory of a run": f"{found.memory / 1e6:,.0f} MB",
        "parameters": f"{found.parameters:,}",
        "operations": f"{found.operations:.1e}",
    }
    cells = "".join(
        f'<span style="{TILE}"><span class="physlm-why">{name}</span><br><b>{value}</b></span>'
        for name, value in tiles.items()
    )
    return f'<div class="physlm-price">{cells}<span class="physlm-why">{runs}</span></div>'


def described(lines: Sequence[Line], metric: Metric) -> str:
    """The picture in words: each line with the score at its end."""
    ends = [(line, [metric.of(curve[-1]) for curve in line.curves if curve]) for line in lines]
    said = [
        f"{line.name}{'' if line.ours else ', recorded'} {sum(scores) / len(scores):.2f}"
        for line, scores in ends
        if scores
    ]
    return f"{metric.label} over training steps, at the end: {'; '.join(said) or 'nothing yet'}"


def told(card: Card) -> Block:
    """A card, opened: what to expect, and where the records stand."""
    stands = f"<details><summary>Where the records stand</summary>{escaped(card.stands())}</details>"
    markup = f'<div style="{NOTE}"><b>{escaped(card.question)}</b><br>{escaped(card.expect)}<br>{stands}</div>'
    return Block(markup, f"{card.question} {card.expect}")


def recorded_line(side: Recorded, apart: list[str]) -> Shown:
    """A recorded side in the table."""
    differs = (
        f"differs in {', '.join(name.partition('.')[2] for name in apart)}"
        if apart
        else "the same, on other seeds or rates"
    )
    return Shown(
        f"ledger {side.records[0].id}",
        side.name,
        "in the ledger",
        Row(side.name, side.records, claim=side.claim),
        said=differs,
    )


def judged_text(ours: Row, theirs: Row, found: Judged, said: str) -> Block:
    """The question, the word, the numbers so far, and what is missing."""
    numbers = f"So far: {found.sofar.reason}." if found.sofar is not None and found.sofar is not found.verdict else ""
    lines = [line for line in (said, numbers, found.advice) if line]
    markup = "".join(f"<div>{escaped(line)}</div>" for line in lines)
    return Block(f'<div role="status" style="{NOTE}">{markup}</div>', " ".join(lines))


def scored(entry: Entry, row: Row | None) -> str:
    """How the guess came out ("" where there was none, or nothing to compare it with)."""
    if entry.guess is None or row is None:
        return ""
    scores = row.scores(entry.trial.metric)
    asked = Prediction("", start=entry.guess)
    asked.lock()
    return asked.score(sum(scores) / len(scores)).text


def fresh(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many seeds that are not among these, the smallest first."""
    left = (seed for seed in range(len(seeds) + count) if seed not in seeds)
    return tuple(next(left) for _ in range(count))


def key_of(trial: Trial | None, rate: float) -> str:
    """The name of a line of the table."""
    return "" if trial is None else f"{trial.to_text()} at {rate:g}"


def rate_of(row: Row) -> float:
    return row.records[0].run.training.learning_rate
