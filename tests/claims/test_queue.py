"""The queue: everything once, in the order that is asked for, out of the way of whoever waits, and stopped from anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import skip_reasons

import physlm_lite
from physlm_lite.base.files import StorageError, locked
from physlm_lite.claims import queue as module
from physlm_lite.claims.queue import Job, Queue, queue_status, stop_queue
from physlm_lite.training import Record, Run, Store, Training, train
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")
LONG = 120.0
ENDLESS = 10**6


@pytest.fixture(autouse=True)
def _not_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, nice workers need minutes to import PyTorch, and the tests wait for them."""
    monkeypatch.setattr(module, "NICE", 0)


def job(seed: int, steps: int = 40, row: str = "R1 toy") -> Job:
    """A run of a fifth of a second, or one that does not end."""
    training = Training(steps=steps, batch=2, warmup=3, evaluations=1, evaluation_rows=4)
    return Job(row, Run("copy", {"n": 6}, {"width": 8, "layers": 1, "heads": 1}, training, seed), 0.1 * steps)


def to_do(store: Store, *jobs: Job) -> Callable[[], Sequence[Job]]:
    """Those of the jobs that the store lacks."""
    return lambda: [job for job in jobs if store.find(job.run) is None]


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + LONG
    while not (answer := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return answer


@contextmanager
def at(queue: Queue) -> Iterator[threading.Thread]:
    """A queue at work in another thread."""
    thread = threading.Thread(target=queue.work)
    thread.start()
    try:
        yield thread
    finally:
        stop_queue(queue.folder)
        thread.join(LONG)
        assert not thread.is_alive()


def same(store: Store, run: Run) -> bool:
    """Is the record there, and that of a run without interruptions?"""
    found = store.find(run)

    def scores(record: Record) -> list[dict[str, Any]]:
        return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]

    return found is not None and scores(found) == scores(train(run))


def test_everything_is_done_once_and_said(tmp_path: Path) -> None:
    store, said, asked = Store(tmp_path), [], []
    jobs = [job(seed, row=f"R{seed} toy") for seed in (3, 1, 2)]
    jobs.insert(1, jobs[0]._replace(row="R4 toy"))  # needs the same run

    def ask() -> Sequence[Job]:
        asked.append(1)
        return to_do(store, *jobs)()

    Queue(store, ask, (3, 12.0), workers=1, say=said.append).work()
    assert [line.split(":")[0] for line in said] == ["R3 toy", "R1 toy", "R2 toy"]
    assert said[0].endswith("; 2 more") and said[2].endswith("; 0 more")
    assert len(asked) == 4  # and not at every look
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({f"{job.run.hash}.json" for job in jobs})
    Queue(store, ask, (0, 0.0), workers=1, say=said.append).work()
    assert len(said) == 3


def test_it_is_watched_and_stopped_from_outside_and_is_alone(tmp_path: Path) -> None:
    store, endless = Store(tmp_path), job(1, ENDLESS)
    assert queue_status(tmp_path) is None and not stop_queue(tmp_path)
    queue = Queue(store, to_do(store, endless, job(2)), (2, endless.seconds + 4), workers=1)
    with at(queue) as thread:
        status = until(lambda: (s := queue_status(tmp_path)) and s["going"] and s["going"][0]["step"] > 3 and s)
        assert (status["going"][0]["row"], status["going"][0]["run"]) == ("R1 toy", endless.run.hash)
        assert (status["left"], status["makes_room"]) == (2, False)
        assert 0.9 * endless.seconds < status["seconds"] < endless.seconds + 4
        with pytest.raises(StorageError, match=r"a queue is at work in .* already; `physlm queue` shows it"):
            Queue(store, list, (0, 0.0)).work()
        begin = time.monotonic()
        assert stop_queue(tmp_path)
        thread.join(LONG)
        assert time.monotonic() - begin < 4
    assert queue_status(tmp_path) is None
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_it_makes_room_for_whoever_waits_and_goes_on_later(tmp_path: Path) -> None:
    store, mine, theirs = Store(tmp_path), job(1, 800), job(2)
    queue = Queue(store, to_do(store, mine), (1, mine.seconds), workers=1)
    with at(queue) as thread:
        until(lambda: (s := queue_status(tmp_path)) and s["going"] and s["going"][0]["step"] > 3)
        with Manager(store, workers=1) as manager:
            handle = manager.ask(theirs.run)
            status = until(lambda: (s := queue_status(tmp_path)) and s["makes_room"] and not s["going"] and s)
            assert status["left"] == 1
            assert store.checkpoint(mine.run).exists() and not store.taken(mine.run)
            assert handle.result(LONG) is not None
            shared = manager.ask(mine.run)  # he may have it himself
            assert shared.result(LONG) is not None
        thread.join(LONG)
    assert same(store, mine.run) and same(store, theirs.run)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_that_fails_is_said_and_left_out(tmp_path: Path) -> None:
    store, said, good, bad = Store(tmp_path), [], job(1), job(2)
    store.checkpoint(bad.run).write_text("no checkpoint")
    queue = Queue(store, to_do(store, bad, good), (2, 8.0), workers=1, say=said.append)
    queue.work()
    assert list(queue.failed) == [bad.run.hash] and same(store, good.run)
    assert said[0].startswith(f"R1 toy: run {bad.run.hash} failed: ") and "is not a whole checkpoint" in said[0]


def test_after_its_hours_what_runs_is_saved(tmp_path: Path) -> None:
    store, endless = Store(tmp_path), job(1, ENDLESS)
    queue = Queue(store, to_do(store, endless), (1, endless.seconds), workers=1, hours=1)

    def end_soon() -> None:
        until(lambda: queue._going and queue._going[0][1].step > 3)
        queue.until = time.monotonic()

    thread = threading.Thread(target=end_soon)
    thread.start()
    queue.work()
    thread.join()
    assert store.checkpoint(endless.run).exists() and not store.taken(endless.run)


def test_whoever_only_looks_keeps_no_queue_from_starting(tmp_path: Path) -> None:
    looking = threading.Event()

    def look() -> None:
        with locked(tmp_path / ".queue.lock"):
            looking.set()
            time.sleep(0.15)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    Queue(Store(tmp_path), list, (0, 0.0)).work()
    thread.join()


def test_what_a_killed_queue_said_is_forgotten_by_whoever_looks(tmp_path: Path) -> None:
    for name in (".queue", ".queue.lock", ".queue.stop"):
        (tmp_path / name).write_text("{}")
    assert queue_status(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_members_work_side_by_side_and_are_seen_and_stopped_together(tmp_path: Path) -> None:
    store, endless = Store(tmp_path), [job(seed, ENDLESS) for seed in (1, 2)]
    first, second = (
        Queue(store, to_do(store, *endless), (2, 2 * endless[0].seconds), workers=1, member=i) for i in (1, 2)
    )
    hashes = sorted(each.run.hash for each in endless)
    with at(first) as one, at(second) as other:
        status = until(
            lambda: (
                (s := queue_status(tmp_path))
                and len(s["going"]) == 2
                and all(each["step"] > 3 for each in s["going"])
                and s
            )
        )
        assert [each["run"] for each in status["going"]] == hashes
        assert status["left"] == 2 and status["seconds"] < 1.1 * endless[0].seconds  # two of them take half as long
        with pytest.raises(StorageError, match="member 2 of a queue is at work in"):
            Queue(store, list, (0, 0.0), member=2).work()
        assert stop_queue(tmp_path)
        for thread in (one, other):
            thread.join(LONG)
            assert not thread.is_alive()
    assert queue_status(tmp_path) is None
    assert sorted(path.stem for path in tmp_path.glob("*.safetensors")) == hashes
    assert not list(tmp_path.glob(".queue*"))


BEGUN = """
import os, time
from physlm_lite.training import trainer

def step(self, original=trainer.Trainer.train_step):
    if self.step == 0:
        with open(os.environ["BEGUN"], "a") as file:
            file.write(f"{self.run.hash} {os.environ['MEMBER']}\\n")
    time.sleep(0.05)
    return original(self)

trainer.Trainer.train_step = step
"""
MEMBER = """
import json, os, sys
from pathlib import Path
from physlm_lite.claims import queue
from physlm_lite.claims.queue import Job, Queue
from physlm_lite.training import Run, Store
queue.NICE = 0
store, runs = Store(Path(sys.argv[2])), [Run.from_dict(run) for run in json.loads(sys.argv[1])]
jobs = lambda: [Job("R1 toy", run, 1.0) for run in runs if store.find(run) is None]
Queue(store, jobs, (len(runs), 1.0), workers=1, member=int(os.environ["MEMBER"])).work()
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.slow
def test_no_run_is_carried_out_twice_by_members_that_share_a_folder_also_when_one_is_killed(tmp_path: Path) -> None:
    store, runs = Store(tmp_path / "runs"), [job(seed, 60).run for seed in range(6)]
    (tmp_path / "runs").mkdir()
    (tmp_path / "sitecustomize.py").write_text(BEGUN)
    command = [sys.executable, "-c", MEMBER, json.dumps([run.to_dict() for run in runs]), str(tmp_path / "runs")]
    own = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(physlm_lite.__file__).parents[1])]),
        "BEGUN": str(tmp_path / "begun"),
        "OMP_NUM_THREADS": "1",
    }

    def begun() -> list[tuple[str, str]]:
        path = tmp_path / "begun"
        return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []  # type: ignore[misc]

    members = [subprocess.Popen(command, env={**os.environ, **own, "MEMBER": name}) for name in "12"]
    try:
        until(lambda: {member for _, member in begun()} == {"1", "2"})
        members[0].kill()
        assert members[1].wait(LONG) == 0
    finally:
        for member in members:
            member.kill()
            member.wait()
    assert sorted(name for name, _ in begun()) == sorted(run.hash for run in runs)
    assert all(same(store, run) for run in runs)
    assert queue_status(tmp_path / "runs") is None  # whoever looks takes away what the killed one left
    assert sorted(path.suffix for path in (tmp_path / "runs").iterdir()) == [".json"] * len(runs)


QUEUE = """
import json, sys
from pathlib import Path
from physlm_lite.claims import queue
from physlm_lite.claims.queue import Job, Queue
from physlm_lite.training import Run, Store
queue.NICE = 0
store, run = Store(Path(sys.argv[2])), Run.from_dict(json.loads(sys.argv[1]))
Queue(store, lambda: [Job("R1 toy", run, 1.0)] if store.find(run) is None else [], (1, 1.0), workers=1).work()
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.slow
def test_a_killed_queue_keeps_no_other_from_going_on(tmp_path: Path) -> None:
    store, mine = Store(tmp_path), job(1, 300)
    environment = {**os.environ, "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    command = [sys.executable, "-c", QUEUE, json.dumps(mine.run.to_dict()), str(tmp_path)]
    with subprocess.Popen(command, env=environment) as process:
        until(lambda: (s := queue_status(tmp_path)) and s["going"] and s["going"][0]["step"] > 3)
        process.kill()
    assert queue_status(tmp_path) is None
    until(lambda: not store.taken(mine.run))
    Queue(store, to_do(store, mine), (1, 1.0), workers=1).work()
    assert same(store, mine.run)
    assert [path.name for path in tmp_path.iterdir()] == [f"{mine.run.hash}.json"]
