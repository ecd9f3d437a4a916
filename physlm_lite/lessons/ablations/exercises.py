"""Exercises of notebook 09."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models import ModelConfig

Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


# -- what is left of a token -------------------------------------------------------------------------------------------


def own_share(weight: Tensor, residual: bool) -> float:
    """The share of the energy that comes from the token itself, for taps [width, 1, kernel] (the last is its own)."""
    taps = _effective(weight, residual)
    return float(taps[:, -1].square().sum() / taps.square().sum())


def _effective(weight: Tensor, residual: bool, identity_at: int = -1) -> Tensor:
    """[width, kernel] with the identity added to one of the taps."""
    taps = weight[:, 0].clone()
    if residual:
        taps[:, identity_at] += 1
    return taps


def _own_absolute(weight: Tensor, residual: bool) -> float:
    taps = _effective(weight, residual).abs()
    return float(taps[:, -1].sum() / taps.sum())


def _own_each_channel(weight: Tensor, residual: bool) -> float:
    taps = _effective(weight, residual).square()
    return float((taps[:, -1] / taps.sum(1)).mean())


def _own_added(weight: Tensor, residual: bool) -> float:
    """The identity counted as a neighbour of its own: 1 + w ** 2 in place of (1 + w) ** 2."""
    energy = weight[:, 0].square()
    extra = float(len(energy)) if residual else 0.0
    return float((energy[:, -1].sum() + extra) / (energy.sum() + extra))


def _own_oldest(weight: Tensor, residual: bool) -> float:
    taps = _effective(weight, residual, 0)
    return float(taps[:, 0].square().sum() / taps.square().sum())


def _share_cases() -> list[tuple[Tensor, bool]]:
    generator = torch.Generator().manual_seed(3)
    random = torch.rand(64, 1, 4, generator=generator) - 0.5
    one = torch.tensor([[[0.1, -0.2, 0.3, 0.4]], [[0.5, 0.1, 0.0, -0.3]]])
    return [
        (one, True),
        (one, False),
        (random, True),
        (random, False),
        (torch.rand(8, 1, 2, generator=generator), True),
    ]


# -- how far it reaches ------------------------------------------------------------------------------------------------


def tokens_seen(layers: Sequence[str], kernel: int) -> int:
    """How many tokens, itself included, can reach a position by Canon alone; `layers`: the letters in each layer."""
    return 1 + (kernel - 1) * sum(map(len, layers))


def _product(layers: Sequence[str], kernel: int) -> int:
    return int(kernel ** sum(map(len, layers)))


# -- Primer ------------------------------------------------------------------------------------------------------------


def _mixed(z: Tensor, taps: Tensor) -> Tensor:
    """A causal convolution of z [position, channel] with taps [channel, 1, kernel]."""
    kernel = taps.shape[-1]
    padded = torch.cat([z.new_zeros(kernel - 1, z.shape[1]), z])
    return sum((padded[j : j + len(z)] * taps[:, 0, j] for j in range(kernel)), torch.zeros_like(z))


def _primer(mix: Callable[[Tensor, Tensor], Tensor] = _mixed, scale: bool = True, causal: bool = True) -> Attend:
    """One head without positions, with a choice of what happens to [query | key | value], and of what is left out.

    x [position, width], matrices [head_width, width], taps [3 * head_width, 1, kernel].
    """

    def attend(x: Tensor, query: Tensor, key: Tensor, value: Tensor, taps: Tensor) -> Tensor:
        q, k, v = mix(x @ torch.cat([query, key, value]).t(), taps).chunk(3, 1)
        score = q @ k.t() / (q.shape[1] ** 0.5 if scale else 1)
        if causal:
            score = score.masked_fill(torch.ones_like(score).triu(1).bool(), float("-inf"))
        return score.softmax(1) @ v

    return attend


def _without_value(z: Tensor, taps: Tensor) -> Tensor:
    width = 2 * z.shape[1] // 3
    return torch.cat([_mixed(z, taps)[:, :width], z[:, width:]], 1)


def _primer_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(5)

    def case(length: int, width: int, head: int, kernel: int) -> tuple[Tensor, ...]:
        shapes = ((length, width), (head, width), (head, width), (head, width), (3 * head, 1, kernel))
        return tuple(torch.randn(*shape, generator=generator) for shape in shapes)

    return [case(7, 5, 4, 3), case(4, 6, 3, 4), case(9, 4, 2, 2)]


# -- what a subset costs -----------------------------------------------------------------------------------------------


def subset_taps(letters: str, width: int, hidden: int, layers: int, kernel: int) -> int:
    """Taps of all Canon layers at these letters: full attention, a gated feed-forward layer of width `hidden`."""
    config = ModelConfig(
        vocab=2, width=width, heads=1, layers=layers, hidden=hidden, canon=letters, canon_kernel=kernel
    )
    return config.parameters - replace(config, canon="", canon_kernel=4).parameters


def _taps(letters: str, width: int, hidden: int, times: int, query_key_value: int = 3, gate_up: int = 2) -> int:
    widths = {"A": width, "B": query_key_value * width, "C": width, "D": gate_up * hidden}
    return times * sum(widths[letter] for letter in letters)


check = Check(
    Exercise(
        "own_share",
        own_share,
        {
            "no residual at all": Mistake(
                "with the residual the token's own tap is 1 + w; you leave out the 1",
                lambda weight, residual: own_share(weight, False),
            ),
            "always with the residual": Mistake(
                "you add the identity also where `residual` is False",
                lambda weight, residual: own_share(weight, True),
            ),
            "the oldest tap": Mistake(
                "the last entry of the weight belongs to the token itself, the first to the oldest neighbour",
                _own_oldest,
            ),
            "not squared": Mistake(
                "energy is the square of what a tap lets through; you add absolute values", _own_absolute
            ),
            "identity beside the tap": Mistake(
                "identity and tap act on the same token: add them first, then square: (1 + w)², not 1 + w²",
                _own_added,
            ),
            "each channel by itself": Mistake(
                "add up the energy of all channels before you divide; you average the channels' shares",
                _own_each_channel,
            ),
        },
        _share_cases,
        "with random taps in ±0.5 it is 13/16 with the residual and 1/4 without",
    ),
    Exercise(
        "tokens_seen",
        tokens_seen,
        {
            "oneself forgotten": Mistake(
                "the position itself counts, too: one more", lambda layers, kernel: tokens_seen(layers, kernel) - 1
            ),
            "oneself again and again": Mistake(
                "each Canon layer adds kernel - 1 tokens, not kernel: the token itself is there already",
                lambda layers, kernel: kernel * sum(map(len, layers)),
            ),
            "product": Mistake("reaches add up: a kernel of 4 after a kernel of 4 sees 7 tokens, not 16", _product),
            "letters side by side": Mistake(
                "you count one Canon layer for each block; A and B follow each other, so do C and D, and the second "
                "branch reads what the first has written",
                lambda layers, kernel: 1 + (kernel - 1) * sum(map(bool, layers)),
            ),
            "branches side by side": Mistake(
                "you take the longer of the two branches; the second one reads what the first has written, so both count",
                lambda layers, kernel: (
                    1 + (kernel - 1) * sum(max(len(set("AB") & set(s)), len(set("CD") & set(s))) for s in layers)
                ),
            ),
        },
        lambda: [
            (["A"], 4),
            (["AC", "AC"], 4),
            (["ABCD"] * 8, 4),
            (["", "ABD", "C"], 3),
            (["BD", "", "A"], 2),
            ([""], 5),
        ],
        "local steps go far when they are repeated, but only attention reaches *any* token in one step",
    ),
    Exercise(
        "primer_attention",
        _primer(),
        {
            "with the residual": Mistake(
                "you add the token itself: that is Canon-B; Primer puts the mixture in its place",
                _primer(lambda z, taps: z + _mixed(z, taps)),
            ),
            "values left alone": Mistake(
                "you mix queries and keys only; the values are mixed, too",
                _primer(_without_value),
            ),
            "taps turned round": Mistake(
                "the last tap belongs to the token itself, the first to the oldest",
                _primer(lambda z, taps: _mixed(z, taps.flip(-1))),
            ),
            "it sees the future": Mistake(
                "the softmax runs over later positions, too; mask them before it",
                _primer(causal=False),
            ),
            "not scaled": Mistake("divide the scores by the square root of the head width", _primer(scale=False)),
            "with an activation": Mistake(
                "no activation after the convolution; here it is linear",
                _primer(lambda z, taps: torch.nn.functional.silu(_mixed(z, taps))),
            ),
        },
        _primer_cases,
        'in this library: ModelConfig(canon="B", canon_residual=False)',
    ),
    Exercise(
        "subset_taps",
        subset_taps,
        {
            "B as wide as A": Mistake(
                "B mixes queries, keys and values: three times the width",
                lambda letters, width, hidden, layers, kernel: _taps(letters, width, hidden, layers * kernel, 1),
            ),
            "gate without up": Mistake(
                "D mixes gate *and* up: twice the hidden width",
                lambda letters, width, hidden, layers, kernel: _taps(letters, width, hidden, layers * kernel, 3, 1),
            ),
            "one tap a channel": Mistake(
                "each channel has `kernel` taps",
                lambda letters, width, hidden, layers, kernel: _taps(letters, width, hidden, layers),
            ),
            "one layer": Mistake(
                "that is one layer; there are `layers` of them",
                lambda letters, width, hidden, layers, kernel: _taps(letters, width, hidden, kernel),
            ),
            "full convolution": Mistake(
                "a channel mixes with itself only (depth-wise); you count a matrix for each tap",
                lambda letters, width, hidden, layers, kernel: (
                    layers * kernel * sum(_taps(letter, width, hidden, 1) ** 2 for letter in letters)
                ),
            ),
        },
        lambda: [("ABCD", 64, 160, 2, 4), ("AC", 512, 1376, 8, 4), ("B", 64, 160, 2, 4), ("D", 32, 100, 3, 2)],
        "AC costs two widths a layer, ABCD about ten of them",
    ),
)
