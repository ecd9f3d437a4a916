"""Every claim, by its id."""

from __future__ import annotations

from ..base.strict import choose
from . import part4_1
from .claim import Claim

CLAIMS: dict[str, Claim] = {claim.id: claim for claim in part4_1.CLAIMS}


def claim(name: str) -> Claim:
    """The claim with this id; an unknown one is refused with the nearest."""
    return choose("claim", name, CLAIMS)
