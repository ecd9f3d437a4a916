"""Exercises of notebook 05. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import log, log2, prod

from ...lab.checks import Check, Exercise
from ...tasks.capo import capacity_bits, max_bits

Pools = Mapping[str, int]
Nats = Sequence[Sequence[float]]

POOLS = dict(birth_date=67_200, birth_city=200, university=300, major=100, employer=263, company_city=133, gender=2)
SMALL = dict(major=32, employer=8, company_city=4, gender=2)


def _known(pools: Pools) -> list[int]:
    """Sizes of the pools that count: the company's city follows from the employer."""
    return [size for attribute, size in pools.items() if attribute != "company_city"]


def value_bits(pools: Pools) -> float:
    """Bits of one person's values."""
    return sum(log2(size) for size in _known(pools))


def guesser_loss(N0: float, pools: Pools) -> tuple[float, float]:
    """p1 and p2 of a model that knows the pools and nobody's facts, in nats."""
    return log(N0), log(prod(_known(pools)))


def capacity_of_losses(
    name_nats: Nats,
    value_nats: Nats,
    people: int,
    N0: float,
    S0: float,
    counted: Callable[[Nats], int] = len,
    nat: float = 1.0,
) -> float:
    """Bits in the weights, from -log p of each token of a sample of the people."""
    p1, p2 = (sum(map(sum, nats)) / counted(nats) * nat for nats in (name_nats, value_nats))
    return capacity_bits(people, p1, p2, N0, S0)


def most_bits_per_parameter(people: int, N0: float, S0: float, parameters: int) -> float:
    """What a model that knows everything would score."""
    return max_bits(people, N0, S0) / parameters


check = Check(
    value_bits=Exercise(
        value_bits,
        [(POOLS,), (SMALL,)],
        "for the published pools these are the 47.6 bits of Part 3.3",
        hints={
            "company city counted": "you count the company's city; whoever knows the employer knows it already, so it "
            "adds 0 bits",
            "nats": "you took the natural logarithm; a yes/no question halves the pool, so the base is 2",
            "the pools added": "you took the logarithm of the *sum* of the sizes; combinations multiply, so their "
            "logarithms add up",
            "whole questions": "you rounded each attribute up to whole questions; bits need not be whole (asking "
            "about several people at once wastes nothing)",
        },
        wrong={
            "company city counted": lambda pools: sum(map(log2, pools.values())),
            "nats": lambda pools: sum(map(log, _known(pools))),
            "the pools added": lambda pools: log2(sum(_known(pools))),
            "whole questions": lambda pools: float(sum((size - 1).bit_length() for size in _known(pools))),
        },
    ),
    guesser_loss=Exercise(
        guesser_loss,
        [(1.6e8, POOLS), (4096.0, SMALL)],
        "with these losses the formula gives exactly 0 bits",
        hints={
            "bits": "p1 and p2 are losses, in nats: use the natural logarithm",
            "company city counted": "p2 leaves the company's city out, because the employer gives it away",
            "mean over the attributes": "you averaged over the attributes; p2 is the *sum* of a person's losses, "
            "averaged over people only",
            "gender forgotten": "the first pronoun is a value, too: a guesser pays log 2 for it",
        },
        wrong={
            "bits": lambda N0, pools: (log2(N0), log2(prod(_known(pools)))),
            "company city counted": lambda N0, pools: (log(N0), log(prod(pools.values()))),
            "mean over the attributes": lambda N0, pools: (log(N0), log(prod(_known(pools))) / len(_known(pools))),
            "gender forgotten": lambda N0, pools: (log(N0), log(prod(_known({**pools, "gender": 1})))),
        },
    ),
    capacity_of_losses=Exercise(
        capacity_of_losses,
        [
            ([[4.0, 3.0, 2.0], [5.0, 3.5, 1.5]], [[0.5, 1.0, 2.0, 0.1], [0.2, 0.3, 0.0, 3.0]], 1000, 24.0**3, 2.0**30),
            ([[6.0, 3.5, 3.0]], [[6.0]], 100_000, 1.6e8, prod(_known(POOLS))),
            ([[2.0, 1.0], [2.5, 0.7], [2.0, 0.4, 0.3]], [[1.0, 0.5], [0.9], [0.2, 0.1, 0.1]], 50, 4096.0, 512.0),
        ],
        "that is definition 2.2 of Part 3.3; your second case is the example of the library's docstring",
        hints={
            "mean instead of sum": "you averaged over tokens; p1 and p2 are sums over a person's tokens, averaged "
            "over people, because the probability of a name is the *product* over its tokens",
            "nats not turned into bits": "you subtract nats from bits; divide p1 and p2 by ln 2 first",
            "ordered names": "you used log2(N0 / N): that the names are a set is already inside p1, which is log N "
            "for a perfect model; here it would be taken off twice",
            "one person": "these are the bits of one person; the model holds them for all `people`",
            "the sample only": "you multiply by the number of people measured; the sample stands for all `people`",
        },
        wrong={
            "mean instead of sum": partial(capacity_of_losses, counted=lambda nats: sum(map(len, nats))),
            "nats not turned into bits": partial(capacity_of_losses, nat=log(2)),
            "ordered names": lambda p1, p2, people, N0, S0: capacity_of_losses(p1, p2, people, N0 / people, S0),
            "one person": lambda p1, p2, people, N0, S0: capacity_of_losses(p1, p2, 1, N0, S0),
            "the sample only": lambda p1, p2, people, N0, S0: capacity_of_losses(p1, p2, len(p1), N0, S0),
        },
    ),
    most_bits_per_parameter=Exercise(
        most_bits_per_parameter,
        [(100_000, 1.6e8, prod(_known(POOLS)), 10_000_000), (1000, 24.0**3, 2.0**30, 32_384)],
        "no training can push a model of this size above that number",
        hints={
            "ordered names": "you used log2 N0 for each name; the people come in no order, so the names are a set: "
            "log2(N0 / N) each",
            "one person": "these are the bits of one person; multiply by their number",
            "nats": "you took the natural logarithm; bits need base 2",
            "names forgotten": "you count the values only; which names exist is knowledge, too",
        },
        wrong={
            "ordered names": lambda people, N0, S0, parameters: people * (log2(N0) + log2(S0)) / parameters,
            "one person": lambda people, N0, S0, parameters: (log2(N0 / people) + log2(S0)) / parameters,
            "nats": lambda people, N0, S0, parameters: people * (log(N0 / people) + log(S0)) / parameters,
            "names forgotten": lambda people, N0, S0, parameters: people * log2(S0) / parameters,
        },
    ),
)
