"""A run leaves a record: what it was, what it measured over time, and what it cost."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal

from .. import __version__
from ..base.files import StorageError, locked, write_json
from ..base.strict import NotNegative, Range, UnknownName, Whole, build
from ..tasks import Metric, metric_of
from .config import FORMAT, Run

log = logging.getLogger(__name__)
LARGEST = 2**26  # bytes of a record; ours have thousands
Status = Literal["finished", "stopped", "diverged"]


@dataclass(frozen=True)
class Record:
    """Everything kept of one run.

    curve: one entry for each evaluation: step, seconds of training so far, tokens, loss (mean since the last entry),
    and the grader's scores. status: "finished", "stopped" (by hand, at the last step of the curve) or "diverged".
    seconds: of training, without evaluation (on one CPU thread: the time that the thread worked, so that a busy machine
    does not distort it). peak_memory_mb: of the whole process, so an upper bound. format: the one in which the run was
    carried out; what an earlier one has left can be looked at, but not run again.
    """

    run: Run
    status: Status
    curve: list[dict[str, Any]]
    seconds: NotNegative
    evaluation_seconds: NotNegative
    parameters: Whole
    peak_memory_mb: NotNegative
    machine: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    format: Annotated[int, Range(1, FORMAT)] = FORMAT

    @cached_property
    def id(self) -> str:
        return self.run.name_in(self.format)

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
            "format": self.format,
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
        """The inverse of `to_dict`; ValueError for whatever no run can have left."""
        content = dict(content)
        claimed = content.pop("id", None)
        record = build(cls, {"format": 1, **content, "run": Run.from_dict(content["run"])})
        if claimed is not None and claimed != record.id:
            raise ValueError(f"record {claimed} does not belong to its configuration, whose hash is {record.id}")
        steps, times = ([point[name] for point in record.curve] for name in ("step", "seconds"))
        if not all(type(step) is int for step in steps) or steps != sorted(set(steps)):
            raise ValueError("the steps of its curve do not rise")
        if not all(type(time) in (int, float) and 0 <= time < math.inf for time in times):
            raise ValueError("the seconds of its curve are no times")
        if record.status == "finished" and not record.curve:
            raise ValueError("it is finished, but its curve is empty")
        return record


def runs_folder() -> Path:
    """Where this user's records and checkpoints are kept: PHYSLM_RUNS, or .physlm/runs in the home folder.

    Raises StorageError if that is in the home folder of somebody who has none.
    """
    named = os.environ.get("PHYSLM_RUNS") or "~/.physlm/runs"
    try:
        folder, home = Path(named).expanduser(), Path(named).parts[0]
        found = home == "~" or not home.startswith("~") or Path(home).expanduser().is_dir()
    except RuntimeError:
        found = False
    if not found:
        raise StorageError(f"{named} begins with a home folder that does not exist; name another folder in PHYSLM_RUNS")
    return folder


class Store:
    """Records in folders, found again by the hash of their configuration. New ones go to the first folder.

    A file that is no record is named once, as a warning, and skipped.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders or (runs_folder(),)
        self.lenders = self.folders  # of learning rates
        self._known: dict[Path, tuple[tuple[int, int, int], Record | None]] = {}
        for folder in self.folders:
            if folder.exists() and not folder.is_dir():
                raise StorageError(f"{folder} is a file where records need a folder; choose another with PHYSLM_RUNS")

    def find(self, run: Run, format: int = FORMAT) -> Record | None:
        """The record of exactly this run (seed included), if it was finished or diverged."""
        records = (self._usable(folder / f"{run.name_in(format)}.json") for folder in self.folders)
        return next((record for record in records if record is not None and record.status != "stopped"), None)

    def add(self, record: Record) -> Path:
        """Write a record; a whole one needs its checkpoint no longer."""
        path = self.folders[0] / f"{record.id}.json"
        write_json(path, record.to_dict())
        if record.status != "stopped":
            self.checkpoint(record.run).unlink(missing_ok=True)
        return path

    def checkpoint(self, run: Run) -> Path:
        """Where the state of an unfinished run is kept."""
        return self.folders[0] / f"{run.hash}.safetensors"

    def outlived(self, checkpoint: Path) -> bool:
        """Was a whole record written after this checkpoint, which nobody lived to remove?"""
        path = checkpoint.with_suffix(".json")
        record = self._usable(path) if path.exists() else None
        return record is not None and record.status != "stopped" and checkpoint.stat().st_mtime < path.stat().st_mtime

    def weights(self, run: Run) -> Path:
        """Where the weights of a whole run are kept, if somebody asked for its model."""
        return self.folders[0] / "weights" / f"{run.hash}.safetensors"

    def progress(self, run: Run) -> Path:
        """Where a worker keeps how far a run is, while it carries it out."""
        return self.folders[0] / f".{run.hash}.progress"

    def refuse_occupied(self, run: Run) -> None:
        """`StorageError` if something that is no record of this run stands where its record will go."""
        path = self.folders[0] / f"{run.hash}.json"
        if os.path.lexists(path):
            read_record(path)

    @contextmanager
    def lock(self, run: Run, stop: Callable[[], bool] | None = None) -> Iterator[bool]:
        """Keep all others off a run while it is carried out: true once nobody else is at it, false if `stop` says yes."""
        said = "run %s is being carried out already, by another process or thread: waiting for it"
        for attempt in count():
            with locked(self._lock(run)) as held:
                if held is not False:
                    yield True
                    return
            if stop is not None and stop():
                yield False
                return
            if attempt == 0:
                log.warning(said, run.hash)
            time.sleep(0.1)

    def taken(self, run: Run) -> bool:
        """Is somebody carrying out a run just now?"""
        if not self._lock(run).exists():
            return False
        with locked(self._lock(run)) as held:
            return held is False

    def _lock(self, run: Run) -> Path:
        return self.folders[0] / f".{run.hash}.lock"

    def __iter__(self) -> Iterator[Record]:
        seen = set()
        for folder in self.folders:
            if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
                _say_once(f"skipped: {folder}: it may not be read; change its permissions, or set PHYSLM_RUNS")
            for path in sorted(folder.glob("*.json")):
                if path.name not in seen and (record := self._usable(path)) is not None:
                    seen.add(path.name)
                    yield record

    def _usable(self, path: Path) -> Record | None:
        """`_if_usable`, which reads a file again only when it has changed."""
        try:
            state = path.stat()
        except OSError:
            return _if_usable(path)
        key = (state.st_ino, state.st_mtime_ns, state.st_size)
        if path not in self._known or self._known[path][0] != key:
            self._known[path] = key, _if_usable(path)
        return self._known[path][1]


class Anew(Store):
    """An empty store; its whole records go to `kept` at once, so that no end of this process takes them away."""

    def __init__(self, kept: Store, folder: Path) -> None:
        super().__init__(folder)
        self.kept = kept
        self.lenders = (*self.folders, *kept.folders)

    def add(self, record: Record) -> Path:
        path = super().add(record)
        return path if record.status == "stopped" else self.kept.add(record)


def _if_usable(path: Path) -> Record | None:
    """The record in a file, or None: if there is no file, or one that cannot be used, which is then said."""
    if not os.path.lexists(path):
        return None
    try:
        return read_record(path)
    except StorageError as error:
        _say_once(f"skipped: {error}")
        return None


@cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


def read_record(path: Path) -> Record:
    """The record in a file named after its hash, or one sentence that says what is wrong with it."""
    content: Any = None
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise ValueError("it is not a file of a record's size")
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_number)
        record = Record.from_dict(content)
        if path.stem != record.id:
            raise ValueError(f"it holds {record.id}, another configuration")
        return record
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, KeyError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        written_as = content.get("format", 1) if isinstance(content, dict) else 1
        newer = isinstance(error, UnknownName) or _version_of(content) > _version(__version__)
        newer = newer or (type(written_as) is int and written_as > FORMAT)
    if newer:
        raise StorageError(
            f"{path} is not a run record that this version reads ({reason}): a newer one wrote it; update the kit, or "
            "choose another folder with PHYSLM_RUNS"
        )
    raise StorageError(f"{path} is not a run record ({reason}); delete it to run that configuration again")


def rename_records(folder: Path) -> int:
    """Give the records in a folder the names that their runs have now, after an update that names runs in another way.

    Returns how many were renamed; what is no record, and a record whose new name is taken, stays as it is.
    """
    renamed = 0
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_number)
            record = Record.from_dict({name: value for name, value in content.items() if name != "id"})
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            continue
        if not (new := path.with_name(f"{record.id}.json")).exists():
            write_json(new, record.to_dict())
            path.unlink()
            renamed += 1
    return renamed


def _number(name: str) -> float:
    """JSON's extra words: a loss can be infinite, but nothing that we measure is NaN."""
    if name != "Infinity":
        raise ValueError(f"{name} is not a number that a run can have")
    return math.inf


def _version_of(content: Any) -> tuple[int, ...]:
    """The version of the kit that a record's content names, () if it names none."""
    machine = content.get("machine") if isinstance(content, dict) else None
    return _version(str(machine.get("physlm", ""))) if isinstance(machine, dict) else ()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", text))
