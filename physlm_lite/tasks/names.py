"""Sizes and names: what Depo and Brevo share (Part 4.1, appendices A.1 and A.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..base.strict import Range
from .draws import U64, Ints, OneByOne, below, bits_at, unit
from .windows import Instances, ragged

Name = tuple[int, ...]  # the dense tokens of a node's name

Streams = tuple[int, int]  # of the lengths and of the letters of names


# -- sizes -------------------------------------------------------------------------------------------------------------


def size_probabilities(N: int) -> NDArray[np.float64]:
    """P(n) for n = 3..N in training: weight 1 / (n + sqrt N)."""
    n = np.arange(3, N + 1)
    weight = 1 / (n + np.sqrt(N) + 1e-12)
    return weight / weight.sum()


def sizes(random: U64, N: int) -> Ints:
    """A size n from that distribution for each 64 random bits."""
    cumulated = np.cumsum(size_probabilities(N))
    return 3 + np.minimum(np.searchsorted(cumulated, unit(random), side="right"), N - 3)


# -- names -------------------------------------------------------------------------------------------------------------


Letters = Annotated[int, Range(1, 2**22)]
NameLength = Annotated[int, Range(1, 64)]  # tokens of a name


@dataclass(frozen=True)
class Names:
    """Names of `shortest` to `longest` tokens over V letters; the last token of a name is a marked (final) letter.

    specials: how many dense ids come before the letters. most: how many names one instance may need.
    """

    V: int
    shortest: int
    longest: int
    specials: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest or self.V < 1:
            raise ValueError(
                f"names need 1 <= shortest <= longest and V >= 1, not {self.shortest}, {self.longest}, {self.V}"
            )
        if self.most > self.capacity:
            raise ValueError(
                f"{self.V} letters make only {self.capacity} names of {self.shortest} to {self.longest} "
                f"tokens, fewer than N = {self.most}; raise V or longest, or lower N"
            )
        if self.capacity > 2**22 or self.capacity * self.longest > 2**25:  # `lexicon` lists them all
            raise ValueError(
                f"{self.V} letters make {self.capacity} names of {self.shortest} to {self.longest} "
                f"tokens, more than the generator can list; lower V or longest"
            )

    @property
    def capacity(self) -> int:
        """How many different names there are."""
        return sum(self.V**r for r in range(self.shortest, self.longest + 1))

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """The end of the vocabulary: V inner letters and V final ones (marked with '), or only V one-token names."""
        inner = [] if self.longest == 1 else [str(v) for v in range(1, self.V + 1)]
        mark = "'" if inner else ""
        return (*inner, *(f"{v}{mark}" for v in range(1, self.V + 1)))

    @property
    def final(self) -> int:
        """The first dense id of a final letter: a name ends at the first token from here on."""
        return self.specials + len(self.letters) - self.V

    @cached_property
    def lexicon(self) -> tuple[Ints, Ints, Ints]:
        """Every item that can stand in a text, as (tokens [item, longest], lengths [item], first name of each length).

        The first items are the special tokens, which keep their dense ids; all names follow, the shortest first.
        """
        tokens = [np.pad(np.arange(self.specials)[:, None], ((0, 0), (0, self.longest - 1)))]
        lengths, first, count = [np.ones(self.specials, np.int64)], [], self.specials
        for r in range(self.shortest, self.longest + 1):
            digits = np.arange(self.V**r)[:, None] // self.V ** np.arange(r - 1, -1, -1) % self.V
            digits[:, -1] += self.final - self.specials  # the last token of a name is marked
            tokens.append(np.pad(self.specials + digits, ((0, 0), (0, self.longest - r))))
            lengths.append(np.full(len(digits), r))
            first.append(count)
            count += len(digits)
        return np.concatenate(tokens), np.concatenate(lengths), np.array(first)

    @cached_property
    def draws_and_lengths(self) -> tuple[Ints, NDArray[np.float64]]:
        """For each n: name draws that hold n different names with a good margin, and the mean length of those names.

        After t draws the expected number of different names of length r is V^r (1 - (1 - p_r)^t), with p_r the chance
        of one such name. Both tables only steer how much is generated at first; no token depends on them.
        """
        r = np.arange(self.shortest, self.longest + 1)
        size = float(self.V) ** r
        miss = np.log1p(-np.minimum(1 / (len(r) * size), 1 - 1e-12))
        draws, t = [], 0
        for n in range(self.most + 1):
            goal = min(n + 3 * np.sqrt(n * n / self.capacity), self.capacity - 0.5)
            while np.sum(size * -np.expm1(t * miss)) < goal:
                t += 1 + t // 64
            draws.append(max(t, n))
        different = size * -np.expm1(np.array(draws)[:, None] * miss)
        return np.array(draws), different @ r / np.maximum(different.sum(1), 1e-9)

    def draw(self, key: U64, row: Ints, index: Ints, streams: Streams) -> Ints:
        """Name draw number `index` of each row, as an item: a length first, then its letters."""
        _, _, first = self.lexicon
        r = below(bits_at(key, row, streams[0], index), self.longest - self.shortest + 1)
        return first[r] + below(bits_at(key, row, streams[1], index), self.V ** (self.shortest + r))

    def different(self, key: U64, n: Ints, streams: Streams) -> Ints:
        """The first n different names drawn in each row, in order of their first appearance; flat, row after row."""
        draws, names = self.draws_and_lengths[0][n], np.zeros(n.sum(), np.int64)
        pending, start = np.arange(len(n)), np.cumsum(n) - n
        while pending.size:
            local, index = ragged(draws[pending])
            item = self.draw(key, pending[local], index, streams)
            first = _first_appearances(local, item, index, draws[pending])
            rank = np.cumsum(first) - 1
            offset = np.concatenate([[0], np.cumsum(draws[pending])])
            before = np.concatenate([[0], np.cumsum(first)])[offset]
            rank -= before[local]
            keep = first & (rank < n[pending][local])
            names[start[pending[local[keep]]] + rank[keep]] = item[keep]
            short = np.diff(before) < n[pending]
            pending = pending[short]
            draws[pending] *= 2  # the same draws and as many more: a row's names do not depend on this
        return names

    def slowly_different(self, key: int, n: int, streams: Streams) -> list[Name]:
        """The slow twin of `different` for one row: draw a length, then letters, until n names are different."""
        draws, names, attempt = OneByOne(key), dict[Name, None](), 0
        while len(names) < n:
            r = self.shortest + draws.below(self.longest - self.shortest + 1, streams[0], attempt)
            number = draws.below(self.V**r, streams[1], attempt)
            letters = [number // self.V ** (r - 1 - i) % self.V for i in range(r)]
            names[*(self.specials + letter for letter in letters[:-1]), self.final + letters[-1]] = None
            attempt += 1
        return list(names)

    def spell(self, text: Ints, marked: NDArray[np.bool_], place: Ints) -> Instances:
        """Texts of items as instances of tokens: `place` is where each begins, every token of a marked item is a target."""
        if self.longest == 1:  # an item is its token
            return text, marked, np.diff(np.append(place, len(text)))
        table, lengths, _ = self.lexicon
        size = lengths[text]
        tokens = table.take(text, axis=0)
        return tokens[tokens > 0], marked.repeat(size), np.add.reduceat(size, place)  # 0 fills up shorter names

    def read(self, tokens: Sequence[int], begin: int) -> Name:
        """The name that begins there; ValueError if none does."""
        for end in range(begin, len(tokens)):
            if not self.specials <= tokens[end] < self.final + self.V:
                break
            if tokens[end] >= self.final:
                return tuple(tokens[begin : end + 1])
        else:
            end = len(tokens)
        raise ValueError(f"token {end} should belong to a name, in {list(tokens)}")

    def read_all(self, tokens: Sequence[int]) -> tuple[list[Name], int]:
        """The names at the beginning, and how many tokens they take: all of them, if nothing else stands there."""
        names, place = list[Name](), 0
        while place < len(tokens):
            try:
                names.append(self.read(tokens, place))
            except ValueError:
                break
            place += len(names[-1])
        return names, place


def read_special(tokens: Sequence[int], place: int, token: int, vocabulary: Sequence[str]) -> int:
    """The place after a special token that must stand there; ValueError if it does not."""
    if place >= len(tokens) or tokens[place] != token:
        raise ValueError(f"token {place} should be {vocabulary[token]}, in {list(tokens)}")
    return place + 1


def _first_appearances(row: Ints, item: Ints, index: Ints, length: Ints) -> NDArray[np.bool_]:
    """True where an item occurs for the first time in its row (sorted by item and index; the first of each group)."""
    places = int(length.max()).bit_length()
    packed = sort_rows(item << places | index, length)
    group = packed >> places
    first = np.ones(len(row), bool)
    first[1:] = (group[1:] != group[:-1]) | (row[1:] != row[:-1])
    flags = np.zeros(len(row), bool)
    flags[(np.cumsum(length) - length)[row[first]] + (packed[first] & ((1 << places) - 1))] = True
    return flags


# -- sorting ragged arrays ---------------------------------------------------------------------------------------------


def sort_rows(flat: Ints, length: Ints) -> Ints:
    """Sort each row of a ragged array with these row lengths.

    Rows of similar lengths are sorted as one padded block: numpy sorts many short rows far faster than one long array.
    """
    result, begin = np.empty_like(flat), np.cumsum(length) - length
    width = np.ceil(np.log2(np.maximum(length, 1)))
    for w in np.unique(width[length > 0]):
        rows = np.flatnonzero(width == w)
        column = np.arange(length[rows].max())
        inside = column < length[rows][:, None]
        at = (begin[rows][:, None] + column)[inside]
        block = np.full(inside.shape, np.iinfo(np.int64).max)
        block[inside] = flat[at]
        block.sort(axis=1)
        result[at] = block[inside]
    return result


def shuffle(random: U64, length: Ints) -> Ints:
    """A uniform permutation of 0.. inside each row of a ragged array with these row lengths, below 2^14.

    36 random bits and the index are packed into one integer, and each row is sorted.
    """
    packed = (random >> np.uint64(28) << np.uint64(14)) | ragged(length)[1].astype(np.uint64)
    return sort_rows(packed.astype(np.int64), length) & 0x3FFF
