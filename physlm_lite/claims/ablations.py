"""Claims about what surrounds and what makes a Canon layer: positions, its parts, the feed-forward layer; results 3 to 5."""

from __future__ import annotations

import dataclasses
from typing import Any

from .claim import Claim, Experiment
from .playground import (
    BREVO1,
    BREVO_PAPER,
    BREVO_TOY,
    CAPO_PAPER,
    CAPO_TOY,
    FEW,
    FOUR_SIDES,
    LANO_LAPTOP,
    LANO_PAPER,
    LANO_SIZES,
    LANO_TOY,
    MANO_PAPER,
    MANO_TOY,
    closer,
    smoke,
)
from .rules import Ahead, Matches, Rule
from .transformer import DEPO_PAPER, DEPO_TOY, EIGHT_HOPS, Sides


def _with(base: Experiment, sides: Sides, *rules: Rule, **changes: Any) -> Experiment:
    """The same experiment with other sides and rules; runs that two experiments share are one run."""
    if base.tuned_on is not None:
        changes["tuned_on"] = dataclasses.replace(base.tuned_on, sides=sides, rules=rules)
    return dataclasses.replace(base, sides=sides, rules=rules, **changes)


# -- R3: positions -----------------------------------------------------------------------------------------------------

ALIBI_SIDES: Sides = {
    "NoPE + Canon": {"rope_dim": 0, "canon": "ABCD"},
    "ALiBi": {"positions": "alibi"},
    "H-ALiBi": {"positions": "hard_alibi"},
}
ALIBI_RULES = {
    metric: (Ahead(metric, "NoPE + Canon", "ALiBi", by=0.2), Ahead(metric, "NoPE + Canon", "H-ALiBi", by=0.2))
    for metric in ("accuracy_k.1", "accuracy_k.8")
}
ALIBI_TOY = _with(DEPO_TOY, ALIBI_SIDES, *ALIBI_RULES["accuracy_k.1"])

ALIBI = Claim(
    id="R3-ALiBi",
    title="Without positions, Canon layers do more than ALiBi",
    source="Part 4.1, section 5.2, result 3, figure 10",
    statement="NoPE + Canon reasons deeper than attention that prefers the near tokens by rule, softly (ALiBi) or hard "
    "(H-ALiBi).",
    paper=(
        {"setting": EIGHT_HOPS, "side": "NoPE + Canon", "value": "99, 99, 99, 100 %"},
        {
            "setting": "12 layers of width 768; the easiest Depo, Brevo and Mano",
            "side": "ALiBi",
            "value": "70 to 99 %, falling behind on the harder settings",
        },
    ),
    experiments={
        "smoke": smoke(ALIBI_TOY),
        "toy": ALIBI_TOY,
        "paper": _with(DEPO_PAPER, ALIBI_SIDES, *ALIBI_RULES["accuracy_k.8"]),
    },
)

QUARTER = "1/4 RoPE + Canon"


def _rotations(heads: int, head_width: int) -> Sides:
    """All heads, a quarter in two layouts, none; Canon layers everywhere."""
    return {
        "RoPE + Canon": {"canon": "ABCD"},
        QUARTER: {"canon": "ABCD", "rope_heads": heads // 2, "rope_dim": head_width // 2},
        "1/4 RoPE (dims) + Canon": {"canon": "ABCD", "rope_dim": head_width // 4},
        "NoPE + Canon": {"canon": "ABCD", "rope_dim": 0},
    }


LESS = tuple(Ahead("accuracy_n.6", QUARTER, other, by=0.05) for other in ("RoPE + Canon", "NoPE + Canon"))
LESS_TOY = _with(BREVO_TOY, _rotations(2, 32), *LESS, grid=FEW)
LESS_PAPER = tuple(dataclasses.replace(rule, metric="accuracy") for rule in LESS)

LESS_ROPE = Claim(
    id="R3-quarter",
    title="With Canon layers, rotating a quarter is enough",
    source="Part 4.1, section 5.2, result 3, figure 26",
    statement="With Canon layers, rotating a quarter of the coordinates beats rotating all of them, and none.",
    paper=(
        {"setting": BREVO1.format(N=110), "side": "RoPE + Canon", "value": "24.8, 49.1, 41.2, 58.8 %"},
        {"setting": BREVO1.format(N=110), "side": QUARTER, "value": "47.9, 82.2, 69.7, 84.5 %"},
        {"setting": BREVO1.format(N=110), "side": "NoPE + Canon", "value": "42.0, 75.3, 58.2, 84.9 %"},
    ),
    experiments={
        "smoke": smoke(LESS_TOY),
        "toy": LESS_TOY,
        "paper": _with(BREVO_PAPER, _rotations(8, 64), *LESS_PAPER),
    },
)

STRUCTURE_SIDES: Sides = {side: FOUR_SIDES[side] for side in ("NoPE + Canon", "RoPE + Canon")}
NEEDS_ORDER = Ahead("kl", "RoPE + Canon", "NoPE + Canon", factor=1.2)
EXCEPTION = Claim(
    id="R3-structure",
    title="The exception: grammar wants relative positions",
    source="Part 4.1, section 5.2, result 3, figure 7",
    statement="On Lano, NoPE + Canon stays clearly behind RoPE + Canon.",
    paper=(
        {"setting": LANO_SIZES.format(grammar="cfg3k"), "side": "NoPE + Canon", "value": "33.5, 51.0, 37.2, 53.1 %"},
        {"setting": LANO_SIZES.format(grammar="cfg3k"), "side": "RoPE + Canon", "value": "75.2, 87.1, 83.0, 86.7 %"},
    ),
    experiments={
        "smoke": smoke(_with(LANO_TOY, STRUCTURE_SIDES, NEEDS_ORDER)),
        "toy": _with(LANO_TOY, STRUCTURE_SIDES, NEEDS_ORDER),
        "laptop": _with(LANO_LAPTOP, STRUCTURE_SIDES, NEEDS_ORDER),
        "paper": _with(LANO_PAPER, STRUCTURE_SIDES, NEEDS_ORDER),
    },
)

# -- R4: the parts of a Canon layer, on the task that tells them apart most finely -----------------------------------------


def _ablation(
    id: str, title: str, result: str, statement: str, paper: Any, sides: Sides, *rules: Rule, laptop: bool = False
) -> Claim:
    toy = _with(LANO_TOY, sides, *rules, grid=FEW)
    larger = {"laptop": dataclasses.replace(LANO_LAPTOP, sides=sides, rules=rules, tuned_on=toy)} if laptop else {}
    return Claim(
        id,
        title,
        f"Part 4.1, {result}",
        statement,
        paper,
        {"smoke": smoke(toy), "toy": toy, **larger, "paper": _with(LANO_PAPER, sides, *rules)},
    )


def _cfg3k(values: dict[str, str]) -> tuple[dict[str, str], ...]:
    setting = LANO_SIZES.format(grammar="cfg3k")
    return tuple({"setting": setting, "side": side, "value": f"{value} %"} for side, value in values.items())


def _canon(letters: str, **options: Any) -> dict[str, Any]:
    return {"canon": letters, **options}


CUMULATIVE = _ablation(
    "R4-cumulative",
    "More positions add up",
    "section 5.3, result 4, figures 10 and 27",
    "Canon layers at A, B, C and D help cumulatively: A alone is ahead of none, A and C of A, all four of these.",
    _cfg3k(
        {"RoPE": "64.0, 75.1, 60.0, 79.1", "Canon-AC": "73.5, 86.3, 80.6, 86.3", "Canon-ABCD": "75.2, 87.1, 83.0, 86.7"}
    ),
    {"RoPE": {}, "Canon-A": _canon("A"), "Canon-AC": _canon("AC"), "Canon-ABCD": _canon("ABCD")},
    closer("Canon-A", "RoPE", 1.1),
    closer("Canon-AC", "Canon-A", 1.1),
    closer("Canon-ABCD", "Canon-AC", 1.1),
    laptop=True,
)

SINGLE = ("Canon-A", "Canon-B", "Canon-C", "Canon-D")
EACH = _ablation(
    "R4-each",
    "Every single position helps",
    "section 5.3, result 4, figures 10 and 27",
    "A Canon layer helps wherever it is put; it need not touch attention, and it need not touch the feed-forward layer.",
    _cfg3k({"RoPE": "64.0, 75.1, 60.0, 79.1", "Canon-B": "65.9, 84.0, 78.0, 89.8"}),
    {"RoPE": {}, **{side: _canon(side[-1]) for side in SINGLE}},
    *(closer(side, "RoPE", 1.1) for side in SINGLE),
)

BARE = "Canon-ABCD, no residual"
RESIDUAL = _ablation(
    "R4-residual",
    "The residual is essential",
    "section 5.3, result 4, figure 10",
    "Canon layers that add the mixture to the token learn better than ones that put it in the token's place.",
    _cfg3k({"Canon-ABCD": "75.2, 87.1, 83.0, 86.7"}),
    {"RoPE": {}, "Canon-ABCD": _canon("ABCD"), BARE: _canon("ABCD", canon_residual=False)},
    closer("Canon-ABCD", BARE, 1.1),
    laptop=True,
)

PRIMER = _ablation(
    "R4-Primer",
    "A convolution on queries, keys and values without a residual",
    "section 5.3, result 4, figure 28",
    "Primer's attention, which is Canon-B without the residual, does worse on Lano than no Canon layer at all.",
    _cfg3k({"RoPE": "64.0, 75.1, 60.0, 79.1", "Primer": "40.4, 50.5, 40.0, 53.0"}),
    {"RoPE": {}, "Canon-B": _canon("B"), "Primer": _canon("B", canon_residual=False)},
    closer("RoPE", "Primer", 1.1),
)

ACTIVE = "Canon-ABCD, silu"
ACTIVATION = _ablation(
    "R4-activation",
    "An activation brings nothing",
    "section 5.3, result 4, figure 10",
    "Canon layers need no non-linearity: with silu after the convolution they do no better.",
    _cfg3k({"Canon-ABCD": "75.2, 87.1, 83.0, 86.7"}),
    {"Canon-ABCD": _canon("ABCD"), ACTIVE: _canon("ABCD", canon_activation=True)},
    Matches("kl", "Canon-ABCD", ACTIVE, margin=0.005),
)

FROZEN = _ablation(
    "R1-frozen",
    "Taps that are never trained",
    "section 4, result 1, figure 24",
    "Canon layers whose taps stay at their random start give most of the gain.",
    (
        {
            "setting": "cfg3k; four model sizes; a quarter of RoPE",
            "side": "frozen Canon-ABCD",
            "value": "67.4, 79.4, 77.1, 84.4 %",
        },
    ),
    {"RoPE": {}, "Canon-ABCD": _canon("ABCD"), "frozen Canon-ABCD": _canon("ABCD", canon_frozen=True)},
    closer("frozen Canon-ABCD", "RoPE", 1.5),
)

# -- R5: the feed-forward layer ----------------------------------------------------------------------------------------

ONE_LAYER: dict[str, Any] = {name: value for name, value in MANO_TOY.model.items() if name != "hidden"}
GATED, STANDARD = {"hidden": 160}, {"mlp": "standard", "hidden": 240}  # the same number of parameters
PUBLISHED: dict[str, Any] = {name: value for name, value in MANO_PAPER.model.items() if name != "hidden"}
BIG_GATED, BIG_STANDARD = {"hidden": 1376}, {"mlp": "standard", "hidden": 2048}
MANO = "Mano, L = 10; four model sizes"
GATING = Ahead("accuracy_length.2", "gated", "standard", by=0.05)

_GATES: Sides = {"gated": GATED, "standard": STANDARD}
_BIG_GATES: Sides = {"gated": BIG_GATED, "standard": BIG_STANDARD}
GATED_TOY = _with(MANO_TOY, _GATES, GATING, model=ONE_LAYER, grid=FEW)
GATED_MLP = Claim(
    id="R5-gated",
    title="A gated feed-forward layer works better with stored facts",
    source="Part 4.1, section 5.4, result 5, figures 24 and 25",
    statement="A gated feed-forward layer is slightly better than a standard one, above all on Mano.",
    paper=(
        {"setting": MANO, "side": "gated", "value": "59.4, 75.5, 84.5, 85.2 %"},
        {"setting": MANO, "side": "standard", "value": "33.1, 22.3, 49.2, 40.7 %"},
    ),
    experiments={
        "smoke": smoke(GATED_TOY),
        "toy": GATED_TOY,
        "paper": _with(MANO_PAPER, _BIG_GATES, dataclasses.replace(GATING, metric="accuracy"), model=PUBLISHED),
    },
)

SQUARED = {"activation": "relu2"}


def _squares(gated: dict[str, Any], standard: dict[str, Any]) -> Sides:
    return {
        "gated": gated,
        "gated, ReLU²": {**gated, **SQUARED},
        "standard": standard,
        "standard, ReLU²": {**standard, **SQUARED},
    }


SQUARES = (
    Ahead("accuracy_length.2", "standard, ReLU²", "standard", by=0.03),
    Ahead("accuracy_length.2", "gated", "gated, ReLU²", by=0.03),
)
SQUARED_TOY = _with(MANO_TOY, _squares(GATED, STANDARD), *SQUARES, model=ONE_LAYER, grid=FEW)
RELU2 = Claim(
    id="R5-ReLU2",
    title="Squared ReLU helps the standard layer and hurts the gated one",
    source="Part 4.1, section 5.4, result 5, figure 25",
    statement="Without Canon layers, squared ReLU in place of silu helps a standard feed-forward layer and hurts a gated one.",
    paper=(
        {"setting": MANO, "side": "standard", "value": "33.1, 22.3, 49.2, 40.7 %"},
        {"setting": MANO, "side": "standard, ReLU²", "value": "63.4, 70.2, 77.9, 83.4 %"},
        {"setting": MANO, "side": "gated", "value": "59.4, 75.5, 84.5, 85.2 %"},
        {"setting": MANO, "side": "gated, ReLU²", "value": "40.0, 38.4, 63.9, 64.7 %"},
    ),
    experiments={
        "smoke": smoke(SQUARED_TOY),
        "toy": SQUARED_TOY,
        "paper": _with(
            MANO_PAPER,
            _squares(BIG_GATED, BIG_STANDARD),
            *(dataclasses.replace(rule, metric="accuracy") for rule in SQUARES),
            model=PUBLISHED,
        ),
    },
)

BITS = "bits_per_parameter"
STORES = Ahead(BITS, "standard", "gated", factor=1.1)
FEW_CAPO = (1e-3, 8e-3, 1.6e-2)
CAPO_SIDES: Sides = {"gated": {"hidden": 63}, "standard": {"mlp": "standard", "hidden": 94}}
CAPACITY_TOY = _with(CAPO_TOY, CAPO_SIDES, STORES, grid=FEW_CAPO)
BIG_CAPO: dict[str, Any] = {name: value for name, value in CAPO_PAPER.model.items() if name != "hidden"}
MLP_CAPACITY = Claim(
    id="R5-capacity",
    title="Gating costs capacity",
    source="Part 4.1, section 5.4, result 5, figure 11",
    statement="After 100 exposures, a gated feed-forward layer has stored about 30 % less than a standard one of the same "
    "size.",
    paper=(
        {
            "setting": "bioS(N), N = 50K to 2M, 100 exposures; Pareto front over model sizes",
            "side": "gated",
            "value": "about 30 % below standard",
        },
    ),
    experiments={
        "smoke": smoke(CAPACITY_TOY),
        "toy": CAPACITY_TOY,
        "paper": _with(CAPO_PAPER, _BIG_GATES, STORES, model=BIG_CAPO),
    },
)

# as many parameters on every side: four experts of a quarter of the hidden width, and less of it where there are taps
EXPERT_SIDES: Sides = {
    "one for all": {"hidden": 63},
    "experts": {"hidden": 16, "experts": 4},
    "experts + Canon-ABC": {"hidden": 14, "experts": 4, "canon": "ABC"},
}
BIG_EXPERTS: Sides = {
    "one for all": {"hidden": 1376},
    "experts": {"hidden": 1376, "experts": 32},
    "experts + Canon-ABC": {"hidden": 1376, "experts": 32, "canon": "ABC"},
}
SPLIT = (Ahead(BITS, "one for all", "experts", factor=1.5), Ahead(BITS, "experts + Canon-ABC", "experts", factor=1.2))
EXPERTS_TOY = _with(
    CAPO_TOY,
    EXPERT_SIDES,
    *SPLIT,
    grid=FEW_CAPO,
    simplified=f"{CAPO_TOY.simplified}; 4 experts instead of 32, which together have the hidden width of the one that they "
    "replace (in the paper each has all of it)",
)
EXPERTS = Claim(
    id="R5-experts",
    title="Experts store less for each parameter",
    source="Part 4.1, section 5.4, result 5, figure 11",
    statement="After 100 exposures a mixture of experts has stored about ten times less for each parameter than one layer "
    "for all tokens; Canon-ABC recovers at least half of the loss.",
    paper=({"setting": "bioS(N), 32 experts, 100 exposures", "side": "experts", "value": "about 10 times less"},),
    experiments={
        "smoke": smoke(EXPERTS_TOY),
        "toy": EXPERTS_TOY,
        "paper": _with(CAPO_PAPER, BIG_EXPERTS, *SPLIT, model=BIG_CAPO, grid=(1e-3, 3e-3, 5e-3)),
    },
)
