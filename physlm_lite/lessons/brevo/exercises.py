"""Exercises of notebook 04."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, prod

from ...lab.checks import Check, Exercise, Mistake
from .figures import allowed_next, count_orders, distances, layers, parents_of

Edges = Sequence[tuple[str, str]]

# Written as "parent child", as in the text of the task: a diamond with a tail and a side branch, and a wider graph.
DIAMOND = [("b", "d"), ("a", "c"), ("d", "e"), ("a", "b"), ("c", "d"), ("b", "f"), ("g", "f")]
WIDE = [("p", "s"), ("q", "s"), ("r", "t"), ("s", "v"), ("t", "v"), ("q", "u"), ("p", "v"), ("u", "w")]


def _reversed(edges: Edges) -> Edges:
    return [(child, parent) for parent, child in edges]


# -- all that a vertex depends on --------------------------------------------------------------------------------------


def needed(edges: Edges, query: str) -> set[str]:
    """The query and all that it depends on, directly or not."""
    return set(distances(parents_of(edges), query))


def _needed_cases() -> Sequence[tuple[Edges, str]]:
    return [(DIAMOND, "e"), (DIAMOND, "f"), (DIAMOND, "c"), (WIDE, "v"), (WIDE, "w"), (WIDE, "t")]


# -- is this answer right? ---------------------------------------------------------------------------------------------


def is_right(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """All that the query depends on, each once, each after its parents."""
    parents = parents_of(edges)
    ordered = all(parents[vertex] <= set(answer[:i]) for i, vertex in enumerate(answer))
    return len(answer) == len(set(answer)) and set(answer) == needed(edges, query) and ordered


def _judge_cases() -> Sequence[tuple[Edges, str, Sequence[str]]]:
    diamond = ["a b c d e", "a c b d e", "a b d c e", "b a c d e", "a b c d", "a b d e", "a a b c d e", "a b c d e e",
               "a g b c d e", "a b c d e f", "e d c b a", "e d b c a", "c b a d e"]  # fmt: skip
    wide = ["p q s r t v", "r t q p s v", "q p r t s v", "p q s r t u v", "p q r s v", "v t r s q p", "p q s s r t v"]
    return [(DIAMOND, "e", text.split()) for text in diamond] + [(WIDE, "v", text.split()) for text in wide]


def _set_only(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    return len(answer) == len(set(answer)) and set(answer) == needed(edges, query)


def _repeats_pass(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    return is_right(edges, query, list(dict.fromkeys(answer)))


def _foreign_pass(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    return is_right(edges, query, [vertex for vertex in answer if vertex in needed(edges, query)])


def _missing_pass(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """Only the order of what is listed counts."""
    parents, listed = parents_of(edges), set(answer)
    ordered = all(parents[vertex] & listed <= set(answer[:i]) for i, vertex in enumerate(answer))
    return len(answer) == len(listed) and listed <= needed(edges, query) and ordered


def _one_order(edges: Edges, query: str, answer: Sequence[str]) -> bool:
    """Right only in alphabetical order where there is a choice."""
    parents, order = parents_of(edges), list[str]()
    goal = needed(edges, query)
    while allowed := allowed_next(parents, goal, order):
        order.append(min(allowed))
    return list(answer) == order


# -- the chance of a random order --------------------------------------------------------------------------------------


def order_chance(edges: Edges, query: str) -> float:
    """The chance that all that must be listed, in random order, is a right answer."""
    return count_orders(parents_of(edges), query) / factorial(len(needed(edges, query)))


def _layer_by_layer(edges: Edges, query: str) -> float:
    goal = needed(edges, query)
    layer = [number for vertex, number in layers(parents_of(edges)).items() if vertex in goal]
    return prod(factorial(layer.count(number)) for number in set(layer)) / factorial(len(goal))


def _whole_graph(edges: Edges, query: str) -> float:
    everything = [*edges, *((vertex, "end") for vertex in parents_of(edges))]
    return count_orders(parents_of(everything), "end") / factorial(len(parents_of(edges)))


check = Check(
    Exercise(
        "needed",
        needed,
        {
            "descendants": Mistake(
                "you walk along the arrows, to what depends on the query; walk against them, from child to parent",
                lambda e, q: needed(_reversed(e), q),
            ),
            "direct parents only": Mistake(
                "you stop after one step; the parents' parents are needed, too, and so on",
                lambda e, q: {q} | parents_of(e)[q],
            ),
            "the query itself": Mistake(
                "the query is missing: it stands at the end of every answer", lambda e, q: needed(e, q) - {q}
            ),
            "the whole graph": Mistake(
                "you list every vertex of the text; most graphs have some that the query does not depend on",
                lambda e, q: set(parents_of(e)),
            ),
        },
        _needed_cases,
        "this is the set that the answer must list: no more, no less",
    ),
    Exercise(
        "is_right",
        is_right,
        {
            "any order": Mistake(
                "you compare sets, so every order passes; each vertex must stand after all its parents", _set_only
            ),
            "repeated vertices": Mistake("you accept a vertex that is listed twice", _repeats_pass),
            "foreign vertices": Mistake(
                "you accept vertices that the query does not depend on; the answer must list nothing else",
                _foreign_pass,
            ),
            "missing vertices": Mistake(
                "you check only the order of what is listed; all that the query depends on must be there",
                _missing_pass,
            ),
            "one order only": Mistake(
                "you accept one particular order; any order is right in which parents come first", _one_order
            ),
            "back to front": Mistake(
                "you want the query first; the answer begins with vertices without parents and ends with the query",
                lambda e, q, a: is_right(e, q, list(a)[::-1]),
            ),
        },
        _judge_cases,
        "all or nothing, and any valid order: the paper's rule",
    ),
    Exercise(
        "order_chance",
        order_chance,
        {
            "one right order": Mistake(
                "you take one order to be right; count all in which every vertex stands after its parents",
                lambda e, q: 1 / factorial(len(needed(e, q))),
            ),
            "layer by layer": Mistake(
                "you shuffle inside the layers only; a vertex may come before one of a lower layer that it does not "
                "depend on",
                _layer_by_layer,
            ),
            "the whole graph": Mistake(
                "you order every vertex of the text; only those that the query depends on are listed", _whole_graph
            ),
            "the count": Mistake(
                "you return the number of right orders; divide by the number of all orders of these vertices",
                lambda e, q: float(count_orders(parents_of(e), q)),
            ),
        },
        _needed_cases,
        "even knowing the right set, a shuffled answer is almost never right",
    ),
)
