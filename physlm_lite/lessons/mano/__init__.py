"""Notebook 06, mano: its figures and its exercises."""

from .exercises import check as check
