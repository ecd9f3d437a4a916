"""The exercises of the notebooks: a solution, and the usual mistakes that the check can name."""

from ..checks import Exercise
from . import brevo, capo, first, lano, mano, playground

EXERCISES: dict[str, Exercise] = {}
for _module in (first, playground, brevo, capo, mano, lano):
    if _twice := EXERCISES.keys() & _module.EXERCISES.keys():
        raise ValueError(f"two exercises have the same name: {', '.join(_twice)}")
    EXERCISES |= _module.EXERCISES

__all__ = ["EXERCISES"]
