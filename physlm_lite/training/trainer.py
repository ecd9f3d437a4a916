"""A model under training: one step after another on fresh data, resumable to the bit.

The same trainer serves a toy on a laptop and a model on a cluster: there, `scale.place` has put the model on many devices, and
each rank takes its `Share` of the rows. Nothing else differs.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.files import StorageError, load_tensors, save_tensors
from ..base.machine import device_of
from ..evaluation.scores import evaluate
from ..models import LanguageModel
from ..tasks import Batch
from .ahead import Ahead
from .config import Run
from .optimizers import moments_of, optimizers_of
from .share import WHOLE as ALL_ROWS
from .share import Share

TEST_SEED = 0  # every run of a task is graded on the same rows
WHOLE, TIMES = ("step", "tokens", "loss_count"), ("seconds", "evaluation_seconds", "loss_sum")  # of a checkpoint


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a sensible number; the message names the step and the likely cause."""


class Trainer:
    """A model, its optimiser, and the step they are at.

    The state after step s depends only on (run, s): data are a pure function of (seed, step), and a checkpoint holds
    the weights, the optimiser's moments and the curve so far. So a run that was killed at any moment and started again
    ends with the same bits (on the same machine and number of threads).
    """

    def __init__(
        self, run: Run, device: str | None = None, model: LanguageModel | None = None, share: Share = ALL_ROWS
    ) -> None:
        """model: one that was placed already, and computes in numbers of its own, or that of a run with a reader's code
        (None: it is made here). ValueError for such a run without its model.
        """
        if run.code and model is None:
            raise ValueError(
                f"run {run.hash} has a layer of a reader's own (code {run.code_name}); it can be carried out only in the "
                "notebook where that code stands"
            )
        self.run, self.task, self.settings, self.share = run, run.made_task, run.training, share
        self.device = device_of(device)
        # On one CPU thread the time that this thread worked is the honest clock: a busy machine does not lengthen it.
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.thread_time if alone else time.perf_counter
        self.placed = model is not None and not run.code
        made = LanguageModel(run.model_config, seed=run.seed) if model is None else model
        self.model = made if self.placed else made.to(self.device)
        # once and for all: a placed model shows weights that are gathered, and no parameters, after an evaluation
        self.weights: dict[str, Tensor] = dict(self.model.named_parameters())
        self.names = {weight: name for name, weight in self.weights.items() if weight.requires_grad}
        self.optimizers = optimizers_of(self.model, self.settings)
        self.optimizer = self.optimizers[0]
        self.step, self.seconds, self.evaluation_seconds, self.tokens = 0, 0.0, 0.0, 0
        self.curve: list[dict[str, Any]] = []
        self.loss_sum, self.loss_count = 0.0, 0
        self.drawn = self._draw if self.device.type == "cpu" else Ahead(self._draw, run.training.steps - 1)
        self.norm = self.waited = 0.0  # of the last step: the gradient's norm, and seconds until its rows were there

    # -- one step ------------------------------------------------------------------------------------------------------

    def train_step(self) -> float:
        """One step on fresh data; returns the loss. Raises `Diverged`."""
        settings, share = self.settings, self.share
        turns = self.rows(self.step)
        counts = [int(batch.targets[:, 1:].sum()) for batch in turns]
        (targets,) = share.sum(sum(counts))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(self.step)
            optimizer.zero_grad(set_to_none=True)
        value = 0.0
        for count, rows in zip(counts, turns, strict=True):
            batch = Batch(*(tensor.to(self.device, non_blocking=True) for tensor in rows))
            # boundaries are needed only where examples share a row: padding on the right is never looked at
            document = batch.document if batch.packed and not settings.leaky else None
            with self.autocast():
                loss = self.model.loss(batch.tokens, batch.targets, document, settings.squared_loss)
            # a mean over all targets of the step, of which the ranks' mean is taken
            if (part := share.ranks * count / max(targets, 1)) != 1:
                loss = loss * part
            loss.backward()
            value += float(loss.detach()) if count or not targets else 0.0  # the mean of nothing is no number
        norm: Any = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip, foreach=True)
        self.norm = float(norm.full_tensor() if self.placed else norm)
        (value,) = share.sum(value)
        value /= share.ranks
        self.refuse_diverged(value, self.norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.count(value, share.ranks * sum(batch.tokens.numel() for batch in turns))
        return value

    def rows(self, step: int) -> list[Batch]:
        """This process's rows of a step, a batch for each turn."""
        begin = time.perf_counter()
        found = self.drawn(step)
        self.waited = time.perf_counter() - begin
        return found

    def _draw(self, step: int) -> list[Batch]:
        share, batch = self.share, self.settings.batch
        which = [batch] if share == ALL_ROWS else [share.rows(batch, turn) for turn in range(share.turns)]
        return [self.task.batch(self.run.data_seed, step, rows) for rows in which]

    def refuse_diverged(self, loss: float, norm: float) -> None:
        """`Diverged` unless the loss and the norm of the gradient are sensible numbers."""
        if not math.isfinite(loss) or loss >= 10 * math.log(len(self.task.vocabulary)):
            raise self.diverged(f"the loss is {loss:.3g}")
        if not math.isfinite(norm):
            raise self.diverged(f"the gradient norm is {norm:.3g} while the loss is still {loss:.3g}")

    def count(self, loss: float, tokens: int) -> None:
        """One more step was taken, with this loss, on so many tokens."""
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1

    def diverged(self, what: str) -> Diverged:
        """The error that says what went wrong at the present step, and what to try."""
        rate = self.settings.learning_rate
        return Diverged(
            f"training diverged at step {self.step} of {self.settings.steps}: {what}; most likely the "
            f"learning rate {rate:g} is too high: try {rate / 2:g}, or a longer warm-up than "
            f"{self.settings.warmup} steps"
        )

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The surroundings of a forward pass in the numbers of the run."""
        if self.placed or self.settings.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def owes(self) -> bool:
        """Is the test split still to be graded at this step?"""
        return self.step in self.settings.evaluation_steps and (not self.curve or self.curve[-1]["step"] < self.step)

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Any]:
        """Score the model on the test split."""
        with self.autocast():
            return evaluate(self.model, self.task, self.settings.evaluation_rows, TEST_SEED, self.settings.leaky)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Weights and what the optimisers keep, by name: all that a checkpoint holds beside the `counters`."""
        # parameters rather than the state dict: a tied one stands there twice, which safetensors refuses
        weights = {f"model.{name}": weight for name, weight in self.weights.items()}
        return weights | (moments_of(self.optimizers, self.names) if self.step else {})

    def counters(self) -> dict[str, Any]:
        """Which run this is and how far it is, JSON-ready."""
        counters = {name: getattr(self, name) for name in (*WHOLE, *TIMES, "curve")}
        return {"id": self.run.hash, "run": self.run.to_dict(), **counters}

    def save(self, path: Path) -> None:
        """Everything needed to go on from here, in one file."""
        save_tensors(path, self.tensors(), self.counters())

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Continue from `save`. StorageError if the file is not whole or not of this run; nothing is changed then."""
        tensors, state = load_tensors(path)
        self.refuse_other(path, state)
        step, self.step = self.step, state["step"]
        own = self.tensors()
        self.step = step
        if reason := _misshapen(tensors, own):
            raise StorageError(f"{path} is not a whole checkpoint of its run ({reason}); delete it to begin anew")
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.go_on(state)

    def refuse_other(self, path: Path, state: dict[str, Any]) -> None:
        """StorageError unless the counters of a checkpoint are those of this run."""
        if state.get("id") != self.run.hash:
            raise StorageError(f"{path} holds another run; a checkpoint continues only the run that wrote it")
        if reason := self._misfit(state):
            raise StorageError(f"{path} is not a whole checkpoint of its run ({reason}); delete it to begin anew")

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over the counters of a checkpoint."""
        for name in (*WHOLE, *TIMES, "curve"):
            setattr(self, name, state[name])

    def _misfit(self, state: dict[str, Any]) -> str:
        """What is wrong with the counters of a checkpoint; empty if they belong to a state of this run."""
        for name in WHOLE:
            if type(state.get(name)) is not int or state[name] < 0:
                return f"{name} must be a whole number from 0 up"
        for name in TIMES:
            if type(state.get(name)) is not float or not 0 <= state[name] < math.inf:
                return f"{name} must be a number from 0 up"
        if not state["loss_count"] <= state["step"] <= self.settings.steps:
            return f"step {state['step']} does not lie in 0..{self.settings.steps}"
        due = sorted(step for step in self.settings.evaluation_steps if step <= state["step"])
        curve = state.get("curve")
        steps = [p.get("step") if isinstance(p, dict) else p for p in curve] if isinstance(curve, list) else None
        if steps != due and (not state["loss_count"] or steps != due[:-1] or due[-1] != state["step"]):
            return "its curve has other steps than those that were due"
        return ""


def _misshapen(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> str:
    """Which tensor is missing, too many, or not of the shape and dtype that it must have; empty if none is."""
    for name in sorted(expected.keys() ^ tensors.keys()):
        return f"{name} is {'missing' if name in expected else 'too much'}"
    for name, own in expected.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (own.shape, own.dtype):
            return f"{name} is {found.dtype} {list(found.shape)} instead of {own.dtype} {list(own.shape)}"
    return ""
