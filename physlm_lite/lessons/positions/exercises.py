"""Exercises of notebook 08."""

from __future__ import annotations

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models.attention import causal_mask
from ...models.positions import alibi_slopes, position_mask, rope_table, rotate

# -- ALiBi and hard ALiBi ----------------------------------------------------------------------------------------------


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


def _bias(slopes: Tensor, length: int, causal: bool = True) -> Tensor:
    bias = -slopes[:, None, None] * _distance(length)
    return torch.where(_distance(length) >= 0, bias, float("-inf")) if causal else bias


def _shifted_rows(heads: int, length: int) -> Tensor:
    bias = alibi_slopes(heads)[:, None, None] * torch.arange(length).expand(length, length)
    return torch.where(_distance(length) >= 0, bias, float("-inf"))


def _window(reach: Tensor, length: int, causal: bool = True) -> Tensor:
    distance = _distance(length)
    near = (distance if causal else distance.abs()) < reach[:, None, None]
    return near & (distance >= 0) if causal else near


def _reach(heads: int, length: int, first: int = 1, limited: slice | None = None) -> Tensor:
    """h + first tokens for the limited heads h = 0, 1, ... (the first half of them), everything for the rest."""
    reach = torch.full((heads,), length)
    limited = limited or slice(heads // 2)
    reach[limited] = torch.arange(heads)[: len(reach[limited])] + first
    return reach


# -- partial rotation --------------------------------------------------------------------------------------------------


def partial_rotation(x: Tensor, rope_dim: int, theta: float) -> Tensor:
    """x [position, head_width] with its first `rope_dim` coordinates rotated, pairs (i, i + rope_dim / 2)."""
    return rotate(x[None, None], *rope_table(torch.arange(len(x)), rope_dim, theta))[0, 0]


def _turn(
    x: Tensor,
    rope_dim: int,
    theta: float,
    *,
    of: int | None = None,
    exponent: float = 2.0,
    sign: float = 1.0,
    start: int = 0,
    layout: str = "half",
) -> Tensor:
    """`partial_rotation` with every choice open: exponent's denominator `of`, direction, first position, pairs."""
    place = torch.arange(len(x)) + start
    frequency = theta ** (-exponent * torch.arange(rope_dim // 2) / (of or rope_dim))
    angle = sign * place[:, None] * frequency
    return rotate(x[None, None], angle.cos(), angle.sin(), layout)[0, 0]


def _last_coordinates(x: Tensor, rope_dim: int, theta: float) -> Tensor:
    return torch.cat([x[:, :-rope_dim], partial_rotation(x[:, -rope_dim:], rope_dim, theta)], -1)


def _pairs_of_the_whole_head(x: Tensor, rope_dim: int, theta: float) -> Tensor:
    """Pairs (i, i + head_width / 2) instead of (i, i + rope_dim / 2)."""
    first, second = torch.arange(rope_dim // 2), torch.arange(rope_dim // 2) + x.shape[1] // 2
    chosen = torch.cat([first, second])
    turned = x.clone()
    turned[:, chosen] = partial_rotation(x[:, chosen], rope_dim, theta)
    return turned


def _rotation_cases() -> list[tuple[Tensor, int, float]]:
    generator = torch.Generator().manual_seed(8)
    sizes = ((7, 16, 4, 10_000.0), (9, 8, 4, 100.0), (5, 12, 6, 10_000.0))
    return [(torch.randn(length, width, generator=generator), part, theta) for length, width, part, theta in sizes]


check = Check(
    Exercise(
        "alibi_bias",
        alibi_bias,
        {
            "heads from 0": Mistake(
                "your first head has slope 1; the heads are counted from 1 to H, so the last slope is 1/256",
                lambda heads, length: _bias(2 ** (-8 * torch.arange(heads) / heads), length),
            ),
            "a bonus for distance": Mistake(
                "your far tokens get the higher scores; the slope times the distance is *subtracted*",
                lambda heads, length: _bias(-alibi_slopes(heads), length),
            ),
            "no causal mask": Mistake(
                "a token still to come has a negative distance, so subtracting makes it the favourite; it needs -inf",
                lambda heads, length: _bias(alibi_slopes(heads), length, causal=False),
            ),
            "no share of H": Mistake(
                "you use the slopes 1/2, 1/4, 1/8, ... whatever H is; the exponent is -8h/H, from near 0 to -8",
                lambda heads, length: _bias(2.0 ** -torch.arange(1, heads + 1), length),
            ),
            "one slope for all": Mistake(
                "every head got the same slope, 2^(-8/H); head h has 2^(-8h/H)",
                lambda heads, length: _bias(alibi_slopes(heads)[:1].expand(heads), length),
            ),
            "the key's position": Mistake(
                "you add slope × position of the key. A softmax cannot tell this from ALiBi, since each row is only "
                "shifted as a whole (nice!); but the formula here subtracts slope × distance",
                _shifted_rows,
            ),
        },
        lambda: [(4, 6), (8, 5), (2, 9)],
        "no parameters, and nothing that grows with the length of the text",
    ),
    Exercise(
        "hard_alibi_mask",
        hard_alibi_mask,
        {
            "one token too many": Mistake(
                "head h sees h tokens *with* the token itself: distances 0 to h - 1",
                lambda heads, length: _window(_reach(heads, length, first=2), length),
            ),
            "heads from 0": Mistake(
                "your first head sees nothing at all, and a softmax over nothing is nan; count the heads from 1",
                lambda heads, length: _window(_reach(heads, length, first=0), length),
            ),
            "every head limited": Mistake(
                "only the first half of the heads is limited; with your mask nothing further away than H tokens is "
                "ever seen",
                lambda heads, length: _window(_reach(heads, length, limited=slice(heads)), length),
            ),
            "the other half": Mistake(
                "you limit the second half of the heads; it is the first one",
                lambda heads, length: _window(_reach(heads, length, limited=slice(heads // 2, heads)), length),
            ),
            "looks into the future": Mistake(
                "nearest on *both* sides lets a token see what comes after it; distances are 0 or more",
                lambda heads, length: _window(_reach(heads, length), length, causal=False),
            ),
        },
        lambda: [(4, 7), (8, 10), (6, 6)],
        "half of the heads are bound to be local, as a Canon layer is; but they pay for it with heads",
    ),
    Exercise(
        "partial_rotation",
        partial_rotation,
        {
            "the denominator": Mistake(
                "the exponent is -2i/R with the *rotated* part R, not the head width; with yours the slow "
                "frequencies are missing",
                lambda x, part, theta: _turn(x, part, theta, of=x.shape[1]),
            ),
            "no 2 in the exponent": Mistake(
                "the exponent is -2i/R for the pairs i = 0, 1, ..., R/2 - 1; yours stops half way",
                lambda x, part, theta: _turn(x, part, theta, exponent=1.0),
            ),
            "the wrong way round": Mistake(
                "you turn by minus the angle: a pair (a, b) becomes (a cos - b sin, a sin + b cos). Attention would "
                "not mind, because it sees differences of angles only",
                lambda x, part, theta: _turn(x, part, theta, sign=-1.0),
            ),
            "positions from 1": Mistake(
                "the first token stands at position 0 and is not turned at all. (Attention would not mind here, either)",
                lambda x, part, theta: _turn(x, part, theta, start=1),
            ),
            "neighbours as pairs": Mistake(
                "you pair (2i, 2i+1), the interleaved layout; here pair i is (i, i + R/2)",
                lambda x, part, theta: _turn(x, part, theta, layout="interleaved"),
            ),
            "pairs across the whole head": Mistake(
                "your pairs are (i, i + head_width/2); both partners lie in the rotated part: (i, i + R/2)",
                _pairs_of_the_whole_head,
            ),
            "the last coordinates": Mistake(
                "you rotate the last R coordinates; it is the first R, and the rest passes through",
                _last_coordinates,
            ),
            "everything": Mistake(
                "you rotate the whole head; only the first R coordinates turn",
                lambda x, part, theta: partial_rotation(x, x.shape[1], theta),
            ),
        },
        _rotation_cases,
        "the coordinates at rest can match a token at any distance",
    ),
)
