"""The verdicts of the shipped records, a line an experiment, kept in verdicts.txt beside this file.

They are pinned, not wished for: whoever adds or replaces records runs ``make verdicts`` (this file), and a reviewer reads
in the difference which words and numbers have changed, for better or worse.
"""

from __future__ import annotations

from pathlib import Path

from physlm_lite.claims import CLAIMS, SHIPPED, Outcome, recorded
from physlm_lite.claims.rules import NOT_RUN
from physlm_lite.training import Store

TABLE = Path(__file__).with_suffix(".txt")


def line(outcome: Outcome) -> str | None:
    """The word, then the numbers that led to it; None without records."""
    word, reason = outcome.verdict.word, outcome.verdict.reason
    return None if word == NOT_RUN else f"{outcome.claim.id}, {outcome.scale}: {word}. {reason}"


if __name__ == "__main__":
    store = Store(SHIPPED)
    lines = [line(recorded(claim, scale, store)) for claim in CLAIMS.values() for scale in claim.experiments]
    TABLE.write_text("".join(f"{text}\n" for text in lines if text is not None), encoding="utf-8")
