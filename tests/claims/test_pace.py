"""How long a run will take, foreseen from what is recorded, without a step being taken."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median

import pytest

from physlm_lite.claims import SHIPPED
from physlm_lite.claims.pace import Pace, kind_of
from physlm_lite.training import Store


def test_kinds_of_runs_are_foreseen_from_the_others() -> None:
    records = [record for record in Store(SHIPPED) if record.status == "finished"]
    whole = Pace([], records)
    assert len(whole.shipped) > 100
    errors = []
    for record in {kind_of(record.run): record for record in records}.values():
        apart = Pace([], ())
        apart.shipped = {kind: seconds for kind, seconds in whole.shipped.items() if kind != kind_of(record.run)}
        apart._runs = whole._runs
        vars(apart)["_operations"] = whole._operations
        errors.append(abs(math.log(apart.foreseen(record.run) / whole.foreseen(record.run))))
    errors.sort()
    assert median(errors) <= math.log(1.15) and errors[int(0.9 * len(errors))] <= math.log(1.75)


def test_a_record_of_ones_own_tells_how_the_machines_compare() -> None:
    first, second = [r for r in Store(SHIPPED) if r.run.task == "copy" and r.status == "finished"][:2]
    slow = replace(first, seconds=3 * first.seconds, evaluation_seconds=3 * first.evaluation_seconds)
    there, here = Pace([], [first]), Pace([slow], [first])
    assert here.foreseen(first.run) == pytest.approx(3 * there.foreseen(first.run))
    other = second.run.but(model={**second.run.model, "width": 48})
    assert here.foreseen(other) == pytest.approx(3 * there.foreseen(other))
    assert there.foreseen(other.but(steps=2 * other.training.steps)) == pytest.approx(2 * there.foreseen(other))
    there.learn(slow)
    assert there.foreseen(other) == pytest.approx(here.foreseen(other))
    assert Pace([slow], []).foreseen(other) == pytest.approx(here.foreseen(other))  # where none ship
    with pytest.raises(ValueError, match="no run is recorded"):
        Pace([], []).foreseen(other)
