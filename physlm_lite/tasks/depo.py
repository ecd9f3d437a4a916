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
from .batch import Batch, Window, accuracy
from .draws import U64, Ints, OneByOne, below, bits, bits_at, unit
from .metric import Metric, by_member, by_name, share
from .names import Letters, Name, NameLength, Names, read_special, shuffle, size_probabilities, sizes
from .windows import Instances, Packed, laid_out, once_read, ragged

# Streams of draws (see `draws.bits`): one for each kind of choice, so that no two choices share their randomness.
SIZE, WORD_LENGTH, WORD_LETTERS, CYCLE, EDGE_ORDER, QUERY_NODE, QUERY_HOPS = range(7)


@dataclass(frozen=True)
class Depo(Packed):
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
        self._verify_window(f"at N = {self.N} it may need", "N")

    # -- vocabulary ----------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Names:
        """The names of the nodes."""
        return Names(self.V, self.shortest, self.longest, 4 + self.K, self.N)

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
    def interchange(self) -> Ints:
        """The raw id (as used in published files) of each dense id; padding is -1."""
        hops = range(9001, 9001 + self.K)
        return np.array([-1, 9999, 9500, 9700, *hops, *range(1 if self.longest > 1 else self.V + 1, 2 * self.V + 1)])

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

    # -- the fast generator --------------------------------------------------------------------------------------------

    def _sizes(self, key: U64, test: bool) -> Ints:
        if test or self.sizes == "fixed":
            return np.full(len(key), self.N)
        return sizes(bits(key, SIZE), self.N)

    def _instances(self, key: U64, test: bool) -> Instances:
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
        hops = np.array(self.test_hops) if test else np.arange(1, self.K + 1)
        weight = np.ones(len(hops)) if test else hops.astype(float) ** -self.hop_weight
        chance = unit(bits_at(key, asked, QUERY_HOPS, number))
        k = hops[np.minimum(np.searchsorted(np.cumsum(weight / weight.sum()), chance, side="right"), len(hops) - 1)]
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

    def _query_nodes(self, key: U64, n: Ints, m: Ints) -> Ints:
        """m different nodes of 0..n-1 in random order for each row, flat: draw j picks among the n - j nodes left."""
        chosen = np.empty((len(n), m.max()), np.int64)
        for j in range(m.max()):
            pick = below(bits(key, QUERY_NODE, j), np.maximum(n - j, 1))
            for earlier in np.sort(chosen[:, :j], axis=1).T:  # step over the nodes already taken, the smallest first
                pick += pick >= earlier
            chosen[:, j] = pick
        return chosen[np.arange(m.max()) < m[:, None]]

    @property
    def _least(self) -> float:
        return 1 + 6 * self.shortest

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        """n is one cheap draw, and the mean length of n names is known."""
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

    def read(self, tokens: list[int], cut: bool = False) -> tuple[dict[Name, Name], list[tuple[int, Name, int, int]]]:
        """Read one instance back from its dense tokens alone (an independent reader, used for grading).

        Returns (successor of each name, queries as (k, name, first token of the answer, end of the answer)).
        Raises ValueError for a text that is not an instance. cut: its last query may be unfinished, and is left out.
        """
        place = read_special(tokens, 0, 1, self.vocabulary)
        successor: dict[Name, Name] = {}
        while place < len(tokens) and not 4 <= tokens[place] < 4 + self.K:
            if self.separator:
                place = read_special(tokens, place, 3, self.vocabulary)
            source = self.names.read(tokens, place)
            successor[source] = self.names.read(tokens, place + len(source))
            place += len(source) + len(successor[source])
        queries = []
        if cut:
            start = max((i for i, token in enumerate(tokens) if 4 <= token < 4 + self.K), default=len(tokens))
            if sum(token >= self.names.final for token in tokens[start:]) != 2:
                tokens = tokens[:start]
        while place < len(tokens):
            k = tokens[place] - 3
            if not 1 <= k <= self.K:
                raise ValueError(f"token {place} should be a query, in {tokens}")
            node = self.names.read(tokens, place + 1)
            place += 1 + len(node)
            if self.answer_token:
                place = read_special(tokens, place, 2, self.vocabulary)
            end = place + len(self.names.read(tokens, place))
            queries.append((k, node, place, end))
            place = end
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
        for (successor, queries), _, guess in laid_out(
            batch, guesses, lambda tokens, cut: once_read(self, tuple(tokens), cut)
        ):
            instances.append([])
            for k, node, first, last in queries:
                answer = node
                for _ in range(k):
                    answer = successor[answer]
                right = [a == b for a, b in zip(answer, guess[first:last], strict=True)]
                whole[k].append(all(right))
                instances[-1].append(all(right))
                single[k] += right
        tokens_right = {str(k): float(np.mean(single[k])) for k in sorted(single)}
        return {**accuracy(instances), **by_member("k", whole), "token_accuracy_k": tokens_right}


def depo_instance(task: Depo, key: int, test: bool = False) -> tuple[list[int], list[bool]]:
    """The slow twin: one instance, written as the specification reads. Returns (tokens, targets)."""
    draws = OneByOne(key)
    # 1. the size
    random_size = task.sizes == "paper" and not test
    n = 3 + draws.among(task.size_probabilities.tolist(), SIZE) if random_size else task.N
    # 2. draw names until n are different; the order of the cycle is random
    cycle = draws.shuffled(task.names.slowly_different(key, n, (WORD_LENGTH, WORD_LETTERS)), CYCLE)
    # 3. the edges in random order
    tokens, targets = [1], [False]

    def write(name: Name, target: bool = False) -> None:
        tokens.extend(name)
        targets.extend([target] * len(name))

    for i in draws.shuffled(range(n), EDGE_ORDER):
        if task.separator:
            write((3,))
        write(cycle[i])
        write(cycle[(i + 1) % n])
    # 4. different query nodes, each with its own k
    left = list(range(n))
    hops = task.test_hops if test else range(1, task.K + 1)
    weights = [1.0 if test else k**-task.hop_weight for k in hops]
    chances = [weight / sum(weights) for weight in weights]
    for j in range(min(n, task.queries)):
        node = left.pop(draws.below(n - j, QUERY_NODE, j))
        k = hops[draws.among(chances, QUERY_HOPS, j)]
        write((3 + k,))
        write(cycle[node])
        if task.answer_token:
            write((2,), True)
        write(cycle[(node + k) % n], True)
    return tokens, targets
