"""Mano to look at: the tree of an expression, the tables behind it, the floor, and what the records say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import comb
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...claims import Claim, Experiment, Outcome, recorded
from ...lab.controls import menu, slider, stops
from ...lab.page import Block, table
from ...lab.plots import BLUE, GREY, RED, chip, draw_dots, heat, name_lines, new_figure, palette, scores_of
from ...lab.reading import YELLOW as MARKED
from ...lab.reading import first_texts, inspector
from ...lab.show import Interactive
from ...tasks.mano import Expression, Mano
from ...training import Store

LONGEST = 10  # operations that the explorer shows
YELLOW, PINK, PALE = "#ffe99a", "#f6cdd2", "#eef1f6"


# -- the tree of an expression -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """One item of a text in the picture of its tree: where it hangs, and where it is drawn."""

    item: str | int
    parent: int | None
    x: float
    depth: int


def tree(expression: Expression) -> list[Node]:
    """The nodes of an expression, in the order of its text. Leaves stand at x = 0, 1, ...; an operator over its operands."""
    nodes: list[Node | None] = [None] * len(expression)
    items, leaves = enumerate(expression), count()

    def grow(parent: int | None, depth: int) -> float:
        """Place the next item and all below it; its x."""
        place, item = next(items)
        x = fmean([grow(place, depth + 1), grow(place, depth + 1)]) if isinstance(item, str) else float(next(leaves))
        nodes[place] = Node(item, parent, x, depth)
        return x

    grow(None, 0)
    return [node for node in nodes if node is not None]


@dataclass(frozen=True)
class Calculation:
    """One step by hand: the text before it, where in that text its three tokens stand, and the node that gets a value."""

    text: str
    before: Expression
    at: int
    node: int
    value: int


def calculations(task: Mano, expression: Expression) -> list[Calculation]:
    """The steps of `Mano.steps`, with the places they happen at."""
    before, places, done = expression, list(range(len(expression))), []
    for text, rest in task.steps(expression):
        at = next(i for i, (old, new) in enumerate(zip(before, rest, strict=False)) if old != new)
        value = rest[at]
        assert isinstance(value, int)
        done.append(Calculation(text, before, at, places[at], value))
        before, places = rest, places[: at + 1] + places[at + 3 :]
    return done


def mano_figure(task: Mano, expression: Expression, step: int) -> Figure:
    """The tree of an expression after `step` calculations, and the text after each of them.

    Yellow: the three tokens that a calculation takes. Red: the number that the latest one left.
    """
    nodes, steps = tree(expression), calculations(task, expression)
    step = min(step, len(steps))
    values = {c.node: c.value for c in steps[:step]}
    upcoming = steps[step].node if step < len(steps) else None
    short = len(steps) < 6
    size, height = (12, 3.6) if short else (9, 0.42 * len(steps) + 1.4)
    figure, (left, right) = new_figure(2, width=10.5, height=height, width_ratios=(1, 1.25 if short else 1.7))
    for place, node in enumerate(nodes):
        if node.parent is not None:
            above, hot = nodes[node.parent], node.parent == upcoming
            look: dict[str, Any] = {"color": "#e0b000" if hot else "#c4c9d1", "linewidth": 2.6 if hot else 1.3}
            left.plot([node.x, above.x], [-node.depth, -above.depth], zorder=1, **look)
        text = f"{node.item} = {values[place]}" if place in values else str(node.item)
        latest = step > 0 and place == steps[step - 1].node
        face = PINK if latest else YELLOW if upcoming in (place, node.parent) and upcoming is not None else PALE
        face, edge, ink = ("white", "#d9dde3", "#a3a9b3") if node.parent in values else (face, GREY, "black")
        chip(left, text, (node.x, -node.depth), face, edge, fontsize=size, color=ink)
    left.set(xlim=(-0.8, len(steps) + 0.8), ylim=(-max(node.depth for node in nodes) - 0.5, 0.5))
    left.axis("off")
    left.set_title(f"the tree: {len(steps)} operation{'s' * (len(steps) != 1)} modulo {task.modulus}")
    _write_steps(right, steps, step, size)
    return figure


def _write_steps(axis: Axes, steps: Sequence[Calculation], step: int, size: float) -> None:
    """One line a calculation: the text before it, its three tokens in yellow, and the calculation in words."""
    answer, width = steps[-1].value, len(steps[0].before)
    notes = [c.text for c in steps[:step]] + ["next: ?" if step < len(steps) else f"the answer: {answer}"]
    texts: list[Expression] = [*(c.before for c in steps), [answer]]
    for line, (before, note) in enumerate(zip(texts, notes, strict=False)):
        for i, item in enumerate(before):
            made = 0 < line == step and i == steps[line - 1].at
            taken = line < len(steps) and 0 <= i - steps[line].at < 3
            face = PINK if made else YELLOW if taken else "none"
            chip(axis, str(item), (i, -line), face, "none", shape="round,pad=0.15", fontsize=size, family="monospace")
        look: dict[str, Any] = {"color": GREY} if line < len(steps) else {"fontweight": "bold"}
        axis.text(width + 0.4, -line, note, va="center", fontsize=size, **look)
    axis.set(xlim=(-0.8, width + 0.4 + max(6, 0.35 * width + 3)), ylim=(-len(steps) - 0.6, 0.6))
    axis.axis("off")
    axis.set_title("the text, reduced step by step")


def mano_inspector(task: Mano, seed: int = 0) -> Interactive:
    """Pick an instance and work it out step by step; below, the tokens as the model sees them."""
    task = dataclasses.replace(task, context=None)  # one instance a row
    batch = task.batch(seed, 0, 8, split="test")
    expressions = [task.read(text)[1] for text in first_texts(batch)]
    return inspector(
        task,
        batch,
        lambda row, step: mano_figure(task, expressions[row], step),
        {"step": slider("steps worked out", 1, 0, task.L)},
        "Mano inspector: the tree of an expression and its evaluation step by step",
        f"in {MARKED} what it is trained to predict. The steps above are never written.",
    )


# -- the tables and the floor ------------------------------------------------------------------------------------------


def operator_tables(task: Mano) -> dict[str, NDArray[np.int64]]:
    """{operator: [left, right] table of results}: the facts that a model must hold. (Without division.)"""
    numbers = range(task.modulus)
    return {
        operator: np.array([[task.evaluate([operator, a, b]) for b in numbers] for a in numbers])
        for operator in task.operators
    }


def table_figure(task: Mano) -> Figure:
    """The operators' tables modulo m, with every result 0 in red."""
    from matplotlib import colormaps

    tables, m = operator_tables(task), task.modulus
    figure, axes = new_figure(len(tables), width=3.5 * len(tables), height=4.2)
    step = 1 if m <= 13 else 5
    for axis, (operator, results) in zip(axes, tables.items(), strict=True):
        shades = colormaps["Blues"].with_extremes(under=RED)
        names = [str(n) if n % step == 0 else "" for n in range(m)]
        heat(axis, results, names, names, numbers=".0f" if m <= 13 else "", cmap=shades, vmin=1, vmax=1.2 * m)
        axis.set(xlabel="b", title=f"a {operator} b:  0 in {(results == 0).sum()} of {m * m}")
    axes[0].set_ylabel("a")
    figure.suptitle(f"{len(tables) * m * m:,} facts modulo {m}; result 0 in red")
    return figure


def answer_figure(modulus: int = 23, lengths: Sequence[int] = (1, 2, 4, 10, 16)) -> Figure:
    """Left: the exact distribution of the answer for these lengths. Right: the floor at every length up to the largest."""
    task = Mano(L=max(lengths), modulus=modulus)
    chances = 100 * task.answer_probabilities
    figure, (left, right) = new_figure(2, width=10.5, height=3.6, width_ratios=(1.5, 1))
    for length, shade in zip(lengths, np.linspace(0.3, 1, len(lengths)), strict=True):
        label = f"{length} operation{'s' * (length != 1)}"
        left.plot(range(modulus), chances[length], "o", color=RED, alpha=shade, markersize=5, label=label)
    left.axhline(100 / modulus, color="#555", linestyle=":", linewidth=1)
    left.set(xlabel="answer", ylabel="probability, %", ylim=(0, 1.1 * chances[1:].max()))
    left.legend(fontsize=9)
    left.set_title("which answer is the most likely?")
    _draw_floor(right, task)
    right.set_title("the floor: always answer 0")
    return figure


def _draw_floor(axis: Axes, task: Mano) -> None:
    """The best constant answer's score at every length, beside uniform guessing."""
    lengths = range(1, task.L + 1)
    axis.plot(lengths, [100 * task.floor(n) for n in lengths], "o-", color=RED, markersize=4, label="always 0")
    axis.axhline(100 / task.modulus, color="#555", linestyle=":", linewidth=1, label=f"guessing, 1/{task.modulus}")
    axis.set(ylim=(0, 130 * task.floor(task.L)), xlabel="operations", ylabel="accuracy, %")
    axis.legend(fontsize=9, loc="lower right")


def expression_count(length: int, modulus: int, operators: str = "+-*") -> int:
    """How many different texts of `length` operations there are: shapes of the tree x operators x numbers."""
    shapes = comb(2 * length, length) // (length + 1)  # Catalan's number
    return shapes * len(operators) ** length * modulus ** (length + 1)


@dataclass(frozen=True)
class Budget:
    """One training: how many instances it sees, with 1 to `longest` operations, all lengths equally often."""

    instances: int
    longest: int

    @classmethod
    def of(cls, task: Mano, steps: int, rows: int) -> Budget:
        """The budget of `steps` steps of `rows` rows; a window holds context / (L + 6) instances on average."""
        return cls(steps * rows * (1 if task.context is None else task.context // (task.L + 6)), task.L)


def floor_explorer(budgets: Mapping[str, Budget]) -> Interactive:
    """Choose modulus, length and training: facts, different expressions, floor."""
    controls = {
        "modulus": stops("modulus", (5, 7, 11, 13, 17, 19, 23, 29, 31), 23),
        "length": slider("operations", 3, 1, LONGEST),
        "budget": menu("training", list(budgets.items())),
    }
    alt = "Expressions of each length against the instances of one training, and the floor"
    return Interactive(explorer_figure, controls, alt)


def explorer_figure(modulus: int, length: int, budget: Budget) -> Figure:
    """Left: different expressions of each length against the instances that a training sees. Right: the floor."""
    task = Mano(L=LONGEST, modulus=modulus)
    counts = [expression_count(n, modulus) for n in range(1, LONGEST + 1)]
    different, each = counts[length - 1], budget.instances / budget.longest
    figure, (left, right) = new_figure(2, width=10.5, height=4.0, width_ratios=(1.4, 1))
    shades = ["#e8a0a8" if n != length else RED for n in range(1, LONGEST + 1)]
    left.bar(range(1, LONGEST + 1), list(map(float, counts)), color=shades)
    left.plot([0.5, budget.longest + 0.5], [each] * 2, color=BLUE, linewidth=2.5, label="instances of this length")
    left.set(yscale="log", ylim=(10, 1e27))
    left.set_xticks(range(1, LONGEST + 1))
    left.set(xlabel="operations", ylabel="different expressions")
    left.legend(loc="upper left", fontsize=9)
    seen = _often(each / different, length <= budget.longest)
    left.set_title(f"{3 * modulus**2:,} facts, {_magnitude(different)} expressions of this length,\n{seen}")
    _draw_floor(right, task)
    right.plot([length], [100 * task.floor(length)], "o", color=RED, markersize=10, markerfacecolor="none")
    right.set_title(f"always 0: {task.floor(length):.1%}")
    return figure


def _often(times: float, trained: bool) -> str:
    if not trained:
        return "longer than anything in this training"
    if times < 0.01:
        return "nearly all of them never seen"
    return f"each seen {times:,.0f} times" if times >= 10 else f"each seen {times:.2g} times on average"


def _magnitude(count: int) -> str:
    """A count as a reader takes it in: 219,006 or 7.3 x 10^9."""
    if count < 10**7:
        return f"{count:,}"
    digits, power = f"{count:.1e}".split("e+")
    return rf"${digits} \times 10^{{{int(power)}}}$"


# -- the records -------------------------------------------------------------------------------------------------------


def task_of(experiment: Experiment) -> Mano:
    """The task that an experiment trains on."""
    assert isinstance(experiment.made_task, Mano)
    return experiment.made_task


def length_figure(*outcomes: Outcome) -> Figure:
    """Accuracy by the number of operations, a panel for each outcome: every seed a dot, bars at the means, the floor dotted."""
    figure, axes = new_figure(len(outcomes), width=min(10.5, 5.0 * len(outcomes) + 1.0), height=3.8)
    for axis, outcome in zip(axes, outcomes, strict=True):
        task = task_of(outcome.experiment)
        lengths = range(1 if task.every_length else task.L, task.L + 1)
        metrics = [task.metrics[f"accuracy_length.{n}"] for n in lengths]
        known = {side: runs for side, runs in outcome.records.items() if runs}
        floors = [{} if m.chance is None else {"always 0": m.chance} for m in metrics]
        draw_dots(axis, {m.label: scores_of(known, m) for m in metrics}, floors)
        seeds = max(map(len, known.values()), default=0)
        axis.set_title(
            f"{outcome.scale}: modulo {task.modulus}, "
            + (f"{seeds} seed{'s' * (seeds > 1)}" if seeds else "no records yet")
        )
    axes[0].set_ylabel("accuracy, one dot a seed")
    name_lines(figure, palette(outcomes[0].experiment.sides))
    return figure


def settings_compared(claim: Claim, store: Store | None = None) -> Block:
    """Budget, depth and format of each scale beside the scores of its sides."""
    rows, sides = [], list(next(iter(claim.experiments.values())).sides)
    for scale, experiment in claim.experiments.items():
        if scale == "smoke":
            continue
        task, outcome = task_of(experiment), recorded(claim, scale, store)
        packing = "one a row" if task.context is None else f"packed, {task.context:,} tokens"
        budget = f"{experiment.training.steps:,} x {experiment.training.batch}"
        setting = (scale, str(experiment.model["layers"]), budget, f"modulo {task.modulus}, up to {task.L}", packing)
        found = scores_of(outcome.records, experiment.metric(experiment.select))
        scores = [f"{fmean(found[side]):.2f}" if found[side] else "-" for side in sides]
        rows.append((*setting, experiment.metric(experiment.select).label, *scores, outcome.verdict.word))
    return table(("scale", "layers", "steps x rows", "expressions", "format", "score", *sides, "verdict"), rows)
