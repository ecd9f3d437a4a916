"""Hand-made claims and records: what a rule says must not depend on any training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from physlm_lite.claims import Beats, Claim, Experiment
from physlm_lite.training import Record, Run, Training

DEPO = Run("depo", {"N": 9, "K": 4, "V": 12, "longest": 1, "every_hop": True})


@pytest.fixture
def make() -> Callable[..., Record]:
    """make(run or None, accuracy, loss=..., status=..., seconds=..., accuracy_k=...): a record with two evaluations."""

    def make(
        run: Run | None = None,
        accuracy: float = 0.0,
        *,
        loss: float = 1.0,
        status: str = "finished",
        seconds: float = 10.0,
        accuracy_k: Mapping[str, float] | None = None,
    ) -> Record:
        scores: dict[str, Any] = {"accuracy": accuracy} | ({"accuracy_k": dict(accuracy_k)} if accuracy_k else {})
        curve = [
            {"step": 2, "seconds": seconds / 2, "tokens": 8, "loss": 2 * loss, **scores, "accuracy": accuracy / 2},
            {"step": 4, "seconds": seconds, "tokens": 16, "loss": loss, **scores},
        ]
        return Record(run or DEPO, status, curve, seconds, 0.1, 100, 50.0, {"device": "cpu"})

    return make


@pytest.fixture
def experiment() -> Experiment:
    """Two sides, three rates, two seeds for them and five to report; a run takes a hundredth of a second."""
    return Experiment(
        task="copy",
        task_options={"n": 3},
        model={"width": 8, "layers": 1, "heads": 1},
        training=Training(steps=4, batch=4, warmup=0, evaluations=2, evaluation_rows=4),
        sides={"plain": {}, "canon": {"canon": "ABCD"}},
        rules=(Beats("accuracy", "canon", "plain", at_least=0.9, at_most=0.5),),
        grid=(1e-3, 2e-3, 4e-3),
    )


@pytest.fixture
def small_claim(experiment: Experiment) -> Claim:
    longer = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, steps=6))
    return Claim(
        "T1",
        "A test",
        "no paper",
        "It tests.",
        paper=({"setting": "s", "side": "plain", "value": "1 %"},),
        experiments={"toy": experiment, "laptop": longer},
    )
