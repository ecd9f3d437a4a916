"""Notebook 08, positions: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
