"""Result 6: Canon layers and gated linear attention (Part 4.1, section 6.1)."""

from __future__ import annotations

from ..claim import Claim
from ..rules import Ahead
from ..sides import FAMILIES, GLA_ABCD, GLA_FEATURES, GLA_NO_RESIDUAL, GLA_SINGLE
from .linear import at_least, breadth, common, on_lano, recall

CONVOLUTION, CANON, OUTSIDE, DEPTH = common(
    6,
    "GLA",
    Ahead("kl", "GLA + ACD", "GLA + b", factor=1.1),
    convolution=(
        "figures 12 and 33",
        "A short convolution inside its mixer lifts gated linear attention far above itself.",
    ),
    Canon=("figures 12 and 33", "Canon layers at A, C and D add to what the convolution inside the mixer gives."),
    outside=("figure 34", "Canon-ACD, all outside the mixer, does better than the convolution inside it."),
    depth=(
        "figures 12 and 33",
        "Convolutions let gated linear attention answer hops that it cannot follow without them.",
    ),
)

RESIDUAL = Claim(
    id="R6-residual",
    title="GLA + AbCD, no residual",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="On Lano, Canon layers around gated linear attention do better with their residual.",
    **on_lano((GLA_ABCD, GLA_NO_RESIDUAL), Ahead("kl", "GLA + AbCD", "GLA + AbCD, no residual", factor=1.1)),
)

FEATURES = Claim(
    id="R6-features",
    title="GLA + AbCD, 1 + elu",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="The feature map 1 + elu on queries and keys makes gated linear attention worse.",
    **on_lano((GLA_ABCD, GLA_FEATURES), Ahead("kl", "GLA + AbCD", "GLA + AbCD, 1 + elu", factor=1.1)),
)

OWN = FAMILIES["GLA"][1]
SINGLE = Claim(
    id="R6-single",
    title="GLA: one Canon layer outside equals the convolution inside",
    source="Part 4.1, section 6.1, result 6, figure 34",
    statement="A single Canon layer at A, at C or at D does at least as well as the convolution inside gated linear attention.",
    **on_lano((OWN, *GLA_SINGLE), *at_least("kl", [(single, OWN) for single in GLA_SINGLE], margin=0.01)),
    first={},
)
WIDER = breadth(6, "GLA", "Canon layers double the breadth of what gated linear attention can reason about.")

CLAIMS = (CONVOLUTION, CANON, OUTSIDE, SINGLE, RESIDUAL, FEATURES, DEPTH, WIDER, *recall(6, "GLA", "ahead"))
