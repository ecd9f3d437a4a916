"""Exercises of notebook 10. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from ...models.experts import balance
from .figures import routed, served

Unit = Callable[[Tensor], Tensor]


def gated_width(width: int, hidden: int) -> int:
    """Hidden width of the gated layer that comes nearest in size to a standard one of `hidden` units."""
    return round(2 * hidden / 3)


def product_of(relu2: Unit, a: Tensor, b: Tensor, scale: float = 0.25, other: int = -1, both: bool = True) -> Tensor:
    """a * b from four hidden units with the activation `relu2`: the squares of a + b and of a - b, two units each."""

    def square(z: Tensor) -> Tensor:
        return relu2(z) + relu2(-z) if both else relu2(z)

    return scale * (square(a + b) + other * square(a - b))


def _squared_relu(z: Tensor) -> Tensor:
    return z.clamp(min=0) ** 2


def top_one(share: Tensor, room: int) -> list[int]:
    """Each token's expert, or -1 if it was full; share [token, expert], tokens in the order in which room is given."""
    expert = share.argmax(1)
    return expert.where(served(expert, share.shape[1], room), torch.tensor(-1)).tolist()


def _in_order(share: Tensor, room: int, order: Sequence[int], second: bool = False) -> list[int]:
    """Room given in an order of the tokens; second: whoever finds an expert full tries the next best."""
    taken, places = [0] * share.shape[1], [-1] * len(share)
    for token in order:
        wishes = share[token].argsort(descending=True, stable=True).tolist()
        for e in wishes if second else wishes[:1]:
            if taken[e] < room:
                taken[e] += 1
                places[token] = e
                break
    return places


def _fraction(share: Tensor, expert: Tensor) -> Tensor:
    return torch.bincount(expert, minlength=share.shape[1]) / len(expert)


check = Check(
    gated_width=Exercise(
        gated_width,
        [(64, 240), (512, 2048), (32, 94), (768, 1000), (16, 100)],
        "240 and 160, the sizes of the live experiment, are such a pair",
        hints={
            "as many units": "a gated layer has three matrices, a standard one two: with as many units it is half as "
            "large again",
            "turned round": "you make the gated layer wider; it has more matrices, so each must be smaller",
            "half": "gating doubles the matrices that read, not all of them: 3 in place of 2, not 4",
            "from the width": "8/3 of the width is right only if `hidden` is 4 times the width; use `hidden`",
            "rounded down": "take the nearest whole number, not the one below",
        },
        wrong={
            "as many units": lambda width, hidden: hidden,
            "turned round": lambda width, hidden: round(3 * hidden / 2),
            "half": lambda width, hidden: round(hidden / 2),
            "from the width": lambda width, hidden: round(8 * width / 3),
            "rounded down": lambda width, hidden: 2 * hidden // 3,
        },
    ),
    product_of=Exercise(
        product_of,
        [
            (_squared_relu, *draws(2, (3,), (3,))),
            (_squared_relu, *draws(2, (50,), (50,))),
            (_squared_relu, torch.tensor([-1.0, 2.0, 0.0]), torch.tensor([3.0, -0.5, 1.0])),
        ],
        "so a standard layer with squared ReLU has products, too; a gated one gets a * b from two units",
        hints={
            "no quarter": "(a + b)² - (a - b)² is 4ab; divide by 4",
            "one side only": "squared ReLU is 0 for negative inputs: z² needs two units, one for z and one for -z",
            "sum of the squares": "you add both squares, which gives (a² + b²) / 2; subtract the one of a - b",
            "gated": "that is a gate times an input; here each unit may only apply relu2 to a sum",
        },
        wrong={
            "no quarter": partial(product_of, scale=1),
            "one side only": partial(product_of, both=False),
            "sum of the squares": partial(product_of, other=1),
            "gated": lambda r, a, b: r(a) * b,
        },
    ),
    top_one=Exercise(
        top_one,
        [
            (torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.55, 0.45]]), 2),
            (routed(20, 4, 1.0, 1), 5),
            (routed(30, 3, 2.0, 2), 12),
            (routed(12, 4, 0.0, 3), 12),
        ],
        "the same order in which the library's `dispatch` gives room",
        hints={
            "nobody is turned away": "you ignore the room: an expert takes `room` tokens, the others get -1",
            "second choice": "a token that finds its expert full goes to no other one; it gets -1",
            "the surest first": "room is given in the order of the tokens, not by probability: a later token must not "
            "take an earlier one's place, or the future would leak into the past",
            "the last come first": "you serve the tokens from the end; the first come first",
            "one too many": "your experts take one token more than they have room for",
        },
        wrong={
            "nobody is turned away": lambda share, room: share.argmax(1).tolist(),
            "second choice": lambda share, room: _in_order(share, room, range(len(share)), second=True),
            "the surest first": lambda share, room: _in_order(
                share, room, share.amax(1).argsort(descending=True, stable=True).tolist()
            ),
            "the last come first": lambda share, room: _in_order(share, room, range(len(share))[::-1]),
            "one too many": lambda share, room: top_one(share, room + 1),
        },
    ),
    balance_loss=Exercise(
        balance,
        [
            (share, share.argmax(1))
            for share in (routed(24, 4, 0.0, 4), routed(24, 4, 2.5, 5), routed(9, 3, 1.0, 6), torch.eye(4))
        ],
        "1 if all are used alike, the number of experts if one does everything",
        hints={
            "factor forgotten": "multiply by the number of experts, so that an even load always gives 1",
            "counts only": "you use the fractions twice; counts have no gradient, so the router could not learn",
            "shares only": "you use the mean shares twice; the fractions of tokens that were *sent* are missing",
            "numbers in place of fractions": "use the fraction of the tokens and the *mean* share; a count or a sum "
            "grows with the batch",
            "its own tokens only": "the mean share of an expert runs over *all* tokens, not only over those that were "
            "sent to it",
        },
        wrong={
            "factor forgotten": lambda share, expert: balance(share, expert) / share.shape[1],
            "counts only": lambda share, expert: share.shape[1] * _fraction(share, expert).square().sum(),
            "shares only": lambda share, expert: share.shape[1] * share.mean(0).square().sum(),
            "numbers in place of fractions": lambda share, expert: balance(share, expert) * len(expert),
            # the fraction times the mean over its own tokens, summed
            "its own tokens only": lambda share, expert: share.shape[1] * share.gather(1, expert[:, None]).mean(),
        },
    ),
)
