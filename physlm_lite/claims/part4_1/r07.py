"""Result 7: Canon layers and Mamba2 (Part 4.1, section 6.2)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Level
from ..settings import mano
from ..sides import FAMILIES, GLA, MAMBA2, MAMBA2_NO_RESIDUAL, MIMETIC
from .linear import START, breadth, common, no_residual_on_mano, on_copying, on_lano, recall

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
    **on_lano((GLA, MAMBA2), Level("kl", "GLA, no convolution", "Mamba2, no convolution", margin=0.02)),
    again="R7-level-recall",
)
LEVEL_RECALL = Claim(
    id="R7-level-recall",
    title="Without its convolution, Mamba2 is no better than GLA at recall",
    source="Part 4.1, sections 6.2 and 8, result 7, figure 16",
    statement=f"{LEVEL.statement} Judged on copying.",
    **on_copying((GLA, MAMBA2), Level("accuracy", "GLA, no convolution", "Mamba2, no convolution", margin=0.05)),
    first={},
    again="R7-level",
)

WIDER = breadth(7, "Mamba2", "Convolutions let Mamba2 reason about graphs that are beyond it without them.")
_, OWN, _, ABCD = FAMILIES["Mamba2"]
MANIPULATION = Claim(
    id="R7-manipulation",
    title="Mamba2: stored facts, with and without its convolution",
    source="Part 4.1, section 6.2, result 7, figures 12 and 13",
    statement="On Mano, Mamba2 falls far without its convolution, and Canon layers on top of it add more.",
    paper=rows(
        "Mano, L = 16; four model sizes",
        {
            "Mamba2, no convolution": "12.7, 28.7, 21.9, 26.7 %",
            "Mamba2 + b": "74.4, 90.1, 72.3, 87.4 %",
            "Mamba2 + AbCD": "96.1, 83.1, 96.6, 99.0 %",
        },
    ),
    experiments=mano.variants(
        (MAMBA2, OWN, ABCD),
        lambda metric: (
            Ahead(metric, OWN.label, MAMBA2.label, by=0.05),
            Ahead(metric, ABCD.label, OWN.label, by=0.03),
        ),
        note=START,
    ),
    first={},
)

RESIDUAL = Claim(
    id="R7-residual",
    title="Mamba2 + AbCD: Lano prefers the residual",
    source="Part 4.1, section 6.2, result 7, figures 30 to 32",
    statement="On Lano, Canon layers around Mamba2 do slightly better with their residual.",
    **on_lano((ABCD, MAMBA2_NO_RESIDUAL), Ahead("kl", ABCD.label, MAMBA2_NO_RESIDUAL.label, factor=1.05)),
    first={},
    again="R7-residual-manipulation",
)
RESIDUAL_MANIPULATION = no_residual_on_mano(
    7, "Mamba2", ABCD, MAMBA2_NO_RESIDUAL, "97.8, 99.5, 99.6, 99.4 %", "figures 30 to 32"
)
MIMETIC_START = Claim(
    id="R7-mimetic",
    title="A mimetic start hurts Mamba2 where context is short",
    source="Part 4.1, section 6.2, result 7, figures 30 to 32",
    statement="Mamba2 that starts like attention without a softmax, so that it recalls from afar, works worse with stored facts.",
    paper=rows(
        "Mano, L = 10; four model sizes",
        {"Mamba2 + b": "96.5, 95.1, 95.2, 95.7 %", MIMETIC.label: "38.8, 42.5, 55.6, 44.3 %"},
    ),
    experiments=mano.variants(
        (OWN, MIMETIC), lambda metric: (Ahead(metric, OWN.label, MIMETIC.label, by=0.05),), note=START
    ),
    first={},
    again="O-mimetic",
)

CLAIMS = (
    CONVOLUTION,
    LEVEL,
    LEVEL_RECALL,
    CANON,
    OUTSIDE,
    DEPTH,
    WIDER,
    MANIPULATION,
    RESIDUAL,
    RESIDUAL_MANIPULATION,
    MIMETIC_START,
    *recall(7, "Mamba2", "ahead"),
)
