"""Where a token stands, for attention: rotation, ALiBi and hard ALiBi (Part 4.1, sections 3 and 5.2).

Rotation (RoPE; Su et al., arXiv 2104.09864) turns queries and keys. ALiBi (Press et al., arXiv 2108.12409) subtracts a
multiple of the distance from each score. Hard ALiBi (Jelassi et al., arXiv 2402.01032) lets half of the heads see only
their nearest tokens. A model with none of them (NoPE) knows the order from causality alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

POSITIONS = ("rope", "alibi", "hard_alibi")


def rope_table(positions: Tensor, rope_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine [position, rope_dim / 2] of position * theta ** (-2 i / rope_dim), in float32."""
    frequency = theta ** (-torch.arange(0, rope_dim, 2, device=positions.device, dtype=torch.float32) / rope_dim)
    angle = positions[:, None].float() * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor, layout: str = "half") -> Tensor:
    """Rotate pairs of the first 2 * cos.shape[-1] coordinates of x [batch, head, position, head_width].

    cos and sin: [position, pair], or [batch, 1, position, pair].

    A pair (a, b) becomes (a cos - b sin, a sin + b cos). The layout says which coordinates make pair i of a rotated
    part of width R: "half" takes (i, i + R/2), "interleaved" takes (2i, 2i + 1). The rest of each head passes through.
    """
    width = 2 * cos.shape[-1]
    rotary, rest = (x, None) if width == x.shape[-1] else (x[..., :width], x[..., width:])
    rotary = rotary.float() if x.dtype in (torch.bfloat16, torch.float16) else rotary
    # plain views: this runs for each token that is written
    a, b = rotary.chunk(2, -1) if layout == "half" else (rotary[..., 0::2], rotary[..., 1::2])
    pair = (a * cos - b * sin, a * sin + b * cos)
    turned = torch.cat(pair, -1) if layout == "half" else torch.stack(pair, -1).flatten(-2)
    turned = turned.to(x.dtype)
    return turned if rest is None else torch.cat([turned, rest], -1)


def rotate_heads(x: Tensor, heads: int, cos: Tensor, sin: Tensor, layout: str = "half") -> Tensor:
    """`rotate` the first `heads` heads of x [batch, head, position, head_width]; the others pass through."""
    if heads == x.shape[1]:
        return rotate(x, cos, sin, layout)
    return torch.cat([rotate(x[:, :heads], cos, sin, layout), x[:, heads:]], 1)


def alibi_slopes(heads: int) -> Tensor:
    """2 ** (-8 h / heads) for the heads h = 1..heads: what ALiBi subtracts from a score for each step of distance.

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    return 2 ** (-8 * torch.arange(1, heads + 1) / heads)


def position_mask(kind: str, heads: int, mask: Tensor) -> Tensor:
    """A causal mask [1 or batch, 1, queries, keys] with the positions of `kind` in it: [1 or batch, heads, queries, keys].

    "alibi": numbers to add to the scores, -inf where the mask forbids to look. "hard_alibi": True where a head may look,
    head h = 1..heads/2 at h tokens (the first sees only the token itself), the others at all.
    "rope": the mask itself.
    """
    if kind == "rope":
        return mask
    queries, keys = mask.shape[-2:]
    place = torch.arange(keys, device=mask.device)
    distance = place[keys - queries :, None] - place
    if kind == "hard_alibi":
        head = torch.arange(1, heads + 1, device=mask.device)[:, None, None]
        return mask & (distance < torch.where(head <= heads // 2, head, keys))
    bias = -alibi_slopes(heads).to(mask.device)[:, None, None] * distance
    return torch.where(mask, bias, float("-inf"))
