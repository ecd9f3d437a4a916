"""Hand-ins are carried out in processes of their own, and what they answered is compared here, where nothing of theirs runs.

A hand-in that has to be stopped is begun again without the exercise that was at fault, so that one bad exercise hides no
other. What is guarded against depends on the system (`confine`); each report says it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ..base.printable import printable
from ..lab.checks import PATIENCE, Exercise, Tried, judged
from ..lab.copies import PACKAGE
from .answers import decoded
from .confine import EVERYTHING, MEMORY
from .hand_in import OWN, NotReadable, cells_of, exercises_in, lessons_in
from .worker import FORKS, LESSONS

Status = Literal["right", "mistake", "wrong", "crashed", "slow", "stopped", "open"]
KEPT_OF_THE_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "PYTHONPATH", "LD_LIBRARY_PATH")
GRACE, LOOK = 2.0, 0.02  # seconds: until who does not end by itself is ended; between two looks
ENDS = {
    -11: "crashed its process",
    -6: "crashed its process",
    -24: "took too much of the processor",
    -9: "was ended by the system",
}
LONGEST = 2000  # letters of a message
MOST_FILES = 100_000_000  # bytes of all files together


@dataclass(frozen=True)
class Limits:
    """What a hand-in may take: seconds an exercise, seconds for all else together, bytes of memory."""

    exercise: float = PATIENCE
    other: float = 30.0
    memory: int = 1_500_000_000


@dataclass(frozen=True)
class Said:
    """What is to be said of one exercise; `mistake` is its name where it has one."""

    exercise: str
    status: Status
    said: str = ""
    mistake: str = ""


@dataclass(frozen=True)
class Report:
    """What is to be said of one hand-in; `problem` where it could not be looked at."""

    name: str
    exercises: tuple[Said, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()
    guarded: tuple[str, ...] = EVERYTHING


@dataclass
class _Go:
    """What one process has told until it ended; it may tell anything, at any time."""

    cells: int
    told: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    exercise: str = ""
    cell: int = 0
    in_cell: tuple[str, ...] = ()
    offence: str = ""
    guarded: tuple[str, ...] | None = None
    done: bool = False
    slow: bool = False
    code: int = 0
    since: float = field(default_factory=time.monotonic)

    def take(self, line: bytes) -> None:
        """One line of the process; what has not the form of any is passed over."""
        with contextlib.suppress(ValueError, TypeError, RecursionError, AttributeError):
            event = json.loads(line)
            if "begin" in event:
                self.exercise, self.since = str(event["begin"]), time.monotonic()
            elif "exercise" in event:
                self.told.setdefault(str(event["exercise"]), event)
                self.exercise, self.since = "", time.monotonic()
            elif "cell" in event:
                self.cell, self.in_cell = self._number(event["cell"]), tuple(map(str, event["checks"]))
            elif "failed" in event:
                self.failed[self._number(event["failed"])] = str(event["said"])[:LONGEST]
            elif "guarded" in event and self.guarded is None:  # it is said before anything of theirs is run
                self.guarded = tuple(map(str, event["guarded"]))
            self.offence = self.offence or str(event.get("offence", ""))[:LONGEST]
            self.done = self.done or event.get("done") is True

    def _number(self, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= self.cells:
            raise ValueError("there is no such cell")
        return value


class Checker:
    """Checks hand-ins one after the other, `with Checker() as checker: checker.check(path)`; it holds one waiting process."""

    def __init__(self, limits: Limits | None = None, secret: Sequence[Path] = (), forks: bool = FORKS) -> None:
        """secret: files and folders that no hand-in may read, such as the others' work; its own folder is one of them.

        forks: whether one process imports everything, and a child of it carries a hand-in out.
        """
        self.limits, self.secret, self.forks = limits or Limits(), list(secret), forks
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Checker:
        self._folder = tempfile.TemporaryDirectory(prefix="physlm-check-", ignore_cleanup_errors=True)
        self._started()  # which imports meanwhile
        self._known = {lesson: import_module(f"physlm_lite.lessons.{lesson}").check.exercises for lesson in LESSONS}
        return self

    def __exit__(self, *_: object) -> None:
        self._end_worker()
        self._folder.cleanup()

    def check(self, path: Path, name: str | None = None) -> Report:
        """Carry a notebook out and say what is to be said of it; nothing that it does is an error here."""
        name = printable(name or path.name)
        try:
            cells = cells_of(path)
        except NotReadable as error:
            return Report(name, problem=str(error))
        exercises: dict[str, Exercise] = {}
        for lesson in lessons_in(cells):
            exercises |= self._known.get(lesson, {})
        if not exercises:
            return Report(
                name, problem="no exercise of this kit is in it (`from physlm_lite.lessons.... import check`)"
            )
        said, failed, guarded = self._all_goes(cells, exercises, path)
        for each in exercises:
            if each not in said:
                said[each] = self._untold(each, cells, failed)
        notes = [f"cell {n} failed: {text}" for n, text in failed.items() if not exercises_in(cells[n - 1])]
        if any(OWN.search(cell) for cell in cells):
            notes.append("the layer of your own is trained and judged in the notebook, not here")
        return Report(name, tuple(said[each] for each in exercises), "", tuple(map(printable, notes)), guarded)

    def _untold(self, name: str, cells: Sequence[str], failed: Mapping[int, str]) -> Said:
        """Of an exercise whose check was not come to."""
        theirs = [number for number, cell in enumerate(cells, 1) if name in exercises_in(cell)]
        if not theirs:
            return Said(name, "open", "its cell is not in this notebook")
        reason = next((failed[number] for number in theirs if number in failed), "its check was not come to")
        return Said(name, "crashed", f"its cell failed: {printable(reason)}")

    def _all_goes(
        self, cells: Sequence[str], exercises: Mapping[str, Exercise], path: Path
    ) -> tuple[dict[str, Said], dict[int, str], tuple[str, ...]]:
        """Carry it out, again and again until nothing of it has to be stopped, or its time is up."""
        said: dict[str, Said] = {}
        failed: dict[int, str] = {}
        passed_over: set[int] = set()
        whole = self.limits.other + len(exercises) * (self.limits.exercise + GRACE)
        until = time.monotonic() + whole
        while True:
            go = self._go(cells, [*said], passed_over, path, until)
            told = {name: event for name, event in go.told.items() if name in exercises}
            said |= {name: self._judge(name, exercises[name], event) for name, event in told.items()}
            failed |= go.failed
            if go.done or (not go.exercise and (go.cell == 0 or go.cell in passed_over)):
                break
            status: Status = "slow" if go.slow and not go.offence else "stopped"
            limit = self.limits.exercise if go.exercise else self.limits.other
            why = go.offence or (f"stopped after {limit:g} s" if go.slow else ENDS.get(go.code, "ended its process"))
            guilty = [go.exercise] if go.exercise else [name for name in go.in_cell if name not in said]
            if time.monotonic() > until:
                guilty, why = (
                    [name for name in exercises if name not in said],
                    f"all of it was stopped after {whole:g} s",
                )
            said |= {name: Said(name, status, printable(why)) for name in guilty if name in exercises}
            if not go.exercise:
                failed.setdefault(go.cell, why)
                passed_over.add(go.cell)
            if time.monotonic() > until or go.exercise not in (*exercises, ""):
                break
        return said, failed, EVERYTHING if go.guarded is None else go.guarded

    def _judge(self, name: str, exercise: Exercise, event: Mapping[str, Any]) -> Said:
        """Compare the answers of a hand-in, which may be anything, with those that are expected."""
        try:
            ended, told = str(event["ended"]), printable(str(event["said"])[:LONGEST])
            if ended == "memory":
                return Said(name, "stopped", self._full)
            if ended == "refused":
                return Said(name, "stopped", told)
            answers = tuple(decoded(each) for each in event["answers"])
            result = judged(name, exercise, Tried(answers, ended, told))
        except Exception as error:
            return Said(name, "wrong", f"its answers cannot be compared ({type(error).__name__})")
        if result.status == "passed":
            return Said(name, "right")
        statuses: dict[str, Status] = {"open": "open", "raised": "crashed", "slow": "slow"}
        status = statuses.get(ended, "mistake" if result.mistake else "wrong")
        return Said(name, status, "" if status == "open" else result.message, result.mistake or "")

    @property
    def _full(self) -> str:
        return f"asked for more than {self.limits.memory / 1e9:g} GB of memory"

    # -- the process ---------------------------------------------------------------------------------------------------

    def _go(
        self, cells: Sequence[str], skip: Sequence[str], passed_over: Collection[int], path: Path, until: float
    ) -> _Go:
        with tempfile.TemporaryDirectory(dir=self._folder.name, ignore_cleanup_errors=True) as place:
            folder, events = Path(place) / "home", Path(place) / "events"
            folder.mkdir()
            events.touch()
            secret = [str(each.resolve()) for each in (path.resolve().parent, *self.secret)]
            request: dict[str, Any] = {
                "cells": cells,
                "skip": skip,
                "passed_over": [*passed_over],
                "folder": str(folder),
                "events": str(events),
                "secret": secret,
                "memory": self.limits.memory,
                "patience": self.limits.exercise,
                "seconds": int(self.limits.other + (self.limits.exercise + GRACE) * 20),
            }
            worker = self._started()
            assert worker.stdin is not None and worker.stdout is not None
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.flush()
            number = int(worker.stdout.readline() or 0) if self.forks else worker.pid
            if number == 0:
                raise ValueError("the process that carries hand-ins out does not start here; see `physlm doctor`")
            go = _Go(len(cells))
            with events.open("rb") as file:
                rest = b""
                for over in self._until_the_end(worker, number, go):
                    *lines, rest = (rest + file.read()).split(b"\n")
                    for line in lines:
                        go.take(line)
                    if not over and (time.monotonic() > until or self._too_much(go, number, folder)):
                        go.slow = go.slow or not go.offence
                        _kill(number)
            _kill_group(number)  # where it could start others
            return go

    def _until_the_end(self, worker: subprocess.Popen[bytes], number: int, go: _Go) -> Iterator[bool]:
        """Look again and again, and once more when the process has ended."""
        assert worker.stdout is not None
        while True:
            if self.forks:
                over = bool(select.select([worker.stdout], [], [], LOOK)[0])
                if over and (line := worker.stdout.readline()):
                    go.code = int(line.split()[1])
                elif over:  # the waiting process is gone, too
                    _kill(number)
                    self._end_worker()
            else:
                time.sleep(LOOK)
                if over := worker.poll() is not None:
                    self._end_worker()
            yield over
            if over:
                return

    def _too_much(self, go: _Go, number: int, folder: Path) -> bool:
        """Has its time run out, has it written too much, or, where the system does not see to that, taken too much memory?"""
        limit = self.limits.exercise + GRACE if go.exercise else self.limits.other
        with contextlib.suppress(OSError):  # a file may go between two looks
            if sum(file.lstat().st_size for file in folder.rglob("*")) > MOST_FILES:
                go.offence = go.offence or f"wrote more than {MOST_FILES / 1e6:g} MB"
                return True
        if MEMORY not in (EVERYTHING if go.guarded is None else go.guarded):
            import psutil

            with contextlib.suppress(psutil.Error):
                if psutil.Process(number).memory_info().rss > self.limits.memory + 1e9:
                    go.offence = go.offence or self._full
                    return True
        return time.monotonic() - go.since > limit

    def _started(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            environment = {name: os.environ[name] for name in KEPT_OF_THE_ENVIRONMENT if name in os.environ}
            path = os.pathsep.join(filter(None, (str(PACKAGE.parent), environment.get("PYTHONPATH"))))
            environment |= dict(PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1", MPLBACKEND="Agg")
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "physlm_lite.classroom.worker", *([] if self.forks else ["alone"])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=self._folder.name,
                start_new_session=True,
            )
        return self._worker

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            for stream in (worker.stdin, worker.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]
            _kill(worker.pid)
            worker.wait()


def _kill(number: int) -> None:
    """End a process that has a session of its own, with all that is in it."""
    if number > 0 and not _kill_group(number):
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGTERM if os.name != "posix" else signal.SIGKILL)


def _kill_group(number: int) -> bool:
    """End what is left of a process's session; False if there is nothing, or no sessions here."""
    if os.name == "posix" and number > 0:
        with contextlib.suppress(OSError):
            os.killpg(number, signal.SIGKILL)
            return True
    return False
