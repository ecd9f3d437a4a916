"""A claim of a paper, and the outcome of testing it at one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from ..base.strict import choose
from ..training import Record
from .experiment import Experiment
from .rules import ENOUGH_SEEDS, NOT_RUN, NOT_SHOWN, Verdict, weakest


def rows(setting: str, values: Mapping[str, str], *sides: str) -> tuple[Mapping[str, str], ...]:
    """The paper's numbers at one setting, as {side: value}; only those of `sides`, if any are named."""
    return tuple({"setting": setting, "side": side, "value": values[side]} for side in sides or values)


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, with which numbers, and how this kit tests it.

    paper: rows of published numbers, each a mapping such as {"setting": ..., "side": ..., "value": ...}.
    experiments: by scale, from small to large; "smoke" is made from the first of them.
    """

    id: str
    title: str
    source: str
    statement: str
    paper: Sequence[Mapping[str, Any]]
    experiments: Mapping[str, Experiment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.experiments and "smoke" not in self.experiments:
            smoke = next(iter(self.experiments.values())).smoke
            object.__setattr__(self, "experiments", {"smoke": smoke, **self.experiments})

    def experiment(self, scale: str) -> Experiment:
        """The experiment at a scale; a scale that this claim has not got is refused with the nearest one."""
        return choose(f"scale of {self.id}", scale, self.experiments)


@dataclass(frozen=True)
class Outcome:
    """The records of a claim at one scale, each side at its best rate, and what follows from them."""

    claim: Claim
    scale: str
    rates: Mapping[str, float]
    records: Mapping[str, Sequence[Record]]

    @cached_property
    def experiment(self) -> Experiment:
        return self.claim.experiment(self.scale)

    @cached_property
    def verdict(self) -> Verdict:
        """The rules' verdict; smoke runs, fewer than three seeds and a side that always diverged are not judged."""
        if self.scale == "smoke":
            return Verdict(NOT_RUN, "smoke runs only show that everything works")
        seeds = {side: len(records) for side, records in self.records.items()}
        judged = {side: seeds.get(side, 0) for rule in self.experiment.rules for side in rule.sides()}
        if min(judged.values()) < ENOUGH_SEEDS:
            found = ", ".join(f"{side} {count}" for side, count in judged.items())
            return Verdict(NOT_RUN, f"a verdict needs {ENOUGH_SEEDS} seeds of each side (recorded: {found})")
        for side in judged:
            if all(record.status == "diverged" for record in self.records[side]):
                return Verdict(
                    NOT_SHOWN, f"every run of {side} diverged, even at its best rate: nothing to compare with"
                )
        return weakest([rule.judge(self.records) for rule in self.experiment.rules])

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: paper values, our values for each seed, verdict, budget and record ids."""
        experiment = self.experiment
        return {
            "claim": self.claim.id,
            "title": self.claim.title,
            "source": self.claim.source,
            "scale": self.scale,
            "paper": [dict(row) for row in self.claim.paper],
            "rule": list(experiment.rule_texts),
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "simplified": experiment.simplified,
            "learning_rate_grid": list(experiment.tuning.grid),
            "sides": {
                side: {
                    "learning_rate": self.rates.get(side),
                    "runs": [
                        {
                            "seed": r.run.seed,
                            "scores": {k: v for k, v in r.final.items() if k not in ("step", "seconds")},
                            "steps": r.run.training.steps,
                            "seconds": round(r.seconds, 1),
                            "parameters": r.parameters,
                            "status": r.status,
                            "record": r.id,
                        }
                        for r in records
                    ],
                }
                for side, records in self.records.items()
            },
        }
