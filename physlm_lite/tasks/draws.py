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


class OneByOne:
    """The draws of one key as plain numbers, for the slow twins."""

    def __init__(self, key: int | U64) -> None:
        self._key = np.atleast_1d(np.asarray(key, np.uint64))

    def bits(self, stream: int, counter: int = 0) -> int:
        """64 random bits."""
        return int(bits(self._key, stream, counter)[0])

    def below(self, n: int, stream: int, counter: int = 0) -> int:
        """A uniform integer in 0..n-1."""
        return (self.bits(stream, counter) >> 32) * n >> 32

    def unit(self, stream: int, counter: int = 0) -> float:
        """A uniform number in [0, 1) with 53 bits."""
        return (self.bits(stream, counter) >> 11) * 2.0**-53

    def among(self, chances: Sequence[float], stream: int, counter: int = 0) -> int:
        """The number of one of several things with these chances, which sum to 1."""
        drawn = self.unit(stream, counter)
        return next((i for i, total in enumerate(accumulate(chances)) if drawn < total), len(chances) - 1)

    def shuffled(self, things: Sequence[Any], stream: int) -> list[Any]:
        """The things in random order: each gets 36 bits, equal ones keep their order."""
        return [things[i] for i in sorted(range(len(things)), key=lambda i: (self.bits(stream, i) >> 28, i))]
