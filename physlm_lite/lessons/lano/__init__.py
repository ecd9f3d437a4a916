"""Notebook 07, lano: its figures and its exercises."""

from .exercises import check as check
