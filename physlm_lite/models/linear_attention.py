"""What gated linear attention and the gated delta net share: everything but the recurrence (Part 4.1, appendix C).

For the input z [batch, position, width] of the mixer:

    q, k, v = canon_b( [Wq z | Wk z | Wv z] )        silu inside; without Canon-b silu alone, or nothing (`silu`)
    y = Wo( RMSNorm(o) * silu(gate(z)) )             o_t = what the recurrence reads; the norm is over one head

The gain of the norm is shared by the heads. The gate is one matrix, or two with a narrow middle (`gate_rank`), and then
a bias; nothing non-linear lies between the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import Count, NotNegative, Range, choose, verify
from .context import Context
from .joined import joined
from .recurrence import Recurrent, over_padding, widen
from .short_convolution import ShortConvolution
from .start import Dice, Start

Rank = Annotated[int, Range(1, 2**16)]


@dataclass(frozen=True)
class LinearAttentionConfig:
    """The options of a mixer.

    expand_key and expand_value: widths of all keys and of all values, as multiples of the width. gate_rank: narrow middle
    of the output gate, None for a full one. canon_b: the authors' short convolution on q, k and v. silu: on q, k and v
    when there is no Canon-b. split_init: a start of low-rank pairs, see `LinearAttention.reset_parameters`.
    """

    width: Count
    heads: Count
    expand_key: float = 1.0
    expand_value: float = 2.0
    gate_rank: Rank | None = None
    canon_b: bool = True
    canon_kernel: Annotated[int, Range(1, 4096)] = 4
    canon_compiled: bool = False
    silu: bool = True
    split_init: bool = False
    norm_eps: NotNegative = 1e-5
    # multiplications with each number of the state: it decays, a token writes, a token reads
    touches: ClassVar[int] = 3

    def __post_init__(self) -> None:
        verify(self)
        for name in ("expand_key", "expand_value"):
            exact = getattr(self, name) * self.width / self.heads
            if exact < 1 or exact != int(exact):
                raise ValueError(
                    f"{name} {getattr(self, name)} of a width of {self.width} is not a multiple of "
                    f"{self.heads} heads; choose another number of heads"
                )

    @property
    def key_width(self) -> int:
        """Width of all keys."""
        return int(self.expand_key * self.width)

    @property
    def value_width(self) -> int:
        """Width of all values."""
        return int(self.expand_value * self.width)

    @property
    def state_size(self) -> int:
        """Numbers that the recurrence remembers of a text."""
        return self.key_width * self.value_width // self.heads

    @property
    def parameters(self) -> int:
        """Number of parameters of the mixer, by formula."""
        rank, width, value = self.gate_rank, self.width, self.value_width
        gate = width * value if rank is None else rank * (width + value) + value
        canon = self.canon_b * self.canon_kernel * (2 * self.key_width + value)
        return 2 * width * (self.key_width + value) + gate + canon + value // self.heads

    @property
    def uncounted(self) -> int:
        """Those parameters that are no matrix and no tap: gains, biases and rates."""
        return self.value_width // self.heads + (0 if self.gate_rank is None else self.value_width)

    def flops(self, length: int = 1) -> int:
        """Operations for one token, whatever the length: of matrices, of taps, and of the state in the formula.

        This is the recurrence, token after token; its chunks, the form to train with, multiply another number of times.
        Elementwise products without the state (norms, gates) are left out.
        """
        return 2 * (self.parameters - self.uncounted) + self.mixing(length)

    def mixing(self, length: int = 1) -> int:
        """Those of the operations that no matrix of weights has a part in: of the state."""
        return 2 * self.touches * self.state_size


def low_rank(width: int, rank: int, out: int) -> nn.Sequential:
    """Two matrices with a narrow middle, and a bias at the end."""
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, out))


class LinearAttention(Recurrent, ABC):
    """The frame of a mixer. A subclass gives the recurrence, in two forms, and what it needs beside q, k and v."""

    options: ClassVar[type[LinearAttentionConfig]]

    def __init__(self, config: LinearAttentionConfig) -> None:
        super().__init__()
        width, keys, values, rank = config.width, config.key_width, config.value_width, config.gate_rank
        self.config = config
        self.query = nn.Linear(width, keys, bias=False)
        self.key = nn.Linear(width, keys, bias=False)
        self.value = nn.Linear(width, values, bias=False)
        self.canon_b = None
        if config.canon_b:
            self.canon_b = ShortConvolution(2 * keys + values, config.canon_kernel, compiled=config.canon_compiled)
        self.gate = nn.Linear(width, values, bias=False) if rank is None else low_rank(width, rank, values)
        self.norm = nn.RMSNorm(values // config.heads, eps=config.norm_eps)
        self.output = nn.Linear(values, width, bias=False)

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None, init: str = "huggingface", divisor: float = 1.0) -> None:
        """Starting points, by the name of the code base they come from.

        "huggingface": what the published linear models start from. Matrices normal(0, 0.02), biases 0, Canon-b
        normal(0, 0.02) as well. With `split_init` both matrices of a low-rank pair start with sqrt(0.02) / rank ** 0.25,
        so that their product has entries of 0.02.

        "lingua": the rule of the published Transformers, for narrow models, in which 0.02 is next to nothing: normal with
        fan-in ** -0.5, cut at three standard deviations; Canon-b like a Canon layer. `divisor` scales the output down.
        """
        published = choose("init", init, {"lingua": False, "huggingface": True})
        pairs = [pair for pair in self.modules() if isinstance(pair, nn.Sequential)]
        ranks: dict[nn.Module, Any] = {layer: narrow.out_features for narrow, wide in pairs for layer in (narrow, wide)}
        for layer in self.modules():
            if isinstance(layer, nn.RMSNorm):
                layer.weight.fill_(1.0)
            if not isinstance(layer, nn.Linear):
                continue
            if layer.bias is not None:
                layer.bias.zero_()
            split = published and self.config.split_init and layer in ranks
            std = 0.02**0.5 / ranks[layer] ** 0.25 if split else None
            Start(init, std, dice).inputs([layer.weight])
        if not published:
            self.output.weight.div_(divisor)
        if self.canon_b is not None:
            self.canon_b.std = 0.02 if published else None
            self.canon_b.reset_parameters(dice)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        read = self.recur(self.inputs(x, context), context)
        gate = F.silu(self.gate(x)).unflatten(-1, (self.config.heads, -1))
        return self.output((self.norm(read.to(self.norm.weight.dtype)) * gate).flatten(2))

    def inputs(self, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """What the recurrence is called with: `heads`, then `gates`."""
        query, key, value = self.heads(x, context)
        log_decay, *rest = self.gates(x)
        key, log_decay = over_padding(context, key, log_decay)
        return query, key, value, log_decay, *rest

    def heads(self, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """Query, key and value [batch, position, head, width of a head], in at least float32."""
        together = joined(x, self.query, self.key, self.value, memory=context.state)
        if self.canon_b is not None:
            together = context.canon(self.canon_b, "b", together)
        elif self.config.silu:
            together = F.silu(together)
        widths = [self.config.key_width, self.config.key_width, self.config.value_width]
        return tuple(z.unflatten(-1, (self.config.heads, -1)) for z in widen(together).split(widths, -1))

    @abstractmethod
    def gates(self, x: Tensor) -> tuple[Tensor, ...]:
        """The log decay and what else the recurrence needs, [batch, position, head, ...], in at least float32."""


NAMES = {  # our name: the released ones, whose tensors make ours when joined along dimension 0
    "query.weight": ("q_proj.weight",),
    "key.weight": ("k_proj.weight",),
    "value.weight": ("v_proj.weight",),
    "canon_b.weight": ("q_conv1d.weight", "k_conv1d.weight", "v_conv1d.weight"),
    "gate.weight": ("g_proj.weight",),
    "gate.0.weight": ("g_proj.0.weight",),
    "gate.1.weight": ("g_proj.1.weight",),
    "gate.1.bias": ("g_proj.1.bias",),
    "output.weight": ("o_proj.weight",),
}
