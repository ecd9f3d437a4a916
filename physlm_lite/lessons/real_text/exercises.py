"""Exercises of notebook 14. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from ...lab.checks import Check, Exercise

TEXT = "in the beginning was a small text".split()
FACTS = ("[Ada 1950]", "[Ben 1960]", "[Cora 1970]")
TOLD = (
    "Ada was born in 1961.",
    "Ben is as old as Ada.",
    "Cora was born in 1999.",
    "Dan is as old as Ben.",
    "Edith is as old as Cora.",
)


def hide(
    words: Sequence[str], facts: Sequence[str], places: Sequence[int], moved: Callable[[int], int] = lambda n: n
) -> list[str]:
    """The words with fact i put before word number places[i]; the places rise."""
    hidden = list(words)
    for number, (fact, place) in enumerate(zip(facts, places, strict=True)):
        hidden.insert(place + moved(number), fact)
    return hidden


def find_year(told: Sequence[str], name: str, most: int = 100) -> tuple[int, str]:
    """By how many sentences a year is found, and the year."""
    for hops in range(1, most + 1):
        for sentence in told:
            born = re.fullmatch(rf"{name} was born in (\d+)\.", sentence)
            same = re.fullmatch(rf"{name} is as old as (\w+)\.", sentence)
            if born:
                return hops, born[1]
            if same:
                name = same[1]
                break
    return most, "?"


def new_angles(
    coordinates: int,
    theta: float,
    trained: int,
    asked: int,
    turn: float = 2 * math.pi,
    exponent: Callable[[int, int], float] = lambda pair, count: 2 * pair / count,
) -> list[int]:
    """The pairs of coordinates that stand, at some distance below `asked`, at an angle which no distance below `trained` has."""
    pairs = range(coordinates // 2)
    speeds = [theta ** -exponent(pair, coordinates) for pair in pairs]
    return [pair for pair in pairs if speeds[pair] * (trained - 1) < turn and asked > trained]


def reach(found: Mapping[int, float], floor: float, share: float = 0.5, skip: bool = False) -> int:
    """The largest length up to which at least half of what was found above the floor at the first length is still found."""
    lengths = sorted(found)
    bar = floor + share * (found[lengths[0]] - floor)
    reached = 0
    for length in lengths:
        if found[length] >= bar:
            reached = length
        elif not skip:
            break
    return reached


check = Check(
    hide=Exercise(
        hide,
        [(TEXT, FACTS[:1], [3]), (TEXT, FACTS, [1, 4, 7]), (TEXT, FACTS[:2], [0, 0]), (TEXT, FACTS[:2], [2, 7])],
        "so a probe is made of any text: only the places are drawn, and the facts stay in their order",
        hints={
            "the places moved": "each fact that you put in moves all later words by one; add how many were put in before",
            "one too far": "the fact belongs before word number `place`; yours stands behind it",
            "in the words' place": "you overwrite words of the text; put the fact between them",
            "at the end": "the facts stand below the text; they are to be hidden in it",
        },
        wrong={
            "the places moved": lambda w, f, p: hide(w, f, p, moved=lambda n: 0),
            "one too far": lambda w, f, p: hide(w, f, p, moved=lambda n: n + 1),
            "in the words' place": lambda w, f, p: [
                dict(zip(p, f, strict=True)).get(i, word) for i, word in enumerate(w)
            ],
            "at the end": lambda w, f, p: [*w, *f],
        },
    ),
    find_year=Exercise(
        find_year,
        [(TOLD, "Ada"), (TOLD, "Ben"), (TOLD, "Dan"), (TOLD[::-1], "Edith"), (TOLD[::-1], "Dan")],
        "five lines of code follow links that no model of up to 3 billion parameters in the tables follows reliably",
        hints={
            "one hop": "you stop after one sentence; somebody as old as Ada needs Ada's sentence next",
            "two hops": "Dan is as old as Ben, and Ben as old as Ada: follow the links as long as there are any",
            "the first year": "you name the first year of the text, whoever is asked about",
            "no count": "the number of sentences that were needed comes first, then the year",
            "from zero": "the sentence with the year counts, too: Ada's year is found by one",
        },
        wrong={
            "one hop": lambda t, n: find_year(t, n, most=1),
            "two hops": lambda t, n: find_year(t, n, most=2),
            "the first year": lambda t, n: (1, next(s[-5:-1] for s in t if s[-2].isdigit())),
            "no count": lambda t, n: find_year(t, n)[1],
            "from zero": lambda t, n: (find_year(t, n)[0] - 1, find_year(t, n)[1]),
        },
    ),
    new_angles=Exercise(
        new_angles,
        [
            (8, 10_000.0, 128, 512),
            (16, 10_000.0, 128, 256),
            (16, 100.0, 1000, 4000),
            (64, 10_000.0, 4096, 5000),
            (8, 10_000.0, 64, 64),
        ],
        "the fast pairs have been everywhere; the slow ones come to places that they have never seen: these are what a longer "
        "text breaks",
        hints={
            "all pairs": "a fast pair has been at every angle many times; only those that never finished a turn are new",
            "the fast ones": "it is the other way round: pairs that turned once have seen every angle",
            "a turn is 2π": "you count radians as turns: a whole turn is 2π of them",
            "half the exponent": "pair i turns with theta to the power of -2i / coordinates; the 2 is missing",
            "even when nothing is longer": "if the asked length is not beyond the trained one, no angle is new",
        },
        wrong={
            "all pairs": lambda c, t, n, a: list(range(c // 2)) if a > n else [],
            "the fast ones": lambda c, t, n, a: [i for i in range(c // 2) if i not in new_angles(c, t, n, n + 1)],
            "a turn is 2π": lambda c, t, n, a: new_angles(c, t, n, a, turn=1.0),
            "half the exponent": lambda c, t, n, a: new_angles(c, t, n, a, exponent=lambda i, c: i / c),
            "even when nothing is longer": lambda c, t, n, a: new_angles(c, t, n, n + 1),
        },
    ),
    reach=Exercise(
        reach,
        [
            ({128: 1.0, 256: 0.8, 512: 0.3}, 0.125),
            ({128: 0.9, 256: 0.3, 512: 0.6}, 0.125),
            ({128: 0.5, 256: 0.3, 512: 0.26}, 0.125),
            ({128: 0.4, 256: 0.35, 512: 0.1}, 0.125),
            ({512: 0.95, 128: 1.0, 256: 0.97}, 0.125),
            ({128: 0.75, 256: 0.5, 512: 0.25}, 0.25),
        ],
        "with the floor taken off, sides that start at different heights can be compared",
        hints={
            "the floor": "guessing is not finding: the bar is half of the way from the *floor* to the first score",
            "a fixed bar": "you take one half as the bar, whatever was found at the first length",
            "a lucky return": "once it has fallen below the bar, a later length does not count any more",
            "unsorted": "the lengths of a dictionary stand in the order in which they were written; sort them",
        },
        wrong={
            "the floor": lambda f, g: reach(f, 0.0),
            "a fixed bar": lambda f, g: reach({0: 1.0, **f}, 0.0),
            "a lucky return": lambda f, g: reach(f, g, skip=True),
            "unsorted": lambda f, g: _in_the_order_written(f, g),
        },
    ),
)


def _in_the_order_written(found: Mapping[int, float], floor: float) -> int:
    lengths = list(found)
    bar, reached = (floor + found[lengths[0]]) / 2, 0
    for length in lengths:
        if found[length] < bar:
            break
        reached = length
    return reached
