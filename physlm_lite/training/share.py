"""Which rows of a step a process takes: all of them, or those of one rank among several, in so many turns.

Rows are a pure function of (seed, step), so nobody sends them: each rank draws its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist


class OtherRank(ValueError):
    """Another rank cannot go on, and says why."""


@dataclass(frozen=True)
class Share:
    """Rank `rank` of `ranks`, which takes its rows of a step in `turns` turns."""

    rank: int = 0
    ranks: int = 1
    turns: int = 1

    def rows(self, batch: int, turn: int) -> range:
        """The rows of one turn, of the `batch` of a step.

        >>> [Share(rank=1, ranks=2, turns=2).rows(8, turn) for turn in (0, 1)]
        [range(4, 6), range(6, 8)]
        """
        each = batch // (self.ranks * self.turns)
        begin = (self.rank * self.turns + turn) * each
        return range(begin, begin + each)

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Of the numbers of all ranks, which all get the same."""
        if self.ranks == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def first(self, act: Callable[[], object]) -> None:
        """The first rank acts, the others wait. What it raises, it raises; all others raise `OtherRank` then."""
        error = None
        if self.rank == 0:
            try:
                act()
            except Exception as raised:
                error = raised
        (failed,) = self.sum(error is not None)
        if error is not None:
            raise error
        if failed:
            raise OtherRank("the first rank says why it cannot go on")


WHOLE = Share()
