"""A warm process that carries out runs for a `Manager`, one after another; importing PyTorch anew for each costs seconds.

    python -m physlm_lite.training.worker [NICE]

It reads a line of JSON for each run, or "stop", and writes one when it is ready and one at the end of each run. How far it
is stands in a file beside the run's record, where other processes can follow it. When nobody is left to write to it, it
saves its run and ends, and so it does on SIGTERM and SIGINT.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from ..base.files import remove_text, replace_text, save_tensors
from .config import Run
from .loop import Progress, train
from .record import Anew, Store
from .trainer import Trainer

EVERY = 0.25  # seconds between two reports


class Worker:
    """What the process is told, and what it is at."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.stopping = self.leaving = False

    def listen(self) -> None:
        """Hear what is said until there is nobody left to say it."""
        try:  # unbuffered: a buffer's lock would outlive this thread
            with open(0, "rb", buffering=0, closefd=False) as lines:
                for line in lines:
                    said = json.loads(line)
                    self.stopping = said == "stop"
                    if not self.stopping:
                        self.jobs.put(said)
        finally:  # also after half a line, which somebody was killed in
            self.leave()

    def leave(self, *_: object) -> None:
        self.leaving = True
        self.jobs.put(None)

    def work(self) -> None:
        """Carry out one job after another. A run that is cut short by our leaving is not told of: it is not at its end."""
        say({"ready": True})
        while (job := self.jobs.get()) is not None and not self.leaving:
            try:
                self.carry_out(job)
                end = {"ended": job["hash"]}
            except Exception as error:  # whoever asked for the run has to hear of it, and other runs may be well
                end = {"ended": job["hash"], "error": type(error).__name__, "text": str(error)}
            if not self.leaving:
                say(end)

    def carry_out(self, job: dict[str, Any]) -> None:
        run, store = Run.from_dict(job["run"]), Store(Path(job["folder"]))
        if run.hash != job["hash"]:
            raise ValueError(
                f"run {job['hash']} is another one here: a file that its task reads has changed; ask again"
            )
        if job["into"] is not None:
            store = Anew(Store(Path(job["into"])), Path(job["folder"]))
        place = store.progress(run)
        try:
            options = {name: job[name] for name in ("device", "checkpoint_seconds")}
            options["keep"] = partial(keep_weights, store.weights(run)) if job["weights"] else None
            train(run, store=store, progress=reporter(place), stop=lambda: self.stopping or self.leaving, **options)
        finally:
            remove_text(place)


def reporter(path: Path) -> Callable[[Progress], None]:
    """Keeps the last state of a run in a file, which is replaced as a whole, a few times a second."""
    last = -EVERY

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.scores is None and time.monotonic() - last < EVERY:
            return
        last = time.monotonic()
        content = {name: getattr(progress, name) for name in ("step", "loss", "seconds", "curve")}
        replace_text(path, json.dumps(content))

    return report


def keep_weights(path: Path, trainer: Trainer) -> None:
    """Save the model of a run that is at its end."""
    if trainer.step == trainer.settings.steps and not trainer.owes:
        save_tensors(path, dict(trainer.model.named_parameters()), {"id": trainer.run.hash})


def say(what: dict[str, Any]) -> None:
    with suppress(OSError):  # nobody listens any more: the end of the input says so, too
        os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    if len(sys.argv) > 1 and hasattr(os, "nice"):
        os.nice(int(sys.argv[1]))
    torch.set_num_threads(1)
    worker = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.leave)
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.work()
    os._exit(0)  # everything is written, and PyTorch takes its time to go


if __name__ == "__main__":
    main()
