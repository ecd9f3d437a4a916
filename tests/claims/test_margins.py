"""The rules of margins and of orders, on scores made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims.rules import (
    CONTRADICTED,
    DIRECTION,
    HOLDS,
    NOT_SHOWN,
    Ahead,
    Beats,
    Deepens,
    Matches,
    Ranks,
)
from physlm_lite.training import Record, Run, Training

TASKS = {
    "accuracy": Run("copy", {"n": 4}, {"width": 8, "heads": 1}, Training(steps=1)),
    "bits_per_parameter": Run("capo", {"people": 40}, {"width": 8, "heads": 1}, Training(steps=1)),
    "kl": Run("lano", {"root": 14}, {"width": 8, "heads": 1}, Training(steps=1)),
}  # a metric belongs to the task that measures it


def records(scores: Mapping[str, Sequence[float | None]], metric: str = "accuracy") -> dict[str, list[Record]]:
    """One record for each score; None is a run that diverged."""
    run = TASKS[metric]
    return {
        side: [
            Record(
                run.but(seed=i),
                "finished" if value is not None else "diverged",
                [{"step": 1, "seconds": 1.0, metric: value if value is not None else 0.5}],
                1.0,
                0.0,
                1,
                1.0,
            )
            for i, value in enumerate(values)
        ]
        for side, values in scores.items()
    }


def verdict(rule: Ahead | Matches | Ranks, scores: Mapping[str, Sequence[float | None]]) -> str:
    return rule.judge(records(scores, rule.metric)).word


@pytest.mark.parametrize(
    ("high", "low", "word"),
    [
        ([0.9, 0.8, 0.7], [0.5, 0.6, 0.5], HOLDS),
        ([0.9, 0.8, 0.65], [0.5, 0.6, 0.5], DIRECTION),
        ([0.9, 0.8, 0.55], [0.5, 0.6, 0.5], NOT_SHOWN),
        ([0.3, 0.2, 0.4], [0.5, 0.6, 0.5], CONTRADICTED),
        ([0.9, 0.8, None], [0.5, 0.6, 0.5], NOT_SHOWN),
    ],
)
def test_a_margin_as_a_difference(high, low, word):
    assert verdict(Ahead("accuracy", "a", "b", by=0.1), {"a": high, "b": low}) == word


@pytest.mark.parametrize(
    ("high", "low", "word"),
    [
        ([1.2, 1.3, 1.2], [1.0, 0.9, 1.0], HOLDS),
        ([1.2, 1.3, 1.05], [1.0, 0.9, 1.0], DIRECTION),
        ([0.7, 0.8, 0.7], [1.0, 0.9, 1.0], CONTRADICTED),
        ([-0.41, -0.4, -0.4], [-0.4, -0.4, -0.4], NOT_SHOWN),  # 1.1 x -0.4 is no bar
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], NOT_SHOWN),  # nor is 1.1 x 0
        ([-0.5, -0.1, -0.1], [None, None, -0.6], DIRECTION),  # nothing learnt is worse than learnt wrongly
    ],
)
def test_a_margin_as_a_factor(high, low, word):
    assert verdict(Ahead("bits_per_parameter", "a", "b", factor=1.1), {"a": high, "b": low}) == word


@pytest.mark.parametrize(
    ("near", "far", "word"),
    [
        ([0.02, 0.03, 0.03], [0.12, 0.08, 0.10], HOLDS),
        ([0.02, 0.03, 0.07], [0.12, 0.08, 0.10], DIRECTION),
        ([0.02, 0.03, 0.09], [0.12, 0.08, 0.10], NOT_SHOWN),
        ([0.2, 0.3, 0.2], [0.12, 0.08, 0.10], CONTRADICTED),
        ([0.02, 0.03, None], [0.12, 0.08, 0.10], NOT_SHOWN),  # a diverged run is infinitely far from the truth
    ],
)
def test_a_distance_to_the_truth_is_better_when_it_is_smaller(near, far, word):
    assert verdict(Ahead("kl", "a", "b", factor=2), {"a": near, "b": far}) == word


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ([0.04, 0.05, 0.06], [0.05, 0.04, 0.05], HOLDS),  # within the margin
        ([0.02, 0.02, 0.02], [0.05, 0.04, 0.05], HOLDS),  # closer to the truth is as good
        ([0.05, 0.05, 0.12], [0.05, 0.04, 0.05], NOT_SHOWN),
        ([0.08, 0.09, 0.12], [0.05, 0.04, 0.05], CONTRADICTED),
        ([0.04, 0.05, None], [0.05, 0.04, 0.05], NOT_SHOWN),
    ],
)
def test_as_good_as_another_when_smaller_is_better(one, other, word):
    rule = Matches("kl", "a", "b", margin=0.02)
    assert verdict(rule, {"a": one, "b": other}) == word
    assert "at most 0.02 above that of b" in rule.text(TASKS["kl"].made_task)


def test_the_rule_is_said_in_words():
    copy, lano = TASKS["accuracy"].made_task, TASKS["kl"].made_task
    text = Ahead("accuracy", "a", "b", by=0.1).text(copy)
    assert text.startswith("holds if the smallest accuracy of a is above the largest of b by 0.1")
    text = Ahead("kl", "a", "b", factor=2).text(lano)
    assert text.startswith("holds if the largest kl of a is below the smallest of b by a factor of 2")
    assert "at least 90% of all contests" in Ranks("accuracy", ("a", "b"), settled=True).text(copy)
    assert "fewer than 90%" in Ranks("accuracy", ("a", "b"), settled=False).text(copy)


@pytest.mark.parametrize(
    "rule",
    [
        Ahead("kl", "a", "b"),
        Beats("kl", "a", "b", at_least=0.9, at_most=0.1),
        Matches("kl", "a", "b"),
        Ranks("kl", ("a", "b"), settled=True),
        Deepens("a", "b"),
    ],
)
def test_a_rule_refuses_a_score_that_the_task_does_not_measure(rule):
    with pytest.raises(UnknownName, match="unknown score of Copy"):
        rule.text(TASKS["accuracy"].made_task)


def test_a_diverged_run_is_counted_where_its_score_is_no_number():
    scores = {"a": [0.2, None, 0.4], "b": [None, None, None]}
    assert (
        Ahead("kl", "a", "b")
        .judge(records(scores, "kl"))
        .reason.startswith("a 0.30 [0.20-0.40] and 1 diverged against b 3 diverged")
    )


def test_a_bar_to_clear_is_no_rule_for_a_distance():
    with pytest.raises(ValueError, match=r"smaller kl is better.*use Ahead"):
        Beats("kl", "a", "b", at_least=0.9, at_most=0.1).text(TASKS["kl"].made_task)


def test_an_order_is_settled_when_every_contest_ends_alike():
    clear = {"a": [0.9, 0.8, 0.9], "b": [0.5, 0.6, 0.5], "c": [0.1, 0.2, 0.1]}
    mixed = {"a": [0.9, 0.5, 0.7], "b": [0.6, 0.8, 0.5], "c": [0.1, 0.2, 0.1]}
    for scores, clearly in ((clear, True), (mixed, False)):
        for settled in (True, False):
            rule = Ranks("accuracy", ("a", "b", "c"), settled)
            assert verdict(rule, scores) == (HOLDS if settled == clearly else CONTRADICTED)
    reason = Ranks("accuracy", ("a", "b", "c"), True).judge(records(clear)).reason
    assert reason.startswith("27 of 27 contests end as a > b > c")
    reason = Ranks("kl", ("a", "b", "c"), True).judge(records(clear, "kl")).reason
    assert reason.startswith("27 of 27 contests end as c > b > a")  # the smallest distance is the best
