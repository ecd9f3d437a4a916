"""Exercises of notebook 06."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import add, mul, sub
from statistics import fmean

from ...lab.checks import Check, Exercise
from ...tasks.mano import Expression, Mano

OPERATORS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul}


def prefix_value(expression: Expression, modulus: int) -> int:
    """The value of an expression in prefix form."""
    return Mano(modulus=modulus).evaluate(expression)


def _fold(expression: Expression, operate: Callable[[str, int, int], int]) -> int:
    """Evaluate from the end of the text, with any meaning of the operators."""
    kept: list[int] = []
    for item in reversed(expression):
        kept.append(item if isinstance(item, int) else operate(item, kept.pop(), kept.pop()))
    return kept[-1]


def _integer(expression: Expression) -> int:
    return _fold(expression, lambda o, a, b: OPERATORS[o](a, b))


def _ignores_the_tree(expression: Expression, modulus: int) -> int:
    """Operators and numbers each in the order of the text, as if there were no nesting."""
    operators = [item for item in expression if isinstance(item, str)]
    value, *numbers = [item for item in expression if isinstance(item, int)]
    for operator, number in zip(operators, numbers, strict=True):
        value = OPERATORS[operator](value, number) % modulus
    return value


def zero_share(modulus: int, operators: str) -> float:
    """The chance that one operation, drawn from `operators`, on two uniform numbers gives 0."""
    numbers = range(modulus)
    return fmean(OPERATORS[o](a, b) % modulus == 0 for o in operators for a in numbers for b in numbers)


def _with_product_zeros(modulus: int, operators: str, zeros: int) -> float:
    return fmean((zeros if operator == "*" else modulus) / modulus**2 for operator in operators)


def shape_chance(expression: Expression, chance: Callable[[int], float] = lambda n: 1 / n) -> float:
    """The chance that a random expression of as many operations has this tree (whatever its operators and numbers).

    `chance` is that of a split of n operations, the operator's own included.
    """
    kept: list[int] = []
    sizes: list[int] = []
    for item in reversed(expression):
        kept.append(0 if isinstance(item, int) else 1 + kept.pop() + kept.pop())
        sizes.append(kept[-1])
    return math.prod(chance(n) for n in sizes if n)


check = Check(
    prefix_value=Exercise(
        prefix_value,
        [
            (["+", "*", 20, 15, "-", 13, 2], 23),
            (["-", 3, 5], 7),
            (["-", "*", 4, 6, "-", 2, "+", 6, 5], 7),
            (["*", "-", 1, 9, "+", 10, "*", 3, 8], 11),
            ([4], 7),
            (["-", "-", 2, 20, "*", 7, "+", 9, 11], 23),
        ],
        "a stack or a recursion does it in a line or two; the model has neither",
        hints={
            "minus the wrong way round": "you take left from right; - a b means a - b. When you read from the end, "
            "the operand that you meet *last* is the left one",
            "the remainder's sign": "some of your values are negative; the numbers are 0 to m - 1. Python's % is "
            "right, math.fmod and the % of C keep the sign",
            "no modulus": "you compute with ordinary integers; take the remainder modulo m",
            "the sign dropped": "abs() is not the remainder: -2 modulo 7 is 5, not 2",
            "no tree": "you apply the operators to the numbers in the order of the text; an operator's operands may "
            "be whole expressions",
        },
        wrong={
            "minus the wrong way round": lambda e, m: _fold(e, lambda o, a, b: OPERATORS[o](b, a) % m),
            "the remainder's sign": lambda e, m: int(math.fmod(_integer(e), m)),
            "no modulus": lambda e, m: _integer(e),
            "the sign dropped": lambda e, m: _fold(e, lambda o, a, b: abs(OPERATORS[o](a, b)) % m),
            "no tree": _ignores_the_tree,
        },
    ),
    zero_share=Exercise(
        zero_share,
        [(7, "+-*"), (23, "+-*"), (6, "+-*"), (7, "*"), (12, "-*"), (5, "+")],
        "a model that has learnt nothing but this scores above 1/m",
        hints={
            "uniform": "1/m holds for + and - only; a product is 0 whenever *one* factor is",
            "the operators are ignored": "you average over + - * whatever `operators` says",
            "(0, 0) counted twice": "a = 0 gives m pairs and b = 0 gives m pairs, but (0, 0) is in both",
            "only primes": "2m - 1 zeros of the product is right for a prime m only; modulo 6, 2 x 3 is 0, too",
            "percent": "a share lies between 0 and 1; you return percent",
        },
        wrong={
            "uniform": lambda m, operators: 1 / m,
            "the operators are ignored": lambda m, operators: zero_share(m, "+-*"),
            "(0, 0) counted twice": lambda m, operators: _with_product_zeros(m, operators, 2 * m),
            "only primes": lambda m, operators: _with_product_zeros(m, operators, 2 * m - 1),
            "percent": lambda m, operators: 100 * zero_share(m, operators),
        },
    ),
    shape_chance=Exercise(
        shape_chance,
        [
            (["+", "*", 20, 15, "-", 13, 2],),
            (["+", 1, "-", 2, "*", 3, 4],),
            (["*", 5, 5],),
            ([3],),
            (["-", "+", 1, "*", 2, 3, "-", "+", 4, 5, "*", 6, 7],),
            (["+", "+", "+", "+", 1, 2, 3, 4, 5],),
        ],
        "the same law as for random search trees; shallow trees are common, combs are rare",
        hints={
            "all shapes alike": "you make all trees equally likely; the split is uniform at each operator, which "
            "favours balanced trees",
            "the root only": "you count the root's split only; each operator below splits its own operations",
            "one split too many": "the left operand gets 0 to n - 1 of the n operations: n possibilities, not n + 1",
            "a coin for each operand": "you decide for each operand by a coin whether it is a number; the split is "
            "drawn as a number 0 to n - 1, all equally likely",
            "with operators and numbers": "you multiply by the chances of the operators; only the shape is asked for",
        },
        wrong={
            "all shapes alike": lambda e: (len(e) // 2 + 1) / math.comb(len(e) - 1, len(e) // 2),
            "the root only": lambda e: 1 / max(1, len(e) // 2),
            "one split too many": partial(shape_chance, chance=lambda n: 1 / (n + 1)),
            "a coin for each operand": partial(shape_chance, chance=lambda n: 1 / min(n, 2)),
            "with operators and numbers": partial(shape_chance, chance=lambda n: 1 / n / 3),
        },
    ),
)
