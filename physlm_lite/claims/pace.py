"""How long runs take on this machine, from what is recorded."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from functools import cached_property, lru_cache
from statistics import median

from ..base.machine import single_thread
from ..scale.plan import model_way, training_flops
from ..tasks.presets import make_task
from ..training import Record, Run, Trainer, estimate

TIMED = 5  # steps
SHRINKS = 0.85  # the power of the operations by which a step grows: between 0.5 and 1 it makes hardly a difference
APART = 0.7  # how much less another task tells, in the logarithm of operations; another mixer as much more


class Pace:
    """How many seconds runs take here, each on one thread.

    Runs of the same kind that this user has recorded tell; or shipped ones, once it is known how the machines compare: from
    kinds that both have recorded or, if there are none, from a few steps of the shortest kind. A kind without any record is
    timed itself.
    """

    def __init__(self, own: Iterable[Record], shipped: Iterable[Record]) -> None:
        known, mine = list(shipped), list(own)
        self.own, self.shipped = _per_step(mine), _per_step(known)
        self._runs = {kind_of(record.run): record.run for record in (*known, *mine)}
        self._ratio: float | None = None
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

    def foreseen(self, run: Run) -> float:
        """About how long a run takes, without a step being taken: as a run of its own kind did or, where there is none, as one
        that is near it in task, mixer and operations, in proportion to these.

        Of the kinds in the ledger, each foreseen from the others, half are within 12 % and nine in ten within 1.5 times. Shipped
        seconds are those of the machine that recorded them, until this user has a record, which tells how the machines compare.
        """
        kind, steps = kind_of(run), run.training.steps
        if kind in self.own:
            return steps * self.own[kind]
        if self._ratio is None and self.own:
            ways = [each / self._like(kind) for kind, each in self.own.items() if kind in self._operations]
            self._ratio = median(ways) if ways else None
        return steps * self._like(kind, run) * (self._ratio or 1.0)

    def learn(self, record: Record) -> None:
        """A run of this user's has ended: from now on it tells, too."""
        for kind, each in _per_step([record]).items():
            self.own[kind], self._ratio = each, None
            self._runs[kind] = record.run
            self._operations[kind] = operations_of(record.run)

    def _like(self, kind: str, run: Run | None = None) -> float:
        """Seconds of a step of a kind, by the shipped records (by one's own, where none ship)."""
        told = self.shipped or self.own
        if kind in told:
            return told[kind]
        if not told:
            raise ValueError("no run is recorded from which another one could be foreseen")
        task, mixer, operations = self._operations[kind] if run is None else operations_of(run)

        def distance(name: str) -> float:
            other_task, other_mixer, other = self._operations[name]
            return abs(math.log(other / operations)) + APART * ((other_task != task) + 2 * (other_mixer != mixer))

        nearest = min(told, key=distance)
        return told[nearest] * float((operations / self._operations[nearest][2]) ** SHRINKS)

    @cached_property
    def _operations(self) -> dict[str, tuple[str, str, int]]:
        return {kind: operations_of(run) for kind, run in self._runs.items()}

    def _compared(self) -> float:
        if self.factor is None:
            assert self._shortest is not None
            recorded = self._shortest.seconds / self._shortest.run.training.steps
            self.factor = _step_seconds(self._shortest.run) / recorded
        return self.factor


def operations_of(run: Run) -> tuple[str, str, int]:
    """Task, mixer, and what a training step computes."""
    config, length = run.model_config, length_of(run)
    return run.task, config.mixer, training_flops(config, length)[model_way(config)] * length * run.training.batch


def length_of(run: Run) -> int:
    """Tokens of a training row."""
    return _length(run.task, json.dumps(dict(run.task_options), sort_keys=True), run.training.batch)


@lru_cache(1024)
def _length(task: str, options: str, rows: int) -> int:
    made = make_task(task, json.loads(options))
    context: int | None = getattr(made, "context", None)
    return context or int(made.batch(0, 0, rows).tokens.shape[1])


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
