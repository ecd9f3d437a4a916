"""The first protocol: three seeds a side, on which the learning rates were chosen, too, from a fixed grid.

Rows of the ledger that have no five fresh seeds yet show what it found, marked as such and judged by its rules, which look at
the smallest and largest seed. Nothing is run by it any more: its weights were drawn in another way (`training.FORMAT` 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ..tasks import Metric, Task, metric_of
from ..training import Record
from . import rules
from .experiment import Experiment
from .rules import CONTRADICTED, DIRECTION, HOLDS, NOT_SHOWN, Rule, Scored, Verdict, hops_reached, spread

SEEDS = (0, 1, 2)
_OVERLAP = "the seeds of the two do not overlap; contradicted if they do not overlap the other way round"


def as_it_was(experiment: Experiment) -> Experiment:
    """The experiment as the first protocol tried it."""
    tuned_on = None if experiment.tuned_on is None else as_it_was(experiment.tuned_on)
    judged = tuple(map(_rule, experiment.rules))
    return replace(
        experiment, rules=judged, seeds=SEEDS, tuning_seeds=SEEDS, format=1, step_times={}, tuned_on=tuned_on
    )


def _rule(rule: Rule) -> Rule:
    """The rule that stood in its place."""
    if isinstance(rule, rules.Ahead):
        return Ahead(rule.metric, rule.better, rule.worse, rule.by, rule.factor)
    if isinstance(rule, rules.Beats):
        return Beats(rule.metric, rule.better, rule.worse, rule.at_least, rule.at_most)
    if isinstance(rule, rules.Level):
        return Matches(rule.metric, rule.better, rule.worse, rule.margin)
    if isinstance(rule, rules.Climbs):
        return Deepens(rule.better, rule.worse, rule.accuracy)
    if isinstance(rule, rules.Noise):
        return Ranks(rule.metric, rule.compared, rule.settled, rule.enough)
    raise TypeError(f"the first protocol had no rule {type(rule).__name__}")


@dataclass(frozen=True)
class _Two(Scored):
    """What the rules about two sides share."""

    better: str
    worse: str

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def _merits(
        self, records: Mapping[str, Sequence[Record]], word: str = "against"
    ) -> tuple[Metric, list[float], list[float], str]:
        """The metric, the scores of both sides turned so that more is better, and both in words."""
        metric, (high, low) = _scores(records, self.metric, self.sides())
        reason = f"{self.better} {spread(high)} {word} {self.worse} {spread(low)} ({self.metric})"
        return metric, list(map(metric.merit, high)), list(map(metric.merit, low)), reason


@dataclass(frozen=True)
class Beats(_Two):
    """`better` scores at least `at_least` and `worse` at most `at_most`, on every seed (of a score where more is better)."""

    at_least: float
    at_most: float

    def text(self, task: Task) -> str:
        if metric_of(task, self.metric).lower:
            raise ValueError(f"smaller {self.metric} is better, so it has no bar to clear from below; use Ahead")
        return (
            f"holds if {self.better} scores >= {self.at_least:g} and {self.worse} <= {self.at_most:g} ({self.metric}) on "
            f"every seed; in direction if {_OVERLAP}"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, high, low, reason = self._merits(records)
        return _by_overlap(high, low, reason, min(high) >= self.at_least and max(low) <= self.at_most)


@dataclass(frozen=True)
class Deepens:
    """`better` reaches at least `factor` times the hops of `worse`, on every seed (0 hops count as 1 here)."""

    better: str
    worse: str
    accuracy: float = 0.75
    factor: float = 2.0

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def merit(self, record: Record) -> float:
        return hops_reached(record, self.accuracy)

    def text(self, task: Task) -> str:
        metric_of(task, "accuracy_k.1")  # refuses a task without hops
        return (
            f"depth is the largest k with accuracy >= {self.accuracy:g} at 1..k hops; holds if the depth of "
            f"{self.better} is >= {self.factor:g} x that of {self.worse} (0 counts as 1) for every pair of seeds; "
            f"in direction if its seeds are all deeper; contradicted if all are shallower"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        deep, shallow = ([hops_reached(r, self.accuracy) for r in records[side]] for side in self.sides())
        reason = (
            f"{self.better} answers {_counts(deep)} hops, {self.worse} {_counts(shallow)} "
            f"(accuracy >= {self.accuracy:g}, one number a seed)"
        )
        return _by_overlap(deep, shallow, reason, min(deep) >= self.factor * max(1, *shallow))


@dataclass(frozen=True)
class Matches(_Two):
    """The first side does at least as well as the second: its mean is not more than `margin` worse."""

    margin: float = 0.05

    def text(self, task: Task) -> str:
        side = "above" if metric_of(task, self.metric).lower else "below"
        return (
            f"holds if the mean {self.metric} of {self.better} is at most {self.margin:g} {side} that of {self.worse}; "
            f"contradicted if every seed of {self.better} is {side} every seed of {self.worse} by more than that"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, ours, theirs, reason = self._merits(records, "beside")
        if sum(ours) / len(ours) >= sum(theirs) / len(theirs) - self.margin:
            return Verdict(HOLDS, reason)
        return Verdict(CONTRADICTED if max(ours) < min(theirs) - self.margin else NOT_SHOWN, reason)


@dataclass(frozen=True)
class Ahead(_Two):
    """`better` beats `worse` by a margin, for every pair of seeds.

    The margin is `by` (a difference) or `factor` (a ratio). A diverged run has the worst score possible.
    """

    by: float = 0.0
    factor: float | None = None

    def text(self, task: Task) -> str:
        lower = metric_of(task, self.metric).lower
        more, most, other = ("below", "largest", "smallest") if lower else ("above", "smallest", "largest")
        margin = f"by {self.by:g}" if self.factor is None else f"by a factor of {self.factor:g}"
        return (
            f"holds if the {most} {self.metric} of {self.better} is {more} the {other} of {self.worse} {margin}; in "
            f"direction if {_OVERLAP}"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        metric, ours, theirs, reason = self._merits(records)
        if self.factor is None:
            clear = min(ours) >= max(theirs) + self.by
        elif metric.lower:
            clear = min(ours) * self.factor >= max(theirs)
        else:  # a factor of nothing, or of less, is no bar
            clear = min(ours) >= self.factor * max(0.0, *theirs) and min(ours) > max(theirs)
        return _by_overlap(ours, theirs, reason, clear)


@dataclass(frozen=True)
class Ranks(Scored):
    """Do the seeds agree on the order of the models? One seed of each side makes one contest.

    settled: the claim is that all contests (at least the share `enough`) end in the same order; otherwise, that seed
    noise decides: no order wins that often.
    """

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
        spreads = ", ".join(f"{side} {spread(of)}" for side, of in zip(self.compared, scores, strict=True))
        reason = f"{wins} of {count} contests end as {' > '.join(order)}; {spreads} ({self.metric})"
        return Verdict(HOLDS if (wins / count >= self.enough) == self.settled else CONTRADICTED, reason)


def _scores(
    records: Mapping[str, Sequence[Record]], name: str, sides: Sequence[str]
) -> tuple[Metric, list[list[float]]]:
    """The metric, and its score on every seed of each side."""
    metric = records[sides[0]][0].metric(name)
    return metric, [[record.score(name) for record in records[side]] for side in sides]


def _by_overlap(high: Sequence[float], low: Sequence[float], reason: str, clear: bool) -> Verdict:
    """The verdict on two sides: it holds where the bar is cleared, else it depends on how their seeds lie."""
    if clear:
        return Verdict(HOLDS, reason)
    if min(high) > max(low):
        return Verdict(DIRECTION, reason)
    return Verdict(CONTRADICTED if max(high) < min(low) else NOT_SHOWN, reason)


def _counts(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
