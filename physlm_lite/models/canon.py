"""The Canon layer: each token sees a weighted sum of itself and its last few neighbours (Part 4.1, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def canon_naive(
    x: Tensor,
    weight: Tensor,
    *,
    residual: bool = True,
    activation: bool = False,
    document: Tensor | None = None,
    history: Tensor | None = None,
    history_document: Tensor | None = None,
) -> Tensor:
    """The formula as a reader would write it: for each lag, shift and add."""
    _check(x, weight, document, history, history_document)
    batch, position, width = x.shape
    past = weight.shape[-1] - 1
    taps = weight[:, 0].to(x.dtype)
    if history is None:
        history = x.new_zeros(batch, past, width)
    source = torch.cat([history.to(x.dtype), x], dim=1)
    if document is not None:
        if history_document is None:
            history_document = document.new_zeros(batch, past)
        source_document = torch.cat([history_document, document], dim=1)
    mixed = torch.zeros_like(x)
    for lag in range(past + 1):
        shifted = source[:, past - lag : past - lag + position]
        if document is not None:
            same = source_document[:, past - lag : past - lag + position] == document
            shifted = torch.where(same[..., None], shifted, 0)
        mixed = mixed + taps[:, past - lag] * shifted
    if activation:
        mixed = F.silu(mixed)
    return x + mixed if residual else mixed


def canon(
    x: Tensor,
    weight: Tensor,
    *,
    residual: bool = True,
    activation: bool = False,
    document: Tensor | None = None,
    history: Tensor | None = None,
    history_document: Tensor | None = None,
    compiled: bool = False,
) -> Tensor:
    """The same function, fast."""
    return canon_naive(
        x,
        weight,
        residual=residual,
        activation=activation,
        document=document,
        history=history,
        history_document=history_document,
    )


def next_history(x: Tensor, past: int, history: Tensor | None = None) -> Tensor:
    """The last ``past`` entries along the position axis of ``history`` followed by ``x``, zeros before the start."""
    if history is None:
        history = x.new_zeros(x.shape[0], past, *x.shape[2:])
    joined = torch.cat([history.to(x.dtype), x], dim=1)
    return joined[:, joined.shape[1] - past :]


class Canon(nn.Module):
    """A Canon layer with its weight ``[width, 1, kernel]``."""

    def __init__(
        self,
        width: int,
        kernel: int = 4,
        residual: bool = True,
        activation: bool = False,
        frozen: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.kernel = width, kernel
        self.residual, self.activation = residual, activation
        self.frozen, self.compiled = frozen, compiled
        self.weight = nn.Parameter(torch.empty(width, 1, kernel), requires_grad=not frozen)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        bound = self.kernel**-0.5
        with torch.no_grad():
            self.weight.uniform_(-bound, bound, generator=generator)

    def forward(
        self,
        x: Tensor,
        document: Tensor | None = None,
        history: Tensor | None = None,
        history_document: Tensor | None = None,
    ) -> Tensor:
        return canon(
            x,
            self.weight,
            residual=self.residual,
            activation=self.activation,
            document=document,
            history=history,
            history_document=history_document,
            compiled=self.compiled,
        )

    def next_history(self, x: Tensor, history: Tensor | None = None) -> Tensor:
        return next_history(x, self.kernel - 1, history)


def _check(
    x: Tensor, weight: Tensor, document: Tensor | None, history: Tensor | None, history_document: Tensor | None
) -> None:
    if x.dim() != 3:
        raise ValueError(f"expected x of shape [batch, position, width], got {list(x.shape)}")
    batch, position, width = x.shape
    if weight.dim() != 3 or weight.shape[:2] != (width, 1):
        raise ValueError(f"expected weight of shape [{width}, 1, kernel], got {list(weight.shape)}")
    past = weight.shape[-1] - 1
    for name, tensor, shape in (
        ("document", document, (batch, position)),
        ("history", history, (batch, past, width)),
        ("history_document", history_document, (batch, past)),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"expected {name} of shape {list(shape)}, got {list(tensor.shape)}")
    if document is not None and (history is None) != (history_document is None):
        raise ValueError("expected history and history_document together when document is given")
