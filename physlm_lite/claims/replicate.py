"""From a claim to its outcome: what the records say, and running what they lack."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..base.machine import device_of, single_thread
from ..training import Progress, Record, Run, Store, runs_folder, stacks, train_stacked
from ..training.manager import Manager
from .claim import Claim, Outcome
from .experiment import Experiment
from .rules import NOT_RUN

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "records"


def everything() -> Store:
    """This user's records first, then the ones that ship with the package."""
    return Store(runs_folder(), SHIPPED)


def recorded(claim: Claim, scale: str, store: Store | None = None) -> Outcome:
    """What the records say, without running anything.

    Where the fresh seeds are not all in yet, and the first protocol left records, it is these that are shown.
    """
    store = store or everything()
    experiment = claim.experiment(scale)
    outcome = _outcome(
        claim, scale, experiment, store, {side: rate_for(claim, scale, side, store) for side in experiment.sides}
    )
    if scale not in claim.at_first or outcome.verdict.word != NOT_RUN:
        return outcome
    experiment = claim.at_first[scale]
    before = {side: _first_rate(claim, scale, side, store) for side in experiment.sides}
    first = _outcome(claim, scale, experiment, store, before)
    return first if any(first.records.values()) else outcome


Rate = tuple[float, str]  # a learning rate, and where it comes from


def rate_for(
    claim: Claim, scale: str, side: str, store: Store, *, walk: bool = False, at_hand: bool = False
) -> Rate | None:
    """A side's learning rate: the winner of its grid at this scale; else one that is borrowed from the experiment that it names
    for that, from a smaller scale, or from the first protocol. None if there is none to be had; walk: do not borrow. at_hand:
    look first at the text that is here.

    A smoke run only shows that everything works and takes the middle of the grid.
    """
    if scale == "smoke" and not walk:
        grid = claim.experiment(scale).rates
        return grid[len(grid) // 2], "the middle of the grid"
    for place in [scale] if walk else _from_large_to_small(claim, scale):
        own = claim.experiments[place]
        for experiment in (own.at_hand if at_hand else own, own, None if walk else own.tuned_on):
            if experiment is not None and side in experiment.sides:
                found = experiment.tune(side, store)
                if found.rate is not None:
                    borrowed = place != scale or experiment is own.tuned_on
                    source = f"borrowed ({experiment.training.steps:,} steps)" if borrowed else "tuned"
                    return found.rate, source + ", at an end of the grid" * (found.place != "inside")
    before = None if walk else _first_rate(claim, scale, side, store, lent=True)
    return before and (before[0], "borrowed (first protocol)")


def _first_rate(claim: Claim, scale: str, side: str, store: Store, *, lent: bool = False) -> Rate | None:
    """The rate of the first protocol, from this scale or a smaller one. lent: only where it tried the same task as we do."""
    for place in _from_large_to_small(claim, scale):
        before = claim.at_first.get(place)
        if before is None or side not in before.sides:
            continue
        if lent and before.task_options != claim.experiments[place].task_options:
            continue
        found = before.tuning.tune(side, store)
        if found.rate is not None:
            borrowed = place != scale or before.tuned_on is not None
            edge = ", at an end of the grid" * (found.place != "inside")
            return found.rate, ("borrowed" if borrowed else "tuned on the reported seeds") + edge
    return None


def _from_large_to_small(claim: Claim, scale: str) -> list[str]:
    """The scales that may lend a rate: wide models, as the papers have them, and narrow ones lend none to each other."""
    scales, wide = list(claim.experiments), claim.experiments[scale].full_size
    places = [place for place in scales[scales.index(scale) :: -1] if place != "smoke"]
    return [place for place in places if claim.experiments[place].full_size == wide]


def _outcome(
    claim: Claim, scale: str, experiment: Experiment, store: Store, chosen: Mapping[str, Rate | None]
) -> Outcome:
    """The outcome of an experiment from the records of a store, each side at its chosen rate."""
    known = {side: found for side, found in chosen.items() if found is not None}
    rates, sources = (
        {side: found[0] for side, found in known.items()},
        {side: found[1] for side, found in known.items()},
    )
    outcome = Outcome(claim, scale, rates, {}, {}, sources, experiment)

    def records(side: str, make: Callable[[str, float, int], Run]) -> list[Record]:
        runs = [make(side, rates[side], seed) for seed in experiment.seeds] if side in rates else []
        return [record for run in runs if (record := experiment.find(run, store)) is not None]

    return replace(
        outcome,
        records={side: records(side, experiment.run) for side in experiment.sides},
        in_time={side: records(side, experiment.run_in_time) for side in outcome.slower},
    )


Job = tuple[str, Run]


def needed(
    claim: Claim, scale: str, store: Store, *, walk: bool = False, seeds: Sequence[int] | None = None
) -> list[Job]:
    """The runs, with their sides, that can be carried out next; asked again after them, there may be more. Empty at the end.

    First the grids (only those of sides without a rate to be had, unless `walk` asks for all), which may have to be extended;
    then each side's seeds at its best rate; then the slower ones once more, at equal seconds. Runs that `store` holds are
    left out; shipped records only lend their rates.
    """
    experiment, rates = claim.experiment(scale).at_hand, rates_known(claim, scale, store, walk)
    jobs: list[Job] = []
    for side in experiment.sides:
        if side not in rates:
            jobs += [(side, run) for run in experiment.tune(side, store, everything=True).missing]
    jobs.sort(key=lambda job: (job[1].training.learning_rate, job[1].seed))  # so that the sides take turns
    if not jobs:
        asked = [(side, rate, seed) for seed in seeds or experiment.seeds for side, (rate, _) in rates.items()]
        slower = Outcome(claim, scale, {}, {}, tried=experiment).slower
        jobs = [(side, experiment.run(side, rate, seed)) for side, rate, seed in asked]
        jobs += [(side, experiment.run_in_time(side, rate, seed)) for side, rate, seed in asked if side in slower]
    return [(side, run) for side, run in jobs if store.find(run) is None]


def rates_known(claim: Claim, scale: str, store: Store, walk: bool = False) -> dict[str, Rate]:
    """The rates at which `replicate` will run the sides; those that must walk the grid first are left out."""
    lenders = store if walk else Store(*store.lenders, SHIPPED)
    found = {
        side: rate_for(claim, scale, side, lenders, walk=walk, at_hand=True) for side in claim.experiment(scale).sides
    }
    return {side: rate for side, rate in found.items() if rate is not None}


def planned(
    claim: Claim, scale: str, store: Store, *, walk: bool = False, seeds: Sequence[int] | None = None
) -> list[Run]:
    """The runs that `replicate` will carry out, as far as can be told beforehand, without those that `store` holds.

    While a grid is not walked, its lowest rate stands in for the best one, which costs the same.
    """
    runs = [run for _, run in needed(claim, scale, store, walk=walk, seeds=seeds)]
    experiment, rates = claim.experiment(scale).at_hand, rates_known(claim, scale, store, walk)
    if len(rates) < len(experiment.sides):
        slower = Outcome(claim, scale, {}, {}, tried=experiment).slower
        for side in experiment.sides:
            rate = rates[side][0] if side in rates else min(experiment.grid)
            asked = seeds or experiment.seeds
            runs += [experiment.run(side, rate, seed) for seed in asked]
            runs += [experiment.run_in_time(side, rate, seed) for seed in asked if side in slower]
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
    stacked: bool | None = None,
    manager: Manager | None = None,
) -> Outcome:
    """Run a claim's experiment here and now, and judge it.

    Each side runs at the best rate that the records know; where no grid was walked yet, or with `walk`, the whole grid is
    run on the seeds for tuning (see `Experiment.tune`). Runs that this user's `store` already holds are not repeated;
    shipped records only lend their learning rates. workers: this many runs at a time, each on one thread. `progress` may
    then be called from several threads. stacked: runs of one shape are trained at once, as `train_stacked` does, one stack
    after the other (default: on a GPU). manager: else, it carries out the runs in processes of their own, as many at a time
    as it has workers. On another text than the setting asks for, a warning says so.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    asked, store = claim.experiment(scale), store or Store()
    if asked.at_hand is not asked:
        logger.warning(
            "%s asks for a text that is not the one here (another version of what holds it): these are other "
            "runs than the recorded ones, and judged by themselves",
            claim.id,
        )
    halt = threading.Event()

    def halted() -> bool:
        return halt.is_set() or (stop is not None and stop())

    def carry_out(jobs: Sequence[Job]) -> None:
        sides = {run.hash: side for side, run in jobs}
        if halted():
            return
        report = None if progress is None else lambda p: progress(sides[p.run.hash], p)
        try:
            if manager is None:
                train_stacked([run for _, run in jobs], store=store, progress=report, stop=halted, device=device)
            elif any(manager.train(run, store=store, progress=report, stop=halted) is None for _, run in jobs):
                halt.set()  # stopped, perhaps by another who had asked for this run
        except BaseException:
            halt.set()  # here already: this worker must not begin its next job
            raise

    if stacked is None:
        stacked = device_of(device).type == "cuda"
    manager = None if stacked else manager
    with _pool(1 if stacked else workers, halt) if manager is None else _waiters(manager.workers, halt) as each:
        while not halted() and (jobs := needed(claim, scale, store, walk=walk, seeds=seeds)):
            list(each(carry_out, _stacks(jobs, device) if stacked else [[job] for job in jobs]))
    experiment = asked.at_hand if seeds is None else asked.at_hand.but(seeds=seeds)
    return _outcome(claim, scale, experiment, store, rates_known(claim, scale, store, walk))


def _stacks(jobs: Sequence[Job], device: str | None) -> list[list[Job]]:
    sides = {run.hash: side for side, run in jobs}
    return [[(sides[run.hash], run) for run in group] for group in stacks([run for _, run in jobs], device=device)]


@contextmanager
def _pool(workers: int, halt: threading.Event) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that keeps `workers` jobs going, each on one PyTorch thread; one worker is the plain `map`.

    Ctrl-C sets `halt`: the pool waits for the jobs that have begun, and these must not go on for hours.
    """
    if workers == 1:
        yield map
        return
    with single_thread(), _waiters(workers, halt, initializer=torch.set_num_threads, initargs=(1,)) as each:
        yield each


@contextmanager
def _waiters(workers: int, halt: threading.Event, **options: Any) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` on so many threads."""
    with ThreadPoolExecutor(workers, **options) as executor:
        try:
            yield executor.map
        except BaseException:
            halt.set()
            raise
