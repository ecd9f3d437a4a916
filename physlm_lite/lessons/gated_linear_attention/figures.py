"""Pictures of notebook 11: chunks, memory, how far a key sees, and how many pairs a state can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray
from torch import Tensor

from ...lab.controls import slider, stops
from ...lab.linear_states import state_story
from ...lab.plots import BLUE, GREY, RED, arrow, heat, heat_row, new_figure, note
from ...lab.show import Interactive
from ...models import LanguageModel
from ...models.gla import GLAConfig


def chunk_figure(chunks: int = 3, chunk: int = 4) -> Figure:
    """Which token reads which, inside the chunk or through the state, and what passes from chunk to chunk."""
    length = chunks * chunk
    figure, (grid, flow) = new_figure(2, width=10.5, height=4.0, width_ratios=(1, 1.45))
    place = np.arange(length)
    inside = np.where(place[:, None] >= place, place[:, None] // chunk == place // chunk, np.nan)
    names = [str(i + 1) for i in place]
    heat(grid, inside, names, names, cmap=ListedColormap([(BLUE, 0.3), (RED, 0.75)]), linewidths=0.4)
    for edge in range(0, length + 1, chunk):
        grid.axhline(edge, color="#555", linewidth=0.8)
        grid.axvline(edge, color="#555", linewidth=0.8)
    grid.set(xlabel="token s that was written", ylabel="token t that reads", title="who reads whom")
    flow.axis("off")
    flow.set(xlim=(-0.9, 3.4 * chunks + 0.7), ylim=(-1.9, 4.2), title="and in which way")
    for number in range(chunks):
        x = 3.4 * number + 0.7
        flow.add_patch(Rectangle((x, 0), 2, 2, facecolor="#f3f4f6", edgecolor="#555"))
        flow.add_patch(Polygon([(x, 0), (x, 2), (x + 2, 0)], facecolor=RED, alpha=0.75))
        flow.text(x + 1, 2.25, f"tokens {number * chunk + 1}–{(number + 1) * chunk}", ha="center", fontsize=10)
        arrow(flow, (x - 1.4, 1), (x, 1), BLUE, 2.5)
        flow.text(x - 0.75, 1.2, f"$S_{{{number * chunk}}}$", ha="center", fontsize=12, color=BLUE)
        arrow(flow, (x + 1, 0), (x + 1, -0.8), "#555")
        flow.text(x + 1, -1.2, "outputs", ha="center", fontsize=10, color="#555")
    flow.text(0, 3.6, "red: a small triangle of scores, one product of matrices", fontsize=10, color=RED)
    flow.text(0, 3.1, "blue: the whole past, as one matrix", fontsize=10, color=BLUE)
    return figure


def memory_figure(width: int = 512, heads: int = 4, longest: int = 16_384) -> Figure:
    """Numbers that a layer keeps while it decodes: keys and values of every token, or one state."""
    config = GLAConfig(width, heads, canon_b=True)
    window = (config.canon_kernel - 1) * (2 * config.key_width + config.value_width)
    tokens = np.geomspace(1, longest, 60)
    figure, (axis,) = new_figure(1, width=7.8, height=3.7)
    axis.plot(tokens, 2 * width * tokens, color="#4c6a92", linewidth=2.4, label="attention: keys and values")
    axis.axhline(config.state_size, color="#2f8f63", linewidth=2.4, label=f"GLA: the state, {config.state_size:,}")
    axis.axhline(window, color="#5fb38a", linestyle="--", label=f"Canon-b: its last 3 inputs, {window:,}")
    equal = config.state_size / (2 * width)
    axis.plot(equal, config.state_size, "o", color=RED, markersize=8)
    note(axis, f"equal at {equal:.0f} tokens", (equal, config.state_size), (8, -16), ha="left", fontsize=10, color=RED)
    axis.set(xscale="log", yscale="log", xlabel="tokens read so far", ylabel="numbers kept per layer")
    axis.legend(fontsize=10, loc="upper left")
    axis.set_title(f"memory while decoding, width {width}, {heads} heads")
    return figure


# -- what a key knows --------------------------------------------------------------------------------------------------


def key_reach(model: LanguageModel, tokens: Tensor | Sequence[int], layer: int = 0) -> NDArray[np.float64]:
    """[T, T]: how much the key of token t changes, as a share of its length, when token s becomes another one."""
    text = torch.as_tensor(tokens)

    def key(text: Tensor) -> Tensor:
        return state_story(model, text, layer).key.flatten(1)

    own = key(text)
    others = (text + torch.eye(len(text), dtype=text.dtype)) % model.config.vocab
    changes = torch.stack([(key(other) - own).norm(dim=1) for other in others], 1)
    return np.asarray(changes / own.norm(dim=1, keepdim=True).clamp_min(1e-9))


def reach_figure(
    models: Mapping[str, LanguageModel], tokens: Tensor | Sequence[int], names: Sequence[str], layer: int = 0
) -> Figure:
    """`key_reach` of several models side by side."""
    reach = {name: key_reach(model, tokens, layer) for name, model in models.items()}
    size = (10.5, 0.6 + 10.5 / len(models))
    return heat_row(reach, names, size, "token that is exchanged", "token whose key changes", high=1)


# -- how much a state holds --------------------------------------------------------------------------------------------


def recalled(keys: int, pairs: int, half_life: float = np.inf, trials: int = 150, seed: int = 0) -> NDArray[np.float64]:
    """The chance that a pair is read back right, by its age: entry 0 is the pair that was written last.

    Random keys of length 1 and as many random values, of the same width `keys`; after each pair the state loses so much that
    it halves every `half_life` pairs. Right means: nearer to its own value than to those of the other pairs.
    """
    generator = np.random.default_rng(seed)
    key, value = generator.standard_normal((2, trials, pairs, keys))
    key, value = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in (key, value))
    age = np.arange(pairs)
    state = (key * 0.5 ** (age / half_life)[:, None]).swapaxes(1, 2) @ value
    found = (key @ state @ value.swapaxes(1, 2)).argmax(-1)
    return (found == age).mean(0)


def capacity_figure(keys: int = 16, pairs: int = 40, half_life: float = 10.0) -> Figure:
    """`recalled` with and without decay."""
    figure, (axis,) = new_figure(1, width=8.2, height=3.7)
    for label, life, shade in ((f"halves every {half_life:g} pairs", half_life, RED), ("no decay", np.inf, BLUE)):
        right = recalled(keys, pairs, life)
        label += f": {right.sum():.1f} of {pairs} pairs right"
        axis.plot(range(1, pairs + 1), 100 * right, color=shade, linewidth=2.2, label=label)
    axis.axhline(100 / pairs, color="#555", linestyle=":", linewidth=1)
    note(axis, "guessing", (pairs, 100 / pairs), (0, 4), ha="right", color=GREY)
    axis.set(ylim=(-2, 104), xlabel="age of the pair (1: written last)", ylabel="read back right, %")
    axis.set_title(f"a state of {keys} × {keys} numbers after {pairs} random pairs")
    axis.legend(fontsize=10, loc="lower left" if pairs < 2 * keys else "upper right")
    return figure


def capacity_explorer() -> Interactive:
    """Size of the state, number of pairs and decay: what is still there?"""
    controls = {
        "keys": stops("width of the state", [4, 8, 16, 32, 64], 16),
        "pairs": slider("pairs written", 40, 2, 100),
        "half_life": stops("half-life in pairs", [2.0, 5.0, 10.0, 20.0, 50.0], 10.0),
    }
    alt = "Capacity explorer: pairs read back right by age, with and without decay"
    return Interactive(capacity_figure, controls, alt)
