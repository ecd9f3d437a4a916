"""The grid of learning rates: every run a dot, the best rate ringed, and what each rate alone would have said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import trials
from drawn import dots_of
from matplotlib.axes import Axes

from physlm_lite import lab
from physlm_lite.claims import Claim, Outcome, claim, recorded
from physlm_lite.training import Store

CAPACITY = claim("R2-capacity")


@pytest.fixture(scope="module")
def trial() -> Claim:
    return trials.manipulation()


@pytest.fixture(scope="module")
def store(trial: Claim, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trials.manipulated(trial, tmp_path_factory.mktemp("records"))


def rings_of(axis: Axes) -> list[tuple[float, float]]:
    rings = [line for line in axis.lines if line.get_markersize() == 14]
    return [(float(np.ravel(ring.get_xdata())[0]), float(np.ravel(ring.get_ydata())[0])) for ring in rings]


def test_every_run_is_a_dot_and_each_sides_best_rate_has_a_ring(trial: Claim, store: Store) -> None:
    toy = trial.experiments["toy"]
    first = lab.rate_figure(toy, "toy", store).axes[0]
    assert [score for _, score in rings_of(first)] == pytest.approx([0.9, 0.98])
    assert len(dots_of(first)) == len(list(toy.walk()))
    assert first.get_xlabel() and first.get_ylabel()
    assert first.lines[-1].get_ydata()[0] == toy.metric("accuracy_length.1").chance


def test_grids_are_told_once_and_named_by_their_scales(trial: Claim, store: Store, tmp_path: Path) -> None:
    assert lab.grids(trial, store) == {"toy, laptop": trial.experiments["toy"]}
    assert lab.grids(trial, Store(tmp_path)) == {}


def test_shares_are_compared_by_their_difference(trial: Claim, store: Store) -> None:
    _, low, high, worth, best = lab.rate_table(trial, store).text.splitlines()
    assert "0.001" in low and low.endswith("+0.08")
    assert "0.004" in high and high.endswith("+0.78")
    assert worth.split("  ")[2:5] == ["best against worst rate", "+0.70", "+0.00"]
    assert best.endswith("each at its best  0.90  0.98  +0.08")


def test_other_scores_are_compared_by_their_ratio_and_can_have_a_ceiling(tmp_path: Path) -> None:
    """Canon wins at the lowest rate and loses at the highest."""
    store, toy = trials.capacity_by_rate(tmp_path), CAPACITY.at_first["toy"]
    axis = lab.rate_figure(toy, "toy", store, ceiling="most_bits_per_parameter").axes[0]
    assert rings_of(axis)[0][0] == pytest.approx(max(toy.grid), rel=0.05)
    assert [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"] == [1.0] * len(toy.sides)
    _, low, *_, worth, best = lab.rate_table(CAPACITY, store).text.splitlines()
    most = 0.51 + 0.2 * (len(toy.grid) - 1)
    assert low.endswith(f"{0.61 / 0.51:.2f}") and best.endswith(f"{0.61 / most:.2f}")
    assert f"{most / 0.51:.2f}  1.00" in worth


def test_the_step_of_each_seed_is_told(trial: Claim, store: Store) -> None:
    outcomes = [recorded(trial, scale, store) for scale in ("toy", "laptop")]
    one, two, *larger = lab.reached_table(*outcomes).text.splitlines()[1:]
    assert one == "toy  1 operation  2,000; 2,000; 2,000  2,000; 2,000; 2,000"
    assert two.endswith("never; never; never")
    assert all(line.endswith("no records yet") for line in larger)


def test_the_rates_that_were_chosen_and_a_claim_without_records() -> None:
    known = recorded(claim("R3-NoPE"), "toy")
    text = lab.chosen_rates(known).text
    assert all(f"R3-NoPE  toy  {side}  {rate:g}" in text for side, rate in known.rates.items() if known.records[side])
    nothing = dataclasses.replace(known, rates={}, records={side: () for side in known.records})
    assert isinstance(nothing, Outcome)
    assert lab.chosen_rates(nothing).text.count("\n") == 0


def test_all_can_be_drawn_without_records(trial: Claim, tmp_path: Path) -> None:
    empty = Store(tmp_path)
    assert "no records yet" in lab.rate_table(trial, empty).text
    assert "no records yet" in lab.rate_figure(trial.experiments["toy"], "toy", empty).get_suptitle()


@pytest.mark.parametrize("name", ["R2-manipulation", "R2-capacity"])
def test_the_real_claims_can_be_drawn_at_every_scale(name: str) -> None:
    real = claim(name)
    assert all(lab.rate_figure(experiment, scale).axes for scale, experiment in lab.grids(real).items())
    assert len(lab.rate_table(real).text.splitlines()) > 4
