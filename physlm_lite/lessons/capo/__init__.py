"""Notebook 05, capo: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
