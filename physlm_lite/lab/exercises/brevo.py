"""Exercises of notebook 04."""

from __future__ import annotations

from ..checks import Exercise

EXERCISES: dict[str, Exercise] = {}
