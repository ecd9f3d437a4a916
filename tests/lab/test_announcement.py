"""What a claim is about to cost is said in one sentence, the same in a notebook and in a terminal."""

from __future__ import annotations

import pytest

from physlm_lite.claims import claim, pace, recorded
from physlm_lite.lab.announcement import announcement
from physlm_lite.training import Run

COPYING = claim("R1")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Four runs on a machine that is exactly as fast as that of the shipped records."""
    shortest = min(recorded(COPYING, "toy").records["RoPE"], key=lambda r: r.seconds / r.run.training.steps)
    monkeypatch.setattr(pace, "_step_seconds", lambda run: shortest.seconds / run.training.steps)
    experiment = COPYING.experiment("toy")
    return [experiment.run("RoPE", 1e-3, seed) for seed in range(4)]


def seconds_of(said: str) -> float:
    """The last time in an announcement."""
    number, unit = said.split("; about ")[1].split()[:2]
    return float(number) * {"s": 1, "min": 60}[unit]


def test_the_time_of_all_runs_is_that_of_the_records_shared_among_the_workers(runs: list[Run]) -> None:
    records = recorded(COPYING, "toy").records["RoPE"]
    usual = sum(r.seconds + r.evaluation_seconds for r in records) / len(records)
    alone, two = (announcement(COPYING, "toy", runs, workers) for workers in (1, 2))
    assert alone.startswith("R1 at toy scale: 4 runs, each about ") and alone.endswith(" in all")
    assert two.endswith(" in all, 2 at a time")
    assert seconds_of(alone) == pytest.approx(4 * usual, rel=0.25)
    assert seconds_of(two) == pytest.approx(seconds_of(alone) / 2, abs=4)


def test_the_kernel_trains_nothing_for_what_is_recorded(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(run: Run) -> None:
        raise AssertionError("it trained")

    monkeypatch.setattr(pace, "estimate", never)
    for scale in ("toy", "laptop"):
        assert "in all" in announcement(COPYING, scale, [COPYING.experiment(scale).run("RoPE + Canon", 1e-3, 0)])


def test_recorded_runs_are_not_run(runs: list[Run]) -> None:
    assert "all runs are recorded already" in announcement(COPYING, "toy", [])
