"""Notebook 11, gated linear attention: its figures and its exercises."""

from .exercises import check

__all__ = ["check"]
