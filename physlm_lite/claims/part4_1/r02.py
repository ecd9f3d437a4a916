"""Result 2: what Canon layers add to a Transformer with RoPE, skill by skill (Part 4.1, section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from ..claim import Claim, rows
from ..rules import Ahead, Climbs
from ..settings import brevo, capo, depo, lano, mano
from ..settings.sizes import GRID
from ..sides import CANON_FIRST, CANON_LAST, NOPE, NOPE_CANON, ROPE, ROPE_CANON

SIDES = (ROPE, ROPE_CANON)


def _numbers(*settings: tuple[str, str, str]) -> tuple[Mapping[str, str], ...]:
    """The paper's numbers at each setting, plain and with Canon layers."""
    return tuple(row for at, plain, canon in settings for row in rows(at, {"RoPE": plain, "RoPE + Canon": canon}))


# -- depth: Depo -------------------------------------------------------------------------------------------------------

HOPS = _numbers(
    ("Depo1, N = 225, K = 8; four model sizes; k = 8", "0, 1, 1, 0 %", "97, 92, 73, 94 %"),
    ("Depo1, N = 225, K = 8; four model sizes; k = 4", "34, 50, 4, 1 %", "100, 100, 89, 100 %"),
)


def _climbs(hops: int) -> Climbs:
    return Climbs("RoPE + Canon", "RoPE", hops)


DEPO_LAPTOP = depo.LAPTOP.compare(SIDES, _climbs(3))
DEPTH = Claim(
    id="R2-depth",
    again="R2-rungs",
    title="Canon layers deepen reasoning",
    source="Part 4.1, section 5.1, result 2, figures 7 and 8",
    statement="With 0.5 % more parameters, Canon layers let a RoPE Transformer answer two to four times as many hops, "
    "without written steps.",
    paper=HOPS,
    experiments={
        "toy": depo.TOY.compare(SIDES, _climbs(1)),
        "laptop": DEPO_LAPTOP,
        "gpu": depo.GPU.compare(SIDES, _climbs(4)),
        "paper": depo.PAPER.compare(SIDES, _climbs(8)),
    },
)
RUNGS = Claim(
    id="R2-rungs",
    title="The second rung is reached sooner",
    source="Part 4.1, section 5.1, result 2, figure 8",
    statement="Canon layers let a RoPE Transformer learn one hop, and from there two, in fewer steps.",
    paper=HOPS,
    experiments={"toy": depo.RINGS.compare(SIDES, _climbs(2))},
    first={},
)
# Result 2.1 was announced with the second tutorial, without numbers; what can be seen of it are layers one by one.
LAYERS = Claim(
    id="R2-layers",
    title="Not only the first layer needs Canon",
    source="Part 4.1, section 5.1, result 2, figure 8",
    statement="That attention can match several tokens at once explains the first layer only: Canon layers in the last layer "
    "alone bring more than none, and in the first alone less than everywhere.",
    paper=HOPS,
    experiments={
        "toy": depo.RINGS.compare(
            (ROPE, CANON_FIRST, CANON_LAST, ROPE_CANON),
            Climbs("RoPE + Canon", "Canon in the first layer", 2, factor=1.5),
            Climbs("Canon in the last layer", "RoPE", 1, factor=1.5),
        )
    },
    first={},
)
LADDER = Claim(
    id="R2-ladder",
    title="The rungs of the ladder, with budget to spare",
    source="Part 4.1, section 5.1, result 2, figure 8",
    statement="Hops are learnt one after the other, and whoever learns the early rungs sooner climbs further in the same "
    "budget. Judged like R2-depth, in a smaller world where the plain model, too, has time to climb.",
    paper=HOPS,
    experiments={"laptop": depo.LADDER.compare(SIDES, _climbs(3), tuned_on=DEPO_LAPTOP)},
)
FOUR_HOPS = Claim(
    id="R2-four-hops",
    title="Four hops in one pass",
    source="Part 4.1, section 5.1, result 2, figures 7 and 8",
    statement="Canon layers let a Transformer answer two to four times as many hops. Judged like R2-depth, one rung "
    "further up.",
    paper=HOPS,
    experiments={"laptop": depo.FOUR_HOPS.compare(SIDES, _climbs(4), tuned_on=DEPO_LAPTOP)},
)

# -- breadth: Brevo ----------------------------------------------------------------------------------------------------

BREVO_TOY = brevo.TOY.compare(SIDES, Ahead("accuracy_n.6", "RoPE + Canon", "RoPE", by=0.1))
BREADTH = Claim(
    id="R2-breadth",
    title="Canon layers widen reasoning",
    source="Part 4.1, section 5.1, result 2, figures 7 and 9",
    statement="Asked for everything that a vertex depends on, in a valid order and at once, a RoPE Transformer with Canon "
    "layers handles graphs about 30 % larger.",
    paper=_numbers(
        ("Brevo1, N = 70; four model sizes", "45.6, 76.9, 79.8, 88.5 %", "84.6, 88.7, 88.3, 91.3 %"),
        ("Brevo1, N = 90; four model sizes", "32.6, 64.5, 44.5, 63.1 %", "51.3, 72.4, 69.9, 75.7 %"),
        ("Brevo1, N = 110; four model sizes", "8.0, 31.2, 17.7, 27.5 %", "24.8, 49.1, 41.2, 58.8 %"),
    ),
    experiments={
        "toy": BREVO_TOY,
        "laptop": brevo.LAPTOP.compare(
            SIDES, Ahead("accuracy_n.8", "RoPE + Canon", "RoPE", by=0.1), tuned_on=BREVO_TOY
        ),
        "gpu": brevo.GPU.compare(SIDES, Ahead("accuracy", "RoPE + Canon", "RoPE", by=0.1)),
        "paper": brevo.PAPER.compare(SIDES, Ahead("accuracy", "RoPE + Canon", "RoPE", by=0.1)),
    },
)

LEVELS = brevo.TOY.but(
    name="brevo, by depth",
    shown=("accuracy_depth.1", "accuracy_depth.2"),
    simplified=f"{brevo.TOY.simplified}; learning rates chosen by graphs of 6 vertices",
)
BREADTH_BY_DEPTH = Claim(
    id="R2-breadth-depth",
    again="R2-breadth",
    title="The lead holds at every depth of the graph",
    source="Part 4.1, section 5.1, result 2, figure 9",
    statement="Near the leaves and far from them, a RoPE Transformer with Canon layers answers more of Brevo than without.",
    paper=_numbers(
        ("Brevo1, N = 90, 8 layers of width 512; depth 1 to 5", "45, 36, 30, 26, 22 %", "about 64, 56, 48, 44, 38 %")
    ),
    experiments={
        "toy": LEVELS.compare(
            SIDES, *(Ahead(f"accuracy_depth.{edges}", "RoPE + Canon", "RoPE", by=0.1) for edges in (1, 2))
        )
    },
    first={},
)

# -- capacity: Capo ----------------------------------------------------------------------------------------------------

STORES_MORE = Ahead("bits_per_parameter", "RoPE + Canon", "RoPE", factor=1.05)
# At width 16, Canon-ABCD would be 12 % more parameters (0.45 % in the paper): the plain side gets them as hidden width.
CAPO_TOY = capo.TOY.compare((ROPE.but(hidden=63), ROPE_CANON.but(hidden=48)), STORES_MORE)
CAPACITY = Claim(
    id="R2-capacity",
    title="Canon layers store more knowledge",
    source="Part 4.1, section 5.1, result 2, figure 11",
    statement="After 100 exposures of each fact, a RoPE Transformer with Canon layers holds 10 to 15 % more bits per "
    "parameter.",
    paper=rows(
        "bioS(N), N = 50K to 2M, 100 exposures; Pareto front over model sizes",
        {"RoPE + Canon": "10 to 15 % above RoPE"},
    ),
    experiments={
        "toy": CAPO_TOY,
        "laptop": capo.LAPTOP.compare((ROPE.but(hidden=93), ROPE_CANON.but(hidden=80)), STORES_MORE, tuned_on=CAPO_TOY),
        "gpu": capo.GPU.compare(SIDES, STORES_MORE),
        "paper": capo.PAPER.compare(SIDES, STORES_MORE),
    },
)

# -- manipulation: Mano ------------------------------------------------------------------------------------------------

MANO_TOY = mano.TOY.compare(SIDES, Ahead("accuracy_length.2", "RoPE + Canon", "RoPE", by=0.05))
MANIPULATION = Claim(
    id="R2-manipulation",
    again="R2-manipulation-three",
    title="Canon layers lengthen what can be worked out with stored facts",
    source="Part 4.1, section 5.1, result 2, figure 7",
    statement="Arithmetic modulo 23 without written steps: with Canon layers a RoPE Transformer works out expressions that "
    "are about 30 % longer.",
    paper=_numbers(
        ("Mano, L = 10; four model sizes", "59.4, 75.5, 84.5, 85.2 %", "95.1, 99.3, 99.3, 99.5 %"),
        ("Mano, L = 13; four model sizes", "55.6, 53.8, 52.5, 46.5 %", "66.0, 94.6, 97.1, 98.8 %"),
        ("Mano, L = 16; four model sizes", "26.3, 19.7, 20.9, 41.6 %", "63.7, 82.8, 91.4, 83.0 %"),
    ),
    experiments={
        "toy": MANO_TOY,
        "laptop": mano.LAPTOP.compare(
            SIDES,
            Ahead("accuracy_length.2", "RoPE + Canon", "RoPE", by=0.1),
            Ahead("accuracy_length.3", "RoPE + Canon", "RoPE", by=0.05),
            tuned_on=MANO_TOY,
        ),
        "gpu": mano.GPU.compare(SIDES, Ahead("accuracy", "RoPE + Canon", "RoPE", by=0.1)),
        "paper": mano.PAPER.compare(SIDES, Ahead("accuracy", "RoPE + Canon", "RoPE", by=0.1)),
    },
)

MORE_OPERATIONS = Claim(
    id="R2-manipulation-three",
    title="Three operations, which cannot be learnt by heart",
    source=MANIPULATION.source,
    statement=MANIPULATION.statement + " Judged on three operations, of which there are too many to store the results.",
    paper=MANIPULATION.paper,
    experiments={"toy": mano.TWO_LAYERS.compare(SIDES, Ahead("accuracy_length.3", "RoPE + Canon", "RoPE", by=0.05))},
    first={},
)

# -- structure: Lano ---------------------------------------------------------------------------------------------------

STRUCTURED = (NOPE, ROPE, NOPE_CANON, ROPE_CANON)
NEARER = (
    Ahead("kl", "RoPE + Canon", "RoPE", factor=1.5),
    Ahead("kl", "NoPE + Canon", "NoPE", factor=1.5),
)
CFG3F = lano.variants(STRUCTURED, *NEARER, laptop=True, grid=GRID)
STRUCTURE = Claim(
    id="R2-structure",
    again="R2-brackets",
    title="Canon layers help to learn hierarchical structure",
    source="Part 4.1, section 5.1, result 2, figure 7",
    statement="Models that write sentences of an ambiguous grammar get more of them right with Canon layers, and come closer "
    "to the true distribution.",
    paper=_numbers(
        ("cfg3f; four model sizes", "91.1, 96.3, 93.4, 97.6 %", "96.6, 98.0, 97.2, 98.3 %"),
        ("cfg3j; four model sizes", "74.1, 91.4, 82.3, 90.3 %", "88.2, 92.0, 88.6, 94.3 %"),
        ("cfg3k; four model sizes", "64.0, 75.1, 60.0, 79.1 %", "75.2, 87.1, 83.0, 86.7 %"),
        ("KL, cfg3f, 8 layers of width 512", "0.00095", "0.00048"),
    ),
    experiments=CFG3F,
)
BEYOND = Claim(
    id="R2-brackets",
    title="Structure that no table of n-grams has",
    source=STRUCTURE.source,
    statement="Judged like R2-structure, on nested brackets of three kinds, where every side can come closer to the true "
    "distribution than n-grams counted on the same training text.",
    paper=STRUCTURE.paper,
    experiments={"toy": lano.BRACKETS.compare(STRUCTURED, *NEARER)},
    first={},
)

CLAIMS = (
    *(DEPTH, RUNGS, LAYERS, LADDER, FOUR_HOPS),
    *(BREADTH, BREADTH_BY_DEPTH, CAPACITY, MANIPULATION, MORE_OPERATIONS),
    *(STRUCTURE, BEYOND),
)
