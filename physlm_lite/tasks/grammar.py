"""Levelled context-free grammars (Part 1, section 2; Part 4.1, appendix A.5).

A grammar has levels 0 (the root, one symbol) to d (the terminals). A rule rewrites a symbol by one to three symbols of
the *next* level only, so every derivation tree has the same depth and nothing recurs; sentences differ in length because
some rules are longer than others. All rules of a symbol are equally likely. Lengths and entropies are therefore exact
numbers, computed here from the rules.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, reduce
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate, pairwise
from operator import or_
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.reading import read_text
from ..base.strict import choose, shown
from .draws import address, bits

Rule = tuple[int, ...]

LONGEST_RULE = 3
LARGEST_FILE = 2**25  # bytes
MOST_RULES, MOST_TERMINALS, MOST_LEVELS = 2**21, 2**16, 2**12
LONGEST_SENTENCE = 2**16  # tokens
_LINE = re.compile(r"\s*(terminals|[0-9]{1,18})\s*:((?:\s|\b[0-9]{1,18}\b|\|)*)")
_FOLDER = Path(__file__).with_name("grammars")
PUBLISHED: Mapping[str, Path] = {
    name: _FOLDER / f"{name}.txt"
    for name in ("cfg3b", "cfg3i", "cfg3h", "cfg3g", "cfg3f", "cfg3e1", "cfg3e2", "cfg3j", "cfg3k")
}
NAMED: Mapping[str, Path] = {**PUBLISHED, "brackets": _FOLDER / "brackets.txt"}  # with the one that is ours


@dataclass(frozen=True)
class Grammar:
    """The terminals are 1..`terminals`; every larger symbol has `rules`. Symbols keep their published numbers.

    Raises ValueError for rules that are not a levelled grammar.

    >>> grammar = Grammar.from_text("9: 1 2 1 | 3 3 | 1 1")
    >>> grammar.sizes, grammar.possible_lengths, round(grammar.mean_length, 3)
    ((1, 3), (2, 3), 2.333)
    """

    root: int
    terminals: int
    rules: Mapping[int, tuple[Rule, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        _check(self)

    # -- where grammars come from --------------------------------------------------------------------------------------

    @staticmethod
    def published(name: str) -> Grammar:
        """One of the nine grammars of the papers, "cfg3b" to "cfg3k"."""
        return _read_named(choose("grammar", name, PUBLISHED))

    @staticmethod
    def named(name: str) -> Grammar:
        """One of these nine, or "brackets", which is ours: nested and repeated brackets of three types."""
        return _read_named(choose("grammar", name, NAMED))

    @classmethod
    def from_text(cls, text: str) -> Grammar:
        """Read lines ``22: 20 21 | 20 19 21``; the first symbol is the root, ``#`` begins a comment.

        Rules may also be separated by ``;`` instead of line ends. The terminals are all numbers below the smallest
        symbol that has rules, up to the largest one used; a line ``terminals: 4`` says so where not all are used.
        """
        rules: dict[int, tuple[Rule, ...]] = {}
        terminals = None
        _refuse_more("rules", text.count("|") + text.count(":"), MOST_RULES)
        for line in re.split(r"[\n;]", re.sub(r"#.*", "", text)):
            if not line.strip():
                continue
            parsed = _LINE.fullmatch(line)
            if not parsed:
                raise ValueError(f"a line of a grammar reads like '22: 20 21 | 20 19 21', not {shown(line.strip())}")
            head, body = parsed.groups()
            alternatives = tuple(tuple(map(int, rule.split())) for rule in body.split("|"))
            if head == "terminals":
                terminals = alternatives[0][0] if list(map(len, alternatives)) == [1] else -1
            elif int(head) in rules:
                raise ValueError(f"symbol {head} has two lines; write all its rules into one, separated by '|'")
            else:
                rules[int(head)] = alternatives
        if not rules:
            raise ValueError("a grammar needs at least one line like '22: 20 21 | 20 19 21'")
        if terminals is None:
            terminals = max((symbol for symbol in _used(rules) if symbol < min(rules)), default=0)
        return cls(next(iter(rules)), terminals, rules)

    def to_text(self) -> str:
        """The form `from_text` reads: one line per symbol, the root first, a blank line between levels."""
        blocks = [
            [f"{symbol}: " + " | ".join(" ".join(map(str, rule)) for rule in self.rules[symbol]) for symbol in level]
            for level in self.levels[:-1]
        ]
        if self.terminals not in _used(self.rules):
            blocks.insert(0, [f"terminals: {self.terminals}"])
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    @classmethod
    def from_file(cls, path: Path | str) -> Grammar:
        """Read a file: the released form if its name ends in .json, else the text form."""
        if str(path).lower().endswith(".json"):
            return cls.from_json(path)
        return cls.from_text(read_text(path, LARGEST_FILE))

    @classmethod
    def from_json(cls, source: Path | str | Mapping[str, Any]) -> Grammar:
        """Read the released JSON form: a file, a folder that holds exactly one, or the parsed mapping.

        The released files have, for each level, the symbols (`idx`) and an object for each of them (`all`) with its
        right-hand sides as `children`, whose entries are *positions within the next level*, counted from 0. Plain lists
        of right-hand sides do as well, and the keys may have other names. Level sizes, if there are any, must agree; the
        vocabulary size and the separator, which the older cfg3b file lacks, are not needed. Raises ValueError if the file
        is not of this form.
        """
        if isinstance(source, Mapping):
            content: Any = source
        else:
            path = Path(source)
            files = sorted(path.glob("*.json")) if path.is_dir() else [path]
            if len(files) != 1:
                raise ValueError(f"a grammar's folder holds one .json file, {path} holds {len(files)}")
            try:
                content = json.loads(read_text(files[0], LARGEST_FILE))
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{files[0]} is not JSON: {error}") from error
        nested: dict[int, list[Any]] = defaultdict(list)
        for value in map(_children, content.values() if isinstance(content, Mapping) else ()):
            nested[_nesting(value)].append(value)
        if len(nested[2]) != 1 or len(nested[4]) != 1:
            raise ValueError(
                "a grammar's JSON file is an object with the symbols of each level (a list of lists) and "
                "the rules (per level, per symbol, a list of lists of positions in the next level)"
            )
        levels, rules = nested[2][0], nested[4][0]
        sizes = [len(level) for level in levels]
        given = [numbers for numbers in nested[1] if len(numbers) == len(sizes)]
        if [len(level) for level in rules] != sizes[:-1] or any(numbers != sizes for numbers in given):
            raise ValueError(
                f"this grammar's levels have {shown(sizes)} symbols, which its rules or level sizes contradict"
            )
        table: dict[int, tuple[Rule, ...]] = {}
        for (symbols, below), alternatives in zip(pairwise(levels), rules, strict=True):
            for symbol, right_hand_sides in zip(symbols, alternatives, strict=True):
                if not all(0 <= place < len(below) for rule in right_hand_sides for place in rule):
                    raise ValueError(f"the rules of symbol {symbol} name a position outside 0..{len(below) - 1}")
                table[symbol] = tuple(tuple(below[place] for place in rule) for rule in right_hand_sides)
        return cls(levels[0][0], len(levels[-1]), table)

    @classmethod
    def random(
        cls,
        seed: int,
        levels: Sequence[int] = (1, 3, 3, 3, 3, 3, 3),
        degree: tuple[int, int] = (2, 4),
        distinct: bool = False,
    ) -> Grammar:
        """Draw a grammar the way the published ones were drawn.

        levels: how many symbols each level has, the root's first. degree: the smallest and the largest number of rules
        of a symbol. A rule has two or three symbols, each uniform over the next level; it is drawn again while its level
        has it already. distinct: no symbol twice in one rule.
        """
        if len(levels) < 2 or levels[0] != 1 or min(levels) < 1:
            raise ValueError(
                f"levels begin with one root and end with the terminals, like (1, 3, 3), not {tuple(levels)}"
            )
        if not 1 <= degree[0] <= degree[1]:
            raise ValueError(f"degree is (fewest, most) rules of a symbol, at least 1, not {degree}")
        _refuse_more("rules", sum(levels[:-1]) * degree[1], MOST_RULES // 4)
        for above, n in pairwise(levels):
            room = n * (n - 1) * (1 + max(n - 2, 0)) if distinct else n**2 + n**3
            if above * degree[1] > room or (distinct and n < 3):
                raise ValueError(
                    f"{n} symbols make too few different rules for {above} symbols of up to {degree[1]} "
                    "rules each; make the levels larger or the degree smaller"
                )
        # the smallest symbol of each level, as published: terminals, three reserved numbers, then upward level by level
        first = [1, *accumulate((levels[-1] + 4, *levels[-2:0:-1]))][::-1]
        rules: dict[int, tuple[Rule, ...]] = {}
        for level in reversed(range(len(levels) - 1)):
            draw = _dice(seed, level)
            taken: set[Rule] = set()
            for symbol in range(first[level], first[level] + levels[level]):
                count = degree[0] + draw(degree[1] - degree[0] + 1)
                mine: list[Rule] = []
                while len(mine) < count:
                    rule: list[int] = []
                    length = 2 + draw(2)
                    while len(rule) < length:
                        child = first[level + 1] + draw(levels[level + 1])
                        if not (distinct and child in rule):
                            rule.append(child)
                    if tuple(rule) not in taken:
                        taken.add(tuple(rule))
                        mine.append(tuple(rule))
                rules[symbol] = tuple(mine)
        return cls(first[0], levels[-1], rules)

    def rooted_at(self, symbol: int) -> Grammar:
        """The part of this grammar below a symbol, as a grammar of its own; symbols keep their numbers."""
        if symbol not in self.rules:
            raise ValueError(
                f"the root must be a symbol with rules, {min(self.rules)} to {max(self.rules)}, not {symbol}"
            )
        kept: set[int] = set()
        border = {symbol}
        while border := border & self.rules.keys() - kept:
            kept |= border
            border = _used({parent: self.rules[parent] for parent in border})
        return Grammar(symbol, self.terminals, {below: self.rules[below] for below in sorted(kept)})

    # -- shape ---------------------------------------------------------------------------------------------------------

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The symbols of each level, the root's first, the terminals last."""
        height = self._height
        levels: list[list[int]] = [[] for _ in range(height[self.root] + 1)]
        for symbol in sorted(height):
            levels[height[self.root] - height[symbol]].append(symbol)
        return tuple(map(tuple, levels))

    @cached_property
    def _height(self) -> dict[int, int]:
        return _heights(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many symbols each level has."""
        return tuple(map(len, self.levels))

    @property
    def depth(self) -> int:
        """d, the level of the terminals (Part 1 counts one more)."""
        return len(self.levels) - 1

    @property
    def names(self) -> tuple[str, ...]:
        """The terminals as words, "1" to "S"."""
        return tuple(str(terminal) for terminal in range(1, self.terminals + 1))

    # -- exact statistics ----------------------------------------------------------------------------------------------

    def upward(self, terminal: Any, value: Callable[[list[list[Any]]], Any]) -> dict[int, Any]:
        """A quantity of every symbol, from those of the symbols in its rules."""
        known: dict[int, Any] = dict.fromkeys(range(1, self.terminals + 1), terminal)
        for level in reversed(self.levels[:-1]):
            for symbol in level:
                known[symbol] = value([[known[child] for child in rule] for rule in self.rules[symbol]])
        return known

    @cached_property
    def length_distribution(self) -> NDArray[np.float64]:
        """P(a sentence has l tokens) at index l."""

        def mixed(rules: list[list[NDArray[np.float64]]]) -> NDArray[np.float64]:
            parts = [reduce(np.convolve, rule) for rule in rules]
            total = np.zeros(max(map(len, parts)))
            for part in parts:
                total[: len(part)] += part / len(parts)
            return total

        return self.upward(np.array([0.0, 1.0]), mixed)[self.root]

    @cached_property
    def possible_lengths(self) -> tuple[int, ...]:
        """Every length that a sentence can have, in increasing order (also those whose probability rounds to zero)."""

        def reachable(rules: list[list[int]]) -> int:  # a set of lengths, as the bits of an integer
            return reduce(or_, (reduce(sums, rule) for rule in rules))

        def sums(left: int, right: int) -> int:
            return reduce(or_, (left << shift for shift in _bits_of(right)))

        return tuple(_bits_of(self.upward(2, reachable)[self.root]))

    @cached_property
    def least(self) -> Mapping[int, int]:
        """For each symbol, the fewest tokens it derives."""
        return self.upward(1, lambda rules: min(map(sum, rules)))

    @cached_property
    def most(self) -> Mapping[int, int]:
        """For each symbol, the most tokens it derives."""
        return self.upward(1, lambda rules: min(10**15, max(map(sum, rules))))

    @property
    def shortest(self) -> int:
        """The fewest tokens of a sentence."""
        return self.least[self.root]

    @property
    def longest(self) -> int:
        """The most tokens of a sentence."""
        return self.most[self.root]

    @cached_property
    def length_moments(self) -> Mapping[int, tuple[float, float]]:
        """For each symbol, (mean, variance) of the number of tokens it derives."""

        def mixed(rules: list[list[tuple[float, float]]]) -> tuple[float, float]:
            means = [sum(mean for mean, _ in rule) for rule in rules]
            mean = sum(means) / len(rules)
            squares = [m * m + sum(variance for _, variance in rule) for m, rule in zip(means, rules, strict=True)]
            return mean, sum(squares) / len(rules) - mean * mean

        return self.upward((1.0, 0.0), mixed)

    @property
    def mean_length(self) -> float:
        return self.length_moments[self.root][0]

    @property
    def sd_length(self) -> float:
        return float(np.sqrt(max(self.length_moments[self.root][1], 0.0)))

    @cached_property
    def derivation_entropy(self) -> float:
        """Entropy of the derivation tree in bits; the sentence's own entropy is this or, with ambiguity, less."""

        def mixed(rules: list[list[float]]) -> float:
            return float(np.log2(len(rules))) + sum(map(sum, rules)) / len(rules)

        return float(self.upward(0.0, mixed)[self.root])

    @property
    def entropy_per_token(self) -> float:
        """Derivation entropy in nats for each of the sentence's tokens and its end: the floor of a model's loss.

        Exact for unambiguous grammars, an upper bound of the floor (at most 1.4% above it) for the published others.
        """
        return self.derivation_entropy * float(np.log(2)) / (self.mean_length + 1)


@dataclass(frozen=True)
class Derivation:
    """One derivation tree, level by level from the root, each level from left to right.

    symbols[l]: the symbols of level l. children[l]: for each of them the number of its children, for all levels but the
    last.
    """

    symbols: tuple[tuple[int, ...], ...]
    children: tuple[tuple[int, ...], ...]

    @property
    def sentence(self) -> tuple[int, ...]:
        return self.symbols[-1]

    def bits(self, grammar: Grammar) -> float:
        """-log2 of the derivation's probability: the sum of log2(number of rules) over its non-terminals."""
        return float(sum(np.log2(len(grammar.rules[symbol])) for level in self.symbols[:-1] for symbol in level))

    def ancestors(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For probing: (symbols, ordinals), each [d + 1, n]: at every level, which symbol stands above each token.

        The ordinal counts the symbols of a level from left to right, from 0. Two neighbouring tokens belong to the same
        symbol exactly if their ordinals agree: the symbols alone cannot tell two 8 in a row from one.
        """
        ordinals = [np.arange(len(self.sentence))]
        for children in reversed(self.children):
            ordinals.append(np.repeat(np.arange(len(children)), children)[ordinals[-1]])
        ordinals.reverse()
        symbols = [np.array(level)[ordinal] for level, ordinal in zip(self.symbols, ordinals, strict=True)]
        return np.stack(symbols), np.stack(ordinals)


@cache
def _read_named(path: Path) -> Grammar:
    return Grammar.from_text(path.read_text(encoding="utf-8"))


def _check(grammar: Grammar) -> None:
    """Refuse what is not a levelled grammar, or is too large to be used, with one sentence that says why."""
    if grammar.terminals < 1:
        raise ValueError("a grammar needs terminals, numbered from 1 up and below every symbol that has rules")
    if grammar.root not in grammar.rules:
        raise ValueError(f"the root {grammar.root} has no rules")
    _refuse_more("terminals", grammar.terminals, MOST_TERMINALS)
    _refuse_more("symbols (by their numbers)", max(grammar.rules), MOST_RULES)
    _refuse_more("rules", sum(map(len, grammar.rules.values())), MOST_RULES)
    for symbol, alternatives in grammar.rules.items():
        if symbol <= grammar.terminals:
            raise ValueError(f"symbol {symbol} is one of the terminals 1..{grammar.terminals} and cannot have rules")
        if not alternatives:
            raise ValueError(f"symbol {symbol} has no rules; give it one, or leave it out")
        for rule in alternatives:
            if not rule:
                raise ValueError(f"symbol {symbol} has an empty rule; a rule has one to three symbols")
            if len(rule) > LONGEST_RULE:
                raise ValueError(f"{_spelled(symbol, rule)} has {len(rule)} symbols; a rule has one to three")
            for child in rule:
                if not 1 <= child <= grammar.terminals and child not in grammar.rules:
                    raise ValueError(
                        f"{_spelled(symbol, rule)} uses {child}, which has no rules and is not one of the terminals "
                        f"1..{grammar.terminals}"
                    )
        if len(set(alternatives)) < len(alternatives):
            twice = Counter(alternatives).most_common(1)[0][0]
            raise ValueError(f"{_spelled(symbol, twice)} is there twice; the rules of a symbol are all equally likely")
    height = grammar._height
    for symbol, alternatives in grammar.rules.items():
        below = height[symbol] - 1
        for rule in alternatives:
            if any(height[child] != below for child in rule):
                raise ValueError(
                    f"{_spelled(symbol, rule)} skips a level: all symbols of a rule must stand one level below the "
                    "symbol they replace"
                )
        if symbol != grammar.root and height[symbol] >= height[grammar.root]:
            raise ValueError(
                f"symbol {symbol} stands no lower than the root {grammar.root}; the first symbol must be "
                "the only one on top"
            )
    _refuse_more("levels", height[grammar.root], MOST_LEVELS)
    _refuse_more("tokens in a sentence", grammar.longest, LONGEST_SENTENCE)


def _used(rules: Mapping[int, Sequence[Rule]]) -> set[int]:
    return {symbol for alternatives in rules.values() for rule in alternatives for symbol in rule}


def _spelled(symbol: int, rule: Rule) -> str:
    return f"the rule {symbol} -> {' '.join(map(str, rule[:9]))}{' ...' * (len(rule) > 9)}"


def _refuse_more(what: str, number: int, most: int) -> None:
    if number > most:
        raise ValueError(
            f"this grammar has up to {number:,} {what}, and at most {most:,} can be handled; make it smaller"
        )


def _heights(grammar: Grammar) -> dict[int, int]:
    """How far each symbol stands above the terminals; refuses recursion."""
    height = dict.fromkeys(range(1, grammar.terminals + 1), 0)
    children = {symbol: {child for rule in rules for child in rule} for symbol, rules in grammar.rules.items()}
    try:
        for symbol in TopologicalSorter(children).static_order():
            height.setdefault(symbol, 1 + max((height[child] for child in children.get(symbol, ())), default=0))
    except CycleError as error:
        loop = error.args[1][:0:-1]
        top = loop.index(max(loop))
        loop = [*loop[top:], *loop[: top + 1]]
        text = " -> ".join(map(str, loop if len(loop) < 12 else [*loop[:6], "...", *loop[-3:]]))
        raise ValueError(f"symbol {loop[0]} derives itself ({text}); a levelled grammar has no recursion") from error
    return height


def _dice(seed: int, stream: int) -> Callable[[int], int]:
    """Draws from 0..n-1, one after the other; they are made in blocks."""
    key = address(seed)
    halves = (
        random >> 32
        for begin in range(0, 2**62, 1024)
        for random in bits(key, stream, np.arange(begin, begin + 1024)).tolist()
    )
    return lambda n: next(halves) * n >> 32


def _bits_of(number: int) -> Iterator[int]:
    """The places of the ones, from the lowest."""
    return (place for place, digit in enumerate(reversed(bin(number)[2:])) if digit == "1")


def _children(value: Any) -> Any:
    """The released objects {depth, id, name, children} of each level as their children; terminals have none."""
    try:
        levels = [[symbol["children"] for symbol in level] for level in value]
    except (TypeError, KeyError, IndexError):
        return value
    return [level for level in levels if set(map(type, level)) != {NoneType}]


def _nesting(value: object, most: int = 4) -> int:
    """How deeply lists of numbers are nested: 0 for a number, 1 for a list of numbers; -1 for anything else."""
    if type(value) is int:
        return 0
    inner = {_nesting(item, most - 1) for item in value} if isinstance(value, list) and most else set()
    return 1 + inner.pop() if len(inner) == 1 and min(inner) >= 0 else -1
