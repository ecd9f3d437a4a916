"""Notebook 02: what a Canon layer mixes, where it sits in a block, and what attention looks at beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ...lab.frame import Touch
from ...lab.mixing import mixing_maps
from ...lab.plots import BLUE, GREY, RED, arrow, chip, colour, heat, new_figure, note
from ...lab.show import Picture
from ...models import LanguageModel, canon
from ...tasks import Batch, Task

HERE = Path(__file__).parent
TAPS = (0.0, 0.4, -0.3, 0.2)  # of this token, of the one before, and so on
WORDS = tuple("the cat that chased the mouse fell asleep".split())


def mixing_matrix(taps: Sequence[float], positions: int, residual: bool = True) -> torch.Tensor:
    """[target, source]: how much of each source token a Canon layer puts into each target token.

    Found by sending one-hot tokens through the layer: column s is the response to an impulse at s. `taps` begins with the
    current token.
    """
    weight = torch.tensor(list(taps)[::-1], dtype=torch.float32).repeat(positions, 1)[:, None]
    return canon(torch.eye(positions)[None], weight, residual=residual)[0].detach()


def canon_figure(taps: Sequence[float], residual: bool = True, impulse: int = 2) -> Figure:
    """Left: which words of `WORDS` mix into which. Right: what one word sends to itself and its followers."""
    matrix = mixing_matrix(taps, len(WORDS), residual).numpy()
    figure, (left, right) = new_figure(2, width=10.5, height=4.2, width_ratios=(1.15, 1))
    heat(left, matrix, WORDS, WORDS, numbers=".1f")
    left.set(xlabel="source: where it comes from", ylabel="target: where it goes", title="which words mix into which")
    response = matrix[:, impulse]
    right.bar(range(len(WORDS)), response, color=[RED if t >= impulse else BLUE for t in range(len(WORDS))], width=0.6)
    right.axhline(0, color="#333", linewidth=0.8)
    right.set_xticks(range(len(WORDS)), WORDS, rotation=45, ha="right")
    right.set(ylim=(min(-1.0, response.min() * 1.15), max(2.0, response.max() * 1.15)), ylabel="share of the impulse")
    right.set_title(f"an impulse at “{WORDS[impulse]}”: nothing goes left")
    return figure


# What the taps are to be, by lag and with the identity term counted in.
GOALS = [
    {"said": "Copy: each word becomes the word before it.", "shares": [0, 1, 0, 0]},
    {"said": "Change nothing, without the identity term.", "shares": [1, 0, 0, 0], "identity": False},
    {"said": "What is new: each word minus the word before it.", "shares": [1, -1, 0, 0]},
]


def canon_taps() -> Touch:
    """The four taps of one channel to drag: which words of two packed examples mix into which, and what becomes of a signal."""
    words = (*"the cat chased the mouse".split(), *"a dog fell asleep".split())
    data = {
        "words": words,
        "documents": [0] * 5 + [1] * 4,
        "signal": [0.9, -0.4, 0.6, 0.2, -0.8, 0.7, -0.5, 0.3, 0.8],
        "taps": TAPS,
        "target": 7,
        "goals": GOALS,
    }
    still = Picture(canon_figure(TAPS), "A matrix of which words mix into which, and the response to one impulse")
    return Touch(HERE / "taps.js", data, "The four taps of a Canon layer, to drag", still, 780)


def block_figure(canon: str = "ABCD") -> Figure:
    """A Transformer block, its residual stream, and where Canon-A, B, C and D sit."""
    figure, (axis,) = new_figure(1, width=10, height=4.3)
    axis.axis("off")
    axis.set(xlim=(0, 21.6), ylim=(0.2, 8.4))
    edge = "#555"

    def branch(y: float, begin: float, parts: Sequence[str], title: str) -> None:
        axis.text(begin + 0.1, y + 1.25, title, fontsize=9, color=GREY)
        height, x = y + 0.5, begin
        axis.plot([begin - 0.8, begin - 0.8], [4.1, height], color=edge, lw=1.4)
        for text in parts:
            own, width = text.startswith("Canon"), 0.6 + 0.17 * len(text)
            if own and text[-1] not in canon:
                continue
            arrow(axis, (x - (0.45 if x > begin else 0.8), height), (x, height), edge)
            face = colour("RoPE + Canon") + "55" if own else "#eef1f6"
            look: dict[str, Any] = {
                "boxstyle": "round,pad=0.05,rounding_size=0.15",
                "facecolor": face,
                "edgecolor": edge,
            }
            axis.add_patch(FancyBboxPatch((x, y), width, 1.0, **look))
            axis.text(
                x + width / 2, height, text, ha="center", va="center", fontsize=10, weight="bold" if own else "normal"
            )
            x += width + 0.5
        axis.plot([x - 0.45, x + 0.35], [height, height], color=edge, lw=1.4)
        arrow(axis, (x + 0.35, height), (x + 0.35, 4.1 + (0.45 if y > 4 else -0.45)), edge)
        chip(axis, "+", (x + 0.35, 4.1), "white", edge, shape="circle,pad=0.12", fontsize=15)

    arrow(axis, (0.2, 4.1), (21.4, 4.1), BLUE, 3.2)
    axis.text(8.5, 4.4, "residual stream x", fontsize=10, color=BLUE, fontweight="bold")
    attention = ("norm", "Canon-A", "q, k, v", "Canon-B", "RoPE, attention", "output")
    feed_forward = ("norm", "Canon-C", "gate, up", "Canon-D", "silu(gate) · up", "down")
    branch(6.2, 1.5, attention, "first branch: attention")
    branch(1.0, 6.5, feed_forward, "second branch: feed-forward")
    return figure


def attention_figure(model: LanguageModel, task: Task, batch: Batch, row: int = 0) -> Figure:
    """Where each position of a row looks in the first layer, averaged over its heads."""
    length = int((batch.document[row] >= 0).sum())
    tokens = batch.tokens[row, :length]
    weights = mixing_maps(model, tokens)[0].mean(0)
    names = [task.vocabulary[t] for t in tokens.tolist()]
    size = 4.2 + 0.09 * length
    figure, (axis,) = new_figure(1, width=size + 1.2, height=size)
    bar = {"shrink": 0.7, "label": "attention weight, mean over heads"}
    heat(axis, weights, names, names, high=1, cbar=True, cbar_kws=bar)
    axis.set(xlabel="key: where it looks", ylabel="query: the token being read")
    if "<query>" in names:
        query = names.index("<query>")
        axis.axhline(query, color=BLUE, linewidth=1)
        note(axis, "the repetition begins here", (length, query), (-2, 3), ha="right", color=BLUE)
    axis.set_title("attention of the trained layer")
    return figure
