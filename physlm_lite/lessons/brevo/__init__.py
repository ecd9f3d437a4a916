"""Notebook 04, brevo: its figures and its exercises."""

from .exercises import check as check
