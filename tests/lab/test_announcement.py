"""What a claim is about to cost is said in one sentence, the same in a notebook and in a terminal."""

from __future__ import annotations

import pytest

from physlm_lite.claims import claim
from physlm_lite.lab import announcement as module
from physlm_lite.training import Cost, Run

COPYING = claim("R1")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Four runs, of which the largest takes 50 s."""
    monkeypatch.setattr(module, "estimate", lambda run: Cost(50.0, 80_000_000))
    experiment = COPYING.experiment("toy")
    return [experiment.run("RoPE", 1e-3, seed) for seed in range(4)]


def test_the_time_of_all_runs_is_shared_among_the_workers(runs: list[Run]) -> None:
    alone, two = (module.announcement(COPYING, "toy", runs, workers) for workers in (1, 2))
    assert alone.startswith("R1 at toy scale: 4 runs, each ") and alone.endswith("about 3.3 min in all")
    assert two.endswith("about 1.7 min in all, 2 at a time")
    assert module.announcement(COPYING, "toy", runs[:1]).endswith("about 50 s in all")


def test_recorded_runs_are_not_run(runs: list[Run]) -> None:
    assert "all runs are recorded already" in module.announcement(COPYING, "toy", [])
