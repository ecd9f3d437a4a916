"""What the ledger still lacks at one scale, in the order in which it is worth most, and how long it takes here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..training import Record, Run, Store, TooLarge
from .catalogue import CLAIMS
from .claim import Claim
from .pace import Pace
from .phase_map import MAPS, PhaseMap
from .queue import Job
from .replicate import SHIPPED, needed, planned, rates_known


@dataclass(frozen=True)
class Row:
    """A row of the ledger that lacks something. runs, seconds: how much, as far as can be told."""

    claim: Claim
    scale: str
    runs: int
    seconds: float
    records: Mapping[str, Sequence[Record]] = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.claim.id} {self.scale}"

    @cached_property
    def doubt(self) -> float:
        """How near its numbers are to the other verdict: half-widths of an interval from no difference, the nearest."""
        if min(map(len, self.records.values())) < 2:
            return 0.0
        experiment = self.claim.experiment(self.scale).at_hand
        found = [comparison for rule in experiment.rules for comparison in rule.judge(self.records).comparisons]
        known = [
            (c.difference - c.ratio, c.interval) for c in found if c.interval is not None and c.difference is not None
        ]
        return min((2 * abs(difference) / max(high - low, 1e-12) for difference, (low, high) in known), default=0.0)

    @property
    def judged(self) -> bool:
        """Whether every seed of every side is there, so that the row says something."""
        return min(map(len, self.records.values())) == len(self.claim.experiment(self.scale).seeds)

    @property
    def says(self) -> str:
        seeds = min(map(len, self.records.values()))
        return f"{seeds} seeds, {self.doubt:.1f} half-widths from no difference" if seeds else "no fresh seeds yet"

    def next(self, store: Store) -> Iterator[Run]:
        """The runs that can be carried out now."""
        return (run for _, run in needed(self.claim, self.scale, store, walk=True))


@dataclass(frozen=True)
class MapRow:
    """A phase map that lacks runs."""

    phase: PhaseMap
    runs: int
    seconds: float

    @property
    def name(self) -> str:
        return f"map {self.phase.name}"

    says = "phase map"

    def next(self, store: Store) -> Iterator[Run]:
        """The runs that can be carried out now: none until the row around which it looks has chosen the rates."""
        return iter(self.phase.missing(store))


class Plan:
    """All rows at a scale that lack something: those without a verdict first, the quick ones before the others; then those whose
    numbers say least; then the phase maps. A row is finished before the next is begun, so that verdicts come early. Every side
    walks its own grid: what is borrowed is no row of the second protocol.

    expected: how many runs it all is, and how many seconds. left_out: rows that this machine cannot carry out, and why.
    """

    def __init__(self, scale: str, store: Store) -> None:
        self.scale, self.store, pace = scale, store, Pace(Store(store.folders[0]), Store(SHIPPED))
        self.left_out: dict[str, str] = {}
        self.complete, rows = 0, []
        each: dict[str, float] = {}  # two rows may need the same run
        for claim in (claim for claim in CLAIMS.values() if scale in claim.experiments):
            runs = planned(claim, scale, store, walk=True)
            self.complete += not runs
            try:
                seconds = {run.hash: pace.seconds(run) for run in runs}
            except TooLarge as error:
                self.left_out[f"{claim.id} {scale}"] = str(error)
                continue
            if runs:
                each |= seconds
                rows.append(Row(claim, scale, len(runs), sum(seconds.values()), _reported(claim, scale, store)))
        rows.sort(key=lambda row: (row.judged, row.doubt if row.judged else 0.0, row.seconds))
        maps = []
        for phase in (phase for phase in MAPS.values() if phase.scale == scale and phase.claim_id in CLAIMS):
            seconds = {run.hash: pace.seconds(run) for run in phase.missing(store)}
            each |= seconds
            maps += [MapRow(phase, len(seconds), sum(seconds.values()))] if seconds else []
        self.pace, self.expected = pace, (len(each), sum(each.values()))
        self.rows: list[Row | MapRow] = [*rows, *sorted(maps, key=lambda row: row.seconds)]

    def jobs(self) -> Iterator[Job]:
        """What can be carried out now, the most wanted first."""
        for row in self.rows:
            for run in row.next(self.store):
                yield Job(row.name, run, self.pace.seconds(run))


def _reported(claim: Claim, scale: str, store: Store) -> dict[str, list[Record]]:
    """The reported seeds of each side that are there already, at its best rate."""
    experiment, rates = claim.experiment(scale).at_hand, rates_known(claim, scale, store, walk=True)
    found: dict[str, list[Record]] = {side: [] for side in experiment.sides}
    for side, (rate, _) in rates.items():
        records = (experiment.find(experiment.run(side, rate, seed), store) for seed in experiment.seeds)
        found[side] = [record for record in records if record is not None]
    return found
