"""Feed-forward layers, with Canon-D on their pre-activations (Part 4.1, sections 4 and 5.4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import Range, verify
from .canon import Canon
from .context import Context
from .joined import joined
from .start import Start


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0) ** 2 (Primer, arXiv 2109.08668)."""
    return F.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": partial(F.gelu, approximate="tanh"),  # the form of GPT-2
    "relu2": squared_relu,
}


@dataclass(frozen=True)
class FeedForwardConfig:
    """The options of a feed-forward layer; `ModelConfig` says what they mean."""

    width: Annotated[int, Range(1, 2**20)]
    mlp: Literal["gated", "standard", "none"] = "gated"
    hidden: Annotated[int, Range(1, 2**24)] | None = None
    activation: Literal["silu", "gelu", "relu2"] = "silu"

    def __post_init__(self) -> None:
        verify(self, "ModelConfig")

    @property
    def inner(self) -> int:
        """Hidden width, unless given: 8/3 of the width, rounded up to a multiple of 16, if it is gated, 4 times the width
        if it is standard; 0 without a layer."""
        default = {"gated": 16 * math.ceil(8 * self.width / 3 / 16), "standard": 4 * self.width, "none": 0}
        return self.hidden or default[self.mlp]

    @property
    def mixed(self) -> int:
        """Width of what Canon-D mixes: [gate | up], or up alone."""
        return self.inner * (2 if self.mlp == "gated" else 1)

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula: the matrices that a token passes."""
        return (self.mixed + self.inner) * self.width

    def flops(self) -> int:
        """Operations for one token."""
        return 2 * self.parameters


class FeedForward(nn.Module):
    """What the two layers share: a matrix `down` that writes to the stream, the activation, and Canon-D."""

    def __init__(self, config: FeedForwardConfig, canon: Canon | None = None) -> None:
        super().__init__()
        if config.mlp == "gated":
            self.gate = nn.Linear(config.width, config.inner, bias=False)
        self.up = nn.Linear(config.width, config.inner, bias=False)
        self.down = nn.Linear(config.inner, config.width, bias=False)
        self.activation = ACTIVATIONS[config.activation]
        self.canon_d = canon

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.up.weight]

    def start_output(self, start: Start, divisor: float) -> None:
        """The matrix that writes to the stream; the bound is three deviations."""
        std = (start.std or self.down.in_features**-0.5) / divisor
        start.fill(self.down.weight, std, 3 * std)


class GatedFeedForward(FeedForward):
    """down( act(gate(x)) * up(x) ); Canon-D mixes [gate | up] *before* the activation."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        if (canon := self.canon_d) is None:
            gate, up = self.gate(x), self.up(x)
        else:
            gate, up = context.canon(canon, "D", joined(x, self.gate, self.up, memory=context.state)).chunk(2, -1)
        return self.down(self.activation(gate) * up)

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.gate.weight, *super().inputs()]


class StandardFeedForward(FeedForward):
    """down( act(up(x)) ), the layer of GPT-2 without its biases; Canon-D mixes the output of `up`."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        up = self.up(x)
        if (canon := self.canon_d) is not None:
            up = context.canon(canon, "D", up)
        return self.down(self.activation(up))
