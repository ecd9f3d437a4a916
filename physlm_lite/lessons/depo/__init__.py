"""Notebook 03, depo: its figures and its exercises."""

from .exercises import check as check
