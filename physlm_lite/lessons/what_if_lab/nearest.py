"""The recorded runs that are nearest to a trial: sides of the ledger's claims, by how many options they differ from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...claims import CLAIMS, recorded
from ...tasks import Metric
from ...training import Record, Run
from ...training.config import DEFAULTS, differing
from .price import known

HOW_MANY = 3
WEIGHT = {"task": 2.0, "model": 1.0, "training": 0.5}  # of an option that differs


@dataclass(frozen=True)
class Recorded:
    """A side of a claim at a scale, at its best rate: the records of all its seeds."""

    claim: str
    scale: str
    side: str
    records: tuple[Record, ...]

    @property
    def run(self) -> Run:
        return self.records[0].run

    @property
    def name(self) -> str:
        return f"{self.side}, {self.claim} at {self.scale}"


@cache
def sides_of(task: str) -> Sequence[Recorded]:
    """Every recorded side of the ledger on a task, each once: claims share their runs."""
    found: dict[str, Recorded] = {}
    for claim in CLAIMS.values():
        for scale, experiment in claim.experiments.items():
            if experiment.task != task or experiment.full_size or scale == "smoke":
                continue
            outcome = recorded(claim, scale, known())
            for side, records in outcome.records.items():
                whole = tuple(record for record in records if record.status == "finished")
                if whole and outcome.protocol == 2:
                    found.setdefault(whole[0].id, Recorded(claim.id, scale, side, whole))
    return list(found.values())


def options_of(run: Run) -> dict[str, Any]:
    """All that sets a run apart but its rate and seed, by dotted names."""
    setting, training = run.setting, differing(dataclasses.asdict(run.training), DEFAULTS["training"])
    training.pop("learning_rate", None)
    parts: Mapping[str, Mapping[str, Any]] = {
        "task": setting["task_options"],
        "model": setting["model"],
        "training": training,
    }
    return {f"{part}.{name}": value for part, options in parts.items() for name, value in options.items()}


def differences(run: Run, other: Run) -> list[str]:
    """The dotted names of the options in which two runs of a task differ."""
    ours, theirs = options_of(run), options_of(other)
    return [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]


def nearest(run: Run, metric: Metric, most: int = HOW_MANY) -> list[tuple[Recorded, list[str]]]:
    """The recorded sides that are nearest to a run and have its score, each with the options that differ."""
    found = [
        (side, differences(run, side.run))
        for side in sides_of(run.task)
        if metric.name in side.run.made_task.metrics and side.run.task == run.task
    ]
    return sorted(found, key=lambda pair: sum(WEIGHT[name.partition(".")[0]] for name in pair[1]))[:most]
