"""What the README and the notebooks promise of the shipped records: every seed, each side at its best rate of the grid."""

from __future__ import annotations

from itertools import pairwise

import pytest

from physlm_lite.claims import CLAIMS, SHIPPED, Outcome, claim, recorded
from physlm_lite.claims.rules import NOT_RUN
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


def test_a_clean_task_settles_what_text_does_not() -> None:
    text, clean = shipped("R0-text", "toy"), shipped("R0-playground", "toy")
    assert text.verdict.word == clean.verdict.word == "holds"
    assert set(text.records) == set(clean.records)


@pytest.mark.parametrize("scale", ["toy", "laptop"])
def test_breadth(scale: str) -> None:
    outcome = shipped("R2-breadth", scale)
    largest = "accuracy_n.6" if scale == "toy" else "accuracy_n.8"
    assert min(scores(outcome, "RoPE + Canon", largest)) >= max(scores(outcome, "RoPE", largest)) + 0.25


def test_manipulation_with_one_layer() -> None:
    laptop = shipped("R2-manipulation", "laptop")
    for length, gap in ((2, 0.25), (3, 0.1)):
        metric = f"accuracy_length.{length}"
        assert min(scores(laptop, "RoPE + Canon", metric)) >= max(scores(laptop, "RoPE", metric)) + gap


def test_structure_at_toy_scale() -> None:
    toy = shipped("R2-structure", "toy")
    for plain, canon in (("NoPE", "NoPE + Canon"), ("RoPE", "RoPE + Canon")):
        assert min(scores(toy, plain, "kl")) >= 3 * max(scores(toy, canon, "kl"))


@pytest.mark.parametrize(
    "name",
    [*(f"R2-{skill}" for skill in ("breadth", "capacity", "manipulation", "structure")), "R0-text", "R0-playground"],
)
@pytest.mark.parametrize("scale", ["toy", "laptop"])
def test_the_playground_is_recorded(name: str, scale: str) -> None:
    assert shipped(name, scale).verdict.word != NOT_RUN


def test_canon_instead_of_positions_beats_alibi() -> None:
    toy = shipped("R3-ALiBi", "toy")
    for other in ("ALiBi", "H-ALiBi"):
        assert min(scores(toy, "NoPE + Canon", "accuracy_k.1")) >= max(scores(toy, other, "accuracy_k.1")) + 0.4


def test_more_positions_add_up() -> None:
    toy = shipped("R4-cumulative", "toy")
    steps = ["RoPE", "Canon-A", "Canon-AC", "Canon-ABCD"]
    for fewer, more in pairwise(steps):
        assert 1.1 * max(scores(toy, more, "kl")) <= min(scores(toy, fewer, "kl"))


@pytest.mark.parametrize(("number", "family"), [("R6", "GLA"), ("R7", "Mamba2"), ("R8", "GDN")])
def test_linear_models_need_their_convolution_and_gain_by_canon(number: str, family: str) -> None:
    convolution = shipped(f"{number}-convolution", "toy")
    none, own = (scores(convolution, f"{family}{side}", "kl") for side in (", no convolution", " + b"))
    both = scores(shipped(f"{number}-Canon", "toy"), f"{family} + AbCD", "kl")
    assert 1.3 * max(own) <= min(none)
    assert 2 * max(both) <= min(own)


ARCHITECTURES = [
    name for name in CLAIMS if name == "R1-frozen" or name.startswith(("R3-", "R4-", "R5-", "R6-", "R7-", "R8-"))
]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_architectures_are_recorded(name: str) -> None:
    assert shipped(name, "toy").verdict.word != NOT_RUN


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        *((name, "toy") for name in ARCHITECTURES if name != "R3-NoPE"),
        ("R1", "toy"),
        ("R2-depth", "toy"),
        ("R2-depth", "laptop"),
        ("R3-NoPE", "toy"),
        *((f"R2-{skill}", "toy") for skill in ("breadth", "capacity", "manipulation", "structure")),
        ("R0-text", "toy"),
    ],
)
def test_both_sides_walked_the_same_whole_grid(name: str, scale: str) -> None:
    experiment, store = claim(name).experiment(scale), Store(SHIPPED)
    missing = [
        (side, run.training.learning_rate, run.seed) for side, run in experiment.walk() if store.find(run) is None
    ]
    assert missing == []
