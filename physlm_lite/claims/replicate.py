"""From a claim to its outcome: what the records say, and running what they lack."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..base.machine import single_thread
from ..training import Progress, Record, Run, Store, runs_folder, train
from .claim import Claim, Outcome

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "records"


def everything() -> Store:
    """This user's records first, then the ones that ship with the package."""
    return Store(runs_folder(), SHIPPED)


def recorded(claim: Claim, scale: str, store: Store | None = None) -> Outcome:
    """What the records say, without running anything."""
    store, experiment = store or everything(), claim.experiment(scale)
    known = {side: rate_for(claim, scale, side, store) for side in experiment.sides}
    rates = {side: rate for side, rate in known.items() if rate is not None}
    records: dict[str, list[Record]] = {side: [] for side in known}
    for side, rate in rates.items():
        found = (store.find(experiment.run(side, rate, seed)) for seed in experiment.seeds)
        records[side] = [record for record in found if record is not None]
    return Outcome(claim, scale, rates, records)


def rate_for(claim: Claim, scale: str, side: str, store: Store) -> float | None:
    """A side's learning rate: the winner of the grid at this scale, else of the grid walked at a smaller one.

    A smoke run only shows that everything works and takes the middle of the grid.
    """
    scales = list(claim.experiments)
    for candidate in reversed(scales[: scales.index(scale) + 1]):
        experiment = claim.experiments[candidate]
        if candidate != "smoke" and side in experiment.sides:
            rate = experiment.best_rate(side, store)
            if rate is not None:
                return rate
    grid = claim.experiments[scale].grid
    return sorted(grid)[len(grid) // 2] if scale == "smoke" else None


def rates_known(claim: Claim, scale: str, store: Store, walk: bool = False) -> dict[str, float | None]:
    """The learning rate at which `replicate` will run each side; None where it must walk the grid first."""
    known = Store(*store.folders, SHIPPED)
    return {side: None if walk else rate_for(claim, scale, side, known) for side in claim.experiment(scale).sides}


def planned(claim: Claim, scale: str, store: Store, *, walk: bool = False) -> list[Run]:
    """The runs that `replicate` will carry out, without those that `store` holds.

    After a grid of `tuned_on`, the rates are not known yet: its lowest one stands in for them, which costs the same.
    """
    experiment, rates = claim.experiment(scale).at_hand, rates_known(claim, scale, store, walk)
    runs = [run for side, run in experiment.tuning.walk() if rates.get(side, 0.0) is None]
    for side, rate in rates.items():
        if rate is not None or experiment.tuned_on is not None:
            runs += [experiment.run(side, rate or experiment.tuning.grid[0], seed) for seed in experiment.seeds]
    return [run for run in runs if store.find(run) is None]


def replicate(
    claim: Claim,
    scale: str,
    *,
    store: Store | None = None,
    walk: bool = False,
    seeds: Sequence[int] | None = None,
    progress: Callable[[str, Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    device: str | None = None,
    workers: int = 1,
) -> Outcome:
    """Run a claim's experiment here and now, and judge it.

    Each side runs at the best rate that the records know; where no grid was walked yet, or with `walk`, the whole grid
    is run (that of `tuned_on` where the experiment names one). Runs that this user's `store` already holds are not
    repeated; shipped records only lend their learning rates. workers: this many runs at a time, each on one thread.
    `progress` may then be called from several threads. On another text than the setting asks for, a warning says so.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    asked, store = claim.experiment(scale), store or Store()
    if (experiment := asked.at_hand) is not asked:
        logger.warning(
            "%s asks for a text that is not the one here (Python's documentation differs between its versions): these are "
            "other runs than the recorded ones, and judged by themselves",
            claim.id,
        )
    seeds = experiment.seeds if seeds is None else seeds
    halt = threading.Event()

    def halted() -> bool:
        return halt.is_set() or (stop is not None and stop())

    def carry_out(job: tuple[str, Run]) -> Record | None:
        side, run = job
        if halted():
            return None
        report = None if progress is None else lambda p: progress(side, p)
        try:
            return train(run, store=store, progress=report, stop=halted, device=device)
        except BaseException:
            halt.set()  # here already: this worker must not begin its next job
            raise

    rates = rates_known(claim, scale, store, walk)
    with _pool(workers, halt) as each:
        list(each(carry_out, [(side, run) for side, run in experiment.tuning.walk() if rates.get(side, 0.0) is None]))
        chosen = {side: experiment.best_rate(side, store) if rate is None else rate for side, rate in rates.items()}
        best = {side: rate for side, rate in chosen.items() if rate is not None}
        jobs = [(side, experiment.run(side, rate, seed)) for seed in seeds for side, rate in best.items()]
        results = list(each(carry_out, jobs))
    records: dict[str, list[Record]] = {side: [] for side in experiment.sides}
    for (side, _), record in zip(jobs, results, strict=True):
        if record is not None and record.status != "stopped":
            records[side].append(record)
    return Outcome(claim, scale, best, records)


@contextmanager
def _pool(workers: int, halt: threading.Event) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that keeps `workers` jobs going, each on one PyTorch thread; one worker is the plain `map`.

    Ctrl-C sets `halt`: the pool waits for the jobs that have begun, and these must not go on for hours.
    """
    if workers == 1:
        yield map
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    with single_thread(), pool as executor:
        try:
            yield executor.map
        except BaseException:
            halt.set()
            raise
