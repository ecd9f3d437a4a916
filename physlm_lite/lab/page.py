"""Pieces of a notebook page that are made from the claims and their records, so that no number is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ..base.printable import escaped, printable
from ..claims import SCALES, Claim, Outcome, Published, recorded, scale_of
from ..claims.rules import NOT_RUN
from .verdicts import colour_of, disagreement, sentences

_CELL = "padding:3px 10px;text-align:left;border-bottom:1px solid #d9dde3"


class Block:
    """HTML with a plain-text twin."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, printable(text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.markup, "text/plain": self.text}


def text(line: str) -> Block:
    """A line of plain text among other pieces."""
    return Block(f"<div>{escaped(line)}</div>", line)


def stacked(*blocks: Block) -> Block:
    """One below the other."""
    return Block("".join(block.markup for block in blocks), "\n".join(block.text for block in blocks if block.text))


def behind(summary: str, *blocks: Block, is_open: bool = False) -> Block:
    """Behind a line to click, in the browser and without a kernel."""
    inside = stacked(*blocks)
    begin = f"<details{' open' * is_open}>"
    line = f'<summary style="cursor:pointer;color:#4c6a92">{escaped(summary)}</summary>'
    return Block(
        f'{begin}{line}<div style="max-width:64em;margin:4px 0 4px 16px">{inside.markup}</div></details>', inside.text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    """A small table; cells are plain text."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag} style="{_CELL}">{escaped(cell)}</{tag}>' for cell in cells) + "</tr>"

    text = "\n".join("  ".join(map(str, row)) for row in [head, *rows])
    return Block(
        f'<table style="border-collapse:collapse;margin-left:0">{line(head, "th")}'
        f"{''.join(line(row, 'td') for row in rows)}</table>",
        text,
    )


def scale_table(*claims: Claim) -> Block:
    """The minutes and memory that the records of each claim measured at each scale; the dial's scale is marked."""
    here = scale_of()
    scales = [
        scale for scale in SCALES if scale in ("toy", "laptop", here) or any(scale in c.experiments for c in claims)
    ]
    scales = [scale for scale in scales if scale != "smoke" or here == "smoke"]

    def measured(claim: Claim, scale: str) -> str:
        if scale not in claim.experiments:
            return "-"
        runs = [record for records in recorded(claim, scale).records.values() for record in records]
        if not runs:
            return "not measured"
        minutes = fmean(r.seconds + r.evaluation_seconds for r in runs) / 60
        return f"{minutes:.1f} min, {max(r.peak_memory_mb for r in runs):,.0f} MB"

    head = [f"{scale} ← the dial" if scale == here else scale for scale in scales]
    rows = [(claim.id, *(measured(claim, scale) for scale in scales)) for claim in claims]
    return behind(f"What a run costs at each scale (the dial: {here})", table(("one run on one core", *head), rows))


def claim_card(claim: Claim | Published, folded: bool = False) -> Block:
    """The claim in our words, with its place in the paper and the paper's numbers; folded: until the reader opens it. Of one
    that is judged on published numbers, also what these cannot tell."""
    paper = [(row["setting"], row["side"], row["value"]) for row in claim.paper]
    numbers = table(("setting in the paper", "side", "value"), paper) if paper else text("")
    if paper and not folded:
        numbers = behind("The paper's numbers", numbers)
    limits = (
        f"Judged on published numbers, not on runs of ours: {claim.limits}." if isinstance(claim, Published) else ""
    )
    markup = (
        f'<div style="border-left:4px solid #d1495b;padding:4px 14px"><b>{escaped(f"{claim.id}: {claim.title}")}</b> '
        f'<span style="color:#6b7280">({escaped(claim.source)})</span><br>{escaped(claim.statement)}</div>'
        f'{numbers.markup}<div style="color:#6b7280">{escaped(limits)}</div>'
    )
    if folded:  # the browser folds, so that it is folded without a kernel, too
        summary = f"Your guess stands? Then open the claim {escaped(claim.id)} and the paper's numbers"
        markup = f'<details><summary style="cursor:pointer">{summary}</summary>{markup}</details>'
    return Block(
        markup, f"{claim.id}: {claim.title} ({claim.source})\n{claim.statement}\n{numbers.text}\n{limits}".rstrip()
    )


def setting_table(*claims: Claim) -> Block:
    """What each scale of the claims changes against the paper, and the rule that judges it; all but the first are folded."""
    pieces = [
        behind(
            f"{claim.id}, {scale}",
            text(f"Against the paper: {experiment.simplified or 'the published setting'}"),
            *(text(f"Rule: {rule}") for rule in experiment.rule_texts),
            is_open=number == 0,
        )
        for number, (claim, scale, experiment) in enumerate(
            (claim, scale, experiment)
            for claim in claims
            for scale, experiment in claim.experiments.items()
            if scale != "smoke"
        )
    ]
    return stacked(*pieces)


def ledger_row(*outcomes: Outcome) -> Block:
    """Rows of the ledger: the words of both clocks and a sentence on each; folded, the numbers, floors, budget and record ids.

    Of more than three rows the sentences are folded, too: they stand where each result is shown (`verdict_line`).
    """
    words = [(o.claim.id, o.claim.title, o.scale, *_words(o)) for o in outcomes]
    first = table(("claim", "in words", "scale", "verdict", "at equal seconds"), words)
    said = _sentences(*outcomes)
    if len(outcomes) > 3:
        said = behind("Each bar, and by how much it was met or missed", said)
    return stacked(first, said, _numbers(*outcomes))


def _words(outcome: Outcome) -> tuple[str, str]:
    """The verdict on both clocks, for a table."""
    known, in_time = any(outcome.records.values()), outcome.verdict_in_time.word
    word = outcome.verdict.word + " (first protocol)" * (outcome.protocol == 1 and known)
    if outcome.verdict.word == NOT_RUN and known:
        word = "a lead" if all(len(runs) == 1 for runs in outcome.records.values()) else "not judged yet"
    return word, "-" if in_time == NOT_RUN else in_time


def _sentences(*outcomes: Outcome) -> Block:
    """A short paragraph on each verdict, and one where the scales of a claim disagree."""
    said = []
    for outcome in [o for o in outcomes if any(o.records.values())] or outcomes[:1]:
        word, in_time = _words(outcome)
        clocks = word if in_time in ("-", word) else f"{word}; at equal seconds {in_time}"
        about = f"{outcome.claim.id}, {outcome.scale}: {clocks}."
        lines = sentences(outcome)
        markup = f'<b style="color:{colour_of(outcome.verdict.word)}">{escaped(about)}</b>'
        if len(lines) == 1:
            markup += f" {escaped(lines[0])}"
        else:  # a line for each rule, all of which must agree
            markup += f'<ul style="margin:2px 0">{"".join(f"<li>{escaped(line)}</li>" for line in lines)}</ul>'
        said.append(Block(f'<div style="margin:6px 0;max-width:56em">{markup}</div>', " ".join([about, *lines])))
    for claim in {o.claim.id: None for o in outcomes}:
        if remark := disagreement([o for o in outcomes if o.claim.id == claim]):
            said.append(Block(f'<p style="margin:6px 0;max-width:56em">{escaped(remark)}</p>', remark))
    return stacked(*said)


def _numbers(*outcomes: Outcome) -> Block:
    """Folded: what is behind each verdict."""
    rows = []
    for outcome in outcomes:
        runs = [record for records in outcome.records.values() for record in records]
        budget = f"{len(runs)} runs, {sum(r.seconds for r in runs) / 60:.1f} min" if runs else "-"
        reason = outcome.verdict.reason if outcome.verdict.word != NOT_RUN else "-"
        ids = ", ".join(r.id[:7] for r in runs)
        rows.append((outcome.claim.id, outcome.scale, reason, floors_text(outcome) or "-", budget, ids))
    names = ("claim", "scale", "numbers: mean [lowest-highest seed]", "floors", "budget", "records")
    return behind("Numbers, floors, budget and record ids", table(names, rows))


def published_rows(*claims: Published) -> Block:
    """Rows of the ledger that rest on published numbers: verdict, and the numbers behind it."""
    rows = [(c.id, c.title, c.verdict.word, c.verdict.reason) for c in claims]
    return table(("claim", "in words", "verdict on published numbers", "numbers"), rows)


def floors_text(outcome: Outcome) -> str:
    """What guessing and simple means score, in words."""
    return "; ".join(
        f"{metric.label}: " + ", ".join(f"{name} {score:.2g}" for name, score in floors.items())
        for metric in outcome.experiment.panels
        if (floors := outcome.floors(metric))
    )


def passport_card() -> Block:
    """This machine in a few lines."""
    from ..base.machine import passport

    lines = passport()
    return Block(table(("what", "here"), list(lines.items())).markup, "\n".join(f"{k}: {v}" for k, v in lines.items()))


def known(claim: Claim) -> list[Outcome]:
    """What is recorded of a claim: every scale with records, from small to large; the toy scale in any case."""
    outcomes = [recorded(claim, scale) for scale in claim.experiments if scale != "smoke"]
    return [outcome for outcome in outcomes if outcome.scale == "toy" or all(outcome.records.values())]


def rule_table(*claims: Claim | Published) -> Block:
    """When each claim holds, a line a rule; what "in direction" and "contradicted" mean stands in `setting_table`."""
    rows = [(claim.id, text.split(";")[0]) for claim in claims for text in _rule_texts(claim)]
    whole = table(("claim", "rule (all rules of a claim must agree)"), rows)
    return whole if len(rows) <= 4 else behind("When each claim holds", whole)


def _rule_texts(claim: Claim | Published) -> Sequence[str]:
    if isinstance(claim, Published):
        return [rule.text() for rule in claim.rules]
    return claim.experiment("toy").rule_texts


def verdict_line(*outcomes: Outcome) -> Block:
    """A sentence on each verdict: the bar, and by how much it was met or missed on either clock; folded, the numbers."""
    return stacked(_sentences(*outcomes), _numbers(*outcomes))


def reached_table(*outcomes: Outcome, accuracy: float = 0.75) -> Block:
    """The first evaluated step at which each shown score reaches `accuracy`, one number a seed."""
    rows = []
    for outcome in outcomes:
        for metric in outcome.experiment.panels:
            steps = [
                [next((f"{p['step']:,}" for p in r.curve if metric.of(p) >= accuracy), "never") for r in records]
                for records in outcome.records.values()
            ]
            rows.append((outcome.scale, metric.label, *("; ".join(seeds) or "no records yet" for seeds in steps)))
    sides = outcomes[0].experiment.sides
    return table(("scale", "score", *(f"{side}: step of {accuracy:g}" for side in sides)), rows)
