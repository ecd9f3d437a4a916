"""Exercises of notebook 09. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from ...models import ModelConfig, canon_naive

RANDOM, SHORT = draws(3, (64, 1, 4), (8, 1, 2))
TWO = torch.tensor([[[0.1, -0.2, 0.3, 0.4]], [[0.5, 0.1, 0.0, -0.3]]])


def own_share(weight: Tensor, residual: bool, own: int = -1, power: int = 2, by_channel: bool = False) -> float:
    """The share of the energy that comes from the token itself, for taps [width, 1, kernel] (the last is its own)."""
    taps = weight[:, 0].clone()
    taps[:, own] += float(residual)
    energy = taps.abs() ** power
    if by_channel:
        return float((energy[:, own] / energy.sum(1)).mean())
    return float(energy[:, own].sum() / energy.sum())


def _own_added(weight: Tensor, residual: bool) -> float:
    """The identity counted as a neighbour of its own: 1 + w ** 2 in place of (1 + w) ** 2."""
    energy = weight[:, 0].square()
    extra = len(energy) * residual
    return float((energy[:, -1].sum() + extra) / (energy.sum() + extra))


def tokens_seen(layers: Sequence[str], kernel: int) -> int:
    """How many tokens, itself included, can reach a position by Canon alone; `layers`: the letters in each layer."""
    return 1 + (kernel - 1) * sum(map(len, layers))


def _mixed(z: Tensor, taps: Tensor) -> Tensor:
    """A causal convolution of z [position, channel] with taps [channel, 1, kernel]."""
    return canon_naive(z[None], taps, residual=False)[0]


def primer_attention(
    x: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    taps: Tensor,
    mix: Callable[[Tensor, Tensor], Tensor] = _mixed,
    scale: bool = True,
    causal: bool = True,
) -> Tensor:
    """One head without positions: x [position, width], matrices [head_width, width], taps [3 * head_width, 1, kernel].

    `mix` is what happens to [query | key | value].
    """
    q, k, v = mix(x @ torch.cat([query, key, value]).t(), taps).chunk(3, 1)
    score = q @ k.t() / (q.shape[1] ** 0.5 if scale else 1)
    if causal:
        score = score.masked_fill(torch.ones_like(score).triu(1).bool(), float("-inf"))
    return score.softmax(1) @ v


def subset_taps(letters: str, width: int, hidden: int, layers: int, kernel: int) -> int:
    """Taps of all Canon layers at these letters: full attention, a gated feed-forward layer of width `hidden`."""
    config = ModelConfig(
        vocab=2, width=width, heads=1, layers=layers, hidden=hidden, canon=letters, canon_kernel=kernel
    )
    return config.parameters - replace(config, canon="", canon_kernel=4).parameters


check = Check(
    own_share=Exercise(
        own_share,
        [(TWO, True), (TWO, False), (RANDOM, True), (RANDOM, False), (SHORT, True)],
        "with random taps in ±0.5 it is 13/16 with the residual and 1/4 without",
        hints={
            "no residual at all": "with the residual the token's own tap is 1 + w; you leave out the 1",
            "always with the residual": "you add the identity also where `residual` is False",
            "the oldest tap": "the last entry of the weight belongs to the token itself, the first to the oldest one",
            "not squared": "energy is the square of what a tap lets through; you add absolute values",
            "identity beside the tap": "identity and tap act on the same token: add them first, then square: (1 + "
            "w)², not 1 + w²",
            "each channel by itself": "add up the energy of all channels before you divide; you average the channels' "
            "shares",
        },
        wrong={
            "no residual at all": lambda weight, residual: own_share(weight, False),
            "always with the residual": lambda weight, residual: own_share(weight, True),
            "the oldest tap": partial(own_share, own=0),
            "not squared": partial(own_share, power=1),
            "identity beside the tap": _own_added,
            "each channel by itself": partial(own_share, by_channel=True),
        },
    ),
    tokens_seen=Exercise(
        tokens_seen,
        [(["A"], 4), (["AC", "AC"], 4), (["ABCD"] * 8, 4), (["", "ABD", "C"], 3), (["BD", "", "A"], 2), ([""], 5)],
        "local steps go far when they are repeated, but only attention reaches *any* token in one step",
        hints={
            "oneself forgotten": "the position itself counts, too: one more",
            "oneself again and again": "each Canon layer adds kernel - 1 tokens, not kernel: the token itself is "
            "there already",
            "product": "reaches add up: a kernel of 4 after a kernel of 4 sees 7 tokens, not 16",
            "letters side by side": "you count one Canon layer for each block; A and B follow each other, so do C and "
            "D, and the second branch reads what the first has written",
            "branches side by side": "you take the longer of the two branches; the second one reads what the first "
            "has written, so both count",
        },
        wrong={
            "oneself forgotten": lambda layers, kernel: tokens_seen(layers, kernel) - 1,
            "oneself again and again": lambda layers, kernel: kernel * sum(map(len, layers)),
            "product": lambda layers, kernel: kernel ** sum(map(len, layers)),
            "letters side by side": lambda layers, kernel: 1 + (kernel - 1) * sum(map(bool, layers)),
            "branches side by side": lambda layers, kernel: (
                1 + (kernel - 1) * sum(max(len(set("AB") & set(s)), len(set("CD") & set(s))) for s in layers)
            ),
        },
    ),
    primer_attention=Exercise(
        primer_attention,
        [
            draws(5, (length, width), (head, width), (head, width), (head, width), (3 * head, 1, kernel))
            for length, width, head, kernel in [(7, 5, 4, 3), (4, 6, 3, 4), (9, 4, 2, 2)]
        ],
        'in this library: ModelConfig(canon="B", canon_residual=False)',
        hints={
            "with the residual": "you add the token itself: that is Canon-B; Primer puts the mixture in its place",
            "values left alone": "you mix queries and keys only; the values are mixed, too",
            "taps turned round": "the last tap belongs to the token itself, the first to the oldest",
            "it sees the future": "the softmax runs over later positions, too; mask them before it",
            "not scaled": "divide the scores by the square root of the head width",
            "with an activation": "no activation after the convolution; here it is linear",
        },
        wrong={
            "with the residual": partial(primer_attention, mix=lambda z, taps: z + _mixed(z, taps)),
            "values left alone": partial(
                primer_attention, mix=lambda z, taps: torch.cat([*_mixed(z, taps).chunk(3, 1)[:2], z.chunk(3, 1)[2]], 1)
            ),
            "taps turned round": partial(primer_attention, mix=lambda z, taps: _mixed(z, taps.flip(-1))),
            "it sees the future": partial(primer_attention, causal=False),
            "not scaled": partial(primer_attention, scale=False),
            "with an activation": partial(
                primer_attention, mix=lambda z, taps: torch.nn.functional.silu(_mixed(z, taps))
            ),
        },
    ),
    subset_taps=Exercise(
        subset_taps,
        [("ABCD", 64, 160, 2, 4), ("AC", 512, 1376, 8, 4), ("B", 64, 160, 2, 4), ("D", 32, 100, 3, 2)],
        "AC costs two widths a layer, ABCD about ten of them",
        hints={
            "B as wide as A": "B mixes queries, keys and values: three times the width",
            "gate without up": "D mixes gate *and* up: twice the hidden width",
            "one tap a channel": "each channel has `kernel` taps",
            "one layer": "that is one layer; there are `layers` of them",
            "full convolution": "a channel mixes with itself only (depth-wise); you count a matrix for each tap",
        },
        wrong={
            "B as wide as A": lambda letters, *size: sum(subset_taps(x.replace("B", "A"), *size) for x in letters),
            "gate without up": lambda letters, width, hidden, *rest: subset_taps(letters, width, hidden // 2, *rest),
            "one tap a channel": lambda *size: subset_taps(*size) // size[-1],
            "one layer": lambda letters, width, hidden, layers, kernel: subset_taps(letters, width, hidden, 1, kernel),
            "full convolution": lambda letters, width, hidden, layers, kernel: (
                layers * kernel * sum((subset_taps(x, width, hidden, 1, kernel) // kernel) ** 2 for x in letters)
            ),
        },
    ),
)
