"""Result 8: Canon layers and the gated delta net (Part 4.1, section 6.3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Level
from ..settings import mano
from ..sides import FAMILIES, GDN, GDN_NO_RESIDUAL, GLA, MAMBA2
from .linear import START, breadth, common, no_residual_on_mano, on_depo, recall

CONVOLUTION, CANON, OUTSIDE, DEPTH = common(
    8,
    "GDN",
    Level("kl", "GDN + ACD", "GDN + b", margin=0.02),
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

WIDER = breadth(8, "GDN", "Canon layers help the gated delta net to reason about larger graphs.")
OWN = FAMILIES["GDN"][1]
MANIPULATION = Claim(
    id="R8-manipulation",
    title="Without its convolution, GDN works badly with stored facts",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="Though the gated delta net depends least on its convolution, on Mano it falls without it.",
    paper=rows(
        "Mano, L = 10; four model sizes",
        {"GDN, no convolution": "54.3, 64.1, 66.1, 72.3 %", "GDN + b": "93.6, 97.9, 91.6, 89.8 %"},
    ),
    experiments=mano.variants((GDN, OWN), lambda metric: (Ahead(metric, OWN.label, GDN.label, by=0.05),), note=START),
    first={},
)

RESIDUAL_MANIPULATION = no_residual_on_mano(
    8, "GDN", FAMILIES["GDN"][3], GDN_NO_RESIDUAL, "99.7, 98.3, 99.3, 98.1 %", "figures 35 and 36"
)

CLAIMS = (
    CONVOLUTION,
    CANON,
    OUTSIDE,
    DEPTH,
    LEAST,
    WIDER,
    MANIPULATION,
    RESIDUAL_MANIPULATION,
    *recall(8, "GDN", "level"),
)
