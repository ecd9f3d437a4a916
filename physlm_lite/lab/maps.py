"""A phase map as a picture."""

from __future__ import annotations

from statistics import fmean
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..claims.phase_map import AHEAD, BEHIND, MAP_SEEDS, NOT_RUN, PhaseMap, Point
from ..training import Store
from .plots import heat, new_figure

MARKS = {AHEAD: " ✓", BEHIND: " ✗"}


def map_figure(phase: PhaseMap, store: Store) -> Figure:
    """The colour says how far which side is ahead, the numbers what both score, a sign that every pair of seeds agrees."""
    points = {(point.x, point.y): point for point in phase.points(store)}
    found = [[points[x, y] for x in phase.across.values] for y in reversed(phase.up.values)]
    sign = -1 if phase.measured.lower else 1
    values = np.array([[sign * (np.nan if p.difference is None else p.difference) for p in row] for row in found])
    far = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    figure, (axis,) = new_figure(width=2.0 + 1.6 * len(phase.across.values), height=2.2 + 0.8 * len(found))
    names = [[f"{value:g}" for value in values] for values in (reversed(phase.up.values), phase.across.values)]
    texts = np.array([[_said(point) for point in row] for row in found])
    look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -far, "vmax": far, "square": False, "linewidths": 1}
    axis.set_facecolor("#eceff1")  # where nothing is recorded yet
    heat(axis, values, *names, high=far, annot=texts, annot_kws={"fontsize": 11}, **look)
    axis.set(xlabel=phase.across.label, ylabel=phase.up.label)
    axis.tick_params(axis="x", rotation=0)
    about = f"{phase.measured.label}, {phase.better} : {phase.worse}"
    signs = f"red: {phase.better} ahead, blue: behind; ✓ ✗: so on every pair of {len(MAP_SEEDS)} seeds a side"
    wide = 22 * len(phase.across.values) + 6
    axis.set_title("\n".join(fill(text, wide) for text in (phase.question, about, signs)), fontsize=11)
    return figure


def _said(point: Point) -> str:
    if point.word == NOT_RUN:
        return "–"
    return f"{fmean(point.ours):.2g} : {fmean(point.theirs):.2g}{MARKS.get(point.word, '')}"
