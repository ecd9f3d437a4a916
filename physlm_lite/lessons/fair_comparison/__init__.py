"""Notebook 13, the fair comparison: its figures and its exercises."""

from .exercises import check as check
