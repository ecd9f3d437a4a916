"""Notebook 03, depo: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
