"""Claims with invented records, for the pictures and tables that are drawn from records: small ones, of the first protocol."""

from __future__ import annotations

import dataclasses
from math import log
from pathlib import Path

from physlm_lite.claims import Claim, claim
from physlm_lite.claims.first_protocol import as_it_was
from physlm_lite.training import Record, Store


def manipulation() -> Claim:
    """The claim with fixed settings, whatever the real ones are; its larger scale takes over the rates of the smaller."""
    real = claim("R2-manipulation")
    toy = dataclasses.replace(
        as_it_was(real.experiments["toy"]),
        task_options={"L": 2, "modulus": 7, "every_length": True},
        grid=(1e-3, 4e-3),
        select="accuracy_length.1",
        shown=("accuracy_length.1", "accuracy_length.2"),
        tuned_on=None,
    )
    laptop = dataclasses.replace(toy, training=dataclasses.replace(toy.training, steps=9000), tuned_on=toy)
    return dataclasses.replace(real, experiments={"smoke": toy, "toy": toy, "laptop": laptop}, first={})


def manipulated(trial: Claim, folder: Path) -> Store:
    """Canon learns one operation at both rates, RoPE at the lower one only."""
    store = Store(folder)
    for side, run in trial.experiments["toy"].walk():
        one = 0.98 if "Canon" in side else 0.9 if run.training.learning_rate == 1e-3 else 0.2
        one += 0.01 * (run.seed - 1)
        curve = [
            {"step": step, "seconds": 1.0, "loss": 1.0, "accuracy": 0.5, "accuracy_length": {"1": share, "2": 0.2}}
            for step, share in ((1000, 0.2), (2000, one))
        ]
        store.add(Record(run, "finished", curve, 2.0, 0.1, 1000, 100, format=1))
    return store


def capacity_by_rate(folder: Path) -> Store:
    """Invented records of the whole grid: Canon wins at the lowest rate and loses at the highest."""
    store, experiment = Store(folder), claim("R2-capacity").at_first["toy"]
    for side, run in experiment.walk():
        place = list(experiment.grid).index(run.training.learning_rate)
        bits = 0.5 + 0.01 * run.seed + (0.2 * place if side == "RoPE" else 0.1)
        point = {"step": run.training.steps, "seconds": 1.0, "loss": 1.0, "accuracy": bits, "bits_per_parameter": bits,
                 "most_bits_per_parameter": 1.0, "name_loss": log(1000), "value_loss": 2 * log(2)}  # fmt: skip
        store.add(Record(run, "finished", [point], 1.0, 0.1, 100, 1.0, format=1))
    return store
