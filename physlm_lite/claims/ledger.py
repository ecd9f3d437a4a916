"""The ledger: every claim at every scale, with the verdict that the records support. Failures stay in it.

Claims that nobody here can run have a verdict on published numbers instead, and rows of their own.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..training import Store
from .catalogue import CLAIMS, PUBLISHED
from .claim import Claim, Outcome
from .replicate import SHIPPED, everything, recorded
from .rules import CONTRADICTED, NOT_RUN
from .statistics import LUCK

log = logging.getLogger(__name__)

SCHEMA: dict[str, Any] = json.loads(
    Path(__file__).with_name("ledger.schema.json").read_text(encoding="utf-8")
)  # of the rows

CSV = (
    *("claim", "title", "source", "basis", "scale", "protocol", "clock", "verdict"),
    *("metric", "better", "worse", "difference", "low", "high", "p", "effect", "ratio"),
    *("steps", "batch", "runs", "seconds", "reason"),
)


def ledger(store: Store | None = None, own: Iterable[Claim] = ()) -> list[dict[str, Any]]:
    """A JSON-ready row for each claim, with a reader's `own`, and scale (smoke runs prove nothing and are left out)."""
    return [row for _, row in judged(every(own), store)]


def published() -> list[dict[str, Any]]:
    """A JSON-ready row for each claim that is judged on published numbers."""
    return [claim.to_dict() for claim in PUBLISHED.values()]


def every(own: Iterable[Claim] = ()) -> list[Claim]:
    """All claims, and a reader's own."""
    return [*CLAIMS.values(), *own]


def judged(claims: Iterable[Claim], store: Store | None = None) -> list[tuple[Outcome, dict[str, Any]]]:
    """The outcomes of these claims at every scale, each with its row; at `gpu` scale, which nobody has run here, only where there
    are records."""
    store = store or everything()
    found = [_judged(claim, scale, store) for claim in claims for scale in claim.experiments if scale != "smoke"]
    return [(outcome, row) for outcome, row in found if outcome.scale != "gpu" or any(outcome.records.values())]


def _judged(claim: Claim, scale: str, store: Store) -> tuple[Outcome, dict[str, Any]]:
    """The outcome of a claim; from the shipped records alone where one of the user's lacks a score that is asked for."""
    try:
        outcome = recorded(claim, scale, store)
        return outcome, _row(outcome, store)
    except (KeyError, TypeError, ValueError) as error:
        log.warning(
            "skipped: this user's records of %s at %s scale, since one lacks a score (%s)", claim.id, scale, error
        )
        outcome = recorded(claim, scale, Store(SHIPPED))
        return outcome, _row(outcome, Store(SHIPPED))


def _row(outcome: Outcome, store: Store) -> dict[str, Any]:
    """The row of an outcome; where a claim is contradicted, with what a second look found."""
    row = outcome.to_dict()
    words = {row["verdict"], row["equal_seconds"]["verdict"]}
    row["second_look"] = looked_again(outcome, store) if CONTRADICTED in words and outcome.protocol > 1 else ""
    return row


def looked_again(outcome: Outcome, store: Store) -> str:
    """What became of a claim when it was looked at in another way: one setting alone contradicts nobody."""
    other = CLAIMS.get(outcome.claim.again)
    if other is None or outcome.scale not in other.experiments:
        return "not yet looked at in another way"
    found = recorded(other, outcome.scale, store)
    return f"looked at in another way, as {other.id}: {found.verdict.word}"


def ledger_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV: a line for each comparison on each clock, or one where nothing is compared; the columns are `CSV`."""
    text = io.StringIO()
    lines = csv.DictWriter(text, CSV)
    lines.writeheader()
    for row in rows:
        ours = row["basis"] == "recorded"
        found = {name: row[name] for name in ("claim", "title", "source", "basis")}
        found |= {"scale": row["scale"], "protocol": row["protocol"], **row["budget"]} if ours else {}
        for clock, told in (("steps", row), ("seconds", row["equal_seconds"])) if ours else (("tokens", row),):
            said = {"clock": clock, "verdict": told["verdict"], "reason": told["reason"]}
            for comparison in told["comparisons"] or [{}]:
                low, high = comparison.get("interval") or (None, None)
                numbers = {name: value for name, value in comparison.items() if name != "interval"}
                lines.writerow({**found, **said, **numbers, "low": low, "high": high})
    return text.getvalue()


def ledger_table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: claim, scale, verdict, seeds, seconds of training, then the numbers behind it; below, what luck does.

    An asterisk marks what the first protocol found. What is judged on published numbers stands by itself at the end.
    """
    others = [row for row in rows if row["basis"] == "published"]
    rows = [row for row in rows if row["basis"] == "recorded"]
    width = max((len(row["claim"]) for row in rows), default=5) + 2
    lines = [f"{'claim':<{width}}{'scale':<8}{'verdict':<28}{'runs':<6}{'training':<10}numbers"]
    for row in rows:
        runs = [run for side in row["sides"].values() for run in side["runs"]]
        seconds = sum(run["seconds"] for run in runs)
        time = "-" if not runs else f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
        reason = row["reason"]
        if row["verdict"] == NOT_RUN:
            command = f"physlm replicate {row['claim']} --scale {row['scale']}"
            reason = f"{reason if runs else 'no records yet'}: {command}"
        if row["second_look"]:
            reason = f"{reason}; {row['second_look']}"
        if row["equal_seconds"]["verdict"] not in (row["verdict"], NOT_RUN):
            reason = f"{reason}; at equal seconds: {row['equal_seconds']['verdict']}"
        word = row["verdict"] + "*" * (row["protocol"] == 1)
        lines.append(f"{row['claim']:<{width}}{row['scale']:<8}{word:<28}{len(runs):<6}{time:<10}{reason}")
    return "\n".join([*lines, *by_luck(rows), *_published_lines(others)])


def _published_lines(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    said = f"Judged on published numbers, not on runs of ours ({rows[0]['limits'].partition(',')[0]}):"
    return ["", said, *(f"{row['claim']:<16}{row['verdict']:<28}{row['reason']}" for row in rows)]


def by_luck(rows: list[dict[str, Any]]) -> list[str]:
    """What must be known to read many verdicts together: how many would be wrong by chance, and which are provisional."""
    judged = [row for row in rows if row["basis"] == "recorded" and row["verdict"] != NOT_RUN]
    first = [row for row in judged if row["protocol"] == 1]
    if not judged:
        return []
    says = [
        "",
        f"{len(judged)} rows are judged. If no two sides differed at all, about {LUCK * len(judged):.0f} of them at most would "
        "still hold, or hold in direction, by luck.",
    ]
    if first:
        says.append(
            f"* {len(first)} rows: first protocol, three seeds, on which the learning rates were chosen, too; to be tried again"
        )
    return says
