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
    shown=("accuracy", "accuracy_far.4"),
    simplified="six years in 28 characters of the King James Bible, and questions about them in every row that is trained on, "
    "instead of 100 billion tokens of text without any; names, years and the words between them are a token each; loss on the "
    "answers; windows of 64 tokens instead of 4,096, tested at 64, 128 and 256; 2 layers of width 32 and 400 steps",
    history=(
        "Chosen on pilot seed 400. In windows of 128 with 8 people or more (batch 32, rates 8e-3 and 1.6e-2), one run of seven "
        "found years before it ended or was stopped, after 225 to 400 steps. In windows of 64, RoPE + Canon, a quarter of RoPE "
        "and NoPE + Canon did after 150 to 200 (at 4 times the length 0.77, 1.00 and 0.98), RoPE and NoPE not within 400, GLA + "
        "AbCD not within 350.",
    ),
)
HOPS = TOY.but(
    name="births, two hops",
    task_options={**TOY.task_options, "people": 4, "hops": 2, "taught": 1},
    shown=("accuracy_k.1", "accuracy_k.2"),
    simplified="four years and four links in 28 characters of the King James Bible; in training, questions about those whose "
    "year is stated, with loss on the answers, instead of text alone; names, years and the words between them are a token each; "
    "2 layers of width 32 and 400 steps of 64 windows of 64 tokens",
    history=(
        "Chosen on pilot seed 400, RoPE + Canon: one hop 1.00, two hops 0.18 after 400 steps, where naming any year is right in "
        "0.25.",
    ),
)
HOPS_TAUGHT = HOPS.but(
    {"steps": 1500},
    name="births, two hops taught",
    task_options={**TOY.task_options, "people": 4, "hops": 2},
    simplified=HOPS.simplified.replace("those whose year is stated", "both kinds of people alike").replace(
        "400", "1,500"
    ),
    history=(
        "RoPE + Canon, both kinds of question, 800 steps: one hop 0.91 and two 0.31 on pilot seed 400, 0.26 and 0.24 on seed 0, "
        "where naming any year is right in 0.25; so the budget was nearly doubled before any reported run.",
    ),
)
