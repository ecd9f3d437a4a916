"""A recorded run carried out again from its first step, and compared with what was recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..base.machine import describe_machine, device_of, single_thread
from ..base.strict import choose
from ..training import FORMAT, Progress, Record, Store, train
from .claim import Claim
from .replicate import everything, recorded

ALIKE = ("device", "cpu", "torch", "threads")  # machines that agree in these compute the same bits
LOSS, SCORE = 0.02, 0.05  # elsewhere: of the loss, relative; of a score, beside two standard errors of its test


@dataclass(frozen=True)
class Comparison:
    """What became of a run that was carried out again.

    exact: the machines are of one kind, so that every bit must be the same. differences: what is not as it must be, each
    in words; none: the record is confirmed.
    """

    record: Record
    again: Record
    exact: bool
    differences: tuple[str, ...]

    @property
    def confirmed(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        run = f"{self.record.id} (seed {self.record.run.seed}, {self.record.run.training.steps:,} steps)"
        how = (
            "to the bit"
            if self.exact
            else f"within {LOSS:.0%} of the loss and {SCORE:g} of each score, on another machine"
        )
        if self.confirmed:
            return f"{run}: confirmed {how}"
        return f"{run}: NOT confirmed; compared {how}: {'; '.join(self.differences)}"


def verify(
    claim: Claim,
    scale: str,
    name: str | None = None,
    *,
    store: Store | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Comparison:
    """Carry out one reported run of a claim again (the first, or the one whose record has this name), and compare.

    Nothing is written. Raises ValueError where there is no such record, or none that can be carried out again.
    """
    store = store or everything()
    outcome = recorded(claim, scale, store)
    every = (*outcome.records.values(), *outcome.in_time.values())
    records = {record.id: record for of in every for record in of}
    if not records:
        raise ValueError(
            f"nothing is recorded of {claim.id} at {scale} scale; try physlm replicate {claim.id} --scale {scale}"
        )
    record = next(iter(records.values())) if name is None else choose(f"record of {claim.id}", name, records)
    if record.format != FORMAT:
        raise ValueError(
            f"{record.id} is a record of the first protocol, whose weights were drawn in another way; it can be looked at, but "
            "not carried out again"
        )
    with single_thread():
        again = train(record.run, progress=progress, stop=stop)
        here = describe_machine(device_of(None))
    if again.status == "stopped":
        raise ValueError(f"stopped before {record.id} could be compared")
    exact = all(record.machine.get(key) == here[key] for key in ALIKE)
    return Comparison(record, again, exact, tuple(_differences(record, again, exact)))


def _differences(record: Record, again: Record, exact: bool) -> Iterator[str]:
    """Where two runs of one configuration part, beginning with the first evaluation that does."""
    if record.status != again.status:
        yield f"recorded as {record.status}, now {again.status}"
        return
    for before, now in zip(record.curve, again.curve, strict=False):
        found = [
            f"{key} {old:.6g} at step {before['step']:,}, now {new:.6g}"
            for key, old, new in _numbers(before, now)
            if not _agree(record, key, old, new, before, exact)
        ]
        if found:
            yield "; ".join(found[:4])
            return
    if len(record.curve) != len(again.curve):
        yield f"{len(record.curve)} evaluations are recorded, and there are {len(again.curve)} now"


def _numbers(before: dict[str, Any], now: dict[str, Any], within: str = "") -> Iterator[tuple[str, float, float]]:
    """Each number of an evaluation beside its new value; times are not compared."""
    for key in before:
        if key == "seconds":
            continue
        old, new = before[key], now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _numbers(old, new, f"{within}{key}.")
        elif isinstance(old, int | float):
            yield f"{within}{key}", float(old), float(new) if isinstance(new, int | float) else math.nan


def _agree(record: Record, key: str, old: float, new: float, scores: dict[str, Any], exact: bool) -> bool:
    if exact or key in ("step", "tokens") or key.startswith("count"):
        return old == new
    metric = record.run.made_task.metrics.get(key)
    if metric is None:
        return True  # neither a loss nor a declared score, such as a standard error
    if not metric.share:
        return math.isclose(old, new, rel_tol=LOSS if key == "loss" else 4 * LOSS, abs_tol=SCORE / 10)
    return abs(old - new) <= SCORE + 2 * (metric.error_of(scores) or 0.0)
