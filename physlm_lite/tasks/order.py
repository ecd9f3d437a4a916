"""A shuffled order that nobody keeps: where index i stands among `size` things is computed, for each i by itself.

A Feistel network turns a number of 2k bits into another one, and no two into the same: each round adds to one half a hash of
the other half, which the next round could take off again. Numbers that land outside the range are sent through again until
they are inside (Black & Rogaway, 2002); fewer than four turns are needed on average.
"""

from __future__ import annotations

import numpy as np

from .draws import U64, Ints, bits

ROUNDS = 6


def shuffled(key: U64, index: Ints, size: int) -> Ints:
    """Where each `index`, from 0 to size - 1, stands in the order that its `key` names; both of one length.

    For one key, the places of 0, 1, ..., size - 1 are a permutation of these numbers.

    >>> from .draws import address
    >>> shuffled(np.repeat(address(7), 5), np.arange(5), 5).tolist()
    [0, 2, 1, 4, 3]
    """
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    mask = np.uint64((1 << int(half)) - 1)
    place, outside = index.astype(np.uint64), np.ones(len(index), bool)
    while outside.any():
        left, right, its = place[outside] >> half, place[outside] & mask, key[outside]
        for turn in range(ROUNDS):
            left, right = right, left ^ (bits(its, turn, right) & mask)
        place[outside] = left << half | right
        outside = place >= size
    return place.astype(np.int64)
