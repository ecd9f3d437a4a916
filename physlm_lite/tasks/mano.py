"""Mano: manipulating stored facts, here arithmetic modulo 23 (Part 4.1, section 2 and appendix A.4).

An expression of n operations (the paper writes l) is written in prefix form, operator first; its value is to be
given at once, without written steps, so that the tables of the operators must sit in the weights. The fast generator
grows all trees of a batch level by level; `mano_instance` is its slow twin and reads like the specification.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.strict import Range, verify
from .batch import Batch, Window, accuracy
from .draws import U64, Ints, OneByOne, address, below, bits, bits_at
from .metric import Metric, by_member, by_name, share
from .windows import Instances, Packed, laid_out, once_read, ragged

# Streams of draws (see `draws.bits`). NODE: where an operator splits its operands, or the value of a leaf; a place of
# an expression is one or the other.
SIZE, NODE, OPERATOR, SYNONYM = range(4)

OPERATORS = "+-*/"

Expression = list[str | int]  # in prefix form, for example ["+", "*", 20, 15, 3]


@dataclass(frozen=True)
class Mano(Packed):
    """The task at one setting.

    L: largest number of operations (n = L in the test split). modulus: numbers are 0..modulus-1.
    operators: some of "+-*/". With "/", a / b is a times the inverse of b, and an expression that divides by 0 is drawn
    again (with the same n); the modulus must then be a prime.
    markers: "script", as in the released generator: `<bos>`, the length, every operator and the answer marker each have
    two interchangeable tokens, and there is an answer marker for each length; "plain", as the paper's text: one token
    each and one `<ans>`.
    sizes: how n is drawn in training, "paper" (uniform on 1..L) or "fixed" (n = L).
    every_length: the test split draws n from 1..L as well.
    context: pack instances into windows of this many tokens; None gives one instance a row, padded on the right.

    The paper's settings are L = 10, 13 or 16 in windows of 1,024. Every token carries loss, except the first of a row.

    >>> from physlm_lite.tasks import text_view
    >>> task = Mano(L=3, markers="plain", sizes="fixed")
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens  <bos> <len3> - *  1 11  * 13    20 <ans> 4
    labels <len3>      - * 1 11  * 13 20 <ans>     4 .
    loss        1      1 1 1  1  1  1  1     1     1 0
    """

    L: Annotated[int, Range(1, 499)] = 10
    modulus: Annotated[int, Range(2, 1000)] = 23
    operators: str = "+-*"
    markers: Literal["plain", "script"] = "script"
    sizes: Literal["paper", "fixed"] = "paper"
    every_length: bool = False
    context: Window | None = None

    fingerprint = ""  # it reads no files
    _least = 7.0

    def __post_init__(self) -> None:
        verify(self)
        if not self.operators or len(set(self.operators)) < len(self.operators) or set(self.operators) - set(OPERATORS):
            raise ValueError(f"operators must be some of '{OPERATORS}', each once, not {self.operators!r}")
        if "/" in self.operators:
            if any(self.modulus % d == 0 for d in range(2, math.isqrt(self.modulus) + 1)):
                raise ValueError(f"division needs a prime modulus, not {self.modulus}; leave '/' out or take 23")
            if self._masses.sum(1).min() < 0.01:  # they would be drawn again a hundred times and more
                raise ValueError(
                    f"with operators {self.operators!r} modulo {self.modulus}, fewer than 1% of the "
                    f"expressions of up to {self.L} operations never divide by 0; lower L"
                )
        self._verify_window(f"at L = {self.L} it needs", "L")

    # -- vocabulary ----------------------------------------------------------------------------------------------------

    @property
    def longest_instance(self) -> int:
        """Tokens of an instance of L operations."""
        return 2 * self.L + 5

    @cached_property
    def _tokens(self) -> list[tuple[str, int]]:
        """The name of each dense id, and its raw id in published files."""
        script, lengths = self.markers == "script", range(1, self.L + 1)
        forms = list(enumerate(("", "'") if script else ("",)))
        answers = [(f"<ans{n}{mark}>", 10 * n + 4 + form) for form, mark in forms for n in lengths]
        operators = [(f"{o}{mark}", 1 + OPERATORS.index(o) + 4 * form) for form, mark in forms for o in self.operators]
        return [
            ("<pad>", -1),
            *((f"<bos{mark}>", 9999 - form) for form, mark in forms),
            *((f"<len{n}{mark}>", 10 * n + form) for form, mark in forms for n in lengths),
            *(answers if script else [("<ans>", 9500)]),
            *operators,
            *((str(number), 5000 + number) for number in range(self.modulus)),
        ]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>`, `<bos>`, the lengths, the answer markers, the operators, the numbers 0..modulus-1.

        A second form is marked with ' and follows all the first forms of its kind.
        """
        return tuple(name for name, _ in self._tokens)

    @cached_property
    def interchange(self) -> Ints:
        """The raw id (as used in published files) of each dense id; padding is -1.

        The published files have no common `<ans>`: with plain markers it is 9500, as in Depo.
        """
        return np.array([raw for _, raw in self._tokens])

    # -- distributions -------------------------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> Ints:
        """[operator, left, right]: the result; `modulus` stands for an undefined number, which propagates."""
        m = self.modulus
        table = np.full((len(self.operators), m + 1, m + 1), m)
        left, right = np.indices((m, m))
        inverse = np.array([pow(b, -1, m) if math.gcd(b, m) == 1 else 0 for b in range(m)])
        for operator, results in zip(self.operators, table, strict=True):
            results[:m, :m] = {"+": left + right, "-": left - right, "*": left * right, "/": left * inverse[right]}[
                operator
            ] % m
            if operator == "/":
                results[:, 0] = m
        return table

    @cached_property
    def _masses(self) -> NDArray[np.float64]:
        """[n, value]: the chance that one try at an expression of n operations is defined and has this value."""
        m = self.modulus
        if (work := self.L * m * m * len(self.operators)) > 2**28:
            raise ValueError(
                f"the chances of all values take L * modulus^2 * operators = {work:,} steps, and at most {2**28:,} are "
                "done; lower L or the modulus"
            )
        mass = np.full((self.L + 1, m), 1 / m)
        for n in range(1, self.L + 1):
            both = mass[:n].T @ mass[:n][::-1] / n  # [left, right], over all ways to split n - 1 operations
            mass[n] = np.mean([np.bincount(table[:m, :m].ravel(), both.ravel(), m + 1)[:m] for table in self._table], 0)
        return mass

    @cached_property
    def answer_probabilities(self) -> NDArray[np.float64]:
        """[n, value]: the exact distribution of the value of an expression of n = 0..L operations."""
        return self._masses / self._masses.sum(1, keepdims=True)

    def floor(self, length: int | None = None) -> float:
        """The accuracy of the best constant answer, exactly: for one length, or over the lengths of the test split.

        With products, 0 comes up more often than any other number: at modulus 23 always answering 0 scores about 7%.
        """
        if length is not None and not 1 <= length <= self.L:
            raise ValueError(f"length must lie in 1..L = {self.L}, not {length}")
        lengths = [length] if length is not None else range(1, self.L + 1) if self.every_length else [self.L]
        return float(self.answer_probabilities[list(lengths)].mean(0).max())

    # -- the fast generator --------------------------------------------------------------------------------------------

    def _sizes(self, key: U64, test: bool) -> Ints:
        """The number of operations of each instance."""
        fixed = not self.every_length if test else self.sizes == "fixed"
        return np.full(len(key), self.L) if fixed else 1 + below(bits(key, SIZE), self.L)

    def _trees(self, key: U64, n: Ints) -> tuple[Ints, Ints]:
        """One try at each expression: flat, with numbers as they are and operators as -1, -2, ..; and the values.

        An operator with s operations below it and s1 of them on its left has its left operand one place further and
        its right operand 2 s1 + 2 places further; so the trees grow level by level, without pointers.
        """
        row, place = ragged(2 * n + 1)
        draw = (bits_at(key, row, NODE, place) >> np.uint64(32)).astype(np.int64)  # of which `below` takes its shares
        value = draw * self.modulus >> 32
        levels = []
        at, size = np.cumsum(2 * n + 1) - (2 * n + 1), n
        while at.size:
            left = draw.take(at) * size >> 32
            right = at + 2 * left + 2
            levels.append((at, right))
            at, size = np.concatenate([at + 1, right]), np.concatenate([left, size - 1 - left])
            inner = np.flatnonzero(size)
            at, size = at.take(inner), size.take(inner)

        operators = np.concatenate([at for at, _ in levels])
        which = below(bits_at(key, row[operators], OPERATOR, place[operators]), len(self.operators))
        text, table, m = value.copy(), self._table.ravel(), self.modulus + 1
        text[operators] = -1 - which
        ends = np.cumsum([len(at) for at, _ in levels])
        for (at, right), end in zip(levels[::-1], ends[::-1], strict=True):  # the deepest level first
            value[at] = table.take((which[end - len(at) : end] * m + value.take(at + 1)) * m + value.take(right))
        return text, value[levels[0][0]]

    def _expressions(self, key: U64, n: Ints) -> tuple[Ints, Ints]:
        """As `_trees`, where the undefined ones are drawn again."""
        text, value = self._trees(address(key, 0), n)
        begin, attempt = np.cumsum(2 * n + 1) - (2 * n + 1), 0
        while (again := np.flatnonzero(value == self.modulus)).size:
            attempt += 1
            other, value[again] = self._trees(address(key[again], attempt), n[again])
            row, place = ragged(2 * n[again] + 1)
            text[begin[again][row] + place] = other
        return text, value

    def _instances(self, key: U64, test: bool) -> Instances:
        n = self._sizes(key, test)
        expression, value = self._expressions(key, n)
        length = 2 * n + 5
        begin = np.cumsum(length) - length
        row, place = ragged(2 * n + 1)
        script, first = self.markers == "script", self.vocabulary.index
        tokens = np.empty(length.sum(), np.int64)
        tokens[begin], tokens[begin + 1] = first("<bos>"), first("<len1>") - 1 + n
        tokens[begin + length - 2] = first("<ans1>") - 1 + n if script else first("<ans>")
        tokens[begin + length - 1] = first("0") + value
        at = begin[row] + 2 + place
        tokens[at] = np.where(expression < 0, first(self.operators[0]) - 1 - expression, first("0") + expression)
        if script:
            operator = np.flatnonzero(expression < 0)
            second = below(bits_at(key, row[operator], SYNONYM, 2 + place[operator]), 2)
            tokens[at[operator]] += len(self.operators) * second
            for offset, step in ((np.zeros_like(n), 1), (np.ones_like(n), self.L), (length - 2, self.L)):
                tokens[begin + offset] += step * below(bits(key, SYNONYM, offset), 2)
        return tokens, np.ones(len(tokens), bool), length

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        return (2 * self._sizes(key, test) + 5).astype(np.float64)

    # -- grading -------------------------------------------------------------------------------------------------------

    def read(self, tokens: Sequence[int]) -> tuple[int, Expression, int]:
        """Read one instance back from its dense tokens alone (an independent reader, used for grading).

        Returns (length as announced, expression, place of the answer). Raises ValueError for a text that is not an
        instance; the answer itself may be wrong.
        """
        names = [self.vocabulary[token].replace("'", "") for token in tokens]

        def expect(place: int, what: str, right: Callable[[str], bool]) -> str:
            if place >= len(names) or not right(names[place]):
                raise ValueError(f"token {place} should be {what}, in {' '.join(names)}")
            return names[place]

        expect(0, "<bos>", lambda name: name == "<bos>")
        n = int(expect(1, "a length", lambda name: name.startswith("<len"))[4:-1])
        expression: Expression = []
        open_places = 1  # operands that are still to come
        while open_places:
            what = "an operator or a number"
            name = expect(2 + len(expression), what, lambda name: name in self.operators or name.isdigit())
            expression.append(int(name) if name.isdigit() else name)
            open_places += -1 if name.isdigit() else 1
        if len(expression) != 2 * n + 1:
            raise ValueError(f"the text announces {n} operations and has {len(expression) // 2}, in {' '.join(names)}")
        answer = f"<ans{n}>" if self.markers == "script" else "<ans>"
        expect(2 * n + 3, answer, lambda name: name == answer)
        if len(names) != 2 * n + 5 or not names[-1].isdigit():
            raise ValueError(f"one number should follow token {2 * n + 3}, in {' '.join(names)}")
        return n, expression, 2 * n + 4

    def _operate(self, operator: str, a: int, b: int) -> int:
        if operator == "/":
            if b == 0:
                raise ValueError(f"{a} / 0 is not defined")
            return a * pow(b, -1, self.modulus) % self.modulus
        return (a + b if operator == "+" else a - b if operator == "-" else a * b) % self.modulus

    def evaluate(self, expression: Expression) -> int:
        """The value of an expression, read from its end: a number is kept, an operator takes the last two kept.

        >>> Mano().evaluate(["+", "*", 20, 15, "-", 13, 2])
        12
        """
        kept: list[int] = []
        for item in reversed(expression):
            kept.append(item if isinstance(item, int) else self._operate(item, kept.pop(), kept.pop()))
        (value,) = kept
        return value

    def steps(self, expression: Expression) -> list[tuple[str, Expression]]:
        """The evaluation by hand: (one calculation, the expression after it), until one number is left.

        >>> for calculation, rest in Mano().steps(["+", "*", 20, 15, "-", 13, 2]):
        ...     print(calculation, "leaves", *rest)
        20 * 15 = 1 leaves + 1 - 13 2
        13 - 2 = 11 leaves + 1 11
        1 + 11 = 12 leaves 12
        """
        rest, done = list(expression), []
        while len(rest) > 1:
            for i, (operator, a, b) in enumerate(zip(rest, rest[1:], rest[2:], strict=False)):  # noqa: B007
                if isinstance(operator, str) and isinstance(a, int) and isinstance(b, int):
                    break
            else:
                raise ValueError(f"{' '.join(map(str, rest))} is not an expression")
            value = self._operate(operator, a, b)
            rest = [*rest[:i], value, *rest[i + 3 :]]
            done.append((f"{a} {operator} {b} = {value}", rest))
        return done

    @property
    def metrics(self) -> dict[str, Metric]:
        lengths = {n: f"{n} operation{'s' if n > 1 else ''}" for n in range(1, self.L + 1)}
        return by_name(
            share("accuracy", "accuracy", error="standard_error", guess=self.floor),
            (share(f"accuracy_length.{n}", label, guess=partial(self.floor, n)) for n, label in lengths.items()),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Exact match at the answer, over all whole instances of every row: evaluate the text, compare one token.

        Returns `accuracy` with its `standard_error` and `count`, and by the number of operations `accuracy_length` and
        `count_length` (as {"1": ...}).
        """
        right: dict[int, list[bool]] = defaultdict(list)
        zero = self.vocabulary.index("0")
        for (n, expression, answer), _, guess in laid_out(
            batch, guesses, lambda tokens, cut: once_read(self, tuple(tokens))
        ):
            right[n].append(guess[answer] == zero + self.evaluate(expression))
        every = [[x] for results in right.values() for x in results]  # every expression stands for itself
        return {**accuracy(every), **by_member("length", right)}


def mano_instance(task: Mano, key: int, test: bool = False) -> tuple[list[int], list[bool]]:
    """The slow twin: one instance, written as the specification reads. Returns (tokens, targets).

    Every token is a target here; `Mano.batch` leaves out the first of a row.
    """
    draws = OneByOne(key)

    def form(place: int, count: int) -> int:
        """0 for the first form of the marker or operator at this place, `count` for the second."""
        return count * draws.below(2, SYNONYM, place) if task.markers == "script" else 0

    def expression(n: int, place: int, attempt: OneByOne) -> tuple[list[int], int | None]:
        """The tokens of E(n), which begins at this place, and its value (None if undefined)."""
        if n == 0:
            number = attempt.below(task.modulus, NODE, place)
            return [task.vocabulary.index(str(number))], number
        operator = task.operators[attempt.below(len(task.operators), OPERATOR, place)]
        l1 = attempt.below(n, NODE, place)
        left, a = expression(l1, place + 1, attempt)
        right, b = expression(n - 1 - l1, place + 1 + len(left), attempt)
        tokens = [task.vocabulary.index(operator) + form(2 + place, len(task.operators)), *left, *right]
        if a is None or b is None or (operator == "/" and b == 0):
            return tokens, None
        return tokens, task.evaluate([operator, a, b])

    # 1. the number of operations
    fixed = not task.every_length if test else task.sizes == "fixed"
    n = task.L if fixed else 1 + draws.below(task.L, SIZE)
    # 2. and 3. an expression, until one is defined
    value, attempt = None, 0
    while value is None:
        text, value = expression(n, 0, OneByOne(address(np.uint64(key), attempt)))
        attempt += 1
    # 4. the text
    ans = task.vocabulary.index(f"<ans{n}>" if task.markers == "script" else "<ans>")
    tokens = [
        1 + form(0, 1),
        task.vocabulary.index(f"<len{n}>") + form(1, task.L),
        *text,
        ans + form(2 * n + 3, task.L),
        task.vocabulary.index(str(value)),
    ]
    return tokens, [True] * len(tokens)
