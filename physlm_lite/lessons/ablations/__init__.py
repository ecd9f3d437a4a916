"""Notebook 09, ablations: its figures and its exercises."""

from .exercises import check as check
