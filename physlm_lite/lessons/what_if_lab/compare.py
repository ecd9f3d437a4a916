"""Is a difference real? The ledger's own rule on the seeds at hand, and how many it would take; and the claim that would ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ...claims.claim import ENOUGH, not_judged
from ...claims.experiment import Experiment
from ...claims.rules import NOT_RUN, Ahead, Verdict
from ...claims.sides import Side
from ...claims.statistics import LUCK, seeds_needed
from ...lab.plots import colour
from ...tasks import Metric
from ...training import Record
from .nearest import differences
from .trial import Trial

SEEDS = ENOUGH[2]  # of each side, before there is a verdict
MANY = 1000  # seeds a side: nobody will run so many of so small a difference


@dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but their seed, under one name. trial: from which they come; None: the ledger."""

    name: str
    records: tuple[Record, ...]
    trial: Trial | None = None
    claim: str = ""

    def scores(self, metric: Metric) -> list[float]:
        return [record.score(metric.name) for record in self.records]


@dataclass(frozen=True)
class Judged:
    """What the ledger's rule says of two rows, and what is missing. more: seeds of each side (None: no number would do)."""

    verdict: Verdict
    sofar: Verdict | None
    more: int | None
    advice: str


def judge(ours: Row, theirs: Row, metric: str) -> Judged:
    """Is our side ahead of the other? ValueError where the two cannot be compared: other data, or no such score."""
    for row in (ours, theirs):
        _ = row.records[0].metric(metric)
    if ours.name == theirs.name:
        raise ValueError(f"both rows are {ours.name!r}; choose two different ones")
    data = [name for name in differences(ours.records[0].run, theirs.records[0].run) if name.startswith("task.")]
    if ours.records[0].run.task != theirs.records[0].run.task or data:
        raise ValueError(
            f"the two rows learn different data ({', '.join(data) or 'another task'}), so their scores cannot be compared"
        )
    rule, records = Ahead(metric, ours.name, theirs.name), {row.name: row.records for row in (ours, theirs)}
    short = not_judged(records, SEEDS)
    sofar = rule.judge(records) if min(map(len, records.values())) > 1 else None
    more, advice = _missing(records[ours.name], records[theirs.name], sofar)
    verdict = short if short is not None else sofar
    assert verdict is not None  # enough seeds are more than one
    return Judged(verdict, sofar, more, advice)


def _missing(ours: Sequence[Record], theirs: Sequence[Record], sofar: Verdict | None) -> tuple[int | None, str]:
    """How many seeds more each side needs, and that in words."""
    have = min(len(ours), len(theirs))
    if sofar is None:
        return SEEDS - have, f"One seed is an anecdote: {SEEDS - have} more of each side make a verdict possible."
    (found,) = sofar.comparisons
    if found.p <= LUCK and have >= SEEDS:
        return 0, "The seeds at hand are enough."
    if found.difference is not None and found.difference <= 0:
        return (
            None,
            "So far it is not ahead at all, so that no number of seeds would make it so: ask the other way round.",
        )
    if found.effect is None:
        more = max(SEEDS - have, 0)
        return (
            more,
            f"The seeds do not vary, so {more} more of each side decide it." if more else "There is nothing to decide.",
        )
    needed = seeds_needed(found.effect, least=SEEDS)
    if needed > MANY:
        return (
            None,
            f"If the difference is what it looks like, more than {MANY:,} seeds of each side would not be enough.",
        )
    more = max(needed - have, 0) or 1
    return more, (
        f"If the difference is what it looks like ({found.effect:.1f} deviations between seeds), about {needed} seeds of each "
        f"side find it in four of five tries: {more} more."
    )


def sentence(ours: Row, theirs: Row, metric: Metric, found: Judged) -> str:
    """The question and its answer in plain words."""
    means = [fmean(row.scores(metric)) for row in (ours, theirs)]
    asked = (
        f"Is {ours.name} ahead of {theirs.name} in {metric.label}? {means[0]:.3g} against {means[1]:.3g} in the mean."
    )
    word = found.verdict.word
    said = (
        f"Not judged yet: {found.verdict.reason}."
        if word == NOT_RUN
        else f"The ledger's word: {word} ({found.verdict.reason})."
    )
    return f"{asked} {said}"


def experiment_of(ours: Trial, theirs: Trial, metric: str) -> Experiment:
    """The experiment of a claim that one trial is ahead of another: both at every rate of the setting's grid, on fresh seeds.

    ValueError where they differ in more than their models, which is no claim about a side.
    """
    if ours.base.task != theirs.base.task or (apart := _apart(ours, theirs)):
        named = "another task" if ours.base.task != theirs.base.task else ", ".join(apart)
        raise ValueError(f"a claim compares models with the same data and budget; these differ in {named}")
    if ours.model == theirs.model and ours.setting == theirs.setting:
        raise ValueError("a claim compares two models, and these are one and the same")
    base, names = ours.base, (ours.name, theirs.name if theirs.name != ours.name else f"{theirs.name}, again")
    changed = base.but(
        training={name: getattr(ours.budget, name) for name in ours.training},
        task_options={**base.task_options, **ours.task},
        name="",
        select=metric,
        shown=(metric,),
        floors={} if ours.task else base.floors,
        simplified="",
        history=(),
    )
    sides = [Side(name, colour(name), dict(trial.model)) for name, trial in zip(names, (ours, theirs), strict=True)]
    return changed.compare(sides, Ahead(metric, *names))


def _apart(ours: Trial, theirs: Trial) -> list[str]:
    """What two trials on a task differ in, beside what a side may say."""
    if ours.setting == theirs.setting:
        return [name for name in differences(ours.runs[0], theirs.runs[0]) if not name.startswith("model.")]
    return ["the setting"]
