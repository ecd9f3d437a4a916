"""Pieces of a notebook page that are made from the claims and their records, so that no number is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ..base.printable import escaped, printable
from ..claims import SCALES, Claim, Outcome, recorded, scale_of
from ..claims.rules import NOT_RUN

_CELL = "padding:3px 10px;text-align:left;border-bottom:1px solid #d9dde3"


class Block:
    """HTML with a plain-text twin."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, printable(text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.markup, "text/plain": self.text}


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
    """Each scale of a notebook's claims with the minutes and memory that the records measured; the dial's scale is marked."""
    rows = []
    for claim in claims:
        for scale in claim.experiments:
            runs = [record for records in recorded(claim, scale).records.values() for record in records]
            measured = (
                (
                    f"{fmean(r.seconds + r.evaluation_seconds for r in runs) / 60:.1f} min, "
                    f"{max(r.peak_memory_mb for r in runs):,.0f} MB"
                )
                if runs
                else "not measured yet"
            )
            here = "← the dial" if scale == scale_of() else ""
            rows.append((claim.id, scale, SCALES[scale], measured, here))
    return table(("claim", "scale", "meant to take", "measured, one run on one core", ""), rows)


def claim_card(claim: Claim) -> Block:
    """The claim in our words, with its place in the paper and the paper's numbers."""
    numbers = table(
        ("setting in the paper", "side", "value"), [(r["setting"], r["side"], r["value"]) for r in claim.paper]
    )
    markup = (
        f'<div style="border-left:4px solid #d1495b;padding:4px 14px"><b>{escaped(f"{claim.id}: {claim.title}")}</b> '
        f'<span style="color:#6b7280">({escaped(claim.source)})</span><br>{escaped(claim.statement)}</div>'
        f"{numbers.markup}"
    )
    return Block(markup, f"{claim.id}: {claim.title} ({claim.source})\n{claim.statement}\n{numbers.text}")


def setting_table(*claims: Claim) -> Block:
    """What each scale of the claims changes against the paper, and the rule that judges it."""
    rows = [
        (
            claim.id,
            scale,
            experiment.simplified or "the published setting",
            "; ".join(experiment.rule_texts),
        )
        for claim in claims
        for scale, experiment in claim.experiments.items()
        if scale != "smoke"
    ]
    return table(("claim", "scale", "what is simplified", "rule"), rows)


def ledger_row(*outcomes: Outcome) -> Block:
    """Rows of the ledger: verdict, the numbers behind it, budget and record ids."""
    rows = []
    for outcome in outcomes:
        runs = [record for records in outcome.records.values() for record in records]
        budget = f"{len(runs)} runs, {sum(r.seconds for r in runs) / 60:.1f} min" if runs else "-"
        reason = outcome.verdict.reason if runs or outcome.verdict.word != NOT_RUN else "no records yet"
        ids = ", ".join(r.id[:7] for r in runs)
        rows.append((outcome.claim.id, outcome.scale, outcome.verdict.word, reason, budget, ids))
    return table(("claim", "scale", "verdict", "numbers", "budget", "records"), rows)


def passport_card() -> Block:
    """This machine in a few lines."""
    from ..base.machine import passport

    lines = passport()
    return Block(table(("what", "here"), list(lines.items())).markup, "\n".join(f"{k}: {v}" for k, v in lines.items()))


def known(claim: Claim) -> list[Outcome]:
    """What is recorded of a claim: every scale with records, from small to large; the toy scale in any case."""
    outcomes = [recorded(claim, scale) for scale in claim.experiments if scale != "smoke"]
    return [outcome for outcome in outcomes if outcome.scale == "toy" or all(outcome.records.values())]


def rule_table(*claims: Claim) -> Block:
    """When each claim holds, a line a rule; what "in direction" and "contradicted" mean stands in `setting_table`."""
    rows = [(claim.id, text.split(";")[0]) for claim in claims for text in claim.experiment("toy").rule_texts]
    return table(("claim", "rule (all rules of a claim must agree)"), rows)


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
