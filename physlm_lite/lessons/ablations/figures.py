"""Notebook 09: a Canon layer taken apart. What is left of a token, what reaches whom, and every variant on one ladder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ...lab.controls import menu, slider, switch
from ...lab.plots import BLUE, GREEN, RED, chart, colour, heat, heat_row, label_bars, name_lines, new_figure
from ...lab.show import Interactive
from ...models import Canon, Context, LanguageModel, ModelConfig, canon

Array = NDArray[np.float64]


# -- the residual ------------------------------------------------------------------------------------------------------


def effective_taps(weight: Tensor, residual: bool = True) -> Tensor:
    """[width, kernel]: what a token, and the ones before it, are multiplied with in all; lag 0 first.

    Found by sending an impulse through the layer, for taps ``weight`` [width, 1, kernel].
    """
    width, _, kernel = weight.shape
    impulse = torch.zeros(1, kernel, width, dtype=weight.dtype)
    impulse[0, 0] = 1
    return canon(impulse, weight, residual=residual)[0].detach().t()


def energy_shares(residual: bool, layers: int = 1, kernel: int = 4, width: int = 4096, seed: int = 0) -> Array:
    """How much of a channel's signal comes from each lag after `layers` fresh Canon layers in a row; sums to 1.

    For tokens that have nothing to do with each other, what lag j adds to the variance is its effective tap squared;
    here the mean over `width` channels, and then the share.
    """
    generator = torch.Generator().manual_seed(seed)
    layer, x = Canon(width, kernel), torch.zeros(1, layers * (kernel - 1) + 1, width, dtype=torch.float64)
    x[0, 0] = 1
    for _ in range(layers):
        layer.reset_parameters(generator)
        x = canon(x, layer.weight.detach().double(), residual=residual)
    energy = x[0].square().mean(1)
    return np.asarray(energy / energy.sum())


def energy_figure(deepest: int = 6) -> Figure:
    """At the start of training: whose signal leaves a Canon layer, and how much of a token's own survives several."""
    figure, (left, right) = new_figure(2, width=10.0, height=3.5)
    sides = {True: "with the residual", False: "without"}
    shades = dict(zip(sides.values(), (RED, colour("Canon-ABCD, no residual")), strict=True))
    layers = range(1, deepest + 1)
    lags = ["the token\nitself", "1 before", "2 before", "3 before"]
    fresh = [(name, *lag) for res, name in sides.items() for lag in zip(lags, 100 * energy_shares(res), strict=True)]
    chart("barplot", left, fresh, "lag", "share", shades)
    label_bars(left, "%.0f")
    own = [(name, n, 100 * energy_shares(res, n)[0]) for res, name in sides.items() for n in layers]
    chart("lineplot", right, own, "layers", "share", shades, marker="o")
    left.set(xlabel="", ylabel="share of the signal, %", title="what leaves one fresh Canon layer")
    name_lines(left, shades)
    right.set_xticks(layers)
    right.set(ylim=(0, 100), xlabel="Canon layers in a row, inside one branch", ylabel="the token's own share, %")
    right.set_title("what is left of the token itself")
    return figure


# -- taps that nobody trained ------------------------------------------------------------------------------------------


def signatures(taps: Tensor, seed: int = 0) -> Array:
    """[lag, lag]: cosine between what one and the same token adds at two lags, for effective taps [width, lag]."""
    token = torch.randn(len(taps), 1, generator=torch.Generator().manual_seed(seed), dtype=taps.dtype)
    parts = torch.nn.functional.normalize(token * taps, dim=0)
    return np.asarray(parts.t() @ parts)


def signature_figure(width: int = 512) -> Figure:
    """Can a reader of the mixture tell the neighbours apart? The same four taps in all channels, and random ones."""
    layer = Canon(width)
    layer.reset_parameters(torch.Generator().manual_seed(1))
    same = torch.tensor([1.0, 0.4, 0.2, 0.1]).expand(width, 4)
    cosines = {
        "the same taps in every channel": signatures(same),
        "random taps, never trained": signatures(effective_taps(layer.weight.detach())),
    }
    names = ["itself", "1 before", "2 before", "3 before"]
    figure = heat_row(cosines, names, (8.2, 3.7), "", "", cmap="RdBu_r", vmin=-1, numbers=".2f")
    figure.suptitle(f"cosine between what one token adds at two lags, width {width}", fontsize=11)
    return figure


# -- who can reach whom ------------------------------------------------------------------------------------------------


def influence(config: ModelConfig, lags: int, attention: bool = False, seed: int = 0) -> Array:
    """[layer, lag]: how much the last of lags + 1 positions moves, after each layer, when the one `lag` before is moved.

    A fresh model is fed random vectors, and a random direction of what it says at the last position is differentiated by
    all of them: a root mean square over directions, and exactly 0 where there is no way. Without `attention`, each
    position attends to itself only, so that whatever arrives was carried by Canon layers.
    """
    model = LanguageModel(config, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    count = lags + 1
    start, direction = torch.randn(2, count, config.width, generator=generator, dtype=torch.float64)
    x = start = start[None].requires_grad_()
    mask = torch.ones(count, count, dtype=torch.bool).tril() if attention else torch.eye(count, dtype=torch.bool)
    rope = model.rope(0, count, x.device)
    context = Context(None if rope is None else (rope[0].double(), rope[1].double()), mask[None, None])
    rows = []
    for block in model.blocks:
        x = block(x, context)
        said = x[0, -1] @ direction[0] / direction[0].norm()
        rows.append(torch.autograd.grad(said, start, retain_graph=True)[0][0].norm(dim=-1).flip(0))
    return np.asarray(torch.stack(rows))


def reach(config: ModelConfig) -> int:
    """How many tokens back Canon layers alone carry something: in each layer A, B, C, D follow each other."""
    past = config.canon_kernel - 1
    return len(config.canon_depths) * past * max(len(config.canon), config.canon_cross)


SUBSETS = ("none", "A", "B", "C", "D", "AB", "AC", "AD", "BC", "BD", "CD", "ABC", "ABD", "ACD", "BCD", "ABCD")
PLACES = {
    "in every layer": None,
    "in the first layer only": (0,),
    "in all but the first": (1, 2, 3),
    "in the last layer only": (-1,),
}
WINDOW = 64


def parts_config(letters: str, place: str = "in every layer", cross: bool = False, **parts: Any) -> ModelConfig:
    """Four layers of width 32 with the chosen parts of Canon; `parts`: kernel, residual, activation."""
    options = {f"canon_{name}": part for name, part in {**parts, "cross": cross}.items()}
    if letters != "none" or cross:
        options["canon_layers"] = PLACES[place]
    canon = "" if letters == "none" else letters
    return ModelConfig(vocab=4, width=32, layers=4, heads=2, hidden=80, canon=canon, **options)


def parts_figure(config: ModelConfig, attention: bool = False) -> Figure:
    """Left: what one Canon layer of the model does to an impulse. Right: which earlier tokens reach a position, and when."""
    figure, (left, right) = new_figure(2, width=10.4, height=3.9, width_ratios=(1, 2.3))
    layer = next((m for m in LanguageModel(config, seed=0).modules() if isinstance(m, Canon)), None)
    lags = range(config.canon_kernel)
    left.set_title("no Canon layer", fontsize=11)
    if layer is not None:
        impulse = torch.zeros(1, config.canon_kernel, layer.width)
        impulse[0, 0] = 1
        response = layer(impulse)[0].detach()
        for channel, shade in enumerate((RED, BLUE, GREEN)):
            left.bar(np.array(lags) + 0.27 * (channel - 1), response[:, channel], width=0.25, color=shade)
        left.set_title("an impulse through one of its\nCanon layers, three channels", fontsize=11)
    left.axhline(0, color="#333", linewidth=0.8)
    left.set_xticks(lags, ["same"] + [f"+{lag}" for lag in lags[1:]])
    left.set(ylim=(-1.05, 1.6), xlabel="tokens later")
    strength = influence(config, WINDOW, attention)
    shown = np.log10(np.where(strength > 0, strength, np.nan))[:, ::-1]
    ticks = [str(lag) if lag % 10 == 0 else "" for lag in range(WINDOW, -1, -1)]
    bar = {"label": "strength, powers of 10", "pad": 0.02}
    rows = [str(row + 1) for row in range(len(shown))]
    heat(right, shown, rows, ticks, cmap="Reds", vmin=-6, vmax=0.5, square=False, cbar=True, cbar_kws=bar)
    right.set_facecolor("#eef1f6")
    for row, values in enumerate(strength):
        farthest = int(np.flatnonzero(values).max(initial=0))
        text = f"all {WINDOW} shown" if farthest == WINDOW else f"{farthest} back" if farthest else "itself only"
        at, side = (WINDOW - farthest - 0.7, "right") if farthest < WINDOW - 14 else (1.0, "left")
        right.text(at, row + 0.5, text, ha=side, va="center", fontsize=10, color="#222")
    right.set(ylabel="after layer", xlabel="tokens before the reading position")
    right.set_title("who reaches it, " + ("by Canon and attention" if attention else "by Canon alone"))
    return figure


def parts_text(config: ModelConfig) -> str:
    """Places, channels and parameters of the chosen parts, in one sentence."""
    plain = parts_config("none")
    taps = config.parameters - plain.parameters
    widths = ", ".join(f"{name} {width}" for name, width in config.canon_widths.items()) or "none"
    return (
        f"Channels in a layer: {widths}. Layers that have them: {len(config.canon_depths)} of {config.layers}. "
        f"Taps in all: {taps:,}, {100 * taps / plain.parameters:.1f} % of this small model. Canon alone reaches "
        f"{reach(config)} tokens back."
    )


def parts_explorer() -> Interactive:
    """Choose the parts of Canon in a model of four layers; see its taps, its cost, and which tokens reach which."""
    controls = {
        "letters": menu("letters", SUBSETS, "AC"),
        "place": menu("where", PLACES),
        "kernel": slider("kernel", 4, 2, 6),
        "residual": switch("residual", True),
        "activation": switch("activation (silu)"),
        "cross": switch("cross-layer Canon"),
        "attention": switch("let attention carry, too"),
    }

    def draw(attention: bool, **parts: Any) -> Figure:
        return parts_figure(parts_config(**parts), attention)

    def text(attention: bool, **parts: Any) -> str:
        return parts_text(parts_config(**parts))

    alt = "The taps of the chosen Canon layers, and which earlier tokens reach a position"
    return Interactive(draw, controls, alt, text)
