"""Exercises of notebook 01."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import ceil, floor, sqrt
from statistics import NormalDist, fmean

from ...lab.checks import Check, Exercise
from .figures import standard_error

NORMAL = NormalDist()
Scores = Mapping[str, Sequence[float]]


def wrong_ranking(gap: float, error: float) -> float:
    """The chance that the worse of two models scores higher; each score has this standard error."""
    return NORMAL.cdf(-gap / (sqrt(2) * error))


def seeds_needed(gap: float, error: float, most: float) -> int:
    """The fewest seeds of each model for which the means are ranked wrongly with a chance of at most `most`."""
    return ceil(2 * (error * NORMAL.inv_cdf(1 - most) / gap) ** 2)


def order_share(scores: Scores) -> float:
    """The share of all contests, one seed of each side, that end in the most common order."""
    return _commonest(_orders(scores, product(*scores.values())))


def _orders(scores: Scores, contests: Iterable[Sequence[float]]) -> list[tuple[str, ...]]:
    """The order of the sides in each contest, best first."""
    return [tuple(side for _, side in sorted(zip(c, scores, strict=True), reverse=True)) for c in contests]


def _commonest(things: Sequence[object]) -> float:
    return Counter(things).most_common(1)[0][1] / len(things)


def _share_of_the_means(scores: Scores) -> float:
    orders = _orders(scores, product(*scores.values()))
    (of_means,) = _orders(scores, [list(map(fmean, scores.values()))])
    return orders.count(of_means) / len(orders)


check = Check(
    standard_error=Exercise(
        standard_error,
        [(0.5, 400), (0.6, 1267), (0.95, 10_042), (1.0, 50)],
        "so a benchmark of 1,267 questions is off by more than a point, typically",
        hints={
            "the variance": "p (1 - p) / n is the variance, in squared units; the standard error is its square root",
            "one answer": "that is the spread of a single answer; the mean of n answers is closer by a factor of √n",
            "n outside the root": "you divide by n after the root; the error falls with √n only: four times the "
            "questions halve it",
            "a count": "√(n p (1 - p)) is the error of the *number* of right answers; divide by n for the share",
            "95 percent": "you multiplied by 1.96: that is half of a 95 % interval; one standard error is asked for",
        },
        wrong={
            "the variance": lambda p, n: p * (1 - p) / n,
            "one answer": lambda p, n: sqrt(p * (1 - p)),
            "n outside the root": lambda p, n: sqrt(p * (1 - p)) / n,
            "a count": lambda p, n: sqrt(n * p * (1 - p)),
            "95 percent": lambda p, n: 1.96 * standard_error(p, n),
        },
    ),
    wrong_ranking=Exercise(
        wrong_ranking,
        [(0.01, 0.0137), (0.02, 0.01), (0.005, 0.03), (0.0, 0.01)],
        "with no gap at all it is a coin toss, as it should be",
        hints={
            "one score's error": "both scores are noisy: the *difference* has the error √2 · error, not error",
            "errors added": "you added the errors; independent errors add up as squares, so two make √2 · error",
            "both tails": "you counted both tails; only a difference below zero is a wrong ranking",
            "the right ranking": "that is the chance of the *right* ranking; you want the part below zero",
        },
        wrong={
            "one score's error": lambda gap, error: NORMAL.cdf(-gap / error),
            "errors added": lambda gap, error: NORMAL.cdf(-gap / (2 * error)),
            "both tails": lambda gap, error: 2 * wrong_ranking(gap, error),
            "the right ranking": lambda gap, error: 1 - wrong_ranking(gap, error),
        },
    ),
    seeds_needed=Exercise(
        seeds_needed,
        [(0.01, 0.014, 0.05), (0.02, 0.03, 0.01), (0.015, 0.017, 0.05)],
        "and each of these seeds is one pretraining run",
        hints={
            "one score's error": "the difference of two means of m seeds has the variance 2 error² / m; you left out "
            "the 2",
            "not squared": "the error falls with √m, so the number of seeds is the *square* of the ratio",
            "rounded down": "you rounded down, and so many seeds do not quite suffice; round up",
            "both tails": "you left half of `most` to each tail; only one of them is a wrong ranking",
        },
        wrong={
            "one score's error": lambda gap, error, most: ceil((error * NORMAL.inv_cdf(1 - most) / gap) ** 2),
            "not squared": lambda gap, error, most: ceil(sqrt(2) * error * NORMAL.inv_cdf(1 - most) / gap),
            "rounded down": lambda gap, error, most: floor(2 * (error * NORMAL.inv_cdf(1 - most) / gap) ** 2),
            "both tails": lambda gap, error, most: ceil(2 * (error * NORMAL.inv_cdf(1 - most / 2) / gap) ** 2),
        },
    ),
    order_share=Exercise(
        order_share,
        [
            ({"RoPE": [0.41, 0.46, 0.44], "NoPE + Canon": [0.43, 0.45, 0.40], "RoPE + Canon": [0.47, 0.42, 0.48]},),
            ({"A": [0.1, 0.2, 0.3], "B": [0.5, 0.6, 0.4], "C": [0.9, 0.8, 0.7]},),
            ({"A": [0.50, 0.51, 0.00], "B": [0.40, 0.42, 0.41], "C": [0.45, 0.30]},),
            ({"A": [0.61, 0.58], "B": [0.60, 0.59]},),
        ],
        "this is the number that the rule of this notebook's two claims looks at",
        hints={
            "same seed numbers": "you let seed 0 meet seed 0, seed 1 meet seed 1, ...; any seed of a side may meet "
            "any of another (itertools.product)",
            "the winner only": "you count who comes first; the whole order counts, down to the last place",
            "the order of the means": "you count the contests that agree with the order of the *means*; one bad seed "
            "can give the means an order that hardly any contest has",
        },
        wrong={
            "same seed numbers": lambda scores: _commonest(_orders(scores, zip(*scores.values(), strict=False))),
            "the winner only": lambda scores: _commonest([o[0] for o in _orders(scores, product(*scores.values()))]),
            "the order of the means": _share_of_the_means,
        },
    ),
)
