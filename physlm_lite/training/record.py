"""A run leaves a record: what it was, what it measured over time, and what it cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.files import StorageError, write_json
from ..base.strict import build, unknown
from ..tasks.metric import Metric, metric_of
from .config import Run

STATUSES = ("finished", "stopped", "diverged")


@dataclass(frozen=True)
class Record:
    """Everything kept of one run.

    curve: one entry for each evaluation: step, seconds of training so far, tokens, loss (mean since the last entry),
    and the grader's scores. status: "finished", "stopped" (by hand, at the last step of the curve) or "diverged".
    seconds: of training, without evaluation (on one CPU thread: the time that the thread worked, so that a busy machine
    does not distort it). peak_memory_mb: of the whole process, so an upper bound.
    """

    run: Run
    status: str
    curve: list[dict[str, Any]]
    seconds: float
    evaluation_seconds: float
    parameters: int
    peak_memory_mb: float
    machine: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def id(self) -> str:
        return self.run.hash

    @property
    def final(self) -> dict[str, Any]:
        """The scores of the last evaluation."""
        return self.curve[-1] if self.curve else {}

    def metric(self, name: str) -> Metric:
        """What the run's task says of one of its scores; an unknown one is refused with the nearest."""
        return metric_of(self.run.made_task, name)

    def score(self, name: str) -> float:
        """One number of the last evaluation; "accuracy_k.2" reads inside a nested score.

        A diverged run has the worst score there is (see `Metric.worst`).
        """
        metric = self.metric(name)
        return metric.of(self.final) if self.status != "diverged" else metric.worst

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "run": self.run.to_dict(),
            "status": self.status,
            "parameters": self.parameters,
            "seconds": round(self.seconds, 2),
            "evaluation_seconds": round(self.evaluation_seconds, 2),
            "peak_memory_mb": round(self.peak_memory_mb),
            "machine": self.machine,
            "note": self.note,
            "curve": self.curve,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Record:
        content = dict(content)
        claimed = content.pop("id", None)
        content["run"] = Run.from_dict(content["run"])
        if content.get("status") not in STATUSES:
            raise unknown("status", content.get("status"), STATUSES)
        record = build(cls, content)
        if claimed is not None and claimed != record.id:
            raise ValueError(f"record {claimed} does not belong to its configuration, whose hash is {record.id}")
        return record


def runs_folder() -> Path:
    """Where this user's records and checkpoints are kept: PHYSLM_RUNS, or .physlm/runs in the home folder."""
    return Path(os.environ.get("PHYSLM_RUNS") or Path.home() / ".physlm" / "runs").expanduser()


class Store:
    """Records in folders, found again by the hash of their configuration. New ones go to the first folder."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders or (runs_folder(),)
        for folder in self.folders:
            if folder.exists() and not folder.is_dir():
                raise StorageError(f"{folder} is a file where records need a folder; choose another with PHYSLM_RUNS")

    def find(self, run: Run) -> Record | None:
        """The record of exactly this run (seed included), if it was finished or diverged."""
        for folder in self.folders:
            path = folder / f"{run.hash}.json"
            if path.exists():
                record = read_record(path)
                if record.status != "stopped":
                    return record
        return None

    def add(self, record: Record) -> Path:
        path = self.folders[0] / f"{record.id}.json"
        write_json(path, record.to_dict())
        return path

    def __iter__(self) -> Iterator[Record]:
        seen = set()
        for path in self._paths():
            if path.name not in seen:
                seen.add(path.name)
                yield read_record(path)

    def _paths(self) -> Iterable[Path]:
        for folder in self.folders:
            yield from sorted(folder.glob("*.json"))


def read_record(path: Path) -> Record:
    """The record in a file named after its hash, or one sentence that says what is wrong with it."""
    try:
        record = Record.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except KeyError as error:
        raise _not_a_record(path, f"it lacks {error}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _not_a_record(path, str(error)) from error
    if path.stem != record.id:
        raise _not_a_record(path, f"it holds {record.id}, another configuration")
    return record


def _not_a_record(path: Path, reason: str) -> StorageError:
    return StorageError(f"{path} is not a run record ({reason}); delete it to run that configuration again")
