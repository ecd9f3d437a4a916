"""Notebook 02, canon layer: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
