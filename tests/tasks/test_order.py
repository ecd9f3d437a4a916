"""The shuffled order is a permutation, computed place by place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.tasks.draws import address, bits
from physlm_lite.tasks.order import ROUNDS, shuffled


def spelled(key, index, size):
    """One place, in plain integers."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    place = index
    while True:
        left, right = place >> half, place % 2**half
        for turn in range(ROUNDS):
            left, right = right, left ^ int(bits(key, turn, right)[0]) % 2**half
        place = left * 2**half + right
        if place < size:
            return place


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**62))
def test_every_place_is_taken_once(size, seed):
    places = shuffled(np.repeat(address(seed), size), np.arange(size), size)
    assert sorted(places.tolist()) == list(range(size))
    assert places[: min(size, 5)].tolist() == [spelled(address(seed), i, size) for i in range(min(size, 5))]


def test_a_place_does_not_depend_on_its_company():
    keys = address(3, np.arange(50) % 7)
    index = np.arange(50) * 13 % 1000
    alone = [int(shuffled(keys[i : i + 1], index[i : i + 1], 1000)[0]) for i in range(50)]
    assert shuffled(keys, index, 1000).tolist() == alone


def test_a_corpus_of_a_trillion_windows():
    size = 10**12
    places = shuffled(np.repeat(address(0), 4096), np.arange(4096), size)
    assert len(set(places.tolist())) == 4096 and places.min() >= 0 and places.max() < size
    assert abs(places.mean() / size - 0.5) < 0.03  # spread over all of it


@pytest.mark.parametrize("size", [3, 10])
def test_each_place_comes_first_about_equally_often(size):
    first = shuffled(address(1, np.arange(4000)), np.zeros(4000, np.int64), size)
    expected = 4000 / size
    assert ((np.bincount(first, minlength=size) - expected) ** 2 / expected).sum() < 3 * size + 12
