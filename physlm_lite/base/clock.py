"""How speed is measured here: what is compared takes turns, and only ratios within a turn are believed.

Seconds are those of the processor, on one thread, so that others who use the machine do less harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Action = Callable[[], object]


def interleaved(actions: Mapping[str, Action], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action in each round; all actions take turns, so that a slow moment of the machine hits all alike."""
    for action in actions.values():
        action()
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            begin = time.process_time()
            action()
            seconds[name].append(time.process_time() - begin)
    return seconds


def ratio(times: Sequence[float], to: Sequence[float], digits: int = 2) -> float:
    """The median over the rounds of how many times as long the first took as the second."""
    return round(median(a / b for a, b in zip(times, to, strict=True)), digits)


def milliseconds(times: Sequence[float], digits: int = 1) -> float:
    """The median in milliseconds."""
    return round(1e3 * median(times), digits)
