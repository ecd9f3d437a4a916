"""What the shipped records say, a line an experiment, and by which rules, kept in verdicts.txt and rules.txt beside this file.

They are pinned, not wished for: whoever adds or replaces records runs ``make verdicts`` (this file), and a reviewer reads
in the difference which words and numbers have changed, for better or worse. Each verdict ends with a digest of all records
that it rests on, those of the grid included, so that no digit of them changes unseen. A rule that has records is never
rewritten here: to change one means to take its line out by hand, to say so in the history of its setting, and to try anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from physlm_lite.claims import CLAIMS, SHIPPED, Outcome, recorded
from physlm_lite.claims.rules import NOT_RUN
from physlm_lite.training import Record, Store

TABLE, RULES = Path(__file__).with_suffix(".txt"), Path(__file__).with_name("rules.txt")


def line(outcome: Outcome, store: Store) -> str | None:
    """The word, the numbers that led to it, the word at equal seconds, and the digest; None without records."""
    word, reason = outcome.verdict.word, outcome.verdict.reason
    in_time = "" if outcome.protocol == 1 else f". At equal seconds: {outcome.verdict_in_time.word}"
    if word == NOT_RUN:
        return None
    return f"{outcome.claim.id}, {outcome.scale}: {word}. {reason}{in_time} [{digest(outcome, store)}]"


def digest(outcome: Outcome, store: Store) -> str:
    """Eight hexadecimal digits that name every number of the records behind an outcome."""
    experiment, tuning = outcome.experiment, outcome.experiment.tuning
    records: list[Record] = []
    for side in experiment.sides:
        rates = tuning.tune(side, store).tried if side in tuning.sides else ()
        runs = [tuning.run(side, rate, seed) for rate in rates for seed in tuning.tuning_seeds]
        records += [record for run in runs if (record := tuning.find(run, store)) is not None]
    records += [record for side in (*outcome.records.values(), *outcome.in_time.values()) for record in side]
    content = {record.id: [record.status, record.seconds, record.curve] for record in records}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def rule(outcome: Outcome) -> str:
    """The rules of an experiment in words."""
    return f"{outcome.claim.id}, {outcome.scale}, protocol {outcome.protocol}: {' And '.join(outcome.experiment.rule_texts)}"


def pinned_rules() -> dict[str, str]:
    """The lines of rules.txt by what stands before their colon."""
    if not RULES.exists():
        return {}
    return {text.partition(":")[0]: text for text in RULES.read_text(encoding="utf-8").splitlines()}


def outcomes(store: Store) -> list[Outcome]:
    return [recorded(claim, s, store) for claim in CLAIMS.values() for s in claim.experiments if s != "smoke"]


if __name__ == "__main__":
    store = Store(SHIPPED)
    judged = [outcome for outcome in outcomes(store) if outcome.verdict.word != NOT_RUN]
    TABLE.write_text("".join(f"{line(outcome, store)}\n" for outcome in judged), encoding="utf-8")
    pinned = pinned_rules()
    rules = [pinned.get(rule(outcome).partition(":")[0], rule(outcome)) for outcome in judged]
    RULES.write_text("".join(f"{text}\n" for text in rules), encoding="utf-8")
