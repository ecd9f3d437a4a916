"""How long a step of each side takes, relative to the others: what "equal seconds" rests on."""

from __future__ import annotations

from collections.abc import Callable

from ..base.clock import interleaved, ratio
from ..base.machine import single_thread
from ..training import Trainer
from .experiment import Experiment


def measure_step_times(experiment: Experiment, rounds: int = 15, steps: int = 4) -> dict[str, float]:
    """{side: time of a training step}, relative to the fastest side and with two digits, on one thread of this machine.

    The sides take turns, `steps` steps at a time, so that a slow moment hits all alike; medians over the rounds. Measure on a
    machine that does nothing else.
    """

    def stepping(side: str) -> Callable[[], None]:
        trainer = Trainer(experiment.run(side, min(experiment.rates), experiment.tuning_seeds[0]))

        def some() -> None:
            for _ in range(steps):
                trainer.train_step()

        return some

    with single_thread():
        times = interleaved({side: stepping(side) for side in experiment.sides}, rounds)
    to_first = {side: ratio(of, next(iter(times.values())), 4) for side, of in times.items()}
    fastest = min(to_first.values())
    return {side: round(time / fastest, 2) for side, time in to_first.items()}
