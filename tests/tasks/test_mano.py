"""Mano: texts, distributions and grading. Texts are evaluated by tests/tasks/mano_reference.py."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like
from tasks.mano_reference import mano_mersenne, value_of
from tasks.small_settings import settings_of_mano

from physlm_lite.tasks import Batch
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.mano import Mano

# Three instances in a row of the released generator at random.Random(42), L = 10.
VECTOR = """
9999 20 5 5003 7 5018 5013 24 5007
9998 91 6 5 7 5010 5008 1 1 5012 5003 5011 7 3 5012 5 7 5018 5006 5001 5002 95 5020
9999 61 3 5 3 3 5005 5014 2 5021 2 5007 5001 5002 5018 65 5007
"""
# + * 20 15 - 13 2 = (20 * 15 + (13 - 2)) mod 23 = 12
EXAMPLE = [9999, 30, 1, 3, 5020, 5015, 2, 5013, 5002, 34, 5012]
EXAMPLE_SYNONYMS = [9998, 31, 5, 3, 5020, 5015, 6, 5013, 5002, 34, 5012]


def dense(task, raw):
    return [task.interchange.tolist().index(token) for token in raw]


def rows_of(task, batch):
    """The raw tokens of each example of each row."""
    for raw, document in zip(task.interchange[batch.tokens.numpy()], batch.document.numpy(), strict=True):
        yield [raw[document == number].tolist() for number in range(document.max() + 1)]


def as_batch(tokens):
    return Batch(
        torch.tensor([tokens]),
        torch.ones(1, len(tokens), dtype=torch.bool),
        torch.zeros(1, len(tokens), dtype=torch.long),
    )


# -- the text ----------------------------------------------------------------------------------------------------------


def test_the_reference_writes_the_known_texts():
    rng = random.Random(42)
    for line in VECTOR.strip().splitlines():
        assert mano_mersenne(rng, 10) == list(map(int, line.split()))


@pytest.mark.parametrize(
    "raw", [EXAMPLE, EXAMPLE_SYNONYMS, *(list(map(int, line.split())) for line in VECTOR.strip().splitlines())]
)
def test_known_texts_are_read_and_evaluated(raw):
    task = Mano(L=10)
    n, expression, answer = task.read(dense(task, raw))
    assert (n, answer) == (raw[1] // 10, len(raw) - 1)
    assert len(expression) == 2 * n + 1
    assert task.evaluate(expression) == value_of(raw[2:-2]) == raw[-1] - 5000
    assert task.steps(expression)[-1][1] == [raw[-1] - 5000]


@settings(max_examples=60, deadline=None)
@given(task=settings_of_mano(), split=st.sampled_from(["train", "test"]), seed=st.integers(0, 5))
def test_every_text_states_the_value_of_its_expression(task, split, seed):
    batch = task.batch(seed, 1, 3, split)
    for row in rows_of(task, batch):
        for raw in row if task.context is None else row[:-1]:
            n = raw[1] // 10
            if split == "test":
                assert 1 <= n <= task.L if task.every_length else n == task.L
            else:
                assert n == task.L if task.sizes == "fixed" else 1 <= n <= task.L
            assert len(raw) == 2 * n + 5
            assert raw[-1] - 5000 == value_of(raw[2:-2], task.modulus)
            if task.markers == "script":
                assert raw[0] in (9999, 9998) and raw[1] in (10 * n, 10 * n + 1) and raw[-2] in (10 * n + 4, 10 * n + 5)
            else:
                assert (raw[0], raw[1], raw[-2]) == (9999, 10 * n, 9500)
                assert all(token <= 4 or token >= 5000 for token in raw[2:-2])
    # loss on all tokens, except what nothing stands before
    assert torch.equal(batch.targets[:, 1:], batch.document[:, 1:] >= 0)
    assert not batch.targets[:, 0].any()


def test_undefined_expressions_are_drawn_again_with_the_same_length():
    task = Mano(L=6, modulus=3, operators="/")
    keys = address(0, 0, 0, np.arange(400))
    tries = [task._trees(address(keys, attempt), np.full(400, 6)) for attempt in range(3)]
    assert all(0.7 < np.mean(value == 3) < 1 for _, value in tries)  # most are undefined
    text, value = task._expressions(keys, np.full(400, 6))
    assert (value < 3).all()
    first = np.argmax([v < 3 for _, v in tries], axis=0)
    for i in np.flatnonzero([any(v[i] < 3 for _, v in tries) for i in range(400)]):
        assert (text.reshape(-1, 13)[i] == tries[first[i]][0].reshape(-1, 13)[i]).all()
        assert value[i] == tries[first[i]][1][i]


# -- distributions -----------------------------------------------------------------------------------------------------


def test_lengths_are_uniform_in_training_and_always_L_in_the_test():
    task = Mano(L=6)
    lengths = (task.batch(0, 0, 3000).document == 0).sum(1).numpy()
    assert looks_like(np.bincount((lengths - 5) // 2, minlength=7)[1:], np.ones(6))
    assert set((task.batch(0, 0, 50, "test").document == 0).sum(1).tolist()) == {17}
    every = (Mano(L=6, every_length=True).batch(0, 0, 3000, "test").document == 0).sum(1).numpy()
    assert looks_like(np.bincount((every - 5) // 2, minlength=7)[1:], np.ones(6))


def test_operators_splits_numbers_and_forms_are_uniform_and_independent():
    task = Mano(L=3, modulus=2, sizes="fixed")
    seen, kinds = Counter(), Counter()
    for (raw,) in rows_of(task, task.batch(0, 0, 6000)):
        shape = "".join("n" if token >= 5000 else "o" for token in raw[2:-2])
        seen[shape] += 1
        first = next(token for token in raw[2:] if token >= 5000) - 5000
        kinds[raw[0] - 9998, raw[1] - 30, raw[2] - 1, first, raw[-2] - 34] += 1
    # three operations: the root leaves 0, 1 or 2 for its left operand, each with chance 1/3
    assert looks_like(
        [seen[s] for s in ("onononn", "onoonnn", "oonnonn", "oononnn", "ooonnnn")], [1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6]
    )
    assert sum(seen.values()) == 6000 and len(seen) == 5
    cells = [kinds[cell] for cell in itertools.product(range(2), range(2), (0, 1, 2, 4, 5, 6), range(2), range(2))]
    assert sum(cells) == 6000 and looks_like(cells, np.ones(96))


@pytest.mark.parametrize("L", [10, 13, 16])
def test_always_answering_zero_scores_seven_percent(L):
    p = Mano(L=L).answer_probabilities
    assert p.shape == (L + 1, 23)
    assert 0.069 < p[L, 0] < 0.0725 and p[L, 1:].max() < 0.046
    assert Mano(L=L).floor() == p[L, 0]


@pytest.mark.parametrize("modulus, floors", [(5, [25, 27, 28]), (7, [18, 20, 20]), (11, [12, 13, 13])])
def test_floors_of_small_moduli(modulus, floors):
    task = Mano(L=3, modulus=modulus, every_length=True)
    assert [round(100 * task.floor(n)) for n in (1, 2, 3)] == floors
    assert task.floor() == pytest.approx(np.mean([task.floor(n) for n in (1, 2, 3)]))  # 0 is the best for each
    with pytest.raises(ValueError, match=r"length must lie in 1..L = 3, not 4"):
        task.floor(4)


@pytest.mark.parametrize("operators, modulus", [("+-*", 4), ("+-*/", 3), ("/", 5)])
def test_answer_probabilities_are_what_enumeration_gives(operators, modulus):
    """All texts of two operations, each with its exact chance."""
    mass = np.zeros(modulus)
    for o, p, *numbers in itertools.product(operators, operators, *[range(modulus)] * 3):
        a, b, c = (5000 + x for x in numbers)
        o, p = (1 + "+-*/".index(x) for x in (o, p))
        for text in ([o, a, p, b, c], [o, p, a, b, c]):
            try:
                mass[value_of(text, modulus)] += 1
            except AssertionError:
                assert "/" in operators
    task = Mano(L=2, modulus=modulus, operators=operators)
    assert np.allclose(task.answer_probabilities[2], mass / mass.sum())
    assert np.allclose(task.answer_probabilities[0], 1 / modulus)


@pytest.mark.parametrize("options", [{"L": 5}, {"L": 4, "modulus": 5, "operators": "+-*/"}])
def test_answers_follow_their_probabilities(options):
    task = Mano(sizes="fixed", **options)
    answers = task.batch(0, 0, 4000).tokens[:, -1].numpy() - task.vocabulary.index("0")
    assert looks_like(np.bincount(answers, minlength=task.modulus), task.answer_probabilities[-1])


def test_the_reference_generator_has_the_same_answers():
    rng, task = random.Random(0), Mano(L=3)
    answers = [mano_mersenne(rng, 3)[-1] - 5000 for _ in range(6000)]
    assert looks_like(np.bincount(answers, minlength=23), task.answer_probabilities[1:].mean(0))


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"L": 0}, "L must be a whole number from 1 to 499, not 0"),
        ({"L": 500}, "L must be a whole number from 1 to 499, not 500"),
        ({"modulus": 1}, "modulus must be a whole number from 2 to 1,000, not 1"),
        ({"operators": ""}, "operators must be some of '+-*/', each once, not ''"),
        ({"operators": "+%"}, "some of '+-*/', each once, not '+%'"),
        ({"operators": "++"}, "each once, not '++'"),
        ({"markers": "scrpit"}, "unknown Mano markers 'scrpit'; did you mean 'script'?"),
        ({"sizes": "papre"}, "unknown Mano sizes 'papre'; did you mean 'paper'?"),
        ({"operators": "/", "modulus": 21}, "division needs a prime modulus, not 21"),
        ({"operators": "/", "modulus": 2}, "fewer than 1% of the expressions of up to 10 operations never divide by 0"),
        ({"context": 24}, "a window of 24 tokens cannot hold one instance: at L = 10 it needs 25"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Mano(**options)
    assert sentence in str(error.value)


def test_the_tightest_window_and_the_longest_expression_are_accepted():
    assert Mano(context=25).batch(0, 0, 1, "test").tokens.shape == (1, 25)
    task = Mano(L=499, sizes="fixed")
    batch = task.batch(0, 0, 2)
    assert batch.tokens.shape == (2, 1003)
    assert task.grade(batch, batch.tokens)["accuracy"] == 1.0


@pytest.mark.parametrize(
    "task, size",
    [
        (Mano(L=10), 1 + 2 + 20 + 20 + 6 + 23),
        (Mano(L=10, markers="plain"), 1 + 1 + 10 + 1 + 3 + 23),
        (Mano(L=3, markers="script", operators="/+", modulus=7), 1 + 2 + 6 + 6 + 4 + 7),
    ],
)
def test_vocabulary_and_published_ids(task, size):
    names, raw = task.vocabulary, task.interchange.tolist()
    assert len(names) == len(set(names)) == len(raw) == len(set(raw)) == size
    table = dict(zip(names, raw, strict=True))
    assert table["<pad>"] == -1 and table["<bos>"] == 9999 and table["<len3>"] == 30 and table["+"] == 1
    assert all(table[str(v)] == 5000 + v for v in range(task.modulus))
    if task.markers == "script":
        assert [table[n] for n in ("<bos'>", "<len3'>", "<ans3>", "<ans3'>", "+'")] == [9998, 31, 34, 35, 5]
    else:
        assert table["<ans>"] == 9500
    if "/" in task.operators:
        assert (table["/"], table["/'"]) == (4, 8)


# -- grading -----------------------------------------------------------------------------------------------------------


def test_the_expression_is_the_judge_not_the_written_answer():
    task = Mano(L=3)
    tokens = dense(task, [*EXAMPLE[:-1], 5011])  # the text claims 11, it is 12
    assert task.grade(as_batch(tokens), torch.tensor([tokens]))["accuracy"] == 0.0
    guesses = torch.tensor([[*tokens[:-1], *dense(task, [5012])]])
    assert task.grade(as_batch(tokens), guesses) == {
        "accuracy": 1.0,
        "standard_error": 0.0,
        "count": 1,
        "accuracy_length": {"3": 1.0},
        "count_length": {"3": 1},
    }


@settings(max_examples=40, deadline=None)
@given(task=settings_of_mano(), seed=st.integers(0, 9))
def test_only_the_answers_of_whole_instances_count(task, seed):
    batch = task.batch(seed, 0, 4, "test")
    whole = [raw for row in rows_of(task, batch) for raw in row if len(raw) > 1 and len(raw) == 2 * (raw[1] // 10) + 5]
    ends = torch.nn.functional.pad(batch.document.diff(dim=1) != 0, (0, 1), value=True) & (batch.document >= 0)
    only_answers = torch.where(ends, batch.tokens, -1)
    scores = task.grade(batch, only_answers)
    assert scores["count"] == len(whole) > 0
    assert scores["accuracy"] == 1.0 and scores["standard_error"] == 0.0
    assert scores["count_length"] == {
        str(n): count for n, count in sorted(Counter(raw[1] // 10 for raw in whole).items())
    }
    hopeless = task.grade(batch, torch.where(ends, -1, batch.tokens))
    assert hopeless["accuracy"] == 0.0 and set(hopeless["accuracy_length"].values()) == {0.0}


def test_lengths_are_counted_on_their_own_and_the_error_is_binomial():
    task = Mano(L=2, every_length=True)
    batch = task.batch(0, 0, 200, "test")
    guesses = batch.tokens.clone()
    two = (batch.document == 0).sum(1) == 9
    guesses[two, 8] = 0
    scores = task.grade(batch, guesses)
    p = 1 - float(two.double().mean())
    assert scores["accuracy_length"] == {"1": 1.0, "2": 0.0}
    assert scores["accuracy"] == pytest.approx(p)
    assert scores["standard_error"] == pytest.approx((p * (1 - p) / 200) ** 0.5)


@pytest.mark.parametrize(
    "raw, reason",
    [
        (EXAMPLE[1:], "token 0 should be <bos>"),
        (EXAMPLE[:1], "token 1 should be a length"),
        (EXAMPLE[:5], "token 5 should be an operator or a number"),
        (EXAMPLE[:6] + EXAMPLE[-2:], "token 6 should be an operator or a number"),
        ([9999, 20, *EXAMPLE[2:]], "the text announces 2 operations and has 3"),
        ([*EXAMPLE[:-2], 24, 5012], "token 9 should be <ans3>"),
        (EXAMPLE[:-1], "one number should follow token 9"),
        ([*EXAMPLE, 5012], "one number should follow token 9"),
        ([*EXAMPLE[:-1], 1], "one number should follow token 9"),
    ],
)
def test_what_is_no_instance_is_refused(raw, reason):
    task = Mano(L=3)
    with pytest.raises(ValueError, match=reason):
        task.read(dense(task, raw))


def test_a_broken_text_inside_a_window_is_an_error():
    task = Mano(L=2, context=40)
    batch = task.batch(0, 0, 1)
    batch.tokens[0, 1] = 1
    with pytest.raises(ValueError, match="token 1 should be a length"):
        task.grade(batch, batch.tokens)


def test_what_is_no_expression_has_no_steps():
    with pytest.raises(ValueError, match=r"\+ 1 is not an expression"):
        Mano().steps(["+", 1])
    with pytest.raises(ValueError, match="3 / 0 is not defined"):
        Mano(operators="/").evaluate(["/", 3, 0])


@settings(max_examples=50, deadline=None)
@given(task=settings_of_mano(context=None), seed=st.integers(0, 99))
def test_steps_end_in_the_value(task, seed):
    for tokens, document in zip(
        *(t.tolist() for t in (task.batch(seed, 0, 3).tokens, task.batch(seed, 0, 3).document)), strict=True
    ):
        n, expression, _ = task.read(tokens[: document.count(0)])
        steps = task.steps(expression)
        assert len(steps) == n and steps[-1][1] == [task.evaluate(expression)]
        assert [len(rest) for _, rest in steps] == list(range(2 * n - 1, 0, -2))
