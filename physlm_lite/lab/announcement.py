"""What a claim is about to run and what it will cost here, said before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..claims import SHIPPED, Claim, recorded
from ..claims.pace import Pace
from ..training import Cost, Record, Run, Store, refuse_too_large, runs_folder


def announcement(claim: Claim, scale: str, runs: Sequence[Run], workers: int = 1) -> str:
    """One sentence about the runs that are still to be carried out, `workers` at a time, from what is recorded of such runs.

    Raises `TooLarge` for what cannot fit.
    """
    begin = f"{claim.id} at {scale} scale: "
    if not runs:
        return begin + "all runs are recorded already (--again carries them out anew)"
    memory = refuse_too_large(max(runs, key=lambda run: run.model_config.parameters))
    pace = Pace(*(_records(claim, scale, Store(folder)) for folder in (runs_folder(), SHIPPED)))
    seconds = sum(map(pace.seconds, runs))
    each, whole = Cost(seconds / len(runs), memory), seconds / workers
    text = f"{whole:.0f} s" if whole < 100 else f"{whole / 60:.1f} min"
    return (
        f"{begin}{len(runs)} run{'s' * (len(runs) > 1)}, each {each}; about {text} in all"
        + f", {workers} at a time" * (workers > 1)
    )


def _records(claim: Claim, scale: str, store: Store) -> Iterator[Record]:
    for records in recorded(claim, scale, store).records.values():
        yield from records
