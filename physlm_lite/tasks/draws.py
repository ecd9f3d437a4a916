"""Random numbers that are a pure function of their address.

A generator that carries state makes the thousandth batch depend on the 999 before it. Here a draw is a hash of *where
it is used*: (key of the instance, stream, counter). Resuming a run, sharding rows over machines, or looking at step
1,000 again then needs nothing but the address. The hash is the finaliser of SplitMix64 (Steele, Lea & Flood, 2014);
all functions work on numpy arrays of uint64 and wrap around modulo 2^64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STREAM = np.uint64(0xD1342543DE82EF95)


def _mix(x: U64) -> U64:
    """SplitMix64's finaliser, in place: each output bit depends on each input bit."""
    shifted = x >> np.uint64(30)
    x ^= shifted
    x *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(x, np.uint64(27), out=shifted)
    x ^= shifted
    x *= np.uint64(0x94D049BB133111EB)
    np.right_shift(x, np.uint64(31), out=shifted)
    x ^= shifted
    return x


def address(*parts: ArrayLike) -> U64:
    """Hash integers (or arrays of them, broadcast together) into keys; the order of the parts matters."""
    key = np.zeros(np.broadcast_shapes(*(np.shape(p) for p in parts)), np.uint64)
    for part in parts:
        key = _mix(np.atleast_1d(key) + _GOLDEN + np.asarray(part).astype(np.uint64))
    return key


def bits(key: U64, stream: int, counter: ArrayLike = 0) -> U64:
    """64 random bits for each (key, stream, counter); `key` and `counter` broadcast."""
    return _mix(_stream(key, stream) + _GOLDEN * np.atleast_1d(counter).astype(np.uint64))


def bits_at(key: U64, row: NDArray[np.int64], stream: int, counter: NDArray[np.int64]) -> U64:
    """`bits` for ragged arrays: draw number `counter` of the stream, for the key of each `row`."""
    return _mix(_stream(key, stream)[row] + _GOLDEN * counter.astype(np.uint64))


def _stream(key: U64, stream: int) -> U64:
    return _mix(np.atleast_1d(key) + np.array([stream + 1], np.uint64) * _STREAM)  # arrays wrap without a warning


def below(random: U64, n: ArrayLike) -> NDArray[np.int64]:
    """Uniform integers in 0..n-1 from 64 random bits, n < 2^31 (the bias is below n / 2^32)."""
    return (((random >> np.uint64(32)) * np.asarray(n).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def unit(random: U64) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 53 bits."""
    return (random >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(random: U64, row: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """A uniform permutation of `index` inside each row of a ragged array.

    `row` is sorted and `index` counts 0.. inside each row, below 2^14. One sort does it: the row, 36 random bits and
    the index are packed into one integer. Returns the permuted `index`, row after row.
    """
    if row.size and row[-1] - row[0] >= 2**14:  # more rows than 14 bits can name: sort them in two parts
        cut = int(np.searchsorted(row, row[0] + 2**14))
        return np.concatenate(
            [permutation(random[:cut], row[:cut], index[:cut]), permutation(random[cut:], row[cut:], index[cut:])]
        )
    row = row - row[0] if row.size else row
    packed = row.astype(np.uint64) << np.uint64(50)
    packed |= (random >> np.uint64(28) << np.uint64(14)) | index.astype(np.uint64)
    packed.sort()
    return (packed & np.uint64(0x3FFF)).astype(np.int64)


class OneByOne:
    """The draws of one key as plain numbers, for the slow twins."""

    def __init__(self, key: int) -> None:
        self._key = np.array([key], np.uint64)

    def bits(self, stream: int, counter: int = 0) -> int:
        """64 random bits."""
        return int(bits(self._key, stream, counter)[0])

    def below(self, n: int, stream: int, counter: int = 0) -> int:
        """A uniform integer in 0..n-1."""
        return (self.bits(stream, counter) >> 32) * n >> 32

    def among(self, chances: Sequence[float], stream: int, counter: int = 0) -> int:
        """The number of one of several things with these chances, which sum to 1."""
        drawn = (self.bits(stream, counter) >> 11) * 2.0**-53
        return next((i for i, total in enumerate(accumulate(chances)) if drawn < total), len(chances) - 1)

    def shuffled(self, things: Sequence[Any], stream: int) -> list[Any]:
        """The things in random order: each gets 36 bits, equal ones keep their order."""
        return [things[i] for i in sorted(range(len(things)), key=lambda i: (self.bits(stream, i) >> 28, i))]
