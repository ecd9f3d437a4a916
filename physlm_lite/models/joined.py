"""Linear layers that read the same input, side by side: one product where nobody minds, module by module elsewhere.

Whatever stands in the place of a linear layer (an adapter, a quantised one), hangs on it (hooks, pruning, the old
weight_norm), makes its weight (parametrizations) or replaces its forward (offloading) is called. The one product is
taken from the weights of plain layers alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as hooks

GLOBAL_HOOKS = (
    hooks._global_forward_pre_hooks,
    hooks._global_forward_hooks,
    hooks._global_backward_pre_hooks,
    hooks._global_backward_hooks,
)


def plain(layer: nn.Module) -> bool:
    """Whether calling `layer` is x @ weight.T and nothing else: a plain `nn.Linear` without a bias and without hooks."""
    return (
        type(layer) is nn.Linear
        and layer.bias is None
        and type(layer.weight) in (nn.Parameter, Tensor)  # others, such as quantised ones, multiply in their own way
        and not (layer._forward_pre_hooks or layer._forward_hooks)
        and not (layer._backward_pre_hooks or layer._backward_hooks)
        and "forward" not in layer.__dict__
        and not any(GLOBAL_HOOKS)
    )


def joined(x: Tensor, *layers: nn.Linear) -> Tensor:
    """[layer(x) for each layer], side by side along the last axis.

    Weights are joined where that copies less than joining activations: for as many tokens as x is wide, or more.
    """
    if x.shape[:-1].numel() >= x.shape[-1] and all(plain(layer) for layer in layers):
        return F.linear(x, torch.cat([layer.weight for layer in layers]))
    return torch.cat([layer(x) for layer in layers], -1)
