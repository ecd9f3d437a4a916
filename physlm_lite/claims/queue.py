"""A queue of runs for the ledger: on all cores while nobody waits for another run, watched and stopped from anywhere.

A folder has one queue, or several members of one, on as many machines: each takes the next run that nobody has yet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..base.files import StorageError, locked, refuse_unwritable, remove_text, replace_text
from ..base.machine import available_cores
from ..training import Run, Store
from ..training.manager import Handle, Manager, somebody_waits

LOOK = 0.2  # seconds between two looks
NICE = 10  # of its workers, as for the command
REST = 2.0  # seconds without anybody who waits, before the queue goes on


class Job(NamedTuple):
    """A run, the row of the ledger that needs it, and about how many seconds it takes."""

    row: str
    run: Run
    seconds: float


class Queue:
    """Carries out the first of the jobs that are asked for, until there are none, one run a core.

    jobs: asked again whenever a core is free; the most wanted first. A job whose run failed is said and left out. expected:
    how many they will have been, and how many seconds they take together, to say how far everything is. workers: runs at a
    time (default: one a core). hours: after so many, what runs is stopped and saved. say: told a line at each end of a run.
    member: the number of one of several that work in this folder side by side (None: the only one). While somebody waits for a
    run of his own in this folder, all runs are saved and make room.
    """

    def __init__(
        self,
        store: Store,
        jobs: Callable[[], Iterable[Job]],
        expected: tuple[int, float],
        *,
        workers: int | None = None,
        hours: float | None = None,
        member: int | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.store, self.folder, self.jobs, self.say = store, store.folders[0], jobs, say
        self.place = _Place(self.folder / (".queue" if member is None else f".queue-{member}"))
        self.workers = available_cores() if workers is None else workers
        self.until = float("inf") if hours is None else time.monotonic() + 3600 * hours
        self.failed: dict[str, Exception] = {}
        self._left, self._seconds = expected
        self._going: list[tuple[Job, Handle]] = []
        self._made_room = self._looked = -REST

    def work(self) -> None:
        """Until all is done, the time is over, or another terminal stops it; StorageError if another queue is at work."""
        refuse_unwritable(self.folder)
        with self.place.held(), Manager(self.store, self.workers, interactive=False, nice=NICE) as manager:
            while True:
                replace_text(self.place.status, json.dumps(self.status()))
                if self.place.stop.exists() or time.monotonic() > self.until:
                    break
                self._gather()
                if somebody_waits(self.folder):
                    self._made_room = time.monotonic()
                    for _, handle in self._going:
                        handle.stop()
                elif time.monotonic() - self._made_room > REST and not self._fill(manager):
                    break
                time.sleep(LOOK)

    def _gather(self) -> None:
        """Say what has ended since the last look."""
        for job, handle in [(job, handle) for job, handle in self._going if handle.wait(0)]:
            self._going.remove((job, handle))
            self._looked = -REST
            try:
                record = handle.result()
                said = "" if record is None else f"{record.status} after {record.seconds:.0f} s"
            except Exception as error:  # one run's misfortune is not that of the others
                self.failed[job.run.hash], said = error, f"failed: {error}"
            if said:
                self._left, self._seconds = max(self._left - 1, len(self._going)), max(self._seconds - job.seconds, 0.0)
                self.say(f"{job.row}: run {job.run.hash} {said}; {self._left} more")

    def _fill(self, manager: Manager) -> bool:
        """Begin what there is room for; false if nothing is left to do."""
        room = self.workers - sum(handle.state != "elsewhere" for _, handle in self._going)
        if room > 0 and time.monotonic() - self._looked > REST:  # where nothing is left, it is seldom looked for
            taken = self.failed.keys() | {job.run.hash for job, _ in self._going}
            found = list(islice((job for job in self.jobs() if job.run.hash not in taken), room))
            if len(found) < room:
                self._looked = time.monotonic()
            for job in found:
                if all(job.run.hash != other.run.hash for other, _ in self._going):  # two rows may need the same run
                    self._going.append((job, manager.ask(job.run)))
        return bool(self._going)

    def status(self) -> dict[str, Any]:
        """JSON-ready: what is going on, and how much is left, as `physlm queue` shows it."""
        done = sum(job.seconds * handle.step / job.run.training.steps for job, handle in self._going)
        return {
            "going": [
                {"row": job.row, "run": job.run.hash, "step": handle.step, "steps": job.run.training.steps}
                for job, handle in self._going
            ],
            "left": self._left,
            "seconds": max(self._seconds - done, 0.0) / self.workers,
            "makes_room": time.monotonic() - self._made_room <= REST,
        }


# -- from another terminal ---------------------------------------------------------------------------------------------


class _Place:
    """The files by which a queue, or a member of one, is known: a lock, what it is at, and the wish that it stops."""

    def __init__(self, base: Path) -> None:
        self.base, self.status = base, base
        self.lock, self.stop = (base.with_name(base.name + end) for end in (".lock", ".stop"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one here."""
        for last in [False] * 5 + [True]:
            with locked(self.lock) as held:
                if held is not False:
                    self._forget()
                    try:
                        yield
                    finally:
                        self._forget()
                    return
            if last:
                who = (
                    "a queue"
                    if self.base.name == ".queue"
                    else f"member {self.base.name.rpartition('-')[2]} of a queue"
                )
                raise StorageError(
                    f"{who} is at work in {self.base.parent} already; `physlm queue` shows it, --stop ends it"
                )
            time.sleep(LOOK / 2)  # it may have been somebody who only looked

    @property
    def at_work(self) -> bool:
        if not self.lock.exists():
            return False
        with locked(self.lock) as held:
            if held:  # a queue was killed
                self._forget()
            return held is False

    def _forget(self) -> None:
        """Take away what a queue and those who watch it have written; to be done under its lock."""
        self.stop.unlink(missing_ok=True)
        remove_text(self.status)


def _at_work(folder: Path) -> list[_Place]:
    """The queues of a folder: one, or the members of one."""
    places = [_Place(path.with_suffix("")) for path in sorted(folder.glob(".queue*.lock"))]
    return [place for place in places if place.at_work]


def queue_status(folder: Path) -> dict[str, Any] | None:
    """What the queue of this folder is at, all its members together (see `Queue.status`); None if there is none."""
    found: list[dict[str, Any]] = []
    for place in _at_work(folder):
        with suppress(OSError, ValueError):
            found.append(dict(json.loads(place.status.read_text(encoding="utf-8"))))
    if len(found) < 2:
        return found[0] if found else None
    going = {job["run"]: job for status in found for job in status["going"]}  # one carries it out, others wait for it
    speeds = [1 / max(status["seconds"], 1e-9) for status in found]
    return {
        "going": [going[run] for run in sorted(going)],
        "left": min(status["left"] for status in found),
        "seconds": 1 / sum(speeds),
        "makes_room": all(status["makes_room"] for status in found),
    }


def stop_queue(folder: Path, seconds: float = 10.0) -> bool:
    """Stop the queue of this folder, with all its members, which save their runs first; false if there is none."""
    if not (places := _at_work(folder)):
        return False
    for place in places:
        place.stop.touch()
    until = time.monotonic() + seconds
    while any(place.at_work for place in places) and time.monotonic() < until:
        time.sleep(LOOK)
    for place in places:
        if not place.at_work:
            place.stop.unlink(missing_ok=True)  # it may have ended by itself at this moment
    return True
