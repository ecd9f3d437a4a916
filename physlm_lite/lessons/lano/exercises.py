"""Exercises of notebook 07."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lab.checks import Check, Exercise, Mistake

Symbols = tuple[int, ...]
Rules = Mapping[int, Sequence[Symbols]]
Language = Mapping[Symbols, float]


# -- how many parse trees ----------------------------------------------------------------------------------------------


def parse_trees(rules: Rules, symbol: int, text: Symbols) -> int:
    """How many trees derive `text` from `symbol`."""
    return _trees(rules, symbol, text)


Pool = Callable[[Sequence[int]], int]


def _trees(
    rules: Rules,
    symbol: int,
    text: Symbols,
    join: Callable[[int, int], int] = lambda a, b: a * b,
    splits: Pool = sum,
    alternatives: Pool = sum,
) -> int:
    """`parse_trees` with a choice of what joins the parts of a rule, and pools the splits and the rules that derive a text."""
    if symbol not in rules:
        return int(text == (symbol,))

    def trees(symbol: int, text: Symbols) -> int:
        return _trees(rules, symbol, text, join, splits, alternatives)

    def ways(rule: Symbols, text: Symbols) -> int:
        if len(rule) == 1:
            return trees(rule[0], text)
        pairs = [(trees(rule[0], text[:k]), ways(rule[1:], text[k:])) for k in range(1, len(text))]
        found = [join(left, right) for left, right in pairs if left and right]
        return splits(found) if found else 0

    counts = [count for rule in rules[symbol] if (count := ways(rule, text))]
    return alternatives(counts) if counts else 0


def _first_rule(rules: Rules, symbol: int, text: Symbols) -> int:
    return parse_trees({head: alternatives[:1] for head, alternatives in rules.items()}, symbol, text)


def _parse_cases() -> list[tuple[Rules, int, Symbols]]:
    by_rules: Rules = {6: [(4, 5), (5, 4)], 5: [(1,), (1, 2)], 4: [(1,), (1, 1)]}
    small: Rules = {9: [(7, 8), (7, 7)], 8: [(1, 2), (2,)], 7: [(1,), (1, 1), (2, 1)]}
    longer: Rules = {20: [(9, 9), (9, 9, 9)], 9: [(1, 2), (1, 1, 2), (2,)]}
    published: Rules = {
        14: [(10, 10, 11), (10, 10)],
        10: [(7, 7), (7, 7, 7)],
        11: [(7, 8)],
        7: [(2, 2), (1, 1)],
        8: [(1, 2)],
    }
    ambiguous = (2, 2, 1, 1, 2, 2, 1, 1, 2, 2)
    return [
        (small, 9, (1, 1, 2)),
        (by_rules, 6, (1, 1)),
        (small, 9, (1, 2, 1)),
        (longer, 20, (1, 2, 1, 1, 2)),
        (published, 14, ambiguous),
        ({16: [(14, 14)], **published}, 16, ambiguous + ambiguous),
        (published, 14, (2, 2, 1)),
        (published, 1, (1,)),
    ]


# -- the entropy of a derivation ---------------------------------------------------------------------------------------


def derivation_bits(rules: Rules, symbol: int) -> float:
    """Entropy in bits of the tree below a symbol: its own choice, and the mean over its rules of what their symbols add."""
    if symbol not in rules:
        return 0.0
    below = [sum(derivation_bits(rules, child) for child in rule) for rule in rules[symbol]]
    return float(np.log2(len(below))) + sum(below) / len(below)


def _bits(
    own: Callable[[int], float], parts: Callable[[Any], float], over: Callable[[Any], float]
) -> Callable[..., float]:
    """`derivation_bits` with another formula for the choice, the symbols of a rule, or the rules."""

    def bits(rules: Rules, symbol: int) -> float:
        if symbol not in rules:
            return 0.0
        return own(len(rules[symbol])) + over([parts([bits(rules, c) for c in rule]) for rule in rules[symbol]])

    return bits


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values))


def _bits_of_different_children(rules: Rules, symbol: int) -> float:
    if symbol not in rules:
        return 0.0
    below = [sum(_bits_of_different_children(rules, child) for child in set(rule)) for rule in rules[symbol]]
    return float(np.log2(len(below))) + sum(below) / len(below)


def _log2(n: int) -> float:
    return float(np.log2(n))


NINE: Rules = {9: [(1, 2, 1), (3, 3), (1, 1)]}
TEN: Rules = {
    10: [(8, 9, 9), (9, 7, 9), (7, 9, 9)],
    7: [(2, 2, 1), (3, 2, 2), (3, 1, 2), (3, 2)],
    8: [(3, 1, 1), (1, 2), (3, 3, 1)],
    **NINE,
}


# -- the next symbol ---------------------------------------------------------------------------------------------------


def next_symbol(language: Language, prefix: Symbols, terminals: int) -> NDArray[np.float64]:
    """[terminals + 1]: P(end), P(1), ... after a prefix, from all sentences of a language with their probabilities."""
    weight = _weights(language, prefix, terminals)
    return weight / weight.sum()


def _weights(
    language: Language, prefix: Symbols, terminals: int, counted: bool = False, anywhere: bool = False
) -> NDArray[np.float64]:
    weight, n = np.zeros(terminals + 1), len(prefix)
    for sentence, p in language.items():
        if (anywhere and len(sentence) >= n) or sentence[:n] == prefix:
            weight[sentence[n] if len(sentence) > n else 0] += 1.0 if counted else p
    return weight


def _no_end(language: Language, prefix: Symbols, terminals: int) -> NDArray[np.float64]:
    weight = _weights(language, prefix, terminals)
    weight[0] = 0
    return weight / max(weight.sum(), 1e-300)


def _normalised(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return weight / weight.sum()


def _next_cases() -> list[tuple[Language, Symbols, int]]:
    nine = {(1, 2, 1): 1 / 3, (3, 3): 1 / 3, (1, 1): 1 / 3}
    uneven = {(1,): 0.4, (1, 2): 0.3, (2, 1, 1): 0.15, (1, 2, 2): 0.1, (2, 2): 0.05}
    return [
        (nine, (), 3),
        (nine, (1,), 3),
        (nine, (1, 1), 3),
        (nine, (1, 2), 3),
        (uneven, (), 2),
        (uneven, (1,), 2),
        (uneven, (1, 2), 2),
        (uneven, (2,), 2),
    ]


# -- the distance to the truth -----------------------------------------------------------------------------------------


def kl_rows(p: NDArray[np.float64], q: NDArray[np.float64], e: float) -> NDArray[np.float64]:
    """[rows]: KL divergence in nats of each row of q from p; only the logarithms are smoothed (Part 1)."""
    return (p * (np.log(_smooth(p, e)) - np.log(_smooth(q, e)))).sum(1)


def _smooth(x: NDArray[np.float64], e: float) -> NDArray[np.float64]:
    return (x + e) / (x + e).sum(1, keepdims=True)


def _kl_not_smoothed(p: NDArray[np.float64], q: NDArray[np.float64], e: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * (np.log(p) - np.log(q)), 0).sum(1)


def _kl_nan(p: NDArray[np.float64], q: NDArray[np.float64], e: float) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (p * np.log(p / q)).sum(1)


def _kl_cases() -> list[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    p = np.array([[0, 2 / 3, 0, 1 / 3], [0, 0.5, 0.5, 0], [1.0, 0, 0, 0]])
    q = np.array([[0.1, 0.5, 0.2, 0.2], [0, 1.0, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    return [(p, q, 1e-2), (p, q, 1e-5), (p, p, 1e-5), (np.array([[0.3, 0.7]]), np.array([[0.6, 0.4]]), 1e-1)]


check = Check(
    Exercise(
        "parse_trees",
        parse_trees,
        {
            "sum of the parts": Mistake(
                "you add the counts of a rule's parts; every tree of one part goes with every tree of the others, so "
                "multiply them",
                lambda r, s, t: _trees(r, s, t, join=lambda a, b: a + b),
            ),
            "possible or not": Mistake(
                "you answer whether there is a tree; add the ways over rules and splits instead of taking any of them",
                lambda r, s, t: _trees(r, s, t, splits=max, alternatives=max),
            ),
            "the first rule only": Mistake(
                "you try only the first rule of each symbol; add over all of them", _first_rule
            ),
            "one split only": Mistake(
                "you stop at the first place where a text can be cut; add over all places",
                lambda r, s, t: _trees(r, s, t, splits=lambda counts: counts[0]),
            ),
        },
        _parse_cases,
        "products of the parts, summed over rules and splits: with shares for counts it is the probability",
    ),
    Exercise(
        "derivation_bits",
        derivation_bits,
        {
            "no choice of its own": Mistake(
                "you forget the symbol's own choice, log2 of the number of its rules",
                _bits(lambda n: 0.0, sum, _mean),
            ),
            "sum over the rules": Mistake(
                "only one of the rules is taken: average over the rules, do not add them up", _bits(_log2, sum, sum)
            ),
            "mean over the symbols": Mistake(
                "all symbols of the chosen rule are expanded: add them up, do not average them",
                _bits(_log2, _mean, _mean),
            ),
            "nats": Mistake(
                "you take the natural logarithm; bits need log2", _bits(lambda n: float(np.log(n)), sum, _mean)
            ),
            "repeated symbols once": Mistake(
                "a symbol that stands twice in a rule is expanded twice, each time with new choices",
                _bits_of_different_children,
            ),
        },
        lambda: [(NINE, 9), (TEN, 10), (TEN, 7), (TEN, 1), ({**TEN, 13: [(10, 9), (10,)]}, 13)],
        "from the leaves up, in one pass: an exact number, no sampling needed",
    ),
    Exercise(
        "next_symbol",
        next_symbol,
        {
            "the end is forgotten": Mistake(
                "a sentence may be over after the prefix: the end is a symbol, too (entry 0), and takes its share",
                _no_end,
            ),
            "not conditioned": Mistake(
                "your numbers do not sum to 1: divide by the probability that a sentence begins with the prefix",
                _weights,
            ),
            "all sentences alike": Mistake(
                "you count sentences; weight each with its probability",
                lambda lang, pre, t: _normalised(_weights(lang, pre, t, counted=True)),
            ),
            "any prefix": Mistake(
                "you use every sentence that is long enough; only those that begin with the prefix count",
                lambda lang, pre, t: _normalised(_weights(lang, pre, t, anywhere=True)),
            ),
        },
        _next_cases,
        "that is the definition; the grammar lets us compute it without listing 10^80 sentences",
    ),
    Exercise(
        "kl_rows",
        kl_rows,
        {
            "turned round": Mistake(
                "you weigh with the model's q; the weight is the truth p, since it is p that writes the sentences",
                lambda p, q, e: kl_rows(q, p, e),
            ),
            "not smoothed": Mistake(
                "where the model gives 0 your distance is infinite; add e to p and q in the logarithms",
                _kl_not_smoothed,
            ),
            "zero times infinity": Mistake(
                "where p is 0 you multiply 0 with an infinite logarithm; add e to p and q in the logarithms",
                _kl_nan,
            ),
            "the weight is smoothed": Mistake(
                "the weight in front of the logarithms is p itself; only the logarithms are smoothed",
                lambda p, q, e: (_smooth(p, e) * (np.log(_smooth(p, e)) - np.log(_smooth(q, e)))).sum(1),
            ),
            "bits": Mistake("you take log2; the papers count in nats", lambda p, q, e: kl_rows(p, q, e) / np.log(2)),
            "mean over the symbols": Mistake(
                "a divergence is the sum over the symbols, not their mean",
                lambda p, q, e: kl_rows(p, q, e) / p.shape[1],
            ),
        },
        _kl_cases,
        "0 for the truth itself, and finite for a model that rules out what may come",
    ),
)
