"""Sliders, menus and switches are alike, and their names stand in one column."""

from __future__ import annotations

import ipywidgets as widgets
from matplotlib.figure import Figure

from physlm_lite.lab import Interactive
from physlm_lite.lab.controls import menu, slider, stops, switch


def test_a_slider_counts_in_whole_numbers_unless_one_of_them_is_not() -> None:
    assert isinstance(slider("n", 3, 0, 9), widgets.IntSlider)
    assert isinstance(slider("share", 3, 0, 9, 0.5), widgets.FloatSlider)
    assert not slider("n", 3, 0, 9).continuous_update


def test_a_slider_does_not_leave_its_range() -> None:
    control = slider("tap", 0.0, -1, 1, 0.1)
    control.set_state({"value": 5})  # what the browser sends
    assert control.value == 1.0


def test_an_option_is_its_own_name_or_has_one() -> None:
    assert stops("people", (10, 10_000), 10).options == (("10", 10), ("10,000", 10_000))
    chosen = menu("grammar", ["cfg3f", ("a new one", "new")], "new")
    assert chosen.options == (("cfg3f", "cfg3f"), ("a new one", "new"))
    assert chosen.value == "new" and menu("grammar", ["cfg3f"]).value == "cfg3f"


def test_names_share_a_column_as_wide_as_the_longest() -> None:
    controls = {"a": slider("k", 1, 0, 2), "b": menu("a name that is longer", "xy"), "c": switch("residual", True)}
    Interactive(lambda **values: Figure(), controls, "a test")
    assert controls["a"].style.description_width == controls["b"].style.description_width == "12.5em"
    assert controls["c"].value is True
