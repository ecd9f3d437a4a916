"""Result 7: Canon layers and Mamba2 (Part 4.1, section 6.2)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Matches
from ..sides import GLA, MAMBA2, MAMBA2_ABCD, MAMBA2_ACD, MAMBA2_B
from .linear import on_depo, on_lano

CFG3F = "Lano, cfg3f; four model sizes"
PAPER = {
    "GLA, no convolution": "37.5, 61.1, 41.8, 54.9 %",
    "Mamba2, no convolution": "41.2, 53.4, 29.8, 56.0 %",
    "Mamba2 + b": "83.8, 92.2, 86.8, 92.2 %",
    "Mamba2 + AbCD": "88.3, 93.1, 90.1, 93.6 %",
}

CONVOLUTION = Claim(
    id="R7-convolution",
    title="Mamba2 without its convolution",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="Much of what Mamba2 can do comes from the small convolution in it: without, it falls.",
    paper=rows(CFG3F, PAPER, "Mamba2, no convolution", "Mamba2 + b"),
    experiments=on_lano(
        (MAMBA2, MAMBA2_B), Ahead("kl", "Mamba2 + b", "Mamba2, no convolution", factor=1.3), laptop=True
    ),
)

LEVEL = Claim(
    id="R7-level",
    title="Without its convolution, Mamba2 is no better than GLA",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="The convolution contributes more to Mamba2 than its state-space recurrence: without it, Mamba2 falls to the "
    "level of gated linear attention without one.",
    paper=rows(CFG3F, PAPER, "GLA, no convolution", "Mamba2, no convolution"),
    experiments=on_lano((GLA, MAMBA2), Matches("kl", "GLA, no convolution", "Mamba2, no convolution", margin=0.02)),
)

CANON = Claim(
    id="R7-Canon",
    title="Mamba2: Canon layers on top of its own convolution",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="Canon layers at A, C and D add to what Mamba2's own convolution gives.",
    paper=rows(CFG3F, PAPER, "Mamba2 + b", "Mamba2 + AbCD"),
    experiments=on_lano((MAMBA2_B, MAMBA2_ABCD), Ahead("kl", "Mamba2 + AbCD", "Mamba2 + b", factor=1.1), laptop=True),
)

OUTSIDE = Claim(
    id="R7-outside",
    title="Mamba2: outside the mixer instead of inside",
    source="Part 4.1, section 6.2, result 7, figures 30 to 32",
    statement="On Lano, Canon-ACD outside the recurrence beats the convolution inside it.",
    paper=rows(CFG3F, PAPER, "Mamba2 + b"),
    experiments=on_lano((MAMBA2_B, MAMBA2_ACD), Ahead("kl", "Mamba2 + ACD", "Mamba2 + b", factor=1.1)),
)

DEPTH = Claim(
    id="R7-depth",
    title="Mamba2: hops with and without convolutions",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="Convolutions let Mamba2 answer hops that it cannot follow without them.",
    paper=rows(
        "Depo1, N = 225, K = 4; k = 4; four model sizes",
        {
            "Mamba2, no convolution": "2, 11, 1, 6 %",
            "Mamba2 + b": "12, 29, 24, 43 %",
            "Mamba2 + AbCD": "51, 21, 67, 87 %",
        },
    ),
    experiments=on_depo(
        (MAMBA2, MAMBA2_B, MAMBA2_ABCD),
        ("Mamba2 + b", "Mamba2, no convolution"),
        ("Mamba2 + AbCD", "Mamba2, no convolution"),
        by=0.15,
    ),
)

CLAIMS = (CONVOLUTION, LEVEL, CANON, OUTSIDE, DEPTH)
