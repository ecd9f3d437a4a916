"""A claim of the paper, the experiment that tests it at each scale, and the rule that judges it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from ..base.machine import single_thread
from ..base.strict import choose
from ..tasks import Metric, Task, metric_of
from ..tasks.presets import make_task
from ..training import Progress, Record, Run, Store, Training, runs_folder, train
from .rules import ENOUGH_SEEDS, NOT_RUN, NOT_SHOWN, Rule, Verdict, weakest

SHIPPED = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Experiment:
    """Sides that differ only in their model options, trained on the same data, each at its best rate of one grid.

    select: the score by which the best rate is chosen. tuned_on: a cheaper experiment with the same sides, whose grid
    chooses the rates where walking the grid here would cost too much. shown: the scores to draw; none, the accuracy for
    each k, or the accuracy. simplified: what this setting changes against the paper, in print.
    Scores are names of the task's metrics; an unknown one is refused with the nearest.
    """

    task: str
    task_options: Mapping[str, Any]
    model: Mapping[str, Any]
    training: Training
    sides: Mapping[str, Mapping[str, Any]]
    rules: Sequence[Rule]
    grid: Sequence[float] = (1e-3, 2e-3, 4e-3)
    seeds: Sequence[int] = (0, 1, 2)
    select: str = "accuracy"
    tuned_on: Experiment | None = None
    shown: Sequence[str] = ()
    simplified: str = ""

    def __post_init__(self) -> None:
        for rule in self.rules:
            for side in rule.sides():
                choose("side", side, self.sides)
        for name in (self.select, *self.shown):
            self.metric(name)
        _ = self.rule_texts  # refuses what a rule cannot judge

    @cached_property
    def made_task(self) -> Task:
        return make_task(self.task, self.task_options)

    def metric(self, name: str) -> Metric:
        """What the task says of one of its scores."""
        return metric_of(self.made_task, name)

    @cached_property
    def panels(self) -> tuple[Metric, ...]:
        """The scores to draw."""
        hops = [name for name in self.made_task.metrics if name.startswith("accuracy_k.")]
        return tuple(self.metric(name) for name in self.shown or hops or ["accuracy"])

    @cached_property
    def rule_texts(self) -> tuple[str, ...]:
        """The rules in words."""
        return tuple(rule.text(self.made_task) for rule in self.rules)

    def run(self, side: str, rate: float, seed: int) -> Run:
        """The configuration of one run."""
        model = {**self.model, **choose("side", side, self.sides)}
        return Run(self.task, self.task_options, model, dataclasses.replace(self.training, learning_rate=rate), seed)

    @property
    def tuning(self) -> Experiment:
        """The experiment whose grid decides the learning rates: itself or `tuned_on`."""
        return self.tuned_on or self

    def walk(self) -> Iterator[tuple[str, Run]]:
        """The whole grid: every side at every rate with every seed."""
        for rate in self.grid:
            for seed in self.seeds:
                for side in self.sides:
                    yield side, self.run(side, rate, seed)

    def best_rate(self, side: str, store: Store) -> float | None:
        """The rate with the best mean `select` score over all seeds, or None while the grid is not complete.

        Equal scores are decided by the lower training loss at the end.
        """
        if self.tuned_on is not None:
            return self.tuned_on.best_rate(side, store)
        scored = []
        for rate in self.grid:
            records = [store.find(self.run(side, rate, seed)) for seed in self.seeds]
            known = [record for record in records if record is not None]
            if len(known) < len(records):
                return None
            loss = fmean(r.final.get("loss", float("inf")) if r.status == "finished" else float("inf") for r in known)
            merit = self.metric(self.select).merit(fmean(r.score(self.select) for r in known))
            scored.append((merit, -loss, rate))
        return max(scored)[2]


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, with which numbers, and how this kit tests it.

    paper: rows of published numbers, each a mapping such as {"setting": ..., "side": ..., "value": ...}.
    """

    id: str
    title: str
    source: str
    statement: str
    paper: Sequence[Mapping[str, Any]]
    experiments: Mapping[str, Experiment] = field(default_factory=dict)

    def experiment(self, scale: str) -> Experiment:
        """The experiment at a scale; a scale that this claim has not got is refused with the nearest one."""
        return choose(f"scale of {self.id}", scale, self.experiments)


@dataclass(frozen=True)
class Outcome:
    """The records of a claim at one scale, each side at its best rate, and what follows from them."""

    claim: Claim
    scale: str
    rates: Mapping[str, float]
    records: Mapping[str, Sequence[Record]]

    @cached_property
    def experiment(self) -> Experiment:
        return self.claim.experiment(self.scale)

    @cached_property
    def verdict(self) -> Verdict:
        """The rules' verdict; smoke runs, fewer than three seeds and a side that always diverged are not judged."""
        if self.scale == "smoke":
            return Verdict(NOT_RUN, "smoke runs only show that everything works")
        seeds = {side: len(records) for side, records in self.records.items()}
        judged = {side: seeds.get(side, 0) for rule in self.experiment.rules for side in rule.sides()}
        if min(judged.values()) < ENOUGH_SEEDS:
            found = ", ".join(f"{side} {count}" for side, count in judged.items())
            return Verdict(NOT_RUN, f"a verdict needs {ENOUGH_SEEDS} seeds of each side (recorded: {found})")
        for side in judged:
            if all(record.status == "diverged" for record in self.records[side]):
                return Verdict(
                    NOT_SHOWN, f"every run of {side} diverged, even at its best rate: nothing to compare with"
                )
        return weakest([rule.judge(self.records) for rule in self.experiment.rules])

    def equal_seconds(self, metric: str) -> dict[str, list[float]]:
        """Scores at equal training time: the last evaluation of each run within the time of the fastest side.

        A run cut inside its schedule has not yet seen its low learning rates, so this is a lower bound for the slower
        side. A diverged run has the worst score, and its short time says nothing of its side's speed.
        """
        measured = self.experiment.metric(metric)
        whole = {side: [r for r in records if r.status == "finished"] for side, records in self.records.items()}
        limit = min((fmean(r.seconds for r in records) for records in whole.values() if records), default=0.0)

        def score(record: Record) -> float:
            inside = [point for point in record.curve if point["seconds"] <= 1.02 * limit] or record.curve[:1]
            return measured.of(inside[-1]) if record.status == "finished" else measured.worst

        return {side: [score(record) for record in records] for side, records in self.records.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: paper values, our values for each seed, verdict, budget and record ids."""
        experiment = self.experiment
        return {
            "claim": self.claim.id,
            "title": self.claim.title,
            "source": self.claim.source,
            "scale": self.scale,
            "paper": [dict(row) for row in self.claim.paper],
            "rule": list(experiment.rule_texts),
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "simplified": experiment.simplified,
            "learning_rate_grid": list(experiment.tuning.grid),
            "sides": {
                side: {
                    "learning_rate": self.rates.get(side),
                    "runs": [
                        {
                            "seed": r.run.seed,
                            "scores": {k: v for k, v in r.final.items() if k not in ("step", "seconds")},
                            "steps": r.run.training.steps,
                            "seconds": round(r.seconds, 1),
                            "parameters": r.parameters,
                            "status": r.status,
                            "record": r.id,
                        }
                        for r in records
                    ],
                }
                for side, records in self.records.items()
            },
        }


def everything() -> Store:
    """This user's records first, then the ones that ship with the package."""
    return Store(runs_folder(), SHIPPED)


def recorded(claim: Claim, scale: str, store: Store | None = None) -> Outcome:
    """What the records say, without running anything."""
    store, experiment = store or everything(), claim.experiment(scale)
    rates: dict[str, float] = {}
    records: dict[str, list[Record]] = {}
    for side in experiment.sides:
        rate = rate_for(claim, scale, side, store)
        found = [store.find(experiment.run(side, rate, seed)) for seed in experiment.seeds] if rate is not None else []
        if rate is not None:
            rates[side] = rate
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
    experiment, rates = claim.experiment(scale), rates_known(claim, scale, store, walk)
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
    `progress` may then be called from several threads.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    experiment, store = claim.experiment(scale), store or Store()
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
        jobs = [
            (side, experiment.run(side, rate, seed))
            for seed in seeds
            for side, rate in chosen.items()
            if rate is not None
        ]
        results = list(each(carry_out, jobs))
    records: dict[str, list[Record]] = {side: [] for side in experiment.sides}
    for (side, _), record in zip(jobs, results, strict=True):
        if record is not None and record.status != "stopped":
            records[side].append(record)
    return Outcome(claim, scale, {side: rate for side, rate in chosen.items() if rate is not None}, records)


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
