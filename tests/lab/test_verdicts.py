"""Verdicts in words: they say what the word says, of every record that ships."""

from __future__ import annotations

import dataclasses

import pytest

from physlm_lite.claims import CLAIMS, SHIPPED, Outcome, claim, recorded
from physlm_lite.claims.rules import CONTRADICTED, HOLDS, NOT_RUN
from physlm_lite.lab import ledger_row, verdict_line
from physlm_lite.lab.verdicts import bar, disagreement, sentences
from physlm_lite.training import Store

STORE = Store(SHIPPED)
OUTCOMES = [recorded(c, scale, STORE) for c in CLAIMS.values() for scale in c.experiments if scale in ("toy", "laptop")]
JUDGED = [outcome for outcome in OUTCOMES if outcome.verdict.word != NOT_RUN]


def test_every_verdict_has_its_bar_and_both_clocks() -> None:
    assert len(JUDGED) > 50
    for outcome in JUDGED:
        for text in sentences(outcome):
            assert text.endswith(".") and "None" not in text and "nan" not in text
            if outcome.protocol == 2 and outcome.verdict.comparisons:
                assert "The bar: " in text and "Equal steps: " in text and "equal seconds: " in text
    for rule in {
        type(rule): rule for outcome in OUTCOMES for rule in outcome.experiment.rules if outcome.protocol == 2
    }.values():
        assert bar(rule, lambda name: name)


@pytest.mark.parametrize("word", [HOLDS, CONTRADICTED])
def test_a_bar_is_cleared_where_the_claim_holds_and_missed_where_it_does_not(word: str) -> None:
    found = [o for o in JUDGED if o.protocol == 2 and o.verdict.word == word and len(o.experiment.rules) == 1]
    assert len(found) > 3
    for outcome in found:
        at_steps = sentences(outcome)[0].partition("Equal steps: ")[2].partition("; equal seconds")[0]
        assert ("missed" in at_steps or "was asked" in at_steps) == (word == CONTRADICTED), (outcome.claim.id, at_steps)


def test_what_was_not_judged_says_so_without_machinery() -> None:
    outcome = next(o for o in JUDGED if o.claim.id == "R8-convolution" and o.scale == "toy")
    three = {side: runs[:3] for side, runs in outcome.records.items()}
    assert sentences(dataclasses.replace(outcome, records=three)) == [
        "Not judged yet: 5 seeds of each side are asked for, recorded are 3 of GDN, no convolution, 3 of GDN + b."
    ]
    nothing = Outcome(outcome.claim, "toy", {}, {side: [] for side in outcome.records})
    assert sentences(nothing) == ["Not run yet at this scale."]


def test_scales_that_disagree_say_so() -> None:
    both = [recorded(claim("R2-depth"), scale, STORE) for scale in ("toy", "laptop")]
    words = [outcome.verdict.word for outcome in both]
    assert bool(disagreement(both)) == (words[0] != words[1])
    assert disagreement(both[:1]) == "" and disagreement([both[0], recorded(claim("R1"), "toy", STORE)]) == ""
    capacity = [recorded(claim("R2-capacity"), scale, STORE) for scale in ("toy", "laptop")]
    assert "RoPE ahead in the mean at toy" in disagreement(capacity)


def test_the_sentence_stands_before_the_numbers_and_ids_are_folded() -> None:
    outcome = JUDGED[0]
    for block in (verdict_line(outcome), ledger_row(outcome)):
        first, _, folded = block.markup.partition("<details>")
        assert outcome.verdict.word in first and outcome.claim.id in first
        ids = [record.id[:7] for records in outcome.records.values() for record in records]
        assert all(name in folded and name not in first for name in ids)
    many = ledger_row(*JUDGED[:4])
    assert (
        many.markup.index("</table>")
        < many.markup.index("<details>")
        < many.markup.index("The bar" if "The bar" in many.markup else "Found")
    )
