"""The training loop: AdamW on fresh data, resumable to the bit."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.files import StorageError, load_tensors, refuse_unwritable, save_tensors
from ..base.machine import describe_machine, device_of, peak_memory_mb
from ..evaluation.scores import evaluate
from ..models import LanguageModel
from ..tasks import Batch
from .config import Run
from .record import Record, Store

TEST_SEED = 0  # every run of a task is graded on the same rows
COUNTERS = ("step", "seconds", "evaluation_seconds", "tokens", "loss_sum", "loss_count", "curve")  # of a checkpoint
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a sensible number; the message names the step and the likely cause."""


@dataclass(frozen=True)
class Progress:
    """What a run reports after each step (`scores` only after an evaluation)."""

    run: Run
    step: int
    loss: float
    seconds: float
    scores: dict[str, Any] | None = None


class Trainer:
    """A model, its optimiser, and the step they are at.

    The state after step s depends only on (run, s): data are a pure function of (seed, step), and a checkpoint holds
    the weights, the optimiser's moments and the curve so far. So a run that was killed at any moment and started again
    ends with the same bits (on the same machine and number of threads).
    """

    def __init__(self, run: Run, device: str | None = None) -> None:
        self.run, self.task, self.settings = run, run.made_task, run.training
        self.device = device_of(device)
        # On one CPU thread the time that this thread worked is the honest clock: a busy machine does not lengthen it.
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.thread_time if alone else time.perf_counter
        self.model = LanguageModel(run.model_config, seed=run.seed).to(self.device)
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        matrices = [p for _, p in trained if p.dim() > 1]
        vectors = [p for _, p in trained if p.dim() == 1]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=self.settings.learning_rate,
            eps=self.settings.eps,
            betas=(self.settings.beta1, self.settings.beta2),
            fused=True,
        )
        self.names: dict[Tensor, str] = {p: name for name, p in trained}
        self.step, self.seconds, self.evaluation_seconds, self.tokens = 0, 0.0, 0.0, 0
        self.curve: list[dict[str, Any]] = []
        self.loss_sum, self.loss_count = 0.0, 0

    # -- one step ------------------------------------------------------------------------------------------------------

    def train_step(self) -> float:
        """One step on fresh data; returns the loss. Raises `Diverged`."""
        settings = self.settings
        batch = self._to_device(self.task.batch(self.run.seed, self.step, settings.batch))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(self.step)
        with self._autocast():
            loss = self.model.loss(batch.tokens, batch.targets, self._document(batch))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip, foreach=True)
        value = float(loss.detach())
        self._refuse_divergence(value, float(norm))
        self.optimizer.step()
        self.step += 1
        self.tokens += batch.tokens.numel()
        self.loss_sum, self.loss_count = self.loss_sum + value, self.loss_count + 1
        return value

    def _refuse_divergence(self, loss: float, norm: float) -> None:
        limit = 10 * math.log(len(self.task.vocabulary))
        if math.isfinite(loss) and math.isfinite(norm) and loss < limit:
            return
        what = (
            f"the loss is {loss:.3g}"
            if not math.isfinite(loss) or loss >= limit
            else f"the gradient norm is {norm:.3g} while the loss is still {loss:.3g}"
        )
        raise Diverged(
            f"training diverged at step {self.step} of {self.settings.steps}: {what}; most likely the "
            f"learning rate {self.settings.learning_rate:g} is too high: try "
            f"{self.settings.learning_rate / 2:g}, or a longer warm-up than {self.settings.warmup} steps"
        )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.settings.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _document(self, batch: Batch) -> Tensor | None:
        """Boundaries are needed only where examples share a row: padding on the right is never looked at."""
        return batch.document if batch.packed and not self.settings.leaky else None

    def _to_device(self, batch: Batch) -> Batch:
        if self.device.type == "cpu":
            return batch
        tensors = (batch.tokens, batch.targets, batch.document)
        return Batch(*(tensor.to(self.device, non_blocking=True) for tensor in tensors))

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Any]:
        """Score the model on the test split."""
        with self._autocast():
            return evaluate(self.model, self.task, self.settings.evaluation_rows, TEST_SEED, self.settings.leaky)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Everything needed to go on from here, in one file."""
        # parameters rather than the state dict: a tied one stands there twice, which safetensors refuses
        tensors: dict[str, Tensor] = {f"model.{name}": tensor for name, tensor in self.model.named_parameters()}
        for parameter, state in self.optimizer.state.items():
            tensors |= {f"adam.{key}.{self.names[parameter]}": value for key, value in state.items()}
        save_tensors(path, tensors, {"run": self.run.to_dict(), **{name: getattr(self, name) for name in COUNTERS}})

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Continue from `save`."""
        tensors, metadata = load_tensors(path)
        try:
            other = Run.from_dict(metadata["run"])
            if other.hash == self.run.hash:
                self._restore(tensors, metadata)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StorageError(
                f"{path} is not a whole checkpoint of this kit ({error} is missing or wrong); delete it to begin anew"
            ) from error
        if other.hash != self.run.hash:
            raise ValueError(f"{path} holds another run; a checkpoint continues only the run that wrote it")

    def _restore(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        for name, weight in self.model.named_parameters():
            weight.copy_(tensors[f"model.{name}"])
        for parameter, name in self.names.items():
            if metadata["step"] > 0:
                moments = {key: tensors[f"adam.{key}.{name}"].to(self.device) for key in MOMENTS}
                self.optimizer.state[parameter] = moments
        for name in COUNTERS:
            setattr(self, name, metadata[name])


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
    """
    if store is not None and keep is None and (known := store.find(run)) is not None:
        return known
    if store is not None:
        refuse_unwritable(store.folders[0])
    trainer = Trainer(run, device)
    checkpoint = store.folders[0] / f"{run.hash}.safetensors" if store is not None else None
    if checkpoint is not None and checkpoint.exists():
        trainer.load(checkpoint)
    status, note = "finished", ""
    last_save = time.perf_counter()
    while trainer.step < run.training.steps:
        if stop is not None and stop():
            status = "stopped"
            break
        begin = trainer.clock()
        try:
            loss = trainer.train_step()
        except Diverged as error:
            status, note = "diverged", str(error)
            break
        trainer.seconds += trainer.clock() - begin
        scores = _evaluate_if_due(trainer)
        if progress is not None:
            progress(Progress(run, trainer.step, loss, trainer.seconds, scores))
        if checkpoint is not None and time.perf_counter() - last_save > checkpoint_seconds:
            trainer.save(checkpoint)
            last_save = time.perf_counter()
    if keep is not None:
        keep(trainer)
    record = Record(
        run,
        status,
        trainer.curve,
        trainer.seconds,
        trainer.evaluation_seconds,
        run.model_config.parameters,
        peak_memory_mb(),
        describe_machine(trainer.device),
        note,
    )
    if store is not None and checkpoint is not None:
        if status == "stopped":
            trainer.save(checkpoint)
        if status != "stopped" or store.find(run) is None:  # half a run never replaces a whole one
            store.add(record)
        if status != "stopped":
            checkpoint.unlink(missing_ok=True)
    return record


def _evaluate_if_due(trainer: Trainer) -> dict[str, Any] | None:
    if trainer.step not in trainer.settings.evaluation_steps:
        return None
    begin = trainer.clock()
    scores = trainer.evaluate()
    trainer.evaluation_seconds += trainer.clock() - begin
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
