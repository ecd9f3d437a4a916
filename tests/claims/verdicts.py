"""The verdicts of the shipped records, a line an experiment, kept in verdicts.txt beside this file.

They are pinned, not wished for: whoever adds or replaces records runs ``python tests/claims/verdicts.py`` (or
``make verdicts``), and a reviewer reads in the difference which words and numbers have changed, for better or worse.
"""

from __future__ import annotations

from pathlib import Path

from physlm_lite.claims import SHIPPED
from physlm_lite.claims.ledger import ledger
from physlm_lite.claims.rules import NOT_RUN
from physlm_lite.training import Store

TABLE = Path(__file__).with_suffix(".txt")


def verdicts() -> list[str]:
    """A line for each claim and scale with records: the word, then the numbers that led to it."""
    rows = ledger(Store(SHIPPED))
    return [f"{r['claim']}, {r['scale']}: {r['verdict']}. {r['reason']}" for r in rows if r["verdict"] != NOT_RUN]


if __name__ == "__main__":
    TABLE.write_text("\n".join(verdicts()) + "\n", encoding="utf-8")
