"""The `physlm` command: each verb is one call into the library."""

from .command import VERBS, main

__all__ = ["VERBS", "main"]
