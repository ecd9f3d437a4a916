"""The lab's picture: the curves of what was tried, and of the nearest recorded runs, faint and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ...claims.claim import ENOUGH
from ...claims.statistics import seeds_needed
from ...lab.plots import GREY, colour, draw_lines, new_figure, note
from ...tasks import Metric

OURS = ("#1b6ca8", "#b3261e", "#2e7d4f", "#7b2d8b", "#b3661a", "#0f3b3b")  # told apart in pairs, also in grey
APART = 0.075  # of the height: two names do not touch
Curve = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Line:
    """Runs under one name. ours: tried here; else recorded, of a side whose colour is known."""

    name: str
    curves: Sequence[Curve]
    side: str = ""

    @property
    def ours(self) -> bool:
        return not self.side


def curves_picture(lines: Sequence[Line], metric: Metric, steps: int, guess: float | None = None) -> Figure:
    """One score over steps: ours solid, with a dot for each test, recorded ones dashed and faint, with a name at each end."""
    figure, (axis,) = new_figure(1, width=9.2, height=3.7)
    ends: list[tuple[float, str, str]] = []
    shades = iter(OURS * len(lines))
    for line in sorted(lines, key=lambda line: line.ours):
        points = [
            [(point["step"], metric.of(point)) for point in curve if _has(point, metric)] for curve in line.curves
        ]
        points = [curve for curve in points if curve]
        if not points:
            continue
        shade = next(shades) if line.ours else colour(line.side)
        before = len(axis.lines)
        draw_lines(axis, {line.name: points}, metric.share, mean=False, colours=[shade])
        for drawn in axis.lines[before:]:
            drawn.set(
                **(
                    {"alpha": 0.9, "linewidth": 2}
                    if line.ours
                    else {"alpha": 0.45, "linewidth": 1.3, "linestyle": "--"}
                )
            )
            if not line.ours:
                drawn.set_marker("")
        ends.append((sum(curve[-1][1] for curve in points) / len(points), line.name, shade))
    if not metric.share and ends:
        heights = [
            metric.of(point) for line in lines for curve in line.curves for point in curve if _has(point, metric)
        ]
        axis.set_ylim(min(0.0, *heights), 1.08 * max(heights) or 1.0)
    longest = max([steps, *(curve[-1]["step"] for line in lines for curve in line.curves if curve)])
    axis.set(xlim=(0, longest * 1.02), ylabel=metric.label, xlabel="training step")
    if guess is not None:
        axis.axhline(guess, color=GREY, linestyle=":", linewidth=1.4)
        note(axis, "your guess", (0, guess), (4, 3), ha="left", color=GREY, fontsize=10)
    if metric.chance is not None:
        axis.axhline(metric.chance, color=GREY, linewidth=0.8)
        note(axis, "guessing", (longest, metric.chance), (-2, 3), ha="right", color=GREY, fontsize=10)
    if not ends:
        axis.text(
            0.5,
            0.5,
            "nothing recorded near this, and nothing tried yet",
            transform=axis.transAxes,
            ha="center",
            color=GREY,
        )
    _name_ends(axis, ends)
    return figure


def dark(shade: str) -> tuple[float, ...]:
    """The same hue, dark enough for letters on white (a contrast of about 4.5)."""
    rgb = to_rgb(shade)
    light = 0.2126 * rgb[0] ** 2.2 + 0.7152 * rgb[1] ** 2.2 + 0.0722 * rgb[2] ** 2.2
    return tuple(part * min(1.0, (0.18 / light) ** (1 / 2.2)) for part in rgb) if light > 0 else rgb


def _has(point: dict[str, Any], metric: Metric) -> bool:
    try:
        metric.of(point)
    except KeyError:
        return False
    return True


def _name_ends(axis: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """The name of each line at its right end, moved apart where two would touch."""
    low, high = axis.get_ylim()
    places: list[float] = []
    for height, _, _ in sorted(ends):
        place = (height - low) / (high - low)
        place = max(place, places[-1] + APART) if places else place
        places.append(place)
    over = max(0.0, places[-1] - 1.0) if places else 0.0
    for (_, name, shade), place in zip(sorted(ends), places, strict=True):
        text = name if len(name) <= 46 else f"{name[:43]}..."
        axis.text(
            1.015, place - over, text, transform=axis.transAxes, color=dark(shade), fontsize=10, va="center", ha="left"
        )


def seeds_figure(seen: Mapping[str, float]) -> Figure:
    """How many seeds a side it takes to find an effect, in deviations between seeds; a dot for each effect that was seen."""
    figure, (axis,) = new_figure(1, width=7.6, height=3.4)
    effects = [0.4 + 0.05 * step for step in range(93)]
    axis.plot(effects, [seeds_needed(effect, least=ENOUGH[2]) for effect in effects], color="#1b6ca8", linewidth=2.2)
    for number, (name, effect) in enumerate(seen.items()):
        at = (min(effect, effects[-1]), seeds_needed(effect, least=ENOUGH[2]))
        axis.plot(*at, "o", color="#d1495b")
        note(axis, name, at, (4, 10 + 14 * (number % 2)), ha="left" if effect < 3.4 else "right", fontsize=10)
    axis.axhline(ENOUGH[2], color=GREY, linestyle=":", linewidth=1.2)
    note(axis, "a verdict asks for five", (effects[0], ENOUGH[2]), (0, -13), ha="left", color=GREY, fontsize=10)
    axis.set_yscale("log")
    axis.set_yticks([3, 5, 10, 20, 50, 100], ["3", "5", "10", "20", "50", "100"])
    axis.set_yticks([], minor=True)
    axis.set(xlabel="true difference, in deviations between seeds", ylabel="seeds of each side", ylim=(2.6, 110))
    return figure
