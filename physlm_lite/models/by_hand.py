"""Derivatives by hand: they serve one backward pass. Whatever else is asked for comes from the form that reads like the
formula, which PyTorch can differentiate as often as it likes.

Three functions of this package have their derivative by hand: `canon`, and `products` and `decays` of the linear mixers.
Each has a naive twin made of plain operations. Where torch.func (grad, vmap, jvp, ...) or forward-mode differentiation is
at work, `transformed` says so and the twin is called; where a backward pass is itself to be differentiated
(`create_graph=True`, hvp), or runs for many gradients at once (`is_grads_batched`), `by_autograd` takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def transformed() -> bool:
    """Whether torch.func or forward mode is at work, which a backward pass by hand does not serve."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def once() -> bool:
    """Asked in a backward pass: whether it is for one gradient, whose result is not to be differentiated again."""
    if torch.compiler.is_compiling():
        return True
    several = torch._C._dispatch_tls_is_dispatch_key_included("VmapMode")  # is_grads_batched
    return not (torch.is_grad_enabled() or several or transformed())


def by_autograd(
    naive: Callable[..., Any], inputs: Sequence[Tensor], wanted: Sequence[bool], gradients: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """The derivatives of naive(*inputs) by those inputs that are wanted, given those by its outputs; differentiable."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        asked = [x for x, needed in zip(inputs, wanted, strict=True) if needed]
        found = iter(torch.autograd.grad(naive(*inputs), asked, gradients, create_graph=again))
    return tuple(next(found) if needed else None for needed in wanted)
