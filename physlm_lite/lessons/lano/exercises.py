"""Exercises of notebook 07. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import add, mul
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ...lab.checks import Check, Exercise

Array = NDArray[np.float64]
Symbols = tuple[int, ...]
Rules = Mapping[int, Sequence[Symbols]]
Language = Mapping[Symbols, float]
Pool = Callable[[Sequence[float]], float]

BY_RULES: Rules = {6: [(4, 5), (5, 4)], 5: [(1,), (1, 2)], 4: [(1,), (1, 1)]}
SHORT: Rules = {9: [(7, 8), (7, 7)], 8: [(1, 2), (2,)], 7: [(1,), (1, 1), (2, 1)]}
LONGER: Rules = {20: [(9, 9), (9, 9, 9)], 9: [(1, 2), (1, 1, 2), (2,)]}
LOWER: Rules = {11: [(7, 8)], 10: [(7, 7), (7, 7, 7)], 8: [(1, 2)], 7: [(2, 2), (1, 1)]}
PUBLISHED: Rules = {16: [(14, 14)], 14: [(10, 10, 11), (10, 10)], **LOWER}
AMBIGUOUS = (2, 2, 1, 1, 2, 2, 1, 1, 2, 2)

NINE: Rules = {9: [(1, 2, 1), (3, 3), (1, 1)]}
SEVEN: Rules = {7: [(2, 2, 1), (3, 2, 2), (3, 1, 2), (3, 2)], 8: [(3, 1, 1), (1, 2), (3, 3, 1)]}
TEN: Rules = {10: [(8, 9, 9), (9, 7, 9), (7, 9, 9)], **SEVEN, **NINE}

ALIKE: Language = {(1, 2, 1): 1 / 3, (3, 3): 1 / 3, (1, 1): 1 / 3}
UNEVEN: Language = {(1,): 0.4, (1, 2): 0.3, (2, 1, 1): 0.15, (1, 2, 2): 0.1, (2, 2): 0.05}

P = np.array([[0, 2 / 3, 0, 1 / 3], [0, 0.5, 0.5, 0], [1.0, 0, 0, 0]])
Q = np.array([[0.1, 0.5, 0.2, 0.2], [0, 1.0, 0, 0], [0.25, 0.25, 0.25, 0.25]])


def parse_trees(
    rules: Rules,
    symbol: int,
    text: Symbols,
    join: Callable[[int, int], int] = mul,
    splits: Callable[[Sequence[int]], int] = sum,
    alternatives: Callable[[Sequence[int]], int] = sum,
) -> int:
    """How many trees derive `text` from `symbol`.

    `join` combines the parts of a rule; `splits` and `alternatives` pool the places of a cut, and a symbol's rules.
    """
    if symbol not in rules:
        return int(text == (symbol,))
    trees = partial(parse_trees, rules, join=join, splits=splits, alternatives=alternatives)

    def ways(rule: Symbols, text: Symbols) -> int:
        if len(rule) == 1:
            return trees(rule[0], text)
        pairs = [(trees(rule[0], text[:k]), ways(rule[1:], text[k:])) for k in range(1, len(text))]
        return splits([join(left, right) for left, right in pairs if left and right] or [0])

    return alternatives([ways(rule, text) for rule in rules[symbol]])


def derivation_bits(rules: Rules, symbol: int, own: Callable = np.log2, parts: Pool = sum, over: Pool = fmean) -> float:
    """Entropy in bits of the tree below a symbol: its own choice, and the mean over its rules of what they add."""
    if symbol not in rules:
        return 0.0
    below = [parts([derivation_bits(rules, child, own, parts, over) for child in rule]) for rule in rules[symbol]]
    return float(own(len(below)) + over(below))


def next_symbol(
    language: Language, prefix: Symbols, terminals: int, anywhere: bool = False, end: bool = True, shares: bool = True
) -> Array:
    """[terminals + 1]: P(end), P(1), ... after a prefix, from all sentences of a language with their probabilities."""
    weight, n = np.zeros(terminals + 1), len(prefix)
    for sentence, p in language.items():
        if (anywhere and len(sentence) >= n) or sentence[:n] == prefix:
            weight[sentence[n] if len(sentence) > n else 0] += p
    weight[0] *= end
    return weight / max(weight.sum(), 1e-300) if shares else weight


def kl_rows(p: Array, q: Array, e: float, total: Callable[..., Array] = np.sum) -> Array:
    """[rows]: KL divergence in nats of each row of q from p; only the logarithms are smoothed (Part 1)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of the mistakes with e = 0
        return total(p * (np.log(_smooth(p, e)) - np.log(_smooth(q, e))), axis=1)


def _smooth(x: Array, e: float) -> Array:
    return (x + e) / (x + e).sum(1, keepdims=True)


check = Check(
    parse_trees=Exercise(
        parse_trees,
        [
            (SHORT, 9, (1, 1, 2)),
            (BY_RULES, 6, (1, 1)),
            (SHORT, 9, (1, 2, 1)),
            (LONGER, 20, (1, 2, 1, 1, 2)),
            (PUBLISHED, 14, AMBIGUOUS),
            (PUBLISHED, 14, (2, 2, 1)),
            (PUBLISHED, 1, (1,)),
        ],
        "products of the parts, summed over rules and splits: with shares for counts it is the probability",
        hints={
            "sum of the parts": "you add the counts of a rule's parts; every tree of one part goes with every tree of "
            "the others, so multiply them",
            "possible or not": "you answer whether there is a tree; add the ways over rules and splits instead of "
            "taking any of them",
            "the first rule only": "you try only the first rule of each symbol; add over all of them",
            "one split only": "you stop at the first place where a text can be cut; add over all places",
        },
        wrong={
            "sum of the parts": partial(parse_trees, join=add),
            "possible or not": partial(parse_trees, splits=max, alternatives=max),
            "the first rule only": lambda r, s, t: parse_trees({head: rules[:1] for head, rules in r.items()}, s, t),
            "one split only": partial(parse_trees, splits=lambda counts: counts[0]),
        },
    ),
    derivation_bits=Exercise(
        derivation_bits,
        [(NINE, 9), (TEN, 10), (TEN, 7), (TEN, 1), ({**TEN, 13: [(10, 9), (10,)]}, 13)],
        "from the leaves up, in one pass: an exact number, no sampling needed",
        hints={
            "no choice of its own": "you forget the symbol's own choice, log2 of the number of its rules",
            "sum over the rules": "only one of the rules is taken: average over the rules, do not add them up",
            "mean over the symbols": "all symbols of the chosen rule are expanded: add them up, do not average them",
            "nats": "you take the natural logarithm; bits need log2",
            "repeated symbols once": "a symbol that stands twice in a rule is expanded twice, with new choices",
        },
        wrong={
            "no choice of its own": partial(derivation_bits, own=lambda n: 0.0),
            "sum over the rules": partial(derivation_bits, over=sum),
            "mean over the symbols": partial(derivation_bits, parts=fmean),
            "nats": partial(derivation_bits, own=np.log),
            "repeated symbols once": lambda r, s: derivation_bits(
                {n: [tuple(set(rule)) for rule in r[n]] for n in r}, s
            ),
        },
    ),
    next_symbol=Exercise(
        next_symbol,
        [(ALIKE, prefix, 3) for prefix in ((), (1,), (1, 1), (1, 2))]
        + [(UNEVEN, prefix, 2) for prefix in ((), (1,), (1, 2), (2,))],
        "that is the definition; the grammar lets us compute it without listing 10^80 sentences",
        hints={
            "the end is forgotten": "a sentence may be over after the prefix: the end is a symbol, too (entry 0), and "
            "takes its share",
            "not conditioned": "your numbers do not sum to 1: divide by the probability that a sentence begins with "
            "the prefix",
            "all sentences alike": "you count sentences; weight each with its probability",
            "any prefix": "you use every sentence that is long enough; only those that begin with the prefix count",
        },
        wrong={
            "the end is forgotten": partial(next_symbol, end=False),
            "not conditioned": partial(next_symbol, shares=False),
            "all sentences alike": lambda language, *rest: next_symbol(dict.fromkeys(language, 1.0), *rest),
            "any prefix": partial(next_symbol, anywhere=True),
        },
    ),
    kl_rows=Exercise(
        kl_rows,
        [(P, Q, 1e-2), (P, Q, 1e-5), (P, P, 1e-5), (np.array([[0.3, 0.7]]), np.array([[0.6, 0.4]]), 1e-1)],
        "0 for the truth itself, and finite for a model that rules out what may come",
        hints={
            "turned round": "you weigh with the model's q; the weight is the truth p, which writes the sentences",
            "not smoothed": "where the model gives 0 your distance is infinite; add e to p and q in the logarithms",
            "zero times infinity": "where p is 0 you multiply 0 with an infinite logarithm; add e in the logarithms",
            "the weight is smoothed": "the weight before the logarithms is p itself; only they are smoothed",
            "bits": "you take log2; the papers count in nats",
            "mean over the symbols": "a divergence is the sum over the symbols, not their mean",
        },
        wrong={
            "turned round": lambda p, q, e: kl_rows(q, p, e),
            "not smoothed": lambda p, q, e: kl_rows(p, q, 0.0, np.nansum),
            "zero times infinity": lambda p, q, e: kl_rows(p, q, 0.0),
            "the weight is smoothed": lambda p, q, e: (
                _smooth(p, e) * (np.log(_smooth(p, e)) - np.log(_smooth(q, e)))
            ).sum(1),
            "bits": lambda p, q, e: kl_rows(p, q, e) / np.log(2),
            "mean over the symbols": lambda p, q, e: kl_rows(p, q, e) / p.shape[1],
        },
    ),
)
