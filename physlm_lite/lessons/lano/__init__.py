"""Notebook 07, lano: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
