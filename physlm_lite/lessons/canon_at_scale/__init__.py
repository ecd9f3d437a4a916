"""Notebook 15, Canon at scale: its figures and its exercises."""

from .exercises import check as check
