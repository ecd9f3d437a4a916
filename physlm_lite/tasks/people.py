"""People who do not exist: their pools, a world of N of them, and what is said about them (Parts 3.1 and 3.3).

A person has a full name that nobody else has, a pronoun, and six attributes, each drawn uniformly; only the company's
city is not drawn: it follows from the employer. The pools beside this file have the published sizes and are ours; a
folder with files of the same names, or of those of the released lists, replaces any of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

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

MOST_PEOPLE = 20_000_000  # Part 3.3 goes no further

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
RELEASED_FILES = {  # what the released folder `fields` calls these files
    "first_names.txt": "first_name.txt",
    "middle_names.txt": "middle_name.txt",
    "last_names.txt": "last_name.txt",
    "birth_cities.txt": "city.txt",
    "universities.txt": "university.txt",
    "majors.txt": "field.txt",
    "employers.txt": "company.txt",
}
NOT_USED = "job.txt"  # in the released folder, but no sentence states a job
_FILES = (*POOL_FILES.values(), *SENTENCE_FILES.values(), *RELEASED_FILES.values(), NOT_USED)
_OURS = Path(__file__).with_name("pools")

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
        if people > MOST_PEOPLE:
            raise ValueError(f"people must be at most {MOST_PEOPLE:,}, the papers' largest world, not {people:,}")
        if not 1 <= people <= self.full_names:
            raise ValueError(
                f"people must be 1 to {self.full_names:,}, the number of full names these pools make, not {people:,}"
            )


def _pool_files(
    folder: str | None = None, names: tuple[int, ...] | None = None, values: int | None = None
) -> list[Path]:
    return [] if folder is None else sorted(Path(folder).glob("*.txt"))


def _sentence_files(statement: str, folder: str | None = None) -> list[Path]:
    return _pool_files(folder)


@kept_while_unchanged(_pool_files)
def read_pools(folder: str | None = None, names: tuple[int, ...] | None = None, values: int | None = None) -> Pools:
    """The pools, with the files of `folder` in place of ours; only the first `names` and `values` of each.

    `names` is three sizes, `values` one for all attributes, dates and company cities included.

    Raises ValueError, in one sentence, for a file that is empty, repeats an entry, or lacks an employer's city.
    """
    first, middle, last, birth_city, university, major, rows = (
        _entries(folder, POOL_FILES[pool]) for pool in (*NAMES, "birth_city", "university", "major", "employer")
    )
    employers = [row.rpartition(";") for row in rows]
    for (name, _, city), row in zip(employers, rows, strict=True):
        if not name.strip() or not city.strip():
            raise ValueError(f"{POOL_FILES['employer']}: {row!r} should read 'name; City, ST'")
    _refuse_repeats((name.strip() for name, _, _ in employers), POOL_FILES["employer"])
    cities = list(dict.fromkeys(city.strip() for _, _, city in employers))
    headquarters = tuple(cities.index(city.strip()) for _, _, city in employers)
    parts = {"first": first, "middle": middle, "last": last}
    if names is not None:
        if len(names) != 3:
            raise ValueError(f"names must be three pool sizes (first, middle, last), not {names!r}")
        parts = {key: _shortened(parts[key], size, POOL_FILES[key]) for key, size in zip(parts, names, strict=True)}
    attributes = {
        "birth_city": birth_city,
        "university": university,
        "major": major,
        "employer": tuple(name.strip() for name, _, _ in employers),
    }
    dates = Pools.dates
    if values is not None:
        attributes = {key: _shortened(pool, values, POOL_FILES[key]) for key, pool in attributes.items()}
        headquarters, cities, dates = headquarters[:values], cities[:values], values
    return Pools(**parts, **attributes, company_city=tuple(cities), headquarters=headquarters, dates=dates)


def _shortened(pool: tuple[str, ...], size: int, file: str) -> tuple[str, ...]:
    if not 1 <= size <= len(pool):
        raise ValueError(
            f"a pool of {size} entries cannot be taken from {file}, which has {len(pool)}; choose 1 to {len(pool)}"
        )
    return pool[:size]


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


def _refuse_repeats(entries: Iterable[str], file: str) -> None:
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
    """One person in words; `number` is the row of the world."""

    number: int
    first: str
    middle: str
    last: str
    gender: int
    birth_date: str
    birth_city: str
    university: str
    major: str
    employer: str
    company_city: str

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.first} {self.middle} {self.last}"

    @property
    def values(self) -> dict[str, str]:
        """Each attribute's value."""
        return {attribute: getattr(self, attribute) for attribute in ATTRIBUTES}

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
        columns = zip((*NAMES, "gender", *ATTRIBUTES), row, strict=True)
        words = {key: self.pools.values(key)[i] for key, i in columns if key != "gender"}
        return Person(number=number, gender=row[GENDER], **words)


def make_world(pools: Pools, people: int, seed: int = 0, pronoun: str = "random", own_city: bool = False) -> World:
    """`people` people with different names; those of a smaller world are the first ones of a larger world.

    Names are drawn one after the other and the repeated ones thrown away. pronoun: "random" (the paper), or "script",
    He for even numbers and She for odd ones (the released text function). own_city: draw the company's city on its own
    instead of looking it up, so that it carries as many bits as any other attribute; for the toy formats.

    Raises ValueError for more people than there are names.
    """
    pools.refuse_too_many(people)
    table = np.empty((people, GENDER + 1 + len(ATTRIBUTES)), np.int32)
    table[:, :GENDER] = _different_names(pools, people, seed)
    key = address(seed, np.arange(people))
    table[:, GENDER] = np.arange(people) % 2 if pronoun == "script" else below(bits(key, PRONOUN), 2)
    for i, attribute in enumerate(ATTRIBUTES):
        table[:, GENDER + 1 + i] = below(bits(key, VALUE + i), pools.size(attribute))
    if not own_city:
        table[:, -1] = np.array(pools.headquarters)[table[:, -2]]
    return World(pools, table)


def _different_names(pools: Pools, people: int, seed: int) -> NDArray[np.int64]:
    """The first `people` different names of an endless stream of draws: [person, 3]."""
    sizes, draws = [len(pools.values(name)) for name in NAMES], people + people // 64 + 16
    while True:
        drawn = [below(bits(address(seed), NAME + i, np.arange(draws)), size) for i, size in enumerate(sizes)]
        number = (drawn[0] * sizes[1] + drawn[1]) * sizes[2] + drawn[2]
        first = np.sort(np.unique(number, return_index=True)[1])[:people]
        if len(first) == people:
            return np.stack(drawn, axis=1)[first]
        draws *= 2  # the same draws and as many more


# -- things said about a person --------------------------------------------------------------------------------------


def questions(person: Person) -> list[tuple[str, str]]:
    """Six questions with their answers, the attribute's value to the letter (Part 3.1, section 2)."""
    name = person.name
    return [
        (f"When is {name}'s date of birth?", person.birth_date),
        (f"In which city was {name} born?", person.birth_city),
        (f"At which university did {name} study?", person.university),
        (f"What was {name}'s major?", person.major),
        (f"Which company employs {name}?", person.employer),
        (f"In which city does {name} work?", person.company_city),
    ]


_FACTS: tuple[tuple[Sequence[str], ...], ...] = (  # four facts; the first is said in two parts
    (
        (
            "the person went to {university}",
            "the person is a graduate of {university}",
            "the person's alma mater is {university}",
            "the person spent their college years at {university}",
        ),
        ("with {major} as the major", "where {major} was their subject", "and studied {major} there"),
    ),
    (
        (
            "the person was born in {birth_city}",
            "the person's birthplace is {birth_city}",
            "the person's first home was in {birth_city}",
        ),
    ),
    (
        (
            "the person works for {employer} in {company_city}",
            "the person is employed by {employer}, {company_city}",
            "the person has a job in {company_city}, at {employer}",
            "{employer} of {company_city} employs the person",
        ),
    ),
    (("the person was born on {birth_date}", "the person's birthday is {birth_date}"),),
)


def biography_prompt(person: Person, words: int = 50, seed: int = 0) -> str:
    """A request to a language model for a bioR paragraph (Parts 3.1 and 3.3): four facts in random order.

    bioR texts were written by Llama models, drawn again until all six attributes occurred; which phrasing stands here
    depends on the person and the seed.
    """
    key, facts = address(seed, person.number), []
    for i, fact in enumerate(_FACTS):
        phrases = [choices[below(bits(key, i, j), len(choices))[0]] for j, choices in enumerate(fact)]
        facts.append(" ".join(phrases).format(**person.values))
    order = np.argsort(bits(key, len(_FACTS), np.arange(len(facts))))
    return (
        f"Write a biography of about {words} words of {person.name}, in your own words and in any order. State all "
        f"of the following: {'; '.join(facts[i] for i in order)}."
    )
