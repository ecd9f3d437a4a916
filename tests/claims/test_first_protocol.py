"""The rules of the first protocol, on scores made by hand, and the experiments as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import CLAIMS, SHIPPED, Claim, recorded, rules
from physlm_lite.claims.first_protocol import Ahead, Beats, Deepens, Matches, Ranks, as_it_was
from physlm_lite.claims.rules import CONTRADICTED, DIRECTION, HOLDS, NOT_SHOWN
from physlm_lite.training import Record, Run, Store, Training

Make = Callable[..., Record]

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


@pytest.mark.parametrize(
    ("canon", "plain", "word"),
    [
        ((0.9, 1.0, 0.95), (0.5, 0.0, 0.1), HOLDS),  # the thresholds themselves are enough
        ((0.9, 1.0, 0.89), (0.5, 0.0, 0.1), DIRECTION),  # one seed too low
        ((0.9, 1.0, 1.0), (0.51, 0.0, 0.1), DIRECTION),  # one seed of the other side too high
        ((0.6, 0.7, 0.8), (0.6, 0.1, 0.1), NOT_SHOWN),  # they touch
        ((0.1, 0.9, 0.8), (0.2, 0.3, 0.1), NOT_SHOWN),  # they overlap, although the means are far apart
        ((0.1, 0.2, 0.1), (0.3, 0.9, 0.4), CONTRADICTED),
        ((0.3, 0.2, 0.1), (0.3, 0.9, 0.4), NOT_SHOWN),
    ],
)
def test_beats(make: Make, canon: Sequence[float], plain: Sequence[float], word: str) -> None:
    rule = Beats("accuracy", "canon", "plain", at_least=0.9, at_most=0.5)
    verdict = rule.judge({"canon": [make(accuracy=a) for a in canon], "plain": [make(accuracy=a) for a in plain]})
    assert verdict.word == word
    assert f"{sum(canon) / 3:.2f} [{min(canon):.2f}-{max(canon):.2f}]" in verdict.reason


def depth(make: Make, hops: int) -> Record:
    return make(accuracy_k={str(k): 1.0 if k <= hops else 0.2 for k in (1, 2, 3, 4)})


@pytest.mark.parametrize(
    ("canon", "plain", "word"),
    [
        ((2, 2, 3), (1, 1, 0), HOLDS),  # 0 counts as 1
        ((2, 2, 2), (0, 0, 0), HOLDS),
        ((1, 1, 1), (0, 0, 0), DIRECTION),  # 1 is not twice "1"
        ((4, 4, 4), (2, 2, 2), HOLDS),
        ((4, 3, 4), (2, 2, 2), DIRECTION),
        ((3, 4, 4), (1, 1, 2), DIRECTION),
        ((4, 4, 2), (2, 1, 1), NOT_SHOWN),
        ((1, 1, 1), (1, 1, 1), NOT_SHOWN),
        ((0, 0, 1), (2, 2, 3), CONTRADICTED),
    ],
)
def test_deepens(make: Make, canon: Sequence[int], plain: Sequence[int], word: str) -> None:
    verdict = Deepens("canon", "plain").judge(
        {"canon": [depth(make, k) for k in canon], "plain": [depth(make, k) for k in plain]}
    )
    assert verdict.word == word
    assert f"canon answers {', '.join(map(str, canon))} hops, plain {', '.join(map(str, plain))}" in verdict.reason


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ((0.9, 0.9, 0.9), (0.94, 0.94, 0.94), HOLDS),
        ((1.0, 1.0, 1.0), (0.2, 0.2, 0.2), HOLDS),  # better is as good
        ((0.9, 0.9, 0.5), (0.9, 0.9, 0.9), NOT_SHOWN),
        ((0.5, 0.6, 0.84), (0.9, 0.9, 1.0), CONTRADICTED),
        ((0.5, 0.6, 0.86), (0.9, 0.9, 1.0), NOT_SHOWN),
    ],
)  # one seed within the margin of one
def test_matches(make: Make, one: Sequence[float], other: Sequence[float], word: str) -> None:
    rule = Matches("accuracy", "canon", "plain", margin=0.05)
    verdict = rule.judge({"canon": [make(accuracy=a) for a in one], "plain": [make(accuracy=a) for a in other]})
    assert verdict.word == word


def test_a_diverged_run_counts_as_nothing_learnt(make: Make) -> None:
    good, bad = [make(accuracy=1.0)] * 3, [make(accuracy=0.1)] * 3
    broken = [*good[:2], make(accuracy=1.0, status="diverged")]
    rule = Beats("accuracy", "canon", "plain", at_least=0.9, at_most=0.5)
    assert rule.judge({"canon": broken, "plain": bad}).word == NOT_SHOWN
    deep = [*[depth(make, 4)] * 2, make(accuracy_k={"1": 1.0, "2": 1.0}, status="diverged")]
    assert Deepens("canon", "plain").judge({"canon": deep, "plain": [depth(make, 1)] * 3}).word == NOT_SHOWN


# -- experiments -------------------------------------------------------------------------------------------------------


def test_an_experiment_as_it_was(small_claim: Claim) -> None:
    before = as_it_was(small_claim.experiment("toy"))
    assert before.seeds == before.tuning_seeds == (0, 1, 2) and before.format == 1
    assert isinstance(before.rules[0], Beats) and not isinstance(before.rules[0], rules.Beats)
    assert before.rates == before.grid  # the grid is walked as it is, and not extended
    run = before.run("plain", 1e-3, 0)
    assert run.name_in(1) != run.hash == run.name_in(2)


def test_what_it_found_is_shown_until_the_fresh_seeds_are_in() -> None:
    outcome = recorded(CLAIMS["R2-depth"], "laptop", Store(SHIPPED))
    assert outcome.protocol in (1, 2)
    if outcome.protocol == 1:
        assert {len(records) for records in outcome.records.values()} == {3}
        assert {record.format for records in outcome.records.values() for record in records} == {1}
        assert outcome.to_dict()["protocol"] == 1
