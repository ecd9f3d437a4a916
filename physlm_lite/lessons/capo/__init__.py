"""Notebook 05, capo: its figures and its exercises."""

from .exercises import check as check
