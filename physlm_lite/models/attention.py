"""Causal attention (Part 4.1, sections 3 and 5.2); its positions are in `positions.py`.

Shapes use the words batch, position, width, head, head_width. `attend_naive` reads like the formula and returns the
attention weights as well; `attend` is PyTorch's fused kernel. They agree (tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import NotNegative, Positive, Range, UnknownName, unknown, verify
from .by_hand import transformed
from .canon import Canon
from .context import Context
from .joined import joined
from .positions import POSITIONS, rope_table, rotate, rotate_heads
from .start import Start

__all__ = ["Attention", "AttentionConfig", "attend", "attend_naive", "causal_mask", "rope_table", "rotate"]


def causal_mask(queries: int, keys: int, document: Tensor | None = None, device: torch.device | None = None) -> Tensor:
    """True where a query may look: [1 or batch, 1, queries, keys].

    The queries are the last `queries` of `keys` positions. With `document` [batch, keys], only inside the same
    document.
    """
    place = torch.arange(keys, device=device)
    mask = place <= place[keys - queries :, None]
    if document is None:
        return mask[None, None]
    return (mask & (document[:, keys - queries :, None] == document[:, None, :]))[:, None]


def attend_naive(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(head_width)) v over the allowed keys; returns (output, weights [batch, head, query, key]).

    query [batch, head, query, head_width], key and value [batch, kv_head, key, head_width]; each kv head serves
    head / kv_head consecutive query heads. mask: True where a query may look, or numbers to add to the scores.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    score = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    score = score.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else score + mask
    weights = score.softmax(-1)
    return weights @ value, weights


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """`attend_naive` by the fused kernel; no mask means plain causal attention over equally many queries
    and keys, or of one query that may see all keys.

    The kernel has a first derivative alone: torch.func is given the naive form, and for `create_graph=True` PyTorch's own
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` takes its place.
    """
    if transformed():
        mask = causal_mask(query.shape[2], key.shape[2], device=query.device) if mask is None else mask
        return attend_naive(query, key, value, mask)[0]
    groups, several = query.shape[1] // key.shape[1], query.shape[2] > 1
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    if groups > 1 and not several:  # the heads that share a key are so many queries of it: nothing is copied
        query = query.unflatten(1, (-1, groups)).squeeze(3)
        if mask is not None and mask.shape[1] > 1:
            mask = mask.unflatten(1, (-1, groups)).squeeze(3)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).flatten(1, 2).unsqueeze(2)
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None and several)


@dataclass(frozen=True)
class AttentionConfig:
    """The options of attention; `ModelConfig` says what they mean."""

    width: Annotated[int, Range(1, 2**20)]
    heads: Annotated[int, Range(1, 2**20)]
    kv_heads: Annotated[int, Range(1, 2**20)] | None = None
    head_width: Annotated[int, Range(1, 2**20)] | None = None
    qk_norm: bool = False
    norm_eps: NotNegative = 1e-5
    positions: str = "rope"
    rope_dim: int | None = None
    rope_theta: Positive = 10_000.0
    rope_layout: Literal["half", "interleaved"] = "half"
    rope_heads: int | None = None

    def __post_init__(self) -> None:
        verify(self, "ModelConfig")
        if self.positions not in POSITIONS:
            hint = "for NoPE leave positions out and set rope_dim to 0"
            raise UnknownName(f"{unknown('positions', self.positions, POSITIONS)}; {hint}")
        if self.head_width is None and self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width}; choose another number of "
                "heads or give head_width"
            )
        if self.heads % self.keys:
            raise ValueError(f"each of the {self.kv_heads} kv heads must serve equally many of the {self.heads} heads")
        if self.positions == "hard_alibi" and self.heads < 2:
            raise ValueError("hard_alibi limits half of the heads, so it needs at least 2")
        if not 0 <= self.rotated <= self.each_head or self.rotated % 2:
            raise ValueError(
                f"rope_dim must be even and between 0 and the head width {self.each_head}, not {self.rotated}"
            )
        if self.rope_heads is not None:
            group = self.heads // self.keys
            if self.rotated == 0:
                raise ValueError("rope_heads says which heads rotate, and with rope_dim 0 none does; leave one out")
            if not 0 < self.rope_heads <= self.heads or self.rope_heads % group:
                raise ValueError(
                    f"rope_heads must be between 1 and the {self.heads} heads, in steps of the {group} that "
                    f"share a kv head, not {self.rope_heads}; for none, set rope_dim to 0"
                )

    @property
    def keys(self) -> int:
        """Number of key and value heads."""
        return self.kv_heads or self.heads

    @property
    def each_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.width // self.heads

    @property
    def rotated(self) -> int:
        """How many coordinates of each head that rotates do so."""
        if self.positions != "rope":
            return 0
        return self.each_head if self.rope_dim is None else self.rope_dim

    @property
    def mixed(self) -> int:
        """Width of [query | key | value], which Canon-B mixes."""
        return (self.heads + 2 * self.keys) * self.each_head

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula."""
        gains = (self.heads + self.keys) * self.each_head
        return self.width * (self.mixed + self.heads * self.each_head) + self.qk_norm * gains

    def flops(self, length: int) -> int:
        """Operations for one of `length` tokens: matrices, the scores, and the sum of the values."""
        return 2 * self.width * (self.mixed + self.heads * self.each_head) + self.mixing(length)

    def mixing(self, length: int) -> int:
        """Those of the operations that no matrix of weights has a part in: the scores and the sum of the values."""
        return 4 * length * self.heads * self.each_head


class Attention(nn.Module):
    """Projections, QK-norm, Canon-B (or Canon of the keys and of the values alone), rotation, attention, output projection.

    QK-norm is one RMSNorm over the whole query vector (all heads) and one over the whole key vector. Canon-B mixes the
    concatenation [query | key | value] before the rotation; without its residual it is the convolution of Primer (So et
    al., arXiv 2109.08668). Only the first `rope_heads` query heads rotate (None: all), with the key heads that serve
    them.
    """

    def __init__(
        self,
        config: AttentionConfig,
        canon: Canon | None = None,
        canon_of_keys: Canon | None = None,
        canon_of_values: Canon | None = None,
    ) -> None:
        super().__init__()
        self.config, self.each, width, each = config, config.each_head, config.width, config.each_head
        self.widths = [config.heads * each, config.keys * each, config.keys * each]
        self.rope_heads = config.rope_heads or config.heads
        self.rope_kv_heads = self.rope_heads * config.keys // config.heads
        self.query = nn.Linear(width, self.widths[0], bias=False)
        self.key = nn.Linear(width, self.widths[1], bias=False)
        self.value = nn.Linear(width, self.widths[2], bias=False)
        self.output = nn.Linear(self.widths[0], width, bias=False)
        self.query_norm = nn.RMSNorm(self.widths[0], eps=config.norm_eps) if config.qk_norm else None
        self.key_norm = nn.RMSNorm(self.widths[1], eps=config.norm_eps) if config.qk_norm else None
        self.canon_b, self.canon_k, self.canon_v = canon, canon_of_keys, canon_of_values

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        if context.seen is None or context.seen.weights is None:
            mixed = attend(*self.heads(x, context), context.mask)
        else:
            mixed, weights = self._attend_naive(x, context)
            context.seen.weights.append(weights)
        return self.output(mixed.transpose(1, 2).reshape(*x.shape[:2], -1))

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.query.weight, self.key.weight, self.value.weight]

    def start_output(self, start: Start, divisor: float) -> None:
        """The matrix that writes to it; the published bound is not divided."""
        std = start.std or self.config.width**-0.5
        start.fill(self.output.weight, std / divisor, 3 * std)

    def weights(self, x: Tensor, context: Context) -> Tensor:
        """Where each query looks: [batch, head, query, key], for pictures (computed by the naive twin)."""
        return self._attend_naive(x, context)[1]

    def _attend_naive(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        query, key, value = self.heads(x, context)
        mask = causal_mask(query.shape[2], key.shape[2], device=x.device) if context.mask is None else context.mask
        return attend_naive(query, key, value, mask if mask.dtype == torch.bool else mask.to(query.dtype))

    def heads(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [batch, head, position, head_width], ready to attend; when decoding, with the past."""
        heads, keys, layout = self.config.heads, self.config.keys, self.config.rope_layout
        one, turned, canon = x.shape[1] == 1, context.rope is None, self.canon_b
        if canon is None and not one:
            query, key, value = map(self._apart, self._alone(self._projected(x), context))
        else:
            every = self._together(x, context)
            if self.canon_k is not None or self.canon_v is not None:
                every = torch.cat(self._alone(every.split_with_sizes(self.widths, -1), context), -1)
            every = self._apart(every if canon is None else context.canon(canon, "B", every))
            if one and context.rope is not None and self.rope_heads == heads:
                # a single token costs as much time as it has operations: query and key turn as one
                both, value = every.split_with_sizes([heads + keys, keys], 1)
                query, key = rotate(both, *context.rope, layout).split_with_sizes([heads, keys], 1)
                turned = True
            else:
                query, key, value = every.split_with_sizes([heads, keys, keys], 1)
        if context.rope is not None and not turned:
            query = rotate_heads(query, self.rope_heads, *context.rope, layout)
            key = rotate_heads(key, self.rope_kv_heads, *context.rope, layout)
        if context.state is not None:
            key, value = context.state.append("key", key, 2), context.state.append("value", value, 2)
        return query, key, value

    def _apart(self, x: Tensor) -> Tensor:
        """[batch, position, head * head_width] to [batch, head, position, head_width]."""
        if x.shape[1] == 1:
            return x.reshape(len(x), -1, 1, self.each)
        return x.unflatten(-1, (-1, self.each)).transpose(1, 2)

    def _alone(self, parts: Sequence[Tensor], context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value after the Canon layers of keys and of values, where there are any."""
        query, key, value = parts
        if self.canon_k is not None:
            key = context.canon(self.canon_k, "K", key)
        if self.canon_v is not None:
            value = context.canon(self.canon_v, "V", value)
        return query, key, value

    def _together(self, x: Tensor, context: Context) -> Tensor:
        """[query | key | value] after QK-norm."""
        if self.query_norm is not None:
            return torch.cat(self._projected(x), -1)
        return joined(x, self.query, self.key, self.value, memory=context.state)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        return query, key, value
