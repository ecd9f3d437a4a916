"""The one way to carry out runs beside what else is going on: each in a process of its own, found again by its name."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal
from uuid import uuid4

import torch

from ..base.files import StorageError, load_tensors, locked, refuse_unwritable, remove_stale, remove_text
from ..base.printable import on_one_line
from ..models import LanguageModel
from .config import Run
from .cost import TooLarge
from .loop import Progress
from .record import Anew, Record, Store

TICK = 0.1  # seconds between two looks at everything
HURRY = 0.5  # seconds after which a run that has not even begun is stopped by force
GRACE = 2.0  # seconds that workers have to save their runs when all is closed
IDLE = 300.0  # seconds after which a worker without work is let go
TRIES = 3  # processes that may die at one place of a run
PACKAGE = Path(__file__).parents[2]
ERRORS = {error.__name__: error for error in (StorageError, TooLarge, ValueError, MemoryError)}


class Handle:
    """A run that somebody asked for.

    state: "elsewhere" is a run of another process, whose progress is followed. step, seconds, loss: how far it is; curve:
    its evaluations so far.
    """

    def __init__(self, run: Run, store: Store, weights: bool, wake: Callable[[], None]) -> None:
        self.run, self.store, self.weights, self._wake = run, store, weights, wake
        self.state: Literal["waiting", "running", "elsewhere", "finished", "stopped", "failed"] = "waiting"
        self.step, self.seconds, self.loss = 0, 0.0, float("inf")
        self.curve: list[dict[str, Any]] = []
        self._record: Record | None = None
        self._error: Exception | None = None
        self._done, self._stopping = threading.Event(), False
        self._report = _version(store.progress(run))
        self._saved, self._deaths = _version(store.checkpoint(run)), 0

    def stop(self) -> None:
        """Stop after the present step and keep all that was learnt; a run of another process goes on without us."""
        self._stopping = True
        self._wake()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; is it at its end?"""
        return self._done.wait(seconds)

    def result(self, seconds: float | None = None) -> Record | None:
        """The record, or None if it was stopped. Raises what went wrong, and TimeoutError after so many seconds."""
        if not self.wait(seconds):
            raise TimeoutError(
                f"run {self.run.hash} is at step {self.step} of {self.run.training.steps} after {seconds} s"
            )
        if self._error is not None:
            raise self._error
        return self._record

    def _find(self) -> Record | None:
        """Its record, if nothing is left to do."""
        record = self.store.find(self.run)
        lacking = self.weights and record is not None and record.status == "finished"
        return None if lacking and not self.store.weights(self.run).exists() else record

    def _end(self, record: Record | None, error: Exception | None = None) -> None:
        self.state = "failed" if error else "finished" if record else "stopped"
        self._record, self._error = record, error
        if record is not None and record.curve:
            self.curve, self.seconds = record.curve, record.seconds
            self.step, self.loss = record.final["step"], record.final["loss"]
        self._done.set()

    def _read(self) -> bool:
        """Look at the report of whoever carries out the run; is it a new one?"""
        path = self.store.progress(self.run)
        version = _version(path)
        if version is None or version == self._report:
            return False
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_text(encoding="utf-8"))
            self.step, self.seconds, self.loss, self.curve = (said[k] for k in ("step", "seconds", "loss", "curve"))
            self._report = version
        return self._report == version


class _Worker:
    """One process, and what it is at. state: "begun" is "busy" with a run that has reported a step."""

    def __init__(self, nice: int, messages: SimpleQueue[Any]) -> None:
        path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "physlm_lite.training.worker", str(nice)],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C and a kernel's interrupt are for us, not for the run
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.state: Literal["starting", "idle", "busy", "begun", "stopping", "leaving"] = "starting"
        self.since = 0.0
        self.handle: Handle | None = None
        self.messages, self.last_words = messages, deque[str](maxlen=5)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.messages.put((self, line))
        self.messages.put((self, None))

    def be(self, state: Literal["idle", "busy", "begun", "stopping"], handle: Handle | None) -> None:
        self.state, self.handle, self.since = state, handle, time.monotonic()

    def tell(self, what: object) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # it has died, of which we shall hear
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        """Let it save its run and end; one that is only starting has nothing to save."""
        if self.state == "starting":
            self.process.kill()
            self.process.wait()
        self.state = "leaving"
        self.say_no_more()

    def say_no_more(self) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()


class Manager:
    """Carries out runs in worker processes, `workers` at a time, each on one thread.

    Runs are known by their names: one whose record is there is answered at once, one that is being carried out, here or by
    another process, is shared, and one whose process died is taken up where it was saved. If this process ends, however it
    ends, its workers save their runs and end too.

    store: where records go, and runs are looked for (default: this user's). interactive: somebody waits for these runs, so
    queues give way to them. nice: as for the command. device, checkpoint_seconds: as for `train`.
    """

    def __init__(
        self,
        store: Store | None = None,
        workers: int = 2,
        *,
        interactive: bool = True,
        nice: int = 5,
        device: str | None = None,
        checkpoint_seconds: float = 20.0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.store, self.workers, self.interactive, self.nice = store or Store(), workers, interactive, nice
        self._options = {"device": device, "checkpoint_seconds": checkpoint_seconds}
        self._lock = threading.RLock()
        self._handles: list[Handle] = []
        self._crew: list[_Worker] = []
        self._messages: SimpleQueue[tuple[_Worker, bytes | None] | None] = SimpleQueue()
        self._false_starts, self._begun, self._closed = 0, False, False
        self._sign, self._signed = ExitStack(), False
        _sweep(self.store)

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for those who ask ---------------------------------------------------------------------------------------------

    def ask(self, run: Run, store: Store | None = None, weights: bool = False) -> Handle:
        """The handle of a run, which is carried out if its record (or its `weights`) are not there. Raises StorageError, as
        `train` does."""
        store = store or self.store
        with self._lock:
            if self._closed:
                raise ValueError("this manager is closed and carries out no more runs; make another one")
            for handle in self._handles:
                same = handle.store.progress(handle.run) == store.progress(run) and handle.weights >= weights
                if same and not handle._stopping:
                    return handle
            handle = Handle(run, store, weights, lambda: self._messages.put(None))
            if (record := handle._find()) is not None:
                handle._end(record)
                return handle
            refuse_unwritable(store.folders[0])
            store.refuse_occupied(run)
            self._handles.append(handle)
            if not self._begun:
                self._begun = True
                atexit.register(self.close)
                threading.Thread(target=self._work, daemon=True, name="run-manager").start()
        handle._wake()
        return handle

    def train(
        self,
        run: Run,
        *,
        store: Store | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Record | None:
        """`ask` and wait: the function `train` in another process. None if the run was stopped.

        progress: called in this thread, for all evaluations and a few times a second. An exception in it stops the run.
        """
        handle, told, step = self.ask(run, store), 0, 0
        try:
            while True:
                done, curve = handle.wait(TICK), handle.curve
                while progress is not None and told < len(curve):
                    point, told = curve[told], told + 1
                    scores = {k: v for k, v in point.items() if k not in ("step", "seconds", "tokens", "loss")}
                    step = point["step"]
                    progress(Progress(run, step, point["loss"], point["seconds"], scores, curve[:told]))
                if progress is not None and handle.step > step:
                    step = handle.step
                    progress(Progress(run, step, handle.loss, handle.seconds, None, curve))
                if done:
                    return handle.result()
                if stop is not None and stop():
                    handle.stop()
        except BaseException:
            handle.stop()
            raise

    def models(self, runs: Sequence[Run]) -> list[tuple[LanguageModel, Record]]:
        """The trained models of runs with their records, as `ask` carries them out; the weights are kept beside the records.

        An interruption stops them. ValueError for a run that diverged or that somebody else stopped.
        """
        handles = [self.ask(run, weights=True) for run in runs]
        try:
            while not all(handle.wait(TICK) for handle in handles):
                pass
        except BaseException:
            for handle in handles:
                handle.stop()
            raise
        models = []
        for handle, run in zip(handles, runs, strict=True):
            record = handle.result()
            if record is None or record.status != "finished":
                raise ValueError(f"run {run.hash} has no model: {record.note if record else 'it was stopped'}")
            weights, _ = load_tensors(handle.store.weights(run))
            model = LanguageModel(run.model_config, seed=run.seed)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(weights[name])
            models.append((model, record))
        return models

    def close(self) -> None:
        """Stop everything, keep what was learnt, and end the workers: within about two seconds.

        A worker that is inside a longer step is not waited for; it still saves its run after that.
        """
        with self._lock:
            if self._closed:
                return
            self._closed, until = True, time.monotonic() + GRACE
            for worker in self._crew:
                worker.leave()
            for worker in self._crew:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, until - time.monotonic()))
            for handle in list(self._handles):
                self._end(handle, handle._find())
            self._sign.close()
        self._messages.put(None)
        atexit.unregister(self.close)

    # -- the manager's thread ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            message = None
            with suppress(Empty):
                message = self._messages.get(timeout=TICK if self._handles else 10 * TICK)
            with self._lock:
                if self._closed:
                    return
                try:
                    if message is not None:
                        self._hear(*message)
                    self._look()
                except Exception as error:  # a folder that is gone, say: whoever waits must hear of it
                    for handle in list(self._handles):
                        self._end(handle, None, error)

    def _hear(self, worker: _Worker, line: bytes | None) -> None:
        """A line of a worker, or None if it has ended."""
        handle = worker.handle
        if line is None:
            self._crew.remove(worker)
            worker.say_no_more()
            how = f"ended with code {worker.process.wait()}"
            if handle is not None:
                self._take_back(handle, how)
            elif worker.state == "starting":
                self._false_start(f"{how}: {on_one_line(' '.join(worker.last_words) or 'without a word')}")
            return
        try:
            said = json.loads(line)
            ready, ended = said.get("ready"), said.get("ended")
        except (ValueError, AttributeError):  # a warning of somebody's, or a traceback
            worker.last_words.append(line.decode(errors="replace").strip())
            return
        if ready:
            self._false_starts = 0
            worker.be("idle", None)
        elif handle is not None and ended == handle.run.hash:
            worker.be("idle", None)
            handle.state = "waiting"  # until we have looked for its record
            if "error" in said:
                name, text = said["error"], said["text"]
                self._end(handle, None, ERRORS[name](text) if name in ERRORS else RuntimeError(f"{name}: {text}"))

    def _take_back(self, handle: Handle, how: str) -> None:
        """A worker died: its run goes on where it was saved, unless it dies there again and again."""
        handle.state, saved = "waiting", _version(handle.store.checkpoint(handle.run))
        handle._deaths = handle._deaths + 1 if saved == handle._saved else 1
        handle._saved = saved
        if handle._deaths >= TRIES:
            text = (
                f"run {handle.run.hash} was begun {TRIES} times, and each time its process {how}, near step {handle.step}; "
                "most likely memory ran out: choose a smaller scale, or fewer workers"
            )
            self._end(handle, None, ChildProcessError(text))

    def _false_start(self, how: str) -> None:
        self._false_starts += 1
        if self._false_starts >= TRIES:
            self._false_starts = 0
            for handle in [handle for handle in self._handles if handle.state == "waiting"]:
                self._end(handle, None, ChildProcessError(f"no process can be started for a run: the last one {how}"))

    def _end(self, handle: Handle, record: Record | None, error: Exception | None = None) -> None:
        if handle in self._handles:  # else it was given up, and its worker has only now come to its end
            self._handles.remove(handle)
            handle._end(record, error)

    def _look(self) -> None:
        """See how far everything is, and what can be begun."""
        for worker in list(self._crew):
            self._look_at(worker)
        for handle in [handle for handle in self._handles if handle.state != "running"]:
            if (record := handle._find()) is not None or handle._stopping:
                self._end(handle, record)
            elif handle.store.taken(handle.run):
                handle.state = "elsewhere"
                handle._read()
            else:
                handle.state = "waiting"
        waiting = [handle for handle in self._handles if handle.state == "waiting"]
        for worker in self._crew:
            if waiting and worker.state == "idle":
                self._begin(waiting.pop(0), worker)
        starting = sum(worker.state == "starting" for worker in self._crew)
        for _ in range(min(len(waiting) - starting, self.workers - len(self._crew))):
            self._crew.append(_Worker(self.nice, self._messages))
        self._show_sign(any(handle.state in ("waiting", "running") for handle in self._handles))

    def _look_at(self, worker: _Worker) -> None:
        """How far is its run, must it be stopped, and has it been without one for long?"""
        handle, since = worker.handle, time.monotonic() - worker.since
        if handle is None:
            if worker.state == "idle" and since > IDLE:
                worker.leave()
            return
        if handle._read() and worker.state == "busy":
            worker.state = "begun"
        if handle._stopping and worker.state == "begun":
            worker.tell("stop")
            worker.be("stopping", handle)
        elif handle._stopping and worker.state == "busy" and since > HURRY:
            worker.process.kill()  # it is still making its task and model, and has nothing to save

    def _begin(self, handle: Handle, worker: _Worker) -> None:
        handle.state, handle._report = "running", _version(handle.store.progress(handle.run))
        worker.be("busy", handle)
        kept = handle.store.kept.folders[0] if isinstance(handle.store, Anew) else None
        what = {"run": handle.run.to_dict(), "hash": handle.run.hash, "weights": handle.weights}
        places = {"folder": str(handle.store.folders[0].absolute()), "into": kept and str(kept.absolute())}
        worker.tell({**what, **places, **self._options})

    def _show_sign(self, busy: bool) -> None:
        """While somebody waits for a run of ours, a locked file says so to the queues of this folder."""
        if not self.interactive or busy == self._signed:
            return
        self._signed = False
        self._sign.close()
        if busy:
            with suppress(OSError):
                sign = locked(self.store.folders[0] / f".interactive-{uuid4().hex}.lock")
                self._signed = self._sign.enter_context(sign) is not False


def somebody_waits(folder: Path) -> bool:
    """Is an interactive manager at work in this folder? The sign of one that was killed is taken away."""
    for path in folder.glob(".interactive-*.lock"):
        with suppress(OSError), locked(path) as held:
            if held is False:
                return True
    return False


def _sweep(store: Store) -> None:
    """Take away what killed processes left beside their runs, but not what there is to go on from."""
    folder = store.folders[0]
    remove_stale(folder)
    remove_stale(folder / "weights")
    left = [path for kind in (".*.progress*", ".*.lock") for path in folder.glob(kind)]
    done = [path.stem for path in folder.glob("*.safetensors") if store.outlived(path)]
    for name in {path.name.split(".")[1] for path in left} | set(done):
        with suppress(OSError), locked(folder / f".{name}.lock") as held:
            if held:
                remove_text(folder / f".{name}.progress")
            if held and name in done:
                (folder / f"{name}.safetensors").unlink(missing_ok=True)
    somebody_waits(folder)


def _version(path: Path) -> tuple[int, int, int] | None:
    """Another one whenever the file is replaced."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size
