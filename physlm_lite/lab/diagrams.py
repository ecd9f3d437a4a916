"""Explanatory pictures of the lessons: the block, the attention of a trained model, the sizes of Depo, the ladder of hops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..claims import Outcome
from ..models import Block, Context, LanguageModel
from ..tasks import Batch, Depo, Task
from .plots import COLOURS, chance_of, draw_curves, metrics_of, new_figure


def block_figure(canon: str = "ABCD") -> Figure:
    """A Transformer block, its residual stream, and where Canon-A, B, C and D sit."""
    figure, (axis,) = new_figure(1, width=10, height=4.3)
    axis.axis("off")
    axis.set_xlim(0, 21.6)
    axis.set_ylim(0.2, 8.4)

    def box(x: float, y: float, width: float, text: str, face: str, bold: bool = False) -> None:
        axis.add_patch(
            FancyBboxPatch(
                (x, y), width, 1.0, boxstyle="round,pad=0.05,rounding_size=0.15", facecolor=face, edgecolor="#555"
            )
        )
        axis.text(
            x + width / 2, y + 0.5, text, ha="center", va="center", fontsize=10, fontweight="bold" if bold else "normal"
        )

    def arrow(a: tuple[float, float], b: tuple[float, float]) -> None:
        axis.annotate("", b, a, arrowprops={"arrowstyle": "-|>", "color": "#555", "lw": 1.4})

    def branch(y: float, begin: float, parts: Sequence[tuple[str, float]], title: str) -> None:
        axis.text(begin + 0.1, y + 1.25, title, fontsize=9, color="#6b7280")
        x = begin
        for text, width in parts:
            letter = text[-1] if text.startswith("Canon") else None
            if letter is not None and letter not in canon:
                continue
            if x > begin:
                arrow((x - 0.45, y + 0.5), (x, y + 0.5))
            box(x, y, width, text, COLOURS["RoPE + Canon"] + "55" if letter else "#eef1f6", bold=letter is not None)
            x += width + 0.5
        axis.plot([begin - 0.8, begin - 0.8], [4.1, y + 0.5], color="#555", lw=1.4)
        arrow((begin - 0.8, y + 0.5), (begin, y + 0.5))
        axis.plot([x - 0.45, x + 0.35], [y + 0.5, y + 0.5], color="#555", lw=1.4)
        arrow((x + 0.35, y + 0.5), (x + 0.35, 4.1 + (0.45 if y > 4 else -0.45)))
        axis.text(
            x + 0.35,
            4.1,
            "+",
            fontsize=15,
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "#555"},
        )

    axis.annotate("", (21.4, 4.1), (0.2, 4.1), arrowprops={"arrowstyle": "-|>", "color": "#4c6a92", "lw": 3.2})
    axis.text(8.5, 4.4, "residual stream x", fontsize=10, color="#4c6a92", fontweight="bold")
    branch(
        6.2,
        1.5,
        [
            ("norm", 1.3),
            ("Canon-A", 2.0),
            ("q, k, v", 1.5),
            ("Canon-B", 2.0),
            ("RoPE, attention", 3.0),
            ("output", 1.6),
        ],
        "first branch: attention",
    )
    branch(
        1.0,
        6.5,
        [("norm", 1.3), ("Canon-C", 2.0), ("gate, up", 1.7), ("Canon-D", 2.0), ("silu(gate) · up", 2.7), ("down", 1.4)],
        "second branch: feed-forward",
    )
    return figure


@torch.no_grad()
def attention_figure(model: LanguageModel, task: Task, batch: Batch, row: int = 0) -> Figure:
    """Where each position of a row looks in the first layer, averaged over its heads."""
    length = int((batch.document[row] >= 0).sum())
    tokens = batch.tokens[row : row + 1, :length]
    block = model.blocks[0]
    assert isinstance(block, Block)
    branch = block.mixer_norm(model.embedding(tokens))
    if block.canon_a is not None:
        branch = block.canon_a(branch)
    rope = model.rope(0, length, tokens.device)
    weights = block.mixer.weights(branch, Context(rope, model.mask(length, length)))[0].mean(0).numpy()
    names = [task.vocabulary[t] for t in tokens[0].tolist()]
    size = 4.2 + 0.09 * length
    figure, (axis,) = new_figure(1, width=size + 1.2, height=size)
    picture = axis.imshow(weights, cmap="Reds", vmin=0, vmax=1)
    axis.set_xticks(range(length), names, rotation=90, fontsize=8)
    axis.set_yticks(range(length), names, fontsize=8)
    axis.set_xlabel("key: where it looks")
    axis.set_ylabel("query: the token being read")
    query = names.index("<query>") if "<query>" in names else None
    if query is not None:
        axis.axhline(query - 0.5, color="#4c6a92", linewidth=1)
        axis.annotate(
            "the repetition begins here",
            (length - 0.6, query - 0.7),
            ha="right",
            va="bottom",
            fontsize=8.5,
            color="#4c6a92",
        )
    figure.colorbar(picture, shrink=0.7, label="attention weight, mean over heads")
    axis.set_title("attention of the trained layer")
    return figure


def size_figure(sizes: Sequence[int]) -> Figure:
    """P(n) of the training split for each N, with its mean."""
    figure, (axis,) = new_figure(1, width=8, height=3.2)
    for N, color in zip(sizes, ("#4c6a92", "#66a182", "#d1495b", "#edae49"), strict=False):
        n, p = np.arange(3, N + 1), Depo(N=N, K=8).size_probabilities
        axis.plot(n, 100 * p, color=color, linewidth=2, label=f"N = {N}: mean {n @ p:.0f}")
        axis.axvline(float(n @ p), color=color, linestyle=":", linewidth=1)
    axis.set_xlabel("n, nodes in the ring")
    axis.set_ylabel("probability, %")
    axis.set_ylim(bottom=0)
    axis.legend()
    axis.set_title("how large the rings of the training data are")
    return figure


def ladder_figure(outcome: Outcome) -> Figure:
    """Learning curves of every k, a panel for each: the rungs are learnt one after the other."""
    records = {side: list(runs) for side, runs in outcome.records.items() if runs}
    everyone = [record for runs in records.values() for record in runs]
    metrics = metrics_of(outcome)
    figure, axes = new_figure(len(metrics), width=3.4 * max(len(metrics), 2), height=3.4, sharey=True)
    for axis, (metric, label) in zip(axes, metrics.items(), strict=True):
        if everyone:
            draw_curves(axis, records, metric)
        axis.set_title(label)
        if (chance := chance_of(outcome, metric)) is not None:
            axis.axhline(chance, color="#555", linestyle=":", linewidth=1)
    axes[0].set_ylabel("accuracy (thin: one seed)")
    if everyone:
        axes[0].legend(loc="lower right", fontsize=9)
    seeds = max((len(runs) for runs in records.values()), default=0)
    figure.suptitle(f"{outcome.claim.id}, {outcome.scale} scale, {seeds} seeds; dotted: guessing", fontsize=11)
    return figure
