"""Exercises of notebook 06."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

from ...lab.checks import Check, Exercise, Mistake
from ...tasks.mano import Expression, Mano

# -- evaluate ----------------------------------------------------------------------------------------------------------


def prefix_value(expression: Expression, modulus: int) -> int:
    """The value of an expression in prefix form."""
    return Mano(modulus=modulus).evaluate(expression)


def _fold(expression: Expression, operate: Callable[[str, int, int], int]) -> int:
    """Evaluate from the end of the text, with any meaning of the operators."""
    kept: list[int] = []
    for item in reversed(expression):
        kept.append(item if isinstance(item, int) else operate(item, kept.pop(), kept.pop()))
    return kept[-1]


def _operate(operator: str, a: int, b: int) -> int:
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def _ignores_the_tree(expression: Expression, modulus: int) -> int:
    """Operators and numbers each in the order of the text, as if there were no nesting."""
    operators = [item for item in expression if isinstance(item, str)]
    value, *numbers = [item for item in expression if isinstance(item, int)]
    for operator, number in zip(operators, numbers, strict=True):
        value = _operate(operator, value, number) % modulus
    return value


def _expression_cases() -> list[tuple[Expression, int]]:
    return [
        (["+", "*", 20, 15, "-", 13, 2], 23),
        (["-", 3, 5], 7),
        (["-", "*", 4, 6, "-", 2, "+", 6, 5], 7),
        (["*", "-", 1, 9, "+", 10, "*", 3, 8], 11),
        ([4], 7),
        (["-", "-", 2, 20, "*", 7, "+", 9, 11], 23),
    ]


# -- the floor ---------------------------------------------------------------------------------------------------------


def zero_share(modulus: int, operators: str) -> float:
    """The chance that one operation, drawn from `operators`, on two uniform numbers gives 0."""
    zeros = [
        sum(_operate(operator, a, b) % modulus == 0 for a in range(modulus) for b in range(modulus))
        for operator in operators
    ]
    return fmean(zeros) / modulus**2


def _with_product_zeros(modulus: int, operators: str, zeros: int) -> float:
    return fmean((zeros if operator == "*" else modulus) / modulus**2 for operator in operators)


# -- the shape of a tree -----------------------------------------------------------------------------------------------


def shape_chance(expression: Expression) -> float:
    """The chance that a random expression of as many operations has this tree (whatever its operators and numbers)."""
    return _over_nodes(expression, lambda n: 1 / n)


def _sizes(expression: Expression) -> list[int]:
    """The number of operations in the subtree of each operator, itself included; the root last."""
    kept: list[int] = []
    sizes: list[int] = []
    for item in reversed(expression):
        kept.append(0 if isinstance(item, int) else 1 + kept.pop() + kept.pop())
        if isinstance(item, str):
            sizes.append(kept[-1])
    return sizes


def _over_nodes(expression: Expression, chance: Callable[[int], float]) -> float:
    return math.prod(map(chance, _sizes(expression)))


def _one_of_all_shapes(expression: Expression) -> float:
    n = len(expression) // 2
    return (n + 1) / math.comb(2 * n, n)


def _shape_cases() -> list[tuple[Expression]]:
    return [
        (["+", "*", 20, 15, "-", 13, 2],),
        (["+", 1, "-", 2, "*", 3, 4],),
        (["*", 5, 5],),
        ([3],),
        (["-", "+", 1, "*", 2, 3, "-", "+", 4, 5, "*", 6, 7],),
        (["+", "+", "+", "+", 1, 2, 3, 4, 5],),
    ]


check = Check(
    Exercise(
        "prefix_value",
        prefix_value,
        {
            "minus the wrong way round": Mistake(
                "you take left from right; - a b means a - b. When you read from the end, the operand that you meet "
                "*last* is the left one",
                lambda e, m: _fold(e, lambda o, a, b: _operate(o, b, a) % m),
            ),
            "the remainder's sign": Mistake(
                "some of your values are negative; the numbers are 0 to m - 1. Python's % is right, math.fmod and the "
                "% of C keep the sign",
                lambda e, m: int(math.fmod(_fold(e, _operate), m)),
            ),
            "no modulus": Mistake(
                "you compute with ordinary integers; take the remainder modulo m", lambda e, m: _fold(e, _operate)
            ),
            "the sign dropped": Mistake(
                "abs() is not the remainder: -2 modulo 7 is 5, not 2",
                lambda e, m: _fold(e, lambda o, a, b: abs(_operate(o, a, b)) % m),
            ),
            "no tree": Mistake(
                "you apply the operators to the numbers in the order of the text; an operator's operands may be "
                "whole expressions",
                _ignores_the_tree,
            ),
        },
        _expression_cases,
        "a stack or a recursion does it in a line or two; the model has neither",
    ),
    Exercise(
        "zero_share",
        zero_share,
        {
            "uniform": Mistake(
                "1/m holds for + and - only; a product is 0 whenever *one* factor is", lambda m, operators: 1 / m
            ),
            "the operators are ignored": Mistake(
                "you average over + - * whatever `operators` says", lambda m, operators: zero_share(m, "+-*")
            ),
            "(0, 0) counted twice": Mistake(
                "a = 0 gives m pairs and b = 0 gives m pairs, but (0, 0) is in both",
                lambda m, operators: _with_product_zeros(m, operators, 2 * m),
            ),
            "only primes": Mistake(
                "2m - 1 zeros of the product is right for a prime m only; modulo 6, 2 x 3 is 0, too",
                lambda m, operators: _with_product_zeros(m, operators, 2 * m - 1),
            ),
            "percent": Mistake(
                "a share lies between 0 and 1; you return percent",
                lambda m, operators: 100 * zero_share(m, operators),
            ),
        },
        lambda: [(7, "+-*"), (23, "+-*"), (6, "+-*"), (7, "*"), (12, "-*"), (5, "+")],
        "a model that has learnt nothing but this scores above 1/m",
    ),
    Exercise(
        "shape_chance",
        shape_chance,
        {
            "all shapes alike": Mistake(
                "you make all trees equally likely; the split is uniform at each operator, which favours balanced trees",
                _one_of_all_shapes,
            ),
            "the root only": Mistake(
                "you count the root's split only; each operator below splits its own operations",
                lambda e: 1 / max(1, len(e) // 2),
            ),
            "one split too many": Mistake(
                "the left operand of n operations gets 0 to n - 1 of them: n possibilities, not n + 1",
                lambda e: _over_nodes(e, lambda n: 1 / (n + 1)),
            ),
            "a coin for each operand": Mistake(
                "you decide for each operand by a coin whether it is a number; the split is drawn as a number "
                "0 to n - 1, all equally likely",
                lambda e: _over_nodes(e, lambda n: 1 / min(n, 2)),
            ),
            "with operators and numbers": Mistake(
                "you multiply by the chances of the operators; only the shape is asked for",
                lambda e: _over_nodes(e, lambda n: 1 / n / 3),
            ),
        },
        _shape_cases,
        "the same law as for random search trees; shallow trees are common, combs are rare",
    ),
)
