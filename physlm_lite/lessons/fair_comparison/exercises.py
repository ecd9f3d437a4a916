"""Exercises of notebook 13. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from .figures import memory

PAIRS = [
    (F.normalize(key, dim=1), value)
    for pairs, keys, values in ((2, 3, 2), (5, 5, 3), (6, 16, 4))
    for key, value in [draws(1, (pairs, keys), (pairs, values))]
]


def hop_needed(target: float, hops: int) -> float:
    """How often one hop must be right, for a chain of hops to be right in this share of the cases."""
    return float(target ** (1 / hops))


def halves(four: float, eight: float) -> tuple[float, float]:
    """The accuracy of one hop among the first four, and among hops five to eight."""
    return four**0.25, (eight / four) ** 0.25


def crowd(pairs: int, width: int) -> float:
    """Expected square of the error when a matrix is read to which `pairs` pairs were added: keys and values of length 1."""
    return (pairs - 1) / width


def best_matrix(keys: Tensor, values: Tensor) -> Tensor:
    """[key, value]: the matrix from which every key reads its value, of not more pairs than a key is wide."""
    return memory("the best matrix", keys, values)


check = Check(
    hop_needed=Exercise(
        hop_needed,
        [(0.9, 8), (0.5, 2), (0.99, 16), (0.75, 1)],
        "for 9 of 10 after eight hops, a hop may be wrong once in 76 times",
        hints={
            "the chain, not the hop": "you return how often the chain is right if a hop is right in `target` of the cases; "
            "turn it round",
            "mistakes shared out": "you share the mistakes out evenly; nearly right for few, but what is multiplied are the "
            "right answers: the root, not the quotient",
            "the share divided": "you divide the share of right answers by the hops; after more hops a hop must be *better*",
            "the mistake": "you return how often a hop may be wrong; the question is how often it is right",
        },
        wrong={
            "the chain, not the hop": lambda target, hops: target**hops,
            "mistakes shared out": lambda target, hops: 1 - (1 - target) / hops,
            "the share divided": lambda target, hops: target / hops,
            "the mistake": lambda target, hops: 1 - target ** (1 / hops),
        },
    ),
    halves=Exercise(
        halves,
        [(0.5, 0.09), (0.87, 0.44), (0.72, 0.26), (0.9, 0.81)],
        "in every model the later hops are worse than the first four: they do not only multiply",
        hints={
            "all eight": "the second number is about hops five to eight alone: divide what is right after eight by what is "
            "right after four first",
            "four hops as one": "you treat four hops as one; take the fourth root",
            "a difference": "what is lost between four and eight is a factor, not a difference",
            "the other order": "first the early hops, then the late ones",
        },
        wrong={
            "all eight": lambda four, eight: (four**0.25, eight**0.125),
            "four hops as one": lambda four, eight: (four, eight / four),
            "a difference": lambda four, eight: (four**0.25, (1 - four + eight) ** 0.25),
            "the other order": lambda four, eight: halves(four, eight)[::-1],
        },
    ),
    crowd=Exercise(
        crowd,
        [(2, 16), (24, 16), (48, 32), (1, 8)],
        "no decay and no training in it: simply the crowd of the others",
        hints={
            "itself": "a pair does not disturb itself; count the others",
            "the length": "that is the length of the error; asked is its square",
            "the keys are strangers": "two keys of length 1 drawn at random share a little of their direction: their product "
            "squared is 1 / width on average",
            "the width squared": "the width counts once: a square of one product of keys, times a value of length 1",
        },
        wrong={
            "itself": lambda pairs, width: pairs / width,
            "the length": lambda pairs, width: ((pairs - 1) / width) ** 0.5,
            "the keys are strangers": lambda pairs, width: float(pairs - 1),
            "the width squared": lambda pairs, width: (pairs - 1) / width**2,
        },
    ),
    best_matrix=Exercise(
        best_matrix,
        PAIRS,
        "the room is there: as many pairs as a key is wide fit without any error; what lacks is a rule that finds this matrix "
        "in one pass",
        hints={
            "adding": "that is what adding makes: right only if the keys stand at right angles to each other",
            "correcting": "one pass of the delta rule; the newest pair is exact, the older ones are not",
            "the other way round": "that matrix turns values into keys; keys @ S must give the values",
            "half of it": "you invert the products of keys, and forget to come back from them to the keys: S is keysᵀ times that",
        },
        wrong={
            "adding": partial(memory, "adding"),
            "correcting": partial(memory, "correcting"),
            "the other way round": lambda keys, values: torch.linalg.pinv(values) @ keys,
            "half of it": lambda keys, values: torch.linalg.pinv(keys @ keys.T) @ values,
        },
    ),
)
