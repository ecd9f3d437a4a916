"""Exercises of notebook 04."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import factorial, prod

from ...lab.checks import Check, Exercise
from .figures import allowed_next, count_orders, distances, layers, parents_of

Edges = Sequence[tuple[str, str]]

# Written as "parent child", as in the text of the task: a diamond with a tail and a side branch, and a wider graph.
DIAMOND = [("b", "d"), ("a", "c"), ("d", "e"), ("a", "b"), ("c", "d"), ("b", "f"), ("g", "f")]
WIDE = [("p", "s"), ("q", "s"), ("r", "t"), ("s", "v"), ("t", "v"), ("q", "u"), ("p", "v"), ("u", "w")]
QUERIES = [(DIAMOND, "e"), (DIAMOND, "f"), (DIAMOND, "c"), (WIDE, "v"), (WIDE, "w"), (WIDE, "t")]
DIAMOND_ANSWERS = ["a b c d e", "a c b d e", "a b d c e", "b a c d e", "a b c d", "a b d e", "a a b c d e", "a b c d e e",
                   "a g b c d e", "a b c d e f", "e d c b a", "e d b c a", "c b a d e"]  # fmt: skip
WIDE_ANSWERS = [
    "p q s r t v",
    "r t q p s v",
    "q p r t s v",
    "p q s r t u v",
    "p q r s v",
    "v t r s q p",
    "p q s s r t v",
]


def needed(edges: Edges, query: str) -> set[str]:
    """The query and all that it depends on, directly or not."""
    return set(distances(parents_of(edges), query))


def is_right(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """All that the query depends on, each once, each after its parents."""
    parents = parents_of(edges)
    ordered = all(parents[vertex] <= set(answer[:i]) for i, vertex in enumerate(answer))
    return sorted(answer) == sorted(needed(edges, query)) and ordered


def _missing_pass(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """Only the order of what is listed counts."""
    parents, listed = parents_of(edges), set(answer)
    ordered = all(parents[vertex] & listed <= set(answer[:i]) for i, vertex in enumerate(answer))
    return len(answer) == len(listed) and listed <= needed(edges, query) and ordered


def _one_order(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """Right only in alphabetical order where there is a choice."""
    parents, goal, order = parents_of(edges), needed(edges, query), list[str]()
    while allowed := allowed_next(parents, goal, order):
        order.append(min(allowed))
    return list(answer) == order


def order_chance(edges: Edges, query: str) -> float:
    """The chance that all that must be listed, in random order, is a right answer."""
    return count_orders(parents_of(edges), query) / factorial(len(needed(edges, query)))


def _layer_by_layer(edges: Edges, query: str) -> float:
    layer, goal = layers(parents_of(edges)), needed(edges, query)
    return prod(map(factorial, Counter(layer[vertex] for vertex in goal).values())) / factorial(len(goal))


def _whole_graph(edges: Edges, query: str) -> float:
    everything = [*edges, *((vertex, "end") for vertex in parents_of(edges))]
    return count_orders(parents_of(everything), "end") / factorial(len(parents_of(edges)))


check = Check(
    needed=Exercise(
        needed,
        QUERIES,
        "this is the set that the answer must list: no more, no less",
        hints={
            "descendants": "you walk along the arrows, to what depends on the query; walk against them, to the parents",
            "direct parents only": "you stop after one step; the parents' parents are needed, too, and so on",
            "the query itself": "the query is missing: it stands at the end of every answer",
            "the whole graph": "you list every vertex of the text; most graphs have some that the query does not "
            "depend on",
        },
        wrong={
            "descendants": lambda e, q: needed([(child, parent) for parent, child in e], q),
            "direct parents only": lambda e, q: {q} | parents_of(e)[q],
            "the query itself": lambda e, q: needed(e, q) - {q},
            "the whole graph": lambda e, q: set(parents_of(e)),
        },
    ),
    is_right=Exercise(
        is_right,
        [(DIAMOND, "e", answer.split()) for answer in DIAMOND_ANSWERS]
        + [(WIDE, "v", answer.split()) for answer in WIDE_ANSWERS],
        "all or nothing, and any valid order: the paper's rule",
        hints={
            "any order": "you compare sets, so every order passes; each vertex must stand after all its parents",
            "repeated vertices": "you accept a vertex that is listed twice",
            "foreign vertices": "you accept vertices that the query does not depend on; list nothing else",
            "missing vertices": "you check only the order of what is listed; all that the query needs must be there",
            "one order only": "you accept one particular order; any order is right in which parents come first",
            "back to front": "you want the query first; the answer begins with vertices without parents and ends with "
            "the query",
        },
        wrong={
            "any order": lambda e, q, a: sorted(a) == sorted(needed(e, q)),
            "repeated vertices": lambda e, q, a: is_right(e, q, list(dict.fromkeys(a))),
            "foreign vertices": lambda e, q, a: is_right(e, q, [vertex for vertex in a if vertex in needed(e, q)]),
            "missing vertices": _missing_pass,
            "one order only": _one_order,
            "back to front": lambda e, q, a: is_right(e, q, list(a)[::-1]),
        },
    ),
    order_chance=Exercise(
        order_chance,
        QUERIES,
        "even knowing the right set, a shuffled answer is almost never right",
        hints={
            "one right order": "you take one order to be right; count all in which vertices stand after their parents",
            "layer by layer": "you shuffle inside the layers only; a vertex may come before one of a lower layer that "
            "it does not depend on",
            "the whole graph": "you order every vertex of the text; only those that the query depends on are listed",
            "the count": "you return the number of right orders; divide by the number of all orders of these vertices",
        },
        wrong={
            "one right order": lambda e, q: 1 / factorial(len(needed(e, q))),
            "layer by layer": _layer_by_layer,
            "the whole graph": _whole_graph,
            "the count": lambda e, q: float(count_orders(parents_of(e), q)),
        },
    ),
)
