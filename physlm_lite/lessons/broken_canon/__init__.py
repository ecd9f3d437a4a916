"""Notebook 02b, broken on purpose: eight wrong Canon layers, and the exercises that tell them apart."""

from .exercises import check as check
