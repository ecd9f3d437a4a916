"""Claims about the Transformer with Canon layers: results 1 to 3 of Part 4.1."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..training import Training
from .claim import Claim, Experiment
from .rules import Beats, Deepens, Matches

# -- R1: the copy toy --------------------------------------------------------------------------------------------------

Sides = Mapping[str, Mapping[str, Any]]

COPY_SIDES: Sides = {
    "RoPE": {},
    "RoPE + Canon": {"canon": "ABCD"},
    "RoPE + frozen Canon": {"canon": "ABCD", "canon_frozen": True},
}
COPY_TOY = Experiment(
    task="copy",
    task_options={"n": 24, "shortest": 8},
    model={"width": 32, "layers": 1, "heads": 1},
    training=Training(steps=500, batch=32, evaluations=10, evaluation_rows=128, final=0.05),
    sides=COPY_SIDES,
    grid=(1e-3, 2e-3, 4e-3, 8e-3),
    rules=(
        Beats("accuracy", "RoPE + Canon", "RoPE", at_least=0.99, at_most=0.30),
        Beats("accuracy", "RoPE + frozen Canon", "RoPE", at_least=0.90, at_most=0.30),
    ),
    simplified="8 to 24 symbols of 24, a different number in each row, instead of always 500 (at a fixed small number "
    "a plain layer learns to look back a fixed distance, which is not copying); width 32 and 500 steps "
    "instead of 50,000",
)

COPY_SETTING = "copy 500 symbols, 1 layer, width 16, 1,500 steps"
COPYING = Claim(
    id="R1",
    title="Copying needs a local step",
    source="Part 4.1, section 4, result 1, figure 5",
    statement="One layer with Canon copies a random sequence; one plain layer of the same width does not. Canon layers "
    "whose taps stay at their random start do it too, only later.",
    paper=(
        {"setting": COPY_SETTING, "side": "RoPE", "value": "0 %"},
        {"setting": COPY_SETTING, "side": "RoPE + Canon", "value": "100 %"},
        {"setting": COPY_SETTING, "side": "RoPE + frozen Canon", "value": "96 %"},
    ),
    experiments={
        "smoke": dataclasses.replace(COPY_TOY, training=Training(steps=4, batch=4, evaluations=2, evaluation_rows=4)),
        "toy": COPY_TOY,
        "laptop": dataclasses.replace(
            COPY_TOY,
            task_options={"n": 64, "shortest": 16},
            training=Training(steps=2000, batch=32, evaluations=20, evaluation_rows=128, final=0.05),
            simplified="16 to 64 symbols of 64, a different number in each row, instead of always 500; width 32 and "
            "2,000 steps instead of 50,000",
        ),
        "paper": Experiment(
            task="copy",
            task_options={"n": 500},
            model={"width": 16, "layers": 1, "heads": 2},
            training=Training(steps=50_000, batch=32, warmup=1000, evaluations=100),
            sides=COPY_SIDES,
            rules=COPY_TOY.rules,
            grid=(5e-4, 1e-3, 2e-3, 5e-3),
        ),
    },
)

# -- R2 and R3 on Depo: depth ------------------------------------------------------------------------------------------

ROPE_SIDES: Sides = {"RoPE": {}, "RoPE + Canon": {"canon": "ABCD"}}
NOPE_SIDES: Sides = {
    "NoPE": {"rope_dim": 0},
    "NoPE + Canon": {"rope_dim": 0, "canon": "ABCD"},
    "RoPE + Canon": {"canon": "ABCD"},
}

DEPO_TOY = Experiment(
    task="depo",
    task_options={"N": 8, "K": 2, "V": 12, "longest": 1, "queries": 8, "sizes": "fixed", "hop_weight": 1.0},
    model={"width": 64, "layers": 2, "heads": 2, "hidden": 160, "depth_scaling": "global"},
    training=Training(steps=400, batch=32, evaluations=8, final=0.05),
    sides=ROPE_SIDES,
    rules=(Deepens("RoPE + Canon", "RoPE"),),
    select="accuracy_k.1",
    simplified="cycles of 8 nodes instead of 225 to 375 and at most 2 hops instead of 8; one-token names; 1 hop is "
    "asked twice as often as 2 hops in training (the paper: equally often); 2 layers of width 64 and 400 "
    "steps instead of 8 to 12 layers of width 512 to 768 and 100,000 steps",
)

SHORT_RING = (
    "one-token names; no <ans> token; k asked with weight k^-0.5; width 64; the last hop is half way round the "
    "ring, so it may be reached backwards, too"
)
DEPO_LAPTOP = Experiment(
    task="depo",
    task_options={
        "N": 6,
        "K": 3,
        "V": 8,
        "longest": 1,
        "queries": 6,
        "sizes": "fixed",
        "hop_weight": 0.5,
        "answer_token": False,
        "every_hop": True,
    },
    model={"width": 64, "layers": 3, "heads": 2, "hidden": 160, "depth_scaling": "global"},
    training=Training(steps=1500, batch=48, evaluations=12, evaluation_rows=512, final=0.05, decay_from=0.8),
    sides=ROPE_SIDES,
    rules=(Deepens("RoPE + Canon", "RoPE"),),
    simplified=f"cycles of 6 nodes and at most 3 hops; 3 layers and 1,500 steps, the budget in which the side with Canon "
    f"climbs the ladder (R2-ladder doubles it); {SHORT_RING}",
)

DEPO_LADDER = dataclasses.replace(
    DEPO_LAPTOP,
    training=Training(steps=3000, batch=48, evaluations=12, evaluation_rows=512, final=0.05, decay_from=0.5),
    tuned_on=DEPO_LAPTOP,
    simplified=f"as R2-depth at laptop scale, with 3,000 steps; learning rates chosen at 1,500 steps; {SHORT_RING}",
)

DEPO_FOUR_HOPS = dataclasses.replace(
    DEPO_LAPTOP,
    task_options={**DEPO_LAPTOP.task_options, "N": 8, "K": 4, "V": 12, "queries": 8},
    model={**DEPO_LAPTOP.model, "layers": 4},
    training=Training(steps=6000, batch=48, evaluations=12, evaluation_rows=512, final=0.05, decay_from=0.6),
    tuned_on=DEPO_LAPTOP,
    simplified=f"cycles of 8 nodes and at most 4 hops; 4 layers and 6,000 steps; learning rates chosen on cycles of 6 "
    f"nodes; {SHORT_RING}",
)

SMOKE = Training(steps=4, batch=4, evaluations=2, evaluation_rows=8)
DEPO_PAPER = Experiment(
    task="depo",
    task_options={"N": 225, "K": 8, "context": 2048},
    model={"width": 512, "layers": 8, "heads": 8, "hidden": 1376, "init": "huggingface"},
    training=Training(steps=87_500, batch=128, warmup=1000, evaluations=50, dtype="bfloat16", leaky=True),
    sides=ROPE_SIDES,
    rules=(Deepens("RoPE + Canon", "RoPE"),),
    grid=(3e-4, 5e-4, 1e-3, 2e-3),
)

EIGHT_HOPS = "Depo1, N = 225, K = 8; four model sizes; k = 8"
FOUR_OF_EIGHT_HOPS = "Depo1, N = 225, K = 8; four model sizes; k = 4"
DEPTH = Claim(
    id="R2-depth",
    title="Canon layers deepen reasoning",
    source="Part 4.1, section 5.1, result 2, figures 7 and 8",
    statement="With 0.5 % more parameters, Canon layers let a RoPE Transformer answer two to four times as many hops, "
    "without written steps.",
    paper=(
        {"setting": EIGHT_HOPS, "side": "RoPE", "value": "0, 1, 1, 0 %"},
        {"setting": EIGHT_HOPS, "side": "RoPE + Canon", "value": "97, 92, 73, 94 %"},
        {"setting": FOUR_OF_EIGHT_HOPS, "side": "RoPE", "value": "34, 50, 4, 1 %"},
        {"setting": FOUR_OF_EIGHT_HOPS, "side": "RoPE + Canon", "value": "100, 100, 89, 100 %"},
    ),
    experiments={
        "smoke": dataclasses.replace(DEPO_TOY, training=SMOKE),
        "toy": DEPO_TOY,
        "laptop": DEPO_LAPTOP,
        "paper": DEPO_PAPER,
    },
)

LADDER = Claim(
    id="R2-ladder",
    title="The rungs of the ladder, with budget to spare",
    source="Part 4.1, section 5.1, result 2, figure 8",
    statement="Hops are learnt one after the other, and whoever learns the early rungs sooner climbs further in the same "
    "budget. Judged like R2-depth, in a smaller world where the plain model, too, has time to climb.",
    paper=DEPTH.paper,
    experiments={"smoke": dataclasses.replace(DEPO_LADDER, training=SMOKE), "laptop": DEPO_LADDER},
)

FOUR_HOPS = Claim(
    id="R2-four-hops",
    title="Four hops in one pass",
    source="Part 4.1, section 5.1, result 2, figures 7 and 8",
    statement="Canon layers let a Transformer answer two to four times as many hops. Judged like R2-depth, one rung "
    "further up.",
    paper=DEPTH.paper,
    experiments={"smoke": dataclasses.replace(DEPO_FOUR_HOPS, training=SMOKE), "laptop": DEPO_FOUR_HOPS},
)


def _nope(
    base: Experiment, *, metric: str, at_least: float, at_most: float, training: Training | None = None
) -> Experiment:
    return dataclasses.replace(
        base,
        sides=NOPE_SIDES,
        training=training or base.training,
        select=metric,
        rules=(
            Beats(metric, "NoPE + Canon", "NoPE", at_least=at_least, at_most=at_most),
            Matches(metric, "NoPE + Canon", "RoPE + Canon"),
        ),
    )


NO_POSITIONS = Claim(
    id="R3-NoPE",
    title="With Canon layers, positions can be left out",
    source="Part 4.1, section 5.2, result 3, figure 7",
    statement="Without positional encoding a Transformer stays at chance on Depo; with Canon layers it equals RoPE + "
    "Canon.",
    paper=(
        {"setting": EIGHT_HOPS, "side": "NoPE", "value": "0, 0, 0, 0 %"},
        {"setting": EIGHT_HOPS, "side": "NoPE + Canon", "value": "99, 99, 99, 100 %"},
        {"setting": EIGHT_HOPS, "side": "RoPE + Canon", "value": "97, 92, 73, 94 %"},
    ),
    experiments={
        "smoke": _nope(DEPO_TOY, metric="accuracy_k.1", at_least=0.75, at_most=0.25, training=SMOKE),
        "toy": _nope(DEPO_TOY, metric="accuracy_k.1", at_least=0.75, at_most=0.25),
        "laptop": _nope(DEPO_LAPTOP, metric="accuracy", at_least=0.75, at_most=0.40),
        "paper": _nope(DEPO_PAPER, metric="accuracy_k.8", at_least=0.75, at_most=0.05),
    },
)
