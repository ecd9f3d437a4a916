"""The exercises of the notebooks: a solution, and the usual mistakes that the check can name."""

from ..checks import Exercise
from . import (
    ablations,
    brevo,
    capo,
    feed_forward,
    first,
    gated_linear_attention,
    lano,
    mano,
    playground,
    positions,
    state_spaces,
)

EXERCISES: dict[str, Exercise] = {}
for _module in (
    first,
    playground,
    brevo,
    capo,
    mano,
    lano,
    positions,
    ablations,
    feed_forward,
    gated_linear_attention,
    state_spaces,
):
    if _twice := EXERCISES.keys() & _module.EXERCISES.keys():
        raise ValueError(f"two exercises have the same name: {', '.join(_twice)}")
    EXERCISES |= _module.EXERCISES

__all__ = ["EXERCISES"]
