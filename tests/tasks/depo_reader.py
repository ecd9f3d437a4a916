"""A reader and solver of Depo texts that knows the specification only, in the ids of the published files.

A letter v of 1..V that ends a name is written V + v; 9000 + k asks for the k-th successor, 9500 announces an answer,
9700 precedes an edge (optional), 9999 begins an instance.
"""

from collections import deque
from dataclasses import dataclass

Name = tuple[int, ...]


@dataclass
class Instance:
    """An instance as read: what the text says, not yet whether it is right."""

    edges: list[tuple[Name, Name]]
    queries: list[tuple[int, Name, Name]]  # k, asked node, written answer
    targets: list[bool]  # the loss mask that this text ought to carry

    def successors(self) -> dict[Name, Name]:
        return dict(self.edges)

    def solve(self, node: Name, k: int) -> Name:
        """Walk k edges from a node."""
        successor = self.successors()
        for _ in range(k):
            node = successor[node]
        return node


def read_instance(raw: list[int], V: int, answer_token: bool = True, separator: bool = False) -> Instance:
    """Split a whole instance into edges and queries; anything unexpected raises."""
    rest, targets = deque(raw), []

    def take(wanted: int, target: bool) -> None:
        assert rest.popleft() == wanted
        targets.append(target)

    def name(target: bool) -> Name:
        letters: list[int] = []
        while not letters or letters[-1] <= V:
            letters.append(rest.popleft())
            targets.append(target)
            assert 1 <= letters[-1] <= 2 * V
        return tuple(letters)

    take(9999, False)
    edges, queries = [], []
    while rest and not 9000 < rest[0] < 9500:
        if separator:
            take(9700, False)
        edges.append((name(False), name(False)))
    while rest:
        k = rest.popleft() - 9000
        targets.append(False)
        assert 1 <= k < 500
        asked = name(False)
        if answer_token:
            take(9500, True)
        queries.append((k, asked, name(True)))
    return Instance(edges, queries, targets)
