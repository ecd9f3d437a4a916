"""The rows of the next step, drawn while the present one is taken.

A batch is a pure function of its step, so nothing can be drawn too early, too often or in the wrong order. On a CPU, where
drawing and training share the cores, nothing is gained, and the clock of a run would miss it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Calls `draw` for a step, and then in a thread for the one after it, up to `last`; any step may be asked for next."""

    def __init__(self, draw: Callable[[int], T], last: int) -> None:
        self.draw, self.last = draw, last
        self._thread = ThreadPoolExecutor(1, "rows")
        self._next: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        waiting, self._next = self._next, None
        found = waiting[1].result() if waiting is not None and waiting[0] == step else self.draw(step)
        if step < self.last:
            self._next = step + 1, self._thread.submit(self.draw, step + 1)
        return found
