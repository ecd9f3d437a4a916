"""A queue of runs for the ledger: on all cores while nobody waits for another run, watched and stopped from anywhere."""

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
    While somebody waits for a run of his own in this folder, all runs are saved and make room.
    """

    def __init__(
        self,
        store: Store,
        jobs: Callable[[], Iterable[Job]],
        expected: tuple[int, float],
        *,
        workers: int | None = None,
        hours: float | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.store, self.folder, self.jobs, self.say = store, store.folders[0], jobs, say
        self.workers = available_cores() if workers is None else workers
        self.until = float("inf") if hours is None else time.monotonic() + 3600 * hours
        self.failed: dict[str, Exception] = {}
        self._left, self._seconds = expected
        self._going: list[tuple[Job, Handle]] = []
        self._made_room = -REST

    def work(self) -> None:
        """Until all is done, the time is over, or another terminal stops it; StorageError if another queue is at work."""
        refuse_unwritable(self.folder)
        with _held(self.folder), Manager(self.store, self.workers, interactive=False, nice=NICE) as manager:
            while True:
                replace_text(_status(self.folder), json.dumps(self.status()))
                if _stop(self.folder).exists() or time.monotonic() > self.until:
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
        if room > 0:
            taken = self.failed.keys() | {job.run.hash for job, _ in self._going}
            for job in list(islice((job for job in self.jobs() if job.run.hash not in taken), room)):
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


def _status(folder: Path) -> Path:
    return folder / ".queue"


def _stop(folder: Path) -> Path:
    return folder / ".queue.stop"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Be the only queue of this folder."""
    for last in [False] * 5 + [True]:
        with locked(folder / ".queue.lock") as held:
            if held is not False:
                _forget(folder)
                try:
                    yield
                finally:
                    _forget(folder)
                return
        if last:
            raise StorageError(f"a queue is at work in {folder} already; `physlm queue` shows it, --stop ends it")
        time.sleep(LOOK / 2)  # it may have been somebody who only looked


def _at_work(folder: Path) -> bool:
    if not (path := folder / ".queue.lock").exists():
        return False
    with locked(path) as held:
        if held:  # a queue was killed
            _forget(folder)
        return held is False


def _forget(folder: Path) -> None:
    """Take away what a queue and those who watch it have written; to be done under its lock."""
    _stop(folder).unlink(missing_ok=True)
    remove_text(_status(folder))


def queue_status(folder: Path) -> dict[str, Any] | None:
    """What the queue of this folder is at (see `Queue.status`); None if there is none."""
    with suppress(OSError, ValueError):
        if _at_work(folder):
            return dict(json.loads(_status(folder).read_text(encoding="utf-8")))
    return None


def stop_queue(folder: Path, seconds: float = 10.0) -> bool:
    """Stop the queue of this folder, which saves its runs first; false if there is none."""
    if not _at_work(folder):
        return False
    _stop(folder).touch()
    until = time.monotonic() + seconds
    while _at_work(folder) and time.monotonic() < until:
        time.sleep(LOOK)
    if not _at_work(folder):
        _stop(folder).unlink(missing_ok=True)  # it may have ended by itself at this moment
    return True
