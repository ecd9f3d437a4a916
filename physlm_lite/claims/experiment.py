"""An experiment: sides that differ only in their model, at one setting of a task, and the rules that judge them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, Self

from ..base.strict import choose
from ..tasks import Metric, Task, Text, metric_of
from ..tasks.presets import make_task
from ..training import Run, Store, Training
from .rules import Rule
from .sides import Side

INF = float("inf")
SMOKE: Mapping[str, Any] = {"steps": 4, "batch": 4, "evaluations": 2, "evaluation_rows": 24}  # rows of every size


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A task at one scale, with all that the sides of an experiment share.

    model: the options that they share. grid, seeds: learning rates to choose from, each tried with each seed.
    select: the score by which the best rate is chosen. shown: the scores to draw; none, the accuracy for each k, or the
    accuracy. full_size: a model of the papers' size, for which sides have options of their own. simplified: what this
    setting changes against the paper, in print.
    Scores are names of the task's metrics; an unknown one is refused with the nearest.
    """

    task: str
    task_options: Mapping[str, Any]
    model: Mapping[str, Any]
    training: Training
    grid: Sequence[float] = (1e-3, 2e-3, 4e-3)
    seeds: Sequence[int] = (0, 1, 2)
    select: str = "accuracy"
    shown: Sequence[str] = ()
    full_size: bool = False
    simplified: str = ""

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
        return self.but(SMOKE, tuned_on=None)

    @cached_property
    def at_hand(self) -> Experiment:
        """This experiment on the text that is here: the same one, unless its setting asks for another text by its hash.

        On another text, its runs are other runs, which do not take the place of the recorded ones.
        """
        if not isinstance(self.made_task, Text) or self.made_task.at_hand() is self.made_task:
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

    def run(self, side: str, rate: float, seed: int) -> Run:
        """The configuration of one run."""
        return choose("side", side, self._first).but(learning_rate=rate, seed=seed)

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
            loss = fmean(r.final.get("loss", INF) if r.status == "finished" else INF for r in known)
            merit = self.metric(self.select).merit(fmean(r.score(self.select) for r in known))
            scored.append((merit, -loss, rate))
        return max(scored)[2]
