"""Which values the lab's controls offer for each option, and which of them do not go with the present trial, and why.

Nothing is listed twice: options, words and bounds are those of the library's dataclasses, numbers are those that its settings
and the sides of its claims try, and a value is greyed out exactly where the library refuses it, with the library's sentence.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from ...base.strict import hints
from ...claims import CLAIMS
from ...claims.experiment import Experiment
from ...claims.settings import small_settings
from ...models import ModelConfig
from ...models.attention import AttentionConfig
from ...models.canon import PLACES, CanonConfig
from ...models.config import GIVEN, MIXERS
from ...models.experts import ExpertsConfig
from ...models.feed_forward import FeedForwardConfig
from ...models.positions import POSITIONS
from ...tasks.grammar import NAMED
from ...tasks.presets import KINDS
from ...training import Training
from .trial import Trial

# Where each option of a model and of a training stands; those that are named nowhere are left to the setting.
MODEL = {
    "mixer": ("mixer", "positions", "rope_dim", "rope_heads"),
    "feed-forward": ("mlp", "activation", "experts"),
    "canon": (
        *("canon", "canon_kernel", "canon_layers", "canon_init", "canon_residual", "canon_activation", "canon_frozen"),
        "canon_cross",
    ),
    "size": ("width", "layers", "heads"),
    "start": ("init", "depth_scaling", "tied", "qk_norm"),
}
BUDGET = ("steps", "batch", "optimizer", "schedule", "weight_decay", "leaky")
LEFT_TO_THE_SETTING = {
    ModelConfig: (
        *("vocab", "kv_heads", "head_width", "canon_compiled", "rope_theta", "rope_layout", "norm_eps", "init_std"),
        *("expert_capacity", "expert_balance", "mixer_options", "hidden"),
    ),
    Training: (
        *("learning_rate", "warmup", "decay_from", "final", "beta1", "beta2", "eps", "clip", "evaluations", "dtype"),
        *("evaluation_rows", "decay_all", "squared_loss", "first_zero", "data_seed"),
    ),
}
NAMES: Mapping[str, tuple[str, ...]] = {  # of options that are any text to the annotations
    "model.mixer": ("attention", *MIXERS),
    "model.positions": POSITIONS,
    "task.grammar": tuple(NAMED),
}
SEEDS = (1, 2, 3, 5, 8, 10)  # how many, from 0 on: those of pilots are below 100
PART_OF = (
    CanonConfig,
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
)  # the strictest annotation first


@dataclass(frozen=True)
class Option:
    """A value of a control. refusal: why it does not go with the trial ("" if it does)."""

    value: Any
    label: str
    chosen: bool
    refusal: str = ""


@dataclass(frozen=True)
class Control:
    """One option of a trial with its values. several: those that are chosen are several, such as places or rates."""

    path: str
    label: str
    options: tuple[Option, ...]
    several: bool = False


def controls(trial: Trial, group: str) -> list[Control]:
    """The controls of a group: "task", one of `MODEL`, "budget", "seeds and rates"."""
    if group == "task":
        return [_settings(trial), *(_of(trial, f"task.{name}") for name in task_options(trial.base.task))]
    if group == "budget":
        return [_of(trial, f"training.{name}") for name in BUDGET]
    if group == "seeds and rates":
        return [_seeds(trial), _rates(trial)]
    found = [_places(trial) if name == "canon" else _of(trial, f"model.{name}") for name in MODEL[group]]
    if group == "mixer" and trial.config.mixer != "attention":
        found += [_of(trial, f"mixer.{name}") for name in mixer_options(trial.config.mixer)]
    return found


GROUPS = ("task", *MODEL, "budget", "seeds and rates")


def turned(trial: Trial, control: Control, value: Any) -> Trial:
    """The trial after a click on a value: it is chosen or, where several are, chosen or taken out."""
    if control.path == "task.kind":
        return trial.but("setting", _first_of(value))
    if control.path == "seeds":
        return trial.but("seeds", tuple(range(value)))
    if not control.several:
        return trial.but(control.path, value)
    before = trial.value(control.path)
    kept = [one for one in before if one != value] if value in before else [*before, value]
    if control.path == "model.canon":
        return trial.but(control.path, "".join(place for place in PLACES if place in kept))
    return trial.but(control.path, tuple(kept or before))


def refusal(trial: Trial, control: Control, value: Any) -> str:
    """What the library says to this value; "" if it takes it."""
    try:
        turned(trial, control, value)
    except ValueError as error:
        return str(error)
    return ""


# -- the controls ------------------------------------------------------------------------------------------------------


def _made(trial: Trial, control: Control, values: tuple[Any, ...], chosen: tuple[Any, ...]) -> Control:
    options = []
    for value in values:
        taken = value in chosen and type(value) in map(type, chosen)
        why = "" if taken and not control.several else refusal(trial, control, value)
        options.append(Option(value, label_of(control.path, value), taken, why))
    return dataclasses.replace(control, options=tuple(options))


def _of(trial: Trial, path: str) -> Control:
    part, _, name = path.partition(".")
    value = trial.value(path)
    values = values_of(part, name, trial.base.task if part == "task" else trial.config.mixer)
    if value not in values:
        values = tuple(sorted([*values, value], key=_order))
    return _made(trial, Control(path, name.removeprefix("canon_").replace("_", " "), ()), values, (value,))


def _settings(trial: Trial) -> Control:
    return _made(trial, Control("setting", "setting", ()), tuple(settings_of(trial.base.task)), (trial.setting,))


def kinds(trial: Trial) -> Control:
    """The tasks themselves."""
    return _made(
        trial, Control("task.kind", "task", ()), tuple(kind for kind in KINDS if settings_of(kind)), (trial.base.task,)
    )


def _places(trial: Trial) -> Control:
    return _made(trial, Control("model.canon", "places", (), several=True), tuple(PLACES), tuple(trial.config.canon))


def _seeds(trial: Trial) -> Control:
    counts = tuple(sorted({*SEEDS, len(trial.seeds)}))
    return _made(trial, Control("seeds", "seeds", ()), counts, (len(trial.seeds),))


def _rates(trial: Trial) -> Control:
    grid = trial.base.grid
    rates = tuple(sorted({*grid, min(grid) / 2, max(grid) * 2, *trial.rates}))
    return _made(trial, Control("rates", "learning rates", (), several=True), rates, trial.rates)


# -- their values ------------------------------------------------------------------------------------------------------


@lru_cache
def values_of(part: str, name: str, of: str) -> tuple[Any, ...]:
    """The values offered for an option. of: the task or the mixer that it belongs to.

    Words and yes or no come from the annotation; numbers are the default and those that settings and sides of claims try, with
    half the smallest of them and twice the largest.
    """
    hint, path = _hint(part, name, of), f"{part}.{name}"
    optional, kinds = NoneType in get_args(hint), [hint, *get_args(hint)]
    nothing = (None,) if optional else ()
    if bool in kinds:
        return (False, True)
    words = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), NAMES.get(path))
    if words is not None:
        return (*nothing, *words)
    key = (part, of if part == "task" else "", name)
    found = {value for value in seen()[key] if value is not None}
    whole = {value for value in found if type(value) is int and value > 0}
    if whole and whole == found and name not in ("rope_dim", "rope_heads", "root"):
        found |= {2 * max(whole), min(whole) // 2 or 1}
    return tuple(sorted({*nothing, *found}, key=_order))


def _hint(part: str, name: str, of: str) -> Any:
    classes: Mapping[str, tuple[Any, ...]] = {
        "task": (KINDS[of],) if of in KINDS else (),
        "model": PART_OF,
        "training": (Training,),
    }
    places = (MIXERS[of].options,) if part == "mixer" else classes[part]
    return next(hints(place)[name] for place in places if name in hints(place))


@cache
def seen() -> Mapping[tuple[str, str, str], set[Any]]:
    """Every value of an option that some setting, or some side of a claim that needs no GPU, has."""
    found: defaultdict[tuple[str, str, str], set[Any]] = defaultdict(set)
    for experiment in _experiments():
        for name in hints(KINDS[experiment.task]):
            found["task", experiment.task, name].add(_hashable(getattr(experiment.made_task, name)))
        for side in experiment.sides.values():
            options = {**experiment.model, **side}
            for name, value in options.items():
                found["model", "", name].add(_hashable(value))
            for name, value in options.get("mixer_options", {}).items():
                found["mixer", "", name].add(_hashable(value))
        for name in hints(Training):
            found["training", "", name].add(getattr(experiment.training, name))
    for name, f in ModelConfig.__dataclass_fields__.items():
        if f.default is not dataclasses.MISSING:
            found["model", "", name].add(f.default)
    return found


def _experiments() -> Iterator[Experiment]:
    for claim in CLAIMS.values():
        yield from (e for scale, e in claim.experiments.items() if scale != "smoke" and not e.full_size)


@cache
def settings_of(kind: str) -> tuple[str, ...]:
    """The settings of a task on which claims are judged."""
    judged = {experiment.name for experiment in _experiments()}
    return tuple(name for name, setting in small_settings().items() if setting.task == kind and name in judged)


def _first_of(kind: str) -> str:
    return settings_of(kind)[0]


@cache
def task_options(kind: str) -> tuple[str, ...]:
    """The options of a task that its settings say, or that have words to choose from; not the files that it reads."""
    files = getattr(KINDS[kind], "reads", ())
    said = {name for setting in settings_of(kind) for name in small_settings()[setting].task_options}
    names = [name for name in hints(KINDS[kind]) if name not in files]
    return tuple(name for name in names if name in said or len(values_of("task", name, kind)) > 1)


@cache
def mixer_options(mixer: str) -> tuple[str, ...]:
    """The options of a linear mixer with something to choose from."""
    names = [name for name in hints(MIXERS[mixer].options) if name not in (*GIVEN, "canon_kernel")]
    return tuple(name for name in names if len(values_of("mixer", name, mixer)) > 1)


WORDS: Mapping[tuple[str, Any], str] = {  # where a button should say more than the value
    ("model.canon_layers", None): "all",
    ("model.canon_layers", (0,)): "the first",
    ("model.canon_layers", (-1,)): "the last",
    ("model.rope_dim", None): "all",
    ("model.rope_dim", 0): "none (NoPE)",
    ("model.rope_heads", None): "all",
    ("model.experts", 0): "none",
}


def label_of(path: str, value: Any) -> str:
    """A value as a button says it."""
    if (path, value) in WORDS:
        return WORDS[path, value]
    if value is None:
        return "as usual"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _hashable(value: Any) -> Any:
    plain = value is None or isinstance(value, str | int | float)
    return tuple(value) if isinstance(value, list | tuple) else value if plain else repr(value)


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, str(value))
