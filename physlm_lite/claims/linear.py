"""Claims about linear models and their convolutions: results 6 to 8 of Part 4.1.

Each family is tested on the same four sides: without any convolution, with the authors' own one inside the mixer (b), with
Canon-A, C and D outside it, and with both (AbCD).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .claim import Claim, Experiment
from .playground import FEW, LANO_LAPTOP, LANO_PAPER, LANO_TOY, closer, smoke
from .rules import Ahead, Matches, Rule
from .transformer import DEPO_PAPER, DEPO_TOY, Sides

# Where a family leaves it open, widths are the published proportions: heads of 64 for Mamba2's values, and feed-forward
# layers of 8/3 (GLA) or 2 times the width (the mixers of Mamba2 and GDN are half as large again).
SMALL: Mapping[str, Mapping[str, Any]] = {
    "GLA": {"mixer": "gla", "hidden": 160},
    "Mamba2": {"mixer": "mamba2", "hidden": 128, "mixer_options": {"state": 32}},
    "GDN": {"mixer": "gated_delta", "hidden": 128},
}
BIG: Mapping[str, Mapping[str, Any]] = {
    "GLA": {"mixer": "gla", "heads": 4, "hidden": 1376, "init": "huggingface"},
    "Mamba2": {"mixer": "mamba2", "heads": 16, "hidden": 1024, "init": "mamba2"},
    "GDN": {"mixer": "gated_delta", "heads": 4, "hidden": 1024, "init": "huggingface"},
}
VARIANTS = {"no convolution": (False, ""), "b": (True, ""), "ACD": (False, "ACD"), "AbCD": (True, "ACD")}
NONE, OWN, OUTSIDE, BOTH = VARIANTS


def side(family: str, variant: str) -> str:
    """The name of a side."""
    return f"{family}, {variant}" if variant == NONE else f"{family} + {variant}"


def options(family: str, variant: str, sizes: Mapping[str, Mapping[str, Any]] = SMALL) -> dict[str, Any]:
    """The model of a side."""
    own, outside = VARIANTS[variant]
    mixer = {**sizes[family].get("mixer_options", {}), "canon_b": own}
    return {**sizes[family], "mixer_options": mixer, **({"canon": outside} if outside else {})}


def sides(families: Sequence[str], variants: Sequence[str], sizes: Mapping[str, Mapping[str, Any]] = SMALL) -> Sides:
    """{side: its model options}."""
    return {side(family, variant): options(family, variant, sizes) for family in families for variant in variants}


def _free(experiment: Experiment) -> dict[str, Any]:
    """The model options that no side decides."""
    return {name: value for name, value in experiment.model.items() if name not in ("hidden", "heads", "init")}


START = (
    "short convolutions start like Canon layers and matrices by the rule of the Transformers, since deviations of "
    "0.02 are next to nothing at width 64"
)


def _experiments(
    base: Experiment,
    paper: Experiment,
    small: Sides,
    big: Sides,
    rules: Sequence[Rule],
    laptop: Experiment | None = None,
) -> dict[str, Experiment]:
    model = {**_free(base), "heads": base.model["heads"]}
    toy = dataclasses.replace(
        base, sides=small, rules=rules, model=model, grid=FEW, simplified=f"{base.simplified}; {START}"
    )
    found = {"smoke": smoke(toy), "toy": toy}
    if laptop is not None:
        found["laptop"] = dataclasses.replace(
            laptop,
            sides=small,
            rules=rules,
            model={**_free(laptop), "heads": laptop.model["heads"]},
            tuned_on=toy,
            simplified=f"{laptop.simplified}; {START}",
        )
    found["paper"] = dataclasses.replace(paper, sides=big, rules=rules, model=_free(paper))
    return found


def _lano(
    families: Sequence[str], variants: Sequence[str], *rules: Rule, laptop: bool = False
) -> dict[str, Experiment]:
    small, big = sides(families, variants), sides(families, variants, BIG)
    return _experiments(LANO_TOY, LANO_PAPER, small, big, rules, LANO_LAPTOP if laptop else None)


def _rows(setting: str, family: str, **values: str) -> tuple[dict[str, str], ...]:
    names = {"none": NONE, "own": OWN, "both": BOTH}
    return tuple(
        {"setting": f"{setting}; four model sizes", "side": side(family, names[name]), "value": f"{value} %"}
        for name, value in values.items()
    )


CFG3F, DEPO = "Lano, cfg3f", "Depo1, N = 225, K = 4; k = 4"
PAPER_LANO = {
    "GLA": _rows(
        CFG3F, "GLA", none="37.5, 61.1, 41.8, 54.9", own="79.0, 89.5, 85.1, 90.6", both="88.5, 92.8, 90.0, 94.1"
    ),
    "Mamba2": _rows(
        CFG3F, "Mamba2", none="41.2, 53.4, 29.8, 56.0", own="83.8, 92.2, 86.8, 92.2", both="88.3, 93.1, 90.1, 93.6"
    ),
    "GDN": _rows(
        CFG3F, "GDN", none="35.3, 49.7, 25.5, 69.9", own="83.4, 93.8, 91.5, 94.4", both="90.6, 93.6, 92.8, 95.1"
    ),
}
PAPER_DEPO = {
    "GLA": _rows(DEPO, "GLA", none="7, 2, 14, 19", own="14, 37, 72, 72", both="19, 37, 22, 50"),
    "Mamba2": _rows(DEPO, "Mamba2", none="2, 11, 1, 6", own="12, 29, 24, 43", both="51, 21, 67, 87"),
    "GDN": _rows(DEPO, "GDN", none="11, 26, 23, 22", own="85, 85, 22, 32", both="74, 48, 69, 91"),
}


def _only(rows: Sequence[Mapping[str, Any]], *variants: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(row for row in rows if any(row["side"].endswith(variant) for variant in variants))


def _convolution(number: str, family: str, section: str, figures: str, statement: str) -> Claim:
    bare, own = side(family, NONE), side(family, OWN)
    return Claim(
        f"{number}-convolution",
        f"{family} without its convolution",
        f"Part 4.1, {section}, {figures}",
        statement,
        _only(PAPER_LANO[family], NONE, OWN),
        _lano([family], [NONE, OWN], closer(own, bare, 1.3), laptop=True),
    )


def _canon(number: str, family: str, section: str, figures: str, statement: str) -> Claim:
    own, both = side(family, OWN), side(family, BOTH)
    return Claim(
        f"{number}-Canon",
        f"{family}: Canon layers on top of its own convolution",
        f"Part 4.1, {section}, {figures}",
        statement,
        _only(PAPER_LANO[family], f"+ {OWN}", BOTH),
        _lano([family], [OWN, BOTH], closer(both, own, 1.1), laptop=True),
    )


def _changed(name: str, title: str, change: Mapping[str, Any], statement: str) -> Claim:
    """GLA with both kinds of convolution, as it is and changed."""
    both, other = side("GLA", BOTH), f"{side('GLA', BOTH)}, {title}"

    def two(sizes: Mapping[str, Mapping[str, Any]]) -> Sides:
        whole = options("GLA", BOTH, sizes)
        changed = {**whole, **change, "mixer_options": {**whole["mixer_options"], **change.get("mixer_options", {})}}
        return {both: whole, other: changed}

    return Claim(
        f"R6-{name}",
        other,
        f"Part 4.1, {SIX}, figure 34",
        statement,
        _only(PAPER_LANO["GLA"], BOTH),
        _experiments(LANO_TOY, LANO_PAPER, two(SMALL), two(BIG), (closer(both, other, 1.1),)),
    )


def _outside(number: str, family: str, section: str, figures: str, statement: str, rule: Rule) -> Claim:
    return Claim(
        f"{number}-outside",
        f"{family}: outside the mixer instead of inside",
        f"Part 4.1, {section}, {figures}",
        statement,
        _only(PAPER_LANO[family], f"+ {OWN}"),
        _lano([family], [OWN, OUTSIDE], rule),
    )


def _depo(
    families: Sequence[str], variants: Sequence[str], rules: Callable[[str], Sequence[Rule]]
) -> dict[str, Experiment]:
    """`rules` of the score for one hop at toy scale, and for four in the paper."""
    small, big = sides(families, variants), sides(families, variants, BIG)
    found = _experiments(DEPO_TOY, DEPO_PAPER, small, big, rules("accuracy_k.1"))
    found["paper"] = dataclasses.replace(
        found["paper"], task_options={"N": 225, "K": 4, "context": 2048}, rules=rules("accuracy_k.4")
    )
    return found


def _depth(number: str, family: str, section: str, figures: str, statement: str) -> Claim:
    """One hop of Depo at toy scale, four in the paper."""

    def rules(metric: str) -> tuple[Rule, ...]:
        return tuple(Ahead(metric, side(family, more), side(family, NONE), by=0.15) for more in (OWN, BOTH))

    found = _depo([family], [NONE, OWN, BOTH], rules)
    return Claim(
        f"{number}-depth",
        f"{family}: hops with and without convolutions",
        f"Part 4.1, {section}, {figures}",
        statement,
        PAPER_DEPO[family],
        found,
    )


# -- R6: gated linear attention ----------------------------------------------------------------------------------------

SIX, FIGURES6 = "section 6.1, result 6", "figures 12 and 33"
GLA_CONVOLUTION = _convolution(
    "R6", "GLA", SIX, FIGURES6, "A short convolution inside its mixer lifts gated linear attention far above itself."
)
GLA_CANON = _canon(
    "R6", "GLA", SIX, FIGURES6, "Canon layers at A, C and D add to what the convolution inside the mixer gives."
)
GLA_OUTSIDE = _outside(
    "R6",
    "GLA",
    SIX,
    "figure 34",
    "Canon-ACD, all outside the mixer, does better than the convolution inside it.",
    closer(side("GLA", OUTSIDE), side("GLA", OWN), 1.1),
)
GLA_RESIDUAL = _changed(
    "residual",
    "no residual",
    {"canon_residual": False},
    "On Lano, Canon layers around gated linear attention do better with their residual.",
)
GLA_FEATURES = _changed(
    "features",
    "1 + elu",
    {"mixer_options": {"positive": True}},
    "The feature map 1 + elu on queries and keys makes gated linear attention worse.",
)
GLA_DEPTH = _depth(
    "R6",
    "GLA",
    SIX,
    FIGURES6,
    "Convolutions let gated linear attention answer hops that it cannot follow without them.",
)

# -- R7: Mamba2 --------------------------------------------------------------------------------------------------------

SEVEN, FIGURES7 = "section 6.2, result 7", "figures 12 and 13"
MAMBA2_CONVOLUTION = _convolution(
    "R7",
    "Mamba2",
    SEVEN,
    FIGURES7,
    "Much of what Mamba2 can do comes from the small convolution in it: without, it falls.",
)
LEVEL = Matches("kl", side("GLA", NONE), side("Mamba2", NONE), margin=0.02)
MAMBA2_LEVEL = Claim(
    "R7-level",
    "Without its convolution, Mamba2 is no better than GLA",
    f"Part 4.1, {SEVEN}, {FIGURES7}",
    "The convolution contributes more to Mamba2 than its state-space recurrence: without it, Mamba2 falls to the level of "
    "gated linear attention without one.",
    _only((*PAPER_LANO["GLA"], *PAPER_LANO["Mamba2"]), NONE),
    _lano(["GLA", "Mamba2"], [NONE], LEVEL),
)
MAMBA2_CANON = _canon(
    "R7", "Mamba2", SEVEN, FIGURES7, "Canon layers at A, C and D add to what Mamba2's own convolution gives."
)
MAMBA2_OUTSIDE = _outside(
    "R7",
    "Mamba2",
    SEVEN,
    "figures 30 to 32",
    "On Lano, Canon-ACD outside the recurrence beats the convolution inside it.",
    closer(side("Mamba2", OUTSIDE), side("Mamba2", OWN), 1.1),
)
MAMBA2_DEPTH = _depth(
    "R7", "Mamba2", SEVEN, FIGURES7, "Convolutions let Mamba2 answer hops that it cannot follow without them."
)

# -- R8: the gated delta net -------------------------------------------------------------------------------------------

EIGHT, FIGURES8 = "section 6.3, result 8", "figures 13 and 35"
GDN_CONVOLUTION = _convolution(
    "R8", "GDN", EIGHT, FIGURES8, "On structured text, the gated delta net without its convolution falls as well."
)
GDN_CANON = _canon(
    "R8", "GDN", EIGHT, FIGURES8, "Canon layers at A, C and D add a little to the gated delta net's own convolution."
)
GDN_OUTSIDE = _outside(
    "R8",
    "GDN",
    EIGHT,
    "figures 35 and 36",
    "Canon-ACD alone, outside the mixer, does as well as the convolution inside it.",
    Matches("kl", side("GDN", OUTSIDE), side("GDN", OWN), margin=0.02),
)
GDN_DEPTH = _depth("R8", "GDN", EIGHT, FIGURES8, "Convolutions help the gated delta net to answer hops.")

BARE_FAMILIES = [side(family, NONE) for family in ("GLA", "Mamba2", "GDN")]


def _least(metric: str) -> tuple[Rule, ...]:
    return tuple(Ahead(metric, BARE_FAMILIES[2], other, by=0.1) for other in BARE_FAMILIES[:2])


GDN_LEAST = Claim(
    "R8-least",
    "The delta rule depends least on its convolution",
    f"Part 4.1, {EIGHT}, {FIGURES8}",
    "Without any convolution, the gated delta net reasons deeper than GLA and Mamba2 without theirs.",
    _only((*PAPER_DEPO["GLA"], *PAPER_DEPO["Mamba2"], *PAPER_DEPO["GDN"]), NONE),
    _depo(["GLA", "Mamba2", "GDN"], [NONE], _least),
)

LINEAR = (
    GLA_CONVOLUTION,
    GLA_CANON,
    GLA_OUTSIDE,
    GLA_RESIDUAL,
    GLA_FEATURES,
    GLA_DEPTH,
    MAMBA2_CONVOLUTION,
    MAMBA2_LEVEL,
    MAMBA2_CANON,
    MAMBA2_OUTSIDE,
    MAMBA2_DEPTH,
    GDN_CONVOLUTION,
    GDN_CANON,
    GDN_OUTSIDE,
    GDN_DEPTH,
    GDN_LEAST,
)
