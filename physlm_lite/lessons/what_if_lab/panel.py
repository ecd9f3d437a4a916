"""The controls: a row of buttons for each option, of which those are off that the library refuses, and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ...base.printable import escaped
from ...models import ModelConfig
from ...tasks.presets import KINDS
from ...training import Training
from .offers import Control, controls, kinds, turned
from .trial import Trial

TABS = {  # and which groups of controls each of them shows
    "task": ("task",),
    "block": ("mixer", "feed-forward"),
    "Canon": ("canon",),
    "size": ("size", "start"),
    "budget": ("budget", "seeds and rates"),
}
NAME_WIDTH = "8.5em"
STYLE = """<style>
.physlm-option button, button.physlm-option {height:auto;min-height:26px;line-height:18px;padding:3px 8px;margin:1px;width:auto;
  border:1px solid #c6cdd6;border-radius:4px;background:#fff;color:#1f2937;font-size:13px;white-space:normal}
button.physlm-option.physlm-chosen {background:#e6eef8;border-color:#1b5c96;color:#0b3d68;font-weight:600}
button.physlm-option:disabled {background:#f1f2f4;color:#5f6773 !important;border-style:dashed;opacity:1 !important}
button.physlm-question {background:#fff;border:1px solid #c6cdd6;border-radius:4px;color:#1f2937;text-align:left}
button.physlm-option:focus-visible {outline:2px solid #1b5c96;outline-offset:1px}
.physlm-why {color:#5f6773;font-size:12px;line-height:16px;max-width:60em}
.physlm-number, .physlm-cell {line-height:18px;padding:4px 0;overflow-wrap:anywhere}
.physlm-number {text-align:right;padding-right:10px}
.physlm-means pre {white-space:pre-wrap;font-size:12px;line-height:17px;max-width:64em;color:#374151}
.physlm-name {font-weight:600;color:#374151}
</style>"""


class Choice:
    """One control as a row: its name, a button for each value, and below it why some are off."""

    def __init__(self, panel: Panel) -> None:
        self.panel, self.control = panel, Control("", "", ())
        self.name = widgets.HTML(layout=panel.name_layout)
        self.buttons: list[widgets.Button] = []
        self.box = widgets.Box(layout=panel.wrap)
        self.why = widgets.HTML(layout=widgets.Layout(margin=f"0 0 0 calc({NAME_WIDTH} + 8px)", display="none"))
        self.view = widgets.VBox([widgets.HBox([self.name, self.box]), self.why], layout=panel.row_layout)

    def show(self, control: Control) -> None:
        """Bring the row to what the control says; only what differs is sent to the page."""
        before, self.control = self.control, control
        if before.path != control.path:
            self.name.value = f'<span class="physlm-name">{escaped(control.label)}</span>'
        while len(self.buttons) < len(control.options):
            self.buttons.append(self._button(len(self.buttons)))
        for button, option in zip(self.buttons, control.options, strict=False):
            mark = ("☑ " if option.chosen else "☐ ") if control.several else "● " if option.chosen else "○ "
            button.description = mark + option.label
            button.disabled = bool(option.refusal)
            button.tooltip = option.refusal or f"{control.label}: {option.label}"
            classes = ("physlm-option", *(["physlm-chosen"] if option.chosen else []))
            if button._dom_classes != classes:
                button._dom_classes = classes
        shown = tuple(self.buttons[: len(control.options)])
        if self.box.children != shown:
            self.box.children = shown
        reasons: dict[str, list[str]] = {}
        for option in control.options:
            if option.refusal:
                reasons.setdefault(option.refusal, []).append(option.label)
        said = "".join(f"<div>{escaped(', '.join(names))}: {escaped(why)}</div>" for why, names in reasons.items())
        value = f'<div class="physlm-why">{said}</div>' if said else ""
        if self.why.value != value:
            self.why.value = value
        self.why.layout.display = "" if said else "none"

    def _button(self, place: int) -> widgets.Button:
        button = widgets.Button(layout=self.panel.button_layout, style=self.panel.button_style)
        button.on_click(lambda _: self.panel.click(self.control, self.control.options[place].value))
        return button


class Panel:
    """Tabs of controls. changed: called with the new trial after each click. first: what the first tab shows."""

    def __init__(self, trial: Trial, changed: Callable[[Trial], None], first: widgets.Widget) -> None:
        self.trial, self.changed = trial, changed
        self.button_layout, self.button_style = widgets.Layout(width="auto"), widgets.ButtonStyle()
        self.name_layout = widgets.Layout(width=NAME_WIDTH, min_width=NAME_WIDTH)
        self.wrap = widgets.Layout(flex_flow="row wrap", width="100%")
        self.row_layout = widgets.Layout(margin="2px 0")
        self.rows: dict[str, list[Choice]] = {tab: [] for tab in TABS}
        self.boxes = {tab: widgets.VBox() for tab in TABS}
        self.meanings = {tab: widgets.HTML() for tab in TABS}
        self.view = widgets.Tab([first, *self.boxes.values()])
        for number, title in enumerate(("questions", *TABS)):
            self.view.set_title(number, title)
        self.view.observe(lambda _: self.refresh(), "selected_index")
        self.refresh()

    def click(self, control: Control, value: Any) -> None:
        """A value was clicked; a chosen one stays."""
        if control.several or not any(option.chosen and option.value == value for option in control.options):
            self.set(turned(self.trial, control, value))

    def set(self, trial: Trial) -> None:
        """Show another trial, and tell."""
        if trial != self.trial:
            self.trial = trial
            self.refresh()
            self.changed(trial)

    def refresh(self) -> None:
        """Bring the tab that is open up to date; the others follow when they are opened."""
        place = self.view.selected_index or 0
        if place == 0:
            return
        tab = list(TABS)[place - 1]
        shown = [kinds(self.trial)] * (tab == "task")
        shown += [control for group in TABS[tab] for control in controls(self.trial, group)]
        rows = self.rows[tab]
        while len(rows) < len(shown):
            rows.append(Choice(self))
        for row, control in zip(rows, shown, strict=False):
            row.show(control)
        if self.meanings[tab].value != (value := meaning(tab, self.trial)):
            self.meanings[tab].value = value
        children = (*(row.view for row in rows[: len(shown)]), self.meanings[tab])
        if self.boxes[tab].children != children:
            self.boxes[tab].children = children


def meaning(tab: str, trial: Trial) -> str:
    """What the words of a tab mean, folded: as the library's own class says it."""
    said = inspect.getdoc({"task": KINDS[trial.base.task], "budget": Training}.get(tab, ModelConfig)) or ""
    text = "\n\n".join(part for part in said.split("\n\n") if ">>>" not in part)
    return f'<details class="physlm-means"><summary>what these words mean</summary><pre>{escaped(text)}</pre></details>'
