"""Depo: mental reasoning depth (Part 4.1, section 2 and appendix A.1).

A directed cycle of n nodes is written as n shuffled edges; then come queries "who is k steps after q?", to be answered
at once, without written steps. The fast generator works on ragged arrays of whole batches; `depo_instance` is its slow
twin and reads like the specification.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.strict import Range, verify
from .batch import Batch, Rows, Steps, Window, accuracy, row_numbers, split_number
from .draws import U64, address, below, bits, bits_at, unit
from .metric import Metric, by_name, share
from .names import Letters, Name, NameLength, Names, shuffle, size_probabilities, sizes
from .windows import Instances, one_a_row, pieces, ragged, windows

# Streams of draws (see `draws.bits`): one for each kind of choice, so that no two choices share their randomness.
SIZE, WORD_LENGTH, WORD_LETTERS, CYCLE, EDGE_ORDER, QUERY_NODE, QUERY_HOPS = range(7)


@dataclass(frozen=True)
class Depo:
    """The task at one setting.

    N: largest number of nodes (n = N in the test split). K: largest number of hops.
    V, shortest, longest: a node's name has `shortest` to `longest` tokens over V letters; its last token is marked.
    queries: at most this many per instance. sizes: how n is drawn in training, "paper" (weight 1 / (n + sqrt N) on
    3..N) or "fixed" (n = N). hop_weight: k is drawn with weight k ** -hop_weight (the paper: 0, uniform).
    answer_token: write `<ans>` between the query and its answer. separator: write `<edge>` before each edge.
    every_hop: the test split asks for each k from 1 to K instead of the paper's powers of two and K.
    context: pack instances into windows of this many tokens; None gives one instance a row, padded on the right.

    Depo1 is N = 225, 300 or 375, K = 8, V = 50, names of 1-2 tokens; Depo2 is N = 75, 100 or 125, K = 16, V = 3 (4 in
    the paper's text), names of 5-7 tokens; both in windows of 2,048.

    >>> from physlm_lite.tasks import text_view
    >>> task = Depo(N=3, K=2, V=4, shortest=1, longest=1, queries=2, sizes="fixed")
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens <bos> 1 3 2 1 3 2 <2>     1 <ans> 2 <2>     2 <ans> 3
    labels     . . . . . . .   . <ans>     2 .   . <ans>     3 .
    loss       0 0 0 0 0 0 0   0     1     1 0   0     1     1 0
    """

    N: Annotated[int, Range(3, 2**14 - 1)] = 225
    K: Annotated[int, Range(1, 2**14)] = 8
    V: Letters = 50
    shortest: NameLength = 1
    longest: NameLength = 2
    queries: Annotated[int, Range(1, 2**10)] = 10
    sizes: Literal["paper", "fixed"] = "paper"
    hop_weight: Annotated[float, Range(-64, 64)] = 0.0
    answer_token: bool = True
    separator: bool = False
    every_hop: bool = False
    context: Window | None = None

    fingerprint = ""  # it reads no files

    def __post_init__(self) -> None:
        verify(self)
        self.names  # noqa: B018 (refuses names that make no sense)
        if self.context is not None and self.context < self.longest_instance:
            raise ValueError(
                f"a window of {self.context} tokens cannot hold one instance: at N = {self.N} it may need "
                f"{self.longest_instance}; raise context or lower N"
            )

    # -- vocabulary ----------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Names:
        """The names of the nodes."""
        return Names(self.V, self.shortest, self.longest, 4 + self.K, self.N)

    @property
    def capacity(self) -> int:
        """How many different names there are."""
        return self.names.capacity

    @property
    def longest_instance(self) -> int:
        """Upper bound on the tokens of one instance."""
        m = min(self.N, self.queries)
        return 1 + self.N * (2 * self.longest + self.separator) + m * (1 + self.answer_token + 2 * self.longest)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>` `<bos>` `<ans>` `<edge>`, the K query tokens, then letters (see `Names.letters`)."""
        return ("<pad>", "<bos>", "<ans>", "<edge>", *(f"<{k}>" for k in range(1, self.K + 1)), *self.names.letters)

    @cached_property
    def interchange(self) -> NDArray[np.int64]:
        """The raw id (as used in published files) of each dense id; padding is -1."""
        return np.array(
            [
                -1,
                9999,
                9500,
                9700,
                *(9000 + k for k in range(1, self.K + 1)),
                *range(1 if self.longest > 1 else self.V + 1, 2 * self.V + 1),
            ]
        )

    # -- distributions -------------------------------------------------------------------------------------------------

    @cached_property
    def size_probabilities(self) -> NDArray[np.float64]:
        """P(n) for n = 3..N in training: weight 1 / (n + sqrt N) (appendix A.1)."""
        return size_probabilities(self.N)

    @cached_property
    def test_hops(self) -> tuple[int, ...]:
        """The k of the test split: the powers of two up to K, and K (or all of them)."""
        if self.every_hop:
            return tuple(range(1, self.K + 1))
        powers = [2**i for i in range(self.K.bit_length()) if 2**i <= self.K]
        return tuple(sorted({*powers, self.K}))

    def _hops_table(self, test: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k to choose from, and their cumulated probabilities."""
        hops = np.array(self.test_hops) if test else np.arange(1, self.K + 1)
        weight = np.ones(len(hops)) if test else hops.astype(float) ** -self.hop_weight
        return hops, np.cumsum(weight / weight.sum())

    # -- the fast generator --------------------------------------------------------------------------------------------

    def _sizes(self, key: U64, test: bool) -> NDArray[np.int64]:
        if test or self.sizes == "fixed":
            return np.full(len(key), self.N)
        return sizes(bits(key, SIZE), self.N)

    def _instances(self, key: U64, test: bool) -> Instances:
        """Instances for these keys: flat tokens, flat targets, and the length of each."""
        n = self._sizes(key, test)
        row, node = ragged(n)
        start = (np.cumsum(n) - n)[row]
        names = self.names.different(key, n, (WORD_LENGTH, WORD_LETTERS))
        cycle = names[start + shuffle(bits_at(key, row, CYCLE, node), n)]
        order = shuffle(bits_at(key, row, EDGE_ORDER, node), n)
        follows = order + 1
        follows[follows == n[row]] = 0

        m = np.minimum(n, self.queries)
        asked, number = ragged(m)
        query = self._query_nodes(key, n, m)
        hops, cumulated = self._hops_table(test)
        chance = unit(bits_at(key, asked, QUERY_HOPS, number))
        k = hops[np.minimum(np.searchsorted(cumulated, chance, side="right"), len(hops) - 1)]
        begin = (np.cumsum(n) - n)[asked]

        # the text as items (special tokens and whole names), then as tokens
        edge, ask = 2 + self.separator, 3 + self.answer_token
        items = 1 + edge * n + ask * m
        place = np.cumsum(items) - items
        text, answer = np.empty(items.sum(), np.int64), np.zeros(items.sum(), bool)
        text[place] = 1
        at = place[row] + 1 + edge * node
        if self.separator:
            text[at] = 3
        text[at + self.separator] = cycle[start + order]
        text[at + self.separator + 1] = cycle[start + follows]
        at = (place + 1 + edge * n)[asked] + ask * number
        text[at], text[at + 1] = 3 + k, cycle[begin + query]
        if self.answer_token:
            text[at + 2], answer[at + 2] = 2, True
        text[at + ask - 1], answer[at + ask - 1] = cycle[begin + (query + k) % n[asked]], True

        return self.names.spell(text, answer, place)

    def _query_nodes(self, key: U64, n: NDArray[np.int64], m: NDArray[np.int64]) -> NDArray[np.int64]:
        """m different nodes of 0..n-1 in random order for each row, flat: draw j picks among the n - j nodes left."""
        chosen = np.empty((len(n), m.max()), np.int64)
        for j in range(m.max()):
            pick = below(bits(key, QUERY_NODE, j), np.maximum(n - j, 1))
            for earlier in np.sort(chosen[:, :j], axis=1).T:  # step over the nodes already taken, the smallest first
                pick += pick >= earlier
            chosen[:, j] = pick
        return chosen[np.arange(m.max()) < m[:, None]]

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, context] tokens packed with instances, or [rows, longest] tokens with one instance each."""
        test = bool(split_number(split))
        key = address(seed, int(test), step, row_numbers(rows))
        if self.context is None:
            return one_a_row(key, lambda keys: self._instances(keys, test), self.longest_instance)
        return windows(
            key,
            lambda keys: self._instances(keys, test),
            self.context,
            lambda keys: self._expected_length(keys, test),
            least=1 + 6 * self.shortest,
        )

    def _expected_length(self, key: U64, test: bool) -> NDArray[np.float64]:
        """About how long each instance will be: n is one cheap draw, and the mean length of n names is known."""
        n = self._sizes(key, test)
        name = self.names.draws_and_lengths[1][n]
        length: NDArray[np.float64] = 1 + n * (2 * name + self.separator)
        length += np.minimum(n, self.queries) * (1 + self.answer_token + 2 * name)
        return length

    # -- grading -------------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> dict[str, Metric]:
        def guess() -> float:
            return 1 / (self.N - 1)  # one of the other names

        hops = {k: f"k = {k} hop{'s' if k > 1 else ''}" for k in self.test_hops}
        return by_name(
            share("accuracy", "accuracy", error="standard_error", guess=guess),
            (share(f"accuracy_k.{k}", label, guess=guess) for k, label in hops.items()),
            (share(f"token_accuracy_k.{k}", f"single tokens, {label}") for k, label in hops.items()),
        )

    def read(self, tokens: list[int]) -> tuple[dict[Name, Name], list[tuple[int, Name, int, int]]]:
        """Read one instance back from its dense tokens alone (an independent reader, used for grading).

        Returns (successor of each name, queries as (k, name, first token of the answer, end of the answer)).
        Raises ValueError for a text that is not an instance.
        """
        position = 0

        def name() -> Name:
            nonlocal position
            found = self.names.read(tokens, position)
            position += len(found)
            return found

        def special(token: int) -> None:
            nonlocal position
            if position >= len(tokens) or tokens[position] != token:
                raise ValueError(f"token {position} should be {self.vocabulary[token]}, in {tokens}")
            position += 1

        special(1)
        successor: dict[Name, Name] = {}
        while position < len(tokens) and not 4 <= tokens[position] < 4 + self.K:
            if self.separator:
                special(3)
            source = name()
            successor[source] = name()
        queries = []
        while position < len(tokens):
            k = tokens[position] - 3
            if not 1 <= k <= self.K:
                raise ValueError(f"token {position} should be a query, in {tokens}")
            position += 1
            node = name()
            if self.answer_token:
                special(2)
            begin = position
            name()
            queries.append((k, node, begin, position))
        return successor, queries

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Whole-name and per-token accuracy for each k: follow the edges of the text, compare token by token.

        A query counts as right only if every token of its answer is; `<ans>` is never scored, a query cut off by the
        end of the window is skipped. Returns `accuracy`, `standard_error` and `count` (all queries), and by k, as
        {"1": ...}, `accuracy_k`, `token_accuracy_k` and `count_k`.
        """
        whole: dict[int, list[bool]] = defaultdict(list)
        single: dict[int, list[bool]] = defaultdict(list)
        instances: list[list[bool]] = []
        rows = zip(batch.tokens.tolist(), batch.document.tolist(), guesses.tolist(), strict=True)
        for tokens, document, guess in rows:
            for begin, end in pieces(document):
                piece = tokens[begin:end]
                if end == len(tokens):
                    piece = self._without_cut_query(piece)
                try:
                    successor, queries = self.read(piece)
                except ValueError:
                    if end == len(tokens):
                        continue  # the window's edge cut this instance among its edges
                    raise
                instances.append([])
                for k, node, first, last in queries:
                    answer = node
                    for _ in range(k):
                        answer = successor[answer]
                    right = [a == b for a, b in zip(answer, guess[begin + first : begin + last], strict=True)]
                    whole[k].append(all(right))
                    instances[-1].append(all(right))
                    single[k] += right
        return {
            **accuracy(instances),
            "accuracy_k": {str(k): float(np.mean(whole[k])) for k in sorted(whole)},
            "token_accuracy_k": {str(k): float(np.mean(single[k])) for k in sorted(single)},
            "count_k": {str(k): len(whole[k]) for k in sorted(whole)},
        }

    def _without_cut_query(self, piece: list[int]) -> list[int]:
        """Drop the last query when the window's edge may have cut it."""
        starts = [i for i, t in enumerate(piece) if 4 <= t < 4 + self.K]
        if not starts:
            return piece
        names = sum(t >= self.names.final for t in piece[starts[-1] :])
        return piece if names == 2 else piece[: starts[-1]]


def depo_instance(task: Depo, key: int, test: bool = False) -> tuple[list[int], list[bool]]:
    """The slow twin: one instance, written as the specification reads. Returns (tokens, targets)."""
    keys = np.array([key], np.uint64)

    def draw(stream: int, counter: int) -> U64:
        return bits(keys, stream, counter)

    def pick(stream: int, counter: int, n: int) -> int:
        return int(below(draw(stream, counter), n)[0])

    def shuffled(things: list[Any], stream: int) -> list[Any]:
        order = sorted(range(len(things)), key=lambda i: (int(draw(stream, i)[0]) >> 28, i))
        return [things[i] for i in order]

    # 1. the size
    n = task.N
    if task.sizes == "paper" and not test:
        chance, total = float(unit(draw(SIZE, 0))[0]), 0.0
        for n, probability in enumerate(task.size_probabilities, start=3):  # noqa: B007 (n is the result)
            total += probability
            if chance < total:
                break
    # 2. draw names until n are different; the order of the cycle is random
    cycle = shuffled(task.names.slowly_different(key, n, (WORD_LENGTH, WORD_LETTERS)), CYCLE)
    # 3. the edges in random order
    tokens, targets = [1], [False]

    def write(name: Name, target: bool) -> None:
        tokens.extend(name)
        targets.extend([target] * len(name))

    for i in shuffled(list(range(n)), EDGE_ORDER):
        if task.separator:
            write((3,), False)
        write(cycle[i], False)
        write(cycle[(i + 1) % n], False)
    # 4. different query nodes, each with its own k
    left = list(range(n))
    hops = list(task.test_hops) if test else list(range(1, task.K + 1))
    weights = [1.0 if test else k**-task.hop_weight for k in hops]
    for j in range(min(n, task.queries)):
        node = left.pop(pick(QUERY_NODE, j, n - j))
        chance, total = float(unit(draw(QUERY_HOPS, j))[0]), 0.0
        for k, weight in zip(hops, weights, strict=True):  # noqa: B007 (k is the result)
            total += weight / sum(weights)
            if chance < total:
                break
        write((3 + k,), False)
        write(cycle[node], False)
        if task.answer_token:
            write((2,), True)
        write(cycle[(node + k) % n], True)
    return tokens, targets
