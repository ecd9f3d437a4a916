"""Where weights start (Part 4.1, appendix C.2): each part says how wide its matrices are, and `Start` draws them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Start:
    """A starting point by the name of the code base that it comes from; see `ModelConfig.init` and `init_std`."""

    init: str
    std: float | None = None
    generator: torch.Generator | None = None

    def fill(self, weight: Tensor, std: float, bound: float) -> None:
        """Draw a matrix: "lingua" normal with `std`, cut at `bound`; the others have deviations of their own."""
        if self.init == "mamba2":  # PyTorch's default
            weight.uniform_(-(weight.shape[-1] ** -0.5), weight.shape[-1] ** -0.5, generator=self.generator)
        elif self.init == "huggingface":
            weight.normal_(0, self.std or 0.02, generator=self.generator)
        else:
            nn.init.trunc_normal_(weight, 0, std, -bound, bound, generator=self.generator)

    def inputs(self, weights: list[Tensor]) -> None:
        """The matrices [..., width] with which a layer reads the stream."""
        for weight in weights:
            std = self.std or weight.shape[-1] ** -0.5
            self.fill(weight, std, 3 * std)

    def ends(self, embedding: Tensor, head: Tensor | None) -> None:
        """The embedding, and the head unless it is the same matrix."""
        std = embedding.shape[-1] ** -0.5
        if self.init == "mamba2":
            embedding.normal_(0, 0.1, generator=self.generator)
        else:
            self.fill(embedding, std, 3 * std)
        if head is not None:
            self.fill(head, std, 3 * std)
