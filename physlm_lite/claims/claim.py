"""A claim of a paper, and the outcome of testing it at one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from ..base.strict import choose
from ..tasks import Metric
from ..training import Record
from .experiment import Experiment
from .first_protocol import as_it_was
from .rules import NOT_RUN, NOT_SHOWN, Climbs, Verdict, weakest

ENOUGH = {1: 3, 2: 5}  # seeds of each side before there is a verdict, by protocol
TRIED_FIRST = ("toy", "laptop", "paper")  # the scales that the first protocol had


def rows(setting: str, values: Mapping[str, str], *sides: str) -> tuple[Mapping[str, str], ...]:
    """The paper's numbers at one setting, as {side: value}; only those of `sides`, if any are named."""
    return tuple({"setting": setting, "side": side, "value": values[side]} for side in sides or values)


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, with which numbers, and how this kit tests it.

    paper: rows of published numbers, each a mapping such as {"setting": ..., "side": ..., "value": ...}.
    experiments: by scale, from small to large; "smoke" is made from the first of them. first: how the first protocol tried it,
    to be shown where no fresh seeds are in; like the experiments unless said otherwise. again: the claim that looks at the same
    thing in another way, on another task or with another budget; a contradiction is told together with what that one found.
    no_gpu: why what has a published setting has no experiment for one GPU, in one sentence.
    """

    id: str
    title: str
    source: str
    statement: str
    paper: Sequence[Mapping[str, Any]]
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    first: Mapping[str, Experiment] | None = None
    again: str = ""
    no_gpu: str = ""

    def __post_init__(self) -> None:
        if self.experiments and "smoke" not in self.experiments:
            smoke = next(iter(self.experiments.values())).smoke
            object.__setattr__(self, "experiments", {"smoke": smoke, **self.experiments})

    def experiment(self, scale: str) -> Experiment:
        """The experiment at a scale; a scale that this claim has not got is refused with the nearest one."""
        return choose(f"scale of {self.id}", scale, self.experiments)

    @cached_property
    def at_first(self) -> Mapping[str, Experiment]:
        """The experiments of the first protocol, by scale."""
        if self.first is not None:
            return self.first
        return {scale: as_it_was(experiment) for scale, experiment in self.experiments.items() if scale in TRIED_FIRST}


def not_judged(records: Mapping[str, Sequence[Record]], enough: int) -> Verdict | None:
    """Why there is no verdict on the records of these sides, of which each must have `enough`; None if there can be one."""
    seeds = {side: len(runs) for side, runs in records.items()}
    if min(seeds.values(), default=0) < enough:
        found = ", ".join(f"{side} {count}" for side, count in seeds.items())
        return Verdict(NOT_RUN, f"a verdict needs {enough} seeds of each side (recorded: {found})")
    for side, runs in records.items():
        if all(record.status == "diverged" for record in runs):
            return Verdict(NOT_SHOWN, f"every run of {side} diverged, even at its best rate: nothing to compare with")
    return None


@dataclass(frozen=True)
class Outcome:
    """The records of a claim at one scale, each side at its best rate, and what follows from them.

    in_time: the records at equal seconds, of the sides that have fewer steps then. sources: where each rate comes from:
    "tuned" here, "tuned, at an end" of what was tried, or "borrowed" from a place that is named. tried: the experiment that
    was carried out (None: that of the claim at this scale).
    """

    claim: Claim
    scale: str
    rates: Mapping[str, float]
    records: Mapping[str, Sequence[Record]]
    in_time: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    tried: Experiment | None = None

    @cached_property
    def experiment(self) -> Experiment:
        return self.tried or self.claim.experiment(self.scale)

    @property
    def protocol(self) -> int:
        """1: three seeds, which chose the rates, too; 2: rates chosen on some seeds, five others reported."""
        return self.experiment.format

    @cached_property
    def verdict(self) -> Verdict:
        """The rules' verdict at equal steps; smoke runs, missing seeds and a side that always diverged are not judged."""
        if self.scale == "smoke":
            return Verdict(NOT_RUN, "smoke runs only show that everything works")
        if (short := self._not_judged(self.records)) is not None:
            return short
        return weakest([rule.judge(self.records) for rule in self.experiment.rules])

    @cached_property
    def verdict_in_time(self) -> Verdict:
        """The verdict at equal seconds: the slower sides are trained with a shorter schedule; the bars are the same.

        Where depth is judged by the steps that it takes, these are turned into time instead.
        """
        experiment = self.experiment
        if not experiment.step_times or self.scale == "smoke":
            return Verdict(NOT_RUN, "the time of a step was not measured for this setting")
        if (short := self._not_judged(self.records)) is not None:
            return short
        records = {**self.records, **{side: self.in_time.get(side, ()) for side in self.slower}}
        found = []
        for rule in experiment.rules:
            if isinstance(rule, Climbs):
                took = {
                    side: [rule.steps(record) * experiment.step_times[side] for record in self.records[side]]
                    for side in rule.sides()
                }
                found.append(rule.judge_times(took, "time, in steps of the fastest side"))
            elif (short := self._not_judged(records, rule.sides())) is not None:
                found.append(short)
            else:
                found.append(rule.judge(records))
        return weakest(found)

    @property
    def slower(self) -> list[str]:
        """The sides that have fewer steps at equal seconds, as far as a rule asks for them."""
        asked = {side for rule in self.experiment.rules if not isinstance(rule, Climbs) for side in rule.sides()}
        return [side for side in self.experiment.sides if side in asked and self.experiment.is_slower(side)]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: every seed of every side, at equal steps and at equal seconds."""
        asked = len(self.experiment.seeds)
        timed = not self.experiment.step_times or all(len(self.in_time.get(side, ())) == asked for side in self.slower)
        return timed and all(len(records) == asked for records in self.records.values())

    def _not_judged(self, records: Mapping[str, Sequence[Record]], sides: Sequence[str] = ()) -> Verdict | None:
        """Why there is no verdict on these records; None if there can be one."""
        named = sides or [side for rule in self.experiment.rules for side in rule.sides()]
        return not_judged({side: records.get(side, ()) for side in named}, ENOUGH[self.protocol])

    def equal_seconds(self, metric: str) -> dict[str, list[float]]:
        """Scores at equal training time: the last evaluation of each run within the time of the fastest side.

        A run cut inside its schedule has not yet seen its low learning rates, so this is a lower bound for the slower
        side. A diverged run has the worst score, and its short time says nothing of its side's speed.
        """
        measured = self.experiment.metric(metric)
        whole = {side: [r for r in records if r.status == "finished"] for side, records in self.records.items()}
        limit = min((fmean(r.seconds for r in records) for records in whole.values() if records), default=0.0)

        def score(record: Record) -> float:
            inside = [point for point in record.curve if point["seconds"] <= 1.02 * limit] or record.curve[:1]
            return measured.of(inside[-1]) if record.status == "finished" else measured.worst

        return {side: [score(record) for record in records] for side, records in self.records.items()}

    def floors(self, metric: Metric) -> dict[str, float]:
        """What guessing and simple means score, by name."""
        guess = {} if metric.chance is None else {"guessing": metric.chance}
        return {**guess, **self.experiment.floors.get(metric.name, {})}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: paper values, our values for each seed, verdict, budget and record ids (see `ledger.SCHEMA`)."""
        experiment, runs = self.experiment, [r for records in self.records.values() for r in records]
        extra = [r for records in self.in_time.values() for r in records]
        judged, in_time = self.verdict, self.verdict_in_time
        return {
            "claim": self.claim.id,
            "title": self.claim.title,
            "source": self.claim.source,
            "basis": "recorded",
            "scale": self.scale,
            "protocol": self.protocol,
            "paper": [dict(row) for row in self.claim.paper],
            "rule": list(experiment.rule_texts),
            "verdict": judged.word,
            "reason": judged.reason,
            "comparisons": [comparison.to_dict() for comparison in judged.comparisons],
            "equal_seconds": {
                "verdict": in_time.word,
                "reason": in_time.reason,
                "step_times": dict(experiment.step_times),
                "comparisons": [comparison.to_dict() for comparison in in_time.comparisons],
            },
            "budget": {
                "steps": experiment.training.steps,
                "batch": experiment.training.batch,
                "runs": len(runs) + len(extra),
                "seconds": round(sum(r.seconds for r in (*runs, *extra)), 1),
            },
            "floors": {metric.name: self.floors(metric) for metric in experiment.panels},
            "simplified": experiment.simplified,
            "history": list(experiment.history),
            "learning_rate_grid": list(experiment.tuning.grid),
            "sides": {
                side: {
                    "learning_rate": self.rates.get(side),
                    "rate_source": self.sources.get(side, ""),
                    "runs": [_run(record) for record in records],
                    "runs_in_time": [_run(record) for record in self.in_time.get(side, ())],
                }
                for side, records in self.records.items()
            },
        }


def _run(record: Record) -> dict[str, Any]:
    return {
        "seed": record.run.seed,
        "scores": {k: v for k, v in record.final.items() if k not in ("step", "seconds")},
        "steps": record.run.training.steps,
        "seconds": round(record.seconds, 1),
        "parameters": record.parameters,
        "status": record.status,
        "record": record.id,
    }
