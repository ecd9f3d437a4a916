"""Mano at every scale (Part 4.1, section 5.1 and appendix A.4)."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from .sizes import BIG, GRID, ONE_LAYER, PUBLISHED

TOY = Setting(
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
    {"steps": 5000}, simplified="as at toy scale, one layer, with 5,000 steps; learning rates chosen at 1,500 steps"
)
PAPER = Setting(
    task="mano",
    task_options={"L": 10, "context": 1024},
    model=PUBLISHED,
    training=Training(**BIG, steps=80_000, batch=64, weight_decay=0.1),
    grid=(1e-4, 2e-4, 3e-4, 5e-4),
    full_size=True,
)
