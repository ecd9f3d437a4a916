"""What was tried and what is recorded near it, a line each: to tick, to compare, to fill the controls again, to take out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import ipywidgets as widgets

from ...base.printable import escaped
from ...tasks import Metric
from .compare import Row
from .trial import Trial

WIDTHS = ("30px", "24em", "7.5em", "4em", "10em", "7.5em", "5.2em")
BUTTON = "5.6em"
HEADS = ("", "name", "state", "seeds", "score", "parameters", "seconds")


@dataclass(frozen=True)
class Shown:
    """A line: a trial or a recorded side, with what is known of it. said: how the guess came out."""

    key: str
    name: str
    state: str
    row: Row | None
    trial: Trial | None = None
    said: str = ""


class Line:
    """The widgets of a line, used again for whatever stands there next."""

    def __init__(self, table: Table) -> None:
        self.shown: Shown | None = None
        self.tick = widgets.Checkbox(indent=False, layout=table.layouts[0], description="")
        self.cells = [widgets.HTML(layout=layout) for layout in table.layouts[1:]]
        self.own = widgets.Layout(width=BUTTON, min_width=BUTTON)
        self.fill = widgets.Button(description="Fill", tooltip="set the controls to this", layout=self.own)
        self.drop = widgets.Button(
            description="Remove", tooltip="take it out of the table; its records stay", layout=self.own
        )
        self.tick.observe(lambda change: table.ticked(self, change["new"]), "value")
        self.fill.on_click(lambda _: self.shown and self.shown.trial and table.fill(self.shown.trial))
        self.drop.on_click(lambda _: self.shown and self.shown.trial and table.drop(self.shown.trial))
        self.view = widgets.HBox([self.tick, *self.cells, self.fill, self.drop], layout=table.line)

    def show(self, shown: Shown, metric: Metric, ticked: bool) -> None:
        self.shown = None  # what follows is no click
        self.tick.value, self.tick.disabled = ticked, shown.row is None
        self.tick.tooltip = f"tick to draw and to compare: {shown.name}"
        name = (
            f"{escaped(shown.name)}<br><span class='physlm-why'>{escaped(shown.said)}</span>"
            if shown.said
            else escaped(shown.name)
        )
        for cell, text in zip(self.cells, (name, escaped(shown.state), *cells_of(shown.row, metric)), strict=True):
            value = f'<div class="{"physlm-number" if cell in self.cells[2:] else "physlm-cell"}">{text}</div>'
            if cell.value != value:
                cell.value = value
        self.own.visibility = "visible" if shown.trial is not None else "hidden"
        self.shown = shown


class Table:
    """Lines, and which are ticked, in the order of the ticks.

    changed: called when a tick is set or taken; fill and drop: with the trial of a line.
    """

    def __init__(
        self, changed: Callable[[], None], fill: Callable[[Trial], None], drop: Callable[[Trial], None]
    ) -> None:
        self.changed, self.fill, self.drop = changed, fill, drop
        self.layouts = [widgets.Layout(width=width, min_width=width) for width in WIDTHS]
        self.layouts[1] = widgets.Layout(width=WIDTHS[1], min_width="10em", flex="1 1 auto")
        self.line = widgets.Layout(align_items="center", border_bottom="1px solid #e3e6eb")
        self.keys: list[str] = []
        self.lines: list[Line] = []
        heads = [
            widgets.HTML(
                f'<div class="{"physlm-number" if number > 2 else "physlm-cell"}"><b>{head}</b></div>', layout=layout
            )
            for number, (head, layout) in enumerate(zip(HEADS, self.layouts, strict=True))
        ]
        heads += [widgets.HTML(layout=widgets.Layout(width=BUTTON, min_width=BUTTON)) for _ in range(2)]
        self.head = widgets.HBox(heads, layout=widgets.Layout(border_bottom="2px solid #c6cdd6"))
        self.box = widgets.VBox()
        self.view = widgets.VBox([self.head, self.box])

    def ticked(self, line: Line, value: bool) -> None:
        if line.shown is None:
            return
        self.keys = [key for key in self.keys if key != line.shown.key] + [line.shown.key] * value
        self.changed()

    def show(self, shown: Sequence[Shown], metric: Metric) -> None:
        """Bring the lines up to date; what is gone is ticked no more."""
        self.keys = [key for key in self.keys if key in {one.key for one in shown}]
        while len(self.lines) < len(shown):
            self.lines.append(Line(self))
        for line, one in zip(self.lines, shown, strict=False):
            line.show(one, metric, one.key in self.keys)
        children = tuple(line.view for line in self.lines[: len(shown)])
        if self.box.children != children:
            self.box.children = children
        self.head.layout.display = "" if shown else "none"

    @property
    def chosen(self) -> list[Shown]:
        """The ticked lines that have records, in the order of the ticks."""
        found = {
            line.shown.key: line.shown for line in self.lines if line.shown is not None and line.shown.row is not None
        }
        return [found[key] for key in self.keys if key in found]


def cells_of(row: Row | None, metric: Metric) -> tuple[str, str, str, str]:
    """Seeds, score, parameters and seconds of a row in words; dashes where nothing is recorded."""
    if row is None:
        return "-", "-", "-", "-"
    if metric.name not in row.records[0].run.made_task.metrics:
        score = "not measured"
    else:
        scores = row.scores(metric)
        score = f"{fmean(scores):.3f}" + (f" [{min(scores):.2f}-{max(scores):.2f}]" if len(scores) > 1 else "")
    lost = sum(record.status == "diverged" for record in row.records)
    seeds = f"{len(row.records)}" + (f", {lost} diverged" if lost else "")
    return seeds, score, f"{row.records[0].parameters:,}", f"{fmean(record.seconds for record in row.records):.0f} s"
