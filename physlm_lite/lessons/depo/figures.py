"""Notebook 03: the ring behind an instance of Depo, how large rings are, and the ladder of hops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...claims import Outcome
from ...lab.frame import Touch
from ...lab.plots import GREY, RED, arrow, chip, draw_lines, lines_of, name_lines, new_figure
from ...lab.reading import first_texts, write_facts
from ...lab.show import Picture
from ...tasks import Depo

HERE = Path(__file__).parent


def depo_figure(task: Depo, tokens: list[int], node: int, k: int) -> Figure:
    """The cycle behind an instance: the chosen node, the k steps from it, and the answer."""
    successor, _ = task.read(tokens)
    first = min(successor)
    ring = [first]
    while successor[ring[-1]] != first:
        ring.append(successor[ring[-1]])
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(ring)) / len(ring)
    xy = list(zip(np.cos(angle), np.sin(angle), strict=True))
    names = [" ".join(task.vocabulary[t] for t in name) for name in ring]
    figure, (axis, text) = new_figure(2, width=9.5, height=4.6, width_ratios=(1, 0.8))
    answer = (node + k) % len(ring)
    on_path = {(node + i) % len(ring) for i in range(k)}
    gap = 18 if len(ring) < 20 else 8  # points between the middle of a name and the arrow
    for i, begin in enumerate(xy):
        shade, width = (RED, 2.6) if i in on_path else ("#c4c9d1", 1.2)
        arrow(axis, begin, xy[(i + 1) % len(ring)], shade, width, gap)
        face = "#ffe99a" if i == answer else "#f6cdd2" if i == node else "#eef1f6"
        chip(axis, names[i], begin, face, shape="circle,pad=0.35", fontsize=11)
    axis.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    axis.axis("off")
    axis.set_title("the hidden cycle")
    path = " → ".join([names[(node + i) % len(ring)] for i in range(min(k, 9) + 1)] + ["…"] * (k > 9))
    facts = {
        "question": f"who is {k} step{'s' * (k != 1)} after {names[node]}?",
        "written as": f"<{k}> {names[node]}",
        "path": path,
        "answer": names[answer],
        "guessing": f"1 in {len(ring) - 1}",
    }
    write_facts(text, facts, {"answer": {"fontweight": "bold"}})
    return figure


def ring_data(task: Depo, tokens: list[int]) -> dict[str, Any]:
    """An instance as the page draws it: the names along the ring, and for each edge of the text where its first name stands."""
    successor, _ = task.read(tokens)
    ring = [min(successor)]
    while successor[ring[-1]] != ring[0]:
        ring.append(successor[ring[-1]])
    names = [" ".join(task.vocabulary[t] for t in name) for name in ring]
    return {"names": names, "edges": [ring.index(name) for name in successor]}


def depo_ring(task: Depo, largest: int = 12, node: int = 0, k: int = 3) -> Touch:
    """The task's rings of 3 to `largest` names: drag the question round one, change k, and see in the text where each hop
    finds its pair."""
    sizes = range(3, max(largest, task.N) + 1)
    tasks = [replace(task, N=n, sizes="fixed", context=None) for n in sizes]
    texts = [first_texts(one.batch(0, 0, 1))[0] for one in tasks]
    data = {
        "rings": [ring_data(one, tokens) for one, tokens in zip(tasks, texts, strict=True)],
        **{"first": sizes[0], "n": task.N, "k": k, "K": task.K, "key": node},
    }
    still = depo_figure(task, texts[sizes.index(task.N)], node, k)
    alt = f"A ring of {task.N} names with the path of {k} steps"
    return Touch(HERE / "ring.js", data, "A hidden ring and the text that holds it", Picture(still, alt), 620)


def size_figure(sizes: Sequence[int]) -> Figure:
    """P(n) of the training split for each N, with its mean."""
    figure, (axis,) = new_figure(1, width=8, height=3.2)
    for N, color in zip(sizes, ("#4c6a92", "#66a182", "#d1495b", "#edae49"), strict=False):
        n, p = np.arange(3, N + 1), Depo(N=N, K=8).size_probabilities
        axis.plot(n, 100 * p, color=color, linewidth=2, label=f"N = {N}: mean {n @ p:.0f}")
        axis.axvline(float(n @ p), color=color, linestyle=":", linewidth=1)
    axis.set(xlabel="n, nodes in the ring", ylabel="probability, %", ylim=(0, None))
    axis.legend()
    axis.set_title("how large the rings of the training data are")
    return figure


def ladder_figure(outcome: Outcome) -> Figure:
    """Learning curves of each side, a colour for every k: the rungs are learnt one after the other."""
    import seaborn as sns

    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    metrics = outcome.experiment.panels
    shades = sns.color_palette("flare", len(metrics))
    figure, axes = new_figure(max(len(records), 1), width=10.0, height=3.8, sharey=True)
    for axis, (side, runs) in zip(axes, records.items(), strict=False):
        rungs = {metric.label: lines_of({side: runs}, metric)[side] for metric in metrics}
        draw_lines(axis, rungs, share=True, colours=shades)
        axis.set_title(side)
        for metric in metrics:
            if (chance := metric.chance) is not None:
                axis.axhline(chance, color=GREY, linestyle=":", linewidth=1)
    axes[0].set_ylabel("accuracy (thin: one seed)")
    name_lines(figure, dict(zip([metric.label for metric in metrics], shades, strict=True)))
    seeds = max((len(runs) for runs in records.values()), default=0)
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {seeds} seeds; dotted: guessing", fontsize=11)
    return figure
