"""Notebook 10, feed forward: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
