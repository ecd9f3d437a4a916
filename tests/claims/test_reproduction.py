"""The shipped records are what today's code makes: each claim's toy run is begun again and compared at its first evaluation."""

from __future__ import annotations

import pytest
import skip_reasons

from physlm_lite.base.machine import single_thread
from physlm_lite.claims import CLAIMS, SHIPPED, recorded
from physlm_lite.evaluation.scores import evaluate
from physlm_lite.training import Store
from physlm_lite.training.trainer import TEST_SEED, Trainer

TOYS = [name for name, claim in CLAIMS.items() if "toy" in claim.experiments]


@pytest.mark.sampled(7)
@pytest.mark.slow
@pytest.mark.parametrize("name", TOYS)
def test_a_recorded_run_begins_as_it_did(name: str) -> None:
    outcome = recorded(CLAIMS[name], "toy", Store(SHIPPED))
    if outcome.protocol == 1 or not all(outcome.records.values()):
        pytest.skip(skip_reasons.FIRST_PROTOCOL)
    if outcome.experiment.at_hand is not outcome.experiment:
        pytest.skip(skip_reasons.OTHER_CORPUS)
    record = list(outcome.records.values())[-1][0]
    first = record.curve[0]
    with single_thread():
        trainer = Trainer(record.run)
        losses = [trainer.train_step() for _ in range(first["step"])]
        scores = evaluate(
            trainer.model, trainer.task, record.run.training.evaluation_rows, TEST_SEED, record.run.training.leaky
        )
    assert scores.get("corpus") == first.get("corpus")
    assert sum(losses) / len(losses) == pytest.approx(first["loss"], rel=0.01)
    error = first.get("standard_error", 0.0)
    assert scores["accuracy"] == pytest.approx(first["accuracy"], abs=max(0.03, 2 * error))
