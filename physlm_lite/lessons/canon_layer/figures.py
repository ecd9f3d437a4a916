"""Notebook 02: what a Canon layer mixes, where it sits in a block, and what attention looks at beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ...lab.controls import menu, slider, switch
from ...lab.plots import BLUE, colour, heat, new_figure, note
from ...lab.show import Interactive
from ...models import Block, Context, LanguageModel, canon
from ...tasks import Batch, Task

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
    heat(left, matrix, words, words, numbers=".1f")
    left.set(xlabel="source: where it comes from", ylabel="target: where it goes", title="which words mix into which")
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
    right.set(ylim=(min(-1.0, response.min() * 1.15), max(2.0, response.max() * 1.15)), ylabel="share of the impulse")
    right.set_title(f"an impulse at “{words[impulse]}”: nothing goes left")
    return figure


def canon_explorer(sentence: str = SENTENCE) -> Interactive:
    """Move the four taps of one channel and see which tokens mix into which."""
    starts = (0.0, 0.4, -0.3, 0.2)
    sliders = {
        f"tap{lag}": slider(f"tap, {name}", start, -1, 1, 0.1)
        for lag, (name, start) in enumerate(zip(LAGS, starts, strict=True))
    }
    words = sentence.split()
    residual = switch("with the identity term (residual)", True)
    impulse = menu("impulse at", [(f"{i + 1}. {word}", i) for i, word in enumerate(words)], 2)

    def draw(residual: bool, impulse: int, **taps: float) -> Figure:
        return canon_figure([taps[f"tap{lag}"] for lag in range(4)], residual, sentence, impulse)

    return Interactive(
        draw,
        {**sliders, "residual": residual, "impulse": impulse},
        "Canon explorer: a matrix of which words mix into which, and the response to one impulse",
    )


def block_figure(canon: str = "ABCD") -> Figure:
    """A Transformer block, its residual stream, and where Canon-A, B, C and D sit."""
    figure, (axis,) = new_figure(1, width=10, height=4.3)
    axis.axis("off")
    axis.set(xlim=(0, 21.6), ylim=(0.2, 8.4))

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
            box(x, y, width, text, colour("RoPE + Canon") + "55" if letter else "#eef1f6", bold=letter is not None)
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
    bar = {"shrink": 0.7, "label": "attention weight, mean over heads"}
    heat(axis, weights, names, names, high=1, cbar=True, cbar_kws=bar)
    axis.set(xlabel="key: where it looks", ylabel="query: the token being read")
    query = names.index("<query>") if "<query>" in names else None
    if query is not None:
        axis.axhline(query, color=BLUE, linewidth=1)
        note(axis, "the repetition begins here", (length, query), (-2, 3), ha="right", color=BLUE)
    axis.set_title("attention of the trained layer")
    return figure
