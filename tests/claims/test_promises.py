"""What the shipped records must be, whatever they say: the verdicts that are written down, on grids walked by both sides."""

from __future__ import annotations

import pytest
from claims.verdicts import TABLE, line

from physlm_lite.claims import CLAIMS, SHIPPED, recorded
from physlm_lite.training import Store

WRITTEN = {text.partition(":")[0]: text for text in TABLE.read_text(encoding="utf-8").splitlines()}
ROWS = [(name, scale) for name, claim in CLAIMS.items() for scale in claim.experiments if scale != "smoke"]


def test_what_is_written_down_is_of_this_ledger_and_begins_at_the_smallest_scale() -> None:
    rows = [f"{name}, {scale}" for name, scale in ROWS]
    assert list(WRITTEN) == [row for row in rows if row in WRITTEN]
    assert {f"{name}, {list(claim.experiments)[1]}" for name, claim in CLAIMS.items()} <= set(WRITTEN)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_a_verdict_is_the_one_that_is_written_down_and_rests_on_whole_grids(name: str, scale: str) -> None:
    claim, outcome = CLAIMS[name], recorded(CLAIMS[name], scale, Store(SHIPPED))
    assert line(outcome) == WRITTEN.get(f"{name}, {scale}"), "run `make verdicts` and read the difference"
    if line(outcome) is None:
        return
    assert {len(records) for records in outcome.records.values()} == {len(outcome.experiment.seeds)}
    scales = list(claim.experiments)
    grids = [
        claim.experiments[s].tuning for s in reversed(scales[1 : scales.index(scale) + 1])
    ]  # a rate may be borrowed
    whole = [grid for grid in grids if all((SHIPPED / f"{run.hash}.json").exists() for _, run in grid.walk())]
    assert whole, "no grid is complete"
    assert {side: whole[0].best_rate(side, Store(SHIPPED)) for side in outcome.records} == outcome.rates
