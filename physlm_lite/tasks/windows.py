"""Packing: instances of different lengths laid into rows or windows (Part 4.1, appendix A).

A window is filled with whole instances, one after the other; the last one is cut at the right edge, and the next window
begins with a new instance. Instance number i of a row has the key ``address(row key, i)``: it does not depend on how many
instances the window turns out to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch, Rows, Steps, refuse_too_large, row_numbers, split_number, to_batch
from .draws import U64, Ints, address

T = TypeVar("T")
Instances = tuple[Ints, NDArray[Any], Ints]
"""Flat tokens, a mark for each of them (whether it is a target), and the length of each instance."""

MOST_INSTANCES, MOST_WINDOWS, MOST_TOKENS = 1024, 256, 2**21  # made at a time, so that the working arrays stay small


def ragged(length: Ints) -> tuple[Ints, Ints]:
    """Row number and index inside the row for each element of a ragged array with these row lengths."""
    row = np.repeat(np.arange(len(length)), length)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)


@lru_cache(maxsize=2048)
def once_read(task: Any, tokens: tuple[int, ...], *cut: bool) -> Any:
    """What a task's `read` says of a text, which nobody may change.

    A run is graded on the same texts at each of its evaluations, and reading them takes as long as the model's guesses.
    """
    return task.read(list(tokens), *cut)


def laid_out(
    batch: Batch, guesses: Tensor, read: Callable[[list[int], bool], T]
) -> Iterator[tuple[T, list[int], list[int]]]:
    """Each instance of a batch: what `read` says of its tokens, the tokens, and the guesses for them.

    `read` is told whether the row's edge may have cut the instance; one that it refuses for this reason is left out.
    """
    rows = zip(batch.tokens.tolist(), batch.document.tolist(), guesses.tolist(), strict=True)
    for tokens, document, guess in rows:
        begin = 0
        for number, group in groupby(document):
            end = begin + len(list(group))
            if number >= 0:  # the rest is padding
                cut = end == len(tokens)
                try:
                    yield read(tokens[begin:end], cut), tokens[begin:end], guess[begin:end]
                except ValueError:
                    if not cut:
                        raise
            begin = end


def one_a_row(make: Callable[[slice], Instances], rows: int, longest: int) -> Instances:
    """(tokens, marks, document), each [rows, width]: instances padded on the right to the longest of them.

    make: the instances of some rows, none of which has more than about `longest` tokens.
    """
    refuse_too_large(rows, longest)
    chunk = max(1, min(MOST_INSTANCES, MOST_TOKENS // longest))
    parts = [make(slice(i, i + chunk)) for i in range(0, rows, chunk)]
    width = max(int(length.max()) for _, _, length in parts)
    return _laid([(*part, np.ones(len(part[2]), np.int64)) for part in parts], rows, width)


class Packed(Protocol):
    """A task that packs instances into windows of `context` tokens, or lays one into each row where that is None."""

    at_a_time: ClassVar[int] = MOST_TOKENS  # a task may ask for fewer

    @property
    def context(self) -> int | None: ...

    @property
    def longest_instance(self) -> int:
        """About the most tokens of one instance."""
        ...

    @property
    def _least(self) -> float:
        """No estimate of a length is below this."""
        ...

    def _instances(self, key: U64, test: bool) -> Instances:
        """Instances for these keys, in the test split or not."""
        ...

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        """A cheap estimate of the length of each instance: it decides how many are made, no token depends on it."""
        ...

    def _verify_window(self, why: str, lower: str) -> None:
        """Raise ValueError for a window that cannot hold one instance."""
        if self.context is not None and self.context < self.longest_instance:
            raise ValueError(
                f"a window of {self.context} tokens cannot hold one instance: {why} {self.longest_instance}; "
                f"raise context or lower {lower}"
            )

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, context] tokens packed with instances, or [rows, longest] tokens with one instance each.

        The first token of a row is no target: nothing stands before it.
        """
        test = split_number(split) == 1
        key = address(seed, int(test), step, row_numbers(rows))
        if self.context is None:
            made = one_a_row(lambda some: self._instances(address(key[some], 0), test), len(key), self.longest_instance)
        else:
            made = self._windows(key, self.context, test)
        made[1][:, 0] = False
        return to_batch(*made)

    def _windows(self, key: U64, context: int, test: bool) -> Instances:
        """(tokens, targets, document), each [rows, context]."""
        refuse_too_large(len(key), context)
        chunk = max(1, min(MOST_WINDOWS, self.at_a_time // context))
        parts = []
        for i in range(0, len(key), chunk):
            rows, margin = key[i : i + chunk], 1.05
            while True:  # until there are enough instances; the ones that turn out to be too many are never looked at
                ahead = np.arange(int(margin * context / self._least) + 2)
                length = self._expected(address(rows[:, None], ahead).ravel(), test).reshape(len(rows), -1)
                number = 1 + (np.cumsum(length, axis=1) < margin * context).sum(1)
                row, instance = ragged(number)
                flat, targets, lengths = self._instances(address(rows[row], instance), test)
                if (np.bincount(row, weights=lengths) >= context).all():
                    break
                margin *= 1.1
            parts.append((flat, targets, lengths, number))
        return _laid(parts, len(key), context)


def _laid(parts: Sequence[tuple[Ints, NDArray[Any], Ints, Ints]], rows: int, width: int) -> Instances:
    """(tokens, marks, document), each [rows, width]: instances with how many of them each row gets, cut at the width."""
    tokens, document = np.zeros((rows, width), np.int64), np.full((rows, width), -1)
    laid = np.zeros((rows, width), parts[0][1].dtype)
    row = 0
    for flat, marks, length, number in parts:
        end, last = np.cumsum(length), np.cumsum(number)
        begin = (end - length)[last - number]  # a row's instances follow each other, so it is one slice
        stop = np.minimum(end[last - 1], begin + width)
        instance = ragged(number)[1].repeat(length)
        for a, b in zip(begin.tolist(), stop.tolist(), strict=True):
            tokens[row, : b - a], laid[row, : b - a], document[row, : b - a] = flat[a:b], marks[a:b], instance[a:b]
            row += 1
    return tokens, laid, document
