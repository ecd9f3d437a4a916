"""How often a rule says something although there is nothing: at most one time in twenty, for every word that claims something.

Two sides that are equal (or, where a rule claims equality, just too far apart) are given seeds with the spreads that were
seen in the records: about normal, and in two heaps, where some seeds learn a thing and others do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from claims.test_first_protocol import TASKS

from physlm_lite.claims import Ahead, AtLeast, Beats, Climbs, Gains, Level, Noise, Rule, Shrinks, Stops
from physlm_lite.claims.rules import CONTRADICTED, DIRECTION, HOLDS
from physlm_lite.training import Record

TRIALS = 600
ROOM = 2.6 * (0.05 * 0.95 / TRIALS) ** 0.5  # what chance adds to a true rate of one in twenty, one time in two hundred
Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(dice: np.random.Generator, seeds: int) -> np.ndarray:
    return 0.5 + 0.05 * dice.standard_normal(seeds)


def two_heaps(dice: np.random.Generator, seeds: int) -> np.ndarray:
    """Half of the seeds have learnt it."""
    return np.where(dice.random(seeds) < 0.5, 0.9, 0.3) + 0.03 * dice.standard_normal(seeds)


def skewed(dice: np.random.Generator, seeds: int) -> np.ndarray:
    """One seed in five has not."""
    return np.where(dice.random(seeds) < 0.8, 0.9, 0.4) + 0.02 * dice.standard_normal(seeds)


def record(score: float, metric: str = "accuracy") -> Record:
    run = TASKS[metric]
    return Record(run, "finished", [{"step": 1, "seconds": 1.0, metric: float(score)}], 1.0, 0.0, 1, 1.0)


def rates(rule: Rule, sides: Mapping[str, Draw], seeds: int = 5) -> dict[str, float]:
    """How often each word is said."""
    dice = np.random.default_rng(0)
    metric = getattr(rule, "metric", "accuracy")
    words = [
        rule.judge({side: [record(s, metric) for s in draw(dice, seeds)] for side, draw in sides.items()}).word
        for _ in range(TRIALS)
    ]
    return {word: words.count(word) / TRIALS for word in set(words)}


@pytest.mark.parametrize("draw", [normal, two_heaps, skewed])
@pytest.mark.parametrize(
    "rule",
    [Ahead("accuracy", "a", "b"), Ahead("kl", "a", "b", factor=1.0), Beats("accuracy", "a", "b", 0.5, 0.5)],
    ids=["difference", "ratio", "bars"],
)
def test_equal_sides_are_seldom_told_apart(rule: Rule, draw: Draw) -> None:
    said = rates(rule, {"a": draw, "b": draw})
    assert said.get(HOLDS, 0) + said.get(DIRECTION, 0) <= 0.05 + ROOM
    assert said.get(CONTRADICTED, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("draw", [normal, skewed])
def test_a_margin_that_is_just_missed_is_seldom_cleared(draw: Draw) -> None:
    def ahead(dice: np.random.Generator, seeds: int) -> np.ndarray:
        return draw(dice, seeds) + 0.2

    said = rates(Ahead("accuracy", "a", "b", by=0.2), {"a": ahead, "b": draw})
    assert said.get(HOLDS, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("sign", [1, -1])
def test_sides_that_are_just_too_far_apart_are_seldom_called_level(sign: int) -> None:
    def other(dice: np.random.Generator, seeds: int) -> np.ndarray:
        return normal(dice, seeds) + sign * 0.1

    said = rates(Level("accuracy", "a", "b", margin=0.1), {"a": normal, "b": other})
    assert said.get(HOLDS, 0) <= 0.05 + ROOM


def shifted(draw: Draw, by: float) -> Draw:
    return lambda dice, seeds: draw(dice, seeds) + by


@pytest.mark.parametrize("draw", [normal, skewed])
def test_a_side_that_is_just_too_far_behind_is_seldom_said_to_keep_up_and_a_level_one_to_fall_back(draw: Draw) -> None:
    rule = AtLeast("accuracy", "a", "b", margin=0.1)
    assert rates(rule, {"a": shifted(draw, -0.1), "b": draw}).get(HOLDS, 0) <= 0.05 + ROOM
    assert rates(rule, {"a": draw, "b": draw}).get(CONTRADICTED, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("draw", [normal, skewed])
def test_half_of_a_gain_is_seldom_said_to_be_more_or_less_and_none_to_be_some(draw: Draw) -> None:
    rule = Gains("accuracy", "part", "whole", "base", share=0.5)
    said = rates(rule, {"part": shifted(draw, 0.3), "whole": shifted(draw, 0.6), "base": draw})
    assert said.get(HOLDS, 0) <= 0.05 + ROOM and said.get(CONTRADICTED, 0) <= 0.05 + ROOM
    said = rates(rule, {"part": draw, "whole": shifted(draw, 0.6), "base": draw})
    assert said.get(HOLDS, 0) == 0 and said.get(DIRECTION, 0) <= 0.05 + ROOM
    assert rates(rule, {"part": draw, "whole": draw, "base": draw}).get(HOLDS, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("draw", [normal, skewed])
def test_gaps_that_are_alike_are_seldom_said_to_shrink_or_grow(draw: Draw) -> None:
    rule = Shrinks("accuracy", ("a", "b"), ("c", "d"))
    said = rates(rule, {"a": shifted(draw, 0.2), "b": draw, "c": shifted(draw, 0.2), "d": draw})
    assert said.get(HOLDS, 0) <= 0.05 + ROOM and said.get(CONTRADICTED, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("draw", [normal, two_heaps, skewed])
def test_a_side_that_does_both_alike_is_never_said_to_do_one_of_them_only(draw: Draw) -> None:
    dice, rule, words = np.random.default_rng(0), Stops("kl", "a", "accuracy"), []
    for _ in range(TRIALS):
        both = zip(draw(dice, 5).clip(0, 1), draw(dice, 5).clip(0, 1), strict=True)
        made = [
            Record(TASKS["kl"], "finished", [{"step": 1, "seconds": 1.0, "accuracy": one, "kl": two}], 1.0, 0.0, 1, 1.0)
            for one, two in both
        ]
        words.append(rule.judge({"a": made}).word)
    assert (words.count(HOLDS) + words.count(DIRECTION)) / TRIALS <= 0.05 + ROOM


def test_level_sides_are_seldom_said_to_differ() -> None:
    said = rates(Level("accuracy", "a", "b", margin=0.02), {"a": normal, "b": normal})
    assert said.get(CONTRADICTED, 0) <= 0.05 + ROOM


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("seeds", [5, 10])
def test_at_the_bar_between_noise_and_order_neither_is_often_said(settled: bool, seeds: int) -> None:
    """Nine contests in ten won: 1.81 deviations between two normal sides."""

    def other(dice: np.random.Generator, seeds: int) -> np.ndarray:
        return normal(dice, seeds) + 1.81 * 0.05

    said = rates(Noise("accuracy", ("a", "b"), settled), {"a": normal, "b": other}, seeds)
    assert said.get(HOLDS, 0) <= 0.05 + ROOM
    assert said.get(CONTRADICTED, 0) <= 0.05 + ROOM


def test_a_rung_that_both_reach_alike_is_seldom_said_to_be_reached_sooner() -> None:
    rule, dice, words = Climbs("a", "b", hops=2, factor=1.0), np.random.default_rng(0), []

    def times(seeds: int = 5) -> Sequence[float]:
        reached = 100.0 * dice.integers(3, 12, seeds)
        return np.where(dice.random(seeds) < 0.7, reached, np.inf).tolist()

    for _ in range(TRIALS):
        words.append(rule.judge_times({"a": times(), "b": times()}, "step").word)
    assert (words.count(HOLDS) + words.count(DIRECTION)) / TRIALS <= 0.05 + ROOM
    assert words.count(CONTRADICTED) / TRIALS <= 0.05 + ROOM


def test_a_clear_difference_is_seen() -> None:
    """The rules are no good if they never say anything: two deviations and a half are found more often than not."""

    def better(dice: np.random.Generator, seeds: int) -> np.ndarray:
        return normal(dice, seeds) + 0.125

    assert rates(Ahead("accuracy", "a", "b"), {"a": better, "b": normal})[HOLDS] > 0.8
    assert rates(Level("accuracy", "a", "b", margin=0.1), {"a": normal, "b": normal})[HOLDS] > 0.6
