"""Canon-b: the short convolution that the authors of linear models put inside their mixers (Part 4.1, section 6)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .canon import Canon
from .start import Dice, thrown


class ShortConvolution(Canon):
    """silu( convolution(x) + bias ): a Canon layer without the identity term, and with an activation.

    `std`: how the taps start, normal with this standard deviation; None is the start of a Canon layer, uniform within
    ±1/sqrt(kernel), for the bias as well.
    """

    std: float | None = None

    def __init__(self, width: int, kernel: int = 4, bias: bool = False, compiled: bool = False) -> None:
        super().__init__(width, kernel, residual=False, activation=not bias, compiled=compiled)
        self.bias = nn.Parameter(torch.empty(width)) if bias else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None) -> None:
        """See `std`."""
        bound = self.kernel**-0.5
        for parameter in self.parameters():
            if self.std is None:
                parameter.uniform_(-bound, bound, generator=thrown(dice, parameter))
            else:
                parameter.normal_(0, self.std, generator=thrown(dice, parameter))

    def forward(self, x: Tensor, *given: Any, **options: Any) -> Tensor:
        """`[batch, position, width]` to the same shape; arguments as for a Canon layer."""
        mixed = super().forward(x, *given, **options)
        return mixed if self.bias is None else F.silu(mixed + self.bias)
