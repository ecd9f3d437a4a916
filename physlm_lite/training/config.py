"""What makes a run: task, model, training settings and a seed. Nothing else may change its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..base.strict import build, unknown
from ..models import ModelConfig
from ..tasks import Task
from ..tasks.presets import make_task

FORMAT = 1  # raised whenever the same configuration would no longer give the same numbers


@dataclass(frozen=True)
class Training:
    """How it learns. The defaults are the papers' optimiser (Part 4.1, appendix C) with a toy's length.

    schedule after a linear warm-up: "cosine" or "linear" from `learning_rate` down to `final` times it, or "constant";
    the decay begins at the fraction `decay_from` of the steps. leaky: let packed examples see each other, as published.
    evaluations: how often the test split is graded, evenly spaced, the last time at the end.
    """

    steps: int = 400
    batch: int = 32
    learning_rate: float = 4e-3
    warmup: int = 50
    schedule: str = "cosine"
    decay_from: float = 0.0
    final: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    weight_decay: float = 0.03
    clip: float = 1.0
    evaluations: int = 8
    evaluation_rows: int = 256
    dtype: str = "float32"
    leaky: bool = False

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("evaluations", 1), ("evaluation_rows", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, not {value!r}")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise unknown("schedule", self.schedule, ("cosine", "linear", "constant"))
        if self.dtype not in ("float32", "bfloat16"):
            raise unknown("dtype", self.dtype, ("float32", "bfloat16"))
        if not 0 <= self.decay_from < 1:
            raise ValueError(f"decay_from is a fraction of the steps below 1, not {self.decay_from}")

    def rate(self, step: int) -> float:
        """Learning rate of step 0..steps-1."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        begin = max(self.warmup, self.decay_from * self.steps)
        progress = min(max((step - begin) / max(self.steps - begin, 1), 0.0), 1.0)
        if self.schedule == "constant":
            return self.learning_rate
        shape = (1 + math.cos(math.pi * progress)) / 2 if self.schedule == "cosine" else 1 - progress
        return self.learning_rate * (self.final + (1 - self.final) * shape)

    @cached_property
    def evaluation_steps(self) -> frozenset[int]:
        """After how many steps the test split is graded."""
        return frozenset(max(1, round(self.steps * (i + 1) / self.evaluations)) for i in range(self.evaluations))


@dataclass(frozen=True)
class Run:
    """One run: `task` (its kind) with options, model options without the vocabulary, training settings, and a seed.

    The seed decides the initial weights and the training data; the test rows are the same for every run of a task.
    """

    task: str
    task_options: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    seed: int = 0

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; an unknown key anywhere is refused with the nearest valid one."""
        options = dict(options)
        if isinstance(options.get("training"), Mapping):
            options["training"] = build(Training, options["training"])
        run = build(cls, options)
        _ = run.model_config  # refuses unknown task and model options now rather than later
        return run

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready content."""
        return {
            "task": self.task,
            "task_options": dict(self.task_options),
            "model": dict(self.model),
            "training": dataclasses.asdict(self.training),
            "seed": self.seed,
        }

    @cached_property
    def made_task(self) -> Task:
        return make_task(self.task, self.task_options)

    @cached_property
    def model_config(self) -> ModelConfig:
        if "vocab" in self.model:
            raise ValueError("the vocabulary of a model follows from its task; leave 'vocab' out of its options")
        return build(ModelConfig, {"vocab": len(self.made_task.vocabulary), **self.model})

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this configuration, seed included."""
        content = json.dumps([FORMAT, self.to_dict()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def but(self, **changes: Any) -> Run:
        """The same run with other training settings or another seed: ``run.but(seed=1, learning_rate=1e-3)``."""
        names = {f.name for f in dataclasses.fields(Training)}
        training = {k: v for k, v in changes.items() if k in names}
        own = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name not in names and name not in own:
                raise unknown("run option", name, [*own, *sorted(names)])
        rest = {k: v for k, v in changes.items() if k not in names}
        return dataclasses.replace(self, training=dataclasses.replace(self.training, **training), **rest)
