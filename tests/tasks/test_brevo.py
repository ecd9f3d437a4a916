"""Brevo: the texts say what the specification says. Everything is read back by tests/tasks/brevo_reader.py."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.brevo_reader import graphs, orders, read_instance, shape
from tasks.chi_square import looks_like
from tasks.small_settings import settings_of_brevo

from physlm_lite.tasks import preset
from physlm_lite.tasks.brevo import Brevo, brevo_instance, depth
from physlm_lite.tasks.draws import address


def instances(task, batch):
    """Every whole instance of a batch, read and paired with its loss mask; the last of a window may be cut."""
    raw = task.interchange[batch.tokens.numpy()]
    for tokens, targets, document in zip(raw, batch.targets.numpy(), batch.document.numpy(), strict=True):
        for number in range(document.max() + (task.context is None)):
            inside = document == number
            yield (
                read_instance(tokens[inside].tolist(), task.V if task.longest > 1 else None),
                targets[inside].tolist(),
            )


# -- the text ----------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(task=settings_of_brevo(), split=st.sampled_from(["train", "test"]), seed=st.integers(0, 5))
def test_every_text_is_a_graph_and_what_the_query_depends_on(task, split, seed):
    for instance, targets in instances(task, task.batch(seed, 1, 3, split)):
        edges = instance.edges
        assert len(set(edges)) == len(edges)
        parents, children = Counter(c for _, c in edges), Counter(p for p, _ in edges)
        vertices = {*parents, *children}
        largest = max(task.test_sizes or [task.N]) if split == "test" else task.N
        assert 2 <= len(vertices) <= largest
        assert max(parents.values()) <= task.degree and max(children.values()) <= task.degree
        assert all(task.shortest <= len(name) <= task.longest for name in vertices)
        # the first vertices have no parents; with one child or more they are seen
        most = -((1 - largest) // task.degree) + 1
        assert 1 <= len(vertices - set(parents)) <= most
        # acyclic: take away vertices without parents until none is left
        left = set(vertices)
        while left:
            free = {v for v in left if not any(c == v and p in left for p, c in edges)}
            assert free
            left -= free
        # the answer: all that is needed once each, parents first, the query last
        assert parents[instance.query] > 0
        assert sorted(instance.answer) == sorted(instance.needed()) and instance.answer[-1] == instance.query
        place = {name: i for i, name in enumerate(instance.answer)}
        assert all(place[p] < place[c] for p, c in edges if c in place)
        if task.query == "last":
            assert children[instance.query] == 0
        assert targets == instance.targets


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_the_slow_twin_where_many_vertices_are_full_at_once(degree):
    task = Brevo(N=60, degree=degree, sizes="fixed")
    batch = task.batch(0, 0, 40)
    for row in range(40):
        tokens, _ = brevo_instance(task, int(address(address(0, 0, 0, row), 0)[0]))
        assert batch.tokens[row].tolist()[: len(tokens)] == tokens


# -- distributions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"degree": 2},
        {"degree": 2, "leaves": "ceil"},
        {"degree": 1},
        {"degree": 2, "query": "last quarter"},
        {"degree": 3, "leaves": "ceil", "query": "last quarter"},
    ],
)
def test_graphs_have_their_exact_chances(options):
    """Leaves, number and choice of parents, the limit of children and the query, against a full enumeration."""
    n = 5 if options.get("degree", 4) > 2 else 6
    task = Brevo(N=n, sizes="fixed", **options)
    chances = Counter()
    for chance, edges, query in graphs(n, task.degree, task.leaves, task.query == "last quarter"):
        chances[shape(edges, query)] += chance
    assert sum(chances.values()) == 1
    seen = Counter(shape(i.edges, i.query) for i, _ in instances(task, task.batch(0, 0, 3000)))
    assert seen.keys() <= chances.keys()
    common = [kind for kind, chance in chances.items() if chance > 0.004]
    rare = 1 - sum(chances[kind] for kind in common)
    assert looks_like(
        [*(seen[kind] for kind in common), *([3000 - sum(seen[k] for k in common)] if rare > 0.004 else [])],
        [float(chances[kind]) for kind in common] + ([float(rare)] if rare > 0.004 else []),
    )


@pytest.mark.parametrize("task", [Brevo(N=6, sizes="fixed"), Brevo(N=7, degree=2, sizes="fixed")])
def test_orders_have_the_chances_of_the_pool(task):
    """Where the written order stands among all right ones, weighted by their chances, is uniform."""
    places, dice = [], np.random.default_rng(0)
    uneven = 0
    for instance, _ in instances(task, task.batch(0, 0, 1500)):
        chances = sorted(orders(instance.edges, instance.query).items())
        below = sum(chance for order, chance in chances if order < tuple(instance.answer))
        own = dict(chances)[tuple(instance.answer)]
        places.append(float(below + own * dice.random()))
        uneven += len({chance for _, chance in chances}) > 1
    assert uneven > 50  # the pool's order is not uniform over all right ones: the test can tell
    assert looks_like(np.histogram(places, 12, (0, 1))[0], np.ones(12))


def test_the_pool_has_no_memory():
    """Of two vertices that could be taken next, the one that has waited longer is not more likely."""
    task, older = Brevo(N=20, sizes="fixed"), Counter()
    for instance, _ in instances(task, task.batch(0, 0, 500)):
        inside = [(p, c) for p, c in instance.edges if c in instance.answer]
        waiting, since = Counter(p for p, _ in inside), {instance.query: 0}
        for step, taken in enumerate(reversed(instance.answer)):
            if len(set(since.values())) == len(since) == 2:
                older[since[taken] == min(since.values())] += 1
            del since[taken]
            for parent, child in inside:
                if child == taken:
                    waiting[parent] -= 1
                    if waiting[parent] == 0:
                        since[parent] = step + 1
    assert sum(older.values()) > 800 and looks_like([older[True], older[False]], np.ones(2))


def test_edges_stand_in_random_order():
    task, place = Brevo(N=3, sizes="fixed"), Counter()
    for instance, _ in instances(task, task.batch(0, 0, 6000)):
        if len(instance.edges) == 3:  # 0 -> 1, 0 -> 2, 1 -> 2: find the middle vertex
            (middle,) = {p for p, _ in instance.edges} & {c for _, c in instance.edges}
            place[tuple((p == middle, c == middle) for p, c in instance.edges)] += 1
    assert len(place) == 6 and looks_like(list(place.values()), np.ones(6))


def test_one_token_names_are_a_random_choice_in_random_order():
    task = Brevo(N=3, V=5, sizes="fixed")
    names = Counter((i.answer[0], i.query) for i, _ in instances(task, task.batch(0, 0, 4000)) if len(i.answer) == 3)
    assert len(names) == 20 and looks_like(list(names.values()), np.ones(20))


def test_long_names_are_handed_out_at_random():
    # a name of one letter is drawn more often and hence earlier: the vertices must not feel it
    task = Brevo(N=3, V=3, longest=2, sizes="fixed")
    found = [i for i, _ in instances(task, task.batch(0, 0, 3000)) if len(i.answer) == 3]
    short = [np.mean([len(i.answer[place]) == 1 for i in found]) for place in range(3)]
    assert np.ptp(short) < 5 * (2 * 0.25 / len(found)) ** 0.5 and 0.4 < np.mean(short) < 0.6


def test_vertices_without_edges_are_not_written():
    task = Brevo(N=8, degree=2, leaves="ceil", sizes="fixed", V=2, longest=3, shortest=1)
    shown = Counter(len({v for e in i.edges for v in e}) for i, _ in instances(task, task.batch(0, 0, 500)))
    assert max(shown) == 8 and len(shown) > 1


def test_sizes_follow_the_law_and_the_test_sizes():
    n = 12
    expected = 1 / (np.arange(3, n + 1) + n**0.5)
    task = Brevo(N=n)
    assert np.allclose(task.size_probabilities, expected / expected.sum())
    keys = address(0, 0, 0, np.arange(8000))
    assert looks_like(np.bincount(task._sizes(keys, False), minlength=n + 1)[3:], expected)
    assert set(task._sizes(keys, True)) == {n}
    some = replace(task, test_sizes=(4, 6))
    assert looks_like(np.bincount(some._sizes(keys, True), minlength=7)[[4, 6]], np.ones(2))
    assert (some._sizes(keys, False) == task._sizes(keys, False)).all()


PUBLISHED = {  # training: mean and longest length, labelled tokens; n = N: mean, shortest, longest length; edges, answers
    # as mean, smallest, largest; share of depth 1, 2, 3, 4 and more
    "brevo1-n110": (180, 638, 19, (523, 378, 655), (240, 181, 292), (38, 2, 82), (0.10, 0.39, 0.29, 0.14, 0.08)),
    "brevo1-n90": (155, 538, 18, (429, 320, 558), (195, 150, 245), (34, 2, 71), (0.10, 0.35, 0.34, 0.15, 0.06)),
    "brevo1-n70": (126, 419, 16, (335, 239, 445), (151, 115, 197), (28, 2, 56), (0.13, 0.37, 0.29, 0.15, 0.05)),
    "brevo2-n50": (292, 993, 37, (761, 527, 1036), (107, 79, 136), (24, 2, 42), (0.13, 0.42, 0.27, 0.13, 0.04)),
    "brevo2-n40": (239, 807, 32, (613, 428, 805), (87, 60, 110), (20, 2, 36), (0.12, 0.39, 0.31, 0.15, 0.03)),
    "brevo2-n30": (191, 627, 28, (450, 271, 616), (63, 44, 84), (16, 2, 29), (0.14, 0.42, 0.31, 0.12, 0.01)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    mean, longest, labelled, lengths, edges, answers, depths = PUBLISHED[name]
    task = replace(preset(name), context=None)
    train = task.batch(0, 0, 1500)

    def close(values, published, samples, digit=1.0):
        # five standard errors, of our mean and of the published one; which was rounded to `digit`
        values = np.asarray(values, float)
        error = values.std() * (1 / len(values) + 1 / samples) ** 0.5
        return abs(values.mean() - published) < 5 * error + digit / 2

    length = (train.document == 0).sum(1)
    assert close(length, mean, 8000) and length.max() < 1.2 * longest
    assert close(train.targets.sum(1), labelled, 8000)

    test = task.batch(0, 0, 200, "test")
    found = [i for i, _ in instances(task, test)]
    for values, (middle, low, high) in (
        ((test.document == 0).sum(1).numpy(), lengths),
        (np.array([len(i.edges) for i in found]), edges),
        (np.array([len(i.answer) for i in found]), answers),
    ):
        assert close(values, middle, 500)
        assert low - (high - low) / 3 <= values.min() <= values.max() <= high + (high - low) / 3
    share = np.bincount([min(depth(i.edges, i.query), 5) for i in found], minlength=6)[1:] / len(found)
    for ours, published in zip(share, depths, strict=True):
        assert abs(ours - published) < 5 * (published * (1 - published) * (1 / 200 + 1 / 500)) ** 0.5 + 0.005
    assert length.max() <= task.longest_instance and test.tokens.shape[1] <= task.longest_instance


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"N": 2}, "Brevo option N must be a whole number from 3 to 16,383, not 2"),
        ({"degree": 0}, "degree must be a whole number from 1 to 16, not 0"),
        ({"N": 5000}, "N * degree < 16384, not 5000 * 4"),
        ({"longest": 2}, "names of up to 2 tokens need V"),
        (
            {"V": 50},
            "50 letters make only 50 names of 1 to 1 tokens, fewer than N = 110; raise V or longest, or lower N",
        ),
        ({"V": 4, "shortest": 3, "longest": 2}, "1 <= shortest <= longest and V >= 1, not 3, 2, 4"),
        ({"sizes": "papre"}, "unknown Brevo sizes 'papre'; did you mean 'paper'?"),
        ({"query": "first"}, "unknown Brevo query 'first'; did you mean 'last'?"),
        ({"leaves": "round"}, "unknown Brevo leaves 'round'; (valid: floor, ceil)"),
        ({"test_sizes": (2, 4)}, "test_sizes must lie in 3..N = 110, not (2, 4)"),
        ({"test_sizes": ()}, "test_sizes must lie in 3..N = 110, not ()"),
        ({"context": 500}, "a window of 500 tokens cannot hold one instance: at N = 110 it may need"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Brevo(**options)
    assert sentence in str(error.value)


def test_the_tightest_window_is_accepted():
    task = Brevo(N=5)
    assert task.longest_instance == 4 + 2 * (1 + 2 + 3 + 4) + 1 + 5
    assert replace(task, context=task.longest_instance).batch(0, 0, 1, "test").tokens.shape == (
        1,
        task.longest_instance,
    )


@pytest.mark.parametrize(
    "task, size, last",
    [(Brevo(N=9), 5 + 9, 9), (Brevo(N=9, V=12), 5 + 12, 12), (Brevo(N=9, V=4, shortest=2, longest=4), 5 + 8, 8)],
)
def test_vocabulary_and_published_ids(task, size, last):
    names, raw = task.vocabulary, task.interchange.tolist()
    assert len(names) == len(set(names)) == len(raw) == len(set(raw)) == size
    assert names[:5] == ("<pad>", "<bos>", "<query>", "<ans>", "<eos>") and names[task.eos] == "<eos>"
    assert raw == [-1, 9999, 9997, 9998, 9996, *range(1, last + 1)]
    assert names[-1] == ("4'" if task.longest > 1 else str(last))
