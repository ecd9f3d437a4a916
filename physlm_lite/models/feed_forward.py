"""Feed-forward layers, with Canon-D on their pre-activations (Part 4.1, sections 4 and 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from .canon import Canon
from .context import Context
from .joined import joined


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0) ** 2 (Primer, arXiv 2109.08668)."""
    return F.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": partial(F.gelu, approximate="tanh"),  # the form of GPT-2
    "relu2": squared_relu,
}


class GatedFeedForward(nn.Module):
    """down( act(gate(x)) * up(x) ); Canon-D mixes [gate | up] *before* the activation."""

    def __init__(self, width: int, hidden: int, canon: Canon | None = None, activation: str = "silu") -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.activation = ACTIVATIONS[activation]
        self.canon_d = canon

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        if self.canon_d is None:
            gate, up = self.gate(x), self.up(x)
        else:
            gate, up = context.canon(self.canon_d, "D", joined(x, self.gate, self.up)).chunk(2, -1)
        return self.down(self.activation(gate) * up)

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.gate.weight, self.up.weight]

    def output(self) -> Tensor:
        """The matrix that writes to it."""
        return self.down.weight


class StandardFeedForward(nn.Module):
    """down( act(up(x)) ), the layer of GPT-2 without its biases; Canon-D mixes the output of `up`."""

    def __init__(self, width: int, hidden: int, canon: Canon | None = None, activation: str = "silu") -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.activation = ACTIVATIONS[activation]
        self.canon_d = canon

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        up = self.up(x)
        if self.canon_d is not None:
            up = context.canon(self.canon_d, "D", up)
        return self.down(self.activation(up))

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.up.weight]

    def output(self) -> Tensor:
        """The matrix that writes to it."""
        return self.down.weight
