"""Notebook 06, mano: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
