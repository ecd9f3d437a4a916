"""From a claim to its verdict: small, whole, stopped in the middle, and on two workers."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from physlm_lite.claims import CLAIMS, SHIPPED, Claim, Outcome, claim, recorded, replicate
from physlm_lite.claims.ledger import SCHEMA, ledger, ledger_table
from physlm_lite.training import Progress, Record, Store
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")


def curves(outcome: Outcome) -> dict[str, list[tuple[str, list[dict[str, Any]]]]]:
    return {
        side: [(r.id, [{k: v for k, v in point.items() if k != "seconds"} for point in r.curve]) for r in records]
        for side, records in outcome.records.items()
    }


def stored(folder: Path) -> list[Record]:
    return list(Store(folder))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_runs_at_smoke_scale(name: str, tmp_path: Path) -> None:
    outcome = replicate(claim(name), "smoke", store=Store(tmp_path), seeds=(200,))
    assert {side: len(records) for side, records in outcome.records.items()} == dict.fromkeys(
        outcome.experiment.sides, 1
    )
    assert outcome.verdict.word == "not run"


def test_two_workers_give_the_numbers_of_one(tmp_path: Path) -> None:
    one, two = (replicate(claim("R2-depth"), "smoke", store=Store(tmp_path / str(n)), workers=n) for n in (1, 2))
    assert curves(one) == curves(two)
    assert all(len(records) == 3 for records in one.records.values())
    assert torch.get_num_threads() == 1


def test_stacks_give_the_numbers_of_single_runs(small_claim: Claim, tmp_path: Path) -> None:
    told: dict[str, set[str]] = {}

    def report(side: str, progress: Progress) -> None:
        told.setdefault(side, set()).add(progress.run.hash)

    outcome = replicate(small_claim, "toy", store=Store(tmp_path / "stacked"), stacked=True, progress=report)
    replicate(small_claim, "toy", store=Store(tmp_path / "single"), stacked=False)
    notes = {record.note for record in stored(tmp_path / "stacked")}
    assert notes and "" not in notes and {record.note for record in stored(tmp_path / "single")} == {""}
    alone = {record.id: record for record in stored(tmp_path / "single")}
    for record in stored(tmp_path / "stacked"):
        losses = [[point["loss"] for point in r.curve] for r in (record, alone.get(record.id, record))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    common = alone.keys() & {record.id for record in stored(tmp_path / "stacked")}
    assert len(common) >= 12  # the grids; a near tie may make another rate the best
    assert all({record.run.hash for record in records} <= told[side] for side, records in outcome.records.items())


def test_a_manager_gives_the_numbers_of_this_process_and_may_be_stopped(tmp_path: Path) -> None:
    here = replicate(claim("R2-depth"), "smoke", store=Store(tmp_path / "here"))
    with Manager(Store(tmp_path / "there"), workers=1) as manager:
        halted = replicate(claim("R2-depth"), "smoke", store=manager.store, manager=manager, stop=lambda: True)
        assert not any(halted.records.values())
        there = replicate(claim("R2-depth"), "smoke", store=manager.store, manager=manager)
    assert curves(here) == curves(there)


def test_progress_comes_from_every_run(small_claim: Claim, tmp_path: Path) -> None:
    steps: dict[tuple[str, str], list[int]] = {}

    def report(side: str, progress: Progress) -> None:
        steps.setdefault((side, progress.run.hash), []).append(progress.step)

    replicate(small_claim, "toy", store=Store(tmp_path), progress=report, workers=2)
    assert len(steps) >= 12 + 10
    assert set(map(tuple, steps.values())) == {(1, 2, 3, 4)}


def test_without_a_known_rate_the_grid_is_walked_and_its_winner_chosen(small_claim: Claim, tmp_path: Path) -> None:
    store, experiment = Store(tmp_path), small_claim.experiment("toy")
    outcome = replicate(small_claim, "toy", store=store)
    assert {r.id for r in stored(tmp_path)} >= {run.hash for _, run in experiment.walk()}
    assert outcome.rates == {side: experiment.best_rate(side, store) for side in experiment.sides}
    for side, records in outcome.records.items():
        assert [r.run for r in records] == [
            experiment.run(side, outcome.rates[side], seed) for seed in experiment.seeds
        ]
    again = recorded(small_claim, "toy", store)
    assert curves(again) == curves(outcome) and again.verdict == outcome.verdict


def test_known_runs_are_not_repeated_and_known_rates_are_used(small_claim: Claim, tmp_path: Path) -> None:
    replicate(small_claim, "toy", store=Store(tmp_path))
    steps: list[Progress] = []
    replicate(small_claim, "toy", store=Store(tmp_path), progress=lambda side, p: steps.append(p))
    assert steps == []
    replicate(small_claim, "laptop", store=Store(tmp_path), progress=lambda side, p: steps.append(p))
    assert len({p.run.hash for p in steps}) == 10  # five seeds a side at one rate: the grid is not walked again
    steps.clear()
    replicate(small_claim, "laptop", store=Store(tmp_path), walk=True, progress=lambda side, p: steps.append(p))
    assert {p.run.seed for p in steps} >= {100, 101}  # now it is


def test_a_walk_goes_over_the_grid_at_the_scale_where_it_is_judged(small_claim: Claim, tmp_path: Path) -> None:
    toy, laptop = small_claim.experiment("toy"), small_claim.experiment("laptop")
    tuned = dataclasses.replace(small_claim, experiments={"laptop": dataclasses.replace(laptop, tuned_on=toy)})
    outcome = replicate(tuned, "laptop", store=Store(tmp_path), walk=True)
    assert {side: len(records) for side, records in outcome.records.items()} == {"plain": 5, "canon": 5}
    assert {r.run.training.steps for r in stored(tmp_path)} == {6}


def test_a_diverging_rate_does_not_end_the_walk(small_claim: Claim, tmp_path: Path) -> None:
    experiment = dataclasses.replace(small_claim.experiment("toy"), grid=(1e6, 5e5))
    wild = dataclasses.replace(small_claim, experiments={"toy": experiment})
    outcome = replicate(wild, "toy", store=Store(tmp_path), workers=2)
    fallen = [r for r in stored(tmp_path) if r.status == "diverged"]
    assert {r.run.training.learning_rate for r in fallen} >= {1e6, 5e5}
    assert {len(records) for records in outcome.records.values()} == {5}
    assert outcome.verdict.word != "not run"


def test_an_outcome_of_nothing_but_diverged_runs_can_be_told(small_claim: Claim, tmp_path: Path) -> None:
    from physlm_lite.lab.plots import outcome_figure
    from physlm_lite.lab.terminal import report

    experiment = dataclasses.replace(small_claim.experiment("toy"), grid=(1e12,))
    wild = dataclasses.replace(small_claim, experiments={"toy": experiment})
    outcome = replicate(wild, "toy", store=Store(tmp_path))
    assert {r.status for records in outcome.records.values() for r in records} == {"diverged"}
    assert "accuracy 0.00 [0.00-0.00]" in report(outcome)
    outcome_figure(outcome)


@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_in_the_middle_it_goes_on_to_the_same_end(small_claim: Claim, tmp_path: Path, workers: int) -> None:
    count, lock, stop = [0], threading.Lock(), threading.Event()

    def report(side: str, progress: Progress) -> None:
        with lock:
            count[0] += 1
            if count[0] == 27:  # of at least 88 steps
                stop.set()

    store = Store(tmp_path / "stopped")
    outcome = replicate(small_claim, "toy", store=store, progress=report, stop=stop.is_set, workers=workers)
    assert count[0] <= 27 + 2 * workers
    assert outcome.verdict.word == "not run"
    assert all(r.status != "stopped" for records in outcome.records.values() for r in records)
    outcome = replicate(small_claim, "toy", store=store, workers=workers)
    assert curves(outcome) == curves(replicate(small_claim, "toy", store=Store(tmp_path / "whole")))


def test_a_run_stopped_half_way_is_no_result(small_claim: Claim, tmp_path: Path) -> None:
    steps: list[Progress] = []
    outcome = replicate(
        small_claim,
        "smoke",
        store=Store(tmp_path),
        progress=lambda side, p: steps.append(p),
        stop=lambda: len(steps) == 6,
    )
    assert sorted(r.status for r in stored(tmp_path)) == ["finished", "stopped"]
    assert [r.status for records in outcome.records.values() for r in records] == ["finished"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_error_in_one_run_stops_the_others_soon(small_claim: Claim, tmp_path: Path, error: BaseException) -> None:
    """Otherwise Ctrl-C would wait for the end of the runs that have begun: hours, at a large scale."""
    toy = small_claim.experiment("toy")
    long = dataclasses.replace(toy, training=dataclasses.replace(toy.training, steps=10**6))
    both = threading.Barrier(2)

    def report(side: str, progress: Progress) -> None:
        if progress.step == 1:
            both.wait(10)
            if side == "plain":
                raise error

    with pytest.raises(type(error)):
        replicate(
            dataclasses.replace(small_claim, experiments={"toy": long}),
            "toy",
            store=Store(tmp_path),
            progress=report,
            workers=2,
        )
    (kept,) = stored(tmp_path)
    assert kept.status == "stopped" and "canon" in kept.run.model
    assert (tmp_path / f"{kept.id}.safetensors").exists()  # and nothing of it is lost


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(small_claim: Claim, workers: int) -> None:
    with pytest.raises(ValueError, match=f"workers must be at least 1, not {workers}"):
        replicate(small_claim, "toy", workers=workers)


def test_fewer_seeds_can_be_asked_for(small_claim: Claim, tmp_path: Path) -> None:
    replicate(small_claim, "toy", store=Store(tmp_path))
    outcome = replicate(small_claim, "toy", store=Store(tmp_path), seeds=(201,))
    assert [r.run.seed for records in outcome.records.values() for r in records] == [201, 201]
    assert outcome.verdict.word == "not run"


# -- JSON and the ledger -----------------------------------------------------------------------------------------------


def test_the_json_of_an_outcome_has_everything_to_check_it(small_claim: Claim, tmp_path: Path) -> None:
    outcome = replicate(small_claim, "toy", store=Store(tmp_path))
    content = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert content["claim"] == "T1" and content["scale"] == "toy"
    assert content["paper"] == [{"setting": "s", "side": "plain", "value": "1 %"}]
    assert content["verdict"] == outcome.verdict.word and content["reason"] == outcome.verdict.reason
    assert content["rule"] == list(outcome.experiment.rule_texts)
    assert content["learning_rate_grid"] == [1e-3, 2e-3, 4e-3]
    for side, records in outcome.records.items():
        told = content["sides"][side]
        assert told["learning_rate"] == outcome.rates[side]
        assert [run["seed"] for run in told["runs"]] == [200, 201, 202, 203, 204]
        for run, record in zip(told["runs"], records, strict=True):
            assert (tmp_path / f"{run['record']}.json").exists()
            assert run["scores"]["accuracy"] == record.score("accuracy")
            assert run["steps"] == 4 and run["status"] == "finished" and run["parameters"] == record.parameters


def test_the_ledger_has_a_row_for_every_claim_and_scale(tmp_path: Path) -> None:
    rows = json.loads(json.dumps(ledger(Store(tmp_path))))
    assert [(row["claim"], row["scale"]) for row in rows] == [
        (c.id, scale) for c in CLAIMS.values() for scale in c.experiments if scale not in ("smoke", "gpu")
    ]  # what needs a GPU is listed once it has been run
    assert {row["verdict"] for row in rows} == {"not run"}
    jsonschema.validate(rows, SCHEMA)
    lines = ledger_table(rows).splitlines()
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        assert line.split()[:2] == [row["claim"], row["scale"]]
        assert line.endswith(f"no records yet: physlm replicate {row['claim']} --scale {row['scale']}")


def test_the_ledger_shows_verdicts_and_their_numbers(
    small_claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLAIMS, "T1", small_claim)
    store = Store(tmp_path)
    outcome = replicate(small_claim, "toy", store=store)
    toy, laptop = (row for row in ledger(store) if row["claim"] == "T1")
    assert toy == outcome.to_dict() | {"sides": toy["sides"], "second_look": ""}
    jsonschema.validate([toy, laptop], SCHEMA)
    line, other, _, luck = ledger_table([toy, laptop]).splitlines()[1:]
    assert luck.startswith("1 rows are judged. If no two sides differed at all, about 0 of them")
    assert outcome.verdict.word in line and line.endswith(outcome.verdict.reason)
    assert line.split(outcome.verdict.word)[1].split()[0] == "10"
    assert "not run" in other


@pytest.mark.parametrize("score", [None, "high", {}])
def test_a_record_without_a_score_spoils_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, score: Any
) -> None:
    the_claim = claim("R1")
    monkeypatch.setattr("physlm_lite.claims.ledger.CLAIMS", {"R1": the_claim})
    rows = ledger()
    for record in recorded(the_claim, "toy").records.values():
        for run in record:
            run.final["accuracy"] = score
            Store(tmp_path).add(run)
    assert ledger(Store(tmp_path, SHIPPED)) == rows
    assert "skipped: this user's records of R1 at toy scale, since one lacks a score" in caplog.text


def test_an_unfinished_row_says_what_is_there_and_what_to_do(
    small_claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLAIMS, "T1", small_claim)
    store = Store(tmp_path)
    replicate(small_claim, "toy", store=store)
    experiment, rates = small_claim.experiment("laptop"), recorded(small_claim, "toy", store).rates
    replicate(small_claim, "laptop", store=store, seeds=(200,))
    row = next(row for row in ledger(store) if (row["claim"], row["scale"]) == ("T1", "laptop"))
    assert [run["record"] for run in row["sides"]["plain"]["runs"]] == [
        experiment.run("plain", rates["plain"], 200).hash
    ]
    line = ledger_table([row]).splitlines()[1]
    assert "(recorded: canon 1, plain 1): physlm replicate T1 --scale laptop" in line
