"""Recipes: everything that decides the numbers of a large run, and nothing about the machines that it runs on.

The 64 published runs of Part 4.2 and three of our own lie as YAML in `recipes/`; a reader's own file names one of them as its
`base` and says what differs. The windows of a step are fixed: `Recipe.divided` deals them out to any number of GPUs that
divides them, in several turns where that is needed, and refuses what would be another experiment.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from ..base.reading import read_yaml
from ..base.strict import (
    Count,
    Fraction,
    NotNegative,
    Positive,
    Range,
    Seed,
    build,
    conform,
    hints,
    plain,
    shown,
    unknown,
    verify,
)
from ..models import ModelConfig

OWN = ("tiny", "small", "academic-1.3B")
FOLDER = Path(__file__).with_name("recipes")
Steps = Annotated[int, Range(1, 10**9)]
Beta = Annotated[float, Range(least=0, below=1)]


# The text in each annotation is what `shown_recipe` prints beside the value.
@dataclass(frozen=True)
class Data:
    """Which text, cut into which tokens, in rows of which length. The corpora are prepared beforehand, see `sources`."""

    tokenizer: Annotated[str, "llama-2, llama-3, characters, or a name that the Hub knows"]
    window: Annotated[Count, "tokens in a row"]
    sources: Annotated[Mapping[str, Positive], "prepared corpora, and the share of each in the windows"] = field(
        default_factory=lambda: {"nemotron-cc-high-quality": 1.0}, hash=False
    )
    begin: Annotated[bool, "a mark before each document"] = True
    end: Annotated[bool, "a mark after each document"] = True
    leaky: Annotated[bool, "as published: documents packed into one row see each other"] = True
    seed: Annotated[Seed, "of the order of the windows"] = 42

    def __post_init__(self) -> None:
        verify(self)
        if not self.sources:
            raise ValueError("Data option sources must name at least one corpus, such as {fineweb-edu: 1.0}")


@dataclass(frozen=True)
class Batch:
    """The windows of a step, whatever the number of GPUs, and the machines of the original run."""

    rows: Annotated[Count, "windows in a step, on all GPUs together and in all turns"]
    gpus: Annotated[Count, "of the original run"]
    gpu: Annotated[str, "their kind"] = "h200"

    def __post_init__(self) -> None:
        verify(self)
        if self.rows % self.gpus:
            raise ValueError(_indivisible(self.rows, self.gpus))


@dataclass(frozen=True)
class Optimizer:
    """AdamW, or Muon beside it."""

    learning_rate: Annotated[Positive, "the peak"]
    weight_decay: Annotated[NotNegative, "times the rate, taken off each step"]
    beta1: Annotated[Beta, "memory of the gradient"] = 0.9
    beta2: Annotated[Beta, "memory of its square"] = 0.95
    eps: Annotated[Positive, "added to the root of that square"] = 1e-8
    clip: Annotated[Positive, "largest norm of the whole gradient"] = 1.0
    decay_all: Annotated[bool, "as published: gains, biases, taps and rates decay like the matrices"] = True
    kind: Annotated[Literal["adamw", "muon"], "muon is for the matrices of the layers, beside AdamW"] = "adamw"

    def __post_init__(self) -> None:
        verify(self)


@dataclass(frozen=True)
class Schedule:
    """The rate of each step, as a share of the peak.

    >>> schedule = Schedule(steps=100, warmup=10)
    >>> [round(schedule.share(step), 3) for step in (0, 5, 10, 55, 99, 100, 101)]
    [0.0, 0.5, 1.0, 0.505, 0.01, 1.0, 0.01]
    >>> [round(Schedule(100, 10, first_zero=False, last_full=False).share(step), 3) for step in (0, 9, 10, 100)]
    [0.1, 1.0, 1.0, 0.01]
    """

    steps: Annotated[Steps, "of the optimiser"]
    warmup: Annotated[Annotated[int, Range(0, 10**9)], "steps in which the rate rises to its peak"]
    shape: Annotated[Literal["cosine", "linear", "constant"], "of the way down"] = "cosine"
    final: Annotated[Fraction, "share of the peak that is left at the end"] = 0.01
    first_zero: Annotated[bool, "as published: the first step of the warm-up has a rate of zero"] = True
    last_full: Annotated[bool, "as published: a step beyond the last one would have the peak's rate"] = True

    def __post_init__(self) -> None:
        verify(self)
        if self.warmup >= self.steps:
            raise ValueError(f"a warm-up of {self.warmup:,} steps leaves nothing of {self.steps:,}; choose fewer")

    def share(self, step: int) -> float:
        """Of step 0, 1, 2, ...; those from `steps` on are no part of the recipe."""
        if step < self.warmup:
            return (step if self.first_zero else step + 1) / self.warmup
        if self.shape == "constant" or (step == self.steps and self.last_full):
            return 1.0
        progress = min((step - self.warmup) / (self.steps - self.warmup), 1.0)
        left = (1 + math.cos(math.pi * progress)) / 2 if self.shape == "cosine" else 1 - progress
        return self.final + (1 - self.final) * left


@dataclass(frozen=True)
class Precision:
    """In which numbers weights are kept, layers compute and gradients are added up; the loss is always in 32 bits."""

    compute: Annotated[Literal["bfloat16", "float32"], "of the layers; weights and moments are kept in float32"] = (
        "bfloat16"
    )
    reduce: Annotated[Literal["float32", "bfloat16"], "of the gradients while the GPUs add them up"] = "float32"
    rounded_norm: Annotated[
        bool, "the norm's factor is rounded to 16 bits before it multiplies; the same function in 32 bits"
    ] = False

    def __post_init__(self) -> None:
        verify(self)


@dataclass(frozen=True)
class Keeping:
    """What is written down on the way."""

    save_every: Annotated[Steps, "steps between checkpoints"]
    evaluate_every: Annotated[Steps, "steps between evaluations; their checkpoints all stay"]
    saves: Annotated[Count, "how many of the other checkpoints stay"] = 3
    log_every: Annotated[Steps, "steps between lines of the log"] = 10

    def __post_init__(self) -> None:
        verify(self)


@dataclass(frozen=True)
class Division:
    """A step's windows on GPUs: each takes `rows` at a time, `turns` times, before the optimiser moves."""

    gpus: int
    rows: int
    turns: int

    def __str__(self) -> str:
        numbers = {"GPU": self.gpus, "row": self.rows, "turn": self.turns}
        words = [f"{number:,} {name}{'s' * (number > 1)}" for name, number in numbers.items()]
        return f"{' x '.join(words)} = {self.gpus * self.rows * self.turns:,} rows"


@dataclass(frozen=True)
class Recipe:
    """One run: its model, its data, and how it learns."""

    name: str
    about: Annotated[str, "where it comes from"]
    model: ModelConfig
    data: Data
    batch: Batch
    optimizer: Optimizer
    schedule: Schedule
    keeping: Keeping
    precision: Precision = field(default_factory=Precision)
    squared_loss: Annotated[
        NotNegative, "times the squared loss of each token is added; z_loss there, but no log Z is in it"
    ] = 0.0
    seed: Annotated[Seed, "of the weights"] = 42

    def __post_init__(self) -> None:
        verify(self)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a step, on all GPUs and in all turns."""
        return self.batch.rows * self.data.window

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.schedule.steps * self.tokens_per_step

    @property
    def published(self) -> bool:
        """Is it one of the 64 of Part 4.2?"""
        return self == published().get(self.name)

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, 2, ..."""
        return self.optimizer.learning_rate * self.schedule.share(step)

    def divided(self, gpus: int | None = None, rows: int | None = None) -> Division:
        """The same step on another number of GPUs (None: the original one), with `rows` on each at a time (None: as many as
        in the original run, or fewer). ValueError where the windows cannot be dealt out evenly."""
        gpus = self.batch.gpus if gpus is None else conform("the number of GPUs", Count, gpus)
        if self.batch.rows % gpus:
            raise ValueError(_indivisible(self.batch.rows, gpus))
        each, most = self.batch.rows // gpus, self.batch.rows // self.batch.gpus
        if rows is None:
            rows = max(n for n in divisors(each) if n <= most)
        elif each % conform("rows at a time", Count, rows):
            raise ValueError(
                f"{rows:,} rows at a time do not divide the {each:,} that each of {gpus:,} GPUs has in a step; "
                f"choose {nearest(divisors(each), rows)}"
            )
        return Division(gpus, rows, each // rows)


def divisors(number: int) -> list[int]:
    """In order."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})


def nearest(numbers: list[int], wanted: int) -> str:
    """The one below and the one above, in words."""
    below, above = [n for n in numbers if n < wanted], [n for n in numbers if n > wanted]
    return " or ".join(f"{n:,}" for n in (*below[-1:], *above[:1]))


def _indivisible(rows: int, gpus: int) -> str:
    return (
        f"{rows:,} rows in a step cannot be dealt out evenly to {gpus:,} GPUs, and another number of rows would be another "
        f"experiment; choose {nearest(divisors(rows), gpus)} GPUs"
    )


# -- files -------------------------------------------------------------------------------------------------------------


@lru_cache
def _shipped() -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """The file and the content of each shipped recipe: what differs from the base in the same file."""
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        content = read_yaml(path)
        if "runs" in content:
            found |= {name: (path, {"base": content["base"], **run}) for name, run in content["runs"].items()}
        else:
            found[path.stem] = path, content
    names = [*OWN, *sorted(found.keys() - {*OWN}, key=lambda name: (name.split("-")[1], list(found).index(name)))]
    return {name: found[name] for name in names}


def recipes() -> list[str]:
    """The names of the shipped recipes: our own, then the 64 published ones by size.

    >>> len(recipes()), recipes()[:3]
    (67, ['tiny', 'small', 'academic-1.3B'])
    """
    return list(_shipped())


@lru_cache
def published() -> dict[str, Recipe]:
    """The 64 of Part 4.2 by name."""
    return {name: load_recipe(name) for name in recipes() if name not in OWN}


def load_recipe(name: str | Path) -> Recipe:
    """A shipped recipe by its name, or that of a YAML file, whose `base` may name a shipped one.

    >>> load_recipe("LlamaCanon-8B-Nemo-1T-lr0.003").tokens
    1006632960000

    Raises ValueError, in one sentence that begins with the file, for an unknown name or key, or a wrong value.
    """
    path = Path(name)
    if str(name) in _shipped():
        path, content = _shipped()[str(name)]
        name = str(name)
    elif path.suffix in (".yaml", ".yml"):
        content, name = read_yaml(path), path.stem
    else:
        raise unknown("recipe", str(name), recipes())
    try:
        if not isinstance(content, Mapping):
            raise ValueError(f"a recipe is a mapping of names to values, not {shown(content)}")
        return build(Recipe, {"name": name, **_with_base(content)})
    except ValueError as error:
        raise ValueError(f"{path.name if path.parent == FOLDER else path}: {error}") from error


def _with_base(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content on top of what its base says."""
    own = {key: value for key, value in content.items() if key != "base"}
    base = content.get("base", {})
    if isinstance(base, str):
        if base not in _shipped():
            raise unknown("base", base, recipes())
        base = _with_base(_shipped()[base][1])
    if not isinstance(base, Mapping):
        raise ValueError(f"the base must be the name of a recipe, not {shown(base)}")
    return _merged(base, own)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Parts are merged name by name; corpora are replaced as a whole."""
    both = {**base, **own}
    for key in base.keys() & own.keys() - {"sources"}:
        if isinstance(base[key], Mapping) and isinstance(own[key], Mapping):
            both[key] = _merged(base[key], own[key])
    return both


# -- looking at them ---------------------------------------------------------------------------------------------------

MODEL = {
    "vocab": "tokens that there are",
    "width": "numbers in the vector of a token",
    "layers": "blocks",
    "heads": "of attention, or of the recurrence",
    "kv_heads": "key and value heads, shared by the query heads",
    "hidden": "width of the feed-forward layer",
    "canon": "places of Canon layers",
    "rope_dim": "coordinates of each head that rotate",
    "rope_theta": "base of the rotation's wavelengths",
    "rope_layout": "which coordinates rotate as a pair",
    "qk_norm": "an RMSNorm over all queries and one over all keys",
    "init": "the code base whose starting weights it has",
    "mixer": "what stands in the place of attention",
    "mixer_options": "its own options",
}


def _lines(part: Any, indent: str = "") -> Iterator[tuple[str, str]]:
    """Each line of a recipe as YAML, and what it means. Of a model, what differs from the defaults."""
    for f in dataclasses.fields(part):
        value, hint = getattr(part, f.name), hints(cast(Any, type(part)))[f.name]
        if f.name == "name" or (isinstance(part, ModelConfig) and value == _default(f)):
            continue
        if isinstance(part, ModelConfig):
            about = MODEL.get(f.name, "")
        else:
            about = next((extra for extra in typing.get_args(hint)[1:] if isinstance(extra, str)), "")
        if dataclasses.is_dataclass(value):
            yield f"{indent}{f.name}:", ""
            yield from _lines(value, indent + "  ")
        elif isinstance(value, Mapping) and len(value) > 1:
            yield f"{indent}{f.name}:", about
            yield from ((f"{indent}  {key}: {_yaml(inner)}", "") for key, inner in value.items())
        else:
            yield f"{indent}{f.name}: {_yaml(value)}", about


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=1000)
    return text.splitlines()[0]


def shown_recipe(recipe: Recipe) -> str:
    """The whole recipe as YAML that `load_recipe` reads, a meaning beside each value."""
    lines = [f"# {recipe.name}: {recipe.model.parameters:,} parameters, {recipe.tokens:,} tokens"]
    for line, about in _lines(recipe):
        lines.append(f"{line:<44}  # {about}" if about else line)
    return "\n".join(lines)


def flat(part: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a recipe by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in part.items() if isinstance(part, Mapping) else vars(part).items():
        if prefix == "model." and key not in {f.name for f in dataclasses.fields(ModelConfig)}:
            continue  # what a model keeps of its parts
        nested = dataclasses.is_dataclass(value) or isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The values that differ, by their dotted names, and what follows from them; None where a value does not exist.

    >>> plain, canon = (load_recipe(f"{family}-8B-Nemo-1T-lr0.003") for family in ("Llama", "LlamaCanon"))
    >>> differences(plain, canon)["model.canon"]
    ('', 'ABCD')
    """
    pair = [{**flat(recipe), "parameters": recipe.model.parameters, "tokens": recipe.tokens} for recipe in (one, other)]
    names = [name for name in {**pair[0], **pair[1]} if name not in ("name", "about")]
    both = {name: (pair[0].get(name), pair[1].get(name)) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}
