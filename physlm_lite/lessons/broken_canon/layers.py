"""Eight Canon layers that are wrong in one thing, and the right one: of x [batch, position, width] and weight [width, 1, 4].

Every one returns the right shape, is finite, and would train.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from string import ascii_uppercase

import torch
from torch import Tensor

from ...models import canon_naive

Layer = Callable[[Tensor, Tensor], Tensor]
RIGHT = "right"


def wraps_around(x: Tensor, weight: Tensor) -> Tensor:
    """Goes round in a circle: before the first token stand the last ones."""
    taps = weight[:, 0].flip(-1).unbind(-1)
    return x + sum(tap * x.roll(lag, 1) for lag, tap in enumerate(taps))


def leaks_between_rows(x: Tensor, weight: Tensor) -> Tensor:
    """Takes the batch for one long text: a row begins with what the row above ended with."""
    return canon_naive(x.reshape(1, -1, x.shape[-1]), weight).reshape(x.shape)


def averages_at_the_start(x: Tensor, weight: Tensor) -> Tensor:
    """Makes up for the missing predecessors of the first tokens."""
    kernel = weight.shape[-1]
    seen = torch.arange(1, x.shape[1] + 1).clamp(max=kernel)[:, None]
    return x + (canon_naive(x, weight) - x) * kernel / seen


LAYERS: dict[str, Layer] = {
    RIGHT: canon_naive,
    "no identity": partial(canon_naive, residual=False),
    "taps reversed": lambda x, weight: canon_naive(x, weight.flip(-1)),
    "looks ahead": lambda x, weight: canon_naive(x.flip(1), weight).flip(1),
    "wraps around": wraps_around,
    "one set of taps": lambda x, weight: canon_naive(x, weight[:1].expand_as(weight)),
    "rows leak": leaks_between_rows,
    "scaled at the start": averages_at_the_start,
    "taps never learn": lambda x, weight: canon_naive(x, weight.detach()),
}


def mystery(seed: int = 0) -> dict[str, Layer]:
    """The nine layers under the letters A to I, in an order that follows from the seed."""
    names = list(LAYERS)
    random.Random(seed).shuffle(names)

    def nameless(layer: Layer) -> Layer:
        return lambda x, weight: layer(x, weight)

    return {letter: nameless(LAYERS[name]) for letter, name in zip(ascii_uppercase, names, strict=False)}
