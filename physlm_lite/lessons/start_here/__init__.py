"""Notebook 00, start here: its exercises."""

from .exercises import check

__all__ = ["check"]
