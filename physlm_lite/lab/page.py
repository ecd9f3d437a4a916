"""Pieces of a notebook page that are made from the claims and their records, so that no number is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ..base.printable import escaped, printable
from ..claims import SCALES, Claim, Outcome, Published, recorded, scale_of
from ..claims.rules import NOT_RUN

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
    return table(("one run on one core", *head), rows)


def claim_card(claim: Claim | Published, folded: bool = False) -> Block:
    """The claim in our words, with its place in the paper and the paper's numbers; folded: until the reader opens it. Of one
    that is judged on published numbers, also what these cannot tell."""
    paper = [(row["setting"], row["side"], row["value"]) for row in claim.paper]
    numbers = table(("setting in the paper", "side", "value"), paper) if paper else text("")
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
    """What each scale of the claims changes against the paper, and the rule that judges it."""
    rows = [
        (claim.id, scale, experiment.simplified or "the published setting", "; ".join(experiment.rule_texts))
        for claim in claims
        for scale, experiment in claim.experiments.items()
        if scale != "smoke"
    ]
    return table(("claim", "scale", "what is simplified", "rule"), rows)


def ledger_row(*outcomes: Outcome) -> Block:
    """Rows of the ledger: verdict at equal steps and at equal seconds, the numbers behind it, floors, budget and record ids."""
    rows = []
    for outcome in outcomes:
        runs = [record for records in outcome.records.values() for record in records]
        budget = f"{len(runs)} runs, {sum(r.seconds for r in runs) / 60:.1f} min" if runs else "-"
        reason = outcome.verdict.reason if runs or outcome.verdict.word != NOT_RUN else "no records yet"
        if outcome.verdict.word == NOT_RUN and outcome.records and all(len(r) == 1 for r in outcome.records.values()):
            reason = "one seed of each side: a lead, not a verdict"
        ids = ", ".join(r.id[:7] for r in runs)
        word = outcome.verdict.word + " (first protocol)" * (outcome.protocol == 1 and bool(runs))
        in_time = outcome.verdict_in_time.word
        in_time = "-" if in_time == NOT_RUN else in_time
        floors = floors_text(outcome) or "-"
        rows.append((outcome.claim.id, outcome.scale, word, in_time, reason, floors, budget, ids))
    return table(("claim", "scale", "verdict", "at equal seconds", "numbers", "floors", "budget", "records"), rows)


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
    return table(("claim", "rule (all rules of a claim must agree)"), rows)


def _rule_texts(claim: Claim | Published) -> Sequence[str]:
    if isinstance(claim, Published):
        return [rule.text() for rule in claim.rules]
    return claim.experiment("toy").rule_texts


def verdict_line(*outcomes: Outcome) -> Block:
    """The verdict of each outcome and the numbers behind it, written by the rule."""
    rows = [(o.claim.id, o.scale, o.verdict.word, o.verdict.reason) for o in outcomes]
    return table(("claim", "scale", "verdict", "numbers"), rows)


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
