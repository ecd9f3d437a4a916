"""Brevo: mental reasoning breadth (Part 4.1, section 2 and appendix A.2).

A directed acyclic graph is written as shuffled edges "p c": c depends on p. Asked for one vertex, the answer lists all it
depends on, directly or not, each after its own parents, and the vertex itself at the end. The first name of the answer
already takes the whole order. The fast generator grows all graphs of a batch vertex by vertex; `brevo_instance` is its
slow twin and reads like the specification.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

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
SIZE, LEAVES, PARENT_COUNT, PARENT, QUERY, CLOCK, EDGE_ORDER, NAME_LENGTH, NAME_LETTERS, NAME_ORDER = range(10)

BOS, QUERY_TOKEN, ANS, EOS = range(1, 5)
SPECIALS = ("<pad>", "<bos>", "<query>", "<ans>", "<eos>")

Edge = tuple[Name, Name]  # parent, child


class Verdict(NamedTuple):
    """What a judge says about an answer: `reason` is one of `REASONS`, `detail` a sentence for people."""

    reason: str
    detail: str

    @property
    def right(self) -> bool:
        return self.reason == "correct"


REASONS = (
    "correct",
    "no end",
    "not a name",
    "unfinished name",
    "foreign vertex",
    "repeated vertex",
    "missing vertex",
    "parent after child",
)


class _Graphs(NamedTuple):
    """Graphs of many rows, grown in steps: in step k, each of the first active[k] rows gets its k-th child.

    `row`, `child` (an address) and `parents` [degree, child] stand step after step. A vertex's address is first[row] plus
    its position; `room`, for each address, is how many more children it could have, less 1.
    """

    first: Ints
    active: Ints
    row: Ints
    child: Ints
    parents: Ints
    room: Ints


@dataclass(frozen=True)
class Brevo(Packed):
    """The task at one setting.

    N: largest number of vertices (n = N in the test split). V, shortest, longest: a vertex's name has `shortest` to
    `longest` tokens over V letters, its last token is marked; by default one token of 1..N.
    sizes: how n is drawn in training, "paper" (weight 1 / (n + sqrt N) on 3..N) or "fixed" (n = N).
    query: ask for the "last" vertex, as the released generator does, or for one of the "last quarter", as the paper says.
    leaves: at most floor((n - 1) / degree) + 1 vertices have no parents by construction, as in the released generator, or
    "ceil" instead of "floor", as in the paper. degree: the most parents and the most children of a vertex.
    test_sizes: the test split draws n among these instead.
    context: pack instances into windows of this many tokens; None gives one instance a row, padded on the right.

    Brevo1 is N = 70, 90 or 110, one-token names, in windows of 1,024; Brevo2 is N = 30, 40 or 50, V = 4, names of 2-4
    tokens, in windows of 1,536. Several answers are right, so a model is judged by what it writes: `prompts`, then
    `grade_generations`.

    >>> from physlm_lite.tasks import text_view
    >>> task = Brevo(N=4, sizes="fixed")
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens <bos> 1 3 2 1 2 4 4 3 <query>     3 <ans> 2 4 1     3 <eos>
    labels     . . . . . . . . .       . <ans>     2 4 1 3 <eos>     .
    loss       0 0 0 0 0 0 0 0 0       0     1     1 1 1 1     1     0
    """

    N: Annotated[int, Range(3, 2**14 - 1)] = 110
    V: Letters | None = None
    shortest: NameLength = 1
    longest: NameLength = 1
    sizes: Literal["paper", "fixed"] = "paper"
    query: Literal["last", "last quarter"] = "last"
    leaves: Literal["floor", "ceil"] = "floor"
    degree: Annotated[int, Range(1, 16)] = 4
    test_sizes: tuple[int, ...] | None = None
    context: Window | None = None

    fingerprint = ""  # it reads no files

    def __post_init__(self) -> None:
        verify(self)
        if self.N * self.degree >= 2**14:
            raise ValueError(f"Brevo's generator handles N * degree < {2**14}, not {self.N} * {self.degree}; lower one")
        if self.V is None and self.longest > 1:
            raise ValueError(f"names of up to {self.longest} tokens need V, the number of letters (the paper: 4)")
        self.names  # noqa: B018 (refuses names that make no sense)
        if self.test_sizes is not None and not (self.test_sizes and all(3 <= n <= self.N for n in self.test_sizes)):
            raise ValueError(f"test_sizes must lie in 3..N = {self.N}, not {self.test_sizes}")
        self._verify_window(f"at N = {self.N} it may need", "N")

    # -- vocabulary ----------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Names:
        """The names of the vertices."""
        return Names(self.N if self.V is None else self.V, self.shortest, self.longest, len(SPECIALS), self.N)

    @property
    def longest_instance(self) -> int:
        """Tokens that one instance practically never exceeds.

        The longest names, all vertices in the answer, and as many edges as there can be, but at most five standard
        deviations more than the mean.
        """
        possible = sum(min(self.degree, i) for i in range(1, self.N))
        mean, variance = (self.degree + 1) / 2, (self.degree**2 - 1) / 12
        likely = math.ceil(mean * (self.N - 1) + 5 * math.sqrt(variance * (self.N - 1)))
        return 4 + self.longest * (2 * min(possible, likely) + 1 + self.N)

    @property
    def longest_answer(self) -> int:
        """The most tokens that a right answer can take, `<eos>` included."""
        return self.N * self.longest + 1

    @property
    def eos(self) -> int:
        """The token at which an answer ends."""
        return EOS

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>` `<bos>` `<query>` `<ans>` `<eos>`, then letters (see `Names.letters`)."""
        return (*SPECIALS, *self.names.letters)

    @cached_property
    def interchange(self) -> Ints:
        """The raw id (as used in published files) of each dense id; padding is -1.

        In the published files `<eos>` shares 9998 with `<ans>`; here it is 9996.
        """
        return np.array([-1, 9999, 9997, 9998, 9996, *range(1, len(self.names.letters) + 1)])

    @cached_property
    def size_probabilities(self) -> NDArray[np.float64]:
        """P(n) for n = 3..N in training: weight 1 / (n + sqrt N)."""
        return size_probabilities(self.N)

    # -- the fast generator --------------------------------------------------------------------------------------------

    def _sizes(self, key: U64, test: bool) -> Ints:
        if test and self.test_sizes is not None:
            return np.array(self.test_sizes)[below(bits(key, SIZE), len(self.test_sizes))]
        if test or self.sizes == "fixed":
            return np.full(len(key), self.N)
        return sizes(bits(key, SIZE), self.N)

    def _leaves(self, key: U64, n: Ints) -> Ints:
        """How many of the first vertices get no parents."""
        return 1 + below(bits(key, LEAVES), self._most_leaves(n))

    def _most_leaves(self, n: Ints) -> Ints:
        most = (n - 1) // self.degree if self.leaves == "floor" else -((1 - n) // self.degree)
        return np.minimum(most + 1, n - 1)

    def _grow(self, key: U64, n: Ints, leaves: Ints) -> _Graphs:
        """Random graphs with n vertices each; the rows must be sorted, those with the most children first.

        All rows take their step number k together: their k-th vertex with parents draws how many it will have, and then
        so many of the vertices before it that have room for another child. These stand in the first places of a pool; the
        place of one that is full is taken by the last of the pool.
        """
        d, steps = self.degree, n - leaves
        first = np.cumsum(n + d) - n  # `degree` dummies, then the vertices of a row
        active = np.searchsorted(-steps, -np.arange(steps[0]))  # how many rows take step k
        step, row = ragged(active)
        position = leaves[row] + step
        child = first[row] + position
        many = (bits_at(key, row, PARENT_COUNT, position) >> np.uint64(32)).astype(np.int64)
        which = self._choices(key, row, position)
        above = np.arange(1 - d, 1)[:, None]
        unused = above < -(many * d >> 32)  # choice t of d is for those with at least d - t parents

        pool = np.arange(first[-1] + n[-1])
        room = np.full(len(pool), d - 1)
        room[first + above - 1] = 2**40  # dummies
        free = leaves.copy()
        parents = np.empty((d, len(row)), np.int64)
        end = 0
        for size in active.tolist():
            here = slice(end, end := end + size)
            left, base = free[:size], first[:size]
            top = left + above
            # Floyd's sample of m places of the pool: the t-th is one of the first so many, or the last of them if taken
            place = which[:, here] * top
            place >>= 32
            skip = unused[:, here] if left.min() >= d else above < -(many[here] * np.minimum(left, d) >> 32)
            np.copyto(place, above - 1, where=skip)
            top -= 1
            choices = list(place)
            for t in range(1, d):
                taken = choices[t] == choices[0]
                for earlier in choices[1:t]:
                    taken |= choices[t] == earlier
                np.copyto(choices[t], top[t], where=taken)
            place += base
            chosen = pool.take(place)
            parents[:, here] = chosen
            more = room.take(chosen)
            more -= 1
            room[chosen] = more
            # who is full leaves the pool: the child takes the last of their places, or comes to the end
            place &= more >> 63
            hole = total = place[0]
            for other in place[1:]:
                hole, total = np.maximum(hole, other), total + other
            goes = base + left
            np.copyto(goes, hole, where=hole > 0)
            pool[goes] = child[here]
            left += hole == 0
            several = np.flatnonzero(total > hole)
            for r, places in zip(several.tolist(), place[:, several].T.tolist(), strict=True):
                for other in sorted(places)[-2::-1]:  # the last of the pool takes each of the other places
                    if other:
                        left[r] -= 1
                        pool[other] = pool[base[r] + left[r]]
        return _Graphs(first, active, row, child, parents, room)

    def _choices(self, key: U64, row: Ints, position: Ints) -> Ints:
        """[degree, vertex]: 32 random bits for each choice of a parent, two from each draw."""
        d = self.degree + self.degree % 2
        choices = np.empty((d, len(row)), np.int64)
        for half in range(d // 2):
            both = bits_at(key, row, PARENT, position * (d // 2) + half)
            choices[2 * half], choices[2 * half + 1] = both >> np.uint64(32), both & np.uint64(0xFFFFFFFF)
        return choices[: self.degree]

    def _answers(self, key: U64, n: Ints, leaves: Ints, graphs: _Graphs) -> tuple[Ints, Ints, Ints]:
        """The query of each row, and the vertices of the answers in order, flat: their rows and addresses.

        The answer is drawn from its end: a pool holds the vertices whose dependants are all taken, and any one of it is
        taken next, with equal chances. Clocks with exponential times do the same for all rows at once: each vertex of the
        pool starts one as it comes in, the first to ring is taken. They have no memory, so the chances are equal.
        """
        lowest = np.maximum(3 * n // 4, leaves) if self.query == "last quarter" else n - 1
        query = graphs.first + lowest + below(bits(key, QUERY), n - lowest)

        row, position = ragged(n)
        vertex = graphs.first[row] + position
        clock = np.zeros(len(graphs.room), np.int64)
        clock[vertex] = _clock(bits_at(key, row, CLOCK, position))
        enters = np.full(len(clock), -(2**60))  # when a vertex comes into the pool: never, so far
        enters[query] = 0
        end, lasts = len(graphs.child), clock[graphs.child]
        for size in graphs.active[::-1].tolist():
            here = slice(end - size, end)
            end -= size
            parents = graphs.parents[:, here]
            enters[parents] = np.maximum(enters[parents], enters[graphs.child[here]] + lasts[here])
        reached = enters[vertex] >= 0
        row, vertex = row[reached], vertex[reached]
        order = np.argsort((row << 44) - (enters[vertex] + clock[vertex]), kind="stable")
        return query, row, vertex[order]

    def _vertex_names(self, key: U64, n: Ints, leaves: Ints, graphs: _Graphs) -> Ints:
        """The name (an item) of the vertex at each address."""
        name = np.zeros(len(graphs.room), np.int64)
        row, position = ragged(n)
        vertex = graphs.first[row] + position
        if self.longest == 1:
            letters = np.arange(self.names.V)
            many = bits(key[:, None], NAME_ORDER, letters)  # as `shuffle` does, in place: all rows have V letters
            many >>= np.uint64(28)
            many <<= np.uint64(14)
            many |= letters.astype(np.uint64)
            many.sort(axis=1)
            letter = many.ravel()[row * self.names.V + position] & np.uint64(0x3FFF)
            name[vertex] = len(SPECIALS) + letter.astype(np.int64)
            return name
        # vertices without edges need no names
        seen = (position >= leaves[row]) | (graphs.room[vertex] < self.degree - 1)
        count = np.bincount(row[seen], minlength=len(n))
        items = self.names.different(key, count, (NAME_LENGTH, NAME_LETTERS))
        row, index = ragged(count)
        order = shuffle(bits_at(key, row, NAME_ORDER, index), count)
        name[vertex[seen]] = items[(np.cumsum(count) - count)[row] + order]
        return name

    def _instances(self, key: U64, test: bool) -> Instances:
        n = self._sizes(key, test)
        leaves = self._leaves(key, n)
        order = np.argsort(leaves - n, kind="stable")
        key, n, leaves = key[order], n[order], leaves[order]
        graphs = self._grow(key, n, leaves)
        query, answer_row, answer = self._answers(key, n, leaves, graphs)
        name = self._vertex_names(key, n, leaves, graphs)

        # the edges of each row, in random order
        real = graphs.parents >= graphs.first[graphs.row]
        parents = np.full((len(graphs.room), self.degree), -1)
        parents[graphs.child] = np.where(real, graphs.parents, -1).T
        edge = np.flatnonzero(parents >= 0)
        edges = np.bincount(graphs.row, real.sum(0), len(n)).astype(np.int64)
        row, index = ragged(edges)
        edge = edge[(np.cumsum(edges) - edges)[row] + shuffle(bits_at(key, row, EDGE_ORDER, index), edges)]

        # the text as items (special tokens and whole names), in the order in which the keys came
        answers = np.bincount(answer_row, minlength=len(n))
        items = np.empty(len(n), np.int64)
        items[order] = 2 * edges + answers + 5
        begins = np.cumsum(items) - items
        place = begins[order]
        text, target = np.empty(items.sum(), np.int64), np.zeros(items.sum(), bool)
        text[place] = BOS
        at = place[row] + 1 + 2 * index
        text[at], text[at + 1] = name[parents.ravel()[edge]], name[edge // self.degree]
        at = place + 1 + 2 * edges
        text[at], text[at + 1], text[at + 2], text[at + 3 + answers] = QUERY_TOKEN, name[query], ANS, EOS
        target[at + 2], target[at + 3 + answers] = True, True
        _, index = ragged(answers)
        at = at[answer_row] + 3 + index
        text[at], target[at] = name[answer], True
        return self.names.spell(text, target, begins)

    @property
    def _least(self) -> float:
        n = np.array([3])
        return float(self._likely_length(n, self._most_leaves(n))[0])

    def _expected(self, key: U64, test: bool) -> NDArray[np.float64]:
        n = self._sizes(key, test)
        return self._likely_length(n, self._leaves(key, n))

    def _likely_length(self, n: Ints, leaves: Ints) -> NDArray[np.float64]:
        """The mean length but for the answer, of which only its query is counted: it may be short."""
        edges = np.cumsum((1 + np.minimum(np.arange(self.N), self.degree)) / 2)  # of the vertices up to each one
        name = self.names.draws_and_lengths[1][n]
        length: NDArray[np.float64] = 4 + name * (2 + 2 * (edges[n - 1] - edges[leaves - 1]))
        return length

    # -- grading -------------------------------------------------------------------------------------------------------

    def read(self, tokens: Sequence[int]) -> tuple[list[Edge], Name, tuple[int, int]]:
        """Read one instance back from its dense tokens alone (an independent reader, used for grading).

        Returns (edges, query, (begin, end) of the answer, `<eos>` included). Raises ValueError for a text that is not an
        instance; the answer itself may be wrong, and is empty in a prompt.
        """
        place = read_special(tokens, 0, BOS, SPECIALS)
        edges: list[Edge] = []
        while place < len(tokens) and tokens[place] != QUERY_TOKEN:
            parent = self.names.read(tokens, place)
            child = self.names.read(tokens, place + len(parent))
            edges.append((parent, child))
            place += len(parent) + len(child)
        place = read_special(tokens, place, QUERY_TOKEN, SPECIALS)
        query = self.names.read(tokens, place)
        place = read_special(tokens, place + len(query), ANS, SPECIALS)
        return edges, query, (place, len(tokens))

    def judge(self, edges: Sequence[Edge], query: Name, answer: Sequence[int]) -> Verdict:
        """Is this a right answer? Judged from the edges of the prompt alone; any valid order is right.

        answer: the tokens after `<ans>`, as a model wrote them. They must be names and then `<eos>`, nothing left over;
        the names must be the query and all it depends on, each once, none before one of its parents.
        """
        tokens = list(answer)
        if EOS not in tokens:
            return Verdict("no end", "the answer does not end with <eos>")
        written = tokens[: tokens.index(EOS)]
        if len(written) + 1 < len(tokens):
            return Verdict("not a name", "the answer goes on after <eos>")
        listed, place = self.names.read_all(written)
        if place < len(written):
            if all(len(SPECIALS) <= token < self.names.final for token in written[place:]):
                return Verdict("unfinished name", "the last name is not finished")
            return Verdict("not a name", f"the answer has something else than a name after {len(listed)} names")

        parents = _parents_of(edges)
        needed = _ancestors(parents, query)
        for name in listed:
            if name not in needed:
                return Verdict("foreign vertex", f"{self.spelled(query)} does not depend on {self.spelled(name)}")
        for i, name in enumerate(listed):
            if name in listed[:i]:
                return Verdict("repeated vertex", f"{self.spelled(name)} stands there twice")
        if missing := needed.difference(listed):
            return Verdict("missing vertex", f"{self.spelled(min(missing))} is missing")
        before: set[Name] = set()
        for name in listed:
            for parent in parents[name]:
                if parent not in before:
                    return Verdict(
                        "parent after child", f"{self.spelled(name)} stands before its parent {self.spelled(parent)}"
                    )
            before.add(name)
        return Verdict("correct", "every vertex once, each after its parents")

    def spelled(self, name: Name) -> str:
        """A name as text, its letters joined by -."""
        return "-".join(self.vocabulary[token] for token in name)

    def prompts(self, batch: Batch) -> list[list[int]]:
        """The first instance of each row, up to and including `<ans>`: what a model continues."""
        return [tokens[: once_read(self, tuple(tokens))[2][0]] for tokens in _first_instances(batch)]

    @property
    def metrics(self) -> dict[str, Metric]:
        sizes = range(1, self.N + 1)
        return by_name(
            share("accuracy", "accuracy", error="standard_error"),
            (share(f"accuracy_n.{n}", f"{n} vertices") for n in sorted(self.test_sizes or {self.N})),
            (share(f"accuracy_depth.{n}", f"{n} edges from the query to a leaf") for n in sizes),
            (share(f"accuracy_length.{n}", f"{n} vertices in the answer") for n in sizes),
        )

    def grade_generations(self, batch: Batch, answers: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Judge one generated answer for each row of `batch`, all or nothing.

        answers: what a model wrote after each of `prompts(batch)`. Returns `accuracy` with its `standard_error` and
        `count`; `accuracy_depth` and `count_depth` by the distance from the query to the nearest leaf, `accuracy_length`
        and `count_length` by the number of vertices in the answer, `accuracy_n` and `count_n` by the size of the graph
        (all as {"1": ...}); and `reasons`, how often each verdict came. A text does not show vertices without edges: n
        is the smallest size of the test split that has room for those it shows.
        """
        possible = sorted(self.test_sizes or {self.N})
        by: dict[str, dict[int, list[bool]]] = {kind: defaultdict(list) for kind in ("depth", "length", "n")}
        right, reasons = [], Counter[str]()
        for tokens, answer in zip(_first_instances(batch), answers, strict=True):
            edges, query, _ = once_read(self, tuple(tokens))
            verdict = self.judge(edges, query, answer)
            reasons[verdict.reason] += 1
            right.append([verdict.right])
            shown = len({name for edge in edges for name in edge})
            by["depth"][depth(edges, query)].append(verdict.right)
            by["length"][len(_ancestors(_parents_of(edges), query))].append(verdict.right)
            by["n"][next((n for n in possible if n >= shown), shown)].append(verdict.right)
        report = accuracy(right)
        for kind, results in by.items():
            report |= by_member(kind, results)
        return {**report, "reasons": {reason: reasons[reason] for reason in REASONS if reason in reasons}}

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """How often a model would write the very answer of the text, over all whole instances.

        `teacher_forced`: share of answers of which every token, `<eos>` included, is the most likely one after the true
        tokens before it; `token_accuracy`: share of these tokens. An answer has many right orders and only one stands in
        the text, so neither is the task's score (see `grade_generations`): a model that prefers another right order gets
        nothing here.
        """
        whole, single = [], list[bool]()
        for (_, _, place), tokens, guess in laid_out(
            batch, guesses, lambda tokens, cut: once_read(self, tuple(tokens))
        ):
            if tokens[-1] != EOS:
                continue  # the window's edge cut this answer
            answer = slice(*place)
            right = [a == b for a, b in zip(tokens[answer], guess[answer], strict=True)]
            whole.append([all(right)])
            single += right
        report = accuracy(whole)
        tokens_right = float(np.mean(single)) if single else float("nan")
        return {"teacher_forced": report.pop("accuracy"), **report, "token_accuracy": tokens_right}


def _parents_of(edges: Sequence[Edge]) -> dict[Name, list[Name]]:
    """The parents of each vertex."""
    parents: dict[Name, list[Name]] = {name: [] for edge in edges for name in edge}
    for parent, child in edges:
        parents[child].append(parent)
    return parents


def _ancestors(parents: dict[Name, list[Name]], query: Name) -> set[Name]:
    """The query and everything it depends on."""
    found, border = {query}, [query]
    while border:
        border = [parent for name in border for parent in parents.get(name, []) if parent not in found]
        found.update(border)
    return found


def depth(edges: Sequence[Edge], query: Name) -> int:
    """The smallest number of edges from the query to a vertex without parents; for reports only."""
    parents = _parents_of(edges)
    distance, border = 0, {query}
    while all(parents.get(name) for name in border):
        border = {parent for name in border for parent in parents[name]}
        distance += 1
    return distance


def _first_instances(batch: Batch) -> list[list[int]]:
    """The tokens of the first instance of each row."""
    rows = zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)
    return [tokens[: document.count(0)] for tokens, document in rows]


def _clock(random: U64) -> Ints:
    """Exponential times in units of 2^-24 of their mean, at least 1."""
    return 1 + (-np.log1p(-unit(random)) * 2.0**24).astype(np.int64)


def brevo_instance(task: Brevo, key: int, test: bool = False) -> tuple[list[int], list[bool]]:
    """The slow twin: one instance, written as the specification reads. Returns (tokens, targets)."""
    draws, d = OneByOne(key), task.degree

    def choice(i: int, t: int, n: int) -> int:
        """Vertex i's choice number t among n: half of a draw."""
        both = draws.bits(PARENT, i * ((d + 1) // 2) + t // 2)
        return (both & 0xFFFFFFFF if t % 2 else both >> 32) * n >> 32

    # 1. the size
    n = task.N
    if test and task.test_sizes is not None:
        n = task.test_sizes[draws.below(len(task.test_sizes), SIZE)]
    elif task.sizes == "paper" and not test:
        n = 3 + draws.among(task.size_probabilities.tolist(), SIZE)
    # 2. the first vertices are leaves
    most = (math.floor if task.leaves == "floor" else math.ceil)((n - 1) / d) + 1
    leaves = 1 + draws.below(min(most, n - 1), LEAVES)
    # 3. every other vertex gets 1 to `degree` parents among those that have room for another child
    room, parents = [d] * n, [list[int]() for _ in range(n)]
    pool = list(range(leaves))
    for i in range(leaves, n):
        m = 1 + draws.below(min(d, len(pool)), PARENT_COUNT, i)
        places: list[int] = []
        for t in range(d - m, d):  # Floyd: m different places of the pool
            top = len(pool) - d + t
            place = choice(i, t, top + 1)
            places.append(top if place in places else place)
        parents[i] = [pool[place] for place in places]
        for parent in parents[i]:
            room[parent] -= 1
        pool.append(i)
        for place in sorted(places, reverse=True):
            if room[pool[place]] == 0:
                pool[place] = pool[-1]  # whoever is last takes its place
                pool.pop()
    # 4. the query
    lowest = max(3 * n // 4, leaves) if task.query == "last quarter" else n - 1
    query = lowest + draws.below(n - lowest, QUERY)
    # 5. all it depends on, the query first, then reversed
    needed = [query]
    for i in needed:
        needed += [parent for parent in parents[i] if parent not in needed]
    waiting = {i: sum(i in parents[j] for j in needed) for i in needed}  # dependants not yet taken
    clock = [int(_clock(np.array([draws.bits(CLOCK, i)], np.uint64))[0]) for i in range(n)]
    rings, answer = {query: clock[query]}, list[int]()
    while rings:  # the clock that rings first is as likely any of them
        taken = min(rings, key=lambda i: (rings[i], -i))
        now = rings.pop(taken)
        answer.append(taken)
        for parent in parents[taken]:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                rings[parent] = now + clock[parent]
    answer.reverse()
    # 6. names, for the vertices that have an edge
    if task.longest == 1:
        letters: list[Name] = draws.shuffled([(len(SPECIALS) + v,) for v in range(task.names.V)], NAME_ORDER)
        names = dict(enumerate(letters[:n]))
    else:
        seen = [i for i in range(n) if parents[i] or room[i] < d]
        words = task.names.slowly_different(key, len(seen), (NAME_LENGTH, NAME_LETTERS))
        names = dict(zip(seen, draws.shuffled(words, NAME_ORDER), strict=True))
    # 7. the text: all edges in random order, the query, the answer
    prompt = [BOS]
    for parent, child in draws.shuffled([(parent, i) for i in range(n) for parent in parents[i]], EDGE_ORDER):
        prompt += [*names[parent], *names[child]]
    prompt += [QUERY_TOKEN, *names[query]]
    written = [ANS, *(token for i in answer for token in names[i]), EOS]
    return prompt + written, [False] * len(prompt) + [True] * len(written)
