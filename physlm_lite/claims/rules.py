"""Verdict rules. A rule is written down before the run and looks only at the recorded scores of each side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from ..tasks import Metric, Task, metric_of
from ..training import Record

HOLDS, DIRECTION, NOT_SHOWN, CONTRADICTED, NOT_RUN = (
    "holds",
    "holds in direction",
    "does not show at this scale",
    "contradicted",
    "not run",
)
VERDICTS = (HOLDS, DIRECTION, NOT_SHOWN, CONTRADICTED, NOT_RUN)
ENOUGH_SEEDS = 3


@dataclass(frozen=True)
class Verdict:
    """One of `VERDICTS`, and the sentence with the numbers that led to it."""

    word: str
    reason: str


class Rule(Protocol):
    """Judges the records of all seeds of each side."""

    def sides(self) -> Sequence[str]: ...

    def text(self, task: Task) -> str:
        """The rule in words. Raises ValueError if it cannot judge this task, such as by a score that is not measured."""
        ...

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict: ...


def hops_reached(record: Record, accuracy: float) -> int:
    """Reasoning depth: the largest k such that 1, 2, ..., k hops are all answered with at least this accuracy."""
    scores = record.final.get("accuracy_k", {}) if record.status != "diverged" else {}
    reached = 0
    for k in sorted(map(int, scores)):
        if scores[str(k)] < accuracy:
            break
        reached = k
    return reached


@dataclass(frozen=True)
class Beats:
    """`better` scores at least `at_least` and `worse` at most `at_most`, on every seed (of a score where more is better)."""

    metric: str
    better: str
    worse: str
    at_least: float
    at_most: float

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def text(self, task: Task) -> str:
        if metric_of(task, self.metric).lower:
            raise ValueError(f"smaller {self.metric} is better, so it has no bar to clear from below; use Ahead")
        return (
            f"holds if {self.better} scores >= {self.at_least:g} and {self.worse} <= {self.at_most:g} "
            f"({self.metric}) on every seed; in direction if the seeds of the two do not overlap; contradicted if "
            f"they do not overlap the other way round"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, (high, low) = _scores(records, self.metric, self.sides())
        reason = f"{self.better} {_spread(high)} against {self.worse} {_spread(low)} ({self.metric})"
        if min(high) >= self.at_least and max(low) <= self.at_most:
            return Verdict(HOLDS, reason)
        return _by_overlap(high, low, reason)


@dataclass(frozen=True)
class Deepens:
    """`better` reaches at least `factor` times the hops of `worse`, on every seed (0 hops count as 1 here)."""

    better: str
    worse: str
    accuracy: float = 0.75
    factor: float = 2.0

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def text(self, task: Task) -> str:
        metric_of(task, "accuracy_k.1")  # refuses a task without hops
        return (
            f"depth is the largest k with accuracy >= {self.accuracy:g} at 1..k hops; holds if the depth of "
            f"{self.better} is >= {self.factor:g} x that of {self.worse} (0 counts as 1) for every pair of seeds; "
            f"in direction if its seeds are all deeper; contradicted if all are shallower"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        deep = [hops_reached(r, self.accuracy) for r in records[self.better]]
        shallow = [hops_reached(r, self.accuracy) for r in records[self.worse]]
        reason = (
            f"{self.better} answers {_counts(deep)} hops, {self.worse} {_counts(shallow)} "
            f"(accuracy >= {self.accuracy:g}, one number a seed)"
        )
        if min(deep) >= self.factor * max(1, *shallow):
            return Verdict(HOLDS, reason)
        return _by_overlap(deep, shallow, reason)


@dataclass(frozen=True)
class Matches:
    """`one` does at least as well as `other`: its mean is not more than `margin` worse."""

    metric: str
    one: str
    other: str
    margin: float = 0.05

    def sides(self) -> Sequence[str]:
        return (self.one, self.other)

    def text(self, task: Task) -> str:
        worse = "above" if metric_of(task, self.metric).lower else "below"
        return (
            f"holds if the mean {self.metric} of {self.one} is at most {self.margin:g} {worse} that of {self.other}; "
            f"contradicted if every seed of {self.one} is {worse} every seed of {self.other} by more than that"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        metric, (ours, theirs) = _scores(records, self.metric, self.sides())
        reason = f"{self.one} {_spread(ours)} beside {self.other} {_spread(theirs)} ({self.metric})"
        ours, theirs = list(map(metric.merit, ours)), list(map(metric.merit, theirs))
        if sum(ours) / len(ours) >= sum(theirs) / len(theirs) - self.margin:
            return Verdict(HOLDS, reason)
        if max(ours) < min(theirs) - self.margin:
            return Verdict(CONTRADICTED, reason)
        return Verdict(NOT_SHOWN, reason)


@dataclass(frozen=True)
class Ahead:
    """`better` beats `worse` by a margin, for every pair of seeds.

    The margin is `by` (a difference) or `factor` (a ratio). A diverged run has the worst score possible.
    """

    metric: str
    better: str
    worse: str
    by: float = 0.0
    factor: float | None = None

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def text(self, task: Task) -> str:
        lower = metric_of(task, self.metric).lower
        more, most, other = ("below", "largest", "smallest") if lower else ("above", "smallest", "largest")
        margin = f"by {self.by:g}" if self.factor is None else f"by a factor of {self.factor:g}"
        return (
            f"holds if the {most} {self.metric} of {self.better} is {more} the {other} of {self.worse} {margin}; in "
            f"direction if the seeds of the two do not overlap; contradicted if they do not overlap the other way "
            f"round"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        metric, (ours, theirs) = _scores(records, self.metric, self.sides())
        reason = f"{self.better} {_spread(ours)} against {self.worse} {_spread(theirs)} ({self.metric})"
        ours, theirs = list(map(metric.merit, ours)), list(map(metric.merit, theirs))
        if self.factor is None:
            clear = min(ours) >= max(theirs) + self.by
        elif metric.lower:
            clear = min(ours) * self.factor >= max(theirs)
        else:  # a factor of nothing, or of less, is no bar
            clear = min(ours) >= self.factor * max(0.0, *theirs) and min(ours) > max(theirs)
        return Verdict(HOLDS, reason) if clear else _by_overlap(ours, theirs, reason)


@dataclass(frozen=True)
class Ranks:
    """Do the seeds agree on the order of the models? One seed of each side makes one contest.

    settled: the claim is that all contests (at least the share `enough`) end in the same order; otherwise, that seed
    noise decides: no order wins that often.
    """

    metric: str
    compared: tuple[str, ...]
    settled: bool
    enough: float = 0.9

    def sides(self) -> Sequence[str]:
        return self.compared

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        word = "at least" if self.settled else "fewer than"
        return (
            f"one seed of each of {', '.join(self.compared)} makes a contest; holds if {word} {self.enough:.0%} of all "
            f"contests end in the same order ({self.metric}), else contradicted"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        metric, scores = _scores(records, self.metric, self.compared)
        merits = [[(metric.merit(s), side) for s in of] for side, of in zip(self.compared, scores, strict=True)]
        orders = Counter(tuple(side for _, side in sorted(contest, reverse=True)) for contest in product(*merits))
        (order, wins), count = orders.most_common(1)[0], orders.total()
        spreads = ", ".join(f"{side} {_spread(of)}" for side, of in zip(self.compared, scores, strict=True))
        reason = f"{wins} of {count} contests end as {' > '.join(order)}; {spreads} ({self.metric})"
        return Verdict(HOLDS if (wins / count >= self.enough) == self.settled else CONTRADICTED, reason)


def weakest(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim with several rules is as good as its weakest one; all reasons are kept."""
    order = (NOT_RUN, CONTRADICTED, NOT_SHOWN, DIRECTION, HOLDS)
    word = min((v.word for v in verdicts), key=order.index)
    return Verdict(word, "; ".join(v.reason for v in verdicts))


def _scores(
    records: Mapping[str, Sequence[Record]], name: str, sides: Sequence[str]
) -> tuple[Metric, list[list[float]]]:
    """The metric, and its score on every seed of each side."""
    metric = records[sides[0]][0].metric(name)
    return metric, [[record.score(name) for record in records[side]] for side in sides]


def _by_overlap(high: Sequence[float], low: Sequence[float], reason: str) -> Verdict:
    if min(high) > max(low):
        return Verdict(DIRECTION, reason)
    if max(high) < min(low):
        return Verdict(CONTRADICTED, reason)
    return Verdict(NOT_SHOWN, reason)


def _spread(values: Sequence[float]) -> str:
    """The mean, the smallest and the largest; runs that are infinitely bad are counted instead."""
    known = [value for value in values if math.isfinite(value)]
    lost = f"{len(values) - len(known)} diverged"
    if not known:
        return lost
    digits = 3 if max(known) < 0.1 else 2
    text = f"{sum(known) / len(known):.{digits}f} [{min(known):.{digits}f}-{max(known):.{digits}f}]"
    return text if len(known) == len(values) else f"{text} and {lost}"


def _counts(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
