"""Learning rates: one grid for all sides, extended until the best rate lies inside it; borrowed, and marked so, if need be."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import Ahead, Beats, Claim, Climbs, Experiment, recorded, replicate
from physlm_lite.claims.replicate import needed, planned, rate_for
from physlm_lite.tasks import Text
from physlm_lite.training import Record, Store, Training

Make = Callable[..., Record]
LOW, MIDDLE, HIGH = 1e-3, 2e-3, 4e-3


def fill(
    store: Store,
    make: Make,
    experiment: Experiment,
    side: str,
    scores: dict[float, tuple[float, ...]],
    **options: float,
) -> None:
    for rate, accuracies in scores.items():
        for seed, accuracy in zip(experiment.tuning_seeds, accuracies, strict=False):
            store.add(make(experiment.run(side, rate, seed), accuracy, **options))


def inside(best: float) -> dict[float, tuple[float, float]]:
    """Scores of a grid from 1e-3 to 4e-3 (more, if need be) whose best rate lies inside."""
    rates = (best / 2, *sorted({LOW, MIDDLE, HIGH, best}), 2 * best)
    return {rate: (0.5, 0.5) if rate == best else (0.2, 0.3) for rate in rates}


def test_the_grid_is_the_same_for_every_side(experiment: Experiment) -> None:
    walked: dict[str, list[tuple[float, int]]] = {}
    for side, run in experiment.walk():
        walked.setdefault(side, []).append((run.training.learning_rate, run.seed))
    assert walked["plain"] == walked["canon"] == [(rate, s) for rate in (LOW, MIDDLE, HIGH) for s in (100, 101)]
    assert len({run.hash for _, run in experiment.walk()}) == 12
    assert not set(experiment.tuning_seeds) & set(experiment.seeds)


def test_a_grid_with_gaps_is_filled_in(experiment: Experiment) -> None:
    assert dataclasses.replace(experiment, grid=(8e-3, 1e-3)).rates == (1e-3, 2e-3, 4e-3, 8e-3)
    assert dataclasses.replace(experiment, grid=(5e-4, 1e-3, 2e-3, 5e-3)).rates == (5e-4, 1e-3, 2e-3, 5e-3)


def test_the_best_rate_is_the_best_mean_not_the_best_run(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.1, 0.2), MIDDLE: (0.5, 0.5), HIGH: (1.0, -0.1)})
    assert experiment.best_rate("plain", store) == MIDDLE
    assert experiment.tune("plain", store).place == "inside"


@pytest.mark.parametrize(("end", "beyond"), [(LOW, LOW / 2), (HIGH, 2 * HIGH)])
def test_a_winner_at_an_end_of_the_grid_asks_for_the_next_rate(
    experiment: Experiment, make: Make, end: float, beyond: float
) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.1, 0.1), MIDDLE: (0.2, 0.2), HIGH: (0.1, 0.1)} | {end: (0.9, 0.9)})
    found = experiment.tune("plain", store, everything=True)
    assert found.rate is None
    assert [(run.training.learning_rate, run.seed) for run in found.missing] == [(beyond, 100), (beyond, 101)]
    fill(store, make, experiment, "plain", {beyond: (0.8, 0.8)})
    assert (experiment.tune("plain", store).rate, experiment.tune("plain", store).place) == (end, "inside")


def test_what_diverges_beyond_the_winner_ends_the_grid(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.1, 0.1), MIDDLE: (0.2, 0.2), HIGH: (0.9, 0.9)})
    fill(store, make, experiment, "plain", {2 * HIGH: (1.0, 1.0)}, status="diverged")
    assert (experiment.tune("plain", store).rate, experiment.tune("plain", store).place) == (HIGH, "inside")


def test_a_grid_is_not_extended_for_ever(experiment: Experiment, make: Make) -> None:
    store, rate = Store(), LOW
    for i in range(40):
        fill(store, make, experiment, "plain", {rate: (0.1 + 0.01 * i,) * 2})
        rate *= 2
    found = experiment.tune("plain", store)
    assert (found.rate, found.place) == (HIGH * 2**6, "at an end")


def test_ties_go_to_the_lower_loss(experiment: Experiment, make: Make) -> None:
    for lower in (LOW, MIDDLE):
        store = Store()
        for rate in (LOW / 2, LOW, MIDDLE, HIGH):
            fill(store, make, experiment, "plain", {rate: (0.0, 0.0)}, loss=1.0 if rate == lower else 1.1)
        assert experiment.best_rate("plain", store) == lower


def test_a_diverged_run_spoils_its_rate(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.3, 0.3), MIDDLE: (0.5, 0.5), HIGH: (0.9,)})
    store.add(make(experiment.run("plain", HIGH, 101), 0.9, status="diverged"))
    assert experiment.best_rate("plain", store) == MIDDLE  # 0.5 against (0.9 + 0) / 2


def test_an_incomplete_grid_has_no_best_rate(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.5, 0.5), MIDDLE: (0.6, 0.6), HIGH: (0.1,)})
    store.add(make(experiment.run("plain", HIGH, 101), 1.0, status="stopped"))
    assert experiment.best_rate("plain", store) is None
    fill(store, make, experiment, "plain", {HIGH: (0.1, 0.1)})
    assert experiment.best_rate("plain", store) == MIDDLE


def test_the_rate_is_chosen_by_what_is_judged(experiment: Experiment, make: Make) -> None:
    """Whatever is selected to be looked at beside it: here the steps to one hop, and there the accuracy."""
    task = {"task": "depo", "task_options": {"N": 9, "K": 4, "V": 12, "longest": 1, "every_hop": True}}
    climbs = dataclasses.replace(experiment, **task, rules=(Climbs("canon", "plain", 1),))
    ahead = dataclasses.replace(experiment, **task, rules=(Ahead("accuracy", "canon", "plain"),))
    store = Store()
    for rate, hop, whole in ((LOW, 0.2, 0.2), (MIDDLE, 0.9, 0.1), (HIGH, 0.2, 0.9), (2 * HIGH, 0.2, 0.3)):
        for seed in (100, 101):
            store.add(make(climbs.run("plain", rate, seed), whole, accuracy_k={"1": hop}))
    assert climbs.best_rate("plain", store) == MIDDLE
    assert ahead.best_rate("plain", store) == HIGH


def test_the_smaller_distance_is_the_better_one(experiment: Experiment, make: Make) -> None:
    lano = dataclasses.replace(
        experiment, task="lano", task_options={"root": 14}, rules=(Ahead("kl", "canon", "plain"),), select="kl"
    )
    store = Store()
    for rate, kl in ((LOW, 0.3), (MIDDLE, 0.1), (HIGH, 0.2)):
        for seed in (100, 101):
            record = make(lano.run("plain", rate, seed), 0.5)
            store.add(dataclasses.replace(record, curve=[{**point, "kl": kl} for point in record.curve]))
    assert lano.best_rate("plain", store) == MIDDLE
    fallen = make(lano.run("plain", MIDDLE, 101), status="diverged")
    store.add(fallen)  # a diverged run spoils its rate: it is infinitely far from the truth
    assert fallen.score("kl") == float("inf")
    assert lano.tune("plain", store, everything=True).missing[0].training.learning_rate == 2 * HIGH


def rate(claim: Claim, scale: str, side: str, store: Store) -> float | None:
    found = rate_for(claim, scale, side, store)
    return None if found is None else found[0]


def test_a_rate_is_borrowed_from_the_next_smaller_scale_and_that_is_said(small_claim: Claim, make: Make) -> None:
    store, toy, laptop = Store(), small_claim.experiment("toy"), small_claim.experiment("laptop")
    assert rate_for(small_claim, "laptop", "plain", store) is None
    fill(store, make, toy, "plain", inside(LOW))
    assert rate_for(small_claim, "toy", "plain", store) == (LOW, "tuned")
    assert rate_for(small_claim, "laptop", "plain", store) == (LOW, "borrowed (4 steps)")
    assert rate_for(small_claim, "laptop", "plain", store, walk=True) is None
    assert rate_for(small_claim, "laptop", "canon", store) is None
    fill(store, make, laptop, "plain", inside(HIGH))
    assert rate_for(small_claim, "laptop", "plain", store) == (HIGH, "tuned")
    assert rate(small_claim, "toy", "plain", store) == LOW  # never from a larger one


def test_a_rate_of_the_first_protocol_is_borrowed_last(small_claim: Claim, make: Make) -> None:
    store, before = Store(), small_claim.at_first["toy"]
    for value, score in ((LOW, 0.9), (MIDDLE, 0.2), (HIGH, 0.1)):
        for seed in before.seeds:
            store.add(dataclasses.replace(make(before.run("plain", value, seed), score), format=1))
    assert rate_for(small_claim, "laptop", "plain", store) == (LOW, "borrowed (first protocol)")
    fill(store, make, small_claim.experiment("toy"), "plain", inside(MIDDLE))
    assert rate_for(small_claim, "laptop", "plain", store) == (MIDDLE, "borrowed (4 steps)")


def test_a_rate_of_the_first_protocol_on_another_task_is_not_borrowed(small_claim: Claim, make: Make) -> None:
    before = small_claim.at_first["toy"]
    store, longer = Store(), dataclasses.replace(small_claim.experiment("toy"), task_options={"n": 4})
    for value, score in ((LOW, 0.9), (MIDDLE, 0.2), (HIGH, 0.1)):
        for seed in before.seeds:
            for side in before.sides:
                store.add(dataclasses.replace(make(before.run(side, value, seed), score), format=1))
    other = dataclasses.replace(small_claim, experiments={"toy": longer}, first={"toy": before})
    assert rate(small_claim, "toy", "plain", store) == LOW and rate(other, "toy", "plain", store) is None
    shown = recorded(other, "toy", store)
    assert (shown.protocol, shown.rates) == (1, dict.fromkeys(before.sides, LOW))


def test_smoke_takes_the_middle_and_lends_nothing(small_claim: Claim, make: Make) -> None:
    smoke = dataclasses.replace(small_claim.experiment("smoke"), grid=(4e-3, 1e-3, 2e-3))
    other = dataclasses.replace(small_claim, experiments={**small_claim.experiments, "smoke": smoke})
    store = Store()
    fill(store, make, smoke, "plain", inside(LOW))
    assert rate(other, "smoke", "plain", store) == 2e-3
    assert rate(other, "toy", "plain", Store(store.folders[0])) is None


def test_what_another_experiment_is_tuned_on_lends_its_rate(small_claim: Claim, make: Make) -> None:
    toy = small_claim.experiment("toy")
    laptop = dataclasses.replace(small_claim.experiment("laptop"), tuned_on=toy)
    other = dataclasses.replace(small_claim, experiments={"laptop": laptop})
    store = Store()
    fill(store, make, toy, "plain", inside(LOW))
    assert rate_for(other, "laptop", "plain", store) == (LOW, "borrowed (4 steps)")
    fill(store, make, laptop, "plain", inside(HIGH))
    assert rate_for(other, "laptop", "plain", store) == (HIGH, "tuned")


def test_what_is_planned_is_what_is_missing(small_claim: Claim, make: Make) -> None:
    store, toy = Store(), small_claim.experiment("toy")
    grid = {run.hash for _, run in toy.walk()}
    assert {run.hash for _, run in needed(small_claim, "toy", store)} == grid
    steps = [run.training.steps for run in planned(small_claim, "toy", store)]
    assert steps == [4] * (12 + 10)  # the grid, and five seeds a side at a rate that is not known yet
    fill(store, make, toy, "plain", inside(MIDDLE))
    assert {run.hash for _, run in needed(small_claim, "toy", store)} == {r.hash for s, r in toy.walk() if s == "canon"}
    fill(store, make, toy, "canon", inside(LOW))
    jobs = needed(small_claim, "toy", store)
    assert {(side, run.training.learning_rate) for side, run in jobs} == {("plain", MIDDLE), ("canon", LOW)}
    assert sorted({run.seed for _, run in jobs}) == [200, 201, 202, 203, 204] and len(jobs) == 10


def test_at_equal_seconds_the_slower_side_is_needed_once_more(small_claim: Claim, make: Make) -> None:
    timed = dataclasses.replace(small_claim.experiment("toy"), step_times={"plain": 1.0, "canon": 2.0})
    other, store = dataclasses.replace(small_claim, experiments={"toy": timed}), Store()
    for side in ("plain", "canon"):
        fill(store, make, timed, side, inside(MIDDLE))
    jobs = needed(other, "toy", store)
    assert [run.training.steps for _, run in jobs].count(2) == 5
    assert {side for side, run in jobs if run.training.steps == 2} == {"canon"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"select": "acuracy"}, "unknown score of Copy 'acuracy'; did you mean 'accuracy'"),
        ({"select": "kl"}, "unknown score of Copy 'kl'; "),
        ({"shown": ("accuracy", "accuracy_k.1")}, "unknown score of Copy 'accuracy_k.1'; did you mean 'accuracy'"),
        ({"rules": (Ahead("accuracy_n.4", "canon", "plain"),)}, "unknown score of Copy 'accuracy_n.4'"),
        ({"task": "depo", "task_options": {"K": 4}, "select": "accuracy_k.3"}, "did you mean 'accuracy_k.4'"),
    ],
)
def test_scores_are_checked_when_the_experiment_is_written(
    experiment: Experiment, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnknownName, match=re.escape(said)):
        dataclasses.replace(experiment, **changes)


def test_names_of_sides_and_scales_are_checked(experiment: Experiment, small_claim: Claim) -> None:
    with pytest.raises(UnknownName, match="did you mean 'canon'"):
        experiment.run("canonn", LOW, 0)
    with pytest.raises(UnknownName, match="did you mean 'plain'"):
        dataclasses.replace(experiment, rules=(Beats("accuracy", "canon", "plane", at_least=0.9, at_most=0.5),))
    with pytest.raises(UnknownName, match="unknown scale of T1 'labtop'; did you mean 'laptop'"):
        small_claim.experiment("labtop")


def test_another_text_than_the_one_asked_for_is_another_run_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "text.txt").write_text("\n\n".join(f"paragraph {i} of a short text\n" for i in range(300)))
    here = Experiment(
        task="text",
        task_options={"corpus": str(tmp_path / "text.txt"), "context": 32},
        model={"width": 8, "layers": 1, "heads": 1},
        training=Training(steps=2, batch=2, warmup=0, evaluations=1, evaluation_rows=4),
        sides={"plain": {}, "canon": {"canon": "ABCD"}},
        rules=(Ahead("accuracy", "canon", "plain"),),
    )
    task = here.made_task
    assert isinstance(task, Text) and here.at_hand is here
    same, other = (
        dataclasses.replace(here, task_options={**here.task_options, "corpus_hash": name}, tuned_on=None)
        for name in (task.fingerprint, "0123abcd")
    )
    assert same.at_hand is same and same.run("plain", LOW, 0).hash == here.run("plain", LOW, 0).hash
    tuned = dataclasses.replace(other, tuned_on=other)
    assert tuned.at_hand == dataclasses.replace(here, tuned_on=here)
    store = Store(tmp_path / "runs")
    claim = Claim("T2", "Text", "no paper", "It reads.", (), {"toy": other})
    outcome = replicate(claim, "smoke", store=store, seeds=(200,))
    assert "T2 asks for a text that is not the one here" in caplog.text
    assert [r.run for records in outcome.records.values() for r in records] == [
        here.smoke.run(side, outcome.rates[side], 200) for side in here.sides
    ]
    assert not any(recorded(claim, "smoke", store).records.values())
