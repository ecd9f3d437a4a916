"""Exercises of notebook 03: Depo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...lab.checks import Check, Exercise, Mistake
from ...tasks import Depo

Edges = Sequence[tuple[str, str]]


def answer(edges: Edges, node: str, k: int) -> str:
    """Follow the edges k times."""
    successor = dict(edges)
    for _ in range(k):
        node = successor[node]
    return node


def _answer_cases() -> list[tuple[Edges, str, int]]:
    edges = [("C", "A"), ("E", "B"), ("A", "D"), ("B", "C"), ("D", "E")]
    seven = [("t", "q"), ("p", "u"), ("q", "v"), ("v", "s"), ("u", "r"), ("r", "t"), ("s", "p")]
    return [(edges, "A", 1), (edges, "B", 2), (edges, "D", 4), (edges, "C", 5), (seven, "q", 3), (seven, "t", 9)]


def _walk(edges: Edges, node: str, k: int, backwards: bool = False) -> str:
    return answer([(b, a) for a, b in edges] if backwards else edges, node, k)


def _next_in_text(edges: Edges, node: str, k: int) -> str:
    sources = [a for a, _ in edges]
    return sources[(sources.index(node) + k) % len(sources)]


def size_probabilities(N: int) -> np.ndarray:
    """P(n) for n = 3..N."""
    return Depo(N=N).size_probabilities


def _normalised(weight: np.ndarray) -> np.ndarray:
    return weight / weight.sum()


def whole_name_accuracy(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    """Share of the answers whose every token is right."""
    return sum(list(a) == list(g) for a, g in zip(answers, guesses, strict=True)) / len(answers)


def _accuracy_cases() -> list[tuple[list[list[int]], list[list[int]]]]:
    return [
        ([[4, 9], [7, 8], [3, 9], [1, 8]], [[4, 9], [7, 9], [5, 8], [1, 8]]),
        ([[1, 2, 9], [3, 8]], [[1, 2, 9], [3, 9]]),
        ([[5, 6, 7], [5, 6, 8], [4, 9, 9]], [[5, 1, 1], [2, 6, 8], [4, 9, 9]]),
    ]


def _token_accuracy(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    pairs = [a == g for x, y in zip(answers, guesses, strict=True) for a, g in zip(x, y, strict=True)]
    return sum(pairs) / len(pairs)


def _position_accuracy(position: int) -> Callable[[Any, Any], float]:
    return lambda answers, guesses: (
        sum(a[position] == g[position] for a, g in zip(answers, guesses, strict=True)) / len(answers)
    )


def _any_token(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    return sum(any(a == g for a, g in zip(x, y, strict=True)) for x, y in zip(answers, guesses, strict=True)) / len(
        answers
    )


check = Check(
    Exercise(
        "answer",
        answer,
        {
            "backwards": Mistake(
                "you walk from target to source; an edge x → y means that y comes after x",
                lambda e, n, k: _walk(e, n, k, backwards=True),
            ),
            "one step short": Mistake(
                "you take k - 1 steps; k = 1 is the direct successor", lambda e, n, k: _walk(e, n, k - 1)
            ),
            "one step too far": Mistake(
                "you take k + 1 steps; k = 1 is the direct successor", lambda e, n, k: _walk(e, n, k + 1)
            ),
            "one step only": Mistake("you return the direct successor whatever k is", lambda e, n, k: _walk(e, n, 1)),
            "the order of the text": Mistake(
                "you count along the text; the edges are shuffled, so only the successor relation counts",
                _next_in_text,
            ),
        },
        _answer_cases,
        "easy in a loop; the model has to do it in one forward pass",
    ),
    Exercise(
        "size_probabilities",
        size_probabilities,
        {
            "uniform": Mistake(
                "all sizes come out equally likely; the weight is 1 / (n + sqrt N)",
                lambda N: np.full(N - 2, 1 / (N - 2)),
            ),
            "no square root": Mistake(
                "1 / n lacks the sqrt N in the denominator, so tiny cycles are far too common",
                lambda N: _normalised(1 / np.arange(3, N + 1)),
            ),
            "root of the sum": Mistake(
                "1 / sqrt(n + N) is another formula; the root is only over N",
                lambda N: _normalised(1 / np.sqrt(np.arange(3, N + 1) + N)),
            ),
            "not normalised": Mistake(
                "the weights do not sum to 1; divide by their sum", lambda N: 1 / (np.arange(3, N + 1) + np.sqrt(N))
            ),
            "starts at 1": Mistake(
                "a cycle has at least 3 nodes: n runs over 3..N, so there are N - 2 probabilities",
                lambda N: _normalised(1 / (np.arange(1, N + 1) + np.sqrt(N))),
            ),
        },
        lambda: [(8,), (30,), (225,)],
        "small cycles are common and the largest rare: a ladder of difficulty inside the data",
    ),
    Exercise(
        "whole_name_accuracy",
        whole_name_accuracy,
        {
            "token accuracy": Mistake(
                "you count tokens; a name with one wrong token is a wrong answer", _token_accuracy
            ),
            "first token only": Mistake("you compare only the first token of each name", _position_accuracy(0)),
            "last token only": Mistake("you compare only the last token of each name", _position_accuracy(-1)),
            "any token": Mistake("you count a name as right if any of its tokens is; all of them must be", _any_token),
        },
        _accuracy_cases,
        "whole answers, as the paper's floors of 1/N require",
    ),
)
