"""Figures drawn from records. Every figure has labels, units and the number of seeds; each seed stays visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..base.files import write_whole
from ..claims import Outcome
from ..claims.sides import COLOURS
from ..tasks import Metric
from ..training import Record

_OTHERS = ("#66a182", "#2e4057", "#8d96a3", "#b56576")
STYLE: dict[str, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 100,
}


def colour(side: str) -> str:
    """The colour of a side, the same in every figure."""
    return COLOURS.get(side) or _OTHERS[sum(map(ord, side)) % len(_OTHERS)]


def folded(side: str) -> str:
    """The name of a side on several short lines, for a place under a column."""
    for old, new in (
        (" + ", "\n+ "),
        (", ", ",\n"),
        ("frozen ", "frozen\n"),
        (" (", "\n("),
        ("no convolution", "no convo-\nlution"),
        ("no residual", "no\nresidual"),
    ):
        side = side.replace(old, new)
    return side


def new_figure(columns: int = 1, width: float = 8.0, height: float = 3.6, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with `columns` panels side by side, outside pyplot's global state (so nothing is shown twice or leaks)."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its keys are one long Literal
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False, **options)[0]
        return figure, list(axes)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG whole or not at all; returns the path."""
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
    return path


def draw_dots(axis: Axes, values: dict[str, list[float]], chance: float | None = None, share: bool = True) -> None:
    """One column of dots a side: every seed a dot, a bar at the mean, and the mean as a number; share: from 0 to 1."""
    highest = max((max(scores) for scores in values.values() if scores), default=1.0)
    for place, (side, scores) in enumerate(values.items()):
        spread = np.linspace(-0.09, 0.09, len(scores)) if len(scores) > 1 else np.zeros(1)
        axis.bar(place, float(np.mean(scores)), width=0.62, color=colour(side), alpha=0.3)
        axis.plot(
            place + spread, scores, "o", color=colour(side), markersize=6, markeredgecolor="white", markeredgewidth=0.6
        )
        mean = f"{np.mean(scores):.{2 if share or highest >= 0.3 else 3}f}"
        axis.annotate(mean, (place, max(scores)), xytext=(0, 7), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(values)), [folded(side) for side in values])
    axis.set_xlim(-0.6, len(values) - 0.4)
    lowest = min((min(scores) for scores in values.values() if scores), default=0.0)
    axis.set_ylim(*((0, 1.12) if share else (min(0, 1.1 * lowest), max(1.18 * highest, 0.1 * abs(lowest)))))
    if share:
        axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    if chance is not None:
        axis.axhline(chance, color="#555", linestyle=":", linewidth=1)
        axis.annotate(
            "guessing",
            (len(values) - 0.42, chance),
            xytext=(0, -11),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color="#555",
        )


def scale_axis(axis: Axes, metric: Metric, values: Sequence[float]) -> None:
    """A share gets the whole scale from 0 to 1; other scores are shown from 0, or from below where they are negative."""
    if metric.share:
        axis.set_ylim(-0.02, 1.05)
    elif values:
        axis.set_ylim(min(0.0, 1.1 * min(values)), max(1.1 * max(values), 0.1 * abs(min(values))) or 1.0)


def draw_curves(axis: Axes, records: Mapping[str, Sequence[Record]], metric: Metric, clock: str = "step") -> None:
    """Learning curves: a thin line a seed, a thick one for the mean (over steps) of each side."""
    for side, runs in records.items():
        lines = []
        for record in runs:
            x = [point[clock] for point in record.curve]
            y = [metric.of(point) for point in record.curve]
            axis.plot(x, y, color=colour(side), alpha=0.35, linewidth=1)
            lines.append((x, y))
        if lines and len({len(x) for x, _ in lines}) == 1:
            x, y = (np.mean([line[i] for line in lines], axis=0) for i in (0, 1))
            axis.plot(x, y, color=colour(side), linewidth=2.4, label=side)
    scale_axis(axis, metric, [metric.of(p) for runs in records.values() for r in runs for p in r.curve])
    axis.set_xlabel("training step" if clock == "step" else "seconds of training")


def outcome_figure(outcome: Outcome) -> Figure:
    """A claim at one scale: final scores of every seed, and the learning curves on both clocks."""
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metrics = outcome.experiment.panels
    seeds = max((len(runs) for runs in records.values()), default=0)
    figure, axes = new_figure(len(metrics) + 2, width=max(3.1, 0.9 * len(records)) * (len(metrics) + 2), height=3.7)
    for axis, metric in zip(axes, metrics, strict=False):
        scores = {side: [r.score(metric.name) for r in runs] for side, runs in records.items()}
        draw_dots(axis, scores, metric.chance, metric.share)
        axis.set_title(metric.label)
    axes[0].set_ylabel("accuracy, one dot a seed" if metrics[0].share else "one dot a seed")
    named = [getattr(rule, "metric", "") for rule in outcome.experiment.rules]
    judged = sorted((m for m in metrics if m.name in named), key=lambda m: named.index(m.name))
    shown = judged[0] if judged else metrics[-1 if outcome.scale == "laptop" else 0]
    for axis, clock, title in zip(axes[-2:], ("step", "seconds"), ("equal steps", "equal seconds"), strict=True):
        draw_curves(axis, records, shown, clock)
        axis.set_title(f"{shown.label},\n{title}" if len(metrics) > 1 else title)
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {seeds} seeds: {outcome.verdict.word}")
    return figure


def effect_figure(outcome: Outcome) -> Figure:
    """The picture of the effect for the front page: learning curves and final accuracy at one hop."""
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metric = outcome.experiment.panels[0]
    figure, (left, right) = new_figure(2, width=8.6, height=3.4, width_ratios=(1.7, 1))
    draw_curves(left, records, metric)
    left.set_ylabel("accuracy at one hop")
    left.set_title("the same Transformer, the same data")
    for side, runs in records.items():
        last = runs[-1].curve[-1]
        mean = float(np.mean([r.score(metric.name) for r in runs]))
        left.annotate(
            side,
            (last["step"], mean),
            xytext=(-4, 8),
            textcoords="offset points",
            ha="right",
            color=colour(side),
            fontweight="bold",
        )
    draw_dots(right, {side: [r.score(metric.name) for r in runs] for side, runs in records.items()}, metric.chance)
    right.set_title(f"at the end, {max(map(len, records.values()))} seeds")
    return figure
