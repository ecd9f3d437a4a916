"""Exercises of notebook 10."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models.experts import balance
from .figures import routed, served

# -- equal sizes -------------------------------------------------------------------------------------------------------


def gated_width(width: int, hidden: int) -> int:
    """Hidden width of the gated layer that comes nearest in size to a standard one of `hidden` units."""
    return round(2 * hidden / 3)


# -- a product from squares --------------------------------------------------------------------------------------------

Unit = Callable[[Tensor], Tensor]


def product_of(relu2: Unit, a: Tensor, b: Tensor, scale: float = 0.25, other: int = -1, both: bool = True) -> Tensor:
    """a * b from four hidden units with the activation `relu2`.

    scale, other, both: another factor, another sign of the difference, no unit for -z.
    """

    def square(z: Tensor) -> Tensor:
        return relu2(z) + relu2(-z) if both else relu2(z)

    return scale * (square(a + b) + other * square(a - b))


def _squared_relu(z: Tensor) -> Tensor:
    return z.clamp(min=0) ** 2


def _product_cases() -> list[tuple[Unit, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    return [(_squared_relu, *torch.randn(2, count, generator=generator)) for count in (3, 50)] + [
        (_squared_relu, torch.tensor([-1.0, 2.0, 0.0]), torch.tensor([3.0, -0.5, 1.0]))
    ]


# -- top-1 routing -----------------------------------------------------------------------------------------------------


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


def _surest_first(share: Tensor, room: int) -> list[int]:
    order: list[int] = share.amax(1).argsort(descending=True, stable=True).tolist()
    return _in_order(share, room, order)


def _top_cases() -> list[tuple[Tensor, int]]:
    small = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.55, 0.45]])
    return [(small, 2), (routed(20, 4, 1.0, 1), 5), (routed(30, 3, 2.0, 2), 12), (routed(12, 4, 0.0, 3), 12)]


# -- the load-balance loss ---------------------------------------------------------------------------------------------


def _fraction(share: Tensor, expert: Tensor) -> Tensor:
    return torch.bincount(expert, minlength=share.shape[1]) / len(expert)


def _balance_of_own(share: Tensor, expert: Tensor) -> Tensor:
    chosen = share.gather(1, expert[:, None])[:, 0]
    return share.shape[1] * chosen.mean()  # fraction times mean over its own tokens, summed


def _balance_cases() -> list[tuple[Tensor, Tensor]]:
    shares = [routed(24, 4, 0.0, 4), routed(24, 4, 2.5, 5), routed(9, 3, 1.0, 6), torch.eye(4)]
    return [(share, share.argmax(1)) for share in shares]


check = Check(
    Exercise(
        "gated_width",
        gated_width,
        {
            "as many units": Mistake(
                "a gated layer has three matrices, a standard one two: with as many units it is half as large again",
                lambda width, hidden: hidden,
            ),
            "turned round": Mistake(
                "you make the gated layer wider; it has more matrices, so each must be smaller",
                lambda width, hidden: round(3 * hidden / 2),
            ),
            "half": Mistake(
                "gating doubles the matrices that read, not all of them: 3 in place of 2, not 4",
                lambda width, hidden: round(hidden / 2),
            ),
            "from the width": Mistake(
                "8/3 of the width is right only if the standard layer has 4 times the width; use `hidden`",
                lambda width, hidden: round(8 * width / 3),
            ),
            "rounded down": Mistake(
                "take the nearest whole number, not the one below", lambda width, hidden: 2 * hidden // 3
            ),
        },
        lambda: [(64, 240), (512, 2048), (32, 94), (768, 1000), (16, 100)],
        "240 and 160, the sizes of the live experiment, are such a pair",
    ),
    Exercise(
        "product_of",
        product_of,
        {
            "no quarter": Mistake("(a + b)² - (a - b)² is 4ab; divide by 4", partial(product_of, scale=1)),
            "one side only": Mistake(
                "squared ReLU is 0 for negative inputs: z² needs two units, one for z and one for -z",
                partial(product_of, both=False),
            ),
            "sum of the squares": Mistake(
                "you add both squares, which gives (a² + b²) / 2; subtract the one of a - b",
                partial(product_of, other=1),
            ),
            "gated": Mistake(
                "that is a gate times an input; here each unit may only apply relu2 to a sum",
                lambda r, a, b: r(a) * b,
            ),
        },
        _product_cases,
        "so a standard layer with squared ReLU has products, too; a gated one gets a * b from two units",
    ),
    Exercise(
        "top_one",
        top_one,
        {
            "nobody is turned away": Mistake(
                "you ignore the room: an expert takes `room` tokens, the others get -1",
                lambda share, room: share.argmax(1).tolist(),
            ),
            "second choice": Mistake(
                "a token that finds its expert full goes to no other one; it gets -1",
                lambda share, room: _in_order(share, room, range(len(share)), second=True),
            ),
            "the surest first": Mistake(
                "room is given in the order of the tokens, not by probability: a later token must not take an "
                "earlier one's place, or the future would leak into the past",
                _surest_first,
            ),
            "the last come first": Mistake(
                "you serve the tokens from the end; the first come first",
                lambda share, room: _in_order(share, room, range(len(share))[::-1]),
            ),
            "one too many": Mistake(
                "your experts take one token more than they have room for",
                lambda share, room: _in_order(share, room + 1, range(len(share))),
            ),
        },
        _top_cases,
        "the same order in which the library's `dispatch` gives room",
    ),
    Exercise(
        "balance_loss",
        balance,
        {
            "factor forgotten": Mistake(
                "multiply by the number of experts, so that an even load gives 1 however many there are",
                lambda share, expert: balance(share, expert) / share.shape[1],
            ),
            "counts only": Mistake(
                "you use the fractions twice; counts have no gradient, so the router could not learn from it",
                lambda share, expert: share.shape[1] * _fraction(share, expert).square().sum(),
            ),
            "shares only": Mistake(
                "you use the mean shares twice; the fractions of tokens that were *sent* are missing",
                lambda share, expert: share.shape[1] * share.mean(0).square().sum(),
            ),
            "numbers in place of fractions": Mistake(
                "use the fraction of the tokens and the *mean* share; a count or a sum grows with the batch",
                lambda share, expert: balance(share, expert) * len(expert),
            ),
            "its own tokens only": Mistake(
                "the mean share of an expert runs over *all* tokens, not only over those that were sent to it",
                _balance_of_own,
            ),
        },
        _balance_cases,
        "1 if all are used alike, the number of experts if one does everything",
    ),
)
