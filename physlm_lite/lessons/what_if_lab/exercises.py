"""Exercises of notebook 90: what makes a what-if fair, and its answer more than luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ...claims.statistics import permutation_p
from ...lab.checks import Check, Exercise

Options = Mapping[str, Any]


def what_differs(one: Options, other: Options, defaults: Options) -> list[str]:
    """The names of the options in which two runs differ, in the order of the alphabet; what is not said is the default."""
    first, second = {**defaults, **one}, {**defaults, **other}
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def deals(ours: list[float], theirs: list[float]) -> list[tuple[float, float]]:
    """The sums of both sides in every deal of the pooled scores."""
    pooled = [*ours, *theirs]
    sums = [sum(chosen) for chosen in combinations(pooled, len(ours))]
    return [(s, sum(pooled) - s) for s in sums]


def fewest_seeds(level: float) -> int:
    """The fewest seeds a side with which an exact permutation test can reach this level."""
    return next(n for n in range(1, 100) if 1 / math.comb(2 * n, n) <= level)


def _first(holds: Any) -> int:
    return next(n for n in range(1, 100) if holds(n))


check = Check(
    what_differs=Exercise(
        what_differs,
        [
            ({"width": 32}, {"width": 64}, {"width": 64, "canon": ""}),
            ({"width": 64}, {}, {"width": 64, "canon": ""}),
            ({"canon": "ABCD"}, {"canon": "ABCD", "steps": 400}, {"canon": "", "steps": 300}),
            ({"canon": "A", "width": 32}, {"layers": 3}, {"canon": "", "width": 64, "layers": 2}),
        ],
        "a what-if is fair when this list has one name; with two, nobody knows which of them did it",
        hints={
            "what is not said is different": "an option that one run leaves out has its default there; {'width': 64} and {} are "
            "the same run where the default is 64",
            "only what both say": "you compare only the options that both runs name; one that a single run names may differ, too",
            "only what the first says": "you look only at the options of the first run; the second may name others",
        },
        wrong={
            "what is not said is different": lambda one, other, defaults: sorted(
                n for n in one.keys() | other.keys() if one.get(n) != other.get(n)
            ),
            "only what both say": lambda one, other, defaults: sorted(
                n for n in one.keys() & other.keys() if one[n] != other[n]
            ),
            "only what the first says": lambda one, other, defaults: sorted(
                n for n in one if one[n] != other.get(n, defaults.get(n))
            ),
        },
    ),
    deals_ahead=Exercise(
        permutation_p,
        [
            ([0.9, 0.8, 0.7], [0.1, 0.2, 0.3]),
            ([0.9, 0.2, 0.7], [0.1, 0.8, 0.3]),
            ([0.5, 0.25], [0.5, 0.25]),
            ([0.1, 0.2, 0.3], [0.4, 0.6]),
        ],
        "that is the p of the ledger: if it does not matter which seed is whose, luck deals this well so often",
        hints={
            "only those strictly ahead": "the deal that you have is one of them: count those at least as far ahead, not only "
            "those farther ahead",
            "the wrong side": "you count the deals in which the other side is as far ahead",
            "both sides": "you count both tails; the question was whether *ours* is ahead, which was said before the run",
        },
        wrong={
            "only those strictly ahead": lambda ours, theirs: _share(ours, theirs, lambda s, t: s > sum(ours) + 1e-9),
            "the wrong side": lambda ours, theirs: _share(ours, theirs, lambda s, t: s <= sum(ours) + 1e-9),
            "both sides": lambda ours, theirs: min(1.0, 2 * permutation_p(ours, theirs)),
        },
    ),
    fewest_seeds=Exercise(
        fewest_seeds,
        [(0.05,), (0.01,), (1 / 252,), (0.1,), (0.001,)],
        "with two seeds a side no result at all can be clear at 0.05; the ledger takes five, which leaves room for one bad seed",
        hints={
            "a coin for each seed": "1/2 to the power of n is the sign test of pairs; here all 2n scores are dealt out anew",
            "strictly below": "p may be equal to the level: 1/20 is 0.05",
            "every order counts": "you count all orders of the 2n scores; who stands first within a side makes no difference",
        },
        wrong={
            "a coin for each seed": lambda level: _first(lambda n: 2.0**-n <= level),
            "strictly below": lambda level: _first(lambda n: 1 / math.comb(2 * n, n) < level),
            "every order counts": lambda level: _first(lambda n: 1 / math.factorial(2 * n) <= level),
        },
    ),
)


def _share(ours: list[float], theirs: list[float], holds: Any) -> float:
    dealt = deals(ours, theirs)
    return sum(bool(holds(*sums)) for sums in dealt) / len(dealt)
