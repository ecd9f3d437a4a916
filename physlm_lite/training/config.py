"""What makes a run: task, model, training settings and a seed. Nothing else may change its numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from weakref import WeakValueDictionary

from ..base.strict import Fraction, NotNegative, Positive, Range, Seed, build, conform, hints, unknown, verify
from ..models import ModelConfig
from ..tasks import Task
from ..tasks.presets import make_task

# Raised whenever the same configuration would no longer give the same numbers. 1: weights were drawn one after the other;
# 2: each is drawn by its name. Records of an earlier format are still found, under the names that their runs had then.
FORMAT = 2
LONGEST_CODE = 20_000  # characters of a reader's code in a run
# Runs are named by what differs from these defaults, so that a new option leaves all names as they were. They are those of
# the dataclasses (tests/training/test_identity.py compares them); changing one here or there is a new FORMAT.
DEFAULTS: Mapping[str, Any] = json.loads(Path(__file__).with_name("defaults.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Training:
    """How it learns. The defaults are the papers' optimiser (Part 4.1, appendix C) with a toy's length.

    schedule after a linear warm-up: "cosine" or "linear" from `learning_rate` down to `final` times it, or "constant";
    the decay begins at the fraction `decay_from` of the steps. leaky: let packed examples see each other, as published.
    evaluations: how often the test split is graded, evenly spaced, the last time at the end. optimizer: "muon" is for the
    matrices of the layers, beside AdamW. The last four are for runs at scale: decay_all: gains and biases decay as well;
    squared_loss: times the squared loss of each token is added; first_zero: the warm-up begins with a step that learns
    nothing; data_seed: of the data, where it is not the run's.
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
    optimizer: Literal["adamw", "muon"] = "adamw"
    decay_all: bool = False
    squared_loss: NotNegative = 0.0
    first_zero: bool = False
    data_seed: Seed | None = None

    def __post_init__(self) -> None:
        verify(self)

    def rate(self, step: int) -> float:
        """Learning rate of step 0..steps-1."""
        if step < self.warmup:
            return self.learning_rate * (step + (not self.first_zero)) / self.warmup
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

    The seed decides the initial weights and the training data; the test rows are the same for every run of a task. code: of
    a reader, which makes a part of the model; such a run is named by it, too, and can be carried out only where it is at hand.
    """

    task: str
    task_options: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    seed: Seed = 0
    code: str = ""

    def __post_init__(self) -> None:
        verify(self)
        if len(self.code) > LONGEST_CODE:
            raise ValueError(f"the code of a run may have {LONGEST_CODE:,} characters; this has {len(self.code):,}")

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; an unknown key anywhere is refused with the nearest valid one."""
        run = build(cls, options)
        alike = _ALIKE.setdefault(
            json.dumps([run.task, run.task_options, run.model], sort_keys=True, default=repr), run
        )
        if not alike.made_task.fingerprint:  # what files hold may have changed
            vars(run).update({name: vars(alike)[name] for name in MADE if name in vars(alike)})
        _ = run.setting  # refuses unknown task and model options now rather than later
        return run

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready content; without `code` where there is none."""
        content = dataclasses.asdict(self)
        if not self.code:
            del content["code"]
        return content

    @property
    def code_name(self) -> str:
        """A fingerprint of the reader's code, twelve hexadecimal digits ("" where there is none)."""
        return self.code and hashlib.sha256(self.code.encode()).hexdigest()[:12]

    @cached_property
    def made_task(self) -> Task:
        return make_task(self.task, self.task_options)

    @property
    def data_seed(self) -> int:
        """What decides the training data: the seed, unless the settings name another."""
        return self.seed if self.training.data_seed is None else self.training.data_seed

    @cached_property
    def model_config(self) -> ModelConfig:
        if "vocab" in self.model:
            raise ValueError("the vocabulary of a model follows from its task; leave 'vocab' out of its options")
        return build(ModelConfig, {"vocab": len(self.made_task.vocabulary), **self.model})

    @property
    def identity(self) -> dict[str, Any]:
        """What sets this run apart from all others: the seed, whatever differs from `DEFAULTS`, and the fingerprint of the
        files that its task reads, which stands in place of their names. Two spellings of the same run have one identity.
        """
        return self._identity(FORMAT)

    def _identity(self, format: int) -> dict[str, Any]:
        code = {"code": self.code_name} if self.code else {}
        return {
            "format": format,
            **self.setting,
            **code,
            "training": _training_identity(self.training),
            "seed": self.seed,
        }

    @cached_property
    def setting(self) -> dict[str, Any]:
        """The part of the `identity` that training settings and seed leave as it is."""
        options = differing(dataclasses.asdict(self.made_task), DEFAULTS["tasks"][self.task])  # type: ignore[call-overload]
        if files := getattr(self.made_task, "fingerprint", ""):
            for name in getattr(self.made_task, "reads", ()):
                options.pop(name, None)
        model = model_identity(self.model_config)
        return {"task": self.task, "task_options": options, **({"files": files} if files else {}), "model": model}

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this run, the seed included: a hash of its `identity`."""
        return self.name_in(FORMAT)

    def name_in(self, format: int) -> str:
        """Its hash under an earlier format, by which the records of that time are found."""
        if format not in self._names:
            content = json.dumps(_numbers(self._identity(format)), sort_keys=True)
            self._names[format] = hashlib.sha256(content.encode()).hexdigest()[:12]
        return self._names[format]

    @cached_property
    def _names(self) -> dict[int, str]:
        return {}

    def but(self, **changes: Any) -> Run:
        """The same run with other training settings or another seed: ``run.but(seed=1, learning_rate=1e-3)``.

        It shares what this run has made of its task and model, unless one of them changes.
        """
        own, settings = [f.name for f in dataclasses.fields(self)], hints(Training)
        for name in changes:
            if name not in own and name not in settings:
                raise unknown("run option", name, [*own, *sorted(settings)])
        given = [name for name in settings if name in changes]
        training = {name: conform(f"Training option {name}", settings[name], changes.pop(name)) for name in given}
        changes["training"] = _changed(changes.get("training", self.training), tuple(training.items()))
        if changes.keys() & {"task", "task_options", "model", "code"}:
            return dataclasses.replace(self, **changes)
        seed = conform("Run option seed", Seed, changes.pop("seed", self.seed))
        other = object.__new__(Run)  # all else has been checked
        vars(other).update(
            {name: vars(self)[name] for name in ("task", "task_options", "model", "code", *MADE) if name in vars(self)}
        )
        vars(other).update(changes, seed=seed)
        return other


MADE = ("made_task", "model_config", "setting")  # the same for all runs of one task and model
_ALIKE: WeakValueDictionary[str, Run] = WeakValueDictionary()  # a run of each task and model that `from_dict` has read


@lru_cache
def _changed(training: Training, changes: tuple[tuple[str, Any], ...]) -> Training:
    return dataclasses.replace(training, **dict(changes))


@lru_cache
def _training_identity(training: Training) -> dict[str, Any]:
    return differing(dataclasses.asdict(training), DEFAULTS["training"])


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
