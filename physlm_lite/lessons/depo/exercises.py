"""Exercises of notebook 03: Depo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...lab.checks import Check, Exercise
from ...tasks import Depo

Edges = Sequence[tuple[str, str]]
Names = Sequence[Sequence[int]]

FIVE = [("C", "A"), ("E", "B"), ("A", "D"), ("B", "C"), ("D", "E")]
SEVEN = [("t", "q"), ("p", "u"), ("q", "v"), ("v", "s"), ("u", "r"), ("r", "t"), ("s", "p")]


def answer(edges: Edges, node: str, k: int) -> str:
    """Follow the edges k times."""
    successor = dict(edges)
    for _ in range(k):
        node = successor[node]
    return node


def _next_in_text(edges: Edges, node: str, k: int) -> str:
    sources = [a for a, _ in edges]
    return sources[(sources.index(node) + k) % len(sources)]


def size_probabilities(N: int) -> np.ndarray:
    """P(n) for n = 3..N."""
    return Depo(N=N).size_probabilities


def _normalised(weight: np.ndarray) -> np.ndarray:
    return weight / weight.sum()


def _accuracy(right: Callable[[list[bool]], float]) -> Callable[[Names, Names], float]:
    """The mean over the answers of a number made of which of their tokens are right."""

    def accuracy(answers: Names, guesses: Names) -> float:
        tokens = [[a == g for a, g in zip(*pair, strict=True)] for pair in zip(answers, guesses, strict=True)]
        return sum(map(right, tokens)) / len(tokens)

    return accuracy


def _token_accuracy(answers: Names, guesses: Names) -> float:
    return _accuracy(all)([[a] for name in answers for a in name], [[g] for name in guesses for g in name])


check = Check(
    answer=Exercise(
        answer,
        [(FIVE, "A", 1), (FIVE, "B", 2), (FIVE, "D", 4), (FIVE, "C", 5), (SEVEN, "q", 3), (SEVEN, "t", 9)],
        "easy in a loop; the model has to do it in one forward pass",
        hints={
            "backwards": "you walk from target to source; an edge x → y means that y comes after x",
            "one step short": "you take k - 1 steps; k = 1 is the direct successor",
            "one step too far": "you take k + 1 steps; k = 1 is the direct successor",
            "one step only": "you return the direct successor whatever k is",
            "the order of the text": "you count along the text; the edges are shuffled, so only successors count",
        },
        wrong={
            "backwards": lambda e, n, k: answer([(y, x) for x, y in e], n, k),
            "one step short": lambda e, n, k: answer(e, n, k - 1),
            "one step too far": lambda e, n, k: answer(e, n, k + 1),
            "one step only": lambda e, n, k: answer(e, n, 1),
            "the order of the text": _next_in_text,
        },
    ),
    size_probabilities=Exercise(
        size_probabilities,
        [(8,), (30,), (225,)],
        "small cycles are common and the largest rare: a ladder of difficulty inside the data",
        hints={
            "uniform": "all sizes come out equally likely; the weight is 1 / (n + sqrt N)",
            "no square root": "1 / n lacks the sqrt N in the denominator, so tiny cycles are far too common",
            "root of the sum": "1 / sqrt(n + N) is another formula; the root is only over N",
            "not normalised": "the weights do not sum to 1; divide by their sum",
            "starts at 1": "a cycle has at least 3 nodes: n runs over 3..N, so there are N - 2 probabilities",
        },
        wrong={
            "uniform": lambda N: np.full(N - 2, 1 / (N - 2)),
            "no square root": lambda N: _normalised(1 / np.arange(3, N + 1)),
            "root of the sum": lambda N: _normalised(1 / np.sqrt(np.arange(3, N + 1) + N)),
            "not normalised": lambda N: 1 / (np.arange(3, N + 1) + np.sqrt(N)),
            "starts at 1": lambda N: _normalised(1 / (np.arange(1, N + 1) + np.sqrt(N))),
        },
    ),
    whole_name_accuracy=Exercise(
        _accuracy(all),
        [
            ([[4, 9], [7, 8], [3, 9], [1, 8]], [[4, 9], [7, 9], [5, 8], [1, 8]]),
            ([[1, 2, 9], [3, 8]], [[1, 2, 9], [3, 9]]),
            ([[5, 6, 7], [5, 6, 8], [4, 9, 9]], [[5, 1, 1], [2, 6, 8], [4, 9, 9]]),
        ],
        "whole answers, as the paper's floors of 1/N require",
        hints={
            "token accuracy": "you count tokens; a name with one wrong token is a wrong answer",
            "first token only": "you compare only the first token of each name",
            "last token only": "you compare only the last token of each name",
            "any token": "you count a name as right if any of its tokens is; all of them must be",
        },
        wrong={
            "token accuracy": _token_accuracy,
            "first token only": _accuracy(lambda tokens: tokens[0]),
            "last token only": _accuracy(lambda tokens: tokens[-1]),
            "any token": _accuracy(any),
        },
    ),
)
