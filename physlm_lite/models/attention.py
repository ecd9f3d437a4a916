"""Causal attention (Part 4.1, sections 3 and 5.2); its positions are in `positions.py`.

Shapes use the words batch, position, width, head, head_width. `attend_naive` reads like the formula and returns the
attention weights as well; `attend` is PyTorch's fused kernel. They agree (tested).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .by_hand import transformed
from .canon import Canon
from .context import Context
from .joined import joined
from .positions import rope_table, rotate, rotate_heads

__all__ = ["Attention", "attend", "attend_naive", "causal_mask", "rope_table", "rotate"]


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
    """`attend_naive` by the fused kernel; no mask means plain causal attention over equally many queries and keys.

    The kernel has a first derivative alone: torch.func is given the naive form, and for `create_graph=True` PyTorch's own
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` takes its place.
    """
    if transformed():
        mask = causal_mask(query.shape[2], key.shape[2], device=query.device) if mask is None else mask
        return attend_naive(query, key, value, mask)[0]
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)


class Attention(nn.Module):
    """Projections, QK-norm, Canon-B, rotation, attention, output projection: in this order.

    QK-norm is one RMSNorm over the whole query vector (all heads) and one over the whole key vector. Canon-B mixes the
    concatenation [query | key | value] before the rotation; without its residual it is the convolution of Primer (So et
    al., arXiv 2109.08668). Only the first `rope_heads` query heads rotate (None: all), with the key heads that serve
    them.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int,
        head_width: int,
        *,
        qk_norm: bool = False,
        norm_eps: float = 1e-5,
        canon: Canon | None = None,
        rope_layout: str = "half",
        rope_heads: int | None = None,
    ) -> None:
        super().__init__()
        self.widths = [heads * head_width, kv_heads * head_width, kv_heads * head_width]
        self.head_width, self.rope_layout = head_width, rope_layout
        self.rope_heads = heads if rope_heads is None else rope_heads
        self.rope_kv_heads = self.rope_heads * kv_heads // heads
        self.query = nn.Linear(width, self.widths[0], bias=False)
        self.key = nn.Linear(width, self.widths[1], bias=False)
        self.value = nn.Linear(width, self.widths[2], bias=False)
        self.output = nn.Linear(self.widths[0], width, bias=False)
        self.query_norm = nn.RMSNorm(self.widths[0], eps=norm_eps) if qk_norm else None
        self.key_norm = nn.RMSNorm(self.widths[1], eps=norm_eps) if qk_norm else None
        self.canon_b = canon

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        if context.seen is None or context.seen.weights is None:
            mixed = attend(*self.heads(x, context), context.mask)
        else:
            mixed, weights = self._attend_naive(x, context)
            context.seen.weights.append(weights)
        return self.output(rearrange(mixed, "batch head position head_width -> batch position (head head_width)"))

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.query.weight, self.key.weight, self.value.weight]

    def weights(self, x: Tensor, context: Context) -> Tensor:
        """Where each query looks: [batch, head, query, key], for pictures (computed by the naive twin)."""
        return self._attend_naive(x, context)[1]

    def _attend_naive(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        query, key, value = self.heads(x, context)
        mask = causal_mask(query.shape[2], key.shape[2], device=x.device) if context.mask is None else context.mask
        return attend_naive(query, key, value, mask if mask.dtype == torch.bool else mask.to(query.dtype))

    def heads(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [batch, head, position, head_width], ready to attend; when decoding, with the past."""
        query, key, value = self._mixed(x, context)
        query, key, value = (
            rearrange(
                z, "batch position (head head_width) -> batch head position head_width", head_width=self.head_width
            )
            for z in (query, key, value)
        )
        if context.rope is not None:
            query, key = (
                rotate_heads(z, heads, *context.rope, self.rope_layout)
                for z, heads in ((query, self.rope_heads), (key, self.rope_kv_heads))
            )
        if context.state is not None:
            key, value = context.remember("key", key), context.remember("value", value)
        return query, key, value

    def _mixed(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value vectors after QK-norm and Canon-B."""
        if self.canon_b is None:
            return self._projected(x)
        normed = self.query_norm is not None
        together = torch.cat(self._projected(x), -1) if normed else joined(x, self.query, self.key, self.value)
        query, key, value = context.canon(self.canon_b, "B", together).split(self.widths, -1)
        return query, key, value

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        return query, key, value
