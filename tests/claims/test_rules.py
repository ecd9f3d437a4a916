"""Every verdict, from hand-made scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from physlm_lite.claims import VERDICTS, Beats, Claim, Deepens, Matches, Outcome, Verdict
from physlm_lite.claims.rules import CONTRADICTED, DIRECTION, HOLDS, NOT_RUN, NOT_SHOWN, hops_reached, weakest
from physlm_lite.training import Record

Make = Callable[..., Record]


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


@pytest.mark.parametrize(
    ("scores", "hops"),
    [
        ({"1": 0.75, "2": 0.75, "3": 0.74}, 2),
        ({"1": 0.7, "2": 1.0, "3": 1.0}, 0),  # a gap ends the ladder
        ({"1": 1.0, "2": 0.1, "3": 1.0}, 1),
        ({"1": 1.0, "2": 1.0, "4": 1.0, "8": 0.0}, 4),  # only powers of two are asked
        ({"10": 0.0, "2": 1.0, "1": 1.0}, 2),
        ({}, 0),
    ],
)  # as numbers: 10 comes after 2
def test_hops_reached(make: Make, scores: dict[str, float], hops: int) -> None:
    assert hops_reached(make(accuracy_k=scores), 0.75) == hops
    assert hops_reached(make(accuracy_k=scores, status="diverged"), 0.75) == 0


def test_a_claim_is_as_good_as_its_weakest_rule() -> None:
    order = (NOT_RUN, CONTRADICTED, NOT_SHOWN, DIRECTION, HOLDS)
    for weak, strong in itertools.combinations(order, 2):
        for pair in ((weak, strong), (strong, weak)):
            verdict = weakest([Verdict(pair[0], "first"), Verdict(pair[1], "second")])
            assert (verdict.word, verdict.reason) == (weak, "first; second")
    assert set(order) == set(VERDICTS)


# -- outcomes ----------------------------------------------------------------------------------------------------------


def outcome(claim: Claim, scale: str, canon: Sequence[Record], plain: Sequence[Record]) -> Outcome:
    return Outcome(claim, scale, {"canon": 1e-3, "plain": 1e-3}, {"canon": canon, "plain": plain})


def test_fewer_than_three_seeds_are_not_judged(small_claim: Claim, make: Make) -> None:
    good, bad = make(accuracy=1.0), make(accuracy=0.0)
    assert outcome(small_claim, "toy", [good] * 3, [bad] * 3).verdict.word == HOLDS
    for counts in ((2, 3), (3, 2), (0, 3), (0, 0)):
        verdict = outcome(small_claim, "toy", [good] * counts[0], [bad] * counts[1]).verdict
        assert verdict.word == NOT_RUN
        assert f"needs 3 seeds of each side (recorded: canon {counts[0]}, plain {counts[1]})" in verdict.reason


def test_smoke_runs_are_not_judged(small_claim: Claim, make: Make) -> None:
    assert outcome(small_claim, "smoke", [make(accuracy=1.0)] * 3, [make()] * 3).verdict.word == NOT_RUN


def test_at_equal_seconds_the_slower_side_is_cut(small_claim: Claim, make: Make) -> None:
    fast, slow = [make(accuracy=0.4, seconds=s) for s in (9.0, 11.0)], [make(accuracy=1.0, seconds=15.0)] * 2
    scores = outcome(small_claim, "toy", slow, fast).equal_seconds("accuracy")
    assert scores["canon"] == [0.5, 0.5]  # at 7.5 s, half way; 15 s is beyond the 10 s of the other side
    assert scores["plain"] == [0.4, 0.2]  # the mean of the side is the limit, and the 11 s run is cut too
    crawling = [make(accuracy=1.0, seconds=1000.0)]
    assert outcome(small_claim, "toy", crawling, fast).equal_seconds("accuracy")["canon"] == [0.5]  # its first look


def test_at_equal_seconds_a_diverged_run_scores_nothing_and_sets_no_limit(small_claim: Claim, make: Make) -> None:
    fell = make(accuracy=1.0, seconds=0.1, status="diverged")
    at_once = Record(fell.run, "diverged", [], 0.01, 0.0, 100, 50.0)
    scores = outcome(small_claim, "toy", [make(accuracy=1.0), fell], [make(accuracy=0.4), at_once]).equal_seconds(
        "accuracy"
    )
    assert scores == {"canon": [1.0, 0.0], "plain": [0.4, 0.0]}
    assert outcome(small_claim, "toy", [at_once], [at_once]).equal_seconds("accuracy") == {
        "canon": [0.0],
        "plain": [0.0],
    }
    assert outcome(small_claim, "toy", [], []).equal_seconds("accuracy") == {"canon": [], "plain": []}
