"""What the lab's controls say, as one value: a setting of the library, and what is otherwise. It knows no widgets.

A trial that exists is one that the library takes: its task, model and training are made by their own classes, and whatever
these refuse is refused with their sentence. It can be written as one line of text, and read again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ...base.strict import Positive, Seed, build, choose, hints, read_options, shown, unknown, verify
from ...claims.experiment import Setting
from ...claims.settings import small_settings
from ...models import ModelConfig
from ...models.config import MIXERS
from ...tasks import Metric, Task
from ...tasks.presets import KINDS, make_task
from ...training import Run, Training

BEGIN = "physlm:what-if?"
LONGEST = 4000  # characters of a trial's text
PARTS = ("task", "model", "mixer", "training")  # a dot and an option's name follow


@dataclass(frozen=True)
class Trial:
    """A setting of the library by its name, with changes to its task, its model and its training; seeds; learning rates.

    task, model, training: only what differs from the setting; the rest falls away. rates: none is the middle of the setting's
    grid. Raises ValueError, in the library's own sentence, for what does not go together.
    """

    setting: str = "copying, toy"
    task: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[Seed, ...] = (0,)
    rates: tuple[Positive, ...] = ()

    def __post_init__(self) -> None:
        verify(self)
        base = self.base
        given = {
            "task": (self.task, {**_defaults(KINDS[base.task]), **base.task_options}),
            "model": (self.model, {**_defaults(ModelConfig), **base.model}),
            "training": (self.training, vars(base.training)),
        }
        for name, (changes, before) in given.items():
            kept = {key: _plain(value) for key, value in changes.items() if _key(value) != _key(before.get(key, ...))}
            object.__setattr__(self, name, dict(sorted(kept.items())))
        rates = self.rates or (sorted(base.grid)[len(base.grid) // 2],)
        object.__setattr__(self, "rates", tuple(sorted(set(rates))))
        object.__setattr__(self, "seeds", tuple(sorted(set(self.seeds))))
        if not self.seeds:
            raise ValueError("a trial needs a seed; its number of seeds must be at least 1")
        if "learning_rate" in self.training:
            raise ValueError("training.learning_rate is chosen by rates, one or several")
        if "vocab" in self.model:
            _ = self.runs[0].model_config  # which refuses it
        _ = self.config, self.budget

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def base(self) -> Setting:
        """The setting that it starts from; an unknown one is refused with the nearest."""
        return choose("setting", self.setting, small_settings())

    @cached_property
    def made_task(self) -> Task:
        return _made(self.base.task, _key({**self.base.task_options, **self.task}))

    @cached_property
    def config(self) -> ModelConfig:
        """The model."""
        return _config(len(self.made_task.vocabulary), _key({**self.base.model, **self.model}))

    @cached_property
    def budget(self) -> Training:
        """The training, at the lowest of the rates."""
        return _budget(self.setting, _key({**self.training, "learning_rate": min(self.rates)}))

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs, a rate after the other."""
        task, model = {**self.base.task_options, **self.task}, {**self.base.model, **self.model}
        first = Run(self.base.task, task, model, self.budget)
        return tuple(first.but(learning_rate=rate, seed=seed) for rate in self.rates for seed in self.seeds)

    @cached_property
    def metric(self) -> Metric:
        """The score to predict and to compare by: what the setting looks at, if it is a share; else the first share shown."""
        names = (self.base.select, *self.base.shown, "accuracy", *self.made_task.metrics)
        known = [self.made_task.metrics[name] for name in names if name in self.made_task.metrics]
        return next((metric for metric in known if metric.share), known[0])

    @property
    def scores(self) -> tuple[Metric, ...]:
        """What can be drawn and compared by: the score to predict first, then what the setting shows, and the loss."""
        names = (self.metric.name, *self.base.shown, "accuracy", "loss")
        return tuple(self.made_task.metrics[name] for name in dict.fromkeys(names) if name in self.made_task.metrics)

    @property
    def name(self) -> str:
        """What is otherwise than in the setting, in few words."""
        changes = {**self.model, **self.task, **self.training}  # the model first: names may be cut
        mixer = changes.pop("mixer_options", {})
        words = [f"{name} {_word(value)}" for name, value in {**changes, **mixer}.items()]
        return ", ".join(words) or "as the setting"

    # -- another one ---------------------------------------------------------------------------------------------------

    def value(self, path: str) -> Any:
        """What an option is set to: "model.width", "task.N", "mixer.state", "training.steps", "setting", "seeds", "rates"."""
        part, _, name = path.partition(".")
        if not name:
            return getattr(self, part)
        if part == "task":
            return getattr(self.made_task, name)
        if part == "mixer":
            return self.config.all_mixer_options.get(name, _defaults(MIXERS[self.config.mixer].options).get(name))
        return getattr(self.config if part == "model" else self.budget, name)

    def but(self, path: str, value: Any) -> Trial:
        """The same with one option changed. Raises ValueError, the library's own, where that does not go with the others.

        What belongs to another mixer falls away with it, and a hidden width with its kind of feed-forward layer; this layer
        keeps its proportion to the width.
        """
        part, _, name = path.partition(".")
        if path == "setting":
            return self._elsewhere(value)
        if not name:
            return dataclasses.replace(self, **{part: value})
        if part == "mixer":
            options = {**self.config.mixer_options, name: value}
            return self._with_model({"mixer_options": options})
        if part != "model":
            changed: dict[str, Any] = {part: {**getattr(self, part), name: value}}
            return dataclasses.replace(self, **changed)
        changes = {name: value}
        if name == "mixer" and value != self.config.mixer:
            changes["mixer_options"] = {}
        if name == "mlp":
            changes["hidden"] = None  # the usual width of the other kind
        if name == "width" and self.config.hidden is not None:
            changes["hidden"] = self.config.hidden * value // self.config.width
        return self._with_model(changes)

    def _with_model(self, changes: Mapping[str, Any]) -> Trial:
        return dataclasses.replace(self, model={**self.model, **changes})

    def _elsewhere(self, setting: str) -> Trial:
        """At another setting, with the architecture that was chosen, and that setting's task, budget and rates."""
        return Trial(setting, model=self.model, seeds=self.seeds)

    # -- as text -------------------------------------------------------------------------------------------------------

    def to_text(self) -> str:
        """One line, like a link, from which `from_text` makes the same trial."""
        pairs = [("setting", self.setting)]
        model = {name: value for name, value in self.model.items() if name != "mixer_options"}
        parts = (self.task, model, self.model.get("mixer_options", {}), self.training)
        for part, changes in zip(PARTS, parts, strict=True):
            pairs += [(f"{part}.{name}", _written(value)) for name, value in changes.items()]
        pairs += [(name, ",".join(map(repr, getattr(self, name)))) for name in ("seeds", "rates")]
        return BEGIN + urlencode(pairs)

    @classmethod
    def from_text(cls, text: str) -> Trial:
        """The inverse of `to_text`; anything else is refused in one sentence."""
        text = text.strip()
        if not text.startswith(BEGIN) or len(text) > LONGEST:
            raise ValueError(
                f"a trial is written {BEGIN}setting=..., in at most {LONGEST:,} characters, not {shown(text)}"
            )
        try:
            pairs = parse_qsl(text.removeprefix(BEGIN), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise ValueError(
                f"a trial is written name=value&name=value, not {shown(text.removeprefix(BEGIN))}"
            ) from None
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ValueError(f"{name} stands twice in the text of a trial; leave one out")
            found[name] = value
        setting = choose("setting", found.pop("setting", cls.setting), small_settings())
        parts = {
            part: {name.partition(".")[2]: value for name, value in found.items() if name.startswith(f"{part}.")}
            for part in PARTS
        }
        numbers = {name: _numbers(name, found[name]) for name in ("seeds", "rates") if name in found}
        for name in found:
            if name not in numbers and name.partition(".")[0] not in PARTS:
                raise unknown(
                    "part of a trial", name, ["setting", *(f"{part}.NAME" for part in PARTS), "seeds", "rates"]
                )
        model = _read(ModelConfig, parts["model"])
        mixer = choose(
            "mixer", model.get("mixer", setting.model.get("mixer", "attention")), {"attention": None, **MIXERS}
        )
        if parts["mixer"]:
            model["mixer_options"] = _read(mixer.options, parts["mixer"]) if mixer else parts["mixer"]
        return cls(
            setting.name,
            _read(KINDS[setting.task], parts["task"]),
            model,
            _read(Training, parts["training"]),
            **numbers,
        )


def _read(cls: type, options: Mapping[str, str]) -> dict[str, Any]:
    return read_options(cls, [f"{name}={value}" for name, value in options.items()])


def _numbers(name: str, text: str) -> tuple[Any, ...]:
    """Numbers with commas between them."""
    kind = int if name == "seeds" else float
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"{name} are numbers with commas between them, not {shown(text)}") from None


def _written(value: Any) -> str:
    """A value as `read_options` reads it."""
    return value if isinstance(value, str) else repr(value)


def _word(value: Any) -> str:
    return {"": "none", None: "as usual"}.get(value, str(value)) if isinstance(value, str | None) else repr(value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _key(value: Any) -> str:
    """Two spellings of the same options have one key."""
    return json.dumps(value, sort_keys=True, default=repr)


@lru_cache
def _defaults(cls: Any) -> Mapping[str, Any]:
    """What the fields of a dataclass are, unless they are given."""
    found = {f.name: f.default for f in dataclasses.fields(cls)}
    factories = {f.name: f.default_factory for f in dataclasses.fields(cls)}
    missing = dataclasses.MISSING
    made = {name: make() for name, make in factories.items() if make is not missing}
    return {name: value for name, value in found.items() if value is not missing} | made


@lru_cache(2048)
def _made(kind: str, options: str) -> Task:
    return make_task(kind, json.loads(options))


@lru_cache(8192)
def _config(vocab: int, options: str) -> ModelConfig:
    return build(ModelConfig, {"vocab": vocab, **json.loads(options)})


@lru_cache(2048)
def _budget(setting: str, changes: str) -> Training:
    return dataclasses.replace(small_settings()[setting].training, **_checked(json.loads(changes)))


def _checked(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in changes:
        if name not in hints(Training):
            raise unknown("Training option", name, hints(Training))
    return changes
