"""An experiment: sides that differ only in their model, at one setting of a task, and the rules that judge them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from ..base.strict import choose
from ..tasks import Births, Metric, Task, Text, metric_of
from ..tasks.presets import make_task
from ..training import FORMAT, Record, Run, Store, Training
from .rules import Rule
from .sides import Side

INF = float("inf")
SMOKE: Mapping[str, Any] = {"steps": 4, "batch": 4, "evaluations": 2, "evaluation_rows": 24}  # rows of every size
# Rates are chosen on these seeds and judged on others, which nobody has looked at before. Pilots take seeds below 100.
TUNING_SEEDS, REPORTED_SEEDS = (100, 101), (200, 201, 202, 203, 204)
EXTENSIONS = 6  # doublings of a rate beyond either end of the grid, before it is given up


@cache
def step_times() -> dict[str, dict[str, float]]:
    """What `clocks.measure_step_times` found, by setting and side: measured once, since runs are named by it."""
    found: dict[str, dict[str, float]] = json.loads(
        Path(__file__).with_name("step_times.json").read_text(encoding="utf-8")
    )
    return found


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A task at one scale, with all that the sides of an experiment share.

    name: of the setting, by which its `step_times` are found.
    model: the options that they share. grid: learning rates to begin with, each tried with each of the `tuning_seeds`; it
    is extended until the best one lies inside (see `Experiment.tune`). seeds: the ones that are reported. step_times: how
    long a step of a side takes, measured in turns with the others and relative to the fastest of them; at equal seconds,
    the slower ones are trained again with as many fewer steps. select: the score to look at beside the judged ones. shown:
    the scores to draw; none, the accuracy for each k, or the accuracy. floors: what simple means score, by score and name.
    full_size: a model of the papers' size, for which sides have options of their own. simplified: what this setting changes
    against the paper, in print. history: what was tried before, and when the rules were fixed. format: of its runs (see
    `training.FORMAT`).
    Scores are names of the task's metrics; an unknown one is refused with the nearest.
    """

    name: str = ""
    task: str
    task_options: Mapping[str, Any]
    model: Mapping[str, Any]
    training: Training
    grid: Sequence[float] = (1e-3, 2e-3, 4e-3)
    tuning_seeds: Sequence[int] = TUNING_SEEDS
    seeds: Sequence[int] = REPORTED_SEEDS
    step_times: Mapping[str, float] = field(default_factory=dict)
    select: str = "accuracy"
    shown: Sequence[str] = ()
    floors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    full_size: bool = False
    simplified: str = ""
    history: Sequence[str] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        for name in (self.select, *self.shown):
            self.metric(name)

    def but(self, training: Mapping[str, Any] | None = None, **changes: Any) -> Self:
        """The same with other options, of its training and of its own."""
        return dataclasses.replace(self, training=dataclasses.replace(self.training, **training or {}), **changes)

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

    def compare(self, sides: Iterable[Side], *rules: Rule, **changes: Any) -> Experiment:
        """The experiment of these sides at this setting; `changes` are other options of `Experiment`."""
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(Setting)}
        options = {s.label: s.options if s.published is None or not self.full_size else s.published for s in sides}
        measured = step_times().get(self.name, {})
        if measured.keys() >= options.keys():
            shared["step_times"] = {side: measured[side] for side in options}
        return Experiment(**{**shared, **changes}, sides=options, rules=rules)


@dataclass(frozen=True, kw_only=True)
class Experiment(Setting):
    """Sides that differ only in their model options, trained on the same data, each at its best rate of one grid.

    sides: {label: model options}. tuned_on: a cheaper experiment with the same sides, whose grid chooses the rates where
    walking the grid here would cost too much.
    """

    sides: Mapping[str, Mapping[str, Any]]
    rules: Sequence[Rule]
    tuned_on: Experiment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for rule in self.rules:
            for side in rule.sides():
                choose("side", side, self.sides)
        _ = self.rule_texts  # refuses what a rule cannot judge

    @cached_property
    def rule_texts(self) -> tuple[str, ...]:
        """The rules in words."""
        return tuple(rule.text(self.made_task) for rule in self.rules)

    @property
    def smoke(self) -> Experiment:
        """The same in a few seconds: everything runs, nothing is learnt."""
        return self.but(SMOKE, tuned_on=None, seeds=self.seeds[:3], step_times={})

    @cached_property
    def at_hand(self) -> Experiment:
        """This experiment on the text that is here: the same one, unless its setting asks for another text by its hash.

        On another text, its runs are other runs, which do not take the place of the recorded ones.
        """
        if not isinstance(self.made_task, Text | Births) or self.made_task.at_hand() is self.made_task:
            return self
        options = {name: value for name, value in self.task_options.items() if name != "corpus_hash"}
        tuned_on = None if self.tuned_on is None else self.tuned_on.at_hand
        return self.but(task_options=options, tuned_on=tuned_on)

    @cached_property
    def _first(self) -> dict[str, Run]:
        """A run of each side, with everything made that its others share."""
        runs = {}
        for side, options in self.sides.items():
            runs[side] = Run(self.task, self.task_options, {**self.model, **options}, self.training)
            vars(runs[side])["made_task"] = self.made_task
            _ = runs[side].setting
        return runs

    @cached_property
    def _made(self) -> dict[tuple[str, float, int], Run]:
        return {}

    def run(self, side: str, rate: float, seed: int) -> Run:
        """The configuration of one run."""
        if (side, rate, seed) not in self._made:
            run = choose("side", side, self._first).but(learning_rate=rate, seed=seed)
            self._made[side, rate, seed] = run
        return self._made[side, rate, seed]

    def is_slower(self, side: str) -> bool:
        """Whether equal seconds are fewer steps for this side; False for all where `step_times` were not measured."""
        return self.step_times.get(side, 1.0) > min(self.step_times.values(), default=1.0)

    def run_in_time(self, side: str, rate: float, seed: int) -> Run:
        """The same in as many seconds as the fastest side needs: its whole schedule, in fewer steps if it is slower."""
        if not self.is_slower(side):
            return self.run(side, rate, seed)
        share = min(self.step_times.values()) / self.step_times[side]
        return self.run(side, rate, seed).but(steps=max(1, round(share * self.training.steps)))

    def find(self, run: Run, store: Store) -> Record | None:
        """The record of a run of this experiment, in its format."""
        return store.find(run, self.format)

    @property
    def tuning(self) -> Experiment:
        """The experiment whose grid decides the learning rates: itself or `tuned_on`."""
        return self.tuned_on or self

    def walk(self) -> Iterator[tuple[str, Run]]:
        """The grid as it begins: every side at every rate with every seed for tuning."""
        for rate in self.rates:
            for seed in self.tuning_seeds:
                for side in self.sides:
                    yield side, self.run(side, rate, seed)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The grid in ascending order, in steps of about 2: wider ones hide the best rate (not in the first format)."""
        filled: list[float] = []
        for rate in sorted(self.grid):
            while self.format > 1 and filled and rate > 3 * filled[-1]:
                filled.append(2 * filled[-1])
            filled.append(rate)
        return tuple(filled)

    def tune(self, side: str, store: Store, *, everything: bool = False) -> Tuned:
        """Walk a side's grid through the records: the best rate, or the runs (the first, or `everything`) that are missing.

        The best rate has the best mean over the tuning seeds, of what the first rule judges; equal ones are decided by the
        lower training loss at the end. If it lies at an end of the grid, the next rate (half or twice as large) is tried,
        until the best one lies inside, or what lies beyond it diverges, which is no better than any.
        """
        tried: dict[float, tuple[float, float]] = {}
        rates = self.rates
        while True:
            missing = []
            for rate in sorted(set(rates) - set(tried)):
                known = []
                for run in (self.run(side, rate, seed) for seed in self.tuning_seeds):
                    if (record := self.find(run, store)) is not None:
                        known.append(record)
                    else:
                        missing.append(run)
                        if not everything:
                            return Tuned(None, "", tried, tuple(missing))
                if len(known) == len(self.tuning_seeds):
                    tried[rate] = self._merit(known)
            if missing:
                return Tuned(None, "", tried, tuple(missing))
            best = max(rates, key=lambda rate: (*tried[rate], -rate))
            if rates[0] < best < rates[-1]:
                return Tuned(best, "inside", tried)
            beyond = best / 2 if best == rates[0] else best * 2
            inside = min(self.grid) / 2**EXTENSIONS <= beyond <= max(self.grid) * 2**EXTENSIONS
            if self.format == 1 or not inside:
                return Tuned(best, "at an end", tried)
            rates = tuple(sorted([*rates, beyond]))

    def _merit(self, records: Sequence[Record]) -> tuple[float, float]:
        """How good a rate is: the mean of what is judged, then the loss."""
        loss = fmean(r.final.get("loss", INF) if r.status == "finished" else INF for r in records)
        return fmean(map(self.judged, records)), -loss

    def judged(self, record: Record) -> float:
        """What decides between learning rates, turned so that more is better: what the first rule judges."""
        if self.rules and self.format > 1:
            return self.rules[0].merit(record)
        return self.metric(self.select).merit(record.score(self.select))

    def best_rate(self, side: str, store: Store) -> float | None:
        """A side's best rate, here or, if it is tuned there, on another experiment; None while runs are missing."""
        return self.tuning.tune(side, store).rate


@dataclass(frozen=True)
class Tuned:
    """The best rate of one side, where it lies among those tried ("inside" or "at an end"), and what must be run to know.

    tried: how good each rate is (more is better): by what is judged, then by the loss.
    """

    rate: float | None
    place: str
    tried: Mapping[float, tuple[float, float]]
    missing: tuple[Run, ...] = ()
