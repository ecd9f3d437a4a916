"""Sliders, menus and switches, all alike: a picture is drawn anew when the hand lets go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as widgets

Options = Iterable[Any]  # what can be chosen: names, numbers, or (name, value) pairs


def slider(name: str, value: float, low: float, high: float, step: float = 1) -> widgets.ValueWidget:
    """A slider over whole numbers, or over decimal ones if any of the numbers is one."""
    kind = widgets.IntSlider if {type(n) for n in (value, low, high, step)} == {int} else widgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=name, continuous_update=False)


def stops(name: str, options: Options, value: Any) -> widgets.ValueWidget:
    """A slider over values that are not evenly spaced."""
    return widgets.SelectionSlider(options=_named(options), value=value, description=name, continuous_update=False)


def menu(name: str, options: Options, value: Any = None) -> widgets.ValueWidget:
    """A choice of one; the first of the options unless `value` says another."""
    chosen = {} if value is None else {"value": value}
    return widgets.Dropdown(options=_named(options), description=name, **chosen)


def _named(options: Options) -> list[tuple[str, Any]]:
    """Pairs as they are; anything else is its own name, numbers with separators."""
    return [o if isinstance(o, tuple) else (o if isinstance(o, str) else f"{o:,}", o) for o in options]


def switch(name: str, value: bool = False) -> widgets.ValueWidget:
    """On or off."""
    return widgets.Checkbox(value=value, description=name, indent=False)


def align(controls: Iterable[widgets.ValueWidget]) -> None:
    """Give the names of sliders and menus one column, as wide as the longest of them."""
    named = [control for control in controls if not isinstance(control, widgets.Checkbox | widgets.RadioButtons)]
    column = 2 + 0.5 * max((len(control.description) for control in named), default=0)
    for control in named:
        control.style.description_width = f"{column:g}em"
        control.layout.width = f"{column + 21:g}em"
