"""Figures drawn from records. Every figure has labels, units and the number of seeds; each seed stays visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from ..base.files import write_whole
from ..claims import Outcome
from ..claims.sides import COLOURS
from ..tasks import Metric
from ..training import Record

if TYPE_CHECKING:
    import pandas as pd

_OTHERS = ("#66a182", "#2e4057", "#8d96a3", "#b56576")
RED, BLUE, GREEN, GREY, FAINT = "#d1495b", "#4c6a92", "#66a182", "#6b7280", "#8d96a3"
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
    figure, axes = new_mosaic([list(range(columns))], width, height, **options)
    return figure, list(axes.values())


def new_mosaic(panels: list[list[Any]], width: float, height: float, **options: Any) -> tuple[Figure, dict[Any, Axes]]:
    """A figure whose panels are laid out like their names in `panels`, row by row."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its keys are one long Literal
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplot_mosaic(panels, **options)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG whole or not at all; returns the path."""
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
    return path


def note(axis: Axes, text: str, at: tuple[float, float], shift: tuple[float, float] = (0, 0), **look: Any) -> None:
    """A text beside a point, moved by so many points to the right and up."""
    axis.annotate(text, at, xytext=shift, textcoords="offset points", **{"ha": "center", "fontsize": 9, **look})


def chart(kind: str, axis: Axes, data: Any, x: str, y: str, shades: Mapping[str, Any], **options: Any) -> None:
    """One of seaborn's plots ("lineplot", "barplot", ...) with a colour for each side; nothing where there is no data.

    data: rows of (side, x, y), or a table with a column `side`.
    """
    import pandas as pd
    import seaborn as sns

    table = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data, columns=["side", x, y])
    if kind == "barplot":
        options = {"saturation": 1, "errorbar": None, **options}
    if len(table):
        getattr(sns, kind)(table, x=x, y=y, hue="side", palette=dict(shades), legend=False, ax=axis, **options)


def label_bars(axis: Axes, form: str) -> None:
    """The height of every bar as a number above it."""
    for bars in axis.containers:
        if isinstance(bars, BarContainer):
            axis.bar_label(bars, fmt=form, padding=3, fontsize=9)


def heat(
    axis: Axes,
    values: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    high: float = 0,
    numbers: str = "",
    **options: Any,
) -> None:
    """A matrix as colours, from 0 (white) to `high` (red), and down to -high (blue) if it has negative values.

    high: if 0, the largest size there is, and at least 1. numbers: the format of the numbers in the cells ("" for none);
    what would round to nothing is left out. options: those of seaborn's heatmap.
    """
    import numpy as np
    import seaborn as sns

    cells = np.asarray(values, float)
    size, signed = np.abs(cells), bool((cells < 0).any())
    high = high or max(1.0, float(np.nanmax(size)))
    texts = [[f"{cell:{numbers}}" if abs(cell) > 0.005 else "" for cell in row] for row in cells] if numbers else None
    look: dict[str, Any] = {"cmap": "RdBu_r" if signed else "Reds", "vmin": -high if signed else 0, "vmax": high}
    look |= {"annot": texts and np.array(texts), "fmt": "", "annot_kws": {"fontsize": 9}, "cbar": False, "square": True}
    sns.heatmap(cells, ax=axis, xticklabels=columns, yticklabels=rows, **look | options)
    turn = 90 if sum(map(bool, columns)) > 20 else 40 if max(map(len, columns), default=0) > 2 else 0
    axis.tick_params(length=0, labelsize=9)
    axis.tick_params(axis="y", rotation=0)
    for label in axis.get_xticklabels():
        label.set(rotation=turn, horizontalalignment="right" if turn == 40 else "center")


# -- seeds as dots -----------------------------------------------------------------------------------------------------

Scores = Mapping[str, Sequence[float]]  # of each side, one a seed


def palette(sides: Iterable[str]) -> dict[str, str]:
    """Sides with their colours, as seaborn takes them."""
    return {side: colour(side) for side in sides}


def scores_of(records: Mapping[str, Sequence[Record]], metric: Metric) -> dict[str, list[float]]:
    """The final scores of each side, one a seed."""
    return {side: [run.score(metric.name) for run in runs] for side, runs in records.items()}


def dot_table(groups: Mapping[Any, Scores]) -> pd.DataFrame:
    """One row a dot: group, side, score, the middle of the side's column, and the dot's own place beside it.

    Groups stand at 0, 1, ... and divide their room among their sides; the seeds of a side stand a little apart.
    """
    import pandas as pd

    rows = []
    for number, (group, sides) in enumerate(groups.items()):
        for i, (side, scores) in enumerate(sides.items()):
            column = number + 0.8 * ((i + 0.5) / len(sides) - 0.5)
            apart = 0.3 / len(sides) / max(len(scores) - 1, 2)
            rows += [
                (group, side, score, column, column + apart * (seed - (len(scores) - 1) / 2))
                for seed, score in enumerate(scores)
            ]
    return pd.DataFrame(rows, columns=["group", "side", "score", "column", "place"])


def draw_dots(
    axis: Axes,
    groups: Mapping[str, Scores],
    chance: Sequence[float | None] = (),
    share: bool = True,
    floor: str = "guessing",
) -> None:
    """Every seed a dot, a bar at the mean of each side, and the mean as a number; share: an axis from 0 to 1.

    groups: what is written under the axis, and the scores above it. chance: what is scored in each group by guessing, or
    by whatever `floor` names.
    """
    everyone = dot_table(groups)
    data = everyone[everyone.score.abs() < float("inf")]
    for column, lost in everyone.drop(data.index).groupby("column"):  # where the score of a diverged run is no number
        note(axis, f"{len(lost)} diverged", (column, 0), (0, 30), rotation=90, color=GREY)
    shades = palette(data.side.unique())
    bars: dict[str, Any] = {"native_scale": True, "dodge": False, "width": 0.78}
    chart("barplot", axis, data, "column", "score", shades, alpha=0.3, **bars)
    chart("scatterplot", axis, data, "place", "score", shades, s=38, linewidth=0.6, zorder=3)
    low, high = (data.score.min(), data.score.max()) if len(data) else (0.0, 1.0)
    columns = data.groupby("column").score
    for column, scores in columns:
        text = f"{fmean(scores):.{2 if share or high >= 0.3 else 3}f}"
        note(axis, text, (column, scores.max()), (0, 7), fontsize=11 if len(columns) < 7 else 9)
    axis.set(xlabel="", ylabel="", xlim=(-0.6, len(groups) - 0.4))
    axis.set_xticks(range(len(groups)), list(groups))
    axis.set_ylim(*((0, 1.12) if share else (min(0, 1.1 * low), max(1.18 * high, 0.1 * abs(low)))))
    if share:
        axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    known = [(place, guess) for place, guess in enumerate(chance) if guess is not None]
    for place, guess in known:
        axis.plot([place - 0.5, place + 0.5], [guess, guess], color=GREY, linestyle=":", linewidth=1)
    if known:
        note(
            axis,
            floor,
            (known[-1][0] + 0.58, known[-1][1]),
            (0, -11 if known[-1][1] > 0.1 else 3),
            ha="right",
            color=GREY,
        )


# -- learning curves ---------------------------------------------------------------------------------------------------

Lines = Mapping[str, Sequence[Sequence[tuple[float, float]]]]  # of each side, one a seed: (clock, score) of each test


def lines_of(records: Mapping[str, Sequence[Record]], metric: Metric, clock: str = "step") -> Lines:
    """A score during each run, over its steps or its seconds."""
    return {side: [[(p[clock], metric.of(p)) for p in run.curve] for run in runs] for side, runs in records.items()}


def draw_lines(axis: Axes, lines: Lines, share: bool, *, mean: bool = True, colours: Sequence[Any] = ()) -> None:
    """Learning curves: a thin line a seed and, over seeds that were tested equally often, a thick one for their mean.

    colours: one for each entry of `lines`, if these are not sides. mean=False: only the seeds, with a dot for each test.
    """
    import pandas as pd

    rows = [
        (side, seed, len(tests), number, *point)
        for side, seeds in lines.items()
        for seed, tests in enumerate(seeds)
        for number, point in enumerate(tests)
    ]
    data = pd.DataFrame(rows, columns=["side", "seed", "tests", "number", "clock", "score"])
    shades = dict(zip(lines, colours, strict=True)) if colours else palette(lines)
    thin: dict[str, Any] = {"alpha": 0.35, "linewidth": 1} if mean else {"alpha": 0.75, "marker": "o", "markersize": 5}
    chart("lineplot", axis, data, "clock", "score", shades, units="seed", estimator=None, **thin)
    if mean:
        equal = data[data.groupby("side").tests.transform("nunique") == 1]
        means = equal.groupby(["side", "number"], sort=False)[["clock", "score"]].mean().reset_index()
        chart("lineplot", axis, means, "clock", "score", shades, estimator=None, linewidth=2.4)
    if share:
        axis.set_ylim(-0.02, 1.05)
    elif len(data):
        low, high = data.score.min(), data.score.max()
        axis.set_ylim(min(0.0, 1.1 * low), max(1.1 * high, 0.1 * abs(low)) or 1.0)
    axis.locator_params(axis="x", nbins=5)
    axis.set(xlabel="training step", ylabel="")


def draw_clocks(
    axes: Sequence[Axes], records: Mapping[str, Sequence[Record]], metric: Metric, before: str = ""
) -> None:
    """The learning curves in two panels: over steps, and over seconds of training."""
    for axis, clock in zip(axes, ("step", "seconds"), strict=True):
        draw_lines(axis, lines_of(records, metric, clock), metric.share)
        axis.set_title(f"{before}equal {clock.removesuffix('s')}s")
    axes[1].set_xlabel("seconds of training")


def name_lines(place: Axes | Figure, shades: Mapping[str, Any], **options: Any) -> None:
    """A legend of names and their colours: inside a panel, or below the panels of a figure."""
    from matplotlib.lines import Line2D

    below = {"loc": "outside lower center", "ncols": len(shades)} if isinstance(place, Figure) else {}
    lines = [Line2D([], [], color=shade, linewidth=2.4, label=name) for name, shade in shades.items()]
    place.legend(handles=lines, **{"fontsize": 10, "frameon": False, **below, **options})


# -- whole claims ------------------------------------------------------------------------------------------------------


def outcome_figure(outcome: Outcome) -> Figure:
    """A claim at one scale: final scores of every seed, and the learning curves on both clocks.

    Scores that are shares stand side by side in one panel; any other above them, in one of its own.
    """
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metrics, seeds = outcome.experiment.panels, max((len(runs) for runs in outcome.records.values()), default=0)
    shares = [metric for metric in metrics if metric.share]
    panels = [[metric] for metric in metrics if not metric.share] + ([shares] if shares else [])
    mosaic = [[f"scores {row}", "step", "seconds"] for row in range(len(panels))]
    ratios = (max(1.35, 0.18 * len(records) * len(shares)), 1, 1)
    figure, axes = new_mosaic(mosaic, width=10.4, height=3.7 if len(panels) == 1 else 4.6, width_ratios=ratios)
    for row, shown in enumerate(panels):
        axis = axes[f"scores {row}"]
        if len(shown) == 1:
            (metric,) = shown
            groups = {folded(side): {side: scores} for side, scores in scores_of(records, metric).items()}
            draw_dots(axis, groups, [metric.chance] * len(groups), metric.share)
            axis.set_title(metric.label)
            if row + 1 < len(panels):
                axis.set_xticklabels([])
        else:
            draw_dots(axis, {m.label: scores_of(records, m) for m in shown}, [m.chance for m in shown])
    axes["scores 0"].set_ylabel("one dot a seed")
    named = [getattr(rule, "metric", "") for rule in outcome.experiment.rules]
    judged = sorted((m for m in metrics if m.name in named), key=lambda m: named.index(m.name))
    metric = judged[0] if judged else metrics[-1 if outcome.scale == "laptop" else 0]
    draw_clocks([axes["step"], axes["seconds"]], records, metric, f"{metric.label},\n" if len(metrics) > 1 else "")
    name_lines(figure, palette(records))
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {seeds} seeds: {outcome.verdict.word}")
    return figure


def effect_figure(outcome: Outcome) -> Figure:
    """The picture of the effect for the front page: learning curves and final accuracy at one hop."""
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metric = outcome.experiment.panels[0]
    figure, (left, right) = new_figure(2, width=8.6, height=3.4, width_ratios=(1.7, 1))
    draw_lines(left, lines_of(records, metric), metric.share)
    left.set(ylabel="accuracy at one hop", title="the same Transformer, the same data")
    scores = scores_of(records, metric)
    for side, runs in records.items():
        at = max((point["step"] for run in runs for point in run.curve), default=0), fmean(scores[side])
        note(left, side, at, (-4, 8), ha="right", fontsize=11, color=colour(side), fontweight="bold")
    draw_dots(right, {folded(side): {side: scores[side]} for side in records}, [metric.chance] * len(records))
    right.set_title(f"at the end, {max(map(len, records.values()))} seeds")
    return figure
