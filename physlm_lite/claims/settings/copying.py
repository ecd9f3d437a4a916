"""The copy toy at every scale (Part 4.1, section 4 and figure 5)."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from .sizes import GRID, UNTRIED

TOY = Setting(
    name="copying, toy",
    task="copy",
    task_options={"n": 24, "shortest": 8},
    model={"width": 32, "layers": 1, "heads": 1},
    training=Training(steps=500, batch=32, evaluations=10, evaluation_rows=128, final=0.05),
    grid=GRID,
    simplified="8 to 24 symbols of 24, a different number in each row, instead of always 500 (at a fixed small number "
    "a plain layer learns to look back a fixed distance, which is not copying); width 32 and 500 steps "
    "instead of 50,000",
)
LONGER = TOY.but(
    {"steps": 1500},
    name="copying, longer",
    simplified=TOY.simplified.replace("500 steps instead", "1,500 steps instead"),
)
LAPTOP = TOY.but(
    {"steps": 2000, "evaluations": 20},
    name="copying, laptop",
    task_options={"n": 64, "shortest": 16},
    simplified="16 to 64 symbols of 64, a different number in each row, instead of always 500; width 32 and "
    "2,000 steps instead of 50,000",
)
FAR = TOY.but(
    {"steps": 1500},
    name="copying, far",
    task_options={"n": 48, "shortest": 16},
    grid=(4e-3, 8e-3, 1.6e-2, 3.2e-2),
    simplified="16 to 48 symbols of 48, a different number in each row, instead of always 500; width 32 and 1,500 steps instead "
    "of 50,000",
    history=(
        "Chosen on pilot seeds below 100: with 24 symbols, the linear models, too, copy nearly everything after 1,500 steps.",
    ),
)
PAPER = Setting(
    name="copying, paper",
    task="copy",
    task_options={"n": 500},
    model={"width": 16, "layers": 1, "heads": 2},
    training=Training(steps=50_000, batch=32, warmup=1000, evaluations=100),
    grid=(5e-4, 1e-3, 2e-3, 5e-3),
    full_size=True,
)
GPU = PAPER.but(
    {"steps": 10_000, "evaluations": 20},
    name="copying, gpu",
    simplified="the published setting with 10,000 steps instead of 50,000",
    history=UNTRIED,
)
