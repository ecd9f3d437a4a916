"""Notebook 02, canon layer: its figures and its exercises."""

from .exercises import check as check
