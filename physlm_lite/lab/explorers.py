"""Things to play with: a Canon explorer and a Depo inspector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure

from ..models import canon
from ..tasks import Depo, html_view
from .plots import new_figure
from .show import Interactive

SENTENCE = "the cat that chased the mouse fell asleep"
LAGS = ("this token", "1 before", "2 before", "3 before")


def mixing_matrix(taps: Sequence[float], positions: int, residual: bool = True) -> torch.Tensor:
    """[target, source]: how much of each source token a Canon layer puts into each target token.

    Found by sending one-hot tokens through the layer: column s is the response to an impulse at s. `taps` begins with the
    current token.
    """
    weight = torch.tensor(list(taps)[::-1], dtype=torch.float32).repeat(positions, 1)[:, None]
    return canon(torch.eye(positions)[None], weight, residual=residual)[0].detach()


def canon_figure(taps: Sequence[float], residual: bool = True, sentence: str = SENTENCE, impulse: int = 2) -> Figure:
    """Left: which words of the sentence mix into which. Right: what one word sends to itself and its followers."""
    words = sentence.split()
    matrix = mixing_matrix(taps, len(words), residual).numpy()
    figure, (left, right) = new_figure(2, width=10.5, height=4.2, width_ratios=(1.15, 1))
    bound = max(1.0, float(np.abs(matrix).max()))
    left.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound)
    left.set_xticks(range(len(words)), words, rotation=45, ha="right")
    left.set_yticks(range(len(words)), words)
    left.set_xlabel("source: where it comes from")
    left.set_ylabel("target: where it goes")
    left.set_title("which words mix into which")
    for target in range(len(words)):
        for source in range(len(words)):
            if abs(matrix[target, source]) > 0.005:
                left.text(
                    source,
                    target,
                    f"{matrix[target, source]:.1f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if abs(matrix[target, source]) > 0.6 * bound else "black",
                )
    for spine in left.spines.values():
        spine.set_visible(True)
    impulse = min(impulse, len(words) - 1)
    response = matrix[:, impulse]
    right.bar(
        range(len(words)),
        response,
        color=["#d1495b" if t >= impulse else "#4c6a92" for t in range(len(words))],
        width=0.6,
    )
    right.axhline(0, color="#333", linewidth=0.8)
    right.set_xticks(range(len(words)), words, rotation=45, ha="right")
    right.set_ylim(min(-1.0, response.min() * 1.15), max(2.0, response.max() * 1.15))
    right.set_ylabel("share of the impulse")
    right.set_title(f"an impulse at “{words[impulse]}”: nothing goes left")
    return figure


def canon_explorer(sentence: str = SENTENCE) -> Interactive:
    """Move the four taps of one channel and see which tokens mix into which."""
    starts = (0.0, 0.4, -0.3, 0.2)
    sliders = {
        f"tap{lag}": widgets.FloatSlider(
            value=start,
            min=-1,
            max=1,
            step=0.1,
            description=f"tap, {name}",
            continuous_update=False,
            style={"description_width": "9em"},
            layout=widgets.Layout(width="30em"),
        )
        for lag, (name, start) in enumerate(zip(LAGS, starts, strict=True))
    }
    words = sentence.split()
    residual = widgets.Checkbox(value=True, description="with the identity term (residual)", indent=False)
    impulse = widgets.Dropdown(
        options=[(f"{i + 1}. {word}", i) for i, word in enumerate(words)],
        value=2,
        description="impulse at",
        style={"description_width": "9em"},
    )

    def draw(residual: bool, impulse: int, **taps: float) -> Figure:
        return canon_figure([taps[f"tap{lag}"] for lag in range(4)], residual, sentence, impulse)

    return Interactive(
        draw,
        {**sliders, "residual": residual, "impulse": impulse},
        "Canon explorer: a matrix of which words mix into which, and the response to one impulse",
    )


def depo_figure(task: Depo, tokens: list[int], node: int, k: int) -> Figure:
    """The cycle behind an instance: the chosen node, the k steps from it, and the answer."""
    successor, _ = task.read(tokens)
    first = min(successor)
    ring = [first]
    while successor[ring[-1]] != first:
        ring.append(successor[ring[-1]])
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(ring)) / len(ring)
    xy = np.stack([np.cos(angle), np.sin(angle)], 1)
    names = [" ".join(task.vocabulary[t] for t in name) for name in ring]
    figure, (axis, text) = new_figure(2, width=9.5, height=4.6, width_ratios=(1, 0.8))
    answer = (node + k) % len(ring)
    on_path = {(node + i) % len(ring) for i in range(k)}
    for i in range(len(ring)):
        j = (i + 1) % len(ring)
        shrink = 0.14 if len(ring) < 20 else 0.05
        a, b = (
            xy[i] + shrink * (xy[j] - xy[i]) / np.linalg.norm(xy[j] - xy[i]),
            xy[j] - shrink * (xy[j] - xy[i]) / np.linalg.norm(xy[j] - xy[i]),
        )
        hot = i in on_path
        axis.annotate(
            "",
            b,
            a,
            arrowprops={"arrowstyle": "-|>", "color": "#d1495b" if hot else "#c4c9d1", "lw": 2.6 if hot else 1.2},
        )
    for i, (x, y) in enumerate(xy):
        face = "#ffe99a" if i == answer else "#f6cdd2" if i == node else "#eef1f6"
        axis.text(
            x,
            y,
            names[i],
            ha="center",
            va="center",
            fontsize=11,
            bbox={"boxstyle": "circle,pad=0.35", "facecolor": face, "edgecolor": "#6b7280"},
        )
    axis.set_xlim(-1.3, 1.3)
    axis.set_ylim(-1.3, 1.3)
    axis.set_aspect("equal")
    axis.axis("off")
    axis.set_title("the hidden cycle")
    text.axis("off")
    path = " → ".join(names[(node + i) % len(ring)] for i in range(min(k, 9) + 1)) + (" → …" if k > 9 else "")
    lines = [
        ("question", f"who is {k} step{'s' * (k != 1)} after {names[node]}?"),
        ("written as", f"<{k}> {names[node]}"),
        ("path", path),
        ("answer", names[answer]),
        ("guessing", f"1 in {len(ring) - 1}"),
    ]
    for i, (head, body) in enumerate(lines):
        text.text(0, 0.85 - 0.17 * i, head, fontsize=10, color="#6b7280", transform=text.transAxes)
        text.text(
            0.3,
            0.85 - 0.17 * i,
            body,
            fontsize=11 if len(body) < 34 else 8.5,
            transform=text.transAxes,
            fontweight="bold" if head == "answer" else "normal",
        )
    return figure


def depo_inspector(task: Depo, seed: int = 0) -> Interactive:
    """Draw the cycle of an instance, pick a node, slide k; below, the tokens as the model sees them, loss in yellow."""
    rows = 8
    batch = task.batch(seed, 0, rows, split="test")
    texts = [
        [t for t, d in zip(row, documents, strict=True) if d == 0]
        for row, documents in zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)
    ]
    style = {"description_width": "6em"}
    smallest = min(len(task.read(text)[0]) for text in texts)
    controls: dict[str, Any] = {
        "row": widgets.IntSlider(
            value=0, min=0, max=rows - 1, description="instance", continuous_update=False, style=style
        ),
        "node": widgets.IntSlider(
            value=0, min=0, max=smallest - 1, description="node", continuous_update=False, style=style
        ),
        "k": widgets.IntSlider(
            value=min(3, task.K), min=1, max=task.K, description="k (hops)", continuous_update=False, style=style
        ),
    }

    def draw(row: int, node: int, k: int) -> Figure:
        return depo_figure(task, texts[row], node, k)

    def tokens(row: int, node: int, k: int) -> str:
        legend = (
            "<p><b>What the model reads</b>: names in blue, special tokens in grey, and in "
            "<span style='background:#ffe99a'>yellow</span> the tokens that carry loss.</p>"
        )
        return legend + html_view(task, batch, row)

    return Interactive(
        draw, controls, "Depo inspector: the cycle of an instance with the path of k steps", extra=tokens
    )
