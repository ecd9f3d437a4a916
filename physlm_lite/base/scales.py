"""The one dial: how large an experiment is."""

from __future__ import annotations

import os

from .strict import choose

SCALES = {
    "smoke": "seconds: does everything run (tests)",
    "toy": "both sides of a claim, one seed, in two minutes on two CPU cores",
    "laptop": "the same in twenty minutes",
    "gpu": "within an hour on one GPU",
    "paper": "the published setting",
}


def scale_of(name: str | None = None) -> str:
    """The scale asked for: `name`, else PHYSLM_SCALE, else "toy"; an unknown one is refused with the nearest."""
    name = os.environ.get("PHYSLM_SCALE") or "toy" if name is None else name
    choose("scale", name, SCALES)
    return name
