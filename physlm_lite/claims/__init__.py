"""What the papers say: each claim with its source, its experiment at every scale, its rule, and the records."""

from ..base.scales import SCALES, scale_of
from ..base.strict import choose
from .ablations import (
    ACTIVATION,
    ALIBI,
    CUMULATIVE,
    EACH,
    EXCEPTION,
    EXPERTS,
    FROZEN,
    GATED_MLP,
    LESS_ROPE,
    MLP_CAPACITY,
    PRIMER,
    RELU2,
    RESIDUAL,
)
from .claim import SHIPPED, Claim, Experiment, Outcome, everything, recorded, replicate
from .linear import LINEAR
from .playground import BREADTH, CAPACITY, CLEAN, MANIPULATION, NOISE, STRUCTURE
from .rules import VERDICTS, Ahead, Beats, Deepens, Matches, Ranks, Rule, Verdict, hops_reached
from .transformer import COPYING, DEPTH, FOUR_HOPS, LADDER, NO_POSITIONS

CLAIMS: dict[str, Claim] = {
    claim.id: claim
    for claim in (
        NOISE,
        CLEAN,
        COPYING,
        FROZEN,
        DEPTH,
        LADDER,
        FOUR_HOPS,
        BREADTH,
        CAPACITY,
        MANIPULATION,
        STRUCTURE,
        NO_POSITIONS,
        ALIBI,
        LESS_ROPE,
        EXCEPTION,
        EACH,
        CUMULATIVE,
        RESIDUAL,
        PRIMER,
        ACTIVATION,
        GATED_MLP,
        RELU2,
        MLP_CAPACITY,
        EXPERTS,
        *LINEAR,
    )
}


def claim(name: str) -> Claim:
    """The claim with this id; an unknown one is refused with the nearest."""
    return choose("claim", name, CLAIMS)


__all__ = [
    "CLAIMS",
    "SCALES",
    "SHIPPED",
    "VERDICTS",
    "Ahead",
    "Beats",
    "Claim",
    "Deepens",
    "Experiment",
    "Matches",
    "Outcome",
    "Ranks",
    "Rule",
    "Verdict",
    "claim",
    "everything",
    "hops_reached",
    "recorded",
    "replicate",
    "scale_of",
]
