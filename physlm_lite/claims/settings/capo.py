"""Capo at every scale (Part 4.1, section 5.1 and appendix A; Part 3.3). 100 exposures of each fact."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from .sizes import PUBLISHED, UNTRIED

TOY = Setting(
    name="capo, toy",
    task="capo",
    task_options={"people": 500, "format": "short", "names": [24, 24, 24], "values": 32},
    model={"width": 16, "layers": 2, "heads": 2, "tied": True, "depth_scaling": "global"},
    training=Training(steps=3125, batch=16, warmup=100, evaluations=6, evaluation_rows=500, weight_decay=0.01),
    grid=(1e-3, 4e-3, 8e-3, 1.6e-2),
    select="bits_per_parameter",
    shown=("bits_per_parameter", "accuracy"),
    simplified="500 people, 24 choices for each of three names and 32 for each of six attributes, every name and value one "
    "token, instead of 50,000 to 2 million people of bioS; width 16 and about 12,900 parameters on both sides; "
    "100 exposures in 3,125 updates instead of about 60,000",
)
LAPTOP = TOY.but(
    {"steps": 6250, "batch": 32, "warmup": 200, "evaluations": 5, "evaluation_rows": 1000},
    name="capo, laptop",
    task_options={**TOY.task_options, "people": 2000},
    model={**TOY.model, "width": 32},
    simplified="as at toy scale with 2,000 people, width 32 and about 35,700 parameters on both sides; 100 exposures in "
    "6,250 updates; learning rates chosen at toy scale",
)
PAPER = Setting(
    name="capo, paper",
    task="capo",
    task_options={"people": 50_000, "context": 512},
    model={**PUBLISHED, "tied": True},
    training=Training(
        steps=60_000,
        batch=12,
        warmup=1000,
        evaluations=20,
        evaluation_rows=2000,
        weight_decay=0.01,
        dtype="bfloat16",
        leaky=True,
    ),
    grid=(5e-4, 1e-3),
    select=TOY.select,
    full_size=True,
)
GPU = PAPER.but(
    {"steps": 12_000, "batch": 24, "evaluations": 6},
    name="capo, gpu",
    task_options={"people": 20_000, "context": 512},
    model={**PUBLISHED, "width": 128, "layers": 4, "heads": 2, "hidden": 344, "tied": True},
    grid=(1e-3, 2e-3, 4e-3),
    simplified="20,000 people instead of 50,000 to 2 million; one model of 4 layers of width 128, which they about fill, instead "
    "of a front over sizes from 1 to 500 million parameters; 100 exposures in 12,000 updates instead of about 60,000",
    history=UNTRIED,
)
