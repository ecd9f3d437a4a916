"""Lano: hierarchical language structure (Part 4.1, section 2 and appendix A.5; the grammars of Part 1).

Sentences of a levelled grammar, one after the other. There are no prompts and no answers: a model learns the language
from its sentences alone, and is then asked to write one. The fast generator expands all sentences of a batch at once, level
by level; `lano_derivation` is its slow twin and reads like the specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..base.reading import fingerprint
from ..base.strict import Count, verify
from .batch import Batch, Rows, Window, refuse_too_large, row_numbers, split_number
from .draws import U64, address, below, bits, bits_at
from .grammar import Derivation, Grammar
from .metric import Metric, by_name, share
from .parsing import log_probability, recognise
from .windows import Instances, Packed, ragged

BOS = 1
FIRST = 1  # added to a terminal: terminal 1 has the dense token 2


@dataclass(frozen=True)
class Lano(Packed):
    """The task at one setting.

    grammar: a published one, "cfg3b" to "cfg3k", our "brackets", a grammar in text form (see `Grammar.from_text`), or a .txt or
    .json file (see `Grammar.from_file`). root: take only the part of it below this symbol. context: windows of this many tokens,
    filled with `<bos>` sentence `<bos>` sentence ... and cut at the right edge; None gives one sentence a row, closed by
    another `<bos>` and padded.

    `<bos>` is also the end of the sentence before it. Every token is a target but a window's first. The paper uses cfg3f
    in windows of 512, and cfg3j and cfg3k in windows of 1,536.

    >>> from physlm_lite.tasks import text_view
    >>> task = Lano(grammar="9: 1 2 1 | 3 3 | 1 1", context=12)
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens <bos> 1     1 <bos> 3     3 <bos> 1 2     1 <bos> 1
    labels     1 1 <bos>     3 3 <bos>     1 2 1 <bos>     1 .
    loss       1 1     1     1 1     1     1 1 1     1     1 0
    """

    grammar: str = "cfg3f"
    root: Count | None = None
    context: Window | None = 512

    def __post_init__(self) -> None:
        verify(self)
        self.language  # noqa: B018 (refuses a grammar that is none)

    @cached_property
    def language(self) -> Grammar:
        """The grammar itself."""
        if self._file:
            whole = Grammar.from_file(self.grammar)
        else:
            whole = Grammar.from_text(self.grammar) if ":" in self.grammar else Grammar.named(self.grammar)
        return whole if self.root is None else whole.rooted_at(self.root)

    @property
    def _file(self) -> bool:
        return self.grammar.lower().endswith((".json", ".txt"))

    @cached_property
    def fingerprint(self) -> str:
        """Names the rules that were read from a file; "" if there is none."""
        return fingerprint(self.language.to_text()) if self._file else ""

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>` `<bos>`, then the terminals "1" to "S"."""
        return ("<pad>", "<bos>", *self.language.names)

    # -- the fast generator --------------------------------------------------------------------------------------------

    at_a_time = 2**15  # their arrays stay in the processor's cache

    @property
    def longest_instance(self) -> int:
        """The most tokens of a sentence between two `<bos>`."""
        return self.language.longest + 2

    @property
    def _least(self) -> float:
        return self.language.shortest + 1

    def sentences(self, seed: int, step: int, rows: Rows, split: str = "train") -> list[NDArray[np.int64]]:
        """One sentence for each row, as terminals 1..S: those of the batch with context=None."""
        key = self._keys(seed, step, rows, split)
        level = _expand(self.language, key)[-1]
        return np.split(level.symbol.astype(np.int64), np.cumsum(level.length)[:-1])

    def derivations(self, seed: int, step: int, rows: Rows, split: str = "train") -> list[Derivation]:
        """The derivation trees of `sentences`, for probing."""
        return sampled_derivations(self.language, self._keys(seed, step, rows, split))

    def _keys(self, seed: int, step: int, rows: Rows, split: str) -> U64:
        """The key of the first sentence of each row."""
        numbers = row_numbers(rows)
        refuse_too_large(len(numbers), self.language.longest)
        return address(address(seed, split_number(split), step, numbers), 0)

    def _instances(self, key: U64, test: bool) -> Instances:
        """`<bos>` sentence; in a row of its own, another `<bos>` behind it."""
        alone = self.context is None
        level = _expand(self.language, key)[-1]
        length = level.length + 1 + alone
        end = np.cumsum(length)
        inside = np.ones(end[-1], bool)
        inside[end - length] = False
        if alone:
            inside[end - 1] = False
        tokens = np.full(len(inside), BOS)
        tokens[inside] = level.symbol + FIRST
        return tokens, np.ones(len(tokens), bool), length

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        """From the upper levels of each tree alone.

        It errs on the short side, since a window that comes out too short costs more than a sentence too many.
        """
        grammar = self.language
        upper = _expand(grammar, key, max(0, grammar.depth - 3))[-1]
        mean, variance = np.add.reduceat(self._moments[upper.symbol], np.cumsum(upper.length) - upper.length).T
        return 1 + np.maximum(mean - 1.5 * np.sqrt(variance), grammar.shortest)

    @cached_property
    def _moments(self) -> NDArray[np.float64]:
        """Mean and variance of the length of what each symbol derives; 0 for numbers that are no symbols."""
        moments = np.zeros((max(self.language.rules) + 1, 2))
        moments[list(self.language.length_moments)] = list(self.language.length_moments.values())
        return moments

    # -- grading -------------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(
            share("accuracy", "valid sentences", error="standard_error"),
            Metric("kl", "KL to the truth (nats)", lower=True, error="kl_error"),
            Metric("cross_entropy", "loss on fresh sentences (nats)", lower=True),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the targets that were guessed.

        A weak score: the true next symbol is often undecided, so nothing near 1 can be reached. The paper's scores need
        a model that writes (are its sentences `valid`?) or one that gives probabilities (`parsing.kl_to_truth`).
        """
        right = (guesses == batch.tokens)[batch.targets]
        return {"token_accuracy": float(right.double().mean()), "count": len(right)}

    def valid(self, sentences: Sequence[ArrayLike]) -> NDArray[np.bool_]:
        """Which of these sequences of terminals 1..S are whole sentences of the language."""
        return recognise(self.language, sentences)

    def loss_floor(self, sentences: int = 1000) -> tuple[float, float]:
        """(The mean loss in nats that no model can beat on this stream, its standard error), from so many sentences.

        It is -ln P(sentence) over the number of its tokens and its end, so that in the mean it does not matter which
        sentences are long. Windows begin with a sentence and cut the last one, which shifts it by a fraction of a per cent.
        """
        sample = self.sentences(0, 0, sentences, "test")
        surprise = -log_probability(self.language, sample)
        size = np.array([len(sentence) + 1 for sentence in sample])
        floor = surprise.sum() / size.sum()
        return float(floor), float(np.sqrt(np.square(surprise - floor * size).sum()) / size.sum())


# -- expanding a batch of sentences ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Level:
    """One level of the derivation trees of a batch: flat symbols, tree after tree.

    length: how many of them belong to each tree. children: how many children each symbol has (none at the last level).
    """

    symbol: NDArray[np.int32]
    length: NDArray[np.int64]
    children: NDArray[np.int64]


@cache
def _rule_table(grammar: Grammar) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """(First rule and number of rules of each symbol, symbols of each rule padded with 0, length of each rule)."""
    rules = [rule for symbol in grammar.rules for rule in grammar.rules[symbol]]
    size = max(grammar.rules) + 1
    count = np.array([len(grammar.rules.get(symbol, ())) for symbol in range(size)])
    first = np.zeros(size, np.int64)
    first[list(grammar.rules)] = np.cumsum([0, *(len(grammar.rules[symbol]) for symbol in grammar.rules)])[:-1]
    length = np.array([len(rule) for rule in rules])
    table = np.zeros((len(rules), length.max()), np.int32)
    for place, rule in enumerate(rules):
        table[place, : len(rule)] = rule
    return first, count, table, length


def _expand(grammar: Grammar, key: U64, depth: int | None = None) -> list[_Level]:
    """The derivation tree of each key, from the root down to level `depth` (default: the terminals).

    Non-terminal number `index` of a level takes draw number `index` of the stream that belongs to the level.
    """
    first, count, table, lengths = _rule_table(grammar)
    levels = []
    symbol, length = np.full(len(key), grammar.root, np.int32), np.ones(len(key), np.int64)
    for level in range(grammar.depth if depth is None else depth):
        row, index = ragged(length)
        rule = first.take(symbol) + below(bits_at(key, row, level, index), count.take(symbol))
        children = lengths.take(rule)
        levels.append(_Level(symbol, length, children))
        length = np.add.reduceat(children, np.cumsum(length) - length)
        symbol = table.take(rule, axis=0).ravel()
        symbol = symbol.compress(symbol > 0)  # with half the memory, this is five times as fast as on int64
    return [*levels, _Level(symbol, length, np.zeros(0, np.int64))]


def sampled_derivations(grammar: Grammar, key: U64) -> list[Derivation]:
    """The derivation tree of each key."""

    def trees(of: NDArray[Any], level: _Level) -> list[tuple[int, ...]]:
        return [tuple(part.tolist()) for part in np.split(of, np.cumsum(level.length)[:-1])]

    *upper, last = _expand(grammar, key)
    symbols = [trees(level.symbol, level) for level in (*upper, last)]
    children = [trees(level.children, level) for level in upper]
    return [Derivation(*tree) for tree in zip(zip(*symbols, strict=True), zip(*children, strict=True), strict=True)]


def lano_derivation(grammar: Grammar, key: int) -> Derivation:
    """The slow twin: expand the root, then all symbols of the next level, and so on to the terminals."""
    keys = np.array([key], np.uint64)
    symbols: list[tuple[int, ...]] = [(grammar.root,)]
    children: list[tuple[int, ...]] = []
    for level in range(grammar.depth):
        chosen = []
        for index, symbol in enumerate(symbols[-1]):
            rules = grammar.rules[symbol]
            chosen.append(rules[int(below(bits(keys, level, index), len(rules))[0])])
        symbols.append(tuple(child for rule in chosen for child in rule))
        children.append(tuple(map(len, chosen)))
    return Derivation(tuple(symbols), tuple(children))
