"""The live experiment: it runs, its stop button works while it runs, going on loses nothing, and what is known is shown."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from physlm_lite.claims import Claim, claim, nearest_scale
from physlm_lite.lab import Live, outcome_figure
from physlm_lite.lab import live as module
from physlm_lite.lab.show import WIDGET_VIEW, png
from physlm_lite.training import Record, Run, Store, Training, train
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def manager(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """One worker is enough, and it goes with the test."""
    with Manager(Store(runs), workers=1) as manager:
        monkeypatch.setattr(module, "manager_of", lambda folder, workers: manager)
        yield manager


@pytest.fixture
def longer() -> Claim:
    """R2-depth's smoke experiment, long enough to be stopped in the middle."""
    depth = claim("R2-depth")
    experiment = dataclasses.replace(
        depth.experiment("smoke"),
        seeds=(0,),
        sides={"RoPE": {}},
        rules=(),
        training=Training(steps=300, batch=4, evaluations=30, evaluation_rows=4),
    )
    return dataclasses.replace(depth, experiments={"smoke": experiment})


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def scores(record: Record) -> list[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]


def the_run(claim: Claim) -> Run:
    experiment = claim.experiment("smoke")
    return experiment.run("RoPE", experiment.rates[len(experiment.rates) // 2], 0)


def test_a_live_experiment_runs_to_its_end_and_is_known_from_then_on() -> None:
    live = Live(claim("R2-depth"), scale="smoke", all_seeds=True)
    assert WIDGET_VIEW in live.outputs()[-1]  # showing it starts it
    outcome = live.result()
    assert {side: len(records) for side, records in outcome.records.items()} == {"RoPE": 3, "RoPE + Canon": 3}
    assert live.bar.value == live.bar.max
    assert "finished" in live.text.value
    assert live.stop_button.disabled
    assert png(outcome_figure(outcome)).startswith(b"\x89PNG")

    again = Live(claim("R2-depth"), scale="smoke", all_seeds=True)  # the cell, run again
    assert again.announcement == "R2-depth at smoke scale: all runs are recorded already"
    assert again.result().records == outcome.records
    assert again.bar.value == again.bar.max == live.bar.max
    assert "recorded already" in again.text.value
    assert {side for side, _ in again._curves} == {"RoPE", "RoPE + Canon"} and len(again._curves) == 6


def test_the_stop_button_works_while_training_runs_and_keeps_what_was_learnt(longer: Claim) -> None:
    live = Live(longer, scale="smoke", all_seeds=True)
    live.start()
    until(lambda: live.bar.value >= 20)
    begin = time.monotonic()
    live.stop_button.click()
    stopped = live.result()
    assert time.monotonic() - begin < 5  # the worker's second is measured in tests/training; this one draws a picture
    assert 20 <= sum(live._steps.values()) < 300
    assert stopped.records["RoPE"] == []
    assert "stopped" in live.text.value
    assert (live.go_button.description, live.go_button.disabled) == ("Go on", False)
    live.go_button.click()
    whole = live.result().records["RoPE"][0]
    assert scores(whole) == scores(train(the_run(longer)))


def test_two_cells_share_the_runs_and_either_may_stop_them(longer: Claim, manager: Manager) -> None:
    one, other = Live(longer, scale="smoke", all_seeds=True), Live(longer, scale="smoke", all_seeds=True)
    one.start()
    other.start()
    until(lambda: one.bar.value >= 20 and other.bar.value >= 20)
    assert len(manager._handles) == len(manager._crew) == 1
    other.stop_button.click()
    one.result()
    other.result()
    assert "stopped" in one.text.value and "stopped" in other.text.value
    third = Live(longer, scale="smoke", all_seeds=True)  # such as after a restart of the kernel
    until(lambda: not manager._handles)
    assert scores(third.result().records["RoPE"][0]) == scores(train(the_run(longer)))


def test_run_again_carries_all_out_anew_and_keeps_the_record_until_then(longer: Claim, runs: Path) -> None:
    live = Live(longer, scale="smoke", all_seeds=True)
    first = live.result().records["RoPE"][0]
    path = runs / f"{first.id}.json"
    before = path.stat()
    assert (live.go_button.description, live.go_button.disabled) == ("Run again", False)
    live.go_button.click()
    until(lambda: 0 < live.bar.value < 300)
    live.stop_button.click()
    live.result()
    assert "stopped" in live.text.value and path.stat() == before
    live.go_button.click()
    second = live.result().records["RoPE"][0]
    assert "finished" in live.text.value and path.stat() != before
    assert scores(second) == scores(first)
    assert [path.name for path in runs.iterdir() if not path.name.startswith(".interactive")] == [path.name]


def test_a_reader_waits_for_one_seed_and_may_then_ask_for_the_others() -> None:
    depth = claim("R2-depth")
    live = Live(depth, scale="smoke")
    assert "smoke scale: 2 runs, each" in live.announcement and live.announcement.endswith("for one seed of each side")
    first = live.result()
    until(lambda: not live.more_button.layout.display)
    assert {side: [r.run.seed for r in records] for side, records in first.records.items()} == {
        side: [depth.experiment("smoke").seeds[0]] for side in ("RoPE", "RoPE + Canon")
    }
    assert live.bar.value == live.bar.max
    assert "a lead, not a verdict" in live.text.value and "Verdict" not in live.text.value
    assert live.more_button.description == "The other 2 seeds"
    assert png(outcome_figure(first)).startswith(b"\x89PNG")

    again = Live(depth, scale="smoke")  # the cell, run again: the same lead, and nothing is trained
    assert again.announcement == "R2-depth at smoke scale: one seed of each side is recorded already"
    assert again.result().records == first.records

    live.more_button.click()
    assert live.more_button.layout.display == "none"
    assert "4 runs, each" in live.text.value
    whole = live.result()
    assert {side: len(records) for side, records in whole.records.items()} == {"RoPE": 3, "RoPE + Canon": 3}
    assert "Verdict" in live.text.value and live.bar.value == live.bar.max
    until(lambda: not live._thread or not live._thread.is_alive())
    assert live.more_button.layout.display == "none"
    assert Live(depth, scale="smoke").all_seeds  # all is known, so all is shown


@pytest.mark.parametrize(
    ("dial", "scales", "nearest"),
    [
        ("gpu", ("smoke", "toy", "laptop", "paper"), "laptop"),
        ("laptop", ("smoke", "toy", "paper"), "toy"),
        ("toy", ("smoke", "laptop"), "laptop"),
        ("laptop", ("smoke",), "smoke"),
        ("smoke", ("smoke", "toy"), "smoke"),
    ],
)
def test_where_a_claim_has_not_the_scale_of_the_dial_the_nearest_one_is_run(
    dial: str, scales: tuple[str, ...], nearest: str
) -> None:
    depth = claim("R2-depth")
    few = dataclasses.replace(depth, experiments={scale: depth.experiment("smoke") for scale in scales})
    assert nearest_scale(few, dial) == nearest


def test_the_notebook_says_that_it_runs_another_scale_than_the_dial_s(
    longer: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYSLM_SCALE", "gpu")
    live = Live(longer, all_seeds=True)
    assert live.announcement.startswith("R2-depth has nothing at gpu scale; the nearest scale is smoke. R2-depth at")


def test_an_error_in_the_training_reaches_the_reader(longer: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("the disk is <full>")

    monkeypatch.setattr("physlm_lite.lab.live.replicate", broken)
    live = Live(longer, scale="smoke", all_seeds=True)
    with pytest.raises(RuntimeError, match="the disk is <full>"):
        live.result()
    assert "the disk is &lt;full&gt;" in live.text.value
