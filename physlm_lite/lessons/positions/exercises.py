"""Exercises of notebook 08."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from ...models.attention import causal_mask
from ...models.positions import alibi_slopes, position_mask, rope_table, rotate


def alibi_bias(heads: int, length: int) -> Tensor:
    """What ALiBi adds to the scores: [head, query, key], -inf for the future."""
    return position_mask("alibi", heads, causal_mask(length, length))[0]


def hard_alibi_mask(heads: int, length: int) -> Tensor:
    """True where a head of hard ALiBi may look: [head, query, key]."""
    return position_mask("hard_alibi", heads, causal_mask(length, length))[0]


def _distance(length: int) -> Tensor:
    """[query, key]: how many tokens back the key stands (negative: it is still to come)."""
    place = torch.arange(length)
    return place[:, None] - place


def _bias(slopes: Tensor, length: int) -> Tensor:
    distance = _distance(length)
    return torch.where(distance >= 0, -slopes[:, None, None] * distance, float("-inf"))


def _window(reach: Tensor, length: int) -> Tensor:
    distance = _distance(length)
    return (distance < reach) & (distance >= 0)


def _reach(heads: int, length: int, share: float = 0.5) -> Tensor:
    """[head, 1, 1]: 1, 2, ... tokens for this share of the heads, more than there are for the rest."""
    head = torch.arange(heads)[:, None, None]
    return torch.where(head < share * heads, head + 1, 2 * length)


def partial_rotation(
    x: Tensor, rope_dim: int, theta: float, *, sign: int = 1, start: int = 0, layout: str = "half"
) -> Tensor:
    """x [position, head_width] with its first `rope_dim` coordinates rotated, pairs (i, i + rope_dim / 2).

    For the usual mistakes: another direction, first position, or layout of the pairs.
    """
    cos, sin = rope_table(torch.arange(len(x)) + start, rope_dim, theta)
    return rotate(x[None, None], cos, sign * sin, layout)[0, 0]


def _pairs_of_the_whole_head(x: Tensor, rope_dim: int, theta: float) -> Tensor:
    """Pairs (i, i + head_width / 2) instead of (i, i + rope_dim / 2)."""
    first = torch.arange(rope_dim // 2)
    chosen = torch.cat([first, first + x.shape[1] // 2])
    return x.index_copy(1, chosen, partial_rotation(x[:, chosen], rope_dim, theta))


check = Check(
    alibi_bias=Exercise(
        alibi_bias,
        [(4, 6), (8, 5), (2, 9)],
        "no parameters, and nothing that grows with the length of the text",
        hints={
            "heads from 0": "your first head has slope 1; the heads are counted from 1 to H, the last slope is 1/256",
            "a bonus for distance": "your far tokens get the higher scores; the slope times the distance is "
            "*subtracted*",
            "no causal mask": "a token still to come has a negative distance, so subtracting makes it the favourite; "
            "it needs -inf",
            "no share of H": "you use the slopes 1/2, 1/4, 1/8, ... whatever H is; the exponent is -8h/H, from near 0 "
            "to -8",
            "one slope for all": "every head got the same slope, 2^(-8/H); head h has 2^(-8h/H)",
            "the key's position": "you add slope × position of the key. A softmax cannot tell this from ALiBi, since "
            "each row is only shifted as a whole (nice!); but the formula here subtracts slope × distance",
        },
        wrong={
            "heads from 0": lambda heads, length: _bias(2 ** (-8 * torch.arange(heads) / heads), length),
            "a bonus for distance": lambda heads, length: _bias(-alibi_slopes(heads), length),
            "no causal mask": lambda heads, length: -alibi_slopes(heads)[:, None, None] * _distance(length),
            "no share of H": lambda heads, length: _bias(2.0 ** -torch.arange(1, heads + 1), length),
            "one slope for all": lambda heads, length: alibi_bias(heads, length)[:1].expand(heads, -1, -1),
            "the key's position": lambda heads, length: (
                alibi_bias(heads, length) + alibi_slopes(heads)[:, None, None] * torch.arange(length)[:, None]
            ),
        },
    ),
    hard_alibi_mask=Exercise(
        hard_alibi_mask,
        [(4, 7), (8, 10), (6, 6)],
        "half of the heads are bound to be local, as a Canon layer is; but they pay for it with heads",
        hints={
            "one token too many": "head h sees h tokens *with* the token itself: distances 0 to h - 1",
            "heads from 0": "your first head sees nothing at all, and a softmax over nothing is nan; count the heads "
            "from 1",
            "every head limited": "only the first half of the heads is limited; with your mask nothing further away "
            "than H tokens is ever seen",
            "the other half": "you limit the second half of the heads; it is the first one",
            "looks into the future": "nearest on *both* sides lets a token see the future; distances are 0 or more",
        },
        wrong={
            "one token too many": lambda heads, length: _window(_reach(heads, length) + 1, length),
            "heads from 0": lambda heads, length: _window(_reach(heads, length) - 1, length),
            "every head limited": lambda heads, length: _window(_reach(heads, length, share=1), length),
            "the other half": lambda heads, length: _window(_reach(heads, length).roll(heads // 2, 0), length),
            "looks into the future": lambda heads, length: _distance(length).abs() < _reach(heads, length),
        },
    ),
    partial_rotation=Exercise(
        partial_rotation,
        [(*draws(8, (7, 16)), 4, 10_000.0), (*draws(9, (9, 8)), 4, 100.0), (*draws(10, (5, 12)), 6, 10_000.0)],
        "the coordinates at rest can match a token at any distance",
        hints={
            "the denominator": "the exponent is -2i/R with the *rotated* part R, not the head width; with yours the "
            "slow frequencies are missing",
            "no 2 in the exponent": "the exponent is -2i/R for the pairs i = 0, 1, ..., R/2 - 1; yours stops half way",
            "the wrong way round": "you turn by minus the angle: a pair (a, b) becomes (a cos - b sin, a sin + b "
            "cos). Attention would not mind, because it sees differences of angles only",
            "positions from 1": "the first token stands at position 0 and is not turned at all. (Attention would not "
            "mind here, either)",
            "neighbours as pairs": "you pair (2i, 2i+1), the interleaved layout; here pair i is (i, i + R/2)",
            "pairs across the whole head": "your pairs are (i, i + head_width/2); both partners lie in the rotated "
            "part: (i, i + R/2)",
            "the last coordinates": "you rotate the last R coordinates; it is the first R, and the rest passes through",
            "everything": "you rotate the whole head; only the first R coordinates turn",
        },
        wrong={
            "the denominator": lambda x, part, theta: partial_rotation(x, part, theta ** (part / x.shape[1])),
            "no 2 in the exponent": lambda x, part, theta: partial_rotation(x, part, theta**0.5),
            "the wrong way round": partial(partial_rotation, sign=-1),
            "positions from 1": partial(partial_rotation, start=1),
            "neighbours as pairs": partial(partial_rotation, layout="interleaved"),
            "pairs across the whole head": _pairs_of_the_whole_head,
            "the last coordinates": lambda x, part, theta: partial_rotation(x.roll(part, 1), part, theta).roll(
                -part, 1
            ),
            "everything": lambda x, part, theta: partial_rotation(x, x.shape[1], theta),
        },
    ),
)
