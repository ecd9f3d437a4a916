"""Depo: the texts say what the specification says. Everything is read back by tests/tasks/depo_reader.py."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like
from tasks.depo_reader import read_instance
from tasks.small_settings import settings_of_depo

from physlm_lite.tasks import Depo, preset

SIZES = {  # N: P(n = 3), P(n = N), mean, median of the training sizes
    375: (0.0155, 0.00088, 109.5, 74),
    300: (0.0177, 0.00114, 90.1, 62),
    225: (0.0212, 0.00159, 70.1, 50),
    125: (0.0306, 0.00319, 42.3, 32),
    110: (0.0332, 0.00372, 37.9, 29),
    100: (0.0353, 0.00417, 35.0, 27),
    90: (0.0378, 0.00474, 32.0, 25),
    75: (0.0425, 0.00592, 27.5, 22),
    70: (0.0444, 0.00644, 25.9, 21),
    50: (0.0554, 0.00977, 19.7, 16),
    40: (0.0643, 0.01294, 16.5, 14),
    30: (0.0783, 0.01872, 13.1, 11),
}


def raw_rows(task, batch):
    """The (raw tokens, targets) of each example of each row."""
    raw = task.interchange[batch.tokens.numpy()]
    for tokens, targets, document in zip(raw.tolist(), batch.targets.tolist(), batch.document.numpy(), strict=True):
        row = []
        for number in range(document.max() + 1):
            place = np.flatnonzero(document == number)
            row.append(([tokens[i] for i in place], [targets[i] for i in place]))
        yield row


def instances(task, batch):
    """Every whole instance of a batch, read and paired with its loss mask; the last of a window may be cut."""
    for row in raw_rows(task, batch):
        for tokens, targets in row if task.context is None else row[:-1]:
            yield read_instance(tokens, task.V, task.answer_token, task.separator), targets


# -- the text ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(task=settings_of_depo(), split=st.sampled_from(["train", "test"]), seed=st.integers(0, 5))
def test_every_text_is_a_cycle_and_its_queries(task, split, seed):
    for instance, targets in instances(task, task.batch(seed, 1, 3, split)):
        sources, ends = zip(*instance.edges, strict=True)
        n = len(sources)
        assert n == task.N if split == "test" or task.sizes == "fixed" else 3 <= n <= task.N
        # each name once as a source and once as an end, hence exactly twice in the edge part
        assert len(set(sources)) == n and set(sources) == set(ends)
        assert all(task.shortest <= len(name) <= task.longest for name in sources)
        walk = [sources[0]]
        while len(walk) < n:
            walk.append(instance.solve(walk[-1], 1))
        assert len(set(walk)) == n, "the edges are several cycles"
        assert instance.solve(walk[-1], 1) == walk[0]

        asked = [node for _, node, _ in instance.queries]
        assert len(set(asked)) == len(asked) == min(n, task.queries)
        hops = task.test_hops if split == "test" else range(1, task.K + 1)
        for k, node, answer in instance.queries:
            assert k in hops
            assert answer == instance.solve(node, k)
        assert targets == instance.targets


# -- distributions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("N", SIZES)
def test_size_distribution_is_the_published_table(N):
    smallest, largest, mean, median = SIZES[N]
    p, n = Depo(N=N).size_probabilities, np.arange(3, N + 1)
    assert p.sum() == pytest.approx(1)
    assert round(p[0], 4) == smallest
    assert round(p[-1], 5) == largest
    assert round(float(p @ n), 1) == mean
    assert n[np.searchsorted(np.cumsum(p), 0.5)] == median


def test_sizes_are_drawn_from_it():
    task = Depo(N=20, V=30, longest=1, K=1, queries=1)
    batch = task.batch(0, 0, 20_000)
    n = (batch.tokens == 4).int().argmax(1) // 2  # <bos>, 2 n names, <1>
    assert looks_like(np.bincount(n, minlength=21)[3:], 1 / (np.arange(3, 21) + math.sqrt(20)))


def test_sizes_do_not_favour_the_start_of_a_window():
    # in a window, too, the first whole instance has the sizes of the table
    task = Depo(N=8, V=30, longest=1, K=1, queries=1, context=60)
    batch = task.batch(0, 0, 5000)
    n = (batch.tokens == 4).int().argmax(1) // 2
    assert looks_like(np.bincount(n, minlength=9)[3:], 1 / (np.arange(3, 9) + math.sqrt(8)))


@pytest.mark.parametrize(
    "K, hops",
    [
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (4, [1, 2, 4]),
        (6, [1, 2, 4, 6]),
        (8, [1, 2, 4, 8]),
        (16, [1, 2, 4, 8, 16]),
        (20, [1, 2, 4, 8, 16, 20]),
    ],
)
def test_hops_of_the_test_split(K, hops):
    assert list(Depo(K=K).test_hops) == hops
    assert list(Depo(K=K, every_hop=True).test_hops) == list(range(1, K + 1))


@pytest.mark.parametrize(
    "options, split, weights",
    [
        ({}, "train", [1] * 6),
        ({}, "test", [1, 1, 0, 1, 0, 1]),
        ({"every_hop": True}, "test", [1] * 6),
        ({"hop_weight": 1.0}, "train", [1 / k for k in range(1, 7)]),
        ({"hop_weight": 1.0}, "test", [1, 1, 0, 1, 0, 1]),
    ],
)
def test_hops_follow_their_weights(options, split, weights):
    task = Depo(N=5, K=6, V=9, longest=1, **options)
    tokens = task.batch(0, 0, 1500, split).tokens
    counts = np.bincount(tokens[(tokens >= 4) & (tokens < 10)] - 4, minlength=6)
    asked = [i for i in range(6) if weights[i]]
    assert counts.sum() == counts[asked].sum()
    assert looks_like(counts[asked], np.array(weights)[asked])


def test_edges_queries_and_hops_are_drawn_independently_and_uniformly():
    task = Depo(N=4, K=2, V=4, longest=1, queries=2, sizes="fixed")
    first, queries, both = Counter(), Counter(), Counter()
    for instance, _ in instances(task, task.batch(0, 0, 4000)):
        names = sorted({source for source, _ in instance.edges})
        successor = instance.successors()
        # place of the first query's node along the cycle, counted from the first edge written
        walk = [instance.edges[0][0]]
        while len(walk) < 4:
            walk.append(successor[walk[-1]])
        (k, node, _), (other_k, other, _) = instance.queries
        first[names.index(walk[0])] += 1
        queries[walk.index(node), walk.index(other)] += 1
        both[k, other_k, walk.index(node)] += 1
    assert looks_like([first[i] for i in range(4)], np.ones(4))
    assert looks_like([queries[i, j] for i in range(4) for j in range(4) if i != j], np.ones(12))
    assert looks_like([both[k, j, i] for k in (1, 2) for j in (1, 2) for i in range(4)], np.ones(16))


def test_cycles_are_uniform():
    task = Depo(N=4, K=1, V=4, longest=1, queries=1, sizes="fixed")  # all four names are used
    cycles, orders = Counter(), Counter()
    for instance, _ in instances(task, task.batch(1, 0, 4000)):
        successor = {a[0]: b[0] for a, b in instance.edges}
        cycles[tuple(successor[i] for i in range(5, 9))] += 1
        orders[tuple(a[0] for a, _ in instance.edges)] += 1
    assert len(cycles) == 6 and looks_like(list(cycles.values()), np.ones(6))
    assert len(orders) == 24 and looks_like(list(orders.values()), np.ones(24))


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("N, mean", [(225, 48.7), (300, 49.8), (375, 49.9)])
def test_nearly_all_short_names_are_used(N, mean):
    task = Depo(N=N, sizes="fixed", queries=1)
    short = [sum(len(a) == 1 for a, _ in instance.edges) for instance, _ in instances(task, task.batch(0, 0, 60))]
    # the published mean has one digit after the point
    assert abs(np.mean(short) - mean) < 0.05 + 5 * max(np.std(short), 0.3) / 60**0.5


def test_lengths_then_letters_are_uniform():
    # the first name drawn is not yet shaped by repetitions: with n = 3 of many names, no name is
    task = Depo(N=3, V=6, shortest=5, longest=7, sizes="fixed", queries=1)
    lengths, letters, finals = Counter(), Counter(), Counter()
    for instance, _ in instances(task, task.batch(0, 0, 1500)):
        for name, _ in instance.edges:
            lengths[len(name)] += 1
            finals[name[-1]] += 1
            letters.update(name[:-1])
    assert looks_like([lengths[r] for r in (5, 6, 7)], np.ones(3))
    assert looks_like([letters[v] for v in range(1, 7)], np.ones(6)) and len(letters) == 6
    assert looks_like([finals[v] for v in range(7, 13)], np.ones(6)) and len(finals) == 6


@pytest.mark.parametrize(
    "options, capacity",
    [
        ({"V": 50, "longest": 2}, 2550),
        ({"V": 3, "shortest": 5, "longest": 7}, 3159),
        ({"V": 4, "shortest": 5, "longest": 7}, 21504),
        ({"V": 4, "shortest": 2, "longest": 4}, 336),
    ],
)
def test_capacity(options, capacity):
    assert Depo(N=3, **options).names.capacity == capacity


@pytest.mark.parametrize(
    "options",
    [{"V": 3, "longest": 1}, {"V": 2, "longest": 3}, {"V": 1, "longest": 5}, {"V": 2, "shortest": 3, "longest": 3}],
)
def test_every_name_can_be_used_up(options):
    N = Depo(N=3, **options).names.capacity
    task = Depo(N=N, sizes="fixed", queries=1, K=1, **options)
    for instance, _ in instances(task, task.batch(0, 0, 5)):
        assert len({a for a, _ in instance.edges}) == N
    with pytest.raises(ValueError, match=f"only {N} names .* fewer than N = {N + 1}"):
        Depo(N=N + 1, **options)


def test_names_that_take_more_than_a_million_draws():
    # 8,192 of these names have 13 letters: collecting all of them takes about 13 * 8192 * ln 8192 draws
    task = Depo(N=16382, V=2, longest=13, sizes="fixed", queries=1)
    batch = task.batch(0, 0, range(3, 4))
    ((instance, _),) = instances(task, batch)
    assert len({a for a, _ in instance.edges}) == 16382


# -- lengths -----------------------------------------------------------------------------------------------------------

LENGTHS = {  # training: mean, labelled tokens; n = N: mean, shortest and longest seen; upper bound
    "depo1-n375": (432, 25.5, 1458, 1454, 1462, 1561),
    "depo1-n300": (358, 25.1, 1158, 1152, 1166, 1261),
    "depo1-n225": (283, 24.6, 859, 852, 868, 961),
    "depo2-n125": (643, 64.6, 1648, 1592, 1716, 1911),
    "depo2-n100": (549, 64.3, 1346, 1288, 1404, 1561),
    "depo2-n75": (456, 63.2, 1044, 995, 1101, 1211),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_published_lengths(name):
    mean, labelled, test_mean, shortest, longest, bound = LENGTHS[name]
    packed = preset(name)
    assert packed.longest_instance == bound
    task = Depo(packed.N, packed.K, packed.V, packed.shortest, packed.longest)
    train = task.batch(0, 0, 1500)
    length = (train.document == 0).sum(1).double()
    assert int(length.max()) <= bound

    def close(values, published, samples, digit):
        # five standard errors, of our mean and of the published one; which was rounded to `digit`
        error = float(values.std()) * (1 / len(values) + 1 / samples) ** 0.5
        return abs(float(values.mean()) - published) < 5 * error + digit / 2

    assert close(length, mean, 8000, 1)
    assert close(train.targets.sum(1).double(), labelled, 8000, 0.1)
    test = (task.batch(0, 0, 100, "test").document == 0).sum(1).double()
    assert close(test, test_mean, 300, 1)
    spread = longest - shortest
    assert shortest - spread / 2 <= float(test.min()) <= float(test.max()) <= longest + spread / 2


@pytest.mark.parametrize(
    "name, whole",
    [
        ("depo1-n375", {1}),
        ("depo1-n300", {1}),
        ("depo1-n225", {2}),
        ("depo2-n125", {1}),
        ("depo2-n100", {1}),
        ("depo2-n75", {1, 2}),
    ],
)
def test_instances_in_a_test_window(name, whole):
    assert set(preset(name).batch(0, 0, 20, "test").document.amax(1).tolist()) <= whole


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"N": 2}, "Depo option N must be a whole number from 3 to 16,383, not 2"),
        ({"N": 2**14, "longest": 3}, "N must be a whole number from 3 to 16,383, not 16384"),
        ({"K": 0}, "K must be a whole number from 1 to 16,384, not 0"),
        ({"shortest": 0}, "shortest must be a whole number from 1 to 64, not 0"),
        ({"shortest": 3}, "1 <= shortest <= longest and V >= 1, not 3, 2, 50"),
        ({"V": 0}, "V must be a whole number from 1 to 4,194,304, not 0"),
        ({"longest": 1}, "50 letters make only 50 names of 1 to 1 tokens, fewer than N = 225; raise V or longest"),
        ({"shortest": 5, "longest": 7}, "more than the generator can list; lower V or longest"),
        ({"sizes": "papre"}, "unknown Depo sizes 'papre'; did you mean 'paper'?"),
        ({"queries": 0}, "queries must be a whole number from 1 to 1,024, not 0"),
        ({"context": 960}, "a window of 960 tokens cannot hold one instance: at N = 225 it may need 961"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Depo(**options)
    assert sentence in str(error.value)


def test_the_tightest_window_is_accepted():
    assert Depo(context=961).batch(0, 0, 1, "test").tokens.shape == (1, 961)


@pytest.mark.parametrize("task, size", [(Depo(N=9, K=8), 4 + 8 + 100), (Depo(N=9, V=20, longest=1, K=3), 4 + 3 + 20)])
def test_vocabulary_and_published_ids(task, size):
    names, raw = task.vocabulary, task.interchange.tolist()
    assert len(names) == len(set(names)) == len(raw) == len(set(raw)) == size
    table = dict(zip(names, raw, strict=True))
    assert [table[name] for name in ("<pad>", "<bos>", "<ans>", "<edge>")] == [-1, 9999, 9500, 9700]
    assert [table[f"<{k}>"] for k in range(1, task.K + 1)] == [9000 + k for k in range(1, task.K + 1)]
    mark = "'" if task.longest > 1 else ""
    assert [table[f"{v}{mark}"] for v in range(1, task.V + 1)] == [task.V + v for v in range(1, task.V + 1)]
    if mark:
        assert [table[str(v)] for v in range(1, task.V + 1)] == list(range(1, task.V + 1))
