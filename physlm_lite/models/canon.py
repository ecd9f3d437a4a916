"""The Canon layer: every token receives a weighted sum of itself and its last few neighbours (Part 4.1, section 4).

Two functions compute the same thing. ``canon_naive`` reads like the formula. ``canon`` is the one to train with: its
derivative is written by hand, so that nothing but ``x`` is kept for the backward pass and no padded copy is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base.strict import Range, unknown, verify
from .by_hand import by_autograd, once, transformed
from .start import Dice, thrown

Rows = tuple[Tensor, ...]  # an index of tokens: (batch indices, position indices)


def canon_naive(
    x: Tensor,
    weight: Tensor,
    *,
    residual: bool = True,
    activation: bool = False,
    document: Tensor | None = None,
) -> Tensor:
    """The formula as a reader would write it: for each lag, shift and add. Arguments and errors as in ``canon``."""
    _check(x, weight, document)
    position, past = x.shape[1], weight.shape[-1] - 1
    mixed = torch.zeros_like(x)
    for lag in range(past + 1):
        shifted = F.pad(x, (0, 0, lag, 0))[:, :position]  # the tokens `lag` back, zero before the first
        if document is not None:
            same = F.pad(document, (lag, 0))[:, :position] == document
            shifted = torch.where(same[..., None], shifted, 0)
        mixed = mixed + weight[:, 0, past - lag].to(x.dtype) * shifted
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
    compiled: bool = False,
    kernel: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Mix each token with the ``kernel - 1`` tokens before it, channel by channel (Part 4.1, section 4).

        y[t] = x[t] + act(sum over j of weight[:, 0, j] * x[t - (kernel - 1) + j])        x is zero before the start

    ``weight[:, 0, kernel - 1]`` multiplies the token itself, ``weight[:, 0, 0]`` the one ``kernel - 1`` back. An impulse
    comes out as the taps in reverse order, on top of itself:

    >>> taps = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])
    >>> def show(tokens): return "  ".join(f"{value:.1f}" for value in tokens.flatten())
    >>> impulse = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).view(1, 6, 1)
    >>> print(f"x {show(impulse)}\\ny {show(canon(impulse, taps))}")
    x 0.0  1.0  0.0  0.0  0.0  0.0
    y 0.0  1.4  0.3  0.2  0.1  0.0

    With ``document``, a tap contributes only if its source carries the same number as its target:

    >>> document = torch.tensor([[7, 7, 7, 8, 8, 8]])
    >>> print(f"y {show(canon(impulse, taps, document=document))}")
    y 0.0  1.4  0.3  0.0  0.0  0.0

    Args:
        x: ``[batch, position, width]``.
        weight: ``[width, 1, kernel]``, the layout of a depthwise ``Conv1d``; any kernel from 1 on.
        residual: whether the identity term ``x[t]`` is there.
        activation: whether ``act`` is SiLU; the identity otherwise.
        document: ``[batch, position]`` integers. Only equality counts: documents 1, 2, 1 in a row let the last token
            see the first one. Give padding a number of its own.
        compiled: run through ``torch.compile``, which needs a C++ compiler: some seconds once in a process, and from
            then on a single pass over the data.
        kernel: a function of another package to use in its place where a text begins (see ``kernels``).

    Returns:
        ``[batch, position, width]`` in the dtype of ``x``; below float32 the sum is taken in float32 and rounded once.

    Raises:
        ValueError: if a shape does not fit, naming what was expected and what came.
    """
    _check(x, weight, document)
    if kernel is not None:
        return kernel(x, weight, residual, activation, document)
    if (
        torch.compiler.is_compiling() or transformed()
    ):  # a compiler fuses best the formula itself, and torch.func needs it
        return canon_naive(x, weight, residual=residual, activation=activation, document=document)
    return _Canon.apply(x, weight, document, residual, activation, compiled)


def canon_step(
    x: Tensor,
    before: Sequence[Tensor],
    taps: Sequence[Tensor],
    residual: bool,
    activation: bool,
    same: Tensor | None = None,
) -> Tensor:
    """The output for one token x [batch, 1, width] after those `before` it, the oldest first.

    taps: those of `Canon.taps`. same: [batch, kernel], whether each token belongs to the last one's document.
    """
    short, last = x.dtype != taps[0].dtype, taps[-1]
    if same is not None:
        before = [source.masked_fill(~same[:, i, None, None], 0) for i, source in enumerate(before)]
    mixed = (x.to(last.dtype) if short else x) * last
    for source, tap in zip(before, taps, strict=False):
        mixed.addcmul_(source.to(tap.dtype) if short else source, tap)
    if activation:
        mixed = x + F.silu(mixed) if residual else F.silu(mixed)
    return mixed.to(x.dtype) if short else mixed


# The paper's places; and Inkling's (Thinking Machines, 2026): keys, values, and what attention and feed-forward layer write.
PLACES = "ABCDKVOM"
STARTS = ("uniform", "zeros", "mean")


@dataclass(frozen=True)
class CanonConfig:
    """Which layers of a model have Canon layers, and what they are like; `ModelConfig` says what the options mean."""

    layers: Annotated[int, Range(1, 10_000)]
    canon: str = ""
    canon_kernel: Annotated[int, Range(1, 4096)] = 4
    canon_residual: bool = True
    canon_activation: bool = False
    canon_frozen: bool = False
    canon_compiled: bool = False
    canon_init: Literal["uniform", "zeros", "mean"] = "uniform"
    canon_layers: tuple[int, ...] | None = None
    canon_cross: bool = False

    def __post_init__(self) -> None:
        verify(self, "ModelConfig")
        if wrong := sorted(set(self.canon) - set(PLACES)):
            raise ValueError(f"canon is a subset of {PLACES!r}, and {''.join(wrong)!r} is none of these letters")
        if "B" in self.canon and (twice := set(self.canon) & set("KV")):
            raise ValueError(
                f"canon 'B' mixes query, key and value already; leave {''.join(sorted(twice))!r} out, or 'B'"
            )
        if not self.places:
            for name, default in (("canon_layers", None), ("canon_init", "uniform")):
                if getattr(self, name) != default:
                    raise ValueError(f"{name} is an option of Canon layers; give canon as well")
        if self.canon_init == "zeros" and (self.canon_frozen or not self.canon_residual):
            raise ValueError(
                "canon_init 'zeros' starts from the identity and must be trained; it goes neither with "
                "canon_frozen nor without canon_residual"
            )
        if self.canon_layers is not None:
            places = [place % self.layers for place in self.canon_layers if -self.layers <= place < self.layers]
            if not places or len(set(places)) < len(self.canon_layers):
                raise ValueError(
                    f"canon_layers must name different layers between 0 and {self.layers - 1}, or from the "
                    f"end -1 to {-self.layers}, at least one; not {list(self.canon_layers)}"
                )

    @property
    def places(self) -> str:
        """The positions in use, X being the cross-layer one."""
        return self.canon + "X" * self.canon_cross

    @property
    def depths(self) -> list[int]:
        """The layers that have Canon layers."""
        if self.canon_layers is None:
            return list(range(self.layers)) if self.places else []
        return sorted(place % self.layers for place in self.canon_layers)

    def make(self, place: str, width: int) -> Canon:
        """The Canon layer at a position; across layers (X) the identity is the layer's own output."""
        return Canon(
            width,
            self.canon_kernel,
            self.canon_residual and place != "X",
            self.canon_activation,
            frozen=self.canon_frozen,
            compiled=self.canon_compiled,
            init=self.canon_init,
        )


class Canon(nn.Module):
    """A Canon layer: ``canon`` with its ``weight`` ``[width, 1, kernel]`` (Part 4.1, section 4).

    ``frozen`` keeps the taps as they start: ``init`` "uniform" (random), "zeros" (no Canon at first) or "mean" (of the token
    and its neighbours: every tap 1/kernel). The other options are those of ``canon``.
    """

    def __init__(
        self,
        width: int,
        kernel: int = 4,
        residual: bool = True,
        activation: bool = False,
        frozen: bool = False,
        compiled: bool = False,
        init: str = "uniform",
    ) -> None:
        super().__init__()
        if width < 1 or kernel < 1:
            raise ValueError(f"expected width and kernel of at least 1, got width {width} and kernel {kernel}")
        if init not in STARTS:
            raise unknown("Canon init", init, STARTS)
        self.width, self.kernel, self.init = width, kernel, init
        self.residual, self.activation, self.compiled = residual, activation, compiled
        self.weight = nn.Parameter(torch.empty(width, 1, kernel), requires_grad=not frozen)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None) -> None:
        """Uniform within ±1/sqrt(kernel), PyTorch's default for a depthwise ``Conv1d``; a small std is harmful here."""
        if self.init != "uniform":
            self.weight.fill_(1 / self.kernel if self.init == "mean" else 0)
        else:
            self.weight.uniform_(-(self.kernel**-0.5), self.kernel**-0.5, generator=thrown(dice, self.weight))

    def forward(
        self,
        x: Tensor,
        document: Tensor | None = None,
        before: tuple[Tensor, ...] = (),
        made: Callable[..., Any] | None = None,
        kernel: Callable[..., Tensor] | None = None,
    ) -> Tensor:
        """``[batch, position, width]`` to the same shape; see ``canon``.

        before: the ``kernel - 1`` inputs before x while decoding, ``[batch, 1, width]`` each, the oldest first; ``document``
        begins with their numbers. made: for a single token, `Memory.made`, which keeps what `taps` makes of the weight; with a
        kernel, that one computes the token from its window.
        """
        if made is not None and kernel is not None:
            window = torch.cat([*before, x], 1)
            if document is not None:  # a window is short: what lies in another document is simply taken out
                window = window * (document == document[:, -1:])[..., None]
            return canon(window, self.weight, residual=self.residual, activation=self.activation, kernel=kernel)[:, -1:]
        if made is not None:
            same = None if document is None else document == document[:, -1:]
            return canon_step(x, before, made(self, self.taps, self.weight), self.residual, self.activation, same)
        whole = torch.cat([*before, x], 1) if before else x
        mixed = canon(
            whole,
            self.weight,
            residual=self.residual,
            activation=self.activation,
            document=document,
            compiled=self.compiled and not before,  # decoding sees ever new lengths: not worth a compilation
            kernel=kernel,
        )
        return mixed[:, len(before) :] if before else mixed

    def taps(self, weight: Tensor) -> tuple[Tensor, ...]:
        """The weight of each tap [width], in at least float32, the identity being one more weight on the token itself."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        *earlier, last = weight[:, 0].t().to(wide).contiguous().unbind()
        return *earlier, 1 + last if self.residual and not self.activation else last

    def extra_repr(self) -> str:
        return f"{self.width}, kernel={self.kernel}, residual={self.residual}, activation={self.activation}"


# The fast path. `taps` is the weight as [kernel, width], so that a tap is one contiguous vector. The sum over lags is
# limited by memory, not arithmetic: what counts is how often the data passes through the processor.


class _Canon(torch.autograd.Function):
    """Glue between autograd and ``_forward`` and ``_backward``, which are plain functions of tensors."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, document: Tensor | None, residual: bool, activation: bool, compiled: bool
    ) -> Tensor:
        taps = weight[:, 0].t().to(torch.promote_types(x.dtype, torch.float32)).contiguous()
        ctx.save_for_backward(x, weight, taps, document)
        ctx.options = residual, activation, compiled
        return _run(_forward, compiled)(x.contiguous(), taps, document, residual, activation)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, taps, document = ctx.saved_tensors
        residual, activation, compiled = ctx.options
        wanted = ctx.needs_input_grad[:2]
        if not once():
            naive = partial(canon_naive, residual=residual, activation=activation, document=document)
            return *by_autograd(naive, (x, weight), wanted, (dy,)), None, None, None, None
        dx, dtaps = _run(_backward, compiled)(
            dy.contiguous(), x.contiguous(), taps, document, residual, activation, wanted
        )
        dweight = None if dtaps is None else dtaps.t()[:, None].to(weight.dtype)
        return dx, dweight, None, None, None, None


@lru_cache
def _run(function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    # one compilation serves every batch, length and width
    return torch.compile(function, dynamic=True) if compiled else function


def _forward(x: Tensor, taps: Tensor, document: Tensor | None, residual: bool, activation: bool) -> Tensor:
    identity = residual and not activation  # then it is one more weight on the token itself, and costs nothing
    mixed = _mix(x.to(taps.dtype), taps, document, identity)
    if activation:
        mixed = x + F.silu(mixed) if residual else F.silu(mixed)
    return mixed.to(x.dtype)


def _backward(
    dy: Tensor,
    x: Tensor,
    taps: Tensor,
    document: Tensor | None,
    residual: bool,
    activation: bool,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    wide_x, dmixed = x.to(taps.dtype), dy.to(taps.dtype)
    if activation:
        dmixed = torch.ops.aten.silu_backward(dmixed, _mix(wide_x, taps, document, False))
    dx = dtaps = None
    if wanted[0]:
        dx = _mix(dmixed, taps, document, residual and not activation, ahead=True)
        dx = (dx + dy if residual and activation else dx).to(x.dtype)
    if wanted[1]:
        dtaps = _tap_gradient(dmixed, wide_x, document, len(taps))
    return dx, dtaps


def _mix(source: Tensor, taps: Tensor, document: Tensor | None, identity: bool, ahead: bool = False) -> Tensor:
    """Weighted sum of each token with those before it, or with those ``ahead`` of it, which is the transposed map."""
    past = len(taps) - 1
    mixed = source * (1 + taps[past] if identity else taps[past])
    if _in_place(source):
        crossings = _crossings(document, past + 1)
        for lag in range(1, min(past + 1, source.shape[1])):
            early, late = slice(None, -lag), slice(lag, None)
            target, shifted = (mixed[:, early], source[:, late]) if ahead else (mixed[:, late], source[:, early])
            rows = crossings.get(lag)
            if rows is None:
                target.addcmul_(shifted, taps[past - lag])
            else:  # where this tap crosses into another document, the old value is put back
                before = target[rows]
                target.addcmul_(shifted, taps[past - lag])
                target[rows] = before
    else:
        for lag in range(1, past + 1):
            mixed = mixed + taps[past - lag] * _reach(source, document, -lag if ahead else lag)
    return mixed


def _tap_gradient(dy: Tensor, x: Tensor, document: Tensor | None, kernel: int) -> Tensor:
    """``[kernel, width]``: for each tap, the sum over tokens of ``dy[t] * x[t - lag]``."""
    past, (batch, position, width) = kernel - 1, x.shape
    if not _in_place(x):
        return torch.stack([(dy * _reach(x, document, lag)).sum((0, 1)) for lag in reversed(range(kernel))])
    # A running total over a few positions at a time: it and its operands stay in the cache.
    slab = min(position, max(kernel, _SLAB // (batch * width)))
    total = x.new_zeros(kernel, batch, slab, width)
    edge = min(past, position)
    for lag in range(edge):  # the first tokens, for which the longer lags have no source
        total[past - lag, :, : edge - lag].addcmul_(x[:, : edge - lag], dy[:, lag:edge])
    if position > past:
        windows = x.unfold(1, kernel, 1).permute(3, 0, 1, 2)  # [kernel, batch, position - past, width], a view
        for window, part in zip(windows.split(slab, 2), dy[:, past:].split(slab, 1), strict=True):
            total[:, :, : part.shape[1]].addcmul_(window, part)
    gradient = total.sum((1, 2))
    for lag, rows in _crossings(document, kernel).items():
        gradient[past - lag] -= (dy[:, lag:][rows] * x[:, : position - lag][rows]).sum(0)
    return gradient


_SLAB = 1 << 15  # elements of one operand in a slab


def _in_place(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _crossings(document: Tensor | None, kernel: int) -> dict[int, Rows]:
    """For each lag, the pairs of tokens that far apart which lie in different documents, by the index of the earlier."""
    if document is None:
        return {}
    position = document.shape[1]
    lags = range(1, min(kernel, position))
    return {lag: (document[:, lag:] != document[:, : position - lag]).nonzero(as_tuple=True) for lag in lags}


def _reach(source: Tensor, document: Tensor | None, lag: int) -> Tensor:
    """``source[t - lag]``, zero where there is none or where it lies in another document: the form compilers fuse."""
    position = source.shape[1]
    index = torch.arange(position, device=source.device) - lag
    keep = (index >= 0) & (index < position)
    index = index.clamp(0, position - 1)
    if document is not None:
        keep = keep & (document[:, index] == document)
    return torch.where(keep[..., None], source[:, index], 0)


def _check(x: Tensor, weight: Tensor, document: Tensor | None) -> None:
    if x.dim() != 3:
        raise ValueError(f"expected x of shape [batch, position, width], got {list(x.shape)}")
    width = x.shape[2]
    if weight.dim() != 3 or weight.shape[:2] != (width, 1) or weight.shape[2] < 1:
        raise ValueError(
            f"expected weight of shape [{width}, 1, kernel] for x of width {width}, got {list(weight.shape)}"
        )
    if document is not None and document.shape != x.shape[:2]:
        raise ValueError(f"expected document of shape {list(x.shape[:2])}, got {list(document.shape)}")
