"""Birth years hidden in real text at small scale (Part 4.1, section 8)."""

from __future__ import annotations

from ...training import Training
from ..experiment import Setting
from ..sides import QUARTER as AT_WIDTH_64
from .text import KING_JAMES

QUARTER = AT_WIDTH_64.but(rope_dim=8)  # half of the coordinates of one of two heads of width 16
RATE = 8e-3  # of the lessons' own runs
TOY = Setting(
    name="births, toy",
    task="births",
    task_options={"corpus": "kjv", "context": 64, "people": 6, "pool": 16, "corpus_hash": KING_JAMES},
    model={"width": 32, "layers": 2, "heads": 2, "hidden": 80, "depth_scaling": "global"},
    training=Training(
        steps=400, batch=64, evaluations=8, evaluation_rows=200, final=0.05, decay_from=0.7, weight_decay=0.1
    ),
    grid=(4e-3, 8e-3, 1.6e-2),
    shown=("accuracy", "accuracy_far.2", "accuracy_far.4"),
    simplified="six years in 28 characters of the King James Bible, and questions about them in every row that is trained on, "
    "instead of 100 billion tokens of text without any; names, years and the words between them are a token each; loss on the "
    "answers; windows of 64 tokens instead of 4,096, tested at 64, 128 and 256; 2 layers of width 32 and 400 steps",
    history=(
        "Chosen on pilot seed 400: in windows of 128 with 8 or more people (batch 32, rates 8e-3 and 1.6e-2), one run of five "
        "found years within 400 to 600 steps; in windows of 64 with NoPE + Canon after 200.",
    ),
)
HOPS = TOY.but(
    name="births, two hops",
    task_options={**TOY.task_options, "people": 4, "hops": 2, "taught": 1},
    shown=("accuracy_k.1", "accuracy_k.2"),
    simplified="four years and four links",
)
HOPS_TAUGHT = HOPS.but(
    {"steps": 800},
    name="births, two hops taught",
    task_options={**TOY.task_options, "people": 4, "hops": 2},
)
