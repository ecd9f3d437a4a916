"""Notebook 99, teaching with the kit: plans, answers, the class page, and exercises on what a class can tell."""

from .exercises import check as check
