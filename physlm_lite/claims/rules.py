"""Verdict rules. A rule is written down before the run and looks only at the recorded scores of each side.

Five fresh seeds a side are judged (`Setting.seeds`). How often each word would be given by luck, if the sides were equal, is
simulated in tests/claims/test_luck.py: at most one time in twenty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median
from typing import Protocol, runtime_checkable

import numpy as np

from ..tasks import Metric, Task, metric_of
from ..training import Record
from .statistics import LUCK, Comparison, effect, interval, permutation_p, won, won_interval

HOLDS, DIRECTION, NOT_SHOWN = "holds", "holds in direction", "does not show at this scale"
CONTRADICTED, NOT_RUN = "contradicted", "not run"
VERDICTS = (HOLDS, DIRECTION, NOT_SHOWN, CONTRADICTED, NOT_RUN)  # the strongest first
RUNG = 0.75  # the accuracy from which a number of hops counts as learnt
_BY_LUCK = f"an exact permutation test gives p <= {LUCK:g}; contradicted if it does so the other way round"


@dataclass(frozen=True)
class Verdict:
    """One of `VERDICTS`, the sentence with the numbers that led to it, and these numbers for a table."""

    word: str
    reason: str
    comparisons: tuple[Comparison, ...] = ()


@runtime_checkable
class Rule(Protocol):
    """Judges the records of all seeds of each side."""

    def sides(self) -> Sequence[str]: ...

    def text(self, task: Task) -> str:
        """The rule in words. Raises ValueError if it cannot judge this task, such as by a score that is not measured."""
        ...

    def merit(self, record: Record) -> float:
        """How good a run is by what the rule judges: more is better. The learning rates are chosen by it."""
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
class Scored:
    """What rules by one score share."""

    metric: str

    def merit(self, record: Record) -> float:
        return record.metric(self.metric).merit(record.score(self.metric))


@dataclass(frozen=True)
class _Two(Scored):
    """What rules about one score of two sides share."""

    better: str
    worse: str

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def _read(
        self, records: Mapping[str, Sequence[Record]], word: str = "against"
    ) -> tuple[Metric, list[float], list[float], str]:
        """The metric, the merits of both sides, and their scores in words."""
        metric = records[self.better][0].metric(self.metric)
        high, low = ([r.score(self.metric) for r in records[side]] for side in self.sides())
        reason = f"{self.better} {spread(high)} {word} {self.worse} {spread(low)} ({self.metric})"
        return metric, list(map(metric.merit, high)), list(map(metric.merit, low)), reason

    def _compared(self, ours: Sequence[float], theirs: Sequence[float], p: float) -> Comparison:
        known = interval(ours, theirs)
        difference = None if known is None else fmean(ours) - fmean(theirs)
        return Comparison(self.metric, self.better, self.worse, difference, known, p, effect(ours, theirs))


@dataclass(frozen=True)
class Ahead(_Two):
    """`better` beats `worse` by a margin: `by` (a difference of the means) or `factor` (a ratio).

    A diverged run has the worst score possible.
    """

    by: float = 0.0
    factor: float | None = None

    def text(self, task: Task) -> str:
        word = "below" if metric_of(task, self.metric).lower else "above"
        margin = f"by {self.by:g}" if self.factor is None else f"by a factor of {self.factor:g}"
        return (
            f"holds if the mean {self.metric} of {self.better} is {word} that of {self.worse} {margin} or more everywhere in "
            f"its 95 % interval, and {_BY_LUCK.partition(';')[0]}; in direction if only the test does so; contradicted if it "
            f"does so the other way round"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        metric, ours, theirs, reason = self._read(records)
        p = permutation_p(ours, theirs)
        if self.factor is None:
            found, bar = self._compared(ours, theirs, p), self.by
        else:
            found, bar = self._ratio(metric, ours, theirs, p), self.factor
        clear = p <= LUCK and found.interval is not None and found.interval[0] >= bar
        return _by_p(clear, ours, theirs, reason, found)

    def _ratio(self, metric: Metric, ours: Sequence[float], theirs: Sequence[float], p: float) -> Comparison:
        """How many times better; no number where a mean is not above nothing."""
        above, below = (theirs, ours) if metric.lower else (ours, theirs)  # of scores, as they were measured
        sign = -1 if metric.lower else 1
        means = [sign * fmean(side) for side in (above, below)]
        known = None
        if min(*means, *(sign * s for s in (*above, *below))) > 0:
            known = interval([sign * s for s in above], [sign * s for s in below], _quotient)
        ratio = None if known is None else means[0] / means[1]
        return Comparison(self.metric, self.better, self.worse, ratio, known, p, effect(ours, theirs), ratio=True)


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
            f"every seed; in direction if {_BY_LUCK}"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, ours, theirs, reason = self._read(records)
        clear = min(ours) >= self.at_least and max(theirs) <= self.at_most
        return _by_p(clear, ours, theirs, reason, self._compared(ours, theirs, permutation_p(ours, theirs)))


@dataclass(frozen=True)
class Stops(Scored):
    """One side does one thing and not another, on every seed: it answers one hop, but not two (both: more is better).

    `metric` is the score that stays low. Learning rates are chosen by the sum of both, so that it has its chance to rise.
    """

    side: str
    learnt: str
    at_least: float = RUNG
    at_most: float = 0.5

    def sides(self) -> Sequence[str]:
        return (self.side,)

    def merit(self, record: Record) -> float:
        return record.score(self.learnt) + record.score(self.metric)

    def text(self, task: Task) -> str:
        for metric in (self.learnt, self.metric):
            if metric_of(task, metric).lower:
                raise ValueError(f"smaller {metric} is better, so it has no bar to clear from below; use Ahead")
        return (
            f"holds if {self.side} scores >= {self.at_least:g} ({self.learnt}) and <= {self.at_most:g} ({self.metric}) on every "
            f"seed; in direction if its means do so; contradicted if it scores >= {self.at_least:g} ({self.metric}) on every seed"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        easy, hard = ([record.score(name) for record in records[self.side]] for name in (self.learnt, self.metric))
        p, known = permutation_p(easy, hard), interval(easy, hard)
        reason = f"{self.side} {spread(easy)} ({self.learnt}), {spread(hard)} ({self.metric})"
        difference, itself = fmean(easy) - fmean(hard), f"itself by {self.metric}"
        found = Comparison(self.learnt, self.side, itself, difference, known, p, effect(easy, hard))
        if min(easy) >= self.at_least and max(hard) <= self.at_most:
            word = HOLDS
        elif min(hard) >= self.at_least:
            word = CONTRADICTED
        else:
            word = DIRECTION if fmean(easy) >= self.at_least and fmean(hard) <= self.at_most else NOT_SHOWN
        return Verdict(word, f"{reason}; {found}", (found,))


@dataclass(frozen=True)
class Level(_Two):
    """Two sides do equally well: the interval of their difference lies within a margin, both ways.

    A difference that merely was not found is no evidence of equality, so few or noisy seeds do not show this.
    """

    margin: float = 0.05

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        return (
            f"holds if the 95 % interval of the difference in mean {self.metric} between {self.better} and {self.worse} lies "
            f"within {self.margin:g} either way; in direction if only the difference itself does; contradicted if none of "
            f"the interval does"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, ours, theirs, reason = self._read(records, "beside")
        # two-sided: whichever came out ahead
        p = min(1.0, 2 * min(permutation_p(ours, theirs), permutation_p(theirs, ours)))
        found = self._compared(ours, theirs, p)
        if found.interval is None or found.difference is None:
            return Verdict(NOT_SHOWN, f"{reason}; {found}", (found,))
        low, high = found.interval
        inside = abs(found.difference) <= self.margin
        word = DIRECTION if inside else NOT_SHOWN
        if -self.margin <= low and high <= self.margin:
            word = HOLDS
        elif low > self.margin or high < -self.margin:
            word = CONTRADICTED
        return Verdict(word, f"{reason}; {found}", (found,))


@dataclass(frozen=True)
class AtLeast(_Two):
    """`better` does not fall behind `worse` by more than a margin, however far ahead it may be."""

    margin: float = 0.05

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        return (
            f"holds if in mean {self.metric} {self.better} falls behind {self.worse} by less than {self.margin:g} everywhere in "
            f"the 95 % interval of the difference; in direction if only the difference itself does; contradicted if none of "
            f"the interval does"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        _, ours, theirs, reason = self._read(records, "beside")
        found = self._compared(ours, theirs, permutation_p(ours, theirs))
        if found.interval is None or found.difference is None:
            return Verdict(NOT_SHOWN, f"{reason}; {found}", (found,))
        low, high = found.interval
        word = DIRECTION if found.difference > -self.margin else NOT_SHOWN
        if low > -self.margin:
            word = HOLDS
        elif high <= -self.margin:
            word = CONTRADICTED
        return Verdict(word, f"{reason}; {found}", (found,))


@dataclass(frozen=True)
class Gains(Scored):
    """`part` brings at least a `share` of what `whole` gains over `base`: half of the Canon layers, or a shorter kernel.

    Each seed of base and whole makes a mark, so far on the way from one to the other; the part is compared with the marks.
    """

    part: str
    whole: str
    base: str
    share: float = 0.5

    def sides(self) -> Sequence[str]:
        return (self.part, self.whole, self.base)

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        return (
            f"each seed makes a mark, {self.share:.0%} of the way from the {self.metric} of {self.base} to that of {self.whole}; "
            f"holds if the mean of {self.part} is nowhere behind the marks in the 95 % interval, and an exact permutation test "
            f"gives p <= {LUCK:g}; in direction if it does for {self.part} against {self.base}; contradicted if it does for the "
            f"marks against {self.part}; all of that only if it does for {self.whole} against {self.base}"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        scores = {side: [record.score(self.metric) for record in records[side]] for side in self.sides()}
        part, whole, base = ([self.merit(record) for record in records[side]] for side in self.sides())
        reason = ", ".join(f"{side} {spread(values)}" for side, values in scores.items()) + f" ({self.metric})"
        if not all(map(math.isfinite, (*part, *whole, *base))):
            return Verdict(NOT_SHOWN, f"{reason}: there are no marks where a run diverged")
        marks = [low + self.share * (high - low) for low, high in zip(base, whole, strict=True)]
        p, (gain, gained) = permutation_p(part, marks), (fmean(side) - fmean(base) for side in (whole, part))
        named = f"{self.share:.0%} of the way from {self.base} to {self.whole}"
        known = interval(part, marks)
        found = Comparison(self.metric, self.part, named, fmean(part) - fmean(marks), known, p, effect(part, marks))
        reason += f"; {self.part} has {gained / gain:.0%} of the gain" * (gain > 0) + f"; {found}"
        word = NOT_SHOWN
        if permutation_p(whole, base) <= LUCK:
            if known is not None and known[0] >= 0 and p <= LUCK:
                word = HOLDS
            elif permutation_p(marks, part) <= LUCK:
                word = CONTRADICTED
            elif permutation_p(part, base) <= LUCK:
                word = DIRECTION
        return Verdict(word, reason, (found,))


@dataclass(frozen=True)
class Shrinks(Scored):
    """What one side is ahead of another by is less among larger models: pairs of sides, compared seed by seed."""

    small: tuple[str, str]
    large: tuple[str, str]

    def sides(self) -> Sequence[str]:
        return (*self.small, *self.large)

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        (better, worse), (larger, other) = self.small, self.large
        return (
            f"each seed has two gaps in {self.metric}: how far {better} is ahead of {worse}, and {larger} of {other}; holds if "
            f"the mean of the first is larger everywhere in its 95 % interval, and {_BY_LUCK.partition(';')[0]}; in direction "
            f"if only the test does so; contradicted if it does so the other way round"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        better, worse, larger, other = ([self.merit(record) for record in records[side]] for side in self.sides())
        if not all(map(math.isfinite, (*better, *worse, *larger, *other))):
            return Verdict(NOT_SHOWN, f"there are no gaps where a run diverged ({self.metric})")
        small, large = ([a - b for a, b in zip(*pair, strict=True)] for pair in ((better, worse), (larger, other)))
        p, known = permutation_p(small, large), interval(small, large)
        named = f"{self.small[1]}, more than {self.large[0]} of {self.large[1]}"
        found = Comparison(
            self.metric, self.small[0], named, fmean(small) - fmean(large), known, p, effect(small, large)
        )
        reason = f"{self.small[0]} ahead by {spread(small)}, {self.large[0]} by {spread(large)} ({self.metric})"
        return _by_p(known is not None and known[0] > 0 and p <= LUCK, small, large, reason, found)


@dataclass(frozen=True)
class Climbs:
    """`better` learns `hops` hops (and all fewer) sooner than `worse`, which may never do so.

    Judged are the steps to the first evaluation that answers 1, ..., `hops` hops with at least `accuracy`: no budget has to
    be chosen at which to compare, as long as it is large enough for one of the sides.
    """

    better: str
    worse: str
    hops: int
    factor: float = 2.0
    accuracy: float = RUNG

    def sides(self) -> Sequence[str]:
        return (self.better, self.worse)

    def text(self, task: Task) -> str:
        metric_of(task, f"accuracy_k.{self.hops}")
        rungs = f"1 to {self.hops} hops" if self.hops > 1 else "1 hop"
        return (
            f"counted are the steps until {rungs} are answered with accuracy >= {self.accuracy:g}; holds if {self.better} gets "
            f"there on more than half of the seeds, in the median {self.factor:g} x sooner than {self.worse} (which may "
            f"never), and {_BY_LUCK}; in direction without the factor"
        )

    def steps(self, record: Record) -> float:
        """Steps to the rung; infinite if it was not reached."""
        for point in record.curve if record.status != "diverged" else ():
            scores = point.get("accuracy_k", {})
            asked = [float(scores[k]) for k in scores if int(k) <= self.hops]
            if asked and min(asked) >= self.accuracy:
                return float(point["step"])
        return math.inf

    def merit(self, record: Record) -> float:
        """Steps, the fewer the better; never to get there counts as twice the budget, so that means can be compared."""
        return -min(self.steps(record), 2.0 * record.run.training.steps)

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        return self.judge_times({side: [self.steps(r) for r in records[side]] for side in self.sides()}, "step")

    def judge_times(self, times: Mapping[str, Sequence[float]], clock: str) -> Verdict:
        """The same from the times to the rung, by whatever clock."""
        ours, theirs = times[self.better], times[self.worse]
        p = permutation_p([-t for t in ours], [-t for t in theirs])
        rung = f"{self.hops} hop{'s' * (self.hops > 1)}"
        reason = f"{rung} by {clock}: {self.better} {_times(ours)}; {self.worse} {_times(theirs)} (one number a seed)"
        middle, other = median(ours), median(theirs)
        ratio = other / middle if middle < math.inf and other < math.inf else None
        name = f"accuracy_k.{self.hops}"
        found = Comparison(name, self.better, self.worse, ratio, None, p, ratio=True)
        if middle < math.inf and other >= self.factor * middle and p <= LUCK:
            return Verdict(HOLDS, f"{reason}; p = {p:.3f}", (found,))
        return _by_p(False, [-t for t in ours], [-t for t in theirs], reason, found)


@dataclass(frozen=True)
class Noise(Scored):
    """Does the seed decide which of these sides comes out ahead, or (settled) the architecture?

    One seed of each of two sides makes a contest. Seeds decide about a pair if the better side loses at least one contest in
    ten; the architecture does, if it loses fewer. Every pair must agree.
    """

    compared: tuple[str, ...]
    settled: bool = False
    enough: float = 0.9

    def sides(self) -> Sequence[str]:
        return self.compared

    def text(self, task: Task) -> str:
        metric_of(task, self.metric)
        least, most = ("more", "less") if self.settled else ("less", "more")
        return (
            f"one seed of each of two sides makes a contest; holds if in every pair of {', '.join(self.compared)} the better "
            f"side would win {least} than {self.enough:.0%} of the contests ({self.metric}) everywhere in the 95 % interval; "
            f"contradicted if in some pair it is everywhere {most}"
        )

    def judge(self, records: Mapping[str, Sequence[Record]]) -> Verdict:
        return weakest([self._pair(records, *pair) for pair in combinations(self.compared, 2)])

    def _pair(self, records: Mapping[str, Sequence[Record]], one: str, other: str) -> Verdict:
        ours, theirs = ([self.merit(r) for r in records[side]] for side in (one, other))
        if won(ours, theirs) < 0.5:
            (one, ours), (other, theirs) = (other, theirs), (one, ours)
        share, (low, high) = won(ours, theirs), won_interval(ours, theirs)
        p = min(1.0, 2 * permutation_p(ours, theirs))
        found = Comparison(self.metric, one, other, share, (low, high), p, effect(ours, theirs))
        scores = [[record.score(self.metric) for record in records[side]] for side in (one, other)]
        reason = (
            f"{one} {spread(scores[0])} wins {share:.0%} [{low:.0%}, {high:.0%}] of its contests against {other} "
            f"{spread(scores[1])} ({self.metric})"
        )
        noisy, clear = high < self.enough, low > self.enough
        word = HOLDS if (clear if self.settled else noisy) else CONTRADICTED if noisy or clear else NOT_SHOWN
        return Verdict(word, reason, (found,))


def weakest(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim with several rules is as good as its weakest one; all reasons are kept."""
    word = max((v.word for v in verdicts), key=VERDICTS.index)
    return Verdict(word, "; ".join(v.reason for v in verdicts), sum((v.comparisons for v in verdicts), ()))


def _by_p(clear: bool, ours: Sequence[float], theirs: Sequence[float], reason: str, found: Comparison) -> Verdict:
    """The verdict on two sides: it holds where the bar is cleared, else the permutation test decides."""
    word = HOLDS if clear else DIRECTION if found.p <= LUCK else NOT_SHOWN
    if word == NOT_SHOWN and permutation_p(theirs, ours) <= LUCK:
        word = CONTRADICTED
    return Verdict(word, f"{reason}; {found}", (found,))


def _quotient(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The ratio of two means; the correction of the bootstrap may push one below nothing, which is then nothing."""
    with np.errstate(divide="ignore"):
        result: np.ndarray = np.maximum(ours, 0) / np.maximum(theirs, 1e-300)
    return result


def spread(values: Sequence[float]) -> str:
    """The mean, the smallest and the largest; runs that are infinitely bad are counted instead."""
    known = [value for value in values if math.isfinite(value)]
    lost = f"{len(values) - len(known)} diverged"
    if not known:
        return lost
    digits = 3 if max(known) < 0.1 else 2
    text = f"{sum(known) / len(known):.{digits}f} [{min(known):.{digits}f}-{max(known):.{digits}f}]"
    return text if len(known) == len(values) else f"{text} and {lost}"


def _times(values: Sequence[float]) -> str:
    return ", ".join("never" if math.isinf(value) else f"{value:,.0f}" for value in values)
