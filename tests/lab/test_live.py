"""The live experiment: it runs, its stop button works while it runs, and going on loses nothing."""

from __future__ import annotations

import dataclasses
import time

import pytest

from physlm_lite.claims import Claim, claim
from physlm_lite.lab import Live, outcome_figure
from physlm_lite.lab.show import WIDGET_VIEW, png
from physlm_lite.training import Training


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


def test_a_live_experiment_runs_to_its_end() -> None:
    live = Live(claim("R2-depth"), scale="smoke")
    assert WIDGET_VIEW in live._repr_mimebundle_()  # showing it starts it
    outcome = live.result()
    assert {side: len(records) for side, records in outcome.records.items()} == {"RoPE": 3, "RoPE + Canon": 3}
    assert live.bar.value == live.bar.max
    assert "finished" in live.text.value
    assert live.stop_button.disabled
    assert png(outcome_figure(outcome)).startswith(b"\x89PNG")


def test_the_stop_button_works_while_training_runs_and_keeps_what_was_learnt(longer: Claim) -> None:
    live = Live(longer, scale="smoke")
    live.start()
    while live.bar.value < 20:
        time.sleep(0.01)
    live.stop_button.click()
    stopped = live.result()
    reached = sum(live._steps.values())
    assert 20 <= reached < 300
    assert stopped.records["RoPE"] == []
    assert "stopped" in live.text.value
    assert not live.go_button.disabled
    live.go_button.click()
    whole = live.result().records["RoPE"][0]
    uninterrupted = Live(longer, scale="smoke").result().records["RoPE"][0]

    def scores(record):
        return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]

    assert scores(whole) == scores(uninterrupted)


def test_an_error_in_the_training_reaches_the_reader(longer: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("the disk is <full>")

    monkeypatch.setattr("physlm_lite.lab.live.replicate", broken)
    live = Live(longer, scale="smoke")
    with pytest.raises(RuntimeError, match="the disk is <full>"):
        live.result()
    assert "the disk is &lt;full&gt;" in live.text.value
