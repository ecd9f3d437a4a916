"""The learning rates behind a claim: every run of the grid, what each rate alone would have said, and what was chosen."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from ..claims import Claim, Experiment, Outcome, everything, recorded
from ..training import Record, Store
from .page import Block, behind, table
from .plots import GREY, chart, colour, name_lines, new_figure, palette

Grid = dict[str, dict[float, list[Record]]]


def grid_of(experiment: Experiment, store: Store | None = None) -> Grid:
    """{side: {rate: records}} of the grid on which an experiment's learning rates were chosen, as far as recorded."""
    store, tuning = store or everything(), experiment.tuning
    tried = {*tuning.rates, *(rate for side in experiment.sides for rate in tuning.tune(side, store).tried)}
    found: Grid = {side: {rate: [] for rate in sorted(tried)} for side in experiment.sides}
    for side, rates in found.items():
        for rate, records in rates.items():
            runs = (tuning.run(side, rate, seed) for seed in tuning.tuning_seeds)
            records += [record for run in runs if (record := tuning.find(run, store)) is not None]
    return found


def grids(claim: Claim, store: Store | None = None) -> dict[str, Experiment]:
    """The experiments on which a claim's rates were chosen, as far as recorded, named by the scales that go by each."""
    shared: list[tuple[list[str], Experiment]] = []
    for scale in claim.experiments:
        experiment = recorded(claim, scale, store).experiment
        if scale == "smoke" or not any(any(rates.values()) for rates in grid_of(experiment, store).values()):
            continue
        if not any(tuning == experiment.tuning for _, tuning in shared):
            shared.append(([], experiment.tuning))
        next(scales for scales, tuning in shared if tuning == experiment.tuning).append(scale)
    return {", ".join(scales): tuning for scales, tuning in shared}


def rate_figure(experiment: Experiment, title: str = "", store: Store | None = None, ceiling: str = "") -> Figure:
    """Every side at every learning rate of the grid, a panel for each score; the ring marks the rate a side is judged at.

    Dotted: what guessing scores or, for the score that chose the rates, `ceiling`: the score that holds the most there is.
    """
    import pandas as pd

    tuning, grid, store = experiment.tuning, grid_of(experiment, store), store or everything()
    records = {side: [record for found in rates.values() for record in found] for side, rates in grid.items()}
    level = len(tuning.panels) > 1 and all(metric.share for metric in tuning.panels)
    figure, axes = new_figure(len(tuning.panels), width=10.0, height=3.8, sharey=level)
    for axis, metric in zip(axes, tuning.panels, strict=True):
        rows = [
            (side, rate, rate * 1.04 ** (2 * i - len(grid) + 1), record.score(metric.name))
            for i, (side, rates) in enumerate(grid.items())
            for rate, found in rates.items()
            for record in found
        ]
        data = pd.DataFrame(rows, columns=["side", "rate", "place", "score"])
        chart("lineplot", axis, data, "place", "score", palette(grid), estimator="mean", errorbar=None, linewidth=2)
        chart("scatterplot", axis, data, "place", "score", palette(grid), s=32, alpha=0.7)
        for side in grid:
            best = data[(data.side == side) & (data.rate == tuning.best_rate(side, store))]
            if len(best):
                ring: dict[str, Any] = {"markersize": 14, "markerfacecolor": "none", "markeredgewidth": 1.8}
                axis.plot(best.place.mean(), best.score.mean(), "o", color=colour(side), **ring)
            if ceiling and metric.name == tuning.select and (known := [r.final for r in records[side] if r.final]):
                axis.axhline(known[0][ceiling], color=colour(side), linestyle=":", linewidth=1.2)
        if not ceiling and metric.chance is not None:
            axis.axhline(metric.chance, color=GREY, linestyle=":", linewidth=1.2)
        axis.set_xscale("log")
        rates = list(next(iter(grid.values())))
        axis.set_xticks(rates, [f"{1000 * rate:g}" for rate in rates])
        axis.minorticks_off()
        axis.set_xlim(min(rates) / 1.3, max(rates) * 1.3)
        axis.set_ylim(*((-0.02, 1.05) if metric.share else (min(0.0, axis.get_ylim()[0]), None)))
        axis.set(xlabel="learning rate, thousandths", ylabel="", title=metric.label)
    axes[0].set_ylabel("score, one dot a seed")
    name_lines(figure, palette(grid))
    dotted = "all known" if ceiling else "guessing"
    what = f"{tuning.training.steps:,} steps; ring: a side's best rate; dotted: {dotted}"
    figure.suptitle(f"{title}: {what if any(records.values()) else 'no records yet'}", fontsize=11)
    return figure


def rate_table(claim: Claim, store: Store | None = None) -> Block:
    """What one would have concluded at each single rate, and with each side at its own best one (mean of the seeds).

    The last side is compared with the first: shares by their difference, other scores by their ratio. And each side's best
    rate is compared with its worst: what the rate alone is worth.
    """
    store, sides = store or everything(), list(next(iter(claim.experiments.values())).sides)
    rows: list[tuple[str, ...]] = []
    compared = "difference"
    for scales, experiment in grids(claim, store).items():
        metric = experiment.metric(experiment.select)
        share, digits = metric.share, 2 if metric.share else 3
        compared = "difference" if share else f"{sides[-1]} / {sides[0]}"
        grid = grid_of(experiment, store)
        means = {
            side: {rate: fmean(r.score(metric.name) for r in found) for rate, found in rates.items() if found}
            for side, rates in grid.items()
        }
        scores = {f"{rate:g}": [means[side].get(rate) for side in sides] for rate in grid[sides[0]]}
        scores["each at its best"] = [means[side].get(experiment.best_rate(side, store) or 0) for side in sides]
        lines = [
            [name, *("-" if s is None else f"{s:.{digits}f}" for s in known), _against(known[-1], known[0], share)]
            for name, known in scores.items()
        ]
        merits: list[list[Any]] = [sorted(known.values(), key=metric.merit) or [None] for known in means.values()]
        lines.insert(-1, ["best against worst rate", *(_against(known[-1], known[0], share) for known in merits), ""])
        rows += [(scales, metric.label, *cells) for cells in lines]
    return table(("scale", "score", "learning rate", *sides, compared), rows or [("no records yet",)])


def _against(score: float | None, other: float | None, share: bool) -> str:
    if score is None or other is None or (other <= 0 and not share):
        return "-"
    return f"{score - other:+.2f}" if share else f"{score / other:.2f}"


def chosen_rates(*outcomes: Outcome) -> Block:
    """The learning rate at which each side is judged, and the grid that it is chosen from."""
    rows = []
    for outcome in outcomes:
        choices = ", ".join(f"{rate:g}" for rate in outcome.experiment.tuning.rates)
        for side, records in outcome.records.items():
            if records and side in outcome.rates:
                rate = f"{outcome.rates[side]:g}"
                rows.append((outcome.claim.id, outcome.scale, side, rate, choices, outcome.sources.get(side, "")))
    whole = table(("claim", "scale", "side", "its best rate", "of, at first", "chosen"), rows)
    return whole if len(rows) <= 8 else behind(f"The rates of {len(rows)} sides", whole)
