"""What the README and the notebooks promise of the shipped records: every seed, each side at its best rate of the grid."""

from __future__ import annotations

import pytest

from physlm_lite.claims import SHIPPED, Outcome, claim, recorded
from physlm_lite.training import Store


def shipped(name: str, scale: str) -> Outcome:
    outcome = recorded(claim(name), scale, Store(SHIPPED))
    assert all(len(records) >= 3 for records in outcome.records.values()), "three seeds of each side"
    return outcome


def scores(outcome: Outcome, side: str, metric: str) -> list[float]:
    return [record.score(metric) for record in outcome.records[side]]


def test_one_hop_at_toy_scale() -> None:
    toy = shipped("R2-depth", "toy")
    assert min(scores(toy, "RoPE + Canon", "accuracy_k.1")) >= 0.75
    assert max(scores(toy, "RoPE", "accuracy_k.1")) <= 0.25


@pytest.mark.parametrize("scale", ["toy", "laptop"])
def test_the_copy_toy(scale: str) -> None:
    copying = shipped("R1", scale)
    assert min(scores(copying, "RoPE + Canon", "accuracy")) >= 0.99
    assert max(scores(copying, "RoPE", "accuracy")) <= 0.30


def test_the_ladder_at_laptop_scale() -> None:
    laptop = shipped("R2-depth", "laptop")
    for hops, accuracy in ((1, 0.95), (2, 0.9), (3, 0.8)):
        assert min(scores(laptop, "RoPE + Canon", f"accuracy_k.{hops}")) >= accuracy
    for hops in (2, 3):
        assert max(scores(laptop, "RoPE", f"accuracy_k.{hops}")) <= 0.75
    assert max(record.seconds for records in laptop.records.values() for record in records) <= 600


def test_canon_replaces_positions_at_toy_scale() -> None:
    toy = shipped("R3-NoPE", "toy")
    assert max(scores(toy, "NoPE", "accuracy_k.1")) <= 0.25
    assert min(scores(toy, "NoPE + Canon", "accuracy_k.1")) > max(scores(toy, "NoPE", "accuracy_k.1"))


@pytest.mark.parametrize(
    ("name", "scale"), [("R1", "toy"), ("R2-depth", "toy"), ("R2-depth", "laptop"), ("R3-NoPE", "toy")]
)
def test_both_sides_walked_the_same_whole_grid(name: str, scale: str) -> None:
    experiment, store = claim(name).experiment(scale), Store(SHIPPED)
    missing = [
        (side, run.training.learning_rate, run.seed) for side, run in experiment.walk() if store.find(run) is None
    ]
    assert missing == []
