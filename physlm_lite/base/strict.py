"""Names and values are checked in one place, by the annotations of the dataclass that takes them.

A name that nobody knows is refused with the nearest valid one; a value is refused with what was expected. It is the same
check for Python (`verify`), for JSON and YAML (`build`) and for a command line (`read_options`):

>>> @dataclass(frozen=True)
... class Size:
...     width: Count = 64
...     rate: Positive = 1e-3
...     kind: Literal["wide", "deep"] = "wide"
...     def __post_init__(self): verify(self)
>>> build(Size, {"width": 32, "rate": 1})
Size(width=32, rate=1.0, kind='wide')
>>> Size(width=True)
Traceback (most recent call last):
ValueError: Size option width must be a whole number of at least 1, not True
>>> Size(**read_options(Size, ["width=8", "kind=deap"]))
Traceback (most recent call last):
physlm_lite.base.strict.UnknownName: unknown Size kind 'deap'; did you mean 'deep'? (valid: wide, deep)
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class UnknownName(ValueError):
    """A name that is not among the valid ones; its message is one sentence that ends with the nearest fix."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> UnknownName:
    """The error for a `name` that is not `valid`, for example ``unknown("scale", "toi", ["smoke", "toy"])``.

    >>> print(unknown("scale", "toi", ["smoke", "toy"]))
    unknown scale 'toi'; did you mean 'toy'? (valid: smoke, toy)
    """
    names = list(valid)
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    close = [folded[found] for found in difflib.get_close_matches(str(name).lower(), folded, n=8, cutoff=0.4)]
    hint = f"did you mean '{close[0]}'? " if close else ""
    every = f"valid: {', '.join(names)}"
    if len(every) > 400:  # a long list helps nobody
        every = f"{len(names)} are valid, such as {', '.join((close or names)[:8])}"
    return UnknownName(f"unknown {kind} {shown(name)}; {hint}({every})")


def choose(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or a helpful `UnknownName`."""
    if not isinstance(name, str) or name not in table:
        raise unknown(kind, name, table)
    return table[name]


def shown(value: object, most: int = 80) -> str:
    """A value as a message quotes it: `repr`, which escapes control characters, cut in the middle where it is long."""
    text = repr(value) if type(value).__module__ != "numpy" else repr(plain(value))
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 3 :]}"


# -- annotations -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """Bounds of a number, in ``Annotated[int, Range(least=1)]``; `above` and `below` are not reached themselves."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether the value lies inside."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least:,} to {self.most:,}"
        words = {"of at least": self.least, "above": self.above, "of at most": self.most, "below": self.below}
        return " and ".join(f"{word} {bound:,}" for word, bound in words.items() if bound is not None)


Whole = Annotated[int, Range(least=0)]
Count = Annotated[int, Range(least=1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
Fraction = Annotated[float, Range(least=0, most=1)]
Seed = Annotated[int, Range(least=0, below=2**63)]


@lru_cache
def hints(cls: Any) -> Mapping[str, Any]:
    """The annotations of the fields of `cls`, a dataclass, by name."""
    found = get_type_hints(cls, include_extras=True)
    return {field.name: found[field.name] for field in dataclasses.fields(cls)}


def verify(instance: Any, called: str | None = None) -> None:
    """Check each field of a dataclass by its annotation; to be called first in `__post_init__`. Errors name the class, or
    `called`, the one whose part it is.

    NumPy's numbers become Python's, whole numbers become floats where floats are wanted, and lists tuples, so that two
    spellings of a value are one. True is no number and 1 is no bool; NaN and infinity are numbers that nothing accepts.

    Raises ValueError, or UnknownName for one of several valid words.
    """
    cls: Any = type(instance)
    for name, hint in hints(cls).items():
        option = f"{called or cls.__name__} option {name}"
        object.__setattr__(instance, name, conform(option, hint, getattr(instance, name)))


def conform(name: str, hint: Any, value: Any) -> Any:
    """The value in the form that the annotation asks for; errors call it `name`."""
    asked, (hint, limits, kind, parts) = hint, _taken_apart(hint)
    if kind in (Union, UnionType):
        return _one_of(name, parts, value)
    if kind is Literal:
        if not any(type(value) in (type(part), np.str_) and value == part for part in parts):
            raise unknown(name.replace(" option ", " "), value, parts)
        return plain(value)
    if kind in (tuple, Sequence) and not isinstance(value, str) and isinstance(value, Sequence | np.ndarray | range):
        each = parts[:1] * len(value) if kind is Sequence or parts[1:] == (...,) else parts
        if len(each) == len(value):
            return tuple(conform(f"{name}[{i}]", part, v) for i, (part, v) in enumerate(zip(each, value, strict=True)))
    elif kind is Mapping and isinstance(value, Mapping):
        names, kept = parts
        return {conform(f"a key of {name}", names, k): conform(f"{name}[{k!r}]", kept, v) for k, v in value.items()}
    elif hint is Any:
        return plain(value)
    elif kind not in (tuple, Sequence, Mapping) and _is(value, kind or hint):
        value = hint(value) if hint in NUMBERS else str(value) if hint is str else value
        if limits is None or limits.holds(value):
            return value
    elif dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value)  # type: ignore[arg-type]
    raise ValueError(f"{name} must be {_wanted(asked)}, not {shown(value)}")


@cache
def _taken_apart(hint: Any) -> tuple[Any, Range | None, Any, tuple[Any, ...]]:
    """An annotation without its limits, the limits, its origin, and its arguments."""
    limits = None
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        limits = next((e for e in extra if isinstance(e, Range)), None)
    return hint, limits, get_origin(hint), get_args(hint)


NUMBERS = {bool: "True or False", int: "a whole number", float: "a number"}


def _is(value: Any, hint: Any) -> bool:
    """Whether the value may stand where `hint`, a class, is asked for."""
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint in (int, float):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return whole or (hint is float and isinstance(value, float | np.floating) and math.isfinite(value))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _one_of(name: str, parts: Sequence[Any], value: Any) -> Any:
    if value is None and NoneType in parts:
        return None
    rest = [part for part in parts if part is not NoneType]
    for part in rest:
        try:
            return conform(name, part, value)
        except ValueError:
            if len(rest) == 1 and get_origin(part) is Literal:
                raise
    wanted = " or ".join(_wanted(part) for part in rest) + (" or None" if NoneType in parts else "")
    raise ValueError(f"{name} must be {wanted}, not {shown(value)}")


def _wanted(hint: Any) -> str:
    """What an annotation asks for, in words."""
    hint, limits, kind, parts = _taken_apart(hint)
    if kind is Literal:
        return "one of " + ", ".join(map(repr, parts))
    if kind in (tuple, Sequence):
        count = "" if kind is Sequence or ... in parts else f"{len(parts)} "
        return f"a list of {count}values, each {_wanted(parts[0])}"
    if kind is Mapping:
        return "a mapping of names to values"
    name: str = {**NUMBERS, str: "a text"}.get(hint, getattr(hint, "__name__", str(hint)))
    if hint is float and limits == Range(above=0):
        return "a positive number"
    return name if limits is None else f"{name} {limits}"


def plain(value: Any) -> Any:
    """The same in Python's own numbers and texts instead of NumPy's, at any depth."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


# -- from outside ------------------------------------------------------------------------------------------------------


def build(cls: type[T], options: Mapping[str, Any]) -> T:
    """Make the dataclass `cls` from a mapping, as JSON and YAML give it; an unknown or a missing key is refused.

    YAML reads 1e-5 as a text: where a number is wanted, it is one.
    """
    if not isinstance(options, Mapping):
        raise ValueError(f"{cls.__name__} takes a mapping of names to values, not {shown(options)}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in options:
        if key not in fields:
            raise unknown(f"{cls.__name__} option", key, fields)
    for field in fields.values():
        nothing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if nothing and field.name not in options:
            raise ValueError(f"{cls.__name__} needs the option {field.name!r}")
    kinds, given = hints(cast(Any, cls)), {}
    for key, value in options.items():
        spelled = isinstance(value, str) and EXPONENT.fullmatch(value) and not _admits(kinds[key], str)
        given[key] = conform(f"{cls.__name__} option {key}", kinds[key], float(value) if spelled else value)
    return cls(**given)


def read_options(cls: type, texts: Sequence[str]) -> dict[str, Any]:
    """Options of the dataclass `cls` from texts such as "N=20", "context=None" or "sizes=fixed", by the annotations."""
    kinds, options = hints(cls), {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"an option is written key=value, such as {next(iter(kinds))}=..., not {shown(text)}")
        if name not in kinds:
            raise unknown(f"{cls.__name__} option", name, kinds)
        options[name] = conform(f"{cls.__name__} option {name}", kinds[name], _read(value, kinds[name]))
    return options


def _read(text: str, hint: Any) -> Any:
    """`text` as Python would read it; as it stands where that fails, or where a text is wanted and Python reads no None."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    if text.lower() in ("true", "false") and _admits(hint, bool):
        return text.lower() == "true"
    return text if _admits(hint, str) and value is not None and not isinstance(value, str) else value


def _admits(hint: Any, kind: type) -> bool:
    """Whether a field with this annotation may hold a `kind`."""
    if get_origin(hint) in (Annotated, Union, UnionType):
        return any(_admits(part, kind) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return any(type(part) is kind for part in get_args(hint))
    return hint is kind or hint is Any
