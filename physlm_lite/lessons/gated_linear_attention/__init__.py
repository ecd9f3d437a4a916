"""Notebook 11, gated linear attention: its figures and its exercises."""

from .exercises import check as check
