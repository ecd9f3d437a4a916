"""What the shipped records must be, whatever they say: the verdicts that are written down, on grids walked by both sides."""

from __future__ import annotations

import dataclasses

import pytest
from claims.verdicts import TABLE, line, pinned_rules, rule

from physlm_lite.claims import CLAIMS, SHIPPED, recorded
from physlm_lite.training import Store

WRITTEN = {text.partition(":")[0]: text for text in TABLE.read_text(encoding="utf-8").splitlines()}
ROWS = [(name, scale) for name, claim in CLAIMS.items() for scale in claim.experiments if scale != "smoke"]


def test_what_is_written_down_is_of_this_ledger_and_begins_at_the_smallest_scale() -> None:
    rows = [f"{name}, {scale}" for name, scale in ROWS]
    assert list(WRITTEN) == [row for row in rows if row in WRITTEN]
    tried = {
        name: claim for name, claim in CLAIMS.items() if claim.at_first
    }  # a younger claim may wait for its records
    assert {f"{name}, {list(claim.experiments)[1]}" for name, claim in tried.items()} <= set(WRITTEN)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_a_verdict_is_the_one_that_is_written_down_and_rests_on_whole_grids(name: str, scale: str) -> None:
    claim, outcome = CLAIMS[name], recorded(CLAIMS[name], scale, Store(SHIPPED))
    store = Store(SHIPPED)
    found = line(outcome, store)
    assert found == WRITTEN.get(f"{name}, {scale}"), "run `make verdicts` and read the difference"
    if found is None:
        return
    said = rule(outcome)
    assert said == pinned_rules().get(said.partition(":")[0]), "a rule was edited after its records (see verdicts.py)"
    assert {len(records) for records in outcome.records.values()} == {len(outcome.experiment.seeds)}
    if outcome.protocol == 2:  # every side's own grid is complete; what was not tuned here says so
        for side in outcome.records:
            assert outcome.sources[side].startswith("tuned"), f"{side}: {outcome.sources[side]}"
            assert outcome.experiment.tune(side, store).rate == outcome.rates[side]
        return
    scales = list(claim.experiments)
    grids = [claim.at_first[s].tuning for s in reversed(scales[1 : scales.index(scale) + 1]) if s in claim.at_first]
    whole = [grid for grid in grids if all(grid.find(run, store) is not None for _, run in grid.walk())]
    assert whole, "no grid is complete"  # a rate may be borrowed
    assert {side: whole[0].best_rate(side, store) for side in outcome.records} == outcome.rates


def test_what_would_spoil_a_row_is_noticed() -> None:
    """A digit that was changed, a seed that is missing, and a rule that was edited."""
    store = Store(SHIPPED)
    outcome = recorded(CLAIMS["R1"], "toy", store)
    written = WRITTEN["R1, toy"]
    assert line(outcome, store) == written
    side, (first, *others) = next(iter(outcome.records.items()))
    point = first.curve[-1]
    changed = dataclasses.replace(first, curve=[*first.curve[:-1], point | {"loss": point["loss"] + 1e-6}])
    for records in ([changed, *others], others):
        spoilt = dataclasses.replace(outcome, records={**outcome.records, side: records})
        assert line(spoilt, store) != written
    rules = [dataclasses.replace(outcome.experiment.rules[0], at_least=0.98), *outcome.experiment.rules[1:]]  # type: ignore[call-arg]
    edited = dataclasses.replace(outcome, tried=dataclasses.replace(outcome.experiment, rules=rules))
    pinned = pinned_rules()
    assert rule(outcome) in pinned.values() and rule(edited) not in pinned.values()
