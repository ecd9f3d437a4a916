"""Phase maps: where a claim turns. Two options of its experiment are varied on one grid, with three seeds at every point.

A map is a look around a row of the ledger, not a row: each side keeps the learning rate that won in the row (unless the rate is
an axis), and three seeds a side can do no more than agree, every one of one side ahead of every one of the other (p = .05).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from ..base.strict import choose
from ..tasks import Metric
from ..training import Record, Run, Store
from .catalogue import claim
from .claim import Claim
from .experiment import Experiment
from .replicate import rates_known
from .statistics import LUCK, permutation_p

MAP_SEEDS = (300, 301, 302)  # neither those that choose rates nor those that are reported
AHEAD, BEHIND, OPEN, NOT_RUN = "ahead", "behind", "open", "not run"


@dataclass(frozen=True)
class Axis:
    """A direction of a map. option: of the model, of the training or of the task, such as "model.width"."""

    label: str
    option: str
    values: tuple[float, ...]

    def set(self, run: Run, value: float) -> Run:
        """The same run with this value of the option."""
        part, _, name = self.option.partition(".")
        if part == "training":
            return run.but(**{name: value})
        return run.but(**{part: {**getattr(run, part), name: value}})


@dataclass(frozen=True)
class Point:
    """Both sides at one point: their scores, a number for each seed, and who is ahead."""

    x: float
    y: float
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    word: str

    @property
    def difference(self) -> float | None:
        """Of the mean scores as they were measured, ours minus theirs; None where a run is missing or diverged."""
        if not self.ours or not self.theirs or not all(map(math.isfinite, (*self.ours, *self.theirs))):
            return None
        return fmean(self.ours) - fmean(self.theirs)


@dataclass(frozen=True)
class PhaseMap:
    """Where `better` is ahead of `worse`, two sides of a claim at one scale, by one score.

    across, up: the two axes. question: what the map answers, in a sentence. Raises ValueError for unknown names.
    """

    name: str
    claim_id: str
    better: str
    worse: str
    metric: str
    across: Axis
    up: Axis
    question: str
    scale: str = "toy"

    def __post_init__(self) -> None:
        for side in (self.better, self.worse):
            choose(f"side of {self.claim_id}", side, self.experiment.sides)
        _ = self.measured

    @property
    def claim(self) -> Claim:
        return claim(self.claim_id)

    @property
    def experiment(self) -> Experiment:
        """The one that the map looks around."""
        return self.claim.experiment(self.scale)

    @property
    def measured(self) -> Metric:
        return self.experiment.metric(self.metric)

    @cached_property
    def places(self) -> list[tuple[float, float]]:
        """All points, row by row from below."""
        return [(x, y) for y in self.up.values for x in self.across.values]

    def rates(self, store: Store) -> dict[str, float]:
        """The best learning rate of each side in the row, as far as it is known. A rate that is an axis needs none."""
        if "training.learning_rate" in (self.across.option, self.up.option):
            return dict.fromkeys((self.better, self.worse), min(self.experiment.rates))
        known = rates_known(self.claim, self.scale, store, walk=True)
        return {side: known[side][0] for side in (self.better, self.worse) if side in known}

    def run(self, side: str, rate: float, seed: int, x: float, y: float) -> Run:
        """One run."""
        return self.up.set(self.across.set(self.experiment.run(side, rate, seed), x), y)

    def runs(self, store: Store) -> Iterator[Run]:
        """All runs of the map; none of a side whose rate is not known yet."""
        for side, rate in self.rates(store).items():
            for x, y in self.places:
                for seed in MAP_SEEDS:
                    yield self.run(side, rate, seed, x, y)

    def missing(self, store: Store) -> list[Run]:
        """Those that the store does not hold; none as long as a rate is not known."""
        if len(self.rates(store)) < 2:
            return []
        return [run for run in self.runs(store) if store.find(run) is None]

    def points(self, store: Store) -> list[Point]:
        """What the records say at every point."""
        rates = self.rates(store)

        def records(side: str, x: float, y: float) -> list[Record]:
            runs = [self.run(side, rates[side], seed, x, y) for seed in MAP_SEEDS] if side in rates else []
            return [record for run in runs if (record := store.find(run)) is not None]

        return [self._point(x, y, records(self.better, x, y), records(self.worse, x, y)) for x, y in self.places]

    def _point(self, x: float, y: float, ours: Sequence[Record], theirs: Sequence[Record]) -> Point:
        high, low = (tuple(record.score(self.metric) for record in side) for side in (ours, theirs))
        if min(len(high), len(low)) < len(MAP_SEEDS):
            return Point(x, y, high, low, NOT_RUN)
        mine, other = ([self.measured.merit(score) for score in side] for side in (high, low))
        word = AHEAD if permutation_p(mine, other) <= LUCK else BEHIND if permutation_p(other, mine) <= LUCK else OPEN
        return Point(x, y, high, low, word)

    def to_dict(self, store: Store) -> dict[str, Any]:
        """JSON-ready: the axes, and the scores at every point."""
        about = {
            name: getattr(self, name) for name in ("name", "claim_id", "scale", "better", "worse", "metric", "question")
        }
        axes = {name: dataclasses.asdict(getattr(self, name)) for name in ("across", "up")}
        points = [dataclasses.asdict(point) | {"difference": point.difference} for point in self.points(store)]
        return {**about, **axes, "seeds": list(MAP_SEEDS), "points": [_finite(point) for point in points]}


def _finite(point: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: a run that diverged has no score."""
    sides = {name: [s if math.isfinite(s) else None for s in point[name]] for name in ("ours", "theirs")}
    return {**point, **sides}


STEPS, LAYERS = Axis("training steps", "training.steps", (200, 400, 800)), Axis("layers", "model.layers", (1, 2, 4))
WIDTH = Axis("width", "model.width", (32, 64, 128))
MAPS = {
    phase.name: phase
    for phase in (
        PhaseMap(
            *("copying", "R1", "RoPE + Canon", "RoPE", "accuracy"),
            Axis("width", "model.width", (16, 32, 64, 128)),
            Axis("layers", "model.layers", (1, 2)),
            "From which size on does a plain model copy, too?",
        ),
        PhaseMap(
            *("residual", "R4-residual", "Canon-ABCD", "Canon-ABCD, no residual", "kl", STEPS, LAYERS),
            "Where does Canon need its residual?",
        ),
        PhaseMap(
            *("on-top", "R6-depth", "GLA + AbCD", "GLA + b", "accuracy_k.1", STEPS),
            Axis("learning rate", "training.learning_rate", (2e-3, 4e-3, 8e-3)),
            "Where do Canon layers add to the convolution that is there already?",
        ),
        PhaseMap(
            *("capacity", "R5-capacity", "standard", "gated", "bits_per_parameter"),
            Axis("steps (3,125: 100 exposures)", "training.steps", (1562, 3125, 6250)),
            Axis("width", "model.width", (8, 16, 32)),
            "Where does gating cost capacity?",
        ),
        PhaseMap(
            *("depth", "R2-depth", "RoPE + Canon", "RoPE", "accuracy_k.1", STEPS),
            Axis("nodes of a cycle", "task_options.N", (6, 8, 10)),
            "With which budget do the sides part, on shorter and longer cycles?",
        ),
        PhaseMap(
            *("structure", "R2-structure", "RoPE + Canon", "RoPE", "kl", WIDTH, LAYERS),
            "Does a larger plain model catch up?",
        ),
    )
}


def map_table(phase: PhaseMap, store: Store) -> str:
    """The map as text: at every point, the mean score of both sides, and who is ahead on every pair of seeds."""
    points = {(point.x, point.y): point for point in phase.points(store)}
    asked = 2 * len(MAP_SEEDS) * len(points)
    here = sum(len(point.ours) + len(point.theirs) for point in points.values())
    kept = "" if "training.learning_rate" in (phase.across.option, phase.up.option) else "; rates as in the row"
    lines = [
        f"map {phase.name}: {phase.question}",
        f"  {phase.measured.label} of {phase.better} against {phase.worse}, around {phase.claim_id} at {phase.scale} scale, "
        f"{here} of {asked} runs, {len(MAP_SEEDS)} seeds a point{kept}",
        "  " + " " * 14 + "".join(f"{phase.across.label[:12] + ' ' + f'{x:g}':<26}" for x in phase.across.values),
    ]
    for y in reversed(phase.up.values):
        cells = (_cell(points[x, y]) for x in phase.across.values)
        lines.append(f"  {phase.up.label[:8] + ' ' + f'{y:g}':<14}" + "".join(f"{cell:<26}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


def _cell(point: Point) -> str:
    if point.word == NOT_RUN:
        return NOT_RUN
    return f"{fmean(point.ours):.3g} : {fmean(point.theirs):.3g} {point.word}"


def phase_map(name: str) -> PhaseMap:
    """The map with this name; an unknown one is refused with the nearest."""
    return choose("phase map", name, MAPS)
