"""A row for each side: scores with every seed a dot, parameters and seconds; and learning curves on both clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..claims import Outcome
from ..tasks import Metric
from ..training import Record
from .plots import GREY, chart, dot_table, draw_clocks, name_lines, new_figure, note, palette, scores_of, words


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
    found = sides_of(outcomes)
    sides = {side: found[side] for side in dict.fromkeys([*order, *found]) if side in found}
    runs = {side: [r for r in records if r.status == "finished"] for side, records in sides.items()}
    metrics, height = outcomes[0].experiment.panels, 1.25 + 0.34 * len(sides)
    ratios = [1.7] * len(metrics) + [1.0 if len(metrics) < 3 else 1.4] * costs
    figure, axes = new_figure(len(ratios), width=9.4, height=height, sharey=True, width_ratios=ratios)
    for axis, metric in zip(axes, metrics, strict=False):
        _draw_scores(axis, scores_of(runs, metric), metric, outcomes[0].floors(metric))
    for row, (side, records) in enumerate(sides.items()):
        lost = len(records) - len(runs[side])
        if lost or not records:
            text = f"{lost} of {len(records)} runs diverged" if lost else "no records yet"
            axes[0].text(0.03, row, text, transform=axes[0].get_yaxis_transform(), va="center", fontsize=9, color=GREY)
    if costs:
        _write_costs(axes[-1], runs)
    axes[0].set_ylim(len(sides) - 0.5, -0.5)
    seeds = max(map(len, sides.values()), default=0)
    count = f"{seeds} seed{'s' * (seeds != 1)}"
    title = f"{outcomes[0].scale} scale, {count}, every dot a run" if seeds else "no records yet"
    if len(outcomes) == 1 and seeds:
        title += f"\n{words(outcomes[0])}"
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_scores(
    axis: Axes, scores: Mapping[str, Sequence[float]], metric: Metric, floors: Mapping[str, float]
) -> None:
    data, shades, order = dot_table({"": scores}), palette(scores), list(scores)
    bar: dict[str, Any] = {"errorbar": None, "linestyle": "none", "marker": "|", "markersize": 20, "markeredgewidth": 3}
    chart("pointplot", axis, data, "score", "side", shades, order=order, alpha=0.45, **bar)
    dots: dict[str, Any] = {"jitter": False, "size": 6, "linewidth": 0.6, "edgecolor": "white"}
    chart("stripplot", axis, data, "score", "side", shades, order=order, **dots)
    axis.set_yticks(range(len(order)), order)
    axis.grid(axis="x", color="#e3e6eb", linewidth=0.8)
    axis.set(title=metric.label, xlabel="", ylabel="")
    if metric.share:
        axis.set_xlim(-0.02, 1.02)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    elif metric.lower and len(data):
        low, high = data.score.min() / 1.2, 1.2 * max([data.score.max(), *floors.values()])
        steps = (1, 2, 5) if high > 4 * low else (1, 1.5, 2, 3, 4, 5, 7)
        ticks = [t for power in range(-4, 2) for t in np.multiply(steps, 10.0**power) if low <= t <= high]
        axis.set_xscale("log")
        axis.set_xticks(ticks, [f"{t:.3g}" for t in ticks])
        axis.set_xticks([], minor=True)
        axis.set_xlim(low, high)
    else:
        axis.set_xlim(left=0)
    for name, floor in floors.items():
        axis.axvline(floor, color="#555", linestyle=":", linewidth=1.2)
        note(axis, name, (floor, 0), (2, 3), xycoords=axis.get_xaxis_transform(), ha="left", color=GREY)


def _write_costs(axis: Axes, runs: Mapping[str, Sequence[Record]]) -> None:
    """Thousands of parameters and seconds a run, as numbers in the rows."""
    axis.axis("off")
    costs = {"parameters": lambda r: r.parameters / 1000, "seconds": lambda r: r.seconds}
    for x, (name, cost), form in zip((0.5, 1.0), costs.items(), ("{:.1f} k", "{:.0f} s"), strict=True):
        look: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "center", "fontsize": 10}
        axis.text(x, -0.75, name, **look)
        for row, records in enumerate(runs.values()):
            if records:
                axis.text(x, row, form.format(fmean(map(cost, records))), **look)


def curves_figure(outcome: Outcome, name: str) -> Figure:
    """The learning curves of one score on both clocks: a thin line a seed, a thick one for the mean."""
    metric = outcome.experiment.metric(name)
    figure, axes = new_figure(2, width=10.0, height=3.4, sharey=True)
    draw_clocks(axes, outcome.records, metric)
    axes[0].set_ylabel(metric.label)
    name_lines(figure, palette(outcome.records))
    return figure
