"""Every verdict, from hand-made scores."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import pytest
from claims.test_first_protocol import TASKS, records

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import VERDICTS, Ahead, Beats, Claim, Climbs, Level, Noise, Outcome, Rule, Stops, Verdict
from physlm_lite.claims.rules import CONTRADICTED, DIRECTION, HOLDS, NOT_RUN, NOT_SHOWN, hops_reached, weakest
from physlm_lite.training import Record

Make = Callable[..., Record]
HIGH, LOW = (0.8, 0.82, 0.81, 0.79, 0.83), (0.5, 0.52, 0.51, 0.49, 0.53)  # .30 apart; the interval is .28 to .32


def verdict(
    rule: Ahead | Beats | Level | Noise, ours: Sequence[float | None], theirs: Sequence[float | None]
) -> Verdict:
    return rule.judge(records({"a": ours, "b": theirs}, rule.metric))


@pytest.mark.parametrize(
    ("ours", "theirs", "by", "word"),
    [
        (HIGH, LOW, 0.0, HOLDS),
        (HIGH, LOW, 0.27, HOLDS),
        (HIGH, LOW, 0.299, DIRECTION),  # the difference is larger, but its interval reaches below
        (HIGH, LOW, 0.5, DIRECTION),
        (LOW, HIGH, 0.0, CONTRADICTED),
        ((0.9, 0.9, 0.9, 0.9, 0.3), LOW, 0.1, DIRECTION),  # one seed that never learnt: p = .05, a wide interval
        ((0.9, 0.9, 0.9, 0.3, 0.3), LOW, 0.0, NOT_SHOWN),
        (HIGH, HIGH, 0.0, NOT_SHOWN),
        ((0.9, 0.9, 0.9, 0.9, None), LOW, 0.0, NOT_SHOWN),
    ],
)
def test_a_margin_as_a_difference(ours, theirs, by, word):
    found = verdict(Ahead("accuracy", "a", "b", by=by), ours, theirs)
    assert found.word == word
    (comparison,) = found.comparisons
    assert (comparison.better, comparison.worse, comparison.metric) == ("a", "b", "accuracy")


@pytest.mark.parametrize(
    ("ours", "theirs", "factor", "word"),
    [
        ((0.05, 0.05, 0.06, 0.05, 0.05), (0.2, 0.22, 0.2, 0.21, 0.2), 3.0, HOLDS),
        ((0.05, 0.05, 0.06, 0.05, 0.05), (0.2, 0.22, 0.2, 0.21, 0.2), 4.0, DIRECTION),
        ((0.2, 0.22, 0.2, 0.21, 0.2), (0.05, 0.05, 0.06, 0.05, 0.05), 1.1, CONTRADICTED),
        ((0.05, 0.05, 0.06, 0.05, None), (0.2, 0.22, 0.2, 0.21, 0.2), 1.1, NOT_SHOWN),  # infinitely far from the truth
        ((0.0, 0.0, 0.0, 0.0, 0.0), (0.2, 0.22, 0.2, 0.21, 0.2), 1.1, DIRECTION),  # a ratio to nothing is no number
    ],
)
def test_a_margin_as_a_ratio_of_distances(ours, theirs, factor, word):
    assert verdict(Ahead("kl", "a", "b", factor=factor), ours, theirs).word == word


def test_a_ratio_of_scores_where_more_is_better():
    found = verdict(Ahead("bits_per_parameter", "a", "b", factor=1.4), HIGH, LOW)
    assert found.word == HOLDS and found.comparisons[0].ratio
    assert found.comparisons[0].difference == pytest.approx(0.81 / 0.51)
    assert verdict(Ahead("bits_per_parameter", "a", "b", factor=1.1), (-0.1, *HIGH[1:]), LOW).word == NOT_SHOWN


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        (HIGH, LOW, HOLDS),
        ((0.8, 0.82, 0.81, 0.74, 0.83), LOW, DIRECTION),  # one seed below the bar
        (HIGH, (0.5, 0.52, 0.51, 0.49, 0.61), DIRECTION),  # one of the other side above it
        (LOW, HIGH, CONTRADICTED),
        (HIGH, HIGH, NOT_SHOWN),
    ],
)
def test_bars_for_every_seed(ours, theirs, word):
    assert verdict(Beats("accuracy", "a", "b", at_least=0.75, at_most=0.55), ours, theirs).word == word


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        (HIGH, HIGH, HOLDS),
        ([s - 0.01 for s in HIGH], HIGH, HOLDS),
        ([s - 0.045 for s in HIGH], HIGH, DIRECTION),  # near, but perhaps further than the margin
        ((0.3, 0.9, 0.3, 0.9, 0.8), (0.8, 0.3, 0.9, 0.9, 0.3), DIRECTION),  # nothing was found, and so nothing shown
        ((0.3, 0.9, 0.3, 0.9, 0.9), (0.8, 0.3, 0.9, 0.3, 0.3), NOT_SHOWN),
        (HIGH, LOW, CONTRADICTED),
        (LOW, HIGH, CONTRADICTED),  # too bad to be level is no more level than too good
        ((0.8, 0.8, 0.8, 0.8, None), (None, 0.8, 0.8, 0.8, 0.8), HOLDS),
    ],
)
def test_level_is_shown_by_an_interval_inside_a_margin(ours, theirs, word):
    if None in ours:  # of an accuracy, the worst there is is 0: nothing of that kind is level with anything
        word = DIRECTION
    assert verdict(Level("accuracy", "a", "b", margin=0.05), ours, theirs).word == word


def test_level_is_not_shown_where_a_distance_is_infinite():
    assert verdict(Level("kl", "a", "b", margin=0.05), (0.1, 0.1, 0.1, 0.1, None), (0.1,) * 5).word == NOT_SHOWN


# -- steps to a rung ---------------------------------------------------------------------------------------------------


def climb(make: Make, *rungs: int | None, steps: int = 10) -> Record:
    """A run that learns k hops at the k-th of these evaluations (None: never)."""
    record = make()
    curve = [
        {"step": 100 * i, "seconds": float(i), "tokens": i, "loss": 1.0, "accuracy": 0.0}
        | {"accuracy_k": {str(k): 0.9 if at is not None and i >= at else 0.2 for k, at in enumerate(rungs, 1)}}
        for i in range(1, steps + 1)
    ]
    return dataclasses.replace(record, curve=curve)


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ((2, 2, 3, 2, 2), (None, None, 9, None, None), HOLDS),
        ((2, 2, 3, 2, 2), (4, 5, 4, 6, 4), HOLDS),
        ((2, 2, 3, 2, 2), (4, 3, 3, 6, 3), DIRECTION),  # sooner, but not twice as soon
        ((2, 2, None, 2, None), (None,) * 5, NOT_SHOWN),  # p = .083
        ((2, None, None, None, None), (None,) * 5, NOT_SHOWN),
        ((None,) * 5, (None,) * 5, NOT_SHOWN),
        ((8, 9, 8, None, 9), (2, 2, 3, 2, 2), CONTRADICTED),
    ],
)
def test_depth_by_steps_to_a_rung(make: Make, ours, theirs, word):
    rule = Climbs("canon", "plain", hops=2)
    sides = {"canon": [climb(make, 1, at) for at in ours], "plain": [climb(make, 1, at) for at in theirs]}
    found = rule.judge(sides)
    assert found.word == word
    assert ("never" in found.reason) == (None in (*ours, *theirs))
    early = {side: [climb(make, at, 1) for at in ats] for side, ats in (("canon", ours), ("plain", theirs))}
    assert rule.judge(early).word == word  # every rung below must be reached, too


def test_steps_of_a_run_that_diverged_or_never_got_there_are_infinite(make: Make) -> None:
    rule = Climbs("canon", "plain", hops=1)
    assert rule.steps(climb(make, 3)) == 300
    assert rule.steps(climb(make, None)) == math.inf
    assert rule.steps(dataclasses.replace(climb(make, 3), status="diverged")) == math.inf
    assert rule.merit(climb(make, 3)) > rule.merit(climb(make, 4)) > rule.merit(climb(make, None))


# -- noise -------------------------------------------------------------------------------------------------------------

TEN = [0.50 + 0.01 * i for i in range(10)]


@pytest.mark.parametrize(
    ("sides", "noisy", "settled"),
    [
        ({"a": TEN, "b": [s + 0.005 for s in TEN]}, HOLDS, CONTRADICTED),
        ({"a": TEN, "b": [s + 0.3 for s in TEN]}, CONTRADICTED, HOLDS),
        ({"a": TEN, "b": [s + 0.06 for s in TEN]}, NOT_SHOWN, NOT_SHOWN),
        ({"a": TEN[:5], "b": [s + 0.025 for s in TEN[:5]]}, NOT_SHOWN, NOT_SHOWN),  # few seeds show little
        ({"a": TEN, "b": [s + 0.005 for s in TEN], "c": [s + 0.3 for s in TEN]}, CONTRADICTED, CONTRADICTED),
    ],
)
def test_whether_the_seed_decides(sides: Mapping[str, Sequence[float]], noisy: str, settled: str) -> None:
    for word, is_settled in ((noisy, False), (settled, True)):
        rule = Noise("accuracy", tuple(sides), is_settled)
        found = rule.judge(records(sides))
        assert found.word == word
        assert len(found.comparisons) == len(sides) * (len(sides) - 1) // 2


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_rule_is_said_in_words():
    copy, lano = TASKS["accuracy"].made_task, TASKS["kl"].made_task
    assert (
        Ahead("accuracy", "a", "b", by=0.1)
        .text(copy)
        .startswith("holds if the mean accuracy of a is above that of b by 0.1")
    )
    assert (
        Ahead("kl", "a", "b", factor=2)
        .text(lano)
        .startswith("holds if the mean kl of a is below that of b by a factor of 2")
    )
    assert "within 0.05 either way" in Level("accuracy", "a", "b").text(copy)
    assert "would win less than 90%" in Noise("accuracy", ("a", "b")).text(copy)
    assert "would win more than 90%" in Noise("accuracy", ("a", "b"), settled=True).text(copy)


@pytest.mark.parametrize(
    "rule",
    [
        Ahead("kl", "a", "b"),
        Beats("kl", "a", "b", at_least=0.9, at_most=0.1),
        Level("kl", "a", "b"),
        Noise("kl", ("a", "b")),
        Climbs("a", "b", 2),
        Stops("kl", "a", "accuracy"),
    ],
)
def test_a_rule_refuses_a_score_that_the_task_does_not_measure(rule: Rule) -> None:
    with pytest.raises(UnknownName, match="unknown score of Copy"):
        rule.text(TASKS["accuracy"].made_task)


def test_a_bar_to_clear_is_no_rule_for_a_distance():
    with pytest.raises(ValueError, match=r"smaller kl is better.*use Ahead"):
        Beats("kl", "a", "b", at_least=0.9, at_most=0.1).text(TASKS["kl"].made_task)
    with pytest.raises(ValueError, match=r"smaller kl is better.*use Ahead"):
        Stops("accuracy", "a", "kl").text(TASKS["kl"].made_task)


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


def test_fewer_than_all_seeds_are_not_judged(small_claim: Claim, make: Make) -> None:
    good, bad = make(accuracy=1.0), make(accuracy=0.0)
    assert outcome(small_claim, "toy", [good] * 5, [bad] * 5).verdict.word == HOLDS
    for counts in ((4, 5), (5, 4), (0, 5), (0, 0)):
        found = outcome(small_claim, "toy", [good] * counts[0], [bad] * counts[1]).verdict
        assert found.word == NOT_RUN
        assert f"needs 5 seeds of each side (recorded: canon {counts[0]}, plain {counts[1]})" in found.reason


def test_at_equal_seconds_the_slower_side_has_a_shorter_schedule(small_claim: Claim, make: Make) -> None:
    experiment = dataclasses.replace(small_claim.experiment("toy"), step_times={"plain": 1.0, "canon": 2.0})
    run = experiment.run_in_time("canon", 1e-3, 200)
    assert (run.training.steps, experiment.run_in_time("plain", 1e-3, 200).training.steps) == (2, 4)
    assert run.hash != experiment.run("canon", 1e-3, 200).hash
    good, bad, worse = make(accuracy=1.0), make(accuracy=0.4), make(accuracy=0.3)
    whole = Outcome(
        small_claim, "toy", {}, {"canon": [good] * 5, "plain": [bad] * 5}, {"canon": [worse] * 5}, {}, experiment
    )
    assert (whole.verdict.word, whole.verdict_in_time.word) == (HOLDS, CONTRADICTED)
    assert whole.complete and whole.slower == ["canon"]
    short = dataclasses.replace(whole, in_time={"canon": [worse] * 4})
    assert short.verdict_in_time.word == NOT_RUN and not short.complete
    assert "not measured" in outcome(small_claim, "toy", [good] * 5, [bad] * 5).verdict_in_time.reason


def test_steps_to_a_rung_at_equal_seconds_are_turned_into_time(small_claim: Claim, make: Make) -> None:
    depo = {"task": "depo", "task_options": {"N": 9, "K": 4, "V": 12, "longest": 1, "every_hop": True}}
    rule = Climbs("canon", "plain", hops=1, factor=2.0)
    experiment = dataclasses.replace(
        small_claim.experiment("toy"),
        **depo,
        rules=(rule,),
        select="accuracy_k.1",
        step_times={"plain": 1.0, "canon": 1.5},
    )
    sides = {"canon": [climb(make, 2)] * 5, "plain": [climb(make, 4)] * 5}
    found = Outcome(small_claim, "toy", {}, sides, tried=experiment)
    assert (found.verdict.word, found.verdict_in_time.word) == (HOLDS, DIRECTION)  # 200 against 400, 300 against 400
    assert found.slower == [] and found.complete


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
