"""Widgets driven over their whole range, as the browser would; an error in a callback is a failure."""

from __future__ import annotations

import ipywidgets as widgets
import pytest

from physlm_lite.lessons.canon_layer.figures import canon_explorer
from physlm_lite.lessons.depo.figures import depo_inspector
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
