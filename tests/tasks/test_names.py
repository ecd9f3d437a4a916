"""Names and sizes, and the sorting of ragged arrays behind them; Depo's and Brevo's tests look at whole texts."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.tasks.draws import address, bits
from physlm_lite.tasks.names import Names, shuffle, size_probabilities, sizes, sort_rows

LENGTHS = st.lists(st.integers(0, 40) | st.just(300), max_size=12).map(lambda x: np.array(x, dtype=np.int64))


@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 99))
def test_each_row_is_sorted_on_its_own(length, seed):
    flat = np.random.default_rng(seed).integers(-50, 50, length.sum())
    ends = np.cumsum(length)
    expected = [sorted(row) for row in np.split(flat, ends[:-1])] if len(length) else []
    assert sort_rows(flat, length).tolist() == [x for row in expected for x in row]


@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 99))
def test_a_shuffle_stays_inside_its_row(length, seed):
    random = bits(address(seed), 0, np.arange(length.sum()))
    parts = np.split(random >> np.uint64(28), np.cumsum(length)[:-1]) if len(length) else []
    assert shuffle(random, length).tolist() == [i for part in parts for i in np.argsort(part, kind="stable")]


def test_shuffles_are_uniform():
    random = bits(address(np.arange(12_000))[:, None], 0, np.arange(4)).ravel()
    counts = Counter(map(tuple, shuffle(random, np.full(12_000, 4)).reshape(-1, 4).tolist()))
    assert looks_like([counts[order] for order in itertools.permutations(range(4))], np.ones(24))


def test_equal_draws_keep_their_order():
    assert shuffle(np.zeros(5, np.uint64), np.array([5])).tolist() == [0, 1, 2, 3, 4]


def test_the_longest_row():
    got = shuffle(bits(address(0), 0, np.arange(2**14)), np.array([2**14]))
    assert (np.sort(got) == np.arange(2**14)).all() and (np.diff(got) < 0).any()


@pytest.mark.parametrize("names", [Names(2, 1, 3, 5, 14), Names(4, 2, 4, 5, 50), Names(9, 1, 1, 7, 9)])
def test_different_names_are_those_that_one_draw_after_the_other_gives(names):
    keys, n = address(0, np.arange(20)), np.arange(20) % (names.most + 1)
    items = np.split(names.different(keys, n, (3, 4)), np.cumsum(n)[:-1])
    table, length, _ = names.lexicon
    for key, count, found in zip(keys.tolist(), n.tolist(), items, strict=True):
        spelled = [tuple(table[item, : length[item]].tolist()) for item in found]
        assert spelled == names.slowly_different(key, count, (3, 4))
        assert len(set(spelled)) == count
        assert all(names.read(name, 0) == name for name in spelled)


@pytest.mark.parametrize("longest", [1, 3])
def test_spelled_items_are_read_back(longest):
    names = Names(4, 1, longest, 5, 4)
    items = np.random.default_rng(0).integers(5, len(names.lexicon[1]), 12)
    tokens, targets, lengths = names.spell(items, np.arange(12) % 3 == 0, np.array([0, 5, 6]))
    place, found = 0, []
    for item in items:
        found.append(names.read(tokens.tolist(), place))
        assert (targets[place : place + len(found[-1])] == (len(found) % 3 == 1)).all()
        assert found[-1] == tuple(names.lexicon[0][item, : len(found[-1])].tolist())
        place += len(found[-1])
    assert place == len(tokens)
    assert lengths.tolist() == [sum(map(len, part)) for part in (found[:5], found[5:6], found[6:])]


@pytest.mark.parametrize("tokens, begin, place", [([5, 6], 0, 2), ([5, 0, 9], 0, 1), ([5, 13], 0, 1), ([9], 1, 1)])
def test_what_is_no_name_is_refused(tokens, begin, place):
    with pytest.raises(ValueError, match=f"token {place} should belong to a name"):
        Names(4, 1, 3, 5, 4).read(tokens, begin)


def test_sizes_are_those_of_the_law():
    p = size_probabilities(30)
    drawn = np.bincount(sizes(bits(address(0), 0, np.arange(20_000)), 30), minlength=31)[3:] / 20_000
    assert len(p) == 28 and abs(drawn - p).max() < 5 * (p.max() / 20_000) ** 0.5
