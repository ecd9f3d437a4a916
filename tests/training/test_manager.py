"""Runs in processes of their own: shared by all who ask, stopped at once, and never lost, whichever process is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import skip_reasons
import torch

import physlm_lite
from physlm_lite.base.files import locked
from physlm_lite.training import Progress, Record, Run, StorageError, Store, TooLarge, Training, train
from physlm_lite.training import manager as module
from physlm_lite.training.manager import Manager, somebody_waits

pytestmark = pytest.mark.usefixtures("one_thread")
posix = pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
LONG = 120.0  # seconds: a busy machine takes that long to import PyTorch a few times


def small(seed: int, steps: int = 40, evaluations: int = 4) -> Run:
    """A run of a fifth of a second; with 10**6 steps, one that does not end."""
    model = {"width": 8, "layers": 1, "heads": 1, "canon": "A"}
    training = Training(steps=steps, batch=2, warmup=3, evaluations=evaluations, evaluation_rows=4)
    return Run("copy", {"n": 6}, model, training, seed)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """One for all tests, so that PyTorch is imported twice and not twenty times."""
    with Manager(Store(tmp_path_factory.mktemp("kept")), checkpoint_seconds=0.3) as manager:
        yield manager


def until(condition: Callable[[], Any], seconds: float = LONG) -> Any:
    """The first answer that is not false."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)
    return answer


def scores(record: Record | None) -> list[dict[str, Any]]:
    """The curve without its times."""
    assert record is not None and record.status == "finished"
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]


def left_over(manager: Manager, run: Run) -> list[str]:
    return sorted(path.name for path in manager.store.folders[0].iterdir() if run.hash in path.name)


def process_of(manager: Manager, run: Run) -> psutil.Process:
    """The worker that carries out a run."""
    return next(
        psutil.Process(worker.process.pid)
        for worker in manager._crew
        if worker.handle is not None and worker.handle.run == run
    )


# -- one run -----------------------------------------------------------------------------------------------------------


def test_a_run_ends_as_in_this_process_and_leaves_nothing_but_its_record(manager: Manager) -> None:
    run = small(0)
    assert scores(manager.ask(run).result(LONG)) == scores(train(run))
    assert left_over(manager, run) == [f"{run.hash}.json"]


def test_all_evaluations_are_told_while_it_runs_and_again_when_it_is_known(manager: Manager) -> None:
    run = small(1, steps=400, evaluations=8)
    for _ in range(2):
        told: list[Progress] = []
        record = manager.train(run, progress=told.append)
        assert [p.scores["accuracy"] for p in told if p.scores] == [point["accuracy"] for point in record.curve]
        assert [p.step for p in told] == sorted({p.step for p in told})
        assert told[-1].step == 400 and told[-1].curve == record.curve


def test_who_asks_again_gets_the_same_run_or_its_record_at_once(manager: Manager) -> None:
    run = small(2)
    first, second = manager.ask(run), manager.ask(small(2))
    assert first is second
    record = first.result(LONG)
    begin = time.monotonic()
    with Manager(manager.store) as other:
        assert other.ask(run).result(0) == record
        assert other._crew == []
    assert time.monotonic() - begin < 1


def test_more_runs_than_workers_wait_for_their_turn(manager: Manager) -> None:
    handles = [manager.ask(small(seed)) for seed in range(10, 15)]
    assert [handle.result(LONG).run.seed for handle in handles] == list(range(10, 15))
    assert len(manager._crew) <= 2


def test_a_bound_on_the_wait_says_where_the_run_is(manager: Manager) -> None:
    handle = manager.ask(small(3, steps=10**6, evaluations=1))
    until(lambda: handle.step > 2)
    with pytest.raises(TimeoutError, match=rf"run {handle.run.hash} is at step \d+ of 1000000 after 0.01 s"):
        handle.result(0.01)
    handle.stop()
    assert handle.result(LONG) is None


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_a_stop_takes_less_than_a_second_and_loses_nothing(manager: Manager) -> None:
    run = small(20, steps=400)
    handle = manager.ask(run)
    until(lambda: handle.step > 20)
    begin = time.monotonic()
    handle.stop()
    assert handle.result(LONG) is None and handle.state == "stopped"
    assert time.monotonic() - begin < 1
    assert left_over(manager, run) == [f"{run.hash}.json", f"{run.hash}.safetensors"]
    again = manager.ask(run)
    assert again is not handle
    until(lambda: again.step)
    assert again.step >= handle.step
    assert scores(again.result(LONG)) == scores(train(run))
    assert left_over(manager, run) == [f"{run.hash}.json"]


def test_who_asks_while_it_stops_gets_it_going_again(manager: Manager) -> None:
    run = small(21, steps=200)
    handle = manager.ask(run)
    until(lambda: handle.step)
    handle.stop()
    again = manager.ask(run)
    assert again is not handle
    assert scores(again.result(LONG)) == scores(train(run))
    assert handle.result(0) is None


def test_what_waits_is_stopped_without_a_step(manager: Manager) -> None:
    handles = [manager.ask(small(seed, steps=10**6, evaluations=1)) for seed in (22, 23, 24)]
    until(lambda: handles[0].step and handles[1].step)
    assert handles[2].state == "waiting"
    for handle in reversed(handles):
        handle.stop()
        assert handle.result(LONG) is None
    assert left_over(manager, handles[2].run) == []


def test_train_stops_when_it_is_told_to_and_when_its_listener_fails(manager: Manager) -> None:
    run, steps = small(25, steps=10**6, evaluations=1), [0]

    def note(progress: Progress) -> None:
        steps[0] = progress.step

    def fail(progress: Progress) -> None:
        raise RuntimeError("no")

    assert manager.train(run, progress=note, stop=lambda: steps[0] > 5) is None
    with pytest.raises(RuntimeError, match=r"^no$"):
        manager.train(run, progress=fail)
    until(lambda: not manager._handles)
    assert left_over(manager, run) == [f"{run.hash}.json", f"{run.hash}.safetensors"]


# -- other processes ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_managers_share_a_run_and_one_takes_over_when_the_other_is_closed(manager: Manager) -> None:
    run = small(30, steps=600)
    handle = manager.ask(run)
    until(lambda: handle.step)
    with Manager(manager.store, workers=1, checkpoint_seconds=0.3) as other:
        shared = other.ask(run)
        until(lambda: shared.step > 20)
        assert shared.state == "elsewhere" and other._crew == []
        assert not somebody_waits(manager.store.folders[0]) or handle.state == "running"
        handle.stop()
        until(lambda: shared.state == "running")
        attached = manager.ask(run)
        assert scores(shared.result(LONG)) == scores(train(run))
        assert attached.result(5) == shared.result(0)
    assert left_over(manager, run) == [f"{run.hash}.json"]


def test_a_stop_lets_go_of_a_run_that_another_process_carries_out(manager: Manager) -> None:
    run = small(31, steps=10**6, evaluations=1)
    handle = manager.ask(run)
    until(lambda: handle.step)
    with Manager(manager.store, workers=1) as other:
        shared = other.ask(run)
        until(lambda: shared.state == "elsewhere")
        shared.stop()
        assert shared.result(1) is None
    step = handle.step
    until(lambda: handle.step > step)
    handle.stop()
    handle.result(LONG)


MANAGER = """
import json, signal, sys
from pathlib import Path
from physlm_lite.training import Run, Store
from physlm_lite.training.manager import Manager
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background switches it off
manager = Manager(Store(Path(sys.argv[2])), workers=1, checkpoint_seconds=0.3)
handle = manager.ask(Run.from_dict(json.loads(sys.argv[1])))
while not handle.wait(0.01):
    if handle.step > 20:
        print(manager._crew[0].process.pid, flush=True)
        handle.wait()
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_when_a_manager_is_killed_its_worker_saves_the_run_and_ends(
    manager: Manager, tmp_path: Path, name: str
) -> None:
    run = small(32, steps=10**6, evaluations=1)
    environment = {**os.environ, "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    command = [sys.executable, "-c", MANAGER, json.dumps(run.to_dict()), str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        worker = psutil.Process(int(process.stdout.readline()))
        try:
            process.send_signal(getattr(signal, name))
            worker.wait(LONG)
        finally:
            process.kill()
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name[0] != ".") == [".json", ".safetensors"]
    assert [path.name for path in tmp_path.glob(".*") if "interactive" not in path.name] == []
    assert not somebody_waits(tmp_path)
    assert list(tmp_path.glob(".*")) == []


@posix
@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(manager: Manager) -> None:
    run = small(40, steps=1000, evaluations=20)
    handle = manager.ask(run)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        step = handle.step
        until(lambda: handle.state == "running" and handle.step > step + 50)  # noqa: B023
        process = process_of(manager, run)
        process.send_signal(number)
        process.wait(LONG)
    assert scores(handle.result(LONG)) == scores(train(run))
    assert left_over(manager, run) == [f"{run.hash}.json"]


@posix
@pytest.mark.slow
def test_a_run_that_kills_its_process_at_one_place_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    run = small(41, steps=10**6, evaluations=1)
    with Manager(Store(tmp_path), workers=1) as manager:
        handle = manager.ask(run)
        for _ in range(3):
            until(lambda: manager._crew and manager._crew[0].state == "begun")
            worker = manager._crew[0]
            worker.process.kill()
            until(lambda: worker not in manager._crew)  # noqa: B023
        with pytest.raises(
            ChildProcessError, match=f"run {run.hash} was begun 3 times, and each time its process ended with"
        ):
            handle.result(LONG)


def test_a_process_that_cannot_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = pytest.raises(ChildProcessError, match=r"no process can be started.*ended with code 1: .*no torch here")
    with Manager(Store(tmp_path / "kept"), workers=1) as manager, said:
        manager.ask(small(43)).result(LONG)


ASKER = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from physlm_lite.training import Run, Store
from physlm_lite.training.manager import Manager
with Manager(Store(Path(sys.argv[2])), workers=1, checkpoint_seconds=0.3) as manager:
    handles = [manager.ask(Run.from_dict(run)) for run in json.loads(sys.argv[1])]
    assert all(handle.result() is not None for handle in handles)
"""


QUEUE = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from physlm_lite.claims import queue
from physlm_lite.training import Run, Store
queue.NICE = 0
store, runs = Store(Path(sys.argv[2])), [Run.from_dict(run) for run in json.loads(sys.argv[1])]
jobs = lambda: [queue.Job("R1 toy", run, 1.0) for run in runs if store.find(run) is None]
work = queue.Queue(store, jobs, (len(runs), 1.0), workers=1)
work.work()
assert not work.failed and not jobs(), work.failed
"""


def lives(process: psutil.Process) -> bool:
    """Does it do anything? Where nobody buries orphans, they stay as zombies."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Fuzz:
    """A manager and a queue that ask for the same runs, and signals at random to them, to their workers, or to both.

    Whoever has died is started again, and whoever is halted goes on after a while. sent: the signals that met somebody.
    """

    def __init__(self, runs: list[Run], folder: Path, dice: random.Random) -> None:
        self.runs, self.folder, self.dice = runs, folder, dice
        self.askers: dict[str, psutil.Popen] = {}
        self.halted: list[tuple[float, psutil.Process]] = []
        self.workers: set[psutil.Process] = set()
        self.records: dict[str, tuple[int, int]] = {}
        self.sent: list[str] = []

    def start(self, *kinds: str) -> None:
        """Start those who are not at work and have not come to their end."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
        for kind in kinds:
            asker = self.askers.get(kind)
            ended = None if asker is None else asker.poll()
            assert ended is None or ended <= 0 or self.sent, "it failed by itself"
            if asker is None or ended:
                command = [
                    sys.executable,
                    "-c",
                    kind,
                    json.dumps([run.to_dict() for run in self.runs]),
                    str(self.folder),
                ]
                self.askers[kind] = psutil.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    @property
    def done(self) -> bool:
        return all(asker.poll() == 0 for asker in self.askers.values())

    def look(self) -> None:
        """A whole record is never written again, and no run is at two processes at once."""
        for asker in self.askers.values():
            with suppress(psutil.NoSuchProcess):
                self.workers.update(asker.children())
        for until, process in [each for each in self.halted if each[0] < time.monotonic()]:
            self.halted.remove((until, process))
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        for run in self.runs:
            if (record := Store(self.folder).find(run)) is not None:
                state = (self.folder / f"{record.id}.json").stat()
                assert self.records.setdefault(record.id, (state.st_ino, state.st_mtime_ns)) == (
                    state.st_ino,
                    state.st_mtime_ns,
                )

    def signal(self) -> None:
        asker, kind = self.dice.choice([*self.askers.values()]), self.dice.choice(["worker", "manager", "both"])
        with suppress(psutil.NoSuchProcess):
            workers = asker.children() if kind != "manager" else []
            number = self.dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP])
            for target in [*([asker] if kind != "worker" else []), *workers]:
                target.send_signal(number)
                if number == signal.SIGSTOP:
                    self.halted.append((time.monotonic() + self.dice.uniform(0, 3), target))
            if workers or kind == "manager":
                self.sent.append(f"{number.name} to {kind}")

    def go(self, signals: int) -> None:
        try:
            self.start(ASKER, QUEUE)
            while len(self.sent) < signals and not self.done:
                end = time.monotonic() + self.dice.uniform(0, 12)
                while time.monotonic() < end:
                    self.look()
                    time.sleep(0.05)
                self.signal()
                self.start(ASKER, QUEUE)
            until(lambda: self.look() or self.start(ASKER, QUEUE) or self.done, 5 * LONG)
            self.askers.clear()
            self.start(ASKER)  # takes away what the killed ones left
            assert self.askers[ASKER].wait(5 * LONG) == 0
            until(lambda: self.look() or not any(map(lives, self.workers)))
        finally:
            for process in [*self.askers.values(), *self.workers]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


@posix
@pytest.mark.slow
def test_signals_at_random_cost_nothing_but_time(tmp_path: Path, signals: int = 3) -> None:
    runs = [small(seed, steps=500, evaluations=5) for seed in range(70, 73)]
    fuzz = Fuzz(runs, tmp_path, random.Random(6))
    fuzz.go(signals)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{run.hash}.json" for run in runs), fuzz.sent
    for run in runs:
        assert scores(Store(tmp_path).find(run)) == scores(train(run)), fuzz.sent


# -- what can go wrong -------------------------------------------------------------------------------------------------


def test_an_error_of_the_run_comes_to_whoever_asked(manager: Manager) -> None:
    run = small(50)
    checkpoint = manager.store.checkpoint(run)
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_text("no checkpoint")
    with pytest.raises(StorageError, match=r"is not a whole checkpoint of this kit.*; delete it to begin anew"):
        manager.ask(run).result(LONG)
    checkpoint.unlink()
    assert scores(manager.ask(run).result(LONG))


def test_a_run_that_is_too_large_is_refused_as_ever(manager: Manager) -> None:
    run = small(51).but(model={"width": 2**15, "layers": 1000, "heads": 1})
    with pytest.raises(TooLarge, match="choose a smaller scale"):
        manager.ask(run).result(LONG)


def test_what_stands_in_the_way_of_a_record_is_said_before_anything_is_run(manager: Manager) -> None:
    run = small(52)
    path = manager.store.folders[0] / f"{run.hash}.json"
    path.write_text("my notes")
    with pytest.raises(StorageError, match="is not a run record"):
        manager.ask(run)
    path.unlink()


def test_a_folder_that_goes_away_is_an_error_and_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise PermissionError("not yours")

    monkeypatch.setattr(Store, "taken", broken)
    with Manager(Store(tmp_path), workers=1) as manager, pytest.raises(PermissionError, match="not yours"):
        manager.ask(small(53)).result(LONG)


def test_a_closed_manager_says_so(tmp_path: Path) -> None:
    manager = Manager(Store(tmp_path))
    manager.close()
    manager.close()
    with pytest.raises(ValueError, match="this manager is closed"):
        manager.ask(small(54))


def test_there_is_at_least_one_worker(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        Manager(Store(tmp_path), workers=0)


# -- signs and files ---------------------------------------------------------------------------------------------------


def test_a_sign_stands_while_somebody_waits(manager: Manager) -> None:
    folder = manager.store.folders[0]
    until(lambda: not somebody_waits(folder))
    handle = manager.ask(small(60, steps=10**6, evaluations=1))
    until(lambda: somebody_waits(folder))
    handle.stop()
    handle.result(LONG)
    until(lambda: not somebody_waits(folder))
    assert list(folder.glob(".interactive*")) == []


def test_what_killed_processes_left_is_taken_away_but_not_what_is_in_use(tmp_path: Path) -> None:
    names = [".aaaaaaaaaaaa.progress", ".aaaaaaaaaaaa.progress.new", ".aaaaaaaaaaaa.lock", ".bbbbbbbbbbbb.progress"]
    for name in [*names, ".cccccccccccc.lock"]:
        (tmp_path / name).write_text("{")
    (tmp_path / ".physlm-killed.part").mkdir()
    store, done, again, half = Store(tmp_path), small(70), small(71), small(72)
    for run in (done, again):
        train(run, store=store)
    for run, seconds in ((done, -9), (again, 9), (half, -9)):  # the second was begun anew, for its model
        store.checkpoint(run).write_text("weights")
        now = time.time()
        os.utime(store.checkpoint(run), (now + seconds, now + seconds))
    kept = [f"{done.hash}.json", f"{again.hash}.json", f"{again.hash}.safetensors", f"{half.hash}.safetensors"]
    with locked(tmp_path / ".bbbbbbbbbbbb.lock"):
        module._sweep(store)
        found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted([".bbbbbbbbbbbb.lock", ".bbbbbbbbbbbb.progress", *kept])


def test_idle_workers_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.2)
    with Manager(Store(tmp_path), workers=1) as manager:
        assert scores(manager.ask(small(61)).result(LONG))
        until(lambda: manager._crew == [])


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_model_of_a_run_is_that_of_this_process_and_is_kept(manager: Manager) -> None:
    run, kept = small(80), []
    assert scores(manager.ask(run).result(LONG))  # its record alone is no model
    ((model, record),) = manager.models([run])
    train(run, keep=kept.append)
    for (name, ours), theirs in zip(model.named_parameters(), kept[0].model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    path = manager.store.weights(run)
    before = path.stat().st_mtime_ns
    assert manager.models([run])[0][1] == record and path.stat().st_mtime_ns == before
    assert left_over(manager, run) == [f"{run.hash}.json"]


def test_a_run_that_diverged_has_no_model(manager: Manager) -> None:
    with pytest.raises(ValueError, match="has no model: training diverged at step"):
        manager.models([small(81).but(learning_rate=1e6)])
