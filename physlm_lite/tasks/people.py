"""People who do not exist: their pools, and a world of N of them (Parts 3.1 and 3.3).

A person has a full name that nobody else has, a pronoun, and six attributes, each drawn uniformly; only the company's
city is not drawn: it follows from the employer. The pools beside this file have the published sizes and are ours; a
folder with files of the same names, or of those of the released lists, replaces any of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.reading import kept_while_unchanged, read_text
from ..base.strict import unknown
from .draws import address, below, bits

ATTRIBUTES = ("birth_date", "birth_city", "university", "major", "employer", "company_city")
NAMES = ("first", "middle", "last")
GENDER = 3  # the column of `World.table` after the three names; the attributes follow
PRONOUNS = (("He", "His"), ("She", "Her"))
MONTHS = "January February March April May June July August September October November December".split()
DAYS = tuple(f"{month} {day}" for month in MONTHS for day in range(1, 29))
YEARS = tuple(str(year) for year in range(1900, 2100))

# What the sentences of each file state.
STATEMENTS = {
    **{attribute: (attribute,) for attribute in ATTRIBUTES},
    "study": ("university", "major"),
    "work": ("employer", "company_city"),
}
POOL_FILES = {
    **{name: f"{name}_names.txt" for name in NAMES},
    "birth_city": "birth_cities.txt",
    "university": "universities.txt",
    "major": "majors.txt",
    "employer": "employers.txt",
}
SENTENCE_FILES = {statement: f"sentences_{statement}.txt" for statement in STATEMENTS}
# what the released folder `fields` calls these files
_RELEASED = "first_name middle_name last_name city university field company".split()
RELEASED_FILES = {ours: f"{theirs}.txt" for ours, theirs in zip(POOL_FILES.values(), _RELEASED, strict=True)}
NOT_USED = "job.txt"  # in the released folder, but no sentence states a job
_FILES = (*POOL_FILES.values(), *SENTENCE_FILES.values(), *RELEASED_FILES.values(), NOT_USED)
_OURS = Path(__file__).with_name("pools")

CHUNK = 2**16  # people made at a time, so that the working arrays stay small

# Streams of draws, see `draws.bits`.
NAME, PRONOUN, VALUE = 0, 3, 4  # a name takes three streams, the values six


# -- pools -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pools:
    """What names and attributes are drawn from; `headquarters[e]` is the number of employer e's city."""

    first: tuple[str, ...]
    middle: tuple[str, ...]
    last: tuple[str, ...]
    birth_city: tuple[str, ...]
    university: tuple[str, ...]
    major: tuple[str, ...]
    employer: tuple[str, ...]
    company_city: tuple[str, ...]
    headquarters: tuple[int, ...]
    dates: int = len(DAYS) * len(YEARS)

    @cached_property
    def birth_date(self) -> tuple[str, ...]:
        """All dates as text, "March 5, 1987", in the order of time (but no month has more than 28 days)."""
        return tuple(f"{day}, {year}" for year in YEARS for day in DAYS)[: self.dates]

    def values(self, attribute: str) -> tuple[str, ...]:
        """The pool of an attribute (or of "first", "middle", "last")."""
        found: tuple[str, ...] = getattr(self, attribute)
        return found

    def size(self, attribute: str) -> int:
        """The size of an attribute's pool."""
        return self.dates if attribute == "birth_date" else len(self.values(attribute))

    @property
    def full_names(self) -> int:
        """How many different full names there are; the paper's N0 = 1.6e8."""
        return prod(len(self.values(name)) for name in NAMES)

    def refuse_too_many(self, people: int) -> None:
        """Full names are unique, so there cannot be more people than names."""
        if not 1 <= people <= self.full_names:
            raise ValueError(
                f"people must be 1 to {self.full_names:,}, the number of full names these pools make, not {people:,}"
            )


def _pool_files(folder: str | None = None, *sizes: Any, **named: Any) -> list[Path]:
    return [] if folder is None else sorted(Path(folder).glob("*.txt"))


def _sentence_files(statement: str, folder: str | None = None) -> list[Path]:
    return _pool_files(folder)


@kept_while_unchanged(_pool_files)
def read_pools(folder: str | None = None, names: tuple[int, ...] | None = None, values: int | None = None) -> Pools:
    """The pools, with the files of `folder` in place of ours; only the first `names` and `values` of each.

    `names` is three sizes, `values` one for all attributes, dates and company cities included.

    Raises ValueError, in one sentence, for a file that is empty, repeats an entry, or lacks an employer's city.
    """
    lists = {pool: _entries(folder, file) for pool, file in POOL_FILES.items()}
    employers = [row.rpartition(";") for row in lists["employer"]]
    for (name, _, city), row in zip(employers, lists["employer"], strict=True):
        if not name.strip() or not city.strip():
            raise ValueError(f"{POOL_FILES['employer']}: {row!r} should read 'name; City, ST'")
    lists["employer"] = tuple(name.strip() for name, _, _ in employers)
    _refuse_repeats(lists["employer"], POOL_FILES["employer"])
    homes = [city.strip() for _, _, city in employers]
    cities = tuple(dict.fromkeys(homes))
    if names is not None and len(names) != 3:
        raise ValueError(f"names must be three pool sizes (first, middle, last), not {names!r}")
    taken = dict(zip(NAMES, names or (None, None, None), strict=True))
    for pool, file in POOL_FILES.items():
        size = taken.get(pool, values)
        if size is not None and not 1 <= size <= len(lists[pool]):
            raise ValueError(
                f"a pool of {size} entries cannot be taken from {file}, which has {len(lists[pool])}; "
                f"choose 1 to {len(lists[pool])}"
            )
        lists[pool] = lists[pool][:size]
    headquarters = tuple(map(cities.index, homes[:values]))
    return Pools(**lists, company_city=cities[:values], headquarters=headquarters, dates=values or Pools.dates)


def _entries(folder: str | None, file: str) -> tuple[str, ...]:
    """The lines of one of the files, without line ends and empty lines."""
    path = _OURS / file
    if folder is not None:
        _refuse_unread_files(Path(folder))
        given = [Path(folder, name) for name in (file, RELEASED_FILES.get(file, file))]
        theirs = [place for place in dict.fromkeys(given) if os.path.lexists(place)]
        if len(theirs) > 1:
            raise ValueError(f"{folder} holds both {theirs[0].name} and {theirs[1].name}; keep one of them")
        path = theirs[0] if theirs else path
    found = tuple(line for line in map(str.strip, read_text(path).split("\n")) if line)
    if not found:
        raise ValueError(f"{path} is empty; it should have one entry a line")
    _refuse_repeats(found, str(path))
    return found


def _refuse_repeats(entries: tuple[str, ...], file: str) -> None:
    entry, count = Counter(entries).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{file} has {entry!r} {count} times; remove the repeats, or the draw is not uniform")


def _refuse_unread_files(folder: Path) -> None:
    """A misspelt file would be overlooked in silence."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; it should hold any of {', '.join(_FILES)}")
    for path in sorted(folder.glob("*.txt")):
        if path.name not in _FILES:
            raise unknown(f"file in {folder}", path.name, _FILES)


@kept_while_unchanged(_sentence_files)
def read_sentences(statement: str, folder: str | None = None) -> tuple[str, ...]:
    """The templates of one kind of sentence, "{who} was born on {birth_date}." or "{whose} birthday is {birth_date}.".

    The subject comes first, each value once, behind a space, and a full stop ends the sentence. Raises ValueError
    otherwise.
    """
    file, needed = SENTENCE_FILES[statement], sorted(STATEMENTS[statement])
    templates = _entries(folder, file)
    for template in templates:
        slots = re.findall(r"(?<= ){(\w+)}", template)
        if not re.fullmatch(r"{who(se)?} [^{}]*({\w+}[^{}]*)+\.", template) or sorted(slots) != needed:
            wanted = " and ".join(f"{{{slot}}}" for slot in needed)
            raise ValueError(
                f"{file}: {template!r} should begin with {{who}} or {{whose}}, have {wanted} once, "
                "each behind a space, and end with a full stop"
            )
    return templates


# -- people ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """One person in words: the row of the world, three names, 0 for He and 1 for She, a value for each of ATTRIBUTES."""

    number: int
    names: tuple[str, ...]
    gender: int
    values: dict[str, str]

    @property
    def name(self) -> str:
        """The full name."""
        return " ".join(self.names)

    def subject(self, full: bool) -> dict[str, str]:
        """The words for {who} and {whose}: the full name or the pronoun."""
        who, whose = (self.name, f"{self.name}'s") if full else PRONOUNS[self.gender]
        return {"who": who, "whose": whose}


@dataclass(frozen=True)
class World:
    """N people: `table[person]` has the numbers in their pools of the three names, the gender and the ATTRIBUTES."""

    pools: Pools
    table: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> Person:
        row = self.table[number].tolist()
        gender = row.pop(GENDER)
        words = [self.pools.values(pool)[i] for pool, i in zip((*NAMES, *ATTRIBUTES), row, strict=True)]
        return Person(number, tuple(words[:GENDER]), gender, dict(zip(ATTRIBUTES, words[GENDER:], strict=True)))


def make_world(pools: Pools, people: int, seed: int = 0, pronoun: str = "random", own_city: bool = False) -> World:
    """`people` people with different names; those of a smaller world are the first ones of a larger world.

    Names are drawn one after the other and the repeated ones thrown away. pronoun: "random" (the paper), or "script",
    He for even numbers and She for odd ones (the released text function). own_city: draw the company's city on its own
    instead of looking it up, so that it carries as many bits as any other attribute; for the toy formats.

    Raises ValueError for more people than there are names.
    """
    pools.refuse_too_many(people)
    table, names = np.empty((people, GENDER + 1 + len(ATTRIBUTES)), np.int32), _different_names(pools, people, seed)
    for begin in range(0, people, CHUNK):
        part = table[begin : begin + CHUNK]
        number = np.arange(begin, begin + len(part))
        key = address(seed, number)
        part[:, :GENDER] = np.transpose(np.unravel_index(names[number], [*map(pools.size, NAMES)]))
        part[:, GENDER] = number % 2 if pronoun == "script" else below(bits(key, PRONOUN), 2)
        for i, attribute in enumerate(ATTRIBUTES):
            part[:, GENDER + 1 + i] = below(bits(key, VALUE + i), pools.size(attribute))
        if not own_city:
            part[:, -1] = np.array(pools.headquarters)[part[:, -2]]
    return World(pools, table)


def _different_names(pools: Pools, people: int, seed: int) -> NDArray[np.int64]:
    """The first `people` different names of an endless stream of draws, as numbers from 0 to `Pools.full_names` - 1."""
    sizes, key = [pools.size(name) for name in NAMES], address(seed)
    # so many draws are expected to have as many different names, and a few more are made
    expected = -pools.full_names * np.log1p(-(people - 0.5) / pools.full_names)
    number, draws = np.empty(0, np.int64), int(1.01 * expected) + 64
    while True:
        chunks = [number]
        for begin in range(len(number), draws, CHUNK):
            ahead = np.arange(begin, min(begin + CHUNK, draws))
            first, middle, last = (below(bits(key, NAME + i, ahead), size) for i, size in enumerate(sizes))
            chunks.append((first * sizes[1] + middle) * sizes[2] + last)
        number = np.concatenate(chunks)
        kept = np.zeros(draws, bool)
        if pools.full_names << draws.bit_length() < 2**63:  # sort names with their places: much faster than an argsort
            pairs = np.sort(number << draws.bit_length() | np.arange(draws))
            new = np.diff(pairs >> draws.bit_length(), prepend=-1) > 0
            kept[pairs[new] & (1 << draws.bit_length()) - 1] = True
        else:
            kept[np.unique(number, return_index=True)[1]] = True
        if kept.sum() >= people:
            return number[kept][:people]
        draws *= 2
