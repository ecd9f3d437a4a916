"""Result 7: Canon layers and Mamba2 (Part 4.1, section 6.2)."""

from __future__ import annotations

from ..claim import Claim
from ..rules import Ahead, Matches
from ..sides import GLA, MAMBA2
from .linear import common, on_lano

CONVOLUTION, CANON, OUTSIDE, DEPTH = common(
    7,
    "Mamba2",
    Ahead("kl", "Mamba2 + ACD", "Mamba2 + b", factor=1.1),
    convolution=(
        "figures 12 and 13",
        "Much of what Mamba2 can do comes from the small convolution in it: without, it falls.",
    ),
    Canon=("figures 12 and 13", "Canon layers at A, C and D add to what Mamba2's own convolution gives."),
    outside=("figures 30 to 32", "On Lano, Canon-ACD outside the recurrence beats the convolution inside it."),
    depth=("figures 12 and 13", "Convolutions let Mamba2 answer hops that it cannot follow without them."),
)

LEVEL = Claim(
    id="R7-level",
    title="Without its convolution, Mamba2 is no better than GLA",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="The convolution contributes more to Mamba2 than its state-space recurrence: without it, Mamba2 falls to the "
    "level of gated linear attention without one.",
    **on_lano((GLA, MAMBA2), Matches("kl", "GLA, no convolution", "Mamba2, no convolution", margin=0.02)),
)

CLAIMS = (CONVOLUTION, LEVEL, CANON, OUTSIDE, DEPTH)
