"""A run from its first step, or from where it stopped, to its record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..base.files import refuse_unwritable
from ..base.machine import describe_machine, device_of, peak_memory_mb
from ..models import LanguageModel
from .config import Run
from .cost import refuse_too_large
from .record import Record, Status, Store
from .trainer import Diverged, Trainer


@dataclass(frozen=True)
class Progress:
    """What a run reports after each step (`scores` only after an evaluation; `curve`: all evaluations so far)."""

    run: Run
    step: int
    loss: float
    seconds: float
    scores: dict[str, Any] | None = None
    curve: Sequence[dict[str, Any]] = ()


def train(
    run: Run,
    *,
    store: Store | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    device: str | None = None,
    checkpoint_seconds: float = 20.0,
    keep: Callable[[Trainer], None] | None = None,
    model: Callable[[], LanguageModel] | None = None,
) -> Record:
    """Carry out a run and return its record; a run that the store knows is not run again.

    store: where the record and the checkpoint go (None: nothing is written). progress: called after each step. stop:
    asked before each step and during long evaluations; when it says yes, the state is saved, the record says "stopped",
    and calling `train` again goes on from there. keep: is given the trainer at the end, to look at the trained model.
    model: makes that of a run with a reader's `code`, which nobody else could make.
    Divergence is a result, not a crash: the record says "diverged", with the step and the likely cause in `note`.

    A run that another process or thread is carrying out in the same store is waited for. Raises TooLarge before anything
    is built if the run cannot fit, and StorageError if the store cannot take it.
    """

    def carried_out(checkpoint: Path | None) -> Record:
        trainer = Trainer(run, device, None if model is None else model())
        if checkpoint is not None and checkpoint.exists():
            trainer.load(checkpoint)
        save = None if checkpoint is None else partial(trainer.save, checkpoint)
        said = take_steps(trainer, progress, stop, save, _every(checkpoint_seconds))
        if keep is not None:
            keep(trainer)
        return record_of(run, trainer.device, *said, trainer)

    if store is not None and keep is None and (known := store.find(run)) is not None:
        return known
    refuse_too_large(run, device=device)
    if store is None:
        return carried_out(None)
    refuse_unwritable(store.folders[0])
    with store.lock(run, stop) as held:
        if not held:
            return record_of(run, device_of(device), "stopped")
        if keep is None and (known := store.find(run)) is not None:  # whoever held the lock has finished it
            return known
        store.refuse_occupied(run)
        record = carried_out(store.checkpoint(run))
        if record.status != "stopped" or store.find(run) is None:  # half a run never replaces a whole one
            store.add(record)
        return record


def take_steps(
    trainer: Trainer,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    save: Callable[[], object] | None = None,
    due: Callable[[], bool] | None = None,
) -> tuple[Status, str]:
    """Take the steps that are left; how they ended, and what there is to say of that.

    save: keeps the state, when `stop` says yes, and after each step for which `due` says so.
    """
    while trainer.step < trainer.settings.steps or trainer.owes:
        if stop is not None and stop():
            if save is not None:
                save()
            return "stopped", ""
        try:
            if trainer.owes:  # this one was cut short
                loss = trainer.loss_sum / trainer.loss_count
            else:
                begin = trainer.clock()
                loss = trainer.train_step()
                trainer.seconds += trainer.clock() - begin
            scores = grade(trainer, stop) if trainer.owes else None
        except Stopped:
            continue
        except Diverged as error:
            return "diverged", str(error)
        if progress is not None:
            progress(Progress(trainer.run, trainer.step, loss, trainer.seconds, scores, trainer.curve))
        if save is not None and due is not None and due():
            save()
    return "finished", ""


def _every(seconds: float) -> Callable[[], bool]:
    """Says yes once so much time has passed since it last did."""
    last = time.perf_counter()

    def due() -> bool:
        nonlocal last
        if time.perf_counter() - last <= seconds:
            return False
        last = time.perf_counter()
        return True

    return due


def record_of(run: Run, device: torch.device, status: Status, note: str = "", trainer: Trainer | None = None) -> Record:
    """What there is to say of a run; without a trainer, of one that has not begun."""
    curve, work, grading = (trainer.curve, trainer.seconds, trainer.evaluation_seconds) if trainer else ([], 0.0, 0.0)
    parameters, machine = run.model_config.parameters, describe_machine(device)
    return Record(run, status, curve, work, grading, parameters, peak_memory_mb(), machine, note)


def grade(trainer: Trainer, stop: Callable[[], bool] | None) -> dict[str, Any]:
    """The scores on the test split; `Diverged` if one is not a number, `Stopped` if there is no time for them.

    Several ranks can stop only together, so they do not in here.
    """
    begin, stop = trainer.clock(), stop if trainer.share.ranks == 1 else None
    with _hurried(trainer.model, stop):
        scores = trainer.evaluate()
    trainer.evaluation_seconds += trainer.clock() - begin
    for name, value in scores.items():
        if isinstance(value, float) and math.isnan(value):
            raise trainer.diverged(f"the score {name} is not a number")
    about = {"step": trainer.step, "seconds": round(trainer.seconds, 3), "tokens": trainer.tokens}
    trainer.curve.append({**about, "loss": trainer.loss_sum / trainer.loss_count, **scores})
    trainer.loss_sum, trainer.loss_count = 0.0, 0
    return scores


class Stopped(Exception):
    """An evaluation was cut short; it is still owed."""


@contextmanager
def _hurried(model: torch.nn.Module, stop: Callable[[], bool] | None) -> Iterator[None]:
    """Ask `stop` a few times a second, before a part of the model: some evaluations take longer than anybody waits."""
    asked = time.monotonic()

    def ask(*_: object) -> None:
        nonlocal asked
        if stop is not None and time.monotonic() - asked > 0.2:
            asked = time.monotonic()
            if stop():
                raise Stopped

    hooks = [part.register_forward_pre_hook(ask) for part in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
