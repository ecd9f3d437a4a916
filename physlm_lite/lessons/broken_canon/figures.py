"""Figures of notebook 02b: four experiments on a layer that says nothing of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...lab.controls import menu
from ...lab.plots import heat, new_figure
from ...lab.show import Interactive
from .layers import LAYERS, RIGHT, Layer, mystery

POSITIONS, KERNEL = 8, 4
TAPS = torch.tensor(
    [[[0.1, 0.2, 0.3, 0.4]], [[-0.1, 0.2, -0.3, 0.4]]]
)  # of two channels; the last belongs to the token itself


def responses(layer: Layer, into: int = 0, out: int = 0) -> Tensor:
    """What a one at each position of row `into` does to each position of row `out`, as [channel, output, input]."""
    columns = []
    for position in range(POSITIONS):
        x = torch.zeros(2, POSITIONS, 2)
        x[into, position] = 1
        columns.append(layer(x, TAPS)[out].T)
    return torch.stack(columns, -1)


def impulse_figure(layer: Layer) -> Figure:
    """A one at each position in turn: which outputs it reaches, in both channels."""
    return _maps(responses(layer), "channel {}: who receives what from whom")


def rows_figure(layer: Layer) -> Figure:
    """The same, but the one stands in the first row of a batch, and the second row is looked at."""
    return _maps(responses(layer, 0, 1), "second row, channel {}: what the first row sends")


def gradient_figure(layer: Layer) -> Figure:
    """How strongly each tap is told to change, by a loss that depends on every output."""
    x = torch.randn(2, POSITIONS, 2, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    weight = TAPS.clone().requires_grad_()
    layer(x, weight).square().sum().backward()
    gradient = torch.zeros_like(TAPS) if weight.grad is None else weight.grad
    figure, axes = new_figure(2, width=9.0, height=3.0, sharey=True)
    for channel, axis in enumerate(axes):
        axis.bar(range(KERNEL), gradient[channel, 0].flip(-1).abs(), color="#4c6a92")
        axis.set(title=f"gradient of the taps of channel {channel}", xlabel="lag")
        axis.set_xticks(range(KERNEL))
    axes[0].set_ylabel("size")
    return figure


EXPERIMENTS: Mapping[str, Callable[[Layer], Figure]] = {
    "a one at each position": impulse_figure,
    "a one in the row above": rows_figure,
    "the gradient of the taps": gradient_figure,
}


def right_figure() -> Figure:
    """The first experiment on the layer as it should be."""
    return impulse_figure(LAYERS[RIGHT])


def detective() -> Interactive:
    """One of nine layers, one of three experiments."""
    layers = mystery()
    controls = {"layer": menu("layer", layers), "experiment": menu("experiment", EXPERIMENTS)}
    return Interactive(
        lambda layer, experiment: EXPERIMENTS[experiment](layers[layer]),
        controls,
        "One of nine layers under one of three experiments",
    )


def _maps(cells: Tensor, title: str) -> Figure:
    figure, axes = new_figure(2, width=9.0, height=4.0)
    names = [str(position) for position in range(POSITIONS)]
    for channel, axis in enumerate(axes):
        heat(axis, cells[channel], names, names, high=1.4, numbers=".1f")
        axis.set(title=title.format(channel), xlabel="the one stands at")
    axes[0].set_ylabel("output at")
    return figure
