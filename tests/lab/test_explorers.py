"""Widgets driven over their whole range, as the browser would; an error in a callback is a failure."""

from __future__ import annotations

import itertools

import ipywidgets as widgets
import numpy as np
import pytest
from matplotlib.figure import Figure

from physlm_lite.lab import Interactive, Prediction, canon_explorer, depo_inspector, mixing_matrix
from physlm_lite.lab.show import WIDGET_VIEW
from physlm_lite.tasks import Depo


def values_of(control: widgets.ValueWidget) -> list:
    """A control's whole range (for sliders the ends and a few places between)."""
    if isinstance(control, widgets.FloatSlider):
        return [control.min, 0.0, 0.3, control.max]
    if isinstance(control, widgets.IntSlider):
        return list(range(control.min, control.max + 1))
    if isinstance(control, widgets.Checkbox):
        return [False, True]
    return [value for _, value in control.options]


@pytest.mark.parametrize(
    "make",
    [
        canon_explorer,
        lambda: depo_inspector(Depo(N=8, K=6, V=12, longest=1, sizes="fixed")),
        lambda: depo_inspector(Depo(N=24, K=16, V=3, shortest=2, longest=4)),
    ],
    ids=["canon", "depo", "depo with long names"],
)
def test_every_control_redraws_over_its_whole_range(make) -> None:
    explorer = make()
    for name, control in explorer.controls.items():
        pictures = set()
        for value in values_of(control):
            control.set_state(
                {"value": value}
                if not isinstance(control, widgets.Dropdown)
                else {"index": [v for _, v in control.options].index(value)}
            )  # what the browser sends
            assert control.value == value
            pictures.add(explorer.image.value)
        assert len(pictures) > 1, f"{name} changes nothing"
    assert explorer.errors == []


def test_corners_of_the_canon_explorer() -> None:
    explorer = canon_explorer()
    sliders = [control for name, control in explorer.controls.items() if name.startswith("tap")]
    for corner in itertools.product((-1.0, 1.0), repeat=len(sliders)):
        for slider, value in zip(sliders, corner, strict=True):
            slider.value = value
    assert explorer.errors == []


def test_a_slider_does_not_leave_its_range() -> None:
    explorer = canon_explorer()
    explorer.controls["tap1"].set_state({"value": 5})
    assert explorer.controls["tap1"].value == 1.0


def test_a_failing_callback_is_shown_and_kept() -> None:
    def draw(x: int) -> Figure:
        if x == 2:
            raise RuntimeError("no such picture")
        return Figure()

    explorer = Interactive(draw, {"x": widgets.IntSlider(value=1, min=1, max=3)}, "a test")
    explorer.controls["x"].value = 2
    assert "no such picture" in explorer.text.value
    assert len(explorer.errors) == 1


def test_the_display_carries_the_widget_and_a_still_picture() -> None:
    bundle = canon_explorer()._repr_mimebundle_()
    assert WIDGET_VIEW in bundle
    assert bundle["image/png"].startswith("iVBOR")


def test_the_mixing_matrix_is_the_layer() -> None:
    matrix = mixing_matrix((0.1, 0.4, -0.3, 0.2), positions=6).numpy()
    assert np.allclose(np.diag(matrix), 1.1)
    assert np.allclose(np.diag(matrix, -1), 0.4)
    assert np.allclose(np.diag(matrix, -3), 0.2)
    assert np.allclose(np.triu(matrix, 1), 0)
    assert np.allclose(np.diag(mixing_matrix((0.1, 0, 0, 0), 3, residual=False)), 0.1)


def test_a_prediction_is_scored() -> None:
    silent = Prediction("how much?")
    assert "no prediction" in str(silent.score(0.3))
    slider = Prediction("how much?", start=0.5)
    slider.control.set_state({"value": 0.35})
    assert "Very close" in str(slider.score(0.3))
    assert "surprise" in str(slider.score(0.9))
    choice = Prediction("which?", options=("left", "right"))
    choice.control.value = "left"
    assert "Right" in str(choice.score("left"))
    assert "“right”" in str(choice.score("right"))
