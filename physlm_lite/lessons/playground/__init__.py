"""Notebook 01, playground: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
