"""A run from its first step, or from where it stopped, to its record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..base.files import refuse_unwritable
from ..base.machine import describe_machine, device_of, peak_memory_mb
from .config import Run
from .cost import refuse_too_large
from .record import Record, Status, Store
from .trainer import Diverged, Trainer


@dataclass(frozen=True)
class Progress:
    """What a run reports after each step (`scores` only after an evaluation)."""

    run: Run
    step: int
    loss: float
    seconds: float
    scores: dict[str, Any] | None = None


def train(
    run: Run,
    *,
    store: Store | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    device: str | None = None,
    checkpoint_seconds: float = 20.0,
    keep: Callable[[Trainer], None] | None = None,
) -> Record:
    """Carry out a run and return its record; a run that the store knows is not run again.

    store: where the record and the checkpoint go (None: nothing is written). progress: called after each step. stop:
    asked before each step; when it says yes, the state is saved, the record says "stopped", and calling `train` again
    goes on from there. keep: is given the trainer at the end, to look at the trained model. Divergence is a result, not
    a crash: the record says "diverged", with the step and the likely cause in `note`.

    A run that another process or thread is carrying out in the same store is waited for. Raises TooLarge before anything
    is built if the run cannot fit, and StorageError if the store cannot take it.
    """
    if store is None:
        refuse_too_large(run, device=device)
        return _carry_out(run, None, progress, stop, device, checkpoint_seconds, keep)
    if keep is None and (known := store.find(run)) is not None:
        return known
    refuse_too_large(run, device=device)
    refuse_unwritable(store.folders[0])
    with store.lock(run, stop) as held:
        if not held:
            return _record(run, "stopped", device_of(device))
        if keep is None and (known := store.find(run)) is not None:  # whoever held the lock has finished it
            return known
        store.refuse_occupied(run)
        record = _carry_out(run, store.checkpoint(run), progress, stop, device, checkpoint_seconds, keep)
        if record.status != "stopped" or store.find(run) is None:  # half a run never replaces a whole one
            store.add(record)
        return record


def _carry_out(
    run: Run,
    checkpoint: Path | None,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    device: str | None,
    checkpoint_seconds: float,
    keep: Callable[[Trainer], None] | None,
) -> Record:
    """`train` with everything settled: the steps that are left, and what they came to."""
    trainer = Trainer(run, device)
    if checkpoint is not None and checkpoint.exists():
        trainer.load(checkpoint)
    status: Status = "finished"
    note = ""
    last_save = time.perf_counter()
    while trainer.step < run.training.steps:
        if stop is not None and stop():
            status = "stopped"
            break
        begin = trainer.clock()
        try:
            loss = trainer.train_step()
            trainer.seconds += trainer.clock() - begin
            scores = _evaluate_if_due(trainer)
        except Diverged as error:
            status, note = "diverged", str(error)
            break
        if progress is not None:
            progress(Progress(run, trainer.step, loss, trainer.seconds, scores))
        if checkpoint is not None and time.perf_counter() - last_save > checkpoint_seconds:
            trainer.save(checkpoint)
            last_save = time.perf_counter()
    if checkpoint is not None and status == "stopped":
        trainer.save(checkpoint)
    if keep is not None:
        keep(trainer)
    return _record(run, status, trainer.device, trainer, note)


def _record(run: Run, status: Status, device: torch.device, trainer: Trainer | None = None, note: str = "") -> Record:
    """What there is to say of a run; without a trainer, of one that has not begun."""
    return Record(
        run,
        status,
        trainer.curve if trainer else [],
        trainer.seconds if trainer else 0.0,
        trainer.evaluation_seconds if trainer else 0.0,
        run.model_config.parameters,
        peak_memory_mb(),
        describe_machine(device),
        note,
    )


def _evaluate_if_due(trainer: Trainer) -> dict[str, Any] | None:
    """The scores, if this is a step after which the test split is graded; `Diverged` if one is not a number."""
    if trainer.step not in trainer.settings.evaluation_steps:
        return None
    begin = trainer.clock()
    scores = trainer.evaluate()
    trainer.evaluation_seconds += trainer.clock() - begin
    for name, value in scores.items():
        if isinstance(value, float) and math.isnan(value):
            raise trainer.diverged(f"the score {name} is not a number")
    trainer.curve.append(
        {
            "step": trainer.step,
            "seconds": round(trainer.seconds, 3),
            "tokens": trainer.tokens,
            "loss": trainer.loss_sum / trainer.loss_count,
            **scores,
        }
    )
    trainer.loss_sum, trainer.loss_count = 0.0, 0
    return scores
