"""Kernels of other packages, used on a GPU in place of our own functions where they are installed; never required.

What a layer computes is defined by the PyTorch functions of this package. Four of them have a twin elsewhere:

    "gla"      `gla_chunked`       flash-linear-attention   fla.ops.gla.chunk_gla
    "delta"    `delta_chunked`     flash-linear-attention   fla.ops.gated_delta_rule.chunk_gated_delta_rule
    "mamba2"   `mamba2_chunked`    mamba-ssm                mamba_ssm.ops.triton.ssd_combined.mamba_chunk_scan_combined
    "canon"    `canon`             flash-linear-attention   fla.modules.convolution.causal_conv1d
                                   causal-conv1d, else      causal_conv1d.causal_conv1d_fn
                                   none of them             our own function, compiled by PyTorch

A model asks `chosen` once for each forward pass, and its layers take their own functions where there is no twin. The three
recurrences multiply in bfloat16, so they stand in only where the model computes in bfloat16 anyway, by autocast or by its
weights. The convolution keeps 32 bits and is used in float32 too. The environment variable PHYSLM_KERNELS=torch turns all
of them off.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..base.strict import choose
from .by_hand import once, transformed
from .canon import canon as own_canon

SCAN_CHUNK = 256  # tokens at a time for mamba_ssm, as in its own layer
LEAST_STEP = 1e-9  # of mamba2; a decay of exp(-1e-9) is 1 in float32
TAPS = range(1, 9)  # of a convolution by flash-linear-attention
COMPILED_FROM = 1024  # width; a narrower layer would not earn back the seconds that compiling it takes


@dataclass(frozen=True)
class Kernel:
    """A function of another package, and `call`, which gives it our arguments: call(function, numbers, *arguments).

    numbers: the kinds of numbers it may multiply in. sizes: of the kernel of a convolution, of a key in a recurrence.
    """

    module: str
    function: str
    call: Callable[..., Any]
    numbers: tuple[torch.dtype, ...] = (torch.bfloat16,)
    sizes: range = range(1, 257)


def kernel_for(numbers: torch.dtype, operation: str, width: int, size: int) -> Callable[..., Any] | None:
    """The kernel for an operation, to be called like our own function; None where that one is to be used.

    It is the first of which all of this is true: `width`, that of the layer's input, is a multiple of 8, it multiplies in these
    numbers, `size` is one of its sizes, and its package is installed. It has a first derivative alone, and a backward pass
    that is to be differentiated again is refused. For a wide Canon layer that finds none, our own function is compiled.
    ValueError for an unknown operation.
    """
    for kernel in choose("operation with a kernel", operation, KERNELS):
        fits = width % 8 == 0 and numbers in kernel.numbers and size in kernel.sizes
        if fits and (function := _load(kernel.module, kernel.function)) is not None:
            return _guarded(partial(kernel.call, function, numbers))
    if operation == "canon" and width >= COMPILED_FROM and numbers != torch.float64 and _compiles():
        return compiled_canon
    return None


def chosen(x: Tensor) -> Callable[..., Any] | None:
    """`kernel_for` a forward pass that begins with the vectors x; None where our own functions compute all of it.

    That is: on a CPU, under torch.compile, which fuses our own functions, under torch.func, where PyTorch is told to be
    deterministic, which kernels are not, and with PHYSLM_KERNELS=torch. ValueError if that is neither "auto" nor "torch".
    """
    if torch.compiler.is_compiling():
        return None
    wanted = choose("PHYSLM_KERNELS", os.environ.get("PHYSLM_KERNELS", "auto"), {"auto": True, "torch": False})
    if not wanted or not _on_gpu(x) or torch.are_deterministic_algorithms_enabled() or transformed():
        return None
    kind = x.device.type
    return partial(kernel_for, torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype)


def linear(function: Callable[..., Any], numbers: torch.dtype, *given: Any) -> tuple[Tensor, Tensor]:
    """`gla_chunked` by chunk_gla(q, k, v, g), `delta_chunked` by chunk_gated_delta_rule(q, k, v, g, beta), which know no more
    arguments than these: the same layouts, logarithm of the decay, and scale of 1 / sqrt(key).

    Documents are to lie one after the other in a single row, with `cu_seqlens`, the places of their bounds, and with a
    state for each of them: zero, except where a document goes on from before.
    """
    *inputs, starts, state = given
    wide = inputs[3].dtype  # of the log decay, which is never rounded
    inputs = [z if i == 3 else z.to(numbers) for i, z in enumerate(inputs)]
    if starts is None:
        read, after = function(*inputs, initial_state=state, output_final_state=True)
        return read.to(wide), after.to(wide)
    first = starts.clone()
    first[:, 0] = True
    begins = first.flatten().nonzero()[:, 0]
    bounds = torch.cat([begins, begins.new_full((1,), starts.numel())])
    last = first.sum(1).cumsum(0) - 1  # the number of the last document of each row
    if state is not None:
        going_on = torch.where(starts[:, 0, None, None, None], 0, state)
        leading = torch.cat([last.new_zeros(1), last[:-1] + 1])
        state = state.new_zeros(len(begins), *state.shape[1:]).index_copy(0, leading, going_on)
    row = (z.flatten(0, 1)[None] for z in inputs)
    read, after = function(*row, initial_state=state, output_final_state=True, cu_seqlens=bounds)
    return read[0].unflatten(0, starts.shape).to(wide), after[last].to(wide)


def mamba2(
    function: Callable[..., Any],
    numbers: torch.dtype,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    starts: Tensor | None,
    state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`mamba2_chunked` by mamba_chunk_scan_combined(x, dt, A, B, C): with a rate A of -1, steps are what decays.

    It writes dt * x, and is therefore given value / dt. Its states are [value, key], and its keys and queries have groups
    of heads, here one. What becomes of an earlier state at the start of a document is not documented: a layer that has
    both takes our own function.
    """
    step = (-log_decay).clamp(min=LEAST_STEP)
    x, key, query = (z.to(numbers) for z in (value / step[..., None], key[:, :, None], query[:, :, None]))
    rate = step.new_full(step.shape[-1:], -1.0)
    read, after = function(
        x,
        step,
        rate,
        key,
        query,
        SCAN_CHUNK,
        initial_states=None if state is None else state.mT,
        seq_idx=None if starts is None else starts.cumsum(1, dtype=torch.int32),
        return_final_states=True,
    )
    return read.to(value.dtype), after.mT.to(value.dtype)


def canon_of_fla(
    function: Callable[..., Any],
    numbers: torch.dtype,
    x: Tensor,
    weight: Tensor,
    residual: bool,
    activation: bool,
    document: Tensor | None,
) -> Tensor:
    """`canon` by causal_conv1d(x, weight, residual=, activation=, cu_seqlens=), which adds x in the same pass.

    Documents are to lie one after the other in a single row. So where one goes on behind another that is shorter than the
    kernel reaches, which no bounds can say, our own function computes it.
    """
    taps, act, row = weight[:, 0].contiguous(), "silu" if activation else None, x.contiguous()
    bounds = None
    if document is not None:
        if (bounds := _bounds(document)) is None:
            return own_canon(x, weight, residual=residual, activation=activation, document=document)
        row = row.flatten(0, 1)[None]
    mixed, _ = function(row, taps, residual=row if residual else None, activation=act, cu_seqlens=bounds)
    result: Tensor = mixed.view_as(x)
    return result


_BOUNDS: Any = WeakTensorKeyDictionary()  # of the batches at hand: all layers ask for the same ones


def _bounds(document: Tensor) -> Tensor | None:
    """Where documents begin in the rows laid one after the other, and the end; None where a number comes again within reach."""
    version, found = _BOUNDS.get(document, (None, None))
    if version is None or version != document._version:
        changes = document[:, 1:] != document[:, :-1]
        starts = torch.nn.functional.pad(changes, (1, 0), value=True)
        run = starts.cumsum(1)
        lags = range(2, min(len(TAPS), document.shape[1]))
        again = [((document[:, g:] == document[:, :-g]) & (run[:, g:] != run[:, :-g])).any() for g in lags]
        begins = starts.flatten().nonzero()[:, 0]
        bounds = torch.cat([begins, begins.new_full((1,), starts.numel())])
        found = None if again and bool(torch.stack(again).any()) else bounds
        _BOUNDS[document] = document._version, found
    bounds_or_none: Tensor | None = found
    return bounds_or_none


def compiled_canon(x: Tensor, weight: Tensor, residual: bool, activation: bool, document: Tensor | None) -> Tensor:
    """Our own function, compiled: one pass over the data."""
    return own_canon(x, weight, residual=residual, activation=activation, document=document, compiled=True)


def canon(
    function: Callable[..., Any],
    numbers: torch.dtype,
    x: Tensor,
    weight: Tensor,
    residual: bool,
    activation: bool,
    document: Tensor | None,
) -> Tensor:
    """`canon` by causal_conv1d_fn(x, weight, seq_idx=, activation=), whose channels come before the positions.

    In memory they stay behind them, which it wants for documents, whose numbers it wants from 0 on.
    """
    taps, numbered = weight[:, 0], None
    if residual and not activation:  # then the identity is one more weight on the token itself
        taps = taps + torch.eye(taps.shape[1], dtype=taps.dtype, device=taps.device)[-1]
    if document is not None:
        numbered = (document - document.amin()).to(torch.int32).contiguous()
    mixed: Tensor = function(
        x.contiguous().transpose(1, 2), taps.contiguous(), seq_idx=numbered, activation="silu" if activation else None
    ).transpose(1, 2)
    return x + mixed if residual and activation else mixed


WIDE = (torch.bfloat16, torch.float16, torch.float32)
KERNELS: dict[str, tuple[Kernel, ...]] = {
    "gla": (Kernel("fla.ops.gla", "chunk_gla", linear),),
    "delta": (Kernel("fla.ops.gated_delta_rule", "chunk_gated_delta_rule", linear),),
    "mamba2": (Kernel("mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined", mamba2),),
    "canon": (
        Kernel("fla.modules.convolution", "causal_conv1d", canon_of_fla, WIDE, TAPS),
        Kernel("causal_conv1d", "causal_conv1d_fn", canon, WIDE, range(2, 5)),
    ),
}


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, whose backward pass refuses to be differentiated: it would give numbers, and wrong ones."""

    def refuse(gradient: Tensor) -> None:
        if not once():
            raise RuntimeError(
                "the kernels of other packages have a first derivative alone; for a second one, or many gradients at "
                "once, set PHYSLM_KERNELS=torch"
            )

    def guarded(*arguments: Any) -> Any:
        results = call(*arguments)
        for tensor in results if isinstance(results, tuple) else (results,):
            if tensor.requires_grad:
                tensor.register_hook(refuse)
        return results

    return guarded


def _on_gpu(x: Tensor) -> bool:
    return x.is_cuda


@lru_cache
def _load(module: str, function: str) -> Callable[..., Any] | None:
    """The function, or None if its package is not there; a package that is there and does not work is told of once."""
    package = module.partition(".")[0]
    if find_spec(package) is None:
        return None
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever a package meets while it looks for a compiler, a driver, another package
        warnings.warn(
            f"{package} is installed, but {module}.{function} cannot be loaded ({error}); PyTorch is used in its "
            "place. Repair the package, or set PHYSLM_KERNELS=torch.",
            stacklevel=3,
        )
        return None
    return found


@lru_cache
def _compiles() -> bool:
    """Whether torch.compile works on this GPU; where it does not, that is told of once."""
    try:
        probe = torch.ones(8, device="cuda")
        return bool((torch.compile(lambda z: z * 2 + 1)(probe) == 3).all())
    except Exception as error:  # no Triton, no C compiler, a driver that is too old
        warnings.warn(f"torch.compile does not work here ({error}); Canon layers run in several passes", stacklevel=3)
        return False
