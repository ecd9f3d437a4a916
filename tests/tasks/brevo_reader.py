"""A reader and solver of Brevo texts that knows the specification only, in the ids of the published files.

One-token names are 1..V; in longer names, a letter v of 1..V that ends the name is written V + v. 9999 begins an instance,
9997 asks, 9998 announces the answer, 9996 ends it.
"""

from collections import Counter, deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations

BOS, QUERY, ANS, EOS = 9999, 9997, 9998, 9996


@dataclass
class Instance:
    """An instance as read: what the text says, not yet whether it is right."""

    edges: list  # (parent, child), in the order of the text
    query: tuple
    answer: list
    targets: list  # the loss mask that this text ought to carry

    def needed(self):
        return needed(self.edges, self.query)


def read_instance(raw, V=None):
    """Split a whole instance into edges, query and answer; anything unexpected raises. V: letters of long names."""
    rest, targets = deque(raw), []

    def take(wanted, target):
        assert rest.popleft() == wanted
        targets.append(target)

    def name(target):
        letters = []
        while not letters or (V is not None and letters[-1] <= V):
            letters.append(rest.popleft())
            targets.append(target)
            assert 1 <= letters[-1] < 9000 and (V is None or letters[-1] <= 2 * V)
        return tuple(letters)

    take(BOS, False)
    edges, answer = [], []
    while rest[0] != QUERY:
        edges.append((name(False), name(False)))
    take(QUERY, False)
    query = name(False)
    take(ANS, True)
    while rest[0] != EOS:
        answer.append(name(True))
    take(EOS, True)
    assert not rest
    return Instance(edges, query, answer, targets)


def needed(edges, query):
    """The query and all it depends on: add parents until nothing is new."""
    found = {query}
    while True:
        more = {parent for parent, child in edges if child in found} - found
        if not more:
            return found
        found |= more


def all_answers(edges, query):
    """Every right answer, by trying each order of the needed vertices."""
    vertices = needed(edges, query)
    inside = [(parent, child) for parent, child in edges if child in vertices]
    return {
        order
        for order in permutations(sorted(vertices))
        if all(order.index(parent) < order.index(child) for parent, child in inside)
    }


def orders(edges, query):
    """The chance of each answer, drawn from the query's side: any vertex whose dependants are all taken, equally likely."""
    vertices = needed(edges, query)
    children = {v: {child for parent, child in edges if parent == v and child in vertices} for v in vertices}
    chances = Counter()

    def go(taken, chance):
        pool = [v for v in vertices if v not in taken and children[v] <= set(taken)]
        if not pool:
            chances[tuple(reversed(taken))] += chance
        for v in pool:
            go((*taken, v), chance / len(pool))

    go((), Fraction(1))
    return chances


def graphs(n, degree, leaf_rule, last_quarter):
    """Every (chance, edges, query) of the specification for n vertices 0..n-1."""
    most = min((n - 1) // degree + 1 if leaf_rule == "floor" else -((1 - n) // degree) + 1, n - 1)

    def go(i, edges, chance):
        if i == n:
            yield chance, edges
            return
        children = Counter(parent for parent, _ in edges)
        free = [j for j in range(i) if children[j] < degree]
        counts = range(1, min(degree, len(free)) + 1)
        for m in counts:
            choices = list(combinations(free, m))
            for parents in choices:
                yield from go(i + 1, (*edges, *((j, i) for j in parents)), chance / len(counts) / len(choices))

    for leaves in range(1, most + 1):
        queries = range(max(3 * n // 4, leaves), n) if last_quarter else [n - 1]
        for chance, edges in go(leaves, (), Fraction(1, most)):
            for query in queries:
                yield chance / len(queries), edges, query


def shape(edges, query):
    """What two graphs share when they differ in the names of their vertices only (and some that differ in more)."""
    parents, children = Counter(c for _, c in edges), Counter(p for p, _ in edges)
    return (
        tuple(sorted((parents[v], children[v]) for v in {*parents, *children})),
        children[query],
        len(needed(edges, query)),
    )
