"""Lano at every scale (Part 4.1, section 5.1 and appendix A.5)."""

from __future__ import annotations

from collections.abc import Sequence

from ...training import Training
from ..experiment import Experiment, Setting
from ..rules import Rule
from ..sides import Side
from .sizes import DEEPER, FEW, GRID, HALF, PUBLISHED, SMALL, UNTRIED

TOY = Setting(
    name="lano, toy",
    task="lano",
    task_options={"grammar": "cfg3f", "root": 14, "context": 96},
    model=SMALL,
    training=Training(
        steps=400, batch=16, evaluations=5, evaluation_rows=200, final=0.05, weight_decay=0.1, leaky=True
    ),
    grid=GRID,
    shown=("kl", "accuracy"),
    floors={"kl": {"11-gram": 0.105}},  # of 4- to 17-grams of the same tokens the best (see `evaluation.ngrams`)
    simplified="cfg3f from its symbol 14 on: three levels of rules instead of six, sentences of 8 to 27 symbols instead of "
    "64 to 729; 2 layers of width 64 and 400 steps of 16 windows of 96 instead of 100,000 steps of 96 windows "
    "of 512",
)
LAPTOP = TOY.but(
    {"steps": 1000},
    name="lano, laptop",
    task_options={"grammar": "cfg3f", "root": 16, "context": 192},
    model=DEEPER,
    floors={"kl": {"11-gram": 0.142}},
    simplified="cfg3f from its symbol 16 on: four levels of rules, sentences of 16 to 81 symbols; 3 layers of width 64 and "
    "1,000 steps; learning rates chosen on the part from symbol 14 on, with 2 layers and 400 steps",
)
BRACKETS = TOY.but(
    {"steps": 500},
    name="lano, brackets",
    task_options={"grammar": "brackets", "context": 192},
    floors={"kl": {"9-gram": 0.378}},
    simplified="brackets of three types, nested and side by side in seven levels, at most 128 symbols: a grammar of ours, not a "
    "published one; 2 layers of width 64 and 500 steps of 16 windows of 192",
    history=(
        "On the toy part of cfg3f an n-gram is better than every side without a convolution, so it tells nothing of structure; "
        "this grammar was chosen on pilot seeds below 100 because plain RoPE is far better than any n-gram there.",
    ),
)
DEEP = TOY.but(
    {"steps": 1000},
    name="lano, deep",
    model={**SMALL, "layers": 6, "width": 48, "hidden": 128},
    grid=(*GRID, 1.6e-2, 3.2e-2),
    floors={"kl": {"13-gram": 0.08}},
    simplified="cfg3f from its symbol 14 on, with sentences of 8 to 27 symbols; 6 layers of width 48 and 1,000 steps of 16 "
    "windows of 96",
    history=(
        "Deeper and longer than at toy scale, chosen on pilot seeds below 100, so that plain RoPE is better than any n-gram on "
        "the paper's own grammar; the grid goes on to 3.2e-2, since 1.6e-2 won for one side.",
    ),
)
PAPER = Setting(
    name="lano, paper",
    task="lano",
    task_options={"grammar": "cfg3f", "context": 512},
    model=PUBLISHED,
    training=Training(
        steps=100_000,
        batch=96,
        warmup=0,
        schedule="linear",
        final=0.0,
        evaluations=50,
        weight_decay=0.1,
        evaluation_rows=1000,
        dtype="bfloat16",
        leaky=True,
    ),
    grid=(2e-4, 3e-4, 5e-4, 1e-3),
    shown=TOY.shown,
    full_size=True,
)
GPU = PAPER.but(
    {"steps": 3500, "batch": 32, "evaluations": 5, "evaluation_rows": 200},
    name="lano, gpu",
    task_options={"grammar": "cfg3f", "root": 17, "context": 256},
    model=HALF,
    grid=(2.5e-4, 5e-4, 1e-3),
    simplified="cfg3f from its symbol 17 on: five levels of rules instead of six, sentences of 32 to 243 symbols; 4 layers of "
    "width 512 and 3,500 steps of 32 windows of 256 instead of 100,000 steps of 96 windows of 512",
    history=UNTRIED,
)


def variants(
    sides: Sequence[Side], *rules: Rule, laptop: bool = False, grid: Sequence[float] = FEW, note: str = ""
) -> dict[str, Experiment]:
    """These sides small, at laptop scale if asked for, on one GPU, and as published.

    grid: of the small ones; three rates are enough for many sides that differ a little. note: what else is simplified there.
    """

    def small(setting: Setting) -> Setting:
        return setting.but(simplified=f"{setting.simplified}{note and '; '}{note}")

    toy = small(TOY).compare(sides, *rules, grid=grid)
    larger = {"laptop": small(LAPTOP).compare(sides, *rules, tuned_on=toy)} if laptop else {}
    return {"toy": toy, **larger, "gpu": GPU.compare(sides, *rules), "paper": PAPER.compare(sides, *rules)}
