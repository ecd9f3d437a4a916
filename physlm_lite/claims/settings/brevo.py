"""Brevo at every scale (Part 4.1, section 5.1 and appendix A.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...training import Training
from ..experiment import Experiment, Setting
from ..rules import Rule
from ..sides import Side
from .sizes import BIG, DEEPER, GRID, HALF, PUBLISHED, SMALL, UNTRIED

TOY = Setting(
    name="brevo, toy",
    task="brevo",
    task_options={"N": 6, "test_sizes": [4, 6]},
    model=SMALL,
    training=Training(steps=1000, batch=32, evaluations=8, evaluation_rows=512, final=0.05),
    grid=GRID,
    select="accuracy_n.6",
    shown=("accuracy_n.4", "accuracy_n.6"),
    simplified="graphs of 3 to 6 vertices instead of up to 110; 2 layers of width 64 and 1,000 steps instead of 8 to 12 "
    "layers of width 512 to 768 and 100,000 to 150,000 steps",
)
LAPTOP = TOY.but(
    {"steps": 3000, "evaluations": 10},
    name="brevo, laptop",
    task_options={"N": 8, "test_sizes": [6, 8]},
    model=DEEPER,
    select="accuracy_n.8",
    shown=("accuracy_n.6", "accuracy_n.8"),
    simplified="graphs of 3 to 8 vertices; 3 layers of width 64 and 3,000 steps; learning rates chosen at toy scale",
)
PAPER = Setting(
    name="brevo, paper",
    task="brevo",
    task_options={"N": 70, "context": 1024},
    model=PUBLISHED,
    training=Training(steps=100_000, batch=256, **BIG),
    grid=(3e-4, 5e-4, 1e-3, 2e-3),
    full_size=True,
)
GPU = PAPER.but(
    {"steps": 5000, "batch": 32, "warmup": 500, "evaluations": 8, "evaluation_rows": 256},
    name="brevo, gpu",
    task_options={"N": 20, "context": 256},
    model=HALF,
    grid=(5e-4, 1e-3, 2e-3),
    simplified="graphs of 3 to 20 vertices instead of up to 110; 4 layers of width 512 instead of 8 to 12 of 512 to 768, and "
    "5,000 steps of 32 windows of 256 instead of 100,000 to 150,000 of 256 windows of 1,024",
    history=UNTRIED,
)


def variants(sides: Sequence[Side], rules: Callable[[str], Iterable[Rule]], note: str = "") -> dict[str, Experiment]:
    """These sides on the largest graphs, small, on one GPU, and as published. rules: made for the score that is judged there."""
    toy = TOY.but(simplified=f"{TOY.simplified}{note and '; '}{note}")
    larger = {
        scale: setting.compare(sides, *rules("accuracy")) for scale, setting in {"gpu": GPU, "paper": PAPER}.items()
    }
    return {"toy": toy.compare(sides, *rules("accuracy_n.6")), **larger}
