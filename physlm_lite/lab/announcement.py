"""What a claim is about to run and what it will cost here, said before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from ..base.machine import single_thread
from ..claims import Claim
from ..training import Run, estimate


def announcement(claim: Claim, scale: str, runs: Sequence[Run], workers: int = 1) -> str:
    """One sentence about the runs that are still to be carried out, `workers` at a time, from a few timed steps.

    Raises `TooLarge` for what cannot fit.
    """
    begin = f"{claim.id} at {scale} scale: "
    if not runs:
        return begin + "all runs are recorded already (--again carries them out anew)"
    largest = max(runs, key=lambda run: run.model_config.parameters)
    with single_thread() if workers > 1 else nullcontext():
        one = estimate(largest)
    steps = sum(run.training.steps for run in runs)
    seconds = one.seconds / largest.training.steps * steps / workers
    whole = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    return f"{begin}{len(runs)} runs, each {one}; about {whole} in all" + f", {workers} at a time" * (workers > 1)
