"""Capo: knowledge capacity (bioS of Parts 3.1 and 3.3; Part 4.1, section 2 and appendix A).

N people are known by nothing but their biographies: six sentences from templates, in random order, with a full name and
six attributes to be memorised. How many bits of them end up in the weights is then measured exactly. The fast generator
gathers ready-made tokens of whole batches; `capo_biography` is its slow twin and reads like the specification.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import permutations
from math import gcd, log, log2, prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..base.reading import fingerprint
from ..base.strict import Count, Positive, Range, Seed, unknown, verify
from .batch import PAD, Batch, Rows, Steps, Window, accuracy, row_numbers, to_batch
from .draws import U64, Ints, OneByOne, address, below, bits, unit
from .metric import Metric, by_name, share
from .people import (
    ATTRIBUTES,
    DAYS,
    GENDER,
    NAMES,
    PRONOUNS,
    YEARS,
    Pools,
    World,
    make_world,
    read_pools,
    read_sentences,
)
from .windows import Instances, Packed, one_a_row
from .words import EOS, GPT2, Lexicon, Spaces, Tokenizer, Words, read_gpt2

# Streams of draws (see `draws.bits`).
WHO, ENTRY, ORDER, TEMPLATE = range(4)
MEASURED = 2  # beside the numbers of the train and test splits

FULL = 2  # the third form of a sentence's beginning, after those for He and She

STYLES: Mapping[str, tuple[str, ...]] = {
    "bioS": ("birth_date", "birth_city", "university", "major", "employer", "company_city"),
    "bioR": ("birth_date", "birth_city", "study", "work"),  # two sentences that state two attributes each
}
FORMATS: Mapping[str, Tokenizer] = {"sentences": Words(), "short": Spaces(), "pairs": Spaces()}

# The short format's words: each attribute has four verbs, any of which goes with any of the four fillers.
VERBS = {
    "birth_date": "appeared arrived began started",
    "birth_city": "hail come stem originate",
    "university": "attended graduated enrolled matriculated",
    "major": "studied learned mastered explored",
    "employer": "work serve earn labor",
    "company_city": "commute travel drive ride",
}
FILLERS = "reportedly apparently evidently famously".split()

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "bioS(N)": {},  # Part 3.3 and Capo: a fresh biography at every exposure
    "bioS-simple(N)": {"entries": 1, "templates": "once"},
    "bioS single": {"entries": 1, "templates": "once", "order": "fixed"},
    "bioS single+fullname": {"entries": 1, "templates": "once", "order": "fixed", "fullname": True},
    **{f"bioS single+permute{P}": {"entries": P, "templates": "once"} for P in (1, 2, 5)},
    **{f"bioS single+permute{P}+fullname": {"entries": P, "templates": "once", "fullname": True} for P in (1, 2, 5)},
    **{f"bioS multi{M}": {"entries": M, "order": "fixed"} for M in (2, 5)},
    **{f"bioS multi{M}+permute": {"entries": M} for M in (2, 5)},
    **{f"bioS multi{M}+fullname": {"entries": M, "order": "fixed", "fullname": True} for M in (2, 5)},
    **{f"bioS multi{M}+permute+fullname": {"entries": M, "fullname": True} for M in (2, 5)},
    **{f"bioS couple{P}": {"entries": P, "templates": "once", "order": "couple"} for P in (1, 2, 5)},
}
"""The papers' data sets as options of `Capo` (Part 3.1, section 2 and appendix A; Part 3.3, section 2)."""


@dataclass(frozen=True)
class Measure:
    """Biographies to measure, one a row, with the tokens that are knowledge.

    `part` [row, position] numbers the parts of `parts`: 0 for the words in between, 1 for the full name at the
    beginning, then one number for each attribute's value (the first pronoun is the value of "gender").
    """

    batch: Batch
    part: Tensor
    parts: tuple[str, ...]

    @property
    def name(self) -> Tensor:
        """bool [row, position]: the tokens of the full name."""
        return self.part == 1

    @property
    def value(self) -> Tensor:
        """bool [row, position]: the tokens of the attributes' values."""
        return self.part > 1

    def losses(self, nats: Tensor) -> tuple[float, float]:
        """p1 and p2 of Part 3.3: the loss *summed* over name tokens and over value tokens, averaged over people.

        `nats[row, t]` is -log p(tokens[t] | tokens before it), natural logarithm.
        """
        p1, p2 = (float(torch.where(mask, nats.double(), 0.0).sum() / len(nats)) for mask in (self.name, self.value))
        return p1, p2


def capacity_bits(people: int, p1: float, p2: float, N0: float, S0: float) -> float:
    """Bits of knowledge a model holds (Part 3.3, definition 2.2): N log2(N0 / e^p1) + N log2(S0 / e^p2).

    p1, p2: see `Measure.losses`. N0: possible names; S0: possible combinations of values. Divide by the number of
    parameters for the paper's R. Negative for a model that is worse than uniform guessing.

    >>> round(capacity_bits(100_000, 12.5, 6.0, Capo(100_000).N0, Capo(100_000).S0) / 1e6, 3)
    4.816
    """
    return people * (log2(N0) - p1 / log(2)) + people * (log2(S0) - p2 / log(2))


def max_bits(people: int, N0: float, S0: float) -> float:
    """All that can be known: N log2(N0 / N) + N log2 S0. The names are a set, so their order is no knowledge."""
    return people * log2(N0 / people) + people * log2(S0)


# -- the text, as data -------------------------------------------------------------------------------------------------

YEAR = GENDER + 1 + len(ATTRIBUTES)  # two columns behind those of `World.table`: the year, and a zero
ZERO = YEAR + 1


@dataclass(frozen=True)
class _Texts:
    """All pieces of biographies, as items of a lexicon.

    A clause is one value with the words around it: a lead in three forms (He, She, full name), the value, a tail. A
    group is a set of templates that state the same; its templates' first clauses stand at first_clause[group] onwards,
    then their second ones, if any. A date is written in two items, because there are so many dates: the day is the
    value, and the year begins the tail. The value of a clause is item value + columns[value_column], its tail item
    tail + columns[tail_column], where `columns` are numbers in pools.
    """

    lexicon: Lexicon
    names: Ints  # the first item of each name pool; first names have `<eos>` before them
    plain_first: int  # the same for first names without it
    nothing: int  # an empty item
    sizes: Ints  # of each column's pool
    lead: Ints  # [clause, form]
    group_size: Ints  # templates of each group
    group_clauses: Ints  # clauses of each of its templates
    first_clause: Ints
    later: Ints  # [clause], as all the following: 1 if it is its template's second clause
    attribute: Ints
    value: Ints
    value_column: Ints
    tail: Ints
    tail_column: Ints

    def length(self, first_group: Sequence[int], fullname: bool, reduce: Callable[..., Any]) -> float:
        """Tokens of a biography: the mean (`reduce` = np.mean) or the most there can be (np.max).

        first_group: the groups that may come first, all equally often.
        """

        def pool(item: int, column: int) -> float:
            return float(reduce(self.lexicon.length[item : item + self.sizes[column]]))

        values = list(map(pool, self.value, self.value_column))
        tails = list(map(pool, self.tail, self.tail_column))
        groups = list(zip(self.first_clause, self.group_clauses, self.group_size, strict=True))

        def sentences(forms: list[int]) -> NDArray[np.float64]:
            clause = reduce(self.lexicon.length[self.lead[:, forms]], axis=1) + values + tails
            return np.array([reduce(clause[i : i + m * n].reshape(m, n).sum(0)) for i, m, n in groups])

        name, named, others = sum(map(pool, self.names, range(3))), sentences([FULL]), sentences([0, 1])
        if fullname:
            return float(name + named.sum() + (name - 1) * (len(named) - 1))
        return float(name + others.sum() + reduce((named - others)[np.array(first_group)]))


def _clauses(template: str) -> tuple[str, list[tuple[str, str, str, str]]]:
    """The subject of a template (who, whose or none), and (lead, attribute, ending, tail) for each of its values.

    The ending is what follows the value without a space, a full stop or an 's.

    >>> _clauses("{who} studied {major} at {university}.")
    ('who', [(' studied', 'major', '', ' at'), ('', 'university', '.', '')])
    """
    subject, text = "", f" {template}"
    if template.startswith("{who"):
        subject, _, text = template[1:].partition("}")
    lead, *rest = re.split(r" {(\w+)}(\S*)", text)
    return subject, [(lead if i == 0 else "", rest[i], rest[i + 1], rest[i + 2]) for i in range(0, len(rest), 3)]


def _written(text: str, form: str) -> str:
    """A name or value as it stands in the text: the toy formats have no room for spaces in it."""
    return text if form == "sentences" else text.replace(" ", "_")


@lru_cache(maxsize=8)
def _prepare(form: str, templates: tuple[tuple[str, ...], ...], pools: Pools, tokenizer: Tokenizer) -> _Texts:
    """Split all pieces of biographies into tokens."""
    split, join, lexicon = tokenizer.split, tokenizer.join, Lexicon()
    known: dict[tuple[str, ...], int] = {}

    def add(texts: Sequence[str], after: str = "", begin: Sequence[str] = ()) -> int:
        """The first of the items begin + text + after, each with its text marked; an item occurs only once."""
        key = (*begin, after, *texts)
        if key not in known:
            known[key] = len(lexicon)
            for text in texts:
                pieces = split(text + after)
                core = 0  # pieces that have a part of the text: the last one may include what follows
                while core < len(pieces) and len(join(pieces[:core])) < len(text):
                    core += 1
                lexicon.add([*begin, *pieces], range(len(begin), len(begin) + core))
        return known[key]

    def pool(key: str) -> list[str]:
        return [f" {_written(text, form)}" for text in pools.values(key)]

    sizes = [*map(pools.size, NAMES), len(PRONOUNS), *map(pools.size, ATTRIBUTES), 1, 1]
    years = [f", {year}" for year in YEARS[: -(-pools.dates // len(DAYS))]]
    if form == "sentences":
        sizes[GENDER + 1], sizes[YEAR] = min(pools.dates, len(DAYS)), len(years)
        words = {"birth_date": [f" {day}" for day in DAYS[: pools.dates]]}
    else:
        words = {"birth_date": pool("birth_date")}
    words |= {attribute: pool(attribute) for attribute in ATTRIBUTES[1:]}

    full = [add(pool("first"), begin=["<eos>"]), add(pool("middle")), add(pool("last"))]
    plain_first, nothing = add(pool("first")), add([""])
    groups, leads = [], []
    rows: list[tuple[int, ...]] = []
    for group in templates:
        parsed = [_clauses(template) for template in group]
        groups.append((len(group), len(parsed[0][1]), len(rows)))
        for i in range(groups[-1][1]):
            for subject, clauses in parsed:
                lead, attribute, ending, tail = clauses[i]
                starts = ["", "", ""]
                if subject and i == 0:
                    starts = [f" {forms[subject == 'whose']}" for forms in PRONOUNS] + ["'s" * (subject == "whose")]
                leads.append([add([start], after=lead) for start in starts])
                number = ATTRIBUTES.index(attribute)
                column = GENDER + 1 + number
                if attribute == "birth_date" and form == "sentences":
                    rows.append((i, number, add(words[attribute]), column, add(years, after=ending + tail), YEAR))
                else:
                    value = add(words[attribute], after=ending)
                    rows.append((i, number, value, column, add([""], after=tail), ZERO))
    lexicon.close()
    shared = (lexicon, np.array(full), plain_first, nothing, np.array(sizes), np.array(leads))
    return _Texts(*shared, *np.array(groups).T, *np.array(rows).T)


# -- the task ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Capo(Packed):
    """The task at one setting.

    people: N. world: the seed of the people themselves, which all training seeds share.
    format: "sentences" (the paper's texts), or one of two toys in which every name and value is one token and the
    company's city is drawn on its own: "pairs" (the name, then six times a marker and a value) and "short" (the name,
    then six times pronoun, verb, filler, value, stop).
    entries: how many biographies a person has, None for a fresh one at every exposure. templates: "redrawn" for each
    entry, or "once" for each person. order of the six sentences: "random"; "fixed"; "script" (the released function's:
    fixed, the company's city before its name); "couple" (the three pairs of neighbours at random). fullname: all
    sentences begin with the full name, instead of the first one only. See `VARIANTS`.
    pronoun: "random", or "script" (the released function's: He for even numbers). style: "bioR" joins university and
    major, and employer and city, into one sentence each.
    names, values: sizes of the pools, None for all of them; `values` is one size for all attributes.
    rare: share of the people (the last ones) who are seen less often, `rare_exposures` times as often as the others.
    context: pack biographies into windows of this many tokens; None gives one a row, padded on the right.
    pools: a folder with word lists to use instead of ours, see `people.read_pools`. tokenizer: a folder with GPT-2's
    vocab.json and merges.txt, None for our whole words.

    Each biography has `<eos>` in front of it, in training as in measuring. So each is followed by `<eos>` as well,
    except the last of a row, and a window is filled from the left with whole biographies. All tokens but a row's first
    are targets. In the test split each row is the biography of another person of the same world, and the targets are
    the values (company's city before employer does not occur there, see `measure_batch`).

    Part 4.1: N = 50K to 2M, context 512, 100 exposures.

    >>> task = Capo(people=9)
    >>> print(task.decode(task.batch(seed=0, step=0, rows=1).tokens[0, :12].tolist()))
    <eos> Olga Bruce Byrd comes originally from Wichita Falls, TX.
    """

    people: Annotated[int, Range(1, 20_000_000)]
    world: Seed = 0
    format: Literal["sentences", "short", "pairs"] = "sentences"
    entries: Count | None = None
    templates: Literal["redrawn", "once"] = "redrawn"
    order: Literal["random", "fixed", "script", "couple"] = "random"
    fullname: bool = False
    pronoun: Literal["random", "script"] = "random"
    style: Literal["bioS", "bioR"] = "bioS"
    names: tuple[Count, Count, Count] | None = None
    values: Count | None = None
    rare: Annotated[float, Range(least=0, below=1)] = 0.0
    rare_exposures: Positive = 0.1
    context: Window | None = None
    pools: str | None = None
    tokenizer: str | None = None
    # options that name files: a run is named by what they hold
    reads: ClassVar[tuple[str, ...]] = ("pools", "tokenizer")

    def __post_init__(self) -> None:
        verify(self)
        if self.style != "bioS" and self.order in ("script", "couple"):
            raise unknown("Capo order", self.order, ("random", "fixed"))
        if self.toy and (self.fullname or self.style != "bioS" or self.tokenizer):
            raise ValueError(f"fullname, style and tokenizer belong to the format 'sentences', not {self.format!r}")
        self._pools.refuse_too_many(self.people)

    # -- what there is to know -----------------------------------------------------------------------------------------

    @property
    def toy(self) -> bool:
        """Is every name and value one token?"""
        return self.format != "sentences"

    @cached_property
    def _pools(self) -> Pools:
        return read_pools(self.pools, self.names, self.values)

    @cached_property
    def _templates(self) -> tuple[tuple[str, ...], ...]:
        """The templates of each group."""
        if self.format == "pairs":
            return tuple((f"<{a}> {{{a}}}",) for a in ATTRIBUTES)
        if self.format == "short":
            return tuple(
                tuple(f"They {verb} {filler} {{{a}}} ." for verb in VERBS[a].split() for filler in FILLERS)
                for a in ATTRIBUTES
            )
        return tuple(read_sentences(statement, self.pools) for statement in STYLES[self.style])

    @cached_property
    def _splitter(self) -> Tokenizer:
        return FORMATS[self.format] if self.tokenizer is None else read_gpt2(self.tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """Names the files that are read, by what this task takes from them; "" if there are none."""
        files: list[Any] = [] if self.pools is None else [dataclasses.astuple(self._pools), self._templates]
        if isinstance(self._splitter, GPT2):
            files.append(self._splitter.fingerprint)
        return fingerprint(files) if files else ""

    @cached_property
    def persons(self) -> World:
        """The people; `task.persons[7]` is one of them in words."""
        return make_world(self._pools, self.people, self.world, self.pronoun, own_city=self.toy)

    @property
    def parts(self) -> tuple[str, ...]:
        """What is measured, see `Measure`: the name, and every attribute that no other one gives away."""
        attributes = ATTRIBUTES if self.toy else ATTRIBUTES[:-1]
        return ("", "name", *attributes, *(() if self.toy or self.fullname else ("gender",)))

    @property
    def N0(self) -> int:
        """How many full names there could be."""
        return self._pools.full_names

    @property
    def S0(self) -> int:
        """How many combinations of values there could be."""
        return prod(2 if part == "gender" else self._pools.size(part) for part in self.parts[2:])

    @property
    def common(self) -> int:
        """People 0..common-1 are seen often, the others rarely (all are common if `rare` is 0)."""
        return self.people - round(self.rare * self.people)

    def steps(self, exposures: float, rows: int) -> int:
        """Training steps of `rows` rows after which a common person was seen `exposures` times on average.

        An exposure is one biography; in windows, whose last biography is cut, as many tokens as one has on average.
        """
        weight = self.common + (self.people - self.common) * self.rare_exposures
        in_a_row = 1.0 if self.context is None else self.context / self.mean_length
        return max(1, round(exposures * weight / (rows * in_a_row)))

    # -- vocabulary and lengths ----------------------------------------------------------------------------------------

    @cached_property
    def _texts(self) -> _Texts:
        """What biographies are made of; made at the first use, so that settings cost nothing to write down."""
        texts = _prepare(self.format, self._templates, self._pools, self._splitter)
        longest = self._length(texts, np.max)
        if self.context is not None and self.context < longest:
            raise ValueError(
                f"a window of {self.context} tokens cannot hold every biography: the longest has "
                f"{longest:.0f} with its <eos>; raise context to that or more"
            )
        return texts

    def _length(self, texts: _Texts, reduce: Callable[..., Any]) -> float:
        return texts.length([order[0] for order in self._orders(False)], self.fullname, reduce)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """`<pad>`, `<eos>`, then exactly the words (or GPT-2 tokens) that biographies are made of."""
        return self._texts.lexicon.vocabulary

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(self.vocabulary)}

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; `<eos>` may stand in it. Refuses a word that occurs in no biography."""
        pieces: list[str] = []
        for i, part in enumerate(text.split("<eos>")):
            pieces += [*["<eos>"] * (i > 0), *self._splitter.split(part)]
        for piece in pieces:
            if piece not in self._ids:
                close = "".join(f"; did you mean {near!r}?" for near in get_close_matches(piece, self._ids, 1))
                raise ValueError(f"{piece!r} occurs in no biography of this task{close}")
        tokens = [self._ids[piece] for piece in pieces]
        if self.decode(tokens) != text:
            raise ValueError(f"one space is needed before each word, and none elsewhere, in {text!r}")
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens, the inverse of `encode`; padding is left out."""
        texts: list[list[str]] = [[]]
        for token in tokens:
            if token == EOS:
                texts.append([])
            elif token != PAD:
                texts[-1].append(self.vocabulary[token])
        return "<eos>".join(map(self._splitter.join, texts))

    @cached_property
    def mean_length(self) -> float:
        """Tokens of a biography on average, its `<eos>` included."""
        return self._length(self._texts, np.mean)

    @cached_property
    def longest_instance(self) -> int:
        """The most tokens a biography may have, its `<eos>` included."""
        return int(self._length(self._texts, np.max))

    # -- the fast generator --------------------------------------------------------------------------------------------

    def _orders(self, fair: bool) -> list[tuple[int, ...]]:
        """The orders of groups that can occur; the fair ones have the employer before its city, which gives it away."""
        groups = range(len(STYLES[self.style]))
        orders = list(permutations(groups)) if self.order == "random" else [tuple(groups)]
        if self.order == "script":
            orders = [(0, 1, 2, 3, 5, 4)]
        if self.order == "couple":
            orders = [(*a, *b, *c) for a, b, c in permutations([(0, 1), (2, 3), (4, 5)])]
        if fair and not self.toy and self.style == "bioS":
            exchange = {4: 5, 5: 4}
            orders = [
                tuple(exchange.get(group, group) for group in order) if order.index(5) < order.index(4) else order
                for order in orders
            ]
        return orders

    @cached_property
    def _plans(self) -> list[tuple[Ints, Ints]]:
        """For all orders and for the fair ones, [order, place]: the group, and its clause in the first template."""
        texts, plans = self._texts, []
        for fair in (False, True):
            places = [
                [(group, i) for group in order for i in range(texts.group_clauses[group])]
                for order in self._orders(fair)
            ]
            group, clause = np.moveaxis(np.array(places), 2, 0)
            plans.append((group, texts.first_clause[group] + clause * texts.group_size[group]))
        return plans

    def _items(self, key: U64, person: Ints, fair: bool) -> tuple[Ints, Ints]:
        """The lexicon's items in each biography [person, item], and its clauses [person, place].

        The items are the name, then for each clause (the name again with `fullname`,) lead, value and tail.
        """
        texts, row = self._texts, np.arange(len(person))
        columns = np.zeros((len(person), ZERO + 1), np.int64)  # numbers in pools, that items are counted from
        columns[:, :YEAR] = self.persons.table[person]
        if not self.toy:
            columns[:, YEAR], columns[:, GENDER + 1] = np.divmod(columns[:, GENDER + 1], len(DAYS))

        if self.entries is not None:  # where texts are fixed, the person decides and not the instance
            key = address(self.world, person, below(bits(key, ENTRY), self.entries))
        groups, clauses = self._plans[fair]
        order = below(bits(key, ORDER), len(groups))
        group = groups[order]
        if self.templates == "once":
            key = address(self.world, person, 0)
        clause = clauses[order] + below(bits(key[:, None], TEMPLATE, group), texts.group_size[group])
        form = np.full(clause.shape, FULL)
        if not self.fullname:
            form[:, 1:] = columns[:, [GENDER]]

        items = np.empty((*clause.shape, 3 + 3 * self.fullname), np.int64)
        if self.fullname:
            items[..., :3] = (columns[:, :3] + [texts.plain_first, *texts.names[1:]])[:, None]
            items[texts.later[clause] > 0, :3] = texts.nothing
            items[:, 0, :3] = texts.nothing  # it begins the text
        items[..., -3] = texts.lead[clause, form]
        items[..., -2] = texts.value[clause] + columns[row[:, None], texts.value_column[clause]]
        items[..., -1] = texts.tail[clause] + columns[row[:, None], texts.tail_column[clause]]
        items = np.concatenate([texts.names + columns[:, :3], items.reshape(len(row), -1)], axis=1)
        return items, clause

    def _parts(self, clause: Ints) -> Ints:
        """[person, item]: the part of knowledge that each item belongs to, see `Measure`."""
        texts = self._texts
        number = np.array([self.parts.index(a) if a in self.parts else 0 for a in ATTRIBUTES])
        part = np.zeros((*clause.shape, 3 + 3 * self.fullname), np.int64)
        part[..., -2:] = number[texts.attribute[clause]][..., None]
        if "gender" in self.parts:  # the first pronoun begins the second sentence
            second = 1 + texts.later[clause[:, 1]]
            part[np.arange(len(clause)), second, -3] = self.parts.index("gender")
        return np.concatenate([np.ones((len(clause), 3), np.int64), part.reshape(len(clause), -1)], axis=1)

    def _instances(self, key: U64, test: bool) -> Instances:
        chance = unit(bits(key, WHO)) * (self.common + (self.people - self.common) * self.rare_exposures)
        rare = chance >= self.common
        chance[rare] = self.common + (chance[rare] - self.common) / self.rare_exposures
        items, _ = self._items(key, chance.astype(np.int64).clip(max=self.people - 1), fair=False)
        place, length = self._texts.lexicon.write(items.ravel())
        return self._texts.lexicon.tokens[place], np.ones(len(place), bool), length.reshape(items.shape).sum(1)

    @property
    def _least(self) -> float:
        return 0.95 * self.mean_length  # a little less, so that nearly always enough are made at once

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        return np.full(len(key), self._least)

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, context] tokens packed with biographies, or [rows, longest] tokens with one biography each.

        The test split always has one a row; row r is about the same person at every seed and step, and the first
        `people` rows are about all people.
        """
        if split != "test":
            return super().batch(seed, step, rows, split)
        numbers = row_numbers(rows)
        found = self._measure(address(seed, 1, step, numbers), numbers * self._stride % self.people)
        return Batch(found.batch.tokens, found.value, found.batch.document)

    @cached_property
    def _stride(self) -> int:
        """Neighbouring test rows are far apart in the world (so that a few rows hold rare people, too)."""
        stride = round(self.people * 0.618) or 1
        while gcd(stride, self.people) > 1:
            stride += 1
        return stride

    # -- measuring -----------------------------------------------------------------------------------------------------

    def measure_batch(self, people: ArrayLike, seed: int = 0) -> Measure:
        """One biography of each of these people (numbers from 0 to people - 1), one a row, after `<eos>`.

        Templates and order are fresh ones (or one of the fixed entries). Where the company's city would come before the
        employer, the two sentences are exchanged: the city would give the employer away.
        """
        person = np.atleast_1d(np.asarray(people, np.int64))
        if person.size == 0 or person.min() < 0 or person.max() >= self.people:
            raise ValueError(f"people are numbered 0 to {self.people - 1}, at least one is needed; got {people!r}")
        return self._measure(address(seed, MEASURED, person), person)

    def _measure(self, key: U64, person: Ints) -> Measure:
        lexicon = self._texts.lexicon

        def make(some: slice) -> Instances:
            items, clause = self._items(key[some], person[some], fair=True)
            place, size = lexicon.write(items.ravel())
            part = np.repeat(self._parts(clause).ravel(), size) * lexicon.marked[place]
            return lexicon.tokens[place], part, size.reshape(items.shape).sum(1)

        tokens, part, document = one_a_row(make, len(person), self.longest_instance)
        targets = document == 0
        targets[:, 0] = False
        return Measure(to_batch(tokens, targets, document), torch.from_numpy(part), self.parts)

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(
            Metric("bits_per_parameter", "bits per parameter", error="bits_error"),
            share("accuracy", "values known", error="standard_error"),
            Metric("name_loss", "loss on a name (nats a person)", lower=True),
            Metric("value_loss", "loss on the values (nats a person)", lower=True),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the value tokens (the targets of the test split) that are guessed right, teacher-forced."""
        right = batch.tokens == guesses
        return accuracy([row[value].tolist() for row, value in zip(right, batch.targets, strict=True)])


def capo_biography(task: Capo, key: int, person: int | None = None, fair: bool = False) -> tuple[str, list[int]]:
    """One biography as text and as tokens with `<eos>` in front: the slow twin of the fast generator.

    key: of the instance. person: whose biography; None draws someone. fair: never the company's city before the
    employer, as in `Capo.measure_batch`.
    """

    orders = templates = draws = OneByOne(key)
    # 1. whom it is about: everybody equally often, except that rare people are seen less
    if person is None:
        rare = task.people - task.common
        chance = draws.unit(WHO) * (task.common + rare * task.rare_exposures)
        rank = chance if chance < task.common else task.common + (chance - task.common) / task.rare_exposures
        person = min(int(rank), task.people - 1)
    someone = task.persons[person]
    # 2. what decides the order and the templates: this exposure, the person's entry, or the person alone
    if task.entries is not None:
        orders = templates = OneByOne(address(task.world, person, draws.below(task.entries, ENTRY)))
    if task.templates == "once":
        templates = OneByOne(address(task.world, person, 0))
    # 3. one template for each statement
    chosen = [group[templates.below(len(group), TEMPLATE, i)] for i, group in enumerate(task._templates)]
    # 4. their order
    order = list(range(len(chosen)))
    if task.order == "script":
        order = [0, 1, 2, 3, 5, 4]
    elif task.order == "random":
        every = list(permutations(order))
        order = list(every[orders.below(len(every), ORDER)])
    elif task.order == "couple":
        pairs = list(permutations([(0, 1), (2, 3), (4, 5)]))
        order = [group for pair in pairs[orders.below(len(pairs), ORDER)] for group in pair]
    if fair and len(order) == 6 and not task.toy and order.index(5) < order.index(4):
        city, employer = order.index(5), order.index(4)
        order[city], order[employer] = 4, 5
    # 5. fill in the values; the first sentence has the full name as its subject, the others the pronoun
    values = {attribute: _written(value, task.format) for attribute, value in someone.values.items()}
    text = "".join(f" {_written(part, task.format)}" for part in someone.names)
    for place, group in enumerate(order):
        subject = someone.subject(full=place == 0 or task.fullname)
        sentence = chosen[group].format(**values, **subject)
        text += f" {sentence}" if place or task.toy else sentence.removeprefix(someone.name)
    return text, task.encode(f"<eos>{text}")
