"""Claims that are judged on published numbers, since nobody here can run them: the 64 runs of Part 4.2.

A rule looks at final tables alone, and compares runs that share size, tokens and learning rate. What such numbers can show is
limited: there is *one* run of each kind. Rates are the nearest thing to replicates, so how far they lie apart is said beside
every verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from statistics import fmean, median, stdev
from typing import Any, Protocol

from ..base.strict import choose
from ..scale.published.results import LESS_IS_BETTER, first_above, named, tables
from .rules import CONTRADICTED, DIRECTION, HOLDS, NOT_SHOWN, Verdict, weakest
from .statistics import LUCK, Comparison, paired_interval, sign_p

Table = Mapping[str, Mapping[str, float]]  # a run's scores by its name
Cell = tuple[str, dict[str, float]]  # "8B, 1T, rate 0.003", and the score of each side there
AWAKE = "10⁹ tokens until MMLU passes 30 %"  # guessing gives 25; the one score that we read off the curves
ONE_RUN = (
    "one run of each kind, no seed repeated; the runs of one size share their data, so that pairs at two learning rates are no "
    "independent draws; the rules were written down when these numbers were known"
)


@cache
def scores() -> Table:
    """The published tables, and the score that is read off the curves."""
    return {name: {**row, AWAKE: round(first_above(name, "mmlu", 30) / 1e9, 1)} for name, row in tables().items()}


def less_is_better(score: str) -> bool:
    """Perplexities, and tokens until something is learnt."""
    return score in (*LESS_IS_BETTER, AWAKE)


class Reading(Protocol):
    """A rule on published numbers."""

    @property
    def score(self) -> str: ...

    def sides(self) -> Sequence[str]: ...

    def seen(self, table: Table) -> list[Cell]:
        """The numbers that it looks at."""
        ...

    def text(self) -> str: ...

    def judge(self, table: Table) -> Verdict: ...


def cells(table: Table, score: str, *sides: str) -> list[Cell]:
    """The scores of these families ("LlamaCanon") at every size, tokens and rate that all of them have, in order.

    >>> cells(tables(), "MMLU", "LlamaCanon", "Llama")[0]
    ('1B, 1T, rate 0.002', {'LlamaCanon': 47.0, 'Llama': 44.0})
    """
    places = {name.partition("-")[2]: named(name) for name in table if name.startswith(f"{sides[0]}-")}
    shared = [place for place in places if all(f"{side}-{place}" in table for side in sides)]
    shared.sort(key=lambda place: (places[place].setting, places[place].rate))
    return [
        (
            f"{places[place].setting}, rate {places[place].rate:g}",
            {side: choose("published score", score, table[f"{side}-{place}"]) for side in sides},
        )
        for place in shared
    ]


def merit(score: str, value: float) -> float:
    """A score turned so that more is better."""
    return -value if less_is_better(score) else value


def between_rates(table: Table, score: str, sides: Sequence[str]) -> float:
    """The median distance of two runs that differ in their learning rate alone: the nearest to noise that there is."""
    apart = []
    for side in sides:
        for group in _by_setting(cells(table, score, side)).values():
            values = [found[side] for found in group]
            apart += [abs(a - b) for a, b in combinations(values, 2)]
    return median(apart)


def _by_setting(found: Sequence[Cell]) -> dict[str, list[dict[str, float]]]:
    groups: dict[str, list[dict[str, float]]] = {}
    for name, values in found:
        groups.setdefault(name.rpartition(", ")[0], []).append(values)
    return groups


@dataclass(frozen=True)
class _Paired:
    """What rules share that look at one difference in each cell."""

    score: str
    better: str
    worse: str

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def seen(self, table: Table) -> list[Cell]:
        return cells(table, self.score, *self.sides())

    def differences(self, table: Table) -> list[float]:
        """`better` minus `worse` in each cell, turned so that more is better."""
        return [merit(self.score, v[self.better]) - merit(self.score, v[self.worse]) for _, v in self.seen(table)]

    def names(self) -> tuple[str, str]:
        """What is compared, in words."""
        return self.better, self.worse

    def compared(self, differences: Sequence[float]) -> Comparison:
        spread = stdev(differences)
        size = fmean(differences) / spread if spread else None
        interval, p = paired_interval(differences), sign_p(differences)
        return Comparison(self.score, *self.names(), fmean(differences), interval, p, size)

    def said(self, table: Table, differences: Sequence[float], found: Comparison) -> str:
        ahead, (low, high) = sum(d > 0 for d in differences), found.interval or (0.0, 0.0)
        return (
            f"{found.better} ahead of {found.worse} in {ahead} of {len(differences)} pairs ({self.score}), difference "
            f"{found.difference:.2f} [{low:.2f}, {high:.2f}], sign test p = {found.p:.3f}; two runs that differ in the rate "
            f"alone: {between_rates(table, self.score, self.sides()):.2f} apart"
        )


@dataclass(frozen=True)
class Wins(_Paired):
    """`better` is ahead in every pair. about: bounds of the mean difference, where the paper gives one."""

    about: tuple[float, float] | None = None

    def text(self) -> str:
        how_far = "" if self.about is None else ", by {:g} to {:g} in the mean".format(*self.about)
        return (
            f"holds if {' is ahead of '.join(self.names())} in every pair of runs of one size, tokens and learning rate "
            f"({self.score}){how_far}, and a sign test gives p <= {LUCK:g}; in direction if the test alone does; contradicted "
            "if it does so the other way round"
        )

    def judge(self, table: Table) -> Verdict:
        differences = self.differences(table)
        found = self.compared(differences)
        clear = min(differences) > 0 and (self.about is None or self.about[0] <= fmean(differences) <= self.about[1])
        word = NOT_SHOWN
        if found.p <= LUCK:
            word = HOLDS if clear else DIRECTION
        elif sign_p([-d for d in differences]) <= LUCK:
            word = CONTRADICTED
        return Verdict(word, self.said(table, differences, found), (found,))


@dataclass(frozen=True)
class GainsMore(Wins):
    """Canon brings one family more than another: `better` minus `without`, against `worse` minus `worse_without`."""

    without: str = ""
    worse_without: str = ""

    def sides(self) -> Sequence[str]:
        return (self.better, self.without, self.worse, self.worse_without)

    def names(self) -> tuple[str, str]:
        return f"the gain of {self.better}", f"that of {self.worse}"

    def differences(self, table: Table) -> list[float]:
        signs = dict(zip(self.sides(), (1, -1, -1, 1), strict=True))
        return [sum(signs[side] * merit(self.score, value) for side, value in v.items()) for _, v in self.seen(table)]


@dataclass(frozen=True)
class NotBehind(_Paired):
    """`better` is not behind by more than a margin; either_way: nor ahead by more."""

    margin: float = 1.0
    either_way: bool = False

    def text(self) -> str:
        within = f"within {self.margin:g} either way" if self.either_way else f"above -{self.margin:g}"
        return (
            f"holds if the 95 % interval of the mean difference of {self.better} and {self.worse} ({self.score}), over pairs of "
            f"one size, tokens and learning rate, lies {within}; in direction if the mean itself does; contradicted if none of "
            "the interval does"
        )

    def judge(self, table: Table) -> Verdict:
        differences = self.differences(table)
        found = self.compared(differences)
        (low, high), most = found.interval or (0.0, 0.0), self.margin if self.either_way else float("inf")
        word = DIRECTION if -self.margin <= fmean(differences) <= most else NOT_SHOWN
        if low >= -self.margin and high <= most:
            word = HOLDS
        elif high < -self.margin or low > most:
            word = CONTRADICTED
        return Verdict(word, self.said(table, differences, found), (found,))


@dataclass(frozen=True)
class WhateverRate(_Paired):
    """In every size the worst rate of `better` is still ahead of the best rate of `worse`."""

    def text(self) -> str:
        return (
            f"holds if in every size and number of tokens the worst learning rate of {self.better} is ahead of the best one of "
            f"{self.worse} ({self.score}); in direction if it is in more than half of them; contradicted if the worst of "
            f"{self.worse} is ahead of the best of {self.better} anywhere"
        )

    def judge(self, table: Table) -> Verdict:
        groups = _by_setting(self.seen(table)).items()
        found = {
            place: [[merit(self.score, v[side]) for v in values] for side in self.sides()] for place, values in groups
        }
        gaps = {place: min(ours) - max(theirs) for place, (ours, theirs) in found.items()}
        lost = any(min(theirs) > max(ours) for ours, theirs in found.values())
        ahead = sum(gap > 0 for gap in gaps.values())
        word = HOLDS if ahead == len(gaps) else DIRECTION if ahead > len(gaps) / 2 else NOT_SHOWN
        said = ", ".join(f"{gap:+.1f} at {place}" for place, gap in gaps.items())
        reason = f"{self.better} at its worst rate minus {self.worse} at its best ({self.score}): {said}"
        return Verdict(CONTRADICTED if lost else word, reason)


@dataclass(frozen=True)
class Within:
    """Every run of these families scores between two bounds, at some sizes. The bounds are ours, so that missing them
    contradicts nobody."""

    score: str
    families: tuple[str, ...]
    least: float
    most: float
    sizes: tuple[str, ...] = ("1B", "3B", "8B")

    def sides(self) -> Sequence[str]:
        return self.families

    def seen(self, table: Table) -> list[Cell]:
        found = [cell for side in self.families for cell in cells(table, self.score, side)]
        return [cell for cell in found if cell[0].split(",")[0] in self.sizes]

    def text(self) -> str:
        return (
            f"holds if every run of {', '.join(self.families)} at {', '.join(self.sizes)} scores {self.least:.3g} to "
            f"{self.most:.3g} ({self.score}); in direction if at least nine in ten do"
        )

    def judge(self, table: Table) -> Verdict:
        values = [value for _, found in self.seen(table) for value in found.values()]
        share = fmean(self.least <= value <= self.most for value in values)
        word = HOLDS if share == 1 else DIRECTION if share >= 0.9 else NOT_SHOWN
        bounds, seen = f"{self.least:.3g} to {self.most:.3g}", f"from {min(values):g} to {max(values):g}"
        inside = round(share * len(values))
        return Verdict(word, f"{inside} of {len(values)} runs score {bounds}, all of them {seen} ({self.score})")


@dataclass(frozen=True)
class Published:
    """What the paper says of runs that are not ours, and the rules that judge it on the numbers that were published.

    caveat: what else differs between the sides, or what the numbers cannot tell.
    """

    id: str
    title: str
    source: str
    statement: str
    rules: Sequence[Reading]
    caveat: str = ""
    paper: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @cached_property
    def verdict(self) -> Verdict:
        """By all rules, on the tables as they were published."""
        return weakest([rule.judge(scores()) for rule in self.rules])

    @property
    def limits(self) -> str:
        """What one should not read into the verdict."""
        return "; ".join(filter(None, [ONE_RUN, self.caveat]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; see `ledger.SCHEMA`."""
        return {
            "claim": self.id,
            "title": self.title,
            "source": self.source,
            "basis": "published",
            "statement": self.statement,
            "paper": [dict(row) for row in self.paper],
            "rule": [rule.text() for rule in self.rules],
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "comparisons": [comparison.to_dict() for comparison in self.verdict.comparisons],
            "limits": self.limits,
            "numbers": [
                {"score": rule.score, "setting": place, "values": values}
                for rule in self.rules
                for place, values in rule.seen(scores())
            ],
        }
