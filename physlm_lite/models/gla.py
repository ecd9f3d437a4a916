"""Gated linear attention: a matrix for each head, each of whose rows decays at its own rate (Part 4.1, appendix C).

For one head with key width K and value width V, and a log decay a_t <= 0 for each of the K channels:

    S_t = diag(exp(a_t)) S_{t-1} + k_t v_t^T             S [K, V], zero before the first token
    o_t = S_t^T q_t / sqrt(K)                            the state already contains token t

There is no normaliser, and no feature map unless asked for. Three forms agree: `gla_step` is the formula for one token,
`gla_naive` loops over it, and `gla_chunked` is the one to train with. q, k and v are made, and o is used, as
`linear_attention` says.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.strict import Positive
from . import linear_attention
from .context import Context
from .linear_attention import LinearAttention, LinearAttentionConfig, Rank, low_rank
from .recurrence import CHUNK, carry, chunk_length, fold, forgotten, in_turn, products, state_before, unfold, widen


def gla_step(state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """One token: what it reads [batch, head, value], and the state after it [batch, head, key, value].

    query, key and log_decay [batch, head, key], value [batch, head, value].
    """
    state = torch.addcmul(log_decay.exp()[..., None] * state, key[..., None], value[..., None, :])
    return (query[..., None, :] @ state).squeeze(-2) / query.shape[-1] ** 0.5, state


def gla_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Token after token. Arguments and results as in `gla_chunked`."""
    return in_turn(gla_step, (query, key, value, log_decay), starts, state)


def gla_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """The same, chunk after chunk.

    Args:
        query, key, log_decay: [batch, position, head, key width], float32 or float64.
        value: [batch, position, head, value width].
        starts: [batch, position], true where a document begins (see `document_starts`).
        state: [batch, head, key width, value width], what came before; zeros if None.
        chunk: tokens at a time, a power of 2.

    Returns:
        What is read, of the shape of value, and the state after the last token.
    """
    position, chunk = query.shape[1], chunk_length(query.shape[1], chunk)
    state, log_decay = state_before(key, value, state), forgotten(log_decay, starts)
    query = query / query.shape[-1] ** 0.5
    query, key, value, log_decay = (fold(z, chunk) for z in (query, key, value, log_decay))
    scores, from_start, to_end, whole = products(query, key, log_decay)
    before, state = carry(state, whole[..., None], to_end.mT @ value)
    return unfold(scores @ value + from_start @ before, position), state


@dataclass(frozen=True)
class GLAConfig(LinearAttentionConfig):
    """The defaults are those of Part 4.1: 4 d^2 parameters, and nothing happens to q, k and v without Canon-b.

    decay_rank: narrow middle of the log decay. decay_divisor: what it is divided by. positive: queries and keys pass
    1 + elu, a feature map from before gates (result 6.2); it is last, after Canon-b and silu.
    """

    expand_key: float = 0.5
    expand_value: float = 1.0
    canon_b: bool = False
    silu: bool = False
    decay_rank: Rank = 16
    decay_divisor: Positive = 16.0
    positive: bool = False

    @property
    def parameters(self) -> int:
        return super().parameters + self.decay_rank * (self.width + self.key_width) + self.key_width

    @property
    def uncounted(self) -> int:
        return super().uncounted + self.key_width


# The options of the models released with Part 4.2, called GLA5, with a head for each 128 of the width: 6 d^2 parameters.
GLA5 = {"expand_key": 1.0, "expand_value": 2.0, "gate_rank": 16, "canon_b": True, "silu": True, "split_init": True}


class GLA(LinearAttention):
    """The mixer; its options are those of `GLAConfig`.

    Log decay of a key channel: a = logsigmoid(U2 U1 z + u) / 16, from the input z like the output gate.
    """

    __signature__ = inspect.signature(GLAConfig)
    config: GLAConfig
    options = GLAConfig
    operation = "gla"
    naive = staticmethod(gla_naive)
    chunked = staticmethod(gla_chunked)

    def __init__(self, width: int, heads: int, **options: Any) -> None:
        super().__init__(GLAConfig(width, heads, **options))
        self.decay = low_rank(width, self.config.decay_rank, self.config.key_width)
        self.reset_parameters()

    def heads(self, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """As `LinearAttention.heads`, with the feature map."""
        query, key, value = super().heads(x, context)
        return (1 + F.elu(query), 1 + F.elu(key), value) if self.config.positive else (query, key, value)

    def gates(self, x: Tensor) -> tuple[Tensor, ...]:
        """The log decay [batch, position, head, key width]."""
        logits = widen(self.decay(x)).unflatten(-1, (self.config.heads, -1))
        return (F.logsigmoid(logits) / self.config.decay_divisor,)


NAMES = {  # in the released checkpoints, see `linear_attention.NAMES`
    **linear_attention.NAMES,
    "decay.0.weight": ("gk_proj.0.weight",),
    "decay.1.weight": ("gk_proj.1.weight",),
    "decay.1.bias": ("gk_proj.1.bias",),
    "norm.weight": ("g_norm_swish_gate.weight",),  # or g_norm.weight
}
