"""Real text at small scale (Part 4.1, sections 1 and 8)."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from .sizes import DEEPER, GRID

PYTHON_3_11 = "6a794f42"  # the documentation differs a little between Python's versions (see `Experiment.at_hand`)
TOY = Setting(
    task="text",
    task_options={"context": 128, "corpus_hash": PYTHON_3_11},
    model=DEEPER,
    training=Training(
        steps=300, batch=16, evaluations=4, evaluation_rows=400, final=0.05, weight_decay=0.1, leaky=True
    ),
    grid=GRID,
    shown=("accuracy", "loss_held_out"),
    simplified="1.6 million characters of Python's documentation instead of 100 billion tokens; 3 layers of width 64 and 300 "
    "steps; a benchmark of 400 questions with four choices. Learning rates are chosen by the benchmark, too, "
    "which flatters every side alike",
)
LAPTOP = TOY.but({"steps": 600}, simplified="as at toy scale, with 600 steps; learning rates chosen at 300 steps")
