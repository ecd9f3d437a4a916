"""Result 0: real text at academic scale is noise, a playground of clean tasks is not (Part 4.1, sections 1 to 3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ranks
from ..settings import lano, text
from ..sides import NOPE_CANON, ROPE, ROPE_CANON

SIDES = (ROPE, NOPE_CANON, ROPE_CANON)
THREE = tuple(side.label for side in SIDES)
UNSETTLED, SETTLED = (Ranks("accuracy", THREE, settled) for settled in (False, True))

TEXT_TOY = text.TOY.compare(SIDES, UNSETTLED)
NOISE = Claim(
    id="R0-text",
    title="Real text: close rankings are a matter of seeds",
    source="Part 4.1, section 1, result 0, figures 1 and 21",
    statement="Benchmarks of models pretrained on real text at academic scale differ between seeds as much as between similar "
    "architectures, so which of them ranks first is a matter of luck.",
    paper=rows(
        "1.3B parameters, 100B tokens, benchmark accuracy",
        {"two seeds": "2 to 4 points apart", "two architectures": "1 to 2 points apart"},
    ),
    experiments={"toy": TEXT_TOY, "laptop": text.LAPTOP.compare(SIDES, UNSETTLED, tuned_on=TEXT_TOY)},
)

LANO_TOY = lano.TOY.compare(SIDES, SETTLED)
CLEAN = Claim(
    id="R0-playground",
    title="A clean task: the architecture decides",
    source="Part 4.1, sections 2 and 3, result 0, figures 2 to 4",
    statement="A synthetic task of graded difficulty separates the same architectures on every seed, with the same budget.",
    paper=rows(
        "Depo, Brevo, Mano, Lano, Capo; four model sizes", {"four base architectures": "gaps of 10 to 90 points"}
    ),
    experiments={"toy": LANO_TOY, "laptop": lano.LAPTOP.compare(SIDES, SETTLED, tuned_on=LANO_TOY)},
)

CLAIMS = (NOISE, CLEAN)
