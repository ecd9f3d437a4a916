"""Where weights start (Part 4.1, appendix C.2): each part says how wide its matrices are, and `Start` draws them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class ByName:
    """A random generator of its own for each parameter of a model, which depends on the seed and on its name alone.

    So two models that differ in one option share the starts of all other parameters, and any number of processes that
    build a part of the model each start alike.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        self.seed = seed
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def __call__(self, weight: Tensor) -> torch.Generator:
        digest = hashlib.sha256(f"{self.seed} {self.names[weight]}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


Dice = ByName | torch.Generator | None  # None: PyTorch's own


def thrown(dice: Dice, weight: Tensor) -> torch.Generator | None:
    """The generator that a parameter is drawn with."""
    return dice(weight) if isinstance(dice, ByName) else dice


@dataclass(frozen=True)
class Start:
    """A starting point by the name of the code base that it comes from; see `ModelConfig.init` and `init_std`."""

    init: str
    std: float | None = None
    dice: Dice = None

    def fill(self, weight: Tensor, std: float, bound: float) -> None:
        """Draw a matrix: "lingua" normal with `std`, cut at `bound`; the others have deviations of their own."""
        generator = thrown(self.dice, weight)
        if self.init == "mamba2":  # PyTorch's default
            weight.uniform_(-(weight.shape[-1] ** -0.5), weight.shape[-1] ** -0.5, generator=generator)
        elif self.init == "huggingface":
            weight.normal_(0, self.std or 0.02, generator=generator)
        else:
            nn.init.trunc_normal_(weight, 0, std, -bound, bound, generator=generator)

    def inputs(self, weights: list[Tensor]) -> None:
        """The matrices [..., width] with which a layer reads the stream."""
        for weight in weights:
            std = self.std or weight.shape[-1] ** -0.5
            self.fill(weight, std, 3 * std)

    def ends(self, embedding: Tensor, head: Tensor | None) -> None:
        """The embedding, and the head unless it is the same matrix."""
        std = embedding.shape[-1] ** -0.5
        if self.init == "mamba2":
            embedding.normal_(0, 0.1, generator=thrown(self.dice, embedding))
        else:
            self.fill(embedding, std, 3 * std)
        if head is not None:
            self.fill(head, std, 3 * std)
