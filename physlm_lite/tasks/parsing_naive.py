"""The slow twins of `parsing`: the same quantities as the textbook defines them, in exact arithmetic.

A chart says for each symbol X and place i how X can derive the tokens from i up to some j: ``chart[X][i][j]``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

from .grammar import Grammar, Rule

Reached = dict[int, Any]
Chart = dict[int, list[Reached]]


def inside(grammar: Grammar, sentence: Sequence[int], share: Callable[[int], Any]) -> Chart:
    """I_X(i, j) = sum over the rules of X of share(number of rules) times the sum over all splits of the product of the parts.

    With share = 1 / number this is a probability, with share = 1 the number of parse trees.
    """
    places = range(len(sentence) + 1)
    chart: Chart = {
        terminal: [{i + 1: 1} if i < len(sentence) and sentence[i] == terminal else {} for i in places]
        for terminal in range(1, grammar.terminals + 1)
    }
    for level in reversed(grammar.levels[:-1]):
        for symbol in level:
            rules = grammar.rules[symbol]
            chart[symbol] = []
            for i in places:
                total: Reached = defaultdict(int)
                for rule in rules:
                    reached: Reached = {i: share(len(rules))}
                    for child in rule:
                        reached = _step(reached, chart[child])
                    for j, value in reached.items():
                        total[j] += value
                chart[symbol].append(total)
    return chart


def _step(reached: Reached, rows: list[Reached]) -> Reached:
    """Go on from each place reached by one more symbol."""
    further: Reached = defaultdict(int)
    for k, left in reached.items():
        for j, right in rows[k].items():
            further[j] += left * right
    return further


def parse_count(grammar: Grammar, sentence: Sequence[int]) -> int:
    """How many parse trees the sentence has; none if it is not a sentence."""
    return inside(grammar, sentence, lambda rules: 1)[grammar.root][0].get(len(sentence), 0)


def recognise(grammar: Grammar, sentence: Sequence[int]) -> bool:
    return parse_count(grammar, sentence) > 0


def probability(grammar: Grammar, sentence: Sequence[int]) -> Fraction:
    """Exactly how likely the grammar writes this sentence."""
    return Fraction(inside(grammar, sentence, lambda rules: Fraction(1, rules))[grammar.root][0].get(len(sentence), 0))


def next_symbol(grammar: Grammar, sentence: Sequence[int]) -> list[list[Fraction] | None]:
    """Exactly how likely what comes next, after 0, 1, ... n tokens: the end, then the terminals 1..S.

    F_X(i) is the probability that a sentence begins with the first i tokens and goes on with an X. None stands where no
    sentence begins like this.
    """
    places = range(len(sentence) + 1)
    chart = inside(grammar, sentence, lambda rules: Fraction(1, rules))
    prefix: dict[int, list[Any]] = defaultdict(lambda: [Fraction(0) for _ in places])
    prefix[grammar.root][0] = Fraction(1)
    for level in grammar.levels[:-1]:
        for symbol in level:
            rules = grammar.rules[symbol]
            for i in places:
                for rule in rules if prefix[symbol][i] else ():
                    reached: Reached = {i: prefix[symbol][i] / len(rules)}
                    for child in rule:
                        for k, value in reached.items():
                            prefix[child][k] += value
                        reached = _step(reached, chart[child])
    rows: list[list[Fraction] | None] = []
    for i in places:
        start = (
            Fraction(1) if i == 0 else prefix[sentence[i - 1]][i - 1]
        )  # P(a sentence begins with the first i tokens)
        weights = [chart[grammar.root][0].get(i, Fraction(0)), *(prefix[t][i] for t in range(1, grammar.terminals + 1))]
        rows.append([weight / start for weight in weights] if start else None)
    return rows


def substitutions(grammar: Grammar, sentence: Sequence[int]) -> int | None:
    """The fewest tokens to replace to make a sentence; None if no sentence has this length."""
    impossible = len(sentence) + 1

    @cache
    def cost(symbol: int, i: int, j: int) -> int:
        if symbol <= grammar.terminals:
            return impossible if j != i + 1 else int(sentence[i] != symbol)
        return min(rule_cost(rule, i, j) for rule in grammar.rules[symbol])

    @cache
    def rule_cost(rule: Rule, i: int, j: int) -> int:
        if len(rule) == 1:
            return cost(rule[0], i, j)
        return min((cost(rule[0], i, k) + rule_cost(rule[1:], k, j) for k in range(i + 1, j)), default=impossible)

    fewest = cost(grammar.root, 0, len(sentence))
    return fewest if fewest < impossible else None
