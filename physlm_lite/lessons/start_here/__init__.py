"""Notebook 00, start here: its exercises."""

from .exercises import check as check
