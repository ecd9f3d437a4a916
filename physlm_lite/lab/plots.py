"""Figures drawn from records. Every figure has labels, units and the number of seeds; each seed stays visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from ..base.files import write_whole
from ..claims import Outcome
from ..claims.rules import NOT_RUN, Ahead, AtLeast, Climbs, Level, Noise
from ..claims.sides import COLOURS
from ..tasks import Metric
from ..training import Record

if TYPE_CHECKING:
    import pandas as pd

_OTHERS = ("#66a182", "#2e4057", "#8d96a3", "#b56576")
Point = tuple[float, float]
RED, BLUE, GREEN, GREY, FAINT = "#d1495b", "#4c6a92", "#66a182", "#6b7280", "#8d96a3"
PAGE = 9.6  # inches at 100 dots: what is wider would be shrunk to the page, and its letters with it
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
        (", no convolution, Canon-", ", Canon-"),  # it stands alone there
        (" + ", "\n+ "),
        (", ", ",\n"),
        ("frozen ", "frozen\n"),
        (" (", "\n("),
        ("no convolution", "no convo-\nlution"),
        ("no residual", "no\nresidual"),
        (" alone", "\nalone"),
        ("1\n+ elu", "1 + elu"),
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
        figure = Figure(figsize=(min(width, PAGE), height), layout="constrained")
        return figure, figure.subplot_mosaic(panels, **options)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a PNG whole or not at all; returns the path."""
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", metadata={"Software": None}))
    return path


def note(axis: Axes, text: str, at: Point, shift: Point = (0, 0), **look: Any) -> None:
    """A text beside a point, moved by so many points to the right and up."""
    axis.annotate(text, at, xytext=shift, textcoords="offset points", **{"ha": "center", "fontsize": 9, **look})


def arrow(axis: Axes, begin: Point, end: Point, shade: str, width: float = 1.4, gap: float = 2) -> None:
    """An arrow from one point to another, of which it keeps `gap` typographic points away."""
    look = {"arrowstyle": "-|>", "color": shade, "lw": width, "shrinkA": gap, "shrinkB": gap}
    axis.annotate("", end, begin, arrowprops=look)


def chip(
    axis: Axes,
    text: str,
    at: Point,
    face: str,
    edge: str = GREY,
    *,
    width: float = 1.0,
    shape: str = "round,pad=0.35",
    **look: Any,
) -> None:
    """A text in the middle of a small coloured box. shape: one of Matplotlib's box styles; look: options of the text."""
    box = {"boxstyle": shape, "facecolor": face, "edgecolor": edge, "linewidth": width}
    axis.text(*at, text, **{"ha": "center", "va": "center", "bbox": box, **look})


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


def heat_row(
    matrices: Mapping[str, Any], names: Sequence[str], size: Point, across: str, down: str, **options: Any
) -> Figure:
    """Square matrices side by side as `heat` draws them, each under its name, with the same `names` on both axes."""
    width, height = size
    figure, axes = new_figure(len(matrices), width, height, sharey=True)
    for axis, (title, matrix) in zip(axes, matrices.items(), strict=True):
        heat(axis, matrix, names, names, **options)
        axis.set(title=title, xlabel=across)
    axes[0].set_ylabel(down)
    return figure


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
    axis: Axes, groups: Mapping[str, Scores], floors: Sequence[Mapping[str, float]] = (), share: bool = True
) -> None:
    """Every seed a dot, a bar at the mean of each side, and the mean as a number; share: an axis from 0 to 1.

    groups: what is written under the axis, and the scores above it. floors: what is scored in each group by guessing, or
    by whatever else is named.
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
        if len(columns) > 6:  # side by side there is room for two digits
            text = f"{fmean(scores):.1f}" if fmean(scores) > 0.995 else text.removeprefix("0")
        note(axis, text, (column, scores.max()), (0, 7), fontsize=11 if len(columns) < 5 else 9)
    axis.set(xlabel="", ylabel="", xlim=(-0.6, len(groups) - 0.4))
    room = 34 // max(len(groups), 1)  # letters
    names = ["\n".join(part for line in name.split("\n") for part in wrap(line, max(room, 6))) for name in groups]
    axis.set_xticks(range(len(groups)), names, fontsize=11 if len(groups) < 3 else 9)
    high = max([high, *(floor for named in floors for floor in named.values())])
    axis.set_ylim(*((0, 1.12) if share else (min(0, 1.1 * low), max(1.18 * high, 0.1 * abs(low)))))
    if share:
        axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    beside: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "ha": "left", "va": "center", "color": GREY}
    for place, named in enumerate(floors):
        for name, floor in named.items():
            axis.plot([place - 0.5, place + 0.5], [floor, floor], color=GREY, linestyle=":", linewidth=1.2)
            if name not in {other for later in floors[place + 1 :] for other in later}:  # outside, where no dot can be
                note(axis, name, (1, floor), (3, 0), **beside)


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

    ncols = -(-len(shades) // -(-len(shades) // 5))  # at most five in a line, and all lines alike
    below = {"loc": "outside lower center", "ncols": ncols} if isinstance(place, Figure) else {}
    lines = [Line2D([], [], color=shade, linewidth=2.4, label=name) for name, shade in shades.items()]
    place.legend(handles=lines, **{"fontsize": 10, "frameon": False, **below, **options})


# -- whole claims ------------------------------------------------------------------------------------------------------


def outcome_figure(outcome: Outcome) -> Figure:
    """A claim at one scale in three panels: final scores, a dot a seed, with the floors; learning curves; and what is judged.

    That is the difference with its 95 % interval on both clocks, or the steps to a rung; where neither is there, such as of
    the first protocol, the learning curves over seconds. The words of both clocks stand above.
    """
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metrics, metric = outcome.experiment.panels, judged_metric(outcome)
    shown = [m for m in metrics if m.share] if metric.share else [metric]
    ratio = max(1.35, 0.18 * len(records) * len(shown))
    figure, (dots, curves, last) = new_figure(3, width=9.2, height=3.9, width_ratios=(ratio, 1, 1.2))
    floors = [outcome.floors(m) for m in shown]
    if len(shown) > 1:
        draw_dots(dots, {m.label: scores_of(records, m) for m in shown}, floors)
    else:
        beside = [m for m in metrics if m is not metric]
        scores = scores_of(records, metric)
        names = {side: "\n".join([folded(side), *_means(records[side], beside)]) for side in records}
        draw_dots(dots, {names[side]: {side: scores[side]} for side in records}, floors * len(records), metric.share)
        dots.set_title(metric.label)
        if beside and records:
            dots.set_xlabel(f"(mean of {', '.join(m.label for m in beside)})", fontsize=9, color=GREY)
    dots.set_ylabel("one dot a seed")
    draw_lines(curves, lines_of(records, metric), metric.share)
    curves.set_title(f"{metric.label},\nwhile it learns" if len(metrics) > 1 else "while it learns")
    label_ends(
        curves, {side: [line[-1] for line in lines if line] for side, lines in lines_of(records, metric).items()}
    )
    if not draw_judged(last, outcome):
        draw_lines(last, lines_of(records, metric, "seconds"), metric.share)
        last.set(xlabel="seconds of training", title="the same, over time")
    seeds = max((len(runs) for runs in outcome.records.values()), default=0)
    count = f"{seeds} seed{'s' * (seeds != 1)}"
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {count}\n{words(outcome)}", fontsize=11)
    return figure


def judged_metric(outcome: Outcome) -> Metric:
    """The score that the rules look at, of those that are drawn."""
    metrics, rules = outcome.experiment.panels, outcome.experiment.rules
    named = [f"accuracy_k.{rule.hops}" if isinstance(rule, Climbs) else getattr(rule, "metric", "") for rule in rules]
    default = metrics[-1 if outcome.scale == "laptop" else 0]
    return next((m for name in named for m in metrics if m.name == name), default)


def words(outcome: Outcome) -> str:
    """The verdict on both clocks, or that there is none yet."""
    if outcome.verdict.word == NOT_RUN and any(outcome.records.values()):
        lead = all(len(runs) == 1 for runs in outcome.records.values())
        return "one seed of each side: a lead, not a verdict" if lead else "not judged yet"
    if outcome.protocol == 1:
        return f"{outcome.verdict.word} (first protocol)"
    in_time = outcome.verdict_in_time.word
    return f"equal steps: {outcome.verdict.word}" + f"  ·  equal seconds: {in_time}" * (in_time != NOT_RUN)


def _means(runs: Sequence[Record], metrics: Iterable[Metric]) -> list[str]:
    return [f"({fmean(run.score(metric.name) for run in runs):.2f})" for metric in metrics]


def label_ends(axis: Axes, ends: Mapping[str, Sequence[Point]]) -> None:
    """The name of each side at the mean end of its curves, right of the panel, and no name on another."""
    sides = sorted((fmean(y for _, y in points), side) for side, points in ends.items() if points)
    bottom, top = axis.get_ylim()
    line = 0.08 * (top - bottom)  # of letters of 9 points, in the panels of `outcome_figure`
    half = {side: line * (folded(side).count("\n") + 1) / 2 for _, side in sides}
    places, ceiling = {}, top + line
    for height, side in reversed(sides):
        places[side] = min(height, ceiling - half[side])
        ceiling = places[side] - half[side] - 0.2 * line
    lowest = min((place - half[side] for side, place in places.items()), default=bottom)
    places = {side: place + max(0.0, bottom - lowest) for side, place in places.items()}
    for side, place in places.items():
        beside = {"xycoords": axis.get_yaxis_transform(), "ha": "left", "va": "center", "linespacing": 1.0}
        note(axis, folded(side), (1, place), (3, 0), color=colour(side), **beside)


def draw_judged(axis: Axes, outcome: Outcome) -> bool:
    """What the rules judge: differences with their intervals, or steps to a rung; False if there is nothing of the kind."""
    climbs = [rule for rule in outcome.experiment.rules if isinstance(rule, Climbs)]
    if outcome.verdict.word == NOT_RUN or outcome.protocol == 1:
        return False
    if climbs:
        _draw_rungs(axis, outcome, climbs[0])
        return True
    return _draw_differences(axis, outcome)


def _draw_rungs(axis: Axes, outcome: Outcome, rule: Climbs) -> None:
    """Of each seed, the step at which it reached the rung, or that it never did."""
    budget = outcome.experiment.training.steps
    for row, side in enumerate(rule.sides()):
        steps = [rule.steps(record) for record in outcome.records[side]]
        for step in sorted(set(steps)):
            same = steps.count(step)
            rows = [row + 0.16 * (number - (same - 1) / 2) for number in range(same)]
            axis.scatter([min(step, 1.3 * budget)] * same, rows, s=38, color=colour(side), edgecolor="white", lw=0.6)
    axis.axvline(1.12 * budget, color=GREY, linewidth=1, linestyle=":")
    axis.set(xlim=(0, 1.5 * budget), ylim=(1.6, -0.6), xlabel="training step")
    ticks = [0, budget // 2, budget]
    axis.set_xticks([*ticks, 1.3 * budget], [*(f"{tick:,}" for tick in ticks), "never"])
    axis.set_yticks(range(2), [folded(side) for side in rule.sides()])
    rungs = f"1 to {rule.hops} hops" if rule.hops > 1 else "1 hop"
    p = outcome.verdict.comparisons[0].p
    axis.set_title(f"{rungs} learnt (≥ {rule.accuracy:g}),\np = {p:.3f}")


def _draw_differences(axis: Axes, outcome: Outcome) -> bool:
    """The first kind of difference that the rules look at, each with its interval at equal steps and at equal seconds."""
    steps, seconds = outcome.verdict.comparisons, outcome.verdict_in_time.comparisons
    if len(seconds) != len(steps):
        seconds = ()
    pairs = [(one, seconds[number] if seconds else None) for number, one in enumerate(steps)]
    pairs = [pair for pair in pairs if (pair[0].metric, pair[0].ratio) == (steps[0].metric, steps[0].ratio)]
    if not any(one.interval for one, _ in pairs):
        return False
    for row, pair in enumerate(pairs):
        for found, shift, filled in zip(pair, (-0.14, 0.14), (True, False), strict=True):
            if found is not None and found.interval is not None and found.difference is not None:
                low, high = found.interval
                shade = colour(found.better)
                look: dict[str, Any] = {
                    "color": shade,
                    "markerfacecolor": shade if filled else "white",
                    "capsize": 3,
                    "marker": "o",
                }
                errors = [[max(found.difference - low, 0)], [max(high - found.difference, 0)]]
                axis.errorbar([found.difference], [row + shift], xerr=errors, markersize=6, linewidth=1.6, **look)
    rules = outcome.experiment.rules
    contests = any(isinstance(rule, Noise) for rule in rules)
    sign = " wins\nagainst " if contests else "\nahead of "
    for row, (one, _) in enumerate(pairs):  # above its intervals, where a long name has room
        beside: dict[str, Any] = {
            "xycoords": axis.get_yaxis_transform(),
            "ha": "left",
            "va": "bottom",
            "linespacing": 1.0,
        }
        beside["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        note(axis, f"{one.better}{sign}{one.worse}", (0.02, row - 0.24), **beside)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_ylim(len(pairs) - 0.6, -0.75)
    axis.axvline(0.5 if contests else 1 if steps[0].ratio else 0, color="#333", linewidth=1)
    for bar in {bar for rule in rules for bar in _bars(rule)}:
        axis.axvline(bar, color=GREY, linewidth=1.2, linestyle=":")
    what = "contests won" if contests else "ratio" if steps[0].ratio else "difference"
    axis.set_title(f"{outcome.experiment.metric(steps[0].metric).label}:\n{what}, 95 % interval", fontsize=11)
    axis.set_xlabel("filled: equal steps\nhollow: equal seconds" if seconds else "at equal steps", fontsize=9)
    axis.locator_params(axis="x", nbins=4)
    return True


def _bars(rule: Any) -> tuple[float, ...]:
    """Where the interval has to lie to one side of, or between."""
    if isinstance(rule, Level):
        return -rule.margin, rule.margin
    if isinstance(rule, AtLeast):
        return (-rule.margin,)
    if isinstance(rule, Ahead):
        return (rule.by if rule.factor is None else rule.factor,)
    return (rule.enough,) if isinstance(rule, Noise) else ()


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
    floors = [outcome.floors(metric)] * len(records)
    draw_dots(right, {folded(side): {side: scores[side]} for side in records}, floors)
    right.set_title(f"at the end, {max(map(len, records.values()))} seeds")
    return figure
