"""The numbers behind a verdict, against plain ways to get them."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.claims.statistics import EXACT, LUCK, effect, interval, permutation_p, seeds_needed, won, won_interval

scores = st.lists(st.integers(0, 8).map(float), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_the_permutation_test_counts_every_deal(ours: list[float], theirs: list[float]) -> None:
    pooled = [*ours, *theirs]
    sums = [sum(pooled[i] for i in chosen) for chosen in combinations(range(len(pooled)), len(ours))]
    assert permutation_p(ours, theirs) == sum(s >= sum(ours) for s in sums) / len(sums)


def test_five_clear_seeds_against_five_are_one_deal_in_252() -> None:
    assert permutation_p([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]) == 1 / math.comb(10, 5)
    assert permutation_p([4, 5, 6], [1, 2, 3]) == 1 / 20  # three against three can say no more
    assert permutation_p([1.0] * 5, [1.0] * 5) == 1


def test_with_a_run_that_diverged_ranks_are_dealt() -> None:
    assert permutation_p([5, 6, 7, 8, 9], [-math.inf, 1, 2, 3, 4]) == 1 / 252
    assert permutation_p([-math.inf] * 5, [-math.inf] * 5) == 1
    assert permutation_p([-math.inf, 6, 7, 8, 9], [1, 2, 3, 4, 5]) > 0.05


@settings(max_examples=20, deadline=None)
@given(scores, scores)
def test_the_interval_is_that_of_many_random_samples(ours: list[float], theirs: list[float]) -> None:
    dice = np.random.default_rng(1)

    def means(values: list[float]) -> np.ndarray:
        drawn = dice.choice(values, (40_000, len(values))).mean(1)
        return np.mean(values) + (drawn - np.mean(values)) * math.sqrt(len(values) / (len(values) - 1))

    found = interval(ours, theirs)
    assert found is not None
    low, high = np.quantile(means(ours) - means(theirs), [0.025, 0.975])
    spread = float(np.std([*ours, *theirs])) + 1e-9
    # the samples are few and coarse, so that a quantile may fall on either side of a gap between them
    assert found == pytest.approx((low, high), abs=0.6 * spread)


def test_the_exact_bootstrap_passes_into_the_random_one() -> None:
    dice = np.random.default_rng(0)
    few, many = ([float(v) for v in dice.standard_normal(n)] for n in (EXACT, EXACT + 1))
    for ours in (few, many):
        found = interval(ours, [0.0, 0.0])
        assert found is not None
        half = 1.96 * np.std(ours, ddof=1) / math.sqrt(len(ours))
        assert found == pytest.approx((np.mean(ours) - half, np.mean(ours) + half), abs=0.35 * half)


def test_infinite_scores_have_no_interval_and_no_effect() -> None:
    assert interval([1.0, math.inf], [1.0, 2.0]) is None
    assert effect([1.0, -math.inf], [1.0, 2.0]) is None
    assert effect([1.0, 1.0], [2.0, 2.0]) is None
    assert effect([2.0, 4.0], [1.0, 3.0]) == pytest.approx(1 / math.sqrt(2))


def test_contests() -> None:
    assert won([2, 3], [1, 2]) == (0.5 + 3) / 4
    assert won([1], [2]) == 0
    low, high = won_interval([2, 3, 4, 5, 6], [1, 2, 3, 4, 5])
    assert 0 < low < won([2, 3, 4, 5, 6], [1, 2, 3, 4, 5]) < high < 1
    assert won_interval([9, 9.1, 9.2], [1, 1.1, 1.2])[0] > 0.99
    assert won_interval([1.0] * 3, [2.0] * 3) == (0, 0)
    assert won_interval([1.0, 2.0, -math.inf], [1.0, 2.0, 3.0]) == (0, 1)


@pytest.mark.parametrize("true", [2.5, 1.5, 1.2])
def test_so_many_seeds_find_an_effect_about_as_often_as_is_said(true: float) -> None:
    seeds, dice = seeds_needed(true, least=3), np.random.default_rng(7)
    found = [permutation_p(*dice.normal([[true], [0]], 1, (2, seeds))) <= LUCK for _ in range(60)]
    assert 0.65 <= np.mean(found) <= 0.97
    assert seeds_needed(true, least=40) == 40 and seeds_needed(true / 2, least=3) > 2 * seeds


def test_no_number_of_seeds_finds_what_is_not_there() -> None:
    for none in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="only an effect above 0"):
            seeds_needed(none, least=5)
