"""Brevo's judge: any right order, all or nothing; and the reports made from it."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.brevo_reader import all_answers, needed

from physlm_lite.tasks import Batch
from physlm_lite.tasks.brevo import EOS, REASONS, Brevo, depth

# The specification's worked examples, in published ids; 9996 is <eos>.
EXAMPLE = [9999, 5, 3, 4, 5, 2, 1, 4, 3, 5, 1, 9997, 3, 9998, 4, 5, 3, 9996]
TASK = Brevo(N=5)
LONG_EXAMPLE = [9999, 2, 5, 4, 1, 7, 4, 1, 7, 3, 3, 8, 2, 5, 3, 3, 8, 9997, 3, 3, 8, 9998, 2, 5, 3, 3, 8, 9996]
LONG_TASK = Brevo(N=3, V=4, shortest=2, longest=4)
A, B, C = [2, 5], [4, 1, 7], [3, 3, 8]


def dense(task, raw):
    return [task.interchange.tolist().index(token) for token in raw]


def as_batch(*rows):
    width = max(map(len, rows))
    padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    document = torch.tensor([[0] * len(row) + [-1] * (width - len(row)) for row in rows])
    return Batch(padded, torch.zeros_like(padded, dtype=torch.bool), document)


def verdict(task, text, raw_answer, end=True):
    edges, query, _ = task.read(dense(task, text))
    return task.judge(edges, query, dense(task, raw_answer) + [EOS] * end)


def first_instances(task, batch):
    """(edges, query, the answer in the text) of each row."""
    for tokens, document in zip(batch.tokens.tolist(), batch.document.tolist(), strict=True):
        edges, query, (begin, end) = task.read(tokens[: document.count(0)])
        yield edges, query, tokens[begin:end]


# -- the worked examples -----------------------------------------------------------------------------------------------


def test_the_worked_example_is_read():
    edges, query, (begin, end) = TASK.read(dense(TASK, EXAMPLE))
    one = {v: (dense(TASK, [v])[0],) for v in range(1, 6)}
    assert edges == [(one[p], one[c]) for p, c in ((5, 3), (4, 5), (2, 1), (4, 3), (5, 1))]
    assert query == one[3] and (begin, end) == (14, 18)
    assert depth(edges, query) == 1


@pytest.mark.parametrize(
    "answer, reason, detail",
    [
        ([4, 5, 3], "correct", "every vertex once"),
        ([5, 4, 3], "parent after child", "5 stands before its parent 4"),
        ([4, 3], "missing vertex", "5 is missing"),
        ([2, 4, 5, 3], "foreign vertex", "3 does not depend on 2"),
        ([4, 5, 3, 1], "foreign vertex", "3 does not depend on 1"),
        ([4, 5, 3, 3], "repeated vertex", "3 stands there twice"),
        ([4, 4, 5, 3], "repeated vertex", "4 stands there twice"),
        ([], "missing vertex", "3 is missing"),
        ([4, 9997, 3], "not a name", "after 1 names"),
        ([4, 9996, 5, 3], "not a name", "goes on after <eos>"),
    ],
)
def test_verdicts_of_the_worked_example(answer, reason, detail):
    got = verdict(TASK, EXAMPLE, answer)
    assert got.reason == reason and detail in got.detail
    assert got.right == (reason == "correct")


def test_an_answer_must_end():
    assert verdict(TASK, EXAMPLE, [4, 5, 3], end=False).reason == "no end"


@pytest.mark.parametrize(
    "answer, reason",
    [
        (A + B + C, "correct"),
        (A + B + C + [1, 2], "unfinished name"),
        (A + B + C + [1], "unfinished name"),
        ([1], "unfinished name"),
        (A + C, "missing vertex"),
        (B + A + C, "parent after child"),
        (A + B + [5] + C, "foreign vertex"),
        (A + B + [5, 5] + C, "foreign vertex"),
        ([*A, 1, 9997, *B, *C], "not a name"),
        (A + A + B + C, "repeated vertex"),
    ],
)
def test_verdicts_on_long_names(answer, reason):
    assert verdict(LONG_TASK, LONG_EXAMPLE, answer).reason == reason
    # the answer written in the text leaves B out: the edges are the judge
    assert verdict(LONG_TASK, LONG_EXAMPLE, A + C).detail == "4-1-3' is missing"


# -- the judge against brute force -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        Brevo(N=5, sizes="fixed"),
        Brevo(N=5, degree=2, sizes="fixed", query="last quarter"),
        Brevo(N=4, V=2, longest=3, sizes="fixed"),
    ],
)
def test_exactly_the_right_orders_are_right(task):
    """Every list of different vertices, against every order of the needed ones that keeps the edges."""
    for edges, query, _ in first_instances(task, task.batch(0, 0, 12)):
        right = all_answers(edges, query)
        vertices = sorted({name for edge in edges for name in edge})
        for size in range(len(vertices) + 1):
            for listed in permutations(vertices, size):
                got = task.judge(edges, query, [*(token for name in listed for token in name), EOS])
                assert got.right == (listed in right)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99), long=st.booleans())
def test_a_changed_answer_is_right_only_if_it_is_another_right_one(data, seed, long):
    task = Brevo(N=6, V=3, longest=3) if long else Brevo(N=6, V=8)
    edges, query, answer = next(first_instances(task, task.batch(seed, 0, 1)))
    changed = list(answer)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed)))
        token = data.draw(st.integers(0, len(task.vocabulary) - 1))
        change = data.draw(st.sampled_from(["insert", "delete", "replace", "turn"]))
        if change == "insert":
            changed.insert(place, token)
        elif change == "turn":
            changed[place:] = changed[place:][::-1]
        else:
            changed[place : place + 1] = [] if change == "delete" else [token]
    right = {(*(token for name in order for token in name), EOS) for order in all_answers(edges, query)}
    assert task.judge(edges, query, changed).right == (tuple(changed) in right)


@settings(max_examples=200, deadline=None)
@given(
    answer=st.lists(st.integers(-3, 20) | st.integers(-(2**40), 2**40), max_size=12),
    long=st.booleans(),
    end=st.booleans(),
)
def test_junk_is_never_right_and_never_an_accident(answer, long, end):
    task, text = (LONG_TASK, LONG_EXAMPLE) if long else (TASK, EXAMPLE)
    edges, query, _ = task.read(dense(task, text))
    answer = answer + [EOS] * end
    got = task.judge(edges, query, answer)
    assert got.reason in REASONS and got.detail
    right = {(*(token for name in order for token in name), EOS) for order in all_answers(edges, query)}
    assert got.right == (tuple(answer) in right)


@pytest.mark.parametrize(
    "task",
    [
        Brevo(N=70),
        Brevo(N=40, V=4, shortest=2, longest=4),
        Brevo(N=30, degree=2, query="last quarter", leaves="ceil"),
        Brevo(N=6, V=2, longest=5),
    ],
)
def test_every_generated_instance_is_right(task):
    for split in ("train", "test"):
        batch = task.batch(0, 0, 60, split)
        for edges, query, answer in first_instances(task, batch):
            assert task.judge(edges, query, answer).right
            assert len(answer) <= task.longest_answer
            assert len(answer) > 2 and task.judge(edges, query, answer[:-1]).reason == "no end"


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, reason",
    [
        (EXAMPLE[1:], "token 0 should be <bos>"),
        (EXAMPLE[:4], "token 4 should belong to a name"),
        (EXAMPLE[:11], "token 11 should be <query>"),
        (EXAMPLE[:12], "token 12 should belong to a name"),
        (EXAMPLE[:13], "token 13 should be <ans>"),
        ([*EXAMPLE[:13], 5], "token 13 should be <ans>"),
        ([*EXAMPLE[:2], *EXAMPLE[11:]], "token 2 should belong to a name"),
    ],
)
def test_what_is_no_instance_is_refused(raw, reason):
    with pytest.raises(ValueError, match=reason):
        TASK.read(dense(TASK, raw))


@pytest.mark.parametrize(
    "edges, query, expected",
    [
        ("ab bc cd", "d", 3),
        ("ab bc ac cd", "d", 2),
        ("ad ab bc cd", "d", 1),
        ("ab cb bd de xe", "e", 1),
        ("ab cb bd", "d", 2),
    ],
)
def test_depth_is_the_way_to_the_nearest_leaf(edges, query, expected):
    assert depth([((ord(p),), (ord(c),)) for p, c in edges.split()], (ord(query),)) == expected


# -- reports -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [None, 60])
def test_prompts_end_with_the_answer_marker_and_answers_continue_them(context):
    task = Brevo(N=6, test_sizes=(4, 6), context=context)
    batch = task.batch(0, 0, 50, "test")
    prompts = task.prompts(batch)
    answers = [answer for _, _, answer in first_instances(task, batch)]
    for row, prompt, answer in zip(batch.tokens.tolist(), prompts, answers, strict=True):
        assert prompt[-1] == 3 and row[: len(prompt) + len(answer)] == prompt + answer
    assert task.grade_generations(batch, answers)["accuracy"] == 1.0


def test_generations_are_reported_by_depth_length_size_and_reason():
    task = Brevo(N=6, test_sizes=(4, 6))
    batch = task.batch(0, 0, 200, "test")
    read = list(first_instances(task, batch))
    # right where n = 4, nothing but the end where n = 6
    answers = [answer if len({v for edge in edges for v in edge}) <= 4 else [EOS] for edges, _, answer in read]
    scores = task.grade_generations(batch, answers)
    right = [len(answer) > 1 for answer in answers]
    assert scores["count"] == 200 and scores["accuracy"] == sum(right) / 200
    assert scores["standard_error"] == pytest.approx((scores["accuracy"] * (1 - scores["accuracy"]) / 200) ** 0.5)
    assert scores["accuracy_n"] == {"4": 1.0, "6": 0.0}
    assert scores["count_n"] == {"4": sum(right), "6": 200 - sum(right)}
    assert scores["reasons"] == {"correct": sum(right), "missing vertex": 200 - sum(right)}
    for kind, of in (("depth", depth), ("length", lambda edges, query: len(needed(edges, query)))):
        groups = {}
        for (edges, query, _), ok in zip(read, right, strict=True):
            groups.setdefault(of(edges, query), []).append(ok)
        assert scores[f"count_{kind}"] == {str(x): len(groups[x]) for x in sorted(groups)}
        assert scores[f"accuracy_{kind}"] == {
            str(x): pytest.approx(sum(groups[x]) / len(groups[x])) for x in sorted(groups)
        }


def test_every_row_needs_an_answer():
    batch = TASK.batch(0, 0, 3, "test")
    with pytest.raises(ValueError):
        TASK.grade_generations(batch, [[EOS]] * 2)


def test_another_right_order_counts_in_generations_but_not_under_teacher_forcing():
    # two parents without parents, in either order
    text = dense(TASK, [9999, 1, 3, 2, 3, 9997, 3, 9998, 1, 2, 3, 9996])
    other = dense(TASK, [2, 1, 3, 9996])
    batch = as_batch(text)
    assert TASK.grade_generations(batch, [other])["accuracy"] == 1.0
    scores = TASK.grade(batch, torch.tensor([[*text[:8], *other]]))
    assert scores["teacher_forced"] == 0.0 and scores["token_accuracy"] == 0.5


@pytest.mark.parametrize("task", [Brevo(N=6), Brevo(N=5, V=2, longest=3)])
@pytest.mark.parametrize("extra", [None, 0, 37])
def test_teacher_forcing_counts_the_answers_of_whole_instances_only(task, extra):
    if extra is not None:
        task = replace(task, context=task.longest_instance + extra)
    batch = task.batch(0, 0, 20, "test")
    answers = batch.targets & (batch.tokens != 3)
    scores = task.grade(batch, torch.where(answers, batch.tokens, -1))  # everything else is wrong, <ans> as well
    ends = int((batch.tokens == EOS).sum())
    assert scores["teacher_forced"] == scores["token_accuracy"] == 1.0 and scores["count"] == ends
    assert task.grade(batch, torch.where(answers, -1, batch.tokens))["teacher_forced"] == 0.0
    first = batch.tokens.clone()
    row, place = answers.nonzero()[0].tolist()
    first[row, place] = -1
    assert task.grade(batch, first)["teacher_forced"] == pytest.approx(1 - 1 / ends)
