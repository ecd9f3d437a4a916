"""Result 6: Canon layers and gated linear attention (Part 4.1, section 6.1)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead
from ..sides import GLA, GLA_ABCD, GLA_ACD, GLA_B, GLA_FEATURES, GLA_NO_RESIDUAL
from .linear import on_depo, on_lano

CFG3F = "Lano, cfg3f; four model sizes"
PAPER = {
    "GLA, no convolution": "37.5, 61.1, 41.8, 54.9 %",
    "GLA + b": "79.0, 89.5, 85.1, 90.6 %",
    "GLA + AbCD": "88.5, 92.8, 90.0, 94.1 %",
}

CONVOLUTION = Claim(
    id="R6-convolution",
    title="GLA without its convolution",
    source="Part 4.1, section 6.1, result 6, figures 12 and 33",
    statement="A short convolution inside its mixer lifts gated linear attention far above itself.",
    paper=rows(CFG3F, PAPER, "GLA, no convolution", "GLA + b"),
    experiments=on_lano((GLA, GLA_B), Ahead("kl", "GLA + b", "GLA, no convolution", factor=1.3), laptop=True),
)

CANON = Claim(
    id="R6-Canon",
    title="GLA: Canon layers on top of its own convolution",
    source="Part 4.1, section 6.1, result 6, figures 12 and 33",
    statement="Canon layers at A, C and D add to what the convolution inside the mixer gives.",
    paper=rows(CFG3F, PAPER, "GLA + b", "GLA + AbCD"),
    experiments=on_lano((GLA_B, GLA_ABCD), Ahead("kl", "GLA + AbCD", "GLA + b", factor=1.1), laptop=True),
)

OUTSIDE = Claim(
    id="R6-outside",
    title="GLA: outside the mixer instead of inside",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="Canon-ACD, all outside the mixer, does better than the convolution inside it.",
    paper=rows(CFG3F, PAPER, "GLA + b"),
    experiments=on_lano((GLA_B, GLA_ACD), Ahead("kl", "GLA + ACD", "GLA + b", factor=1.1)),
)

RESIDUAL = Claim(
    id="R6-residual",
    title="GLA + AbCD, no residual",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="On Lano, Canon layers around gated linear attention do better with their residual.",
    paper=rows(CFG3F, PAPER, "GLA + AbCD"),
    experiments=on_lano((GLA_ABCD, GLA_NO_RESIDUAL), Ahead("kl", "GLA + AbCD", "GLA + AbCD, no residual", factor=1.1)),
)

FEATURES = Claim(
    id="R6-features",
    title="GLA + AbCD, 1 + elu",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="The feature map 1 + elu on queries and keys makes gated linear attention worse.",
    paper=rows(CFG3F, PAPER, "GLA + AbCD"),
    experiments=on_lano((GLA_ABCD, GLA_FEATURES), Ahead("kl", "GLA + AbCD", "GLA + AbCD, 1 + elu", factor=1.1)),
)

DEPTH = Claim(
    id="R6-depth",
    title="GLA: hops with and without convolutions",
    source="Part 4.1, section 6.1, result 6, figures 12 and 33",
    statement="Convolutions let gated linear attention answer hops that it cannot follow without them.",
    paper=rows(
        "Depo1, N = 225, K = 4; k = 4; four model sizes",
        {
            "GLA, no convolution": "7, 2, 14, 19 %",
            "GLA + b": "14, 37, 72, 72 %",
            "GLA + AbCD": "19, 37, 22, 50 %",
        },
    ),
    experiments=on_depo(
        (GLA, GLA_B, GLA_ABCD),
        ("GLA + b", "GLA, no convolution"),
        ("GLA + AbCD", "GLA, no convolution"),
        by=0.15,
    ),
)

CLAIMS = (CONVOLUTION, CANON, OUTSIDE, RESIDUAL, FEATURES, DEPTH)
