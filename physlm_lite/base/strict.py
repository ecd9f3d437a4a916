"""Typos are errors: names and configuration keys that nobody knows are refused with the nearest valid one."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class UnknownName(ValueError):
    """A name that is not among the valid ones; its message is one sentence that ends with the nearest fix."""


def unknown(kind: str, name: object, valid: Iterable[str]) -> UnknownName:
    """The error for a `name` that is not `valid`, for example ``unknown("scale", "toi", ["smoke", "toy"])``.

    >>> print(unknown("scale", "toi", ["smoke", "toy"]))
    unknown scale 'toi'; did you mean 'toy'? (valid: smoke, toy)
    """
    names = list(valid)
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    close = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.4)
    hint = f"did you mean '{folded[close[0]]}'? " if close else ""
    return UnknownName(f"unknown {kind} {str(name)!r}; {hint}(valid: {', '.join(names)})")


def choose(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or a helpful `UnknownName`."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]


def build(cls: type[T], options: Mapping[str, Any]) -> T:
    """Make the dataclass `cls` from a mapping; an unknown or a missing key is refused, JSON lists become tuples."""
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in options:
        if key not in fields:
            raise unknown(f"{cls.__name__} option", key, fields)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        nothing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if nothing and field.init and field.name not in options:
            raise ValueError(f"{cls.__name__} needs the option {field.name!r}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})
