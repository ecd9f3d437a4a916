"""Packing: instances of different lengths laid into rows or windows (Part 4.1, appendix A).

A window is filled with whole instances, one after the other; the last one is cut at the right edge, and the next window
begins with a new instance. Instance number i of a row has the key ``address(row key, i)``: it does not depend on how many
instances the window turns out to hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .batch import PAD, Batch, refuse_too_large, to_batch
from .draws import U64, address

Instances = tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]
"""Flat tokens, flat targets, and the length of each instance."""

MOST_INSTANCES, MOST_WINDOWS, MOST_TOKENS = 1024, 256, 2**21  # made at a time, so that the working arrays stay small


def ragged(length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row number and index inside the row for each element of a ragged array with these row lengths."""
    row = np.repeat(np.arange(len(length)), length)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)


def pieces(document: list[int]) -> list[tuple[int, int]]:
    """Begin and end of each instance in a row of document numbers."""
    found, begin = [], 0
    for i in range(1, len(document) + 1):
        if i == len(document) or document[i] != document[begin]:
            if document[begin] >= 0:
                found.append((begin, i))
            begin = i
    return found


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
    padded = [
        tuple(
            np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)
            for array, fill in zip(part, (PAD, False, -1), strict=True)
        )
        for part in parts
    ]
    return to_batch(*(np.concatenate(arrays) for arrays in zip(*padded, strict=True)))


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
        flat, targets, length, number = _fill(key[i : i + chunk], make, context, expected, least)
        parts.append(_lay(flat, targets, length, number, context))
    return to_batch(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _fill(
    key: U64,
    make: Callable[[U64], Instances],
    context: int,
    expected: Callable[[U64], NDArray[np.float64]],
    least: float,
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Enough instances to fill each row's window; the ones that turn out to be too many are never looked at."""
    margin = 1.05
    while True:
        ahead = np.arange(int(margin * context / least) + 2)
        length = expected(address(key[:, None], ahead).ravel()).reshape(len(key), -1)
        number = 1 + (np.cumsum(length, axis=1) < margin * context).sum(1)
        row, instance = ragged(number)
        flat, targets, lengths = make(address(key[row], instance))
        if (np.bincount(row, weights=lengths) >= context).all():
            return flat, targets, lengths, number
        margin *= 1.1


def _lay(
    flat: NDArray[np.int64], marks: NDArray[np.bool_], length: NDArray[np.int64], number: NDArray[np.int64], width: int
) -> Instances:
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
