"""Result 5: the feed-forward layer, gated or not, its activation, and experts (Part 4.1, section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence

from ..claim import Claim, rows
from ..rules import Ahead, Gains, Level
from ..settings import capo, mano
from ..settings.sizes import FEW
from ..sides import (
    EXPERTS,
    EXPERTS_CANON,
    GATED,
    GATED_CANON,
    GATED_SQUARED,
    GATED_SQUARED_CANON,
    ONE_FOR_ALL,
    STANDARD,
    STANDARD_SQUARED,
    Side,
)

# -- what works better with stored facts: Mano -------------------------------------------------------------------------

L10 = "Mano, L = 10; four model sizes"
PAPER = {
    "gated": "59.4, 75.5, 84.5, 85.2 %",
    "gated, ReLU²": "40.0, 38.4, 63.9, 64.7 %",
    "standard": "33.1, 22.3, 49.2, 40.7 %",
    "standard, ReLU²": "63.4, 70.2, 77.9, 83.4 %",
}
FULL_MANO = {"gpu": mano.GPU, "paper": mano.PAPER}
FOUR = (GATED, GATED_SQUARED, STANDARD, STANDARD_SQUARED)


def _sized(sides: Sequence[Side], gated: int, standard: int) -> tuple[Side, ...]:
    """A standard layer has two matrices instead of three: half as wide again, it has as many parameters as a gated one."""
    return tuple(side.but(hidden=standard if "mlp" in side.options else gated) for side in sides)


GATING = Claim(
    id="R5-gated",
    title="A gated feed-forward layer works better with stored facts",
    source="Part 4.1, section 5.4, result 5, figures 24 and 25",
    statement="A gated feed-forward layer is slightly better than a standard one, above all on Mano.",
    paper=rows(L10, PAPER, "gated", "standard"),
    experiments={
        "toy": mano.TOY.compare(
            _sized((GATED, STANDARD), 160, 240), Ahead("accuracy_length.2", "gated", "standard", by=0.05), grid=FEW
        ),
        **{
            scale: setting.compare(
                _sized((GATED, STANDARD), 1376, 2048), Ahead("accuracy", "gated", "standard", by=0.05)
            )
            for scale, setting in FULL_MANO.items()
        },
    },
)

RELU2 = Claim(
    id="R5-ReLU2",
    title="Squared ReLU helps the standard layer and hurts the gated one",
    source="Part 4.1, section 5.4, result 5, figure 25",
    statement="Without Canon layers, squared ReLU in place of silu helps a standard feed-forward layer and hurts a gated one.",
    paper=rows(L10, PAPER, "standard", "standard, ReLU²", "gated", "gated, ReLU²"),
    experiments={
        "toy": mano.TOY.compare(
            _sized(FOUR, 160, 240),
            Ahead("accuracy_length.2", "standard, ReLU²", "standard", by=0.03),
            Ahead("accuracy_length.2", "gated", "gated, ReLU²", by=0.03),
            grid=FEW,
        ),
        **{
            scale: setting.compare(
                _sized(FOUR, 1376, 2048),
                Ahead("accuracy", "standard, ReLU²", "standard", by=0.03),
                Ahead("accuracy", "gated", "gated, ReLU²", by=0.03),
            )
            for scale, setting in FULL_MANO.items()
        },
    },
)

SQUARED_CANON = Claim(
    id="R5-ReLU2-Canon",
    title="With Canon layers, squared ReLU no longer hurts",
    source="Part 4.1, section 5.4, result 5, figure 25",
    statement="With Canon layers, a gated feed-forward layer with squared ReLU does as well on Mano as one with silu.",
    paper=rows(L10, {"gated + Canon": "above 95 %", "gated, ReLU² + Canon": "above 95 %"}),
    experiments=mano.variants(
        (GATED_CANON, GATED_SQUARED_CANON),
        lambda metric: (Level(metric, "gated + Canon", "gated, ReLU² + Canon", margin=0.05),),
    ),
    first={},
)

# -- what stores more: Capo --------------------------------------------------------------------------------------------

FEW_RATES = (1e-3, 8e-3, 1.6e-2)
UNGATED = Ahead("bits_per_parameter", "standard", "gated", factor=1.1)
MLP_CAPACITY = Claim(
    id="R5-capacity",
    title="Gating costs capacity",
    source="Part 4.1, section 5.4, result 5, figure 11",
    statement="After 100 exposures, a gated feed-forward layer has stored about 30 % less than a standard one of the same "
    "size.",
    paper=rows(
        "bioS(N), N = 50K to 2M, 100 exposures; Pareto front over model sizes", {"gated": "about 30 % below standard"}
    ),
    experiments={
        "toy": capo.TOY.compare(_sized((GATED, STANDARD), 63, 94), UNGATED, grid=FEW_RATES),
        "gpu": capo.GPU.compare(_sized((GATED, STANDARD), 344, 512), UNGATED),
        "paper": capo.PAPER.compare(_sized((GATED, STANDARD), 1376, 2048), UNGATED),
    },
)

REGAINS = Gains("bits_per_parameter", "gated + Canon", "standard", "gated", share=0.5)
REGAINED = Claim(
    id="R5-regains",
    title="Canon layers get back what gating costs",
    source="Part 4.1, section 5.4, result 5, figure 11",
    statement="Canon layers bring back about half of the capacity that a gated feed-forward layer loses against a standard one.",
    paper=rows("bioS(N), 100 exposures; Pareto front over model sizes", {"gated + Canon": "about half of the 30 %"}),
    experiments={
        "toy": capo.TOY.compare((*_sized((GATED, STANDARD), 63, 94), GATED_CANON.but(hidden=48)), REGAINS),
        "gpu": capo.GPU.compare((*_sized((GATED, STANDARD), 344, 512), GATED_CANON), REGAINS),
        "paper": capo.PAPER.compare((*_sized((GATED, STANDARD), 1376, 2048), GATED_CANON), REGAINS),
    },
    first={},
)

SPLIT = (
    Ahead("bits_per_parameter", "one for all", "experts", factor=1.5),
    Ahead("bits_per_parameter", "experts + Canon-ABC", "experts", factor=1.2),
)
MIXTURE = Claim(
    id="R5-experts",
    title="Experts store less for each parameter",
    source="Part 4.1, section 5.4, result 5, figure 11",
    statement="After 100 exposures a mixture of experts has stored about ten times less for each parameter than one layer "
    "for all tokens; Canon-ABC recovers at least half of the loss.",
    paper=rows("bioS(N), 32 experts, 100 exposures", {"experts": "about 10 times less"}),
    experiments={
        # as many parameters on every side: four experts of a quarter of the hidden width, and less of it where there are taps
        "toy": capo.TOY.compare(
            (ONE_FOR_ALL.but(hidden=63), EXPERTS.but(hidden=16, experts=4), EXPERTS_CANON.but(hidden=14, experts=4)),
            *SPLIT,
            grid=FEW_RATES,
            simplified=f"{capo.TOY.simplified}; 4 experts instead of 32, which together have the hidden width of the one "
            "that they replace (in the paper each has all of it)",
        ),
        "paper": capo.PAPER.compare(
            (
                ONE_FOR_ALL.but(hidden=1376),
                EXPERTS.but(hidden=1376, experts=32),
                EXPERTS_CANON.but(hidden=1376, experts=32),
            ),
            *SPLIT,
            grid=(1e-3, 3e-3, 5e-3),
        ),
    },
    no_gpu="with 32 experts, which start thousands of small operations and go into no stack, it would take three hours",
)

CLAIMS = (GATING, RELU2, SQUARED_CANON, MLP_CAPACITY, REGAINED, MIXTURE)
