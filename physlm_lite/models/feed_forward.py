"""The gated feed-forward layer, with Canon-D on its pre-activations (Part 4.1, section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .canon import Canon
from .context import Context


class GatedFeedForward(nn.Module):
    """down( silu(gate(x)) * up(x) ); Canon-D mixes [gate | up] *before* the activation."""

    def __init__(self, width: int, hidden: int, canon: Canon | None = None) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.canon_d = canon

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        if self.canon_d is None:
            gate, up = self.gate(x), self.up(x)
        else:  # the weights side by side give [gate | up] in one product; joining activations would copy far more
            both = F.linear(x, torch.cat([self.gate.weight, self.up.weight]))
            gate, up = context.canon(self.canon_d, "D", both).chunk(2, -1)
        return self.down(F.silu(gate) * up)
