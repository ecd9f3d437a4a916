"""Packing: instances of different lengths laid into rows or windows (Part 4.1, appendix A).

A window is filled with whole instances, one after the other; the last one is cut at the right edge, and the next window
begins with a new instance. Instance number i of a row has the key ``address(row key, i)``: it does not depend on how many
instances the window turns out to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .batch import PAD, Batch, Rows, Steps, refuse_too_large, row_numbers, split_number, to_batch
from .draws import U64, Ints, address

Instances = tuple[Ints, NDArray[np.bool_], Ints]
"""Flat tokens, flat targets, and the length of each instance."""

MOST_INSTANCES, MOST_WINDOWS, MOST_TOKENS = 1024, 256, 2**21  # made at a time, so that the working arrays stay small


def ragged(length: Ints) -> tuple[Ints, Ints]:
    """Row number and index inside the row for each element of a ragged array with these row lengths."""
    row = np.repeat(np.arange(len(length)), length)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)


def laid_out(batch: Batch, guesses: Tensor) -> Iterator[tuple[list[int], list[int], bool]]:
    """Each instance of a batch: its tokens, the guesses for them, and whether the row's edge may have cut it."""
    rows = zip(batch.tokens.tolist(), batch.document.tolist(), guesses.tolist(), strict=True)
    for tokens, document, guess in rows:
        begin = 0
        for number, group in groupby(document):
            end = begin + len(list(group))
            if number >= 0:  # the rest is padding
                yield tokens[begin:end], guess[begin:end], end == len(tokens)
            begin = end


def verify_window(context: int | None, needed: int, why: str, lower: str) -> None:
    """Raise ValueError for a window that cannot hold one instance."""
    if context is not None and context < needed:
        raise ValueError(
            f"a window of {context} tokens cannot hold one instance: {why} {needed}; raise context or lower {lower}"
        )


def batch_of(
    seed: int,
    step: Steps,
    rows: Rows,
    split: str,
    context: int | None,
    make: Callable[[U64, bool], Instances],
    expected: Callable[[U64, bool], NDArray[np.float64]],
    least: float,
    longest: int,
) -> Batch:
    """The batch of a task: [rows, context] tokens packed with instances, or [rows, longest] tokens with one each.

    See `windows` and `one_a_row`; `make` and `expected` also learn whether the test split is asked for.
    """
    test = bool(split_number(split))
    key = address(seed, int(test), step, row_numbers(rows))
    if context is None:
        return one_a_row(key, lambda keys: make(keys, test), longest)
    return windows(key, lambda keys: make(keys, test), context, lambda keys: expected(keys, test), least)


def one_a_row(key: U64, make: Callable[[U64], Instances], longest: int) -> Batch:
    """[rows, width] tokens: instance 0 of each row, padded on the right to the longest of them.

    make: from instance keys to instances, none of which has more than about `longest` tokens.
    """
    refuse_too_large(len(key), longest)
    chunk = max(1, min(MOST_INSTANCES, MOST_TOKENS // longest))
    parts = []
    for i in range(0, len(key), chunk):
        flat, targets, length = make(address(key[i : i + chunk], 0))
        parts.append(_lay(flat, targets, length, np.ones(len(length), np.int64), int(length.max())))
    width = max(part[0].shape[1] for part in parts)

    def joined(arrays: tuple[NDArray, ...], fill: int) -> NDArray:
        return np.concatenate([np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=fill) for a in arrays])

    return to_batch(*map(joined, zip(*parts, strict=True), (PAD, False, -1)))


def windows(
    key: U64,
    make: Callable[[U64], Instances],
    context: int,
    expected: Callable[[U64], NDArray[np.float64]],
    least: float,
    chunk: int | None = None,
) -> Batch:
    """[rows, context] tokens packed with instances.

    expected: a cheap estimate of each instance's length from its key; it only decides how many instances are made, no
    token depends on it. least: no estimate is below this.
    """
    refuse_too_large(len(key), context)
    chunk = chunk or max(1, min(MOST_WINDOWS, MOST_TOKENS // context))
    parts = []
    for i in range(0, len(key), chunk):
        rows, margin = key[i : i + chunk], 1.05
        while True:  # until there are enough instances; the ones that turn out to be too many are never looked at
            ahead = np.arange(int(margin * context / least) + 2)
            length = expected(address(rows[:, None], ahead).ravel()).reshape(len(rows), -1)
            number = 1 + (np.cumsum(length, axis=1) < margin * context).sum(1)
            row, instance = ragged(number)
            flat, targets, lengths = make(address(rows[row], instance))
            if (np.bincount(row, weights=lengths) >= context).all():
                break
            margin *= 1.1
        parts.append(_lay(flat, targets, lengths, number, context))
    return to_batch(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _lay(flat: Ints, marks: NDArray[np.bool_], length: Ints, number: Ints, width: int) -> Instances:
    """Lay `number[i]` instances into row i, cut at `width`: (tokens, targets, document), each [rows, width].

    The instances of a row follow each other in `flat`, so a row is one slice of it.
    """
    tokens = np.zeros((len(number), width), np.int64)
    targets, document = np.zeros(tokens.shape, bool), np.full(tokens.shape, -1)
    end, last = np.cumsum(length), np.cumsum(number)
    begin = (end - length)[last - number]
    stop = np.minimum(end[last - 1], begin + width)
    instance = ragged(number)[1].repeat(length)
    for row, (a, b) in enumerate(zip(begin.tolist(), stop.tolist(), strict=True)):
        tokens[row, : b - a], targets[row, : b - a], document[row, : b - a] = flat[a:b], marks[a:b], instance[a:b]
    return tokens, targets, document
