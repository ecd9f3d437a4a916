"""A model under training: AdamW on fresh data, one step at a time, resumable to the bit."""

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
from .config import Run

TEST_SEED = 0  # every run of a task is graded on the same rows
WHOLE, TIMES = ("step", "tokens", "loss_count"), ("seconds", "evaluation_seconds", "loss_sum")  # of a checkpoint
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter


class Diverged(RuntimeError):
    """The loss or the gradient is no longer a sensible number; the message names the step and the likely cause."""


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
        settings = self.settings
        self.names: dict[Tensor, str] = {p: name for name, p in self.model.named_parameters() if p.requires_grad}
        groups = [
            {"params": [p for p in self.names if p.dim() > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in self.names if p.dim() == 1], "weight_decay": 0.0},
        ]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = torch.optim.AdamW(groups, settings.learning_rate, betas, settings.eps, fused=True)
        self.step, self.seconds, self.evaluation_seconds, self.tokens = 0, 0.0, 0.0, 0
        self.curve: list[dict[str, Any]] = []
        self.loss_sum, self.loss_count = 0.0, 0

    # -- one step ------------------------------------------------------------------------------------------------------

    def train_step(self) -> float:
        """One step on fresh data; returns the loss. Raises `Diverged`."""
        settings = self.settings
        rows = self.task.batch(self.run.seed, self.step, settings.batch)
        batch = Batch(*(tensor.to(self.device, non_blocking=True) for tensor in rows))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(self.step)
        # boundaries are needed only where examples share a row: padding on the right is never looked at
        document = batch.document if batch.packed and not settings.leaky else None
        with self._autocast():
            loss = self.model.loss(batch.tokens, batch.targets, document)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip, foreach=True)
        value = float(loss.detach())
        if not math.isfinite(value) or value >= 10 * math.log(len(self.task.vocabulary)):
            raise self.diverged(f"the loss is {value:.3g}")
        if not math.isfinite(norm):
            raise self.diverged(f"the gradient norm is {float(norm):.3g} while the loss is still {value:.3g}")
        self.optimizer.step()
        self.step += 1
        self.tokens += batch.tokens.numel()
        self.loss_sum, self.loss_count = self.loss_sum + value, self.loss_count + 1
        return value

    def diverged(self, what: str) -> Diverged:
        """The error that says what went wrong at the present step, and what to try."""
        rate = self.settings.learning_rate
        return Diverged(
            f"training diverged at step {self.step} of {self.settings.steps}: {what}; most likely the "
            f"learning rate {rate:g} is too high: try {rate / 2:g}, or a longer warm-up than "
            f"{self.settings.warmup} steps"
        )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.settings.dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

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
        counters = {name: getattr(self, name) for name in (*WHOLE, *TIMES, "curve")}
        save_tensors(path, tensors, {"id": self.run.hash, "run": self.run.to_dict(), **counters})

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Continue from `save`. StorageError if the file is not whole or not of this run; nothing is changed then."""
        tensors, state = load_tensors(path)
        if state.get("id") != self.run.hash:
            raise StorageError(f"{path} holds another run; a checkpoint continues only the run that wrote it")
        weights: dict[str, Tensor] = {f"model.{name}": weight for name, weight in self.model.named_parameters()}
        moments = {f"adam.{key}.{name}": (p, key) for p, name in self.names.items() for key in MOMENTS}
        if reason := self._misfit(state) or _misshapen(tensors, weights, moments if state["step"] else {}):
            raise StorageError(f"{path} is not a whole checkpoint of its run ({reason}); delete it to begin anew")
        for name, weight in weights.items():
            weight.copy_(tensors[name])
        for name, (parameter, key) in moments.items() if state["step"] else ():
            self.optimizer.state[parameter][key] = tensors[name].to(self.device)
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
        if not isinstance(curve, list) or [p.get("step") if isinstance(p, dict) else p for p in curve] != due:
            return "its curve has other steps than those that were due"
        return ""


def _misshapen(tensors: dict[str, Tensor], weights: dict[str, Tensor], moments: dict[str, tuple[Tensor, str]]) -> str:
    """Which tensor is missing, too many, or not of the shape and dtype that it must have; empty if none is."""
    expected = {name: (weight.shape, weight.dtype) for name, weight in weights.items()}
    for name, (parameter, key) in moments.items():
        expected[name] = (torch.Size() if key == "step" else parameter.shape, parameter.dtype)
    for name in sorted(expected.keys() ^ tensors.keys()):
        return f"{name} is {'missing' if name in expected else 'too much'}"
    for name, (shape, dtype) in expected.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (shape, dtype):
            return f"{name} is {found.dtype} {list(found.shape)} instead of {dtype} {list(shape)}"
    return ""
