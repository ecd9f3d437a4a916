"""Notebook 01, playground: its figures and its exercises."""

from .exercises import check as check
