"""Notebook 14, real text: its figures and its exercises."""

from .exercises import check as check
