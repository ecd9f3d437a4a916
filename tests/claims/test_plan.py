"""What the ledger lacks: the order in which it is carried out, and how long that takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from physlm_lite.claims import Claim, Experiment, pace, plan, replicate
from physlm_lite.claims.pace import Pace
from physlm_lite.claims.plan import Plan
from physlm_lite.claims.replicate import needed
from physlm_lite.training import Cost, Record, Run, Store, TooLarge, train

pytestmark = pytest.mark.usefixtures("one_thread")


def claims(monkeypatch: pytest.MonkeyPatch, *ledger: Claim) -> None:
    monkeypatch.setattr(plan, "CLAIMS", {claim.id: claim for claim in ledger})


def named(claim: Claim, name: str, **changes: object) -> Claim:
    """The same claim under another name, with other options of its training."""
    experiment = claim.experiment("toy")
    training = dataclasses.replace(experiment.training, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(claim, id=name, experiments={"toy": dataclasses.replace(experiment, training=training)})


def test_the_quick_rows_without_a_verdict_come_first_and_a_row_is_finished_before_the_next(
    small_claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, long, short = Store(tmp_path), named(small_claim, "long", steps=9), named(small_claim, "short", steps=3)
    begun, done = named(small_claim, "begun", steps=2), named(small_claim, "done", steps=1, evaluations=1)
    replicate(done, "toy", store=store)
    replicate(begun, "toy", store=store, seeds=begun.experiment("toy").seeds[:2])
    claims(monkeypatch, begun, long, done, short)
    monkeypatch.setattr(Pace, "seconds", lambda self, run: run.training.steps / 100)  # shorter than a clock can tell
    made = Plan("toy", store)
    assert [row.claim.id for row in made.rows] == ["begun", "short", "long"]
    assert made.complete == 1 and made.left_out == {}
    assert made.expected[0] == sum(row.runs for row in made.rows)
    assert [row.says.split(",")[0] for row in made.rows] == ["2 seeds", "no fresh seeds yet", "no fresh seeds yet"]
    jobs = list(made.jobs())
    assert [job.row for job in jobs] == sorted(
        (job.row for job in jobs), key=["begun toy", "short toy", "long toy"].index
    )
    assert [job.run for job in jobs if job.row == "short toy"] == [run for _, run in needed(short, "toy", store)]
    for job in jobs[:1]:
        train(job.run, store=store, device="cpu")
    assert next(iter(made.jobs())).run == jobs[1].run


def test_runs_that_two_rows_share_are_counted_once(
    small_claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims(monkeypatch, small_claim, dataclasses.replace(small_claim, id="T2"))
    made = Plan("toy", Store(tmp_path))
    assert len(made.rows) == 2 and made.expected[0] == made.rows[0].runs
    assert made.expected[1] == pytest.approx(made.rows[0].seconds)


def test_a_row_that_does_not_fit_this_machine_is_left_out_with_the_reason(
    small_claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims(monkeypatch, small_claim)

    def refused(run: Run) -> None:
        raise TooLarge("it is too large")

    monkeypatch.setattr(pace, "estimate", refused)
    made = Plan("toy", Store(tmp_path))
    assert made.left_out == {"T1 toy": "it is too large"} and made.rows == [] and made.expected == (0, 0)


def test_doubt_is_the_distance_from_no_difference_in_half_widths(
    experiment: Experiment, small_claim: Claim, make: Callable[..., Record]
) -> None:
    def row(*ours: float) -> plan.Row:
        records = {"plain": [make(accuracy=a) for a in (0.1, 0.2, 0.3)], "canon": [make(accuracy=a) for a in ours]}
        return plan.Row(small_claim, "toy", 1, 1.0, records)

    assert row(0.11, 0.2, 0.31).doubt < 1 < row(0.8, 0.9, 1.0).doubt
    assert row(0.9).doubt == 0.0


def test_the_time_of_a_run_comes_from_its_like_and_else_from_a_few_steps(
    tiny: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = (dataclasses.replace(tiny, model={**tiny.model, "canon": canon}) for canon in ("", "A"))
    curve = [{"step": 12, "seconds": 6.0, "tokens": 1, "loss": 1.0, "accuracy": 0.0}]
    asked: list[Run] = []

    def recorded(run: Run, seconds: float, evaluation: float = 1.2) -> Record:
        return Record(run, "finished", curve, seconds, evaluation, 1, 1.0)

    def step_seconds(run: Run) -> float:
        asked.append(run)
        return 1.0

    def estimate(run: Run) -> Cost:
        asked.append(run)
        return Cost(2.0 * run.training.steps, 1)

    monkeypatch.setattr(pace, "_step_seconds", step_seconds)
    monkeypatch.setattr(pace, "estimate", estimate)
    shipped = [recorded(tiny, 6.0), recorded(other, 12.0)]
    found = Pace([], shipped)
    assert found.seconds(tiny.but(seed=5, steps=100)) == pytest.approx(
        100 * 0.6 * 2
    )  # this machine takes twice as long
    assert found.seconds(other.but(learning_rate=1e-3)) == pytest.approx(12 * 1.1 * 2)
    assert asked == [tiny]  # the shortest, once
    assert found.seconds(third) == 24.0 and asked == [tiny, third]  # nothing like it is known
    own = [recorded(other, 3.0, 0.3)]  # of which one is shipped: a quarter of its time
    assert Pace(own, shipped).seconds(other) == pytest.approx(3.3)
    assert Pace(own, shipped).seconds(tiny) == pytest.approx(7.2 / 4)
    assert Pace([], []).seconds(tiny) == 24.0 and asked == [tiny, third, tiny]


def test_a_few_steps_are_timed_on_one_thread(tiny: Run) -> None:
    assert 0 < pace._step_seconds(tiny) < 10
