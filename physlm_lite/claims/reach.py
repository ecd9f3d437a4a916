"""Which scale of a claim this machine can carry out: the dial asked for one, and the nearest that there is takes its place."""

from __future__ import annotations

from ..base.machine import device_of
from ..base.scales import SCALES, scale_of
from .claim import Claim

NEED_A_GPU = ("gpu", "paper")


def why_not(claim: Claim, scale: str) -> str:
    """In one sentence, why a claim cannot be carried out at a scale here; empty if it can."""
    if scale not in claim.experiments:
        return f"{claim.id} has nothing at {scale} scale" + (
            f": {claim.no_gpu}" if scale == "gpu" and claim.no_gpu else ""
        )
    if scale not in NEED_A_GPU or device_of(None).type != "cpu":
        return ""
    from .bill import bill, in_words  # heavy, and seldom asked

    return (
        f"{claim.id} at {scale} scale would take about {in_words(bill(claim, scale, 'cpu').whole)} here, without a GPU"
    )


def nearest_scale(claim: Claim, asked: str | None = None) -> str:
    """The scale that is asked for (None: by the dial); where it cannot be had, the next smaller one that shows something,
    else the next larger one."""
    asked = scale_of(asked)
    order = list(SCALES)
    place = order.index(asked)
    there = [scale for scale in (*order[place::-1], *order[place:]) if scale in claim.experiments]
    can = [scale for scale in there if scale not in NEED_A_GPU or device_of(None).type != "cpu"]
    return next((scale for scale in can if scale == asked or scale != "smoke"), "smoke")
