"""Brevo to look at and to play with: the graph behind an instance, what makes an answer right, and what the sizes do."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as Curve

from ...claims import Outcome
from ...lab.controls import menu, slider
from ...lab.frame import Touch
from ...lab.page import Block, table
from ...lab.plots import GREY, chart, chip, name_lines, new_figure, note, palette
from ...lab.reading import first_texts, write_facts
from ...lab.show import Interactive, Picture
from ...tasks.batch import Batch
from ...tasks.brevo import Brevo, depth
from ...tasks.names import Name

Vertex = Hashable
Edges = Iterable[tuple[Any, Any]]  # (parent, child)
Parents = Mapping[Any, frozenset[Any]]
Point = tuple[float, float]

HERE = Path(__file__).parent
WRITTEN, NEEDED, ALLOWED, OTHER = "#ffe99a", "#f6cdd2", "#bfe3c8", "#f4f5f7"
SHADES = ("#edae49", "#66a182", "#4c6a92", "#d1495b", "#2e4057")


class Instance(NamedTuple):
    """A graph, as edges (parent, child) in the order of the text, what is asked of it, and the answer in the text."""

    edges: list[tuple[Name, Name]]
    query: Name
    answer: list[Name]


def read_instances(task: Brevo, batch: Batch) -> list[Instance]:
    """The first instance of each row, read back from its tokens."""
    found = []
    for tokens in first_texts(batch):
        edges, query, (begin, end) = task.read(tokens)
        found.append(Instance(edges, query, task.names.read_all(tokens[begin:end])[0]))
    return found


def samples(task: Brevo, rows: int) -> list[Instance]:
    """Instances of the test split, where n = N."""
    task = dataclasses.replace(task, context=None)
    return read_instances(task, task.batch(0, 0, rows, split="test"))


# -- what makes an answer right ----------------------------------------------------------------------------------------


def parents_of(edges: Edges) -> dict[Any, frozenset[Any]]:
    """The parents of every vertex that has an edge."""
    parents: dict[Any, set[Any]] = {}
    for parent, child in edges:
        parents.setdefault(parent, set())
        parents.setdefault(child, set()).add(parent)
    return {vertex: frozenset(above) for vertex, above in parents.items()}


def distances(parents: Parents, query: Vertex) -> dict[Any, int]:
    """All that the answer must list, R, each with the fewest edges that lead back to it from the query; nearest first."""
    distance, queue = {query: 0}, [query]
    for vertex in queue:
        for parent in parents[vertex]:
            if parent not in distance:
                distance[parent] = distance[vertex] + 1
                queue.append(parent)
    return distance


def allowed_next(parents: Parents, among: Iterable[Any], written: Collection[Any]) -> set[Any]:
    """The vertices of `among` that may be written next: all their parents are written, they themselves are not."""
    return {vertex for vertex in among if vertex not in written and parents[vertex] <= frozenset(written)}


def count_orders(parents: Parents, query: Vertex) -> int:
    """How many answers are right: exact, for graphs of up to a dozen vertices or so."""
    goal = distances(parents, query)

    @cache
    def ways(written: frozenset[Any]) -> int:
        after = [ways(written | {vertex}) for vertex in allowed_next(parents, goal, written)]
        return sum(after) if after else 1

    return ways(frozenset())


def choices(before: Parents, order: Sequence[Any]) -> list[int]:
    """For each place of `order`: how many of its vertices could stand there, those that wait for none of the rest."""
    rests = [frozenset(order[place:]) for place in range(len(order))]
    return [sum(before[vertex].isdisjoint(rest) for vertex in rest) for rest in rests]


def orders_log10(one: Instance) -> float:
    """log10 of about how many answers are right, for graphs with far too many to count.

    The answer in the text was drawn from its end, with equal chances among the vertices that nothing listed still waits
    for. One divided by its chance is a fair estimate of the number of right answers.
    """
    children = parents_of((child, parent) for parent, child in one.edges)
    return sum(map(math.log10, choices(children, one.answer[::-1])))


# -- the inspector -----------------------------------------------------------------------------------------------------


def layers(parents: Parents) -> dict[Any, int]:
    """The longest way from a leaf to each vertex: every edge leads to a higher layer."""
    layer: dict[Any, int] = {}
    for vertex in TopologicalSorter(parents).static_order():
        layer[vertex] = 1 + max((layer[parent] for parent in parents[vertex]), default=-1)
    return layer


def drawing(edges: Sequence[tuple[Any, Any]]) -> tuple[dict[Any, Point], list[list[Point]]]:
    """Where to draw each vertex (x is its layer), and the points that each edge passes, from its parent to its child.

    An edge that skips layers takes up some room in each of them, so that it passes beside their vertices.
    """
    parents = parents_of(edges)
    layer = layers(parents)
    ways: list[list[Any]] = [[a, *((a, b, x) for x in range(layer[a] + 1, layer[b])), b] for a, b in edges]
    columns: list[list[Any]] = [[] for _ in range(1 + max(layer.values()))]
    near: dict[Any, list[Any]] = defaultdict(list)
    for one, other in chain.from_iterable(map(pairwise, ways)):
        near[one].append(other)
        near[other].append(one)
    for stop in near:
        columns[layer[stop] if stop in parents else stop[2]].append(stop)

    def spread() -> dict[Any, Point]:
        place = {}
        for x, column in enumerate(columns):
            y = np.cumsum([1.0 if stop in parents else 0.5 for stop in column])
            place.update({stop: (float(x), float(height)) for stop, height in zip(column, y - y.mean(), strict=True)})
        return place

    for _ in range(8):  # each sweep sorts every column by the mean height of the neighbours
        for column in columns:
            place = spread()
            column.sort(key=lambda stop: sum(place[other][1] for other in near[stop]) / len(near[stop]))
    place = spread()
    return {vertex: place[vertex] for vertex in parents}, [[place[stop] for stop in way] for way in ways]


def draw_edge(axis: Axes, points: Sequence[Point], needed: bool, short: float) -> None:
    """A smooth arrow through the points, level at each of them; it ends `short` of the last."""
    points = [*points[:-1], (points[-1][0] - short, points[-1][1])]
    corners, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = 0.45 * (x1 - x0)
        corners += [(x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    shade, width = (GREY, 1.6) if needed else ("#d5d9df", 1.1)
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 12, "facecolor": "none", "edgecolor": shade}
    axis.add_patch(FancyArrowPatch(path=Curve(corners, codes), linewidth=width, zorder=1 + needed, **look))


def graph_figure(task: Brevo, one: Instance, written: int) -> Figure:
    """The graph of an instance with the first `written` vertices of its answer, and what may be written next."""
    parents, done = parents_of(one.edges), one.answer[:written]
    goal = distances(parents, one.query)
    allowed = allowed_next(parents, goal, done)
    place, ways = drawing(one.edges)
    figure, (axis, text) = new_figure(2, width=10.5, height=4.4, width_ratios=(1.5, 1))
    x, y = np.array([point for way in ways for point in way]).T
    axis.set(xlim=(-0.4, x.max() + 0.4), ylim=(y.min() - 0.5, y.max() + 0.5))
    axis.axis("off")
    axis.set_title("an arrow leads from a parent to its child")
    for (_, child), way in zip(one.edges, ways, strict=True):
        draw_edge(axis, way, child in goal, short=0.035 * (x.max() + 0.8))
    faces = ((done, WRITTEN), (allowed, ALLOWED), (goal, NEEDED), (parents, OTHER))
    for vertex, at in place.items():
        face = next(face for group, face in faces if vertex in group)
        ink, edge = ("black", GREY) if vertex in goal else (GREY, "#c4c9d1")
        edge, width = ("#b3261e", 2.6) if vertex == one.query else (edge, 1.0)
        shape = f"{'circle' if parents[vertex] else 'square'},pad=0.35"
        size = 11 if task.longest == 1 else 9
        chip(axis, task.spelled(vertex), at, face, edge, width=width, shape=shape, fontsize=size, color=ink)
    facts = {
        "question": f"what does {task.spelled(one.query)} depend on?",
        "must be listed": f"{len(goal)} of {len(parents)} vertices",
        "written": " ".join(map(task.spelled, done)) or "nothing yet",
        "allowed next": "   ".join(sorted(map(task.spelled, allowed))) or "only <eos>",
        "right answers": f"{count_orders(parents, one.query):,} of {len(goal)}! = {math.factorial(len(goal)):,}",
        "marks": "square: no parents; red: asked for",
    }
    shades = {"must be listed": NEEDED, "written": WRITTEN, "allowed next": ALLOWED}
    looks = {name: {"bbox": {"facecolor": shade, "edgecolor": "none", "pad": 3}} for name, shade in shades.items()}
    write_facts(text, facts, looks)
    return figure


def graph_data(task: Brevo, one: Instance) -> dict[str, Any]:
    """An instance as the page draws it: vertices are numbers in the order of their names, edges stand as in the text."""
    place, ways = drawing(one.edges)
    order = sorted(place, key=task.spelled)
    number = {vertex: i for i, vertex in enumerate(order)}
    edges = [
        {"parent": number[parent], "child": number[child], "way": way}
        for (parent, child), way in zip(one.edges, ways, strict=True)
    ]
    return {
        "names": [task.spelled(vertex) for vertex in order],
        "places": [place[vertex] for vertex in order],
        "edges": edges,
        "query": number[one.query],
        "answer": [number[vertex] for vertex in one.answer],
    }


def brevo_graph(task: Brevo, seed: int = 0, rows: int = 8) -> Touch:
    """The graphs behind some instances: drag the question over one, and write its answer vertex by vertex."""
    task = dataclasses.replace(task, context=None)
    found = read_instances(task, task.batch(seed, 0, rows, split="test"))
    still = Picture(graph_figure(task, found[0], 1), "A graph, the first vertex of the answer, and what may come next")
    data = {"instances": [graph_data(task, one) for one in found], "instance": 0, "goal": 4}
    return Touch(HERE / "graph.js", data, "A graph, a question, and what must be written", still, 560)


# -- how hard is it? ---------------------------------------------------------------------------------------------------


def breadth_figure(sizes: Sequence[int], rows: int = 500) -> Figure:
    """Breadth of the answers and depth of the queries at n = N."""
    figure, (left, right) = new_figure(2, width=10, height=3.8)
    shades = {f"n = {N}": shade for N, shade in zip(sizes, SHADES, strict=False)}
    found = {f"n = {N}": samples(Brevo(N=N), rows) for N in sizes}
    breadth = {name: [len(one.answer) for one in graphs] for name, graphs in found.items()}
    boxes = [(name, name, count) for name, counts in breadth.items() for count in counts]
    chart("boxplot", left, boxes, "n", "vertices", shades, whis=(0, 100), boxprops={"alpha": 0.6})
    for place, counts in enumerate(breadth.values()):
        note(left, f"mean {np.mean(counts):.0f}", (place, max(counts)), (0, 4), fontsize=11)
    deep = {
        name: np.bincount([min(depth(one.edges, one.query), 5) for one in graphs], minlength=6)[1:] / rows
        for name, graphs in found.items()
    }
    bars = [(name, edges, 100 * share) for name, shares in deep.items() for edges, share in enumerate(shares, 1)]
    chart("barplot", right, bars, "edges", "share", shades)
    left.set_xticks(range(len(sizes)), list(map(str, sizes)))
    left.set(xlabel="n, vertices of the graph", ylabel="vertices in the answer", ylim=(0, 1.1 * left.get_ylim()[1]))
    left.set_title(f"breadth ({rows} graphs each)")
    right.set_xticks(range(5), ["1", "2", "3", "4", "5 or more"])
    right.set(xlabel="fewest edges from the query to a leaf", ylabel="graphs, %")
    name_lines(right, shades)
    right.set_title("depth")
    return figure


def blind_answer(one: Instance, generator: np.random.Generator) -> tuple[bool, bool]:
    """Write any vertices whose parents are written, never looking at the query, and stop with it: (first right, all right)."""
    parents = parents_of(one.edges)
    goal, written = distances(parents, one.query), list[Any]()
    while one.query not in written:
        allowed = sorted(allowed_next(parents, parents, written))
        written.append(allowed[generator.integers(len(allowed))])
    return written[0] in goal, set(written) == set(goal)


def first_vertex_table(sizes: Sequence[int], rows: int = 300) -> Block:
    """Which vertices may come first in graphs of these sizes, how far they are from the query, and what blind luck is worth."""
    lines = []
    for N in sizes:
        generator = np.random.default_rng(0)
        leaves, right, steps, blind = [], [], [], []
        for one in samples(Brevo(N=N), rows):
            parents = parents_of(one.edges)
            distance, free = distances(parents, one.query), allowed_next(parents, parents, ())
            leaves.append(len(free))
            right.append(len(free & distance.keys()))
            steps.append(distance[one.answer[0]])
            blind.append(blind_answer(one, generator))
        first, whole = np.mean(blind, axis=0)
        back = f"{np.mean(steps):.1f}, up to {max(steps)}"
        lines.append((f"{N}", f"{np.mean(leaves):.1f}", f"{np.mean(right):.1f}", back, f"{first:.0%}", f"{whole:.1%}"))
    start = ("n", "leaves", "of them right as first", "edges from the query back to the first")
    return table((*start, "blind: first", "blind: all"), lines)


def ceiling_table(sizes: Sequence[int], rows: int = 300) -> Block:
    """What teacher forcing says of a perfect writer, and what whole answers say of one that is right in 99 % of its steps."""
    lines = []
    for N in sizes:
        found = samples(Brevo(N=N), rows)
        agrees = np.mean([1 / count for one in found for count in choices(parents_of(one.edges), one.answer)])
        breadth = np.array([len(one.answer) for one in found])
        lines.append((f"{N}", f"{breadth.mean():.1f}", f"{agrees:.0%}", f"{(0.99**breadth).mean():.0%}"))
    perfect, nearly = "perfect writer: steps that agree with the text", "99 % of steps right: whole answers right"
    return table(("n", "vertices in the answer", perfect, nearly), lines)


def what_if_figure(N: int, degree: int, leaves: Literal["floor", "ceil"], rows: int = 100) -> Figure:
    """Distributions over graphs of one setting at n = N: answer, edges, tokens, and the number of right answers."""
    found = samples(Brevo(N=N, degree=degree, leaves=leaves), rows)
    panels: dict[str, list[float]] = {
        "vertices in the answer": [len(one.answer) for one in found],
        "edges": [len(one.edges) for one in found],
        "tokens of the instance": [2 * len(one.edges) + len(one.answer) + 5 for one in found],
        "right answers, log10": [orders_log10(one) for one in found],
    }
    figure, axes = new_figure(len(panels), width=10.5, height=2.9)
    for axis, (name, values) in zip(axes, panels.items(), strict=True):
        low, high = math.floor(min(values)), math.ceil(max(values))
        step = 1 + (high - low) // 15
        bins = [edge - 0.5 for edge in range(low, high + step + 1, step)]
        axis.hist(values, bins=bins, color="#4c6a92", alpha=0.75)
        axis.axvline(float(np.mean(values)), color="#d1495b", linewidth=2)
        axis.set_title(f"mean {np.mean(values):.1f}", fontsize=11)
        axis.set_xlabel(name)
        axis.set_yticks([])
        axis.locator_params(axis="x", integer=True, nbins=5)
    axes[0].set_ylabel(f"{rows} graphs")
    return figure


def brevo_what_if() -> Interactive:
    """Turn the size of the graphs, the degree and the rule of the leaves; see what the answers become."""
    ways = [("(n - 1) / degree rounded down (released code)", "floor"), ("rounded up (paper's text)", "ceil")]
    controls = {
        "N": slider("N, vertices", 40, 4, 110),
        "degree": slider("most parents, children", 4, 1, 8),
        "leaves": menu("leaves", ways),
    }

    def context(N: int, degree: int, leaves: str) -> str:
        one, many = Brevo(N=N, degree=degree), Brevo(N=N, degree=degree, V=4, shortest=2, longest=4)
        return (
            f"<p>The largest instance needs a context of about <b>{one.longest_instance:,}</b> tokens with names of one "
            f"token, and of {many.longest_instance:,} with names of two to four.</p>"
        )

    return Interactive(
        what_if_figure, controls, "What if: answer, edges, tokens and right answers of one setting", extra=context
    )


# -- grading -----------------------------------------------------------------------------------------------------------


def spoiled_answers(task: Brevo, one: Instance) -> dict[str, list[int]]:
    """Right and wrong answers to one question, as tokens, under what is done to the answer in the text.

    Empty for an instance without a vertex outside R, or with a single right answer.
    """
    parents, answer = parents_of(one.edges), one.answer
    outside = sorted(parents.keys() - distances(parents, one.query).keys())
    related = [a in parents[b] for a, b in pairwise(answer)]
    if not outside or all(related):
        return {}

    def swapped(place: int) -> list[Name]:
        return [*answer[:place], answer[place + 1], answer[place], *answer[place + 2 :]]

    names = {
        "as in the text": answer,
        "two unrelated ones swapped": swapped(related.index(False)),
        "parent and child swapped": swapped(related.index(True)),
        "the first left out": answer[1:],
        "a foreign one added": [outside[0], *answer],
        "the first one twice": [answer[0], *answer],
    }
    texts = {what: [*(token for name in order for token in name), task.eos] for what, order in names.items()}
    whole = texts["as in the text"]
    texts["no <eos>"] = whole[:-1]
    if task.longest > 1:
        texts["half a name at the end"] = [*whole[:-1], task.names.specials, task.eos]
    return texts


def verdict_table(task: Brevo) -> Block:
    """What the judge says about right and wrong answers to one question."""
    for one in samples(task, 50):
        if texts := spoiled_answers(task, one):
            verdicts = {what: task.judge(one.edges, one.query, text) for what, text in texts.items()}
            lines = [(what, spelled_answer(task, texts[what]), v.reason, v.detail) for what, v in verdicts.items()]
            return table(("answer", "tokens", "verdict", "why"), lines)
    raise ValueError(f"no graph of {task.N} vertices with a foreign vertex and two right answers; raise N")


def spelled_answer(task: Brevo, answer: Sequence[int]) -> str:
    """The tokens of an answer, the letters of each whole name joined."""
    names, end = task.names.read_all(answer)
    return " ".join([*map(task.spelled, names), *(task.vocabulary[token] for token in answer[end:])])


def answers_table(task: Brevo, batch: Batch, answers: Sequence[Sequence[int]], rows: int = 8) -> Block:
    """The first answers that a model wrote, beside the ones in the text, with the judge's verdicts."""
    lines = []
    for one, answer in zip(read_instances(task, batch)[:rows], answers, strict=False):
        verdict = task.judge(one.edges, one.query, answer)
        edges = ", ".join(f"{task.spelled(a)}→{task.spelled(b)}" for a, b in one.edges)
        text = " ".join(map(task.spelled, one.answer))
        lines.append((edges, task.spelled(one.query), text, spelled_answer(task, answer), verdict.reason))
    return table(("edges", "asked", "answer in the text", "written by the model", "verdict"), lines)


def parts_figure(outcome: Outcome) -> Figure:
    """Accuracy by breadth of the answer and by depth of the query, a dot a seed, a line through the means."""
    figure, axes = new_figure(2, width=9, height=3.4, sharey=True)
    labels = {"length": "vertices in the answer", "depth": "fewest edges from the query to a leaf"}
    for axis, (kind, label) in zip(axes, labels.items(), strict=True):
        rows = [
            (side, int(x), score)
            for side, records in outcome.records.items()
            for record in records
            for x, score in record.final.get(f"accuracy_{kind}", {}).items()
        ]
        shades = palette(outcome.records)
        chart("scatterplot", axis, rows, kind, "score", shades, alpha=0.5, s=25)
        chart("lineplot", axis, rows, kind, "score", shades, errorbar=None, linewidth=2.2)
        axis.set_xticks(sorted({x for _, x, _ in rows}))
        axis.set_xlabel(label)
    axes[0].set(ylim=(-0.03, 1.05), ylabel="whole answers right, a dot a seed")
    name_lines(axes[0], palette(outcome.records))
    seeds = max(map(len, outcome.records.values()))
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {seeds} seeds: by breadth and by depth")
    return figure
