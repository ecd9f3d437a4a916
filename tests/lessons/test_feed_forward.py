"""Notebook 10's pictures and exercises: units, routing and balance against the library, widgets over their range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlm_lite.claims import claim
from physlm_lite.lessons.feed_forward import exercises
from physlm_lite.lessons.feed_forward import figures as lab
from physlm_lite.models import ModelConfig
from physlm_lite.models.experts import dispatch_naive, room_for
from physlm_lite.models.feed_forward import ACTIVATIONS, squared_relu


def test_the_designs_of_the_figure_have_the_areas_that_their_titles_say() -> None:
    gated, standard = lab.design_figure(64, 160, 240).axes
    assert "30,720 parameters" in gated.get_title() and "30,720 parameters" in standard.get_title()
    areas = [sum(p.get_width() * p.get_height() for p in axis.patches) for axis in (gated, standard)]  # type: ignore[attr-defined]
    assert areas == [30_720, 30_720]


def test_the_activations_are_those_of_the_library() -> None:
    value, slope = lab.activation_figure().axes
    for line, name in zip(value.lines, lab.NAMES, strict=False):
        z = torch.as_tensor(np.array(line.get_xdata()))
        assert np.allclose(np.array(line.get_ydata()), ACTIVATIONS[name](z), atol=1e-6)
    assert len(slope.lines) == 5


def test_two_gated_units_or_four_squares_make_a_product() -> None:
    a, b = torch.randn(2, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    silu = ACTIVATIONS["silu"]
    assert torch.allclose(silu(a) * b + silu(-a) * -b, a * b)
    assert torch.allclose(exercises.product_of(squared_relu, a, b), a * b)
    assert torch.allclose(lab.unit_values("silu", True, a, b), silu(a) * b)
    assert torch.allclose(lab.unit_values("relu2", False, a, b), squared_relu(a + b))


def test_the_units_of_the_figure_are_all_four_kinds() -> None:
    titles = [axis.get_title() for axis in lab.unit_figure().axes]
    assert titles == ["standard, SiLU", "standard, ReLU²", "gated, SiLU", "gated, ReLU²"]


# -- experts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 3, 40])
@pytest.mark.parametrize("favour", [0.0, 2.0])
def test_who_is_served_is_who_gets_an_output_from_the_library(room: int, favour: float) -> None:
    share = lab.routed(40, 4, favour, seed=1)
    expert = share.argmax(-1)
    x, up, down = torch.rand(40, 3) + 1, torch.rand(4, 5, 3), torch.rand(4, 3, 5)
    output = dispatch_naive(x, expert, up, down, None, torch.relu, room)
    found = lab.served(expert, 4, room)
    assert (output.abs().sum(1) > 0).tolist() == found.tolist()


def test_the_router_figure_crosses_out_who_is_turned_away() -> None:
    share = lab.routed(40, 4, 3.0)
    room = room_for(40, 4, 1.0)
    assert room == 10
    lost = int((~lab.served(share.argmax(-1), 4, room)).sum())
    left, right = lab.router_figure(share, 1.0).axes
    assert lost > 0
    assert sum(line.get_marker() == "x" for line in left.lines) == lost
    assert "room for 10" in right.get_xlabel()
    assert f"Turned away: {lost} of 40" in lab.router_text(share, 1.0)
    assert "Turned away: 0 of 40 tokens. " in lab.router_text(share, 4.0)


def test_the_router_explorer_follows_its_controls() -> None:
    explorer = lab.router_explorer()
    texts = {explorer.text.value}
    for name, value in (("experts", 8), ("favour", 4.0), ("capacity", 0.5)):
        explorer.controls[name].set_state({"value": value})
        texts.add(explorer.text.value)
    assert explorer.errors == []
    assert len(texts) == 4


def test_neighbours_meet_in_an_expert_as_chance_says() -> None:
    assert lab.together(np.array([0, 0, 1, 1, 1]), 2) == 3 / 4
    assert lab.together(np.array([0, 0, 1, 1, 1]), 3) == 1 / 3
    draws = np.random.default_rng(1).integers(0, 4, 50_000)
    assert lab.together(draws, 4) == pytest.approx(1 / 64, rel=0.2)
    assert len(lab.together_figure((2, 4)).axes[0].patches) == 4


def test_experts_cost_parameters_and_hardly_any_computation() -> None:
    rows = [line.split("  ") for line in lab.cost_table().text.splitlines()[1:]]
    assert [row[0] for row in rows] == ["1", "4", "32"]
    assert float(rows[2][2]) > 5 and float(rows[2][4]) < 1.1


# -- exercises ---------------------------------------------------------------------------------------------------------


def test_the_sizes_of_the_live_experiment_are_a_fair_pair() -> None:
    experiment = claim("R5-gated").experiment("toy")
    gated, standard = (experiment.run(side, 1e-3, 0).model_config for side in ("gated", "standard"))
    assert exercises.gated_width(gated.width, standard.feed_forward) == gated.feed_forward
    assert gated.parameters == standard.parameters


@pytest.mark.parametrize("hidden", [240, 94, 1000])
def test_the_gated_width_is_the_nearest_in_size(hidden: int) -> None:
    def size(mlp: str, hidden: int) -> int:
        return ModelConfig(vocab=5, width=32, layers=1, heads=2, mlp=mlp, hidden=hidden).parameters

    found, goal = exercises.gated_width(32, hidden), size("standard", hidden)
    assert all(abs(size("gated", found) - goal) <= abs(size("gated", found + step) - goal) for step in (-1, 1))
