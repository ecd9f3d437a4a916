"""Every claim, by its id."""

from __future__ import annotations

from dataclasses import replace

from ..base.strict import choose
from . import others, part4_1, part4_2
from .claim import Claim
from .published import Published

# Rules that were not written before all of their runs: what was known then stands in the history of the row.
SEEN = {
    "R7-level-recall": "its rule was written when the scores of both sides were known, as a second look at R7-level",
    "O-seeds": "its rule was written when the runs of R2-depth, which are its own, had been judged",
    **dict.fromkeys(
        ("R0-structure", "R9-universal", "R9-robust", "R9-sufficient", "R10-structure"),
        "its rule was written when the scores of GLA on this task were known, and not those of the other sides",
    ),
}


def _told(claim: Claim) -> Claim:
    """The claim, with what was known when its rule was written in the history of its toy row."""
    if claim.id not in SEEN:
        return claim
    toy = claim.experiments["toy"]
    told = toy.but(history=(*toy.history, SEEN[claim.id]))
    return replace(claim, experiments={**claim.experiments, "toy": told})


CLAIMS: dict[str, Claim] = {claim.id: _told(claim) for claim in (*part4_1.CLAIMS, *others.CLAIMS)}
PUBLISHED: dict[str, Published] = {claim.id: claim for claim in part4_2.CLAIMS}


def claim(name: str) -> Claim:
    """The claim with this id; an unknown one is refused with the nearest, and one that cannot be run here as such."""
    if name in PUBLISHED:
        raise ValueError(
            f"{name} is judged on published numbers, so that there is nothing to run; `physlm ledger` shows it"
        )
    return choose("claim", name, CLAIMS)


def published_claim(name: str) -> Published:
    """The claim with this id that is judged on published numbers; an unknown one is refused with the nearest."""
    return choose("claim on published numbers", name, PUBLISHED)
