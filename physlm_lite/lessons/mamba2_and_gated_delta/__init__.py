"""Notebook 12, mamba2 and gated delta: its figures and its exercises."""

from .exercises import check as check
