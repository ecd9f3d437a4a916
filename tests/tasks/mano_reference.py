"""Mano's specification on Python's Mersenne Twister, in the ids of the published files.

`mano_mersenne` draws in the order of the released generator, to compare with known texts; `value_of` evaluates such a
text, and shares nothing with the library.
"""

import random

OPERATORS = "+-*/"


def mano_mersenne(rng: random.Random, L: int) -> list[int]:
    """One training instance of at most L operations (operators + - *, modulus 23, two forms of every marker)."""
    n = 1 + rng.randint(0, L - 1)
    for _ in range(n + 1):
        rng.randint(0, 22)  # the released generator draws these numbers and drops them

    def expression(size: int) -> tuple[list[int], int]:
        if size == 0:
            number = rng.randint(0, 22)
            return [5000 + number], number
        operator = rng.choice("+-*")
        l1 = rng.randint(0, size - 1)
        left, a = expression(l1)
        right, b = expression(size - 1 - l1)
        token = 1 + OPERATORS.index(operator)
        value = {"+": a + b, "-": a - b, "*": a * b}[operator] % 23
        return [rng.choice([token + 4, token]), *left, *right], value

    text, value = expression(n)
    return [9999 - rng.randint(0, 1), 10 * n + rng.randint(0, 1), *text, 10 * n + 4 + rng.randint(0, 1), 5000 + value]


def value_of(text: list[int], modulus: int = 23) -> int:
    """The value of an expression in published ids, by recursive descent over the tokens; leftovers are an error."""
    rest = list(text)

    def operand() -> int:
        token = rest.pop(0)
        if token >= 5000:
            assert token < 5000 + modulus
            return token - 5000
        assert 1 <= token <= 8
        a, b = operand(), operand()
        match OPERATORS[(token - 1) % 4]:
            case "+":
                return (a + b) % modulus
            case "-":
                return (a - b) % modulus
            case "*":
                return a * b % modulus
        quotients = [q for q in range(modulus) if q * b % modulus == a]
        assert len(quotients) == 1, "division by 0"
        return quotients[0]

    value = operand()
    assert not rest
    return value
