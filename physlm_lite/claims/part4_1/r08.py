"""Result 8: Canon layers and the gated delta net (Part 4.1, section 6.3)."""

from __future__ import annotations

from ..claim import Claim
from ..rules import Matches
from ..sides import GDN, GLA, MAMBA2
from .linear import common, on_depo

CONVOLUTION, CANON, OUTSIDE, DEPTH = common(
    8,
    "GDN",
    Matches("kl", "GDN + ACD", "GDN + b", margin=0.02),
    convolution=("figures 13 and 35", "On structured text, the gated delta net without its convolution falls as well."),
    Canon=("figures 13 and 35", "Canon layers at A, C and D add a little to the gated delta net's own convolution."),
    outside=("figures 35 and 36", "Canon-ACD alone, outside the mixer, does as well as the convolution inside it."),
    depth=("figures 13 and 35", "Convolutions help the gated delta net to answer hops."),
)

LEAST = Claim(
    id="R8-least",
    title="The delta rule depends least on its convolution",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="Without any convolution, the gated delta net reasons deeper than GLA and Mamba2 without theirs.",
    **on_depo((GLA, MAMBA2, GDN), (GDN, GLA), (GDN, MAMBA2), by=0.1),
)

CLAIMS = (CONVOLUTION, CANON, OUTSIDE, DEPTH, LEAST)
