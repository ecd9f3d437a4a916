"""The ledger: every claim at every scale, with the verdict that the records support. Failures stay in it."""

from __future__ import annotations

import logging
from typing import Any

from ..training import Store
from .catalogue import CLAIMS
from .claim import Claim
from .replicate import SHIPPED, everything, recorded
from .rules import NOT_RUN

log = logging.getLogger(__name__)


def ledger(store: Store | None = None) -> list[dict[str, Any]]:
    """A JSON-ready row for each claim and scale (smoke runs prove nothing and are left out)."""
    store = store or everything()
    return [_row(claim, scale, store) for claim in CLAIMS.values() for scale in claim.experiments if scale != "smoke"]


def _row(claim: Claim, scale: str, store: Store) -> dict[str, Any]:
    """The row of a claim; from the shipped records alone where one of the user's lacks a score that is asked for."""
    try:
        return recorded(claim, scale, store).to_dict()
    except (KeyError, TypeError, ValueError) as error:
        log.warning(
            "skipped: this user's records of %s at %s scale, since one lacks a score (%s)", claim.id, scale, error
        )
        return recorded(claim, scale, Store(SHIPPED)).to_dict()


def ledger_table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: claim, scale, verdict, seeds, seconds of training, then the numbers behind it."""
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
        lines.append(f"{row['claim']:<{width}}{row['scale']:<8}{row['verdict']:<28}{len(runs):<6}{time:<10}{reason}")
    return "\n".join(lines)
