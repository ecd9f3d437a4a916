"""Mamba2: one key and one query for all heads, and a decay per head that also scales what is written (Part 4.1, App. C).

For a head of width P, keys B_t and queries C_t of width N shared by the heads, and a step size d_t > 0 per head:

    S_t = exp(-rate d_t) S_{t-1} + B_t (d_t x_t)^T       S [N, P], zero before the first token
    o_t = S_t^T C_t + skip x_t                           the state already contains token t; rate and skip per head

Three forms of the recurrence agree: `mamba2_step` is the formula for one token, `mamba2_naive` loops over it, and
`mamba2_chunked` is the one to train with.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import Count, NotNegative, Range, choose, verify
from .context import Context
from .recurrence import (
    CHUNK,
    Recurrent,
    carry,
    chunk_length,
    decays,
    fold,
    forgotten,
    in_turn,
    over_padding,
    pad,
    start_rates,
    start_steps,
    state_before,
    widen,
)
from .short_convolution import ShortConvolution
from .start import Dice, Start


def mamba2_step(state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """One token: what it reads [batch, head, value], and the state after it [batch, head, key, value].

    query and key [batch, key], value [batch, head, value], log_decay [batch, head].
    """
    state = torch.addcmul(log_decay.exp()[..., None, None] * state, key[:, None, :, None], value[..., None, :])
    return (query[:, None, None] @ state).squeeze(-2), state


def mamba2_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Token after token. Arguments and results as in `mamba2_chunked`."""
    return in_turn(mamba2_step, (query, key, value, log_decay), starts, state)


def mamba2_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """The same, chunk after chunk; what queries and keys have in common is computed once for all heads.

    Arguments and results as in `gla_chunked`, but query and key are [batch, position, key width], and log_decay is [batch,
    position, head].
    """
    _, position, heads, width = value.shape
    chunk = chunk_length(position, chunk)
    state, log_decay = state_before(key, value, state), forgotten(log_decay, starts)
    decay, from_start, to_end, whole = decays(fold(log_decay, chunk))
    query, key, value = (pad(z, chunk).unflatten(1, (-1, chunk)) for z in (query, key, value))
    # Here the heads lie beside each other, [batch, chunk number, ..., head, value], and make one wide matrix.
    new = key.mT @ (to_end.mT[..., None] * value).flatten(3)
    before, state = carry(state.transpose(1, 2), whole[:, :, None, :, None], new.unflatten(3, (heads, width)))
    past = (query @ before.flatten(3)).unflatten(3, (heads, width)) * from_start.mT[..., None]
    # Inside the chunk each head has decays of its own.
    scores = (query @ key.mT)[:, :, None] * decay
    inside = (scores @ value.transpose(2, 3)).transpose(2, 3)
    return (inside + past).flatten(1, 2)[:, :position], state.transpose(1, 2)


@dataclass(frozen=True)
class Mamba2Config:
    """The options of the mixer; the defaults are those of Part 4.1, where it has 16 heads. The inner width is 2 d.

    state: width of keys and queries. canon_b: the authors' short convolution on [x | B | C], with a bias and silu; without
    it nothing takes its place. ordered_rates: rates start as 1, 2, 3, ... and not at random between 1 and 16. mimetic: start
    as attention without a softmax would (after Trockman et al., 2024): nothing is forgotten (steps of 1, rates of
    `SLOW`), queries are keys, and Canon-b hands on what it gets.
    """

    width: Count
    heads: Count
    state: Annotated[int, Range(1, 2**20)] = 64
    canon_b: bool = True
    canon_kernel: Annotated[int, Range(1, 4096)] = 4
    canon_compiled: bool = False
    ordered_rates: bool = True
    mimetic: bool = False
    norm_eps: NotNegative = 1e-5

    def __post_init__(self) -> None:
        verify(self)
        if 2 * self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide an inner width of {2 * self.width}; choose another number of heads"
            )

    @property
    def state_size(self) -> int:
        """Numbers that the recurrence remembers of a text."""
        return 2 * self.width * self.state

    @property
    def mixed(self) -> int:
        """Width of [x | B | C], which Canon-b mixes."""
        return 2 * self.width + 2 * self.state

    @property
    def parameters(self) -> int:
        """Number of parameters of the mixer, by formula."""
        projections = self.width * (2 * self.width + self.mixed + self.heads) + 2 * self.width**2
        canon = self.canon_b * (self.canon_kernel + 1) * self.mixed
        return projections + canon + 3 * self.heads + 2 * self.width

    def flops(self, length: int = 1) -> int:
        """Operations for one token, as `LinearAttentionConfig.flops`: it decays, a token writes, a token reads."""
        uncounted = self.canon_b * self.mixed + 3 * self.heads + 2 * self.width  # biases, rates, steps, skips and gains
        return 2 * (self.parameters - uncounted) + self.mixing(length)

    def mixing(self, length: int = 1) -> int:
        """Those of the operations that no matrix of weights has a part in: of the state."""
        return 6 * self.state_size


SLOW = 1e-3  # a mimetic rate: after a hundred tokens, nine tenths of what was written are there

# The options of the models released with Part 4.2, with a head for each 128 of the width.
MAMBA2 = {"state": 128, "ordered_rates": False}


class Mamba2(Recurrent):
    """The mixer, for an input z [batch, position, width]; its options are those of `Mamba2Config`.

    [gate | xBC | step] = input(z)                    of widths 2 d, 2 d + 2 N, heads
    [x | B | C] = canon_b(xBC)                        silu inside, with a bias
    d = softplus(step + step_bias)                    and the recurrence above gives o
    y = output( RMSNorm(o * silu(gate)) )             the gate before the norm, and the norm over all heads
    """

    __signature__ = inspect.signature(Mamba2Config)
    options = Mamba2Config
    operation = "mamba2"
    kernel_joins = False
    naive = staticmethod(mamba2_naive)
    chunked = staticmethod(mamba2_chunked)

    def __init__(self, width: int, heads: int, **options: Any) -> None:
        super().__init__()
        self.config = config = Mamba2Config(width, heads, **options)
        self.input = nn.Linear(width, 2 * width + config.mixed + heads, bias=False)
        self.canon_b = None
        if config.canon_b:
            self.canon_b = ShortConvolution(
                config.mixed, config.canon_kernel, bias=True, compiled=config.canon_compiled
            )
        self.log_rate = nn.Parameter(torch.empty(heads))
        self.step_bias = nn.Parameter(torch.empty(heads))
        self.skip = nn.Parameter(torch.empty(heads))
        self.norm = nn.RMSNorm(2 * width, eps=config.norm_eps)
        self.output = nn.Linear(2 * width, width, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None, init: str = "huggingface", divisor: float = 1.0) -> None:
        """Starting points, by the name of the code base they come from; Canon-b is uniform within ±1/sqrt(kernel).

        "huggingface" or "mamba2": what the published models start from, PyTorch's default: uniform within ±fan-in ** -0.5.
        "lingua": the rule of the published Transformers: normal with fan-in ** -0.5, cut at three standard deviations.
        `divisor` scales the output down. Steps start log-uniform between 0.001 and 0.1 in either, skips at 1.
        """
        published = choose("init", init, {"lingua": False, "huggingface": True, "mamba2": True})
        Start("mamba2" if published else init, None, dice).inputs([self.input.weight, self.output.weight])
        if not published:
            self.output.weight.div_(divisor)
        if self.config.ordered_rates:
            self.log_rate.copy_(torch.arange(1, self.config.heads + 1).log())
        else:
            start_rates(self.log_rate, 1.0, dice)
        start_steps(self.step_bias, dice)
        self.skip.fill_(1.0)
        self.norm.weight.fill_(1.0)
        if self.canon_b is not None:
            self.canon_b.reset_parameters(dice)
        if self.config.mimetic:
            self._mimic()

    def _mimic(self) -> None:
        """See `Mamba2Config.mimetic`."""
        self.log_rate.fill_(math.log(SLOW))
        self.step_bias.fill_(math.log(math.e - 1))  # softplus makes it 1
        config = self.config
        *_, key, query, _ = self.input.weight.split(
            [2 * config.width, 2 * config.width, config.state, config.state, config.heads]
        )
        query.copy_(key)
        if self.canon_b is not None and self.canon_b.bias is not None:
            self.canon_b.weight.zero_()
            self.canon_b.weight[..., -1] = 1
            self.canon_b.bias.zero_()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        gate, query, key, inner, size = self.parts(x, context)
        read = self.recur(self._scaled(query, key, inner, size, context), context) + self.skip[:, None] * inner
        return self.output(self.norm(read.flatten(2).to(self.norm.weight.dtype) * F.silu(gate)))

    def parts(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What an input x [batch, position, width] is taken apart into; all but the gate in at least float32.

        Returns:
            The gate [batch, position, 2 width], query and key [batch, position, state], the inner x [batch, position, head,
            width of a head], and the step sizes [batch, position, head].
        """
        config = self.config
        gate, mixed, step = self.input(x).split([2 * config.width, config.mixed, config.heads], -1)
        if self.canon_b is not None:
            mixed = context.canon(self.canon_b, "b", mixed)
        inner, key, query = widen(mixed).split([2 * config.width, config.state, config.state], -1)
        with torch.autocast(x.device.type, enabled=False):
            size = F.softplus(widen(step) + self.step_bias)
        return gate, query, key, inner.unflatten(-1, (config.heads, -1)), size

    def inputs(self, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """What the recurrence is called with: query, key, value and log decay."""
        return self._scaled(*self.parts(x, context)[1:], context)

    def _scaled(self, query: Tensor, key: Tensor, inner: Tensor, size: Tensor, context: Context) -> tuple[Tensor, ...]:
        key, log_decay = over_padding(context, key, self.log_decay(size))
        return query, key, size[..., None] * inner, log_decay

    def log_decay(self, size: Tensor) -> Tensor:
        """Of step sizes [batch, position, head]."""
        return -self.log_rate.exp() * size


NAMES = {  # in the released checkpoints
    "input.weight": ("in_proj.weight",),
    "canon_b.weight": ("conv1d.weight",),
    "canon_b.bias": ("conv1d.bias",),
    "log_rate": ("A_log",),
    "step_bias": ("dt_bias",),
    "skip": ("D",),
    "norm.weight": ("norm.weight",),
    "output.weight": ("out_proj.weight",),
}
