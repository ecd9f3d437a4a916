"""What the shipped records must be, whatever they say: the verdicts that are written down, on grids walked by both sides."""

from __future__ import annotations

import pytest
from claims.verdicts import TABLE, verdicts

from physlm_lite.claims import CLAIMS, SHIPPED, recorded
from physlm_lite.claims.rules import NOT_RUN
from physlm_lite.training import Store

RECORDED = [tuple(line.split(":")[0].split(", ")) for line in TABLE.read_text(encoding="utf-8").splitlines()]


def test_the_verdicts_are_the_ones_that_are_written_down() -> None:
    written = TABLE.read_text(encoding="utf-8").splitlines()
    assert verdicts() == written, "run `python tests/claims/verdicts.py` and read the difference"


def test_every_claim_is_recorded_at_its_smallest_scale() -> None:
    smallest = {(name, list(claim.experiments)[1]) for name, claim in CLAIMS.items()}  # the first is smoke
    assert smallest <= set(RECORDED)


@pytest.mark.parametrize(("name", "scale"), RECORDED)
def test_a_verdict_rests_on_every_seed_and_on_a_grid_that_both_sides_walked(name: str, scale: str) -> None:
    claim, outcome = CLAIMS[name], recorded(CLAIMS[name], scale, Store(SHIPPED))
    assert outcome.verdict.word != NOT_RUN
    assert {len(records) for records in outcome.records.values()} == {len(outcome.experiment.seeds)}
    scales = list(claim.experiments)
    grids = [
        claim.experiments[s].tuning for s in reversed(scales[1 : scales.index(scale) + 1])
    ]  # a rate may be borrowed
    whole = [grid for grid in grids if all((SHIPPED / f"{run.hash}.json").exists() for _, run in grid.walk())]
    assert whole, "no grid is complete"
    assert {side: whole[0].best_rate(side, Store(SHIPPED)) for side in outcome.records} == outcome.rates
