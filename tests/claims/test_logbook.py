"""The reported runs in a logbook that others read; trackio itself is not needed to see what it is given."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from physlm_lite.claims import CLAIMS, SHIPPED, recorded
from physlm_lite.claims.logbook import log_records
from physlm_lite.training import Store


def test_every_reported_run_is_logged_once_with_its_whole_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: dict[str, dict[str, Any]] = {}

    def init(**options: Any) -> SimpleNamespace:
        run = runs[options["name"]] = {**options, "points": [], "finished": 0}

        def finish() -> None:
            run["finished"] += 1

        return SimpleNamespace(log=lambda scores, step: run["points"].append((step, scores)), finish=finish)

    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=init))
    outcome = recorded(CLAIMS["R2-depth"], "toy", Store(SHIPPED))
    assert log_records([outcome, outcome], "mine") == len(runs) == 10
    for records in outcome.records.values():
        for record in records:
            run = runs[record.id]
            assert (run["project"], run["finished"]) == ("mine", 1)
            assert run["group"].startswith("R2-depth, toy: RoPE")
            assert run["config"]["training"]["steps"] == 400
            assert [step for step, _ in run["points"]] == [point["step"] for point in record.curve]
            last = run["points"][-1][1]
            assert last["accuracy_k.1"] == record.score("accuracy_k.1") and last["loss"] == record.final["loss"]


def test_without_trackio_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ValueError, match="needs the package trackio; install it with: pip install trackio"):
        log_records([])
