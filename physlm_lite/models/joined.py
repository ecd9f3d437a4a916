"""Linear layers that read the same input, side by side: one product where nobody minds, module by module elsewhere.

Whatever stands in the place of a linear layer (an adapter, a quantised one), hangs on it (hooks, pruning, the old
weight_norm), makes its weight (parametrizations) or replaces its forward (offloading) is called. The one product is
taken from the weights of plain layers alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from .context import Memory

NARROW = 256  # for wider layers their calls cost little beside their products
NO_DATA = "torch._subclasses.fake_tensor"  # with which memory is counted: it has to go the way of real weights
GLOBAL_HOOKS = (
    hooks._global_forward_pre_hooks,
    hooks._global_forward_hooks,
    hooks._global_backward_pre_hooks,
    hooks._global_backward_hooks,
)


def plain(layer: nn.Module) -> bool:
    """Whether calling `layer` is x @ weight.T and nothing else: a plain `nn.Linear` without a bias and without hooks."""
    parameters = layer._parameters  # where a module looks for them, too, and last
    kind = type(parameters.get("weight"))  # another one, such as a quantised one, multiplies otherwise
    return (
        type(layer) is nn.Linear
        and parameters["bias"] is None
        and (kind in (nn.Parameter, Tensor) or kind.__module__ == NO_DATA)
        and not (layer._forward_pre_hooks or layer._forward_hooks)
        and not (layer._backward_pre_hooks or layer._backward_hooks)
        and "forward" not in layer.__dict__
        and not any(GLOBAL_HOOKS)
    )


def joined(x: Tensor, *layers: nn.Linear, memory: Memory | None = None) -> Tensor:
    """[layer(x) for each layer], side by side along the last axis.

    Weights are joined where that copies less than joining activations: for as many tokens as x is wide, or more. While a
    text is written, narrow ones are joined once, and kept in the `memory` of the layer.
    """
    many = x.shape[:-1].numel() >= x.shape[-1]
    kept = memory is not None and memory.writes and x.shape[-1] <= NARROW
    if (many or kept) and all(map(plain, layers)):
        weights: list[Any] = [layer._parameters["weight"] for layer in layers]
        return F.linear(x, torch.cat(weights) if many or memory is None else memory.made(layers[0], _join, *weights))
    return torch.cat([layer(x) for layer in layers], -1)


def _join(*weights: Tensor) -> Tensor:
    return torch.cat(weights)
