"""Exercises of notebook 99: what a class can tell together, and what its machine can carry."""

from __future__ import annotations

from math import ceil, comb
from statistics import fmean, median

from ...lab.checks import Check, Exercise

Results = list[float | None]


def ahead_by_luck(learners: int, ahead: int) -> float:
    """How likely it is that at least `ahead` of so many coins show heads."""
    return sum(comb(learners, k) for k in range(ahead, learners + 1)) / 2**learners


def learners_that_fit(memory: float, spare: float, server: float, kernel: float, kernels: int) -> int:
    """How many learners a machine carries; all memory in GB."""
    return max(0, int((memory - spare) // (server + kernels * kernel)))


def class_difference(plain: Results, canon: Results) -> float:
    """The mean of canon - plain over the learners who have both."""
    return fmean(b - a for a, b in zip(plain, canon, strict=True) if a is not None and b is not None)


def _some(results: Results) -> list[float]:
    return [each for each in results if each is not None]


check = Check(
    ahead_by_luck=Exercise(
        ahead_by_luck,
        [(10, 8), (30, 22), (5, 5), (30, 15), (12, 0)],
        "so twenty-two of thirty are more than luck, and eight of ten could still be",
        hints={
            "exactly so many": "you count exactly that many heads; at least as many would have surprised you, too",
            "more than that": "you leave out the number itself: at least k begins at k",
            "at most so many": "you add up from none to that many; the surprise lies at the other end",
            "both ends": "you doubled it; the question was about one direction, named before the class began",
        },
        wrong={
            "exactly so many": lambda n, k: comb(n, k) / 2**n,
            "more than that": lambda n, k: ahead_by_luck(n, k + 1),
            "at most so many": lambda n, k: 1 - ahead_by_luck(n, k + 1),
            "both ends": lambda n, k: 2 * ahead_by_luck(n, k),
        },
    ),
    learners_that_fit=Exercise(
        learners_that_fit,
        [
            (16, 2, 0.13, 0.7, 1),
            (64, 4, 0.13, 0.7, 2),
            (8, 1.5, 0.25, 0.5, 3),
            (2, 4, 0.1, 0.5, 1),
            (10, 2, 0.5, 0.75, 2),
        ],
        "and that is what `physlm classroom serve` computes before it starts anything",
        hints={
            "one kernel each": "you count one kernel a learner; each may run `kernels` of them at a time",
            "no server": "each learner's Jupyter server takes memory, too, before any kernel runs",
            "nothing spared": "you share out all the memory; the machine itself needs `spare`",
            "rounded up": "you round up, and the last learner's kernel is the one that the system ends",
            "less than none": "where not even the spare memory is there, no learner fits: the answer is 0, not below it",
        },
        wrong={
            "one kernel each": lambda memory, spare, server, kernel, kernels: learners_that_fit(
                memory, spare, server, kernel, 1
            ),
            "no server": lambda memory, spare, server, kernel, kernels: learners_that_fit(
                memory, spare, 0, kernel, kernels
            ),
            "nothing spared": lambda memory, spare, *rest: learners_that_fit(memory, 0, *rest),
            "rounded up": lambda memory, spare, server, kernel, kernels: max(
                0, ceil((memory - spare) / (server + kernels * kernel))
            ),
            "less than none": lambda memory, spare, server, kernel, kernels: int(
                (memory - spare) // (server + kernels * kernel)
            ),
        },
    ),
    class_difference=Exercise(
        class_difference,
        [
            ([0.25, 0.5, None, 0.25], [0.75, 0.5, 1.0, None]),
            ([0.5, 0.25, 0.125], [0.25, 1.0, 0.125]),
            ([None, 0.25, 0.5, 0.125], [0.5, 0.5, 0.625, 1.0]),
        ],
        "paired, and so free of what made one seed easy for both sides",
        hints={
            "not paired": "you compare the means of all plain and of all Canon results; only who has both is a fair pair",
            "missing is zero": "you take a missing result for an accuracy of 0; whose laptop fell asleep did not fail",
            "the wrong way round": "you subtract Canon from plain; the question asks how far Canon is ahead",
            "the middle one": "you take the median; it hides the few learners for whom everything changed",
        },
        wrong={
            "not paired": lambda plain, canon: fmean(_some(canon)) - fmean(_some(plain)),
            "missing is zero": lambda plain, canon: fmean(
                (b or 0) - (a or 0) for a, b in zip(plain, canon, strict=True)
            ),
            "the wrong way round": lambda plain, canon: -class_difference(plain, canon),
            "the middle one": lambda plain, canon: median(
                b - a for a, b in zip(plain, canon, strict=True) if a is not None and b is not None
            ),
        },
    ),
)
