"""Mano at every scale (Part 4.1, section 5.1 and appendix A.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...training import Training
from ..experiment import Experiment, Setting
from ..rules import Rule
from ..sides import Side
from .sizes import BIG, GRID, HALF, ONE_LAYER, PUBLISHED, SMALL, UNTRIED

TOY = Setting(
    name="mano, toy",
    task="mano",
    task_options={"L": 3, "modulus": 7, "markers": "plain", "every_length": True},
    model=ONE_LAYER,
    training=Training(steps=1500, batch=128, evaluations=10, evaluation_rows=1500, final=0.05, weight_decay=0.1),
    grid=GRID,
    select="accuracy_length.2",
    shown=("accuracy_length.1", "accuracy_length.2", "accuracy_length.3"),
    simplified="1 to 3 operations modulo 7 instead of 1 to 16 modulo 23; one token for each marker; one expression a row; one "
    "layer of width 64 (three layers showed no advantage in a pilot of 2,500 steps, one seed, rates of 1e-3 and "
    "2e-3); 1,500 steps instead of 80,000 to 110,000",
)
LAPTOP = TOY.but(
    {"steps": 5000},
    name="mano, laptop",
    simplified="as at toy scale, one layer, with 5,000 steps; learning rates chosen at 1,500 steps",
)
TWO_LAYERS = TOY.but(
    {"steps": 3000},
    name="mano, two layers",
    model=SMALL,
    select="accuracy_length.3",
    simplified="1 to 3 operations modulo 7 instead of 1 to 16 modulo 23; one token for each marker; one expression a row; two "
    "layers of width 64 and 3,000 steps instead of 80,000 to 110,000",
    history=(
        "One layer can learn the 6,174 expressions of length 2 by heart; two layers and twice the steps, chosen on pilot seeds "
        "below 100, bring length 3 above its floor.",
    ),
)
PAPER = Setting(
    name="mano, paper",
    task="mano",
    task_options={"L": 10, "context": 1024},
    model=PUBLISHED,
    training=Training(**BIG, steps=80_000, batch=64, weight_decay=0.1),
    grid=(1e-4, 2e-4, 3e-4, 5e-4),
    full_size=True,
)
GPU = PAPER.but(
    {"steps": 5000, "batch": 32, "warmup": 500, "evaluations": 8, "evaluation_rows": 96},
    name="mano, gpu",
    task_options={"L": 5, "context": 256},
    model=HALF,
    grid=(2e-4, 4e-4, 8e-4),
    simplified="1 to 5 operations instead of 1 to 16; 4 layers of width 512 instead of 8 to 12 of 512 to 768, and 5,000 steps of "
    "32 windows of 256 instead of 80,000 to 110,000 of 64 windows of 1,024",
    history=UNTRIED,
)


def variants(sides: Sequence[Side], rules: Callable[[str], Iterable[Rule]], note: str = "") -> dict[str, Experiment]:
    """These sides on few operations, small, on one GPU, and as published. rules: made for the score that is judged."""
    toy = TOY.but(simplified=f"{TOY.simplified}{note and '; '}{note}")
    larger = {
        scale: setting.compare(sides, *rules("accuracy")) for scale, setting in {"gpu": GPU, "paper": PAPER}.items()
    }
    return {"toy": toy.compare(sides, *rules("accuracy_length.2")), **larger}
