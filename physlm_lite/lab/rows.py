"""A row for each side: scores with every seed a dot, parameters and seconds; and learning curves on both clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..claims import Outcome
from ..tasks import Metric
from ..training import Record
from .plots import colour, draw_curves, new_figure

GREY = "#8d96a3"


def sides_of(outcomes: Sequence[Outcome]) -> dict[str, list[Record]]:
    """The sides of several claims together, each once; claims of one family share the runs of the sides that they share."""
    sides: dict[str, list[Record]] = {}
    for outcome in outcomes:
        for side in outcome.experiment.sides:
            sides[side] = sides.get(side) or list(outcome.records.get(side, ()))
    return sides


def rows_figure(*outcomes: Outcome, order: Sequence[str] = (), costs: bool = True) -> Figure:
    """A row for each side, every seed a dot, a bar at the mean; one column a score, then parameters and seconds.

    The outcomes must belong to one family: the same task and budget. Scores that are not shares have a logarithmic axis
    if they are distances, so that equal ratios look equal. `order`: sides from the top; the others follow.
    """
    sides = sides_of(outcomes)
    sides = {side: sides[side] for side in [*(s for s in order if s in sides), *(s for s in sides if s not in order)]}
    metrics = outcomes[0].experiment.panels
    runs = {side: [r for r in found if r.status == "finished"] for side, found in sides.items()}
    columns = len(metrics) + 2 * costs
    ratios = [1.7] * len(metrics) + [1.0, 1.0] * costs
    figure, axes = new_figure(columns, width=10.4, height=1.25 + 0.34 * len(sides), sharey=True, width_ratios=ratios)
    for axis, metric in zip(axes, metrics, strict=False):
        _draw_scores(axis, runs, metric)
        axis.set_title(metric.label)
    for row, (side, found) in enumerate(sides.items()):
        lost = len(found) - len(runs[side])
        if lost or not found:
            note = f"{lost} of {len(found)} runs diverged" if lost else "no records yet"
            axes[0].text(0.03, row, note, transform=axes[0].get_yaxis_transform(), va="center", fontsize=9, color=GREY)
    if costs:
        parameters = {side: float(np.mean([r.parameters for r in r_]) / 1000) for side, r_ in runs.items() if r_}
        seconds = {side: float(np.mean([r.seconds for r in r_])) for side, r_ in runs.items() if r_}
        _draw_costs(axes[-2], list(sides), parameters, "thousand parameters", "{:.1f}")
        _draw_costs(axes[-1], list(sides), seconds, "seconds a run", "{:.0f}")
    axes[0].set_yticks(range(len(sides)), list(sides))
    axes[0].set_ylim(len(sides) - 0.5, -0.5)
    seeds = max(map(len, sides.values()), default=0)
    figure.suptitle(
        f"{outcomes[0].scale} scale, {seeds} seeds, every dot a run" if seeds else "no records yet", fontsize=11
    )
    return figure


def _draw_scores(axis: Axes, runs: Mapping[str, Sequence[Record]], metric: Metric) -> None:
    for row, (side, found) in enumerate(runs.items()):
        scores = [r.score(metric.name) for r in found]
        if scores:
            axis.plot([np.mean(scores)] * 2, [row - 0.32, row + 0.32], color=colour(side), linewidth=3, alpha=0.45)
            axis.plot(scores, [row] * len(scores), "o", color=colour(side), markersize=6, markeredgecolor="white")
    axis.grid(axis="x", color="#e3e6eb", linewidth=0.8)
    if metric.share:
        axis.set_xlim(-0.02, 1.02)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    elif metric.lower and any(runs.values()):
        every = [r.score(metric.name) for found in runs.values() for r in found]
        low, high = min(every) / 1.2, 1.2 * max(every)
        steps = (1, 2, 5) if high > 4 * low else (1, 1.5, 2, 3, 4, 5, 7)
        ticks = [t for power in range(-4, 2) for t in np.multiply(steps, 10.0**power) if low <= t <= high]
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{t:.3g}" for t in ticks])
        axis.set_xticks([], minor=True)
        axis.set_xlim(low, high)
    else:
        axis.set_xlim(left=0)
    if (chance := metric.chance) is not None:
        axis.axvline(chance, color="#555", linestyle=":", linewidth=1.2)


def _draw_costs(axis: Axes, sides: Sequence[str], costs: Mapping[str, float], title: str, form: str) -> None:
    for row, side in enumerate(sides):
        if side in costs:
            axis.barh(row, costs[side], height=0.55, color=colour(side), alpha=0.35)
            axis.text(costs[side], row, " " + form.format(costs[side]), va="center", fontsize=9)
    axis.set_xlim(0, 1.35 * max(costs.values(), default=1.0))
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.set_title(title, fontsize=10)


def curves_figure(outcome: Outcome, name: str) -> Figure:
    """The learning curves of one score on both clocks: a thin line a seed, a thick one for the mean."""
    metric = outcome.experiment.metric(name)
    figure, axes = new_figure(2, width=10.0, height=3.4, sharey=True)
    for axis, clock in zip(axes, ("step", "seconds"), strict=True):
        draw_curves(axis, outcome.records, metric, clock)
        axis.set_title("equal steps" if clock == "step" else "equal seconds")
    axes[0].set_ylabel(metric.label)
    axes[0].legend(fontsize=9)
    return figure
