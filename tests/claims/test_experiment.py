"""Learning rates: one grid for all sides, the best by the mean over seeds, borrowed from a smaller scale if need be."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import Ahead, Beats, Claim, Experiment, recorded, replicate
from physlm_lite.claims.replicate import planned, rate_for
from physlm_lite.tasks import Text
from physlm_lite.training import Record, Store, Training

Make = Callable[..., Record]
LOW, HIGH = 1e-3, 4e-3


def fill(
    store: Store,
    make: Make,
    experiment: Experiment,
    side: str,
    scores: dict[float, tuple[float, ...]],
    **options: float,
) -> None:
    for rate, accuracies in scores.items():
        for seed, accuracy in enumerate(accuracies):
            store.add(make(experiment.run(side, rate, seed), accuracy, **options))


def test_the_grid_is_the_same_for_every_side(experiment: Experiment) -> None:
    walked: dict[str, list[tuple[float, int]]] = {}
    for side, run in experiment.walk():
        walked.setdefault(side, []).append((run.training.learning_rate, run.seed))
    assert walked["plain"] == walked["canon"] == [(rate, seed) for rate in (LOW, HIGH) for seed in (0, 1, 2)]
    assert len({run.hash for _, run in experiment.walk()}) == 12


def test_the_best_rate_is_the_best_mean_not_the_best_run(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (1.0, 0.1, 0.1)})
    fill(store, make, experiment, "canon", {LOW: (0.5, 0.5, 0.5), HIGH: (1.0, 0.5, 0.1)})
    assert experiment.best_rate("plain", store) == LOW
    assert experiment.best_rate("canon", store) == HIGH


def test_ties_go_to_the_lower_loss(experiment: Experiment, make: Make) -> None:
    for lower in (LOW, HIGH):
        store = Store()
        for rate in (LOW, HIGH):
            fill(store, make, experiment, "plain", {rate: (0.0, 0.0, 0.0)}, loss=1.0 if rate == lower else 1.1)
        assert experiment.best_rate("plain", store) == lower


def test_a_diverged_run_spoils_its_rate(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (0.7, 0.7)})
    store.add(make(experiment.run("plain", HIGH, 2), 0.9, status="diverged"))
    assert experiment.best_rate("plain", store) == LOW  # 0.5 against (0.7 + 0.7 + 0) / 3


def test_an_incomplete_grid_has_no_best_rate(experiment: Experiment, make: Make) -> None:
    store = Store()
    fill(store, make, experiment, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (1.0, 1.0)})
    store.add(make(experiment.run("plain", HIGH, 2), 1.0, status="stopped"))
    assert experiment.best_rate("plain", store) is None
    fill(store, make, experiment, "plain", {HIGH: (1.0, 1.0, 1.0)})
    assert experiment.best_rate("plain", store) == HIGH


def test_select_chooses_the_score(experiment: Experiment, make: Make) -> None:
    task = {"N": 5, "K": 2, "V": 8, "longest": 1}
    store, whole = Store(), dataclasses.replace(experiment, task="depo", task_options=task)
    one_hop = dataclasses.replace(whole, select="accuracy_k.1")
    for rate, hop in ((LOW, 0.9), (HIGH, 0.2)):
        for seed in range(3):
            store.add(make(whole.run("plain", rate, seed), 0.1 if rate == LOW else 0.2, accuracy_k={"1": hop}))
    assert whole.best_rate("plain", store) == HIGH
    assert one_hop.best_rate("plain", store) == LOW


def test_the_smaller_distance_is_the_better_one(experiment: Experiment, make: Make) -> None:
    lano = dataclasses.replace(experiment, task="lano", task_options={"root": 14}, select="kl")
    for low, high, best in ((0.1, 0.3, LOW), (0.3, 0.1, HIGH)):
        store = Store()
        for rate, kl in ((LOW, low), (HIGH, high)):
            for seed in range(3):
                record = make(lano.run("plain", rate, seed), 0.5)
                store.add(dataclasses.replace(record, curve=[{**point, "kl": kl} for point in record.curve]))
        assert lano.best_rate("plain", store) == best
    fallen = make(lano.run("plain", best, 2), status="diverged")
    store.add(fallen)  # a diverged run spoils its rate: it is infinitely far from the truth
    assert fallen.score("kl") == float("inf")
    assert lano.best_rate("plain", store) == LOW


def test_a_rate_is_borrowed_from_the_next_smaller_scale(small_claim: Claim, make: Make) -> None:
    store, toy, laptop = Store(), small_claim.experiment("toy"), small_claim.experiment("laptop")
    assert rate_for(small_claim, "laptop", "plain", store) is None
    fill(store, make, toy, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (0.1, 0.1, 0.1)})
    assert rate_for(small_claim, "toy", "plain", store) == LOW
    assert rate_for(small_claim, "laptop", "plain", store) == LOW
    assert rate_for(small_claim, "laptop", "canon", store) is None
    fill(store, make, laptop, "plain", {LOW: (0.1, 0.1, 0.1), HIGH: (0.5, 0.5, 0.5)})
    assert rate_for(small_claim, "laptop", "plain", store) == HIGH
    assert rate_for(small_claim, "toy", "plain", store) == LOW  # never from a larger one


def test_smoke_takes_the_middle_and_lends_nothing(small_claim: Claim, make: Make) -> None:
    smoke = dataclasses.replace(small_claim.experiment("smoke"), grid=(8e-3, 1e-3, 2e-3))
    other = dataclasses.replace(small_claim, experiments={**small_claim.experiments, "smoke": smoke})
    store = Store()
    fill(store, make, smoke, "plain", {rate: (1.0, 1.0, 1.0) for rate in smoke.grid})
    assert rate_for(other, "smoke", "plain", store) == 2e-3
    assert rate_for(other, "toy", "plain", Store(store.folders[0])) is None


def test_tuned_on_another_experiment(small_claim: Claim, make: Make) -> None:
    toy = small_claim.experiment("toy")
    laptop = dataclasses.replace(small_claim.experiment("laptop"), tuned_on=toy)
    other = dataclasses.replace(small_claim, experiments={"laptop": laptop})
    store = Store()
    fill(store, make, laptop, "plain", {LOW: (0.1, 0.1, 0.1), HIGH: (0.5, 0.5, 0.5)})  # its own grid does not count
    assert rate_for(other, "laptop", "plain", store) is None
    fill(store, make, toy, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (0.1, 0.1, 0.1)})
    assert rate_for(other, "laptop", "plain", store) == LOW


def test_what_is_planned_is_what_is_missing(small_claim: Claim, make: Make) -> None:
    store, toy = Store(), small_claim.experiment("toy")
    assert {run.hash for run in planned(small_claim, "toy", store)} == {run.hash for _, run in toy.walk()}
    fill(store, make, toy, "plain", {LOW: (0.5, 0.5, 0.5), HIGH: (0.1, 0.1, 0.1)})
    assert {run.hash for run in planned(small_claim, "toy", store)} == {
        run.hash for s, run in toy.walk() if s == "canon"
    }
    laptop = small_claim.experiment("laptop")
    assert [
        run.hash for run in planned(small_claim, "laptop", store) if run.model == laptop.run("plain", LOW, 0).model
    ] == [laptop.run("plain", LOW, seed).hash for seed in (0, 1, 2)]


def test_a_tuned_experiment_plans_the_other_ones_grid(small_claim: Claim) -> None:
    toy, laptop = small_claim.experiment("toy"), small_claim.experiment("laptop")
    other = dataclasses.replace(small_claim, experiments={"laptop": dataclasses.replace(laptop, tuned_on=toy)})
    steps = [run.training.steps for run in planned(other, "laptop", Store())]
    assert sorted(steps) == [4] * 12 + [6] * 6


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
    outcome = replicate(claim, "smoke", store=store, seeds=(0,))
    assert "T2 asks for a text that is not the one here" in caplog.text
    assert [r.run for records in outcome.records.values() for r in records] == [
        here.smoke.run(side, outcome.rates[side], 0) for side in here.sides
    ]
    assert not any(recorded(claim, "smoke", store).records.values())
