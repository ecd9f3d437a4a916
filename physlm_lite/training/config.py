"""What makes a run: task, model, training settings and a seed. Nothing else may change its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from ..base.strict import Fraction, NotNegative, Positive, Range, Seed, build, hints, unknown, verify
from ..models import ModelConfig
from ..tasks import Task
from ..tasks.presets import make_task

FORMAT = 1  # raised whenever the same configuration would no longer give the same numbers
# Runs are named by what differs from these defaults, so that a new option leaves all names as they were. They are those of
# the dataclasses (tests/training/test_identity.py compares them); changing one here or there is a new FORMAT.
DEFAULTS: Mapping[str, Any] = json.loads(Path(__file__).with_name("defaults.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Training:
    """How it learns. The defaults are the papers' optimiser (Part 4.1, appendix C) with a toy's length.

    schedule after a linear warm-up: "cosine" or "linear" from `learning_rate` down to `final` times it, or "constant";
    the decay begins at the fraction `decay_from` of the steps. leaky: let packed examples see each other, as published.
    evaluations: how often the test split is graded, evenly spaced, the last time at the end.
    """

    steps: Annotated[int, Range(1, 10**9)] = 400
    batch: Annotated[int, Range(1, 2**20)] = 32
    learning_rate: Positive = 4e-3
    warmup: Annotated[int, Range(0, 10**9)] = 50
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    decay_from: Annotated[float, Range(least=0, below=1)] = 0.0
    final: Fraction = 0.1
    beta1: Annotated[float, Range(least=0, below=1)] = 0.9
    beta2: Annotated[float, Range(least=0, below=1)] = 0.98
    eps: Positive = 1e-6
    weight_decay: NotNegative = 0.03
    clip: Positive = 1.0
    evaluations: Annotated[int, Range(1, 10_000)] = 8
    evaluation_rows: Annotated[int, Range(1, 2**20)] = 256
    dtype: Literal["float32", "bfloat16"] = "float32"
    leaky: bool = False

    def __post_init__(self) -> None:
        verify(self)

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
    seed: Seed = 0

    def __post_init__(self) -> None:
        verify(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; an unknown key anywhere is refused with the nearest valid one."""
        run = build(cls, options)
        _ = run.model_config  # refuses unknown task and model options now rather than later
        return run

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready content."""
        return dataclasses.asdict(self)

    @cached_property
    def made_task(self) -> Task:
        return make_task(self.task, self.task_options)

    @cached_property
    def model_config(self) -> ModelConfig:
        if "vocab" in self.model:
            raise ValueError("the vocabulary of a model follows from its task; leave 'vocab' out of its options")
        return build(ModelConfig, {"vocab": len(self.made_task.vocabulary), **self.model})

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What sets this run apart from all others: the seed, whatever differs from `DEFAULTS`, and the fingerprint of the
        files that its task reads, which stands in place of their names. Two spellings of the same run have one identity.
        """
        training = differing(dataclasses.asdict(self.training), DEFAULTS["training"])
        return {"format": FORMAT, **self.setting, "training": training, "seed": self.seed}

    @cached_property
    def setting(self) -> dict[str, Any]:
        """The part of the `identity` that training settings and seed leave as it is."""
        options = differing(dataclasses.asdict(self.made_task), DEFAULTS["tasks"][self.task])  # type: ignore[call-overload]
        if files := getattr(self.made_task, "fingerprint", ""):
            for name in getattr(self.made_task, "reads", ()):
                options.pop(name, None)
        model = model_identity(self.model_config)
        return {"task": self.task, "task_options": options, **({"files": files} if files else {}), "model": model}

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this run, the seed included: a hash of its `identity`."""
        content = json.dumps(_numbers(self.identity), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def but(self, **changes: Any) -> Run:
        """The same run with other training settings or another seed: ``run.but(seed=1, learning_rate=1e-3)``.

        It shares what this run has made of its task and model, unless one of them changes.
        """
        own, settings = [f.name for f in dataclasses.fields(self)], hints(Training)
        for name in changes:
            if name not in own and name not in settings:
                raise unknown("run option", name, [*own, *sorted(settings)])
        training = {name: changes.pop(name) for name in settings if name in changes}
        other = dataclasses.replace(self, training=dataclasses.replace(self.training, **training), **changes)
        if not changes.keys() & {"task", "task_options", "model"}:
            made = ("made_task", "model_config", "setting")
            vars(other).update({name: vars(self)[name] for name in made if name in vars(self)})
        return other


def differing(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not as in `defaults`; one without a default always differs."""
    plain = json.loads(json.dumps(options))
    return {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}


def model_identity(config: ModelConfig) -> dict[str, Any]:
    """The options of a model that differ from the defaults, without its vocabulary, which follows from the task.

    An option that says what would follow from the others anyway is left out.
    """
    options = dataclasses.asdict(config)
    del options["vocab"]
    options["canon"] = "".join(sorted(config.canon))
    options["mixer_options"] = differing(config.mixer_options, DEFAULTS["mixers"].get(config.mixer, {}))
    if config.canon_layers is not None:
        options["canon_layers"] = config.canon_depths
    following = {
        "kv_heads": config.heads,
        "head_width": config.width / config.heads,
        "hidden": dataclasses.replace(config.feed_forward_part, hidden=None).inner,
        "rope_dim": config.each_head,
        "rope_heads": config.heads,
        "canon_layers": list(range(config.layers)),
        "init_std": 0.02 if config.init == "huggingface" else None,
    }
    options |= {name: None for name, value in following.items() if options[name] == value}
    return differing(options, DEFAULTS["model"])


def _numbers(value: Any) -> Any:
    """The same with 1 for 1.0, whichever of them JSON and the annotations gave."""
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
