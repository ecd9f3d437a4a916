"""How long runs take on this machine, from what is recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from statistics import median

from ..base.machine import single_thread
from ..training import Record, Run, Trainer, estimate

TIMED = 5  # steps


class Pace:
    """How many seconds runs take here, each on one thread.

    Runs of the same kind that this user has recorded tell; or shipped ones, once it is known how the machines compare: from
    kinds that both have recorded or, if there are none, from a few steps of the shortest kind. A kind without any record is
    timed itself.
    """

    def __init__(self, own: Iterable[Record], shipped: Iterable[Record]) -> None:
        known = list(shipped)
        self.own, self.shipped = _per_step(own), _per_step(known)
        both = self.own.keys() & self.shipped.keys()
        self.factor = median(self.own[kind] / self.shipped[kind] for kind in both) if both else None
        self._shortest = min(
            (r for r in known if r.status == "finished"), key=lambda r: r.seconds / r.run.training.steps, default=None
        )

    def seconds(self, run: Run) -> float:
        """About how long a run takes; `TooLarge` if it has to be timed and cannot be."""
        kind, steps = kind_of(run), run.training.steps
        if kind not in self.own and kind in self.shipped:
            self.own[kind] = self._compared() * self.shipped[kind]
        if kind not in self.own:
            with single_thread():
                self.own[kind] = estimate(run).seconds / steps
        return steps * self.own[kind]

    def _compared(self) -> float:
        if self.factor is None:
            assert self._shortest is not None
            recorded = self._shortest.seconds / self._shortest.run.training.steps
            self.factor = _step_seconds(self._shortest.run) / recorded
        return self.factor


def kind_of(run: Run) -> str:
    """What decides how long a step takes."""
    return json.dumps(
        [run.task, dict(run.task_options), dict(run.model), run.training.batch], sort_keys=True, default=str
    )


def _per_step(records: Iterable[Record]) -> dict[str, float]:
    """Seconds a step, with its share of the evaluations, of every kind of run that is recorded."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record.status == "finished":
            each = (record.seconds + record.evaluation_seconds) / record.run.training.steps
            found.setdefault(kind_of(record.run), []).append(each)
    return {kind: median(values) for kind, values in found.items()}


def _step_seconds(run: Run) -> float:
    """The usual time of a training step here, from a few."""

    def seconds() -> float:
        begin = time.perf_counter()
        trainer.train_step()
        return time.perf_counter() - begin

    with single_thread():
        trainer = Trainer(run)
        trainer.train_step()
        return median(seconds() for _ in range(TIMED))
