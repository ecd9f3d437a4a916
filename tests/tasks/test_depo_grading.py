"""Depo's grader: whole names, `<ans>` left out, cut queries skipped."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.depo_reader import read_instance

from physlm_lite.tasks import Batch, Depo

# The specification's worked example, in published ids: A = [57], B = [12, 71], C = [99]; A -> B -> C -> A.
EXAMPLE = [9999, 99, 57, 57, 12, 71, 12, 71, 99, 9002, 12, 71, 9500, 57, 9003, 57, 9500, 57, 9001, 99, 9500, 57]
MASK = [0] * 12 + [1, 1] + [0] * 2 + [1, 1] + [0] * 2 + [1, 1]
EXAMPLE_TASK = Depo(N=3, K=3)
ANSWERS = [13, 17, 21]  # where the three answers stand

ONE_TOKEN = Depo(N=9, K=3, V=12, longest=1)
LONG_NAMES = Depo(N=9, K=3, V=3, shortest=2, longest=3)


def dense(task, raw):
    return [task.interchange.tolist().index(token) for token in raw]


def as_batch(tokens):
    return Batch(
        torch.tensor([tokens]),
        torch.zeros(1, len(tokens), dtype=torch.bool),
        torch.zeros(1, len(tokens), dtype=torch.long),
    )


def test_the_worked_example_is_read():
    task = EXAMPLE_TASK
    a, b, c = (tuple(dense(task, name)) for name in ([57], [12, 71], [99]))
    successor, queries = task.read(dense(task, EXAMPLE))
    assert successor == {a: b, b: c, c: a}
    assert queries == [(2, b, 13, 14), (3, a, 17, 18), (1, c, 21, 22)]
    assert read_instance(EXAMPLE, 50).targets == [bool(x) for x in MASK]  # the reader of these tests agrees


def test_the_worked_example_is_graded():
    task, tokens = EXAMPLE_TASK, dense(EXAMPLE_TASK, EXAMPLE)
    assert task.grade(as_batch(tokens), torch.tensor([tokens])) == {
        "accuracy": 1.0,
        "standard_error": 0.0,
        "count": 3,
        "accuracy_k": {"1": 1.0, "2": 1.0, "3": 1.0},
        "token_accuracy_k": {"1": 1.0, "2": 1.0, "3": 1.0},
        "count_k": {"1": 1, "2": 1, "3": 1},
    }
    for wrong, k in zip(ANSWERS, "231", strict=True):
        guesses = torch.tensor([tokens])
        guesses[0, wrong] = 0
        scores = task.grade(as_batch(tokens), guesses)
        assert scores["accuracy"] == pytest.approx(2 / 3)
        assert scores["accuracy_k"] == {"1": 1.0, "2": 1.0, "3": 1.0} | {k: 0.0}


def test_the_edges_are_the_judge_not_the_written_answer():
    # C -> A -> B -> C, and the text claims that A comes 2 after C (it is B): a guess that repeats the text is wrong
    task = Depo(N=3, K=3, longest=1, V=100)
    tokens = dense(task, [9999, 199, 157, 157, 171, 171, 199, 9002, 199, 9500, 157])
    assert task.grade(as_batch(tokens), torch.tensor([tokens]))["accuracy"] == 0.0
    guesses = [*tokens[:-1], *dense(task, [171])]
    assert task.grade(as_batch(tokens), torch.tensor([guesses]))["accuracy"] == 1.0


@pytest.mark.parametrize(
    "raw, reason",
    [
        (EXAMPLE[1:], "token 0 should be <bos>"),
        ([*EXAMPLE[:9], 9002, 12, 71, 57], "token 12 should be <ans>"),
        ([*EXAMPLE, 57], "token 22 should be a query"),
        (EXAMPLE[:11], "token 11 should belong to a name"),
        (EXAMPLE[:3] + EXAMPLE[5:9] + [9500], "token 7 should belong to a name"),
    ],
)
def test_what_is_no_instance_is_refused(raw, reason):
    with pytest.raises(ValueError, match=reason):
        EXAMPLE_TASK.read(dense(EXAMPLE_TASK, raw))


@pytest.mark.parametrize(
    "options", [{}, {"separator": True}, {"answer_token": False}, {"separator": True, "answer_token": False}]
)
@pytest.mark.parametrize("task", [ONE_TOKEN, LONG_NAMES])
@pytest.mark.parametrize("extra", [None, 0, 37])
def test_perfect_guesses_score_one_and_only_answers_count(task, options, extra):
    task = replace(task, **options)
    if extra is not None:
        task = replace(task, context=task.longest_instance + extra)
    batch = task.batch(0, 0, 30, "test")
    answers = batch.targets & (batch.tokens != 2)
    perfect = torch.where(answers, batch.tokens, -1)  # everything else is wrong, <ans> as well
    scores = task.grade(batch, perfect)
    assert scores["accuracy"] == 1.0
    assert set(scores["accuracy_k"].values()) == set(scores["token_accuracy_k"].values()) == {1.0}
    hopeless = task.grade(batch, torch.where(answers, -1, batch.tokens))
    assert hopeless["accuracy"] == 0.0
    assert set(hopeless["token_accuracy_k"].values()) == {0.0}
    assert hopeless["count_k"] == scores["count_k"]
    if extra is None:
        assert sum(scores["count_k"].values()) == 30 * 9
    assert scores["count_k"].keys() == {"1", "2", "3"}


def test_one_wrong_token_spoils_a_long_name():
    task = Depo(N=5, K=1, V=3, shortest=3, longest=3, queries=2)
    batch = task.batch(0, 0, 10)
    assert batch.targets.sum() == 10 * 2 * (1 + 3)
    answers = (batch.targets & (batch.tokens != 2)).nonzero()
    for spoilt in range(3):  # the first, second or third token of the very first answer
        guesses = batch.tokens.clone()
        guesses[tuple(answers[spoilt])] = 0
        scores = task.grade(batch, guesses)
        assert scores["accuracy_k"] == {"1": 19 / 20} and scores["accuracy"] == 19 / 20
        assert scores["token_accuracy_k"] == {"1": 59 / 60}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), long=st.booleans(), separator=st.booleans(), answer_token=st.booleans(), data=st.data())
def test_a_cut_window_counts_the_whole_queries_and_no_other(seed, long, separator, answer_token, data):
    task = replace(LONG_NAMES if long else ONE_TOKEN, separator=separator, answer_token=answer_token, N=4, queries=3)
    batch = task.batch(seed, 0, 1)
    length = int((batch.document == 0).sum())
    cut = data.draw(st.integers(1, length))
    part = Batch(batch.tokens[:, :cut], batch.targets[:, :cut], batch.document[:, :cut])
    # an independent count: the queries whose whole text lies before the cut
    instance = read_instance(
        task.interchange[batch.tokens[0, :length].numpy()].tolist(), task.V, answer_token, separator
    )
    end = 1 + sum(separator + len(a) + len(b) for a, b in instance.edges)
    whole = 0
    for _, node, answer in instance.queries:
        end += 1 + len(node) + answer_token + len(answer)
        whole += end <= cut
    scores = task.grade(part, part.tokens)
    assert sum(scores["count_k"].values()) == whole
    assert scores["accuracy"] == 1.0 if whole else scores["accuracy"] != scores["accuracy"]  # no query: not a number


def test_a_broken_text_inside_a_window_is_an_error():
    task = Depo(N=3, K=2, V=4, longest=1, queries=2, sizes="fixed", context=40)
    batch = task.batch(0, 0, 1)
    batch.tokens[0, 3] = 2  # <ans> among the edges of the first of several instances
    with pytest.raises(ValueError, match="token 3 should belong to a name"):
        task.grade(batch, batch.tokens)


def test_each_k_is_counted_on_its_own():
    task = Depo(N=4, K=2, V=6, longest=1, queries=4, every_hop=True)
    batch = task.batch(0, 0, 50, "test")
    guesses = batch.tokens.clone()
    # spoil exactly the answers of k = 2: <2>, name, <ans>, answer
    row, place = (batch.tokens == 5).nonzero(as_tuple=True)
    guesses[row, place + 3] = 0
    scores = task.grade(batch, guesses)
    assert scores["accuracy_k"] == {"1": 1.0, "2": 0.0}
    assert scores["count_k"] == {"1": 200 - len(row), "2": len(row)}
    assert scores["accuracy"] == pytest.approx(1 - len(row) / 200)
