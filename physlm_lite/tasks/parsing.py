"""What is true of a text under a levelled grammar: is it a sentence, how likely is each next symbol, what is nearest to it.

Because no rule skips a level, a text is understood level by level, from the terminals up. Where a symbol stands in the
text is a short list of spans (start, end); a rule Y1 Y2 joins the spans of Y1 with those of Y2 that start where they end.
These lists are short, so joining them takes milliseconds where the textbook's loop over all places takes seconds. Many
texts are handled at once, laid end to end: their spans cannot meet. `parsing_naive` holds the textbook's versions.

A text is any sequence of integers. What is not one of the terminals 1..S stands nowhere in a sentence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .draws import Ints
from .grammar import Derivation, Grammar, Rule

Node = tuple[int, int, int]  # symbol, start, end
Cuts = tuple[int, ...]  # the places between a node's children

CHUNK = 2**14  # places of the texts handled together, so that the working arrays stay in the processor's cache
MANY = 2**18  # pairs of spans from which on a join is done text by text


# -- arithmetic --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arithmetic:
    """What is computed of a span: the sum, over the rules and splits that derive it, of the product of the parts.

    token: the value of a terminal. share: the factor of each of a symbol's n rules. kind: the values' type. add: the sum.
    dense: the type in which matrices of these values are multiplied, where that is possible.
    """

    token: Any
    share: Callable[[int], Any]
    kind: type
    add: np.ufunc
    dense: type | None = None


_POSSIBLE = _Arithmetic(True, lambda rules: True, bool, np.logical_or, np.float32)
_COUNT = _Arithmetic(1, lambda rules: 1, object, np.add)  # Python's integers: there may be very many trees


def _probability(grammar: Grammar) -> _Arithmetic:
    return _Arithmetic(_scale(grammar), lambda rules: 1 / rules, float, np.add, np.float64)


@cache
def _scale(grammar: Grammar) -> float:
    """A factor s for each token: a span of l tokens, about 2 ** (-entropy l) likely, then has a value near 1.

    Raises ValueError if that could still leave the range of a float64, so a possible span never rounds to zero.
    """
    scale = grammar.derivation_entropy / grammar.mean_length
    rarest = grammar.upward(scale, lambda rules: min(map(sum, rules)) - np.log2(len(rules)))
    likeliest = grammar.upward(scale, lambda rules: max(map(sum, rules)) - np.log2(len(rules)))
    before, extremes = {grammar.root: 0.0}, [*rarest.values(), *likeliest.values()]
    for level in grammar.levels[:-1]:  # the rarest beginnings of a sentence that lead to each symbol
        for symbol in level:
            rules = grammar.rules[symbol]
            for rule in rules:
                weight = before.get(symbol, 0.0) - np.log2(len(rules))
                for child in rule:
                    before[child] = min(before.get(child, 0.0), weight)
                    weight += rarest[child]
                extremes.append(weight)
    if max(map(abs, extremes)) > 900:
        raise ValueError(
            f"sentences of up to {grammar.longest} tokens differ too much in probability for floating point; "
            "take a part of this grammar with Grammar.rooted_at"
        )
    return float(2**scale)


# -- charts ------------------------------------------------------------------------------------------------------------


class _Texts(NamedTuple):
    """Texts laid end to end. A text of n tokens takes n + 1 places, and token number i leads from place i to i + 1.

    token: at each place the token that starts there, 0 at the end of a text. first, last: the places before and after each
    text.
    """

    token: Ints
    first: Ints
    last: Ints


class _Spans(NamedTuple):
    """Where a symbol stands: spans (start, end) with their values, ordered by start."""

    start: Ints
    end: Ints
    value: NDArray[Any]

    def part(self, kept: slice | NDArray[Any]) -> _Spans:
        """Some of them."""
        return _Spans(self.start[kept], self.end[kept], self.value[kept])

    def firsts(self, places: int) -> Ints:
        """The number of the first span that starts at each place or later."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.start, minlength=places))])


def _end_to_end(texts: Sequence[Ints]) -> _Texts:
    """Texts whose tokens are terminals, or 0."""
    token = np.concatenate([np.append(text, 0) for text in texts])
    end = np.cumsum([len(text) + 1 for text in texts])
    return _Texts(token, np.append(0, end[:-1]), end - 1)


def _chart(grammar: Grammar, texts: _Texts, arithmetic: _Arithmetic) -> dict[int, _Spans]:
    """The spans of every symbol; of the root, only those that begin with a text."""
    chart = {}
    for terminal in range(1, grammar.terminals + 1):
        start = np.flatnonzero(texts.token == terminal)
        chart[terminal] = _Spans(start, start + 1, np.full(len(start), arithmetic.token, arithmetic.kind))
    for level in reversed(grammar.levels[:-1]):
        rules = [rule for symbol in level for rule in grammar.rules[symbol]]
        index = {child: chart[child].firsts(len(texts.token)) for rule in rules for child in rule[1:]}
        found: dict[Rule, _Spans] = {}  # rules that begin alike share the work
        for rule in rules:
            for size in range(1, len(rule) + 1):
                head, child = rule[: size - 1], rule[size - 1]
                if rule[:size] in found:
                    continue
                elif head:
                    found[rule[:size]] = _join(found[head], chart[child], index[child], texts, arithmetic)
                elif level == grammar.levels[0]:
                    found[rule[:size]] = chart[child].part(np.isin(chart[child].start, texts.first))
                else:
                    found[rule[:size]] = chart[child]
        for symbol in level:
            spans = _merged([found[rule] for rule in grammar.rules[symbol]], arithmetic)
            chart[symbol] = _Spans(spans.start, spans.end, spans.value * arithmetic.share(len(grammar.rules[symbol])))
    return chart


def _merged(parts: Sequence[_Spans], arithmetic: _Arithmetic) -> _Spans:
    """Spans in order, the values of equal ones added."""
    start, end, value = map(np.concatenate, zip(*parts, strict=True))
    key = start << 32 | end
    order = np.argsort(key, kind="stable")
    key, value = key[order], value[order]
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    if len(begins) < len(key):
        value, order = arithmetic.add.reduceat(value, begins), order[begins]
    return _Spans(start[order], end[order], value)


def _join(left: _Spans, right: _Spans, index: Ints, texts: _Texts, arithmetic: _Arithmetic) -> _Spans:
    """Every left span with every right span that starts where it ends; equal results may come more than once.

    Some texts, like one symbol repeated, have spans nearly everywhere. Then the pairs of one text at a time are made and
    added up in portions, or, once these outnumber the cells of a matrix, multiplied as matrices.
    """
    low = index[left.end]
    count = index[left.end + 1] - low
    if count.sum() <= MANY:
        return _pairs(left, right, low, count)
    parts = []
    for begin, end in zip(texts.first, texts.last + 1, strict=True):
        own = slice(*np.searchsorted(left.start, [begin, end]))
        total = np.cumsum(count[own])
        if own.start == own.stop:
            continue
        if arithmetic.dense is not None and total[-1] > (end - begin) ** 2:
            parts.append(
                _matrix_product(left.part(own), right.part(slice(index[begin], index[end])), begin, end, arithmetic)
            )
        else:
            cuts = own.start + np.searchsorted(total, np.arange(MANY, total[-1], MANY))
            for portion in map(slice, [own.start, *cuts], [*cuts, own.stop]):
                parts.append(_merged([_pairs(left.part(portion), right, low[portion], count[portion])], arithmetic))
    return _Spans(*map(np.concatenate, zip(*parts, strict=True)))


def _pairs(left: _Spans, right: _Spans, low: Ints, count: Ints) -> _Spans:
    """Left span i with the `count[i]` right spans from number `low[i]` on."""
    a = np.repeat(np.arange(len(count)), count)
    b = np.arange(len(a)) + np.repeat(low - (np.cumsum(count) - count), count)
    return _Spans(left.start[a], right.end[b], left.value[a] * right.value[b])


def _matrix_product(left: _Spans, right: _Spans, begin: int, end: int, arithmetic: _Arithmetic) -> _Spans:
    """All spans of one text, from `begin` to before `end`, as two matrices and their product."""
    matrices = np.zeros((2, end - begin, end - begin), arithmetic.dense)
    for matrix, spans in zip(matrices, (_merged([left], arithmetic), right), strict=True):
        matrix[spans.start - begin, spans.end - begin] = spans.value
    product = matrices[0] @ matrices[1]
    start, stop = np.nonzero(product)
    return _Spans(start + begin, stop + begin, product[start, stop].astype(right.value.dtype))


# -- what the chart says -----------------------------------------------------------------------------------------------


def recognise(grammar: Grammar, sentences: Sequence[ArrayLike]) -> NDArray[np.bool_]:
    """Which of these texts are sentences of the grammar."""
    return np.array(_whole(grammar, sentences, _POSSIBLE), bool)


def parse_counts(grammar: Grammar, sentences: Sequence[ArrayLike]) -> list[int]:
    """How many parse trees each text has: none if it is not a sentence, more than one if it is ambiguous."""
    return _whole(grammar, sentences, _COUNT)


def log_probability(grammar: Grammar, sentences: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """ln P(sentence) for each text, over all its parse trees; -inf for what is not a sentence."""
    values = np.array(_whole(grammar, sentences, _probability(grammar)), float)
    length = np.array([np.size(np.asarray(sentence)) for sentence in sentences], float)
    with np.errstate(divide="ignore"):
        return np.log(values) - length * np.log(_scale(grammar))


def next_symbol(grammar: Grammar, sentence: ArrayLike) -> NDArray[np.float64]:
    """[n + 1, S + 1]: what comes after the first 0, 1, ... n tokens; column 0 is the end, column t the terminal t.

    Every row sums to 1. Where no sentence begins with these tokens, the row is nan.

    >>> next_symbol(Grammar.from_text("9: 1 2 1 | 3 3 | 1 1"), [1, 1]).round(2)
    array([[0.  , 0.67, 0.  , 0.33],
           [0.  , 0.5 , 0.5 , 0.  ],
           [1.  , 0.  , 0.  , 0.  ]])
    """
    return next_symbols(grammar, [sentence])[0]


def next_symbols(grammar: Grammar, sentences: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """`next_symbol` of many texts at once, which is much faster than one by one."""
    whole = [_tokens(grammar, sentence) for sentence in sentences]
    beginnings = [text[: grammar.longest] for text in whole]  # no sentence begins with more
    chunks = (_end_to_end([beginnings[i] for i in chunk]) for chunk in _chunks(beginnings))
    rows = [row for texts in chunks for row in _next_symbols(grammar, texts)]
    missing = [len(text) + 1 - len(row) for text, row in zip(whole, rows, strict=True)]
    return [np.pad(row, ((0, more), (0, 0)), constant_values=np.nan) for row, more in zip(rows, missing, strict=True)]


def _next_symbols(grammar: Grammar, texts: _Texts) -> list[NDArray[np.float64]]:
    """F_X(i), how likely a sentence begins with the first i tokens and goes on with an X, from the root to the terminals.

    Everything at a place i carries the factor s ** i of `_scale`, which the last step divides out.
    """
    chart = _chart(grammar, texts, _probability(grammar))
    prefix: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(texts.token)))
    prefix[grammar.root][texts.first] = 1
    for level in grammar.levels[:-1]:
        for symbol in [symbol for symbol in level if symbol in prefix]:
            rules = grammar.rules[symbol]
            begin = prefix.pop(symbol)
            for rule in rules:
                weight: NDArray[Any] = begin / len(rules)
                for child, more in zip(rule, range(len(rule) - 1, -1, -1), strict=True):
                    prefix[child] += weight
                    if more:
                        spans = chart[child]
                        weight = np.bincount(spans.end, weight[spans.start] * spans.value, len(texts.token))
    rows = np.stack([prefix[terminal] for terminal in range(grammar.terminals + 1)], 1)  # column 0 is the end
    rows[chart[grammar.root].end, 0] = chart[grammar.root].value
    total = rows.sum(1, keepdims=True)
    rows = np.divide(rows, total, out=np.full_like(rows, np.nan), where=total > 0)
    return np.split(rows, texts.first[1:])


def kl_to_truth(p: ArrayLike, q: ArrayLike, smoothing: float = 1e-5) -> float:
    """How far a model's next-symbol distributions q are from the true ones p: a mean over the rows (Part 1).

    p and q are [rows, S + 1], p as `next_symbol` gives it. Both get `smoothing` added and are normalised before the
    logarithm; the weight in front of it is p itself, in nats. Raises ValueError where p is nan: the text has no truth.
    """
    true, model = np.asarray(p, float), np.asarray(q, float)
    if true.shape != model.shape or true.ndim != 2:
        raise ValueError(f"p and q must have the same shape [rows, S + 1], not {true.shape} and {model.shape}")
    if np.isnan(true).any():
        raise ValueError("p has rows of nan: no sentence begins like this text; compare on valid sentences only")
    smooth_true, smooth_model = ((x + smoothing) / (x + smoothing).sum(1, keepdims=True) for x in (true, model))
    return float((true * (np.log(smooth_true) - np.log(smooth_model))).sum(1).mean())


def parse_tree(grammar: Grammar, sentence: ArrayLike) -> Derivation | None:
    """The most probable parse tree (of equally probable ones, the first by order of rules); None if there is none."""
    text = _tokens(grammar, sentence)
    if len(text) not in grammar.possible_lengths:
        return None
    chart = _chart(grammar, _end_to_end([text]), replace(_probability(grammar), add=np.maximum, dense=None))
    ends: dict[int, dict[int, dict[int, float]]] = {symbol: defaultdict(dict) for symbol in chart}
    for symbol, spans in chart.items():
        for start, end, value in zip(spans.start.tolist(), spans.end.tolist(), spans.value.tolist(), strict=True):
            ends[symbol][start][end] = value
    if len(text) not in ends[grammar.root][0]:
        return None

    def best(symbol: int, start: int, end: int) -> tuple[Rule, Cuts]:
        found: list[tuple[float, Rule, Cuts]] = []
        for rule in grammar.rules[symbol]:
            paths: list[tuple[float, Cuts]] = [(1.0, (start,))]
            for child in rule:
                paths = [
                    (value * more, (*places, stop))
                    for value, places in paths
                    for stop, more in ends[child][places[-1]].items()
                    if stop <= end
                ]
            found += [(value, rule, places[1:-1]) for value, places in paths if places[-1] == end]
        return max(found, key=lambda candidate: candidate[0])[1:]

    return _derivation(_descend(grammar, len(text), best))


class Nearest(NamedTuple):
    """What `nearest_valid` finds.

    substitutions: the fewest tokens to replace; None if no sentence has this length. sentence: one that is so near.
    wrong: how many symbols of each level, the terminals first and the root last, have a replaced token below them.
    """

    substitutions: int | None
    sentence: tuple[int, ...] | None
    wrong: tuple[int, ...]


def nearest_valid(grammar: Grammar, sentence: ArrayLike) -> Nearest:
    """The nearest sentence of the same length. (The distance is unique, there may be other sentences as near.)

    Unlike the rest, this looks at every span, which takes about as long for every text of the same length.
    """
    text = _tokens(grammar, sentence)
    n = len(text)
    if n not in grammar.possible_lengths:
        return Nearest(None, None, ())
    cost = _costs(grammar, text)

    def best(symbol: int, i: int, j: int) -> tuple[Rule, Cuts]:
        found: list[tuple[int, Rule, Cuts]] = []
        for rule in grammar.rules[symbol]:
            first, last = cost[rule[0]][i, i : j + 1].astype(int), cost[rule[-1]][i : j + 1, j].astype(int)
            if len(rule) == 1:
                found.append((int(first[-1]), rule, ()))
            elif len(rule) == 2:
                k = int(np.argmin(first + last))
                found.append((int(first[k] + last[k]), rule, (i + k,)))
            else:
                both = first[:, None] + cost[rule[1]][i : j + 1, i : j + 1] + last
                k, m = divmod(int(np.argmin(both)), len(last))
                found.append((int(both[k, m]), rule, (i + k, i + m)))
        return min(found, key=lambda candidate: candidate[0])[1:]

    levels = _descend(grammar, n, best)
    wrong = tuple(sum(int(cost[symbol][i, j]) > 0 for symbol, i, j in level) for level in reversed(levels))
    return Nearest(wrong[0], _derivation(levels).sentence, wrong)


def _costs(grammar: Grammar, text: Ints) -> dict[int, NDArray[Any]]:
    """cost[X][i, j]: the fewest substitutions that make an X of tokens i..j-1, n + 1 if that is impossible.

    Of the root, only row 0 is computed.
    """
    n = len(text)
    kind = np.int16 if 3 * n < 2**14 else np.int32  # half the memory is twice the speed
    cost: dict[int, NDArray[Any]] = {}

    def empty(rows: int = n + 1) -> NDArray[Any]:
        return np.full((rows, n + 1), n + 1, kind)

    def product(left: NDArray[Any], head: Rule, child: int) -> NDArray[Any]:
        result = empty(len(left))
        least, most = (sum(bound[part] for part in head) for bound in (grammar.least, grammar.most))
        for k in range(n + 1):
            rows = slice(max(k - most, 0), max(k - least + 1, 0))
            columns = slice(k + grammar.least[child], k + grammar.most[child] + 1)
            block = result[rows, columns]
            np.minimum(block, left[rows, k, None] + cost[child][k, None, columns], out=block)
        return result

    for terminal in range(1, grammar.terminals + 1):
        cost[terminal] = empty()
        cost[terminal][np.arange(n), np.arange(1, n + 1)] = text != terminal
    for level in reversed(grammar.levels[:-1]):
        found: dict[Rule, NDArray[Any]] = {}
        for symbol in level:
            cost[symbol] = empty(1 if symbol == grammar.root else n + 1)
            for rule in grammar.rules[symbol]:
                found[rule[:1]] = cost[rule[0]][: len(cost[symbol])]
                for size in range(2, len(rule) + 1):
                    head, child = rule[: size - 1], rule[size - 1]
                    if rule[:size] not in found:
                        found[rule[:size]] = product(found[head], head, child)
                np.minimum(cost[symbol], found[rule], out=cost[symbol])
    return cost


# -- texts in, trees out -----------------------------------------------------------------------------------------------


def _tokens(grammar: Grammar, sentence: ArrayLike) -> Ints:
    """A text as an array, with 0 for every token that is not a terminal."""
    array = np.asarray(sentence)
    whole = array.dtype.kind in "iu" or all(isinstance(token, int) for token in array.ravel().tolist())
    if array.ndim != 1 or not whole:
        raise ValueError(f"a sentence is a sequence of integers, not {sentence!r}")
    return np.where((array >= 1) & (array <= grammar.terminals), array, 0).astype(np.int64)


def _chunks(texts: Sequence[Ints]) -> list[Ints]:
    """Numbers of texts to be handled together."""
    portion = np.cumsum([len(text) + 1 for text in texts]) // CHUNK
    return np.split(np.arange(len(texts)), np.flatnonzero(np.diff(portion)) + 1) if texts else []


def _whole(grammar: Grammar, sentences: Sequence[ArrayLike], arithmetic: _Arithmetic) -> list[Any]:
    """The value of the root over each whole text."""
    texts = [_tokens(grammar, sentence) for sentence in sentences]
    lengths = set(grammar.possible_lengths)
    # a model that has not learnt much writes the same text again and again
    different = list({text.tobytes(): text for text in texts if len(text) in lengths}.values())
    values: dict[bytes, Any] = {}
    for chunk in _chunks(different):
        laid = _end_to_end([different[number] for number in chunk])
        root = _chart(grammar, laid, arithmetic)[grammar.root]
        number = np.searchsorted(laid.first, root.start)
        for i in np.flatnonzero(root.end == laid.last[number]):
            values[different[chunk[number[i]]].tobytes()] = root.value[i]
    return [values.get(text.tobytes(), 0) for text in texts]


def _descend(grammar: Grammar, n: int, best: Callable[[int, int, int], tuple[Rule, Cuts]]) -> list[list[Node]]:
    """The nodes of a tree over n tokens, level by level; `best` chooses the rule of a node and where it is cut."""
    levels: list[list[Node]] = [[(grammar.root, 0, n)]]
    for _ in range(grammar.depth):
        below: list[Node] = []
        for symbol, start, end in levels[-1]:
            rule, cuts = best(symbol, start, end)
            below += zip(rule, (start, *cuts), (*cuts, end), strict=True)
        levels.append(below)
    return levels


def _derivation(levels: Sequence[Sequence[Node]]) -> Derivation:
    """A tree from its nodes: a symbol's children lie within its span."""
    children = []
    for level, below in pairwise(levels):
        places = [*(start for _, start, _ in level), level[-1][2]]
        children.append(tuple(np.diff(np.searchsorted([start for _, start, _ in below], places)).tolist()))
    return Derivation(tuple(tuple(symbol for symbol, _, _ in level) for level in levels), tuple(children))
