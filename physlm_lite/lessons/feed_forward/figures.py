"""Notebook 10: two designs of a feed-forward layer, what one hidden unit computes, and the router of a mixture of experts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from ...lab.controls import slider
from ...lab.page import Block, table
from ...lab.plots import BLUE, RED, chart, colour, heat, label_bars, name_lines, new_figure
from ...lab.show import Interactive
from ...models import ModelConfig
from ...models.experts import balance, room_for
from ...models.feed_forward import ACTIVATIONS

NAMES = {"silu": "SiLU", "gelu": "GELU", "relu2": "ReLU²"}
SHADES = {"silu": "#4c6a92", "gelu": "#66a182", "relu2": "#c8553d"}
EXPERT_SHADES = ("#4c6a92", "#edae49", "#66a182", "#b784c2", "#2a9d8f", "#c8553d", "#8d96a3", "#264653")


# -- two designs -------------------------------------------------------------------------------------------------------


def design_figure(width: int, gated: int, standard: int) -> Figure:
    """The matrices of both designs, drawn to scale: areas are numbers of parameters."""
    figure, axes = new_figure(2, width=9.6, height=1.4, width_ratios=(3 * gated + 60, 2 * standard + 60))
    designs = {
        f"gated, {gated} hidden units": (gated, ["gate", "up", "down"], colour("gated")),
        f"standard, {standard} hidden units": (standard, ["up", "down"], colour("standard")),
    }
    for axis, (title, (hidden, matrices, shade)) in zip(axes, designs.items(), strict=True):
        for place, name in enumerate(matrices):
            left = place * (hidden + 12)
            axis.add_patch(Rectangle((left, 0), hidden, width, facecolor=shade, alpha=0.35, edgecolor=shade))
            middle = (left + hidden / 2, width / 2)
            axis.text(*middle, f"{name}\n{width} × {hidden}", ha="center", va="center", fontsize=10)
        axis.set(xlim=(-4, len(matrices) * (hidden + 12)), ylim=(-6, width + 6), aspect="equal")
        axis.axis("off")
        axis.set_title(f"{title}: {len(matrices) * width * hidden:,} parameters", fontsize=11)
    return figure


def activation_figure() -> Figure:
    """The three activations and their slopes."""
    figure, (left, right) = new_figure(2, width=9.6, height=3.3)
    z = torch.linspace(-4, 2.5, 400, requires_grad=True)
    for name, label in NAMES.items():
        y = ACTIVATIONS[name](z)
        (slope,) = torch.autograd.grad(y.sum(), z)
        left.plot(z.detach(), y.detach(), color=SHADES[name], linewidth=2, label=label)
        right.plot(z.detach(), slope, color=SHADES[name], linewidth=2)
    for axis, title in ((left, "value"), (right, "slope")):
        axis.axhline(0, color="#999", linewidth=0.8)
        axis.axvline(0, color="#999", linewidth=0.8)
        axis.set(ylim=(-0.5, 4.2), xlabel="input z", title=title)
    left.legend(fontsize=9)
    return figure


def unit_values(activation: str, gated: bool, a: Tensor, b: Tensor) -> Tensor:
    """One hidden unit on two inputs: act(a) * b if gated, act(a + b) if standard."""
    act = ACTIVATIONS[activation]
    return act(a) * b if gated else act(a + b)


def unit_figure(activations: Sequence[str] = ("silu", "relu2")) -> Figure:
    """What one hidden unit makes of two inputs a and b, for both designs."""
    figure, axes = new_figure(2 * len(activations), width=10.2, height=2.9)
    line = torch.linspace(-2, 2, 121)
    b, a = torch.meshgrid(line, line, indexing="ij")
    kinds = [(gated, name) for gated in (False, True) for name in activations]
    for axis, (gated, name) in zip(axes, kinds, strict=True):
        values = unit_values(name, gated, a, b)
        bound = float(values.abs().max())
        axis.imshow(values, cmap="RdBu_r", vmin=-bound, vmax=bound, origin="lower", extent=(-2, 2, -2, 2))
        axis.contour(line, line, values, levels=7, colors="#333", linewidths=0.6)
        axis.set_title(f"{'gated' if gated else 'standard'}, {NAMES[name]}", fontsize=11)
        axis.set(xlabel="a", xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    axes[0].set_ylabel("b")
    return figure


# -- experts -----------------------------------------------------------------------------------------------------------


def served(expert: Tensor, experts: int, room: int) -> Tensor:
    """Which tokens find room [token]: each expert takes the first `room` of those that are sent to it, in order."""
    chosen = one_hot(expert, experts)
    return (chosen.cumsum(0) * chosen).sum(1) <= room


def routed(tokens: int, experts: int, favour: float, seed: int = 0) -> Tensor:
    """Shares [token, expert] of a made-up router: random scores, and `favour` more for the first expert."""
    score = torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))
    score[:, 0] += favour
    return score.softmax(-1)


def router_figure(share: Tensor, capacity: float) -> Figure:
    """Left: the share of every expert for every token, the chosen one framed, crossed out if it is full. Right: loads."""
    tokens, experts = share.shape
    expert = share.argmax(-1)
    room = room_for(tokens, experts, capacity)
    found = served(expert, experts, room)
    height = max(2.7, 0.42 * experts + 1.3)
    figure, (left, right) = new_figure(2, width=10.4, height=height, width_ratios=(2.6, 1), sharey=True)
    names = [str(t + 1) if t == 0 or t % 8 == 7 else "" for t in range(tokens)]
    rows = [f"expert {e + 1}" for e in range(experts)]
    heat(left, share.t(), rows, names, high=1.3, cmap="Greys", square=False)
    for token, (e, ok) in enumerate(zip(expert.tolist(), found.tolist(), strict=True)):
        shade = EXPERT_SHADES[e] if ok else RED
        left.add_patch(Rectangle((token + 0.08, e + 0.08), 0.84, 0.84, fill=False, edgecolor=shade, linewidth=2.2))
        if not ok:
            left.plot(token + 0.5, e + 0.5, "x", color=RED, markersize=9, markeredgewidth=2.4)
    left.set_xlabel("token, in the order in which room is given")
    left.set_title("the router's shares; frame: chosen, red cross: turned away")
    shades = EXPERT_SHADES[:experts]
    loads = torch.bincount(expert, minlength=experts)
    taken = torch.bincount(expert[found], minlength=experts)
    places = [e + 0.5 for e in range(experts)]
    right.barh(places, loads, height=0.6, color="#eba6ae")
    right.barh(places, taken, height=0.6, color=shades)
    right.axvline(room, color="#333", linestyle="--", linewidth=1.4)
    right.set(xlim=(0, max(int(loads.max()), room) + 2), xlabel=f"tokens; dashed: room for {room}", title="loads")
    return figure


def router_text(share: Tensor, capacity: float) -> str:
    """Dropped tokens, where they stand, and the load-balance loss, in one sentence."""
    tokens, experts = share.shape
    expert = share.argmax(-1)
    lost = (~served(expert, experts, room_for(tokens, experts, capacity))).nonzero().flatten() + 1
    where = f", on average at place {lost.float().mean():.0f} of {tokens}" if len(lost) else ""
    return (
        f"Turned away: {len(lost)} of {tokens} tokens{where}. Load-balance loss: {balance(share, expert):.2f} "
        f"(1: all alike; {experts}: all to one)."
    )


def router_explorer(tokens: int = 40) -> Interactive:
    """Experts, capacity and a favourite: who goes where, who is turned away, and what the balance loss says."""
    controls = {
        "experts": slider("experts", 4, 2, 8),
        "capacity": slider("capacity, equal shares", 1.25, 0.5, 4, 0.25),
        "favour": slider("bias to expert 1", 0.5, 0, 4, 0.25),
        "seed": slider("random draw", 0, 0, 9),
    }

    def draw(capacity: float, **router: Any) -> Figure:
        return router_figure(routed(tokens, **router), capacity)

    def text(capacity: float, **router: Any) -> str:
        return router_text(routed(tokens, **router), capacity)

    return Interactive(draw, controls, "Where a router sends each token, who is turned away, and the loads", text)


def together(expert: NDArray[np.int64], window: int) -> float:
    """The share of windows of `window` tokens in a row that all go to one expert."""
    views = np.lib.stride_tricks.sliding_window_view(expert, window)
    return float((views == views[:, :1]).all(1).mean())


def together_figure(experts: Sequence[int] = (2, 4, 8, 32), window: int = 4, seed: int = 0) -> Figure:
    """How often a token and the neighbours that Canon-D would mix sit in the same expert, if routing is even and random."""
    figure, (axis,) = new_figure(1, width=7.2, height=3.0)
    draws = np.random.default_rng(seed)
    lags = {2: "it and the one before", window: f"all {window} taps"}
    shades = dict(zip(lags.values(), (BLUE, RED), strict=True))
    shares = [
        (name, str(count), 100 * together(draws.integers(0, count, 200_000), lag))
        for lag, name in lags.items()
        for count in experts
    ]
    chart("barplot", axis, shares, "experts", "share", shades)
    label_bars(axis, "%.2g")
    axis.set(xlabel="experts", ylabel="in the same expert, %", ylim=(0, 60))
    name_lines(axis, shades)
    return figure


def cost_table() -> Block:
    """Parameters and computation of a model of the published size, for several numbers of experts."""
    costs = {}
    for experts in (0, 4, 32):
        config = ModelConfig(50_257, width=512, layers=8, heads=8, hidden=1376, experts=experts, tied=True)
        costs[experts] = config.parameters, config.flops_per_token(512)
    rows = []
    for experts, cost in costs.items():
        pairs = [(f"{n / 1e6:,.0f} million", f"{n / one:.2f}") for n, one in zip(cost, costs[0], strict=True)]
        rows.append((str(experts or 1), *chain(*pairs)))
    return table(("feed-forward layers", "parameters", "x", "operations a token", "x"), rows)
