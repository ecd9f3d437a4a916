"""Notebook 08, positions: its figures and its exercises."""

from .exercises import check as check
