"""Result 8: Canon layers and the gated delta net (Part 4.1, section 6.3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Matches
from ..sides import GDN, GDN_ABCD, GDN_ACD, GDN_B, GLA, MAMBA2
from .linear import on_depo, on_lano

CFG3F = "Lano, cfg3f; four model sizes"
PAPER = {
    "GDN, no convolution": "35.3, 49.7, 25.5, 69.9 %",
    "GDN + b": "83.4, 93.8, 91.5, 94.4 %",
    "GDN + AbCD": "90.6, 93.6, 92.8, 95.1 %",
}
DEPO = "Depo1, N = 225, K = 4; k = 4; four model sizes"
PAPER_DEPO = {
    "GLA, no convolution": "7, 2, 14, 19 %",
    "Mamba2, no convolution": "2, 11, 1, 6 %",
    "GDN, no convolution": "11, 26, 23, 22 %",
    "GDN + b": "85, 85, 22, 32 %",
    "GDN + AbCD": "74, 48, 69, 91 %",
}

CONVOLUTION = Claim(
    id="R8-convolution",
    title="GDN without its convolution",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="On structured text, the gated delta net without its convolution falls as well.",
    paper=rows(CFG3F, PAPER, "GDN, no convolution", "GDN + b"),
    experiments=on_lano((GDN, GDN_B), Ahead("kl", "GDN + b", "GDN, no convolution", factor=1.3), laptop=True),
)

CANON = Claim(
    id="R8-Canon",
    title="GDN: Canon layers on top of its own convolution",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="Canon layers at A, C and D add a little to the gated delta net's own convolution.",
    paper=rows(CFG3F, PAPER, "GDN + b", "GDN + AbCD"),
    experiments=on_lano((GDN_B, GDN_ABCD), Ahead("kl", "GDN + AbCD", "GDN + b", factor=1.1), laptop=True),
)

OUTSIDE = Claim(
    id="R8-outside",
    title="GDN: outside the mixer instead of inside",
    source="Part 4.1, section 6.3, result 8, figures 35 and 36",
    statement="Canon-ACD alone, outside the mixer, does as well as the convolution inside it.",
    paper=rows(CFG3F, PAPER, "GDN + b"),
    experiments=on_lano((GDN_B, GDN_ACD), Matches("kl", "GDN + ACD", "GDN + b", margin=0.02)),
)

DEPTH = Claim(
    id="R8-depth",
    title="GDN: hops with and without convolutions",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="Convolutions help the gated delta net to answer hops.",
    paper=rows(DEPO, PAPER_DEPO, "GDN, no convolution", "GDN + b", "GDN + AbCD"),
    experiments=on_depo(
        (GDN, GDN_B, GDN_ABCD),
        ("GDN + b", "GDN, no convolution"),
        ("GDN + AbCD", "GDN, no convolution"),
        by=0.15,
    ),
)

LEAST = Claim(
    id="R8-least",
    title="The delta rule depends least on its convolution",
    source="Part 4.1, section 6.3, result 8, figures 13 and 35",
    statement="Without any convolution, the gated delta net reasons deeper than GLA and Mamba2 without theirs.",
    paper=rows(DEPO, PAPER_DEPO, "GLA, no convolution", "Mamba2, no convolution", "GDN, no convolution"),
    experiments=on_depo(
        (GLA, MAMBA2, GDN),
        ("GDN, no convolution", "GLA, no convolution"),
        ("GDN, no convolution", "Mamba2, no convolution"),
        by=0.1,
    ),
)

CLAIMS = (CONVOLUTION, CANON, OUTSIDE, DEPTH, LEAST)
