"""Notebook 03's pictures have labels, and its table knows when a rung was learnt."""

from __future__ import annotations

import pytest

from physlm_lite.claims import Outcome, claim, recorded, replicate
from physlm_lite.lessons.depo.figures import ladder_figure, rung_table, size_figure
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return replicate(claim("R2-depth"), "smoke", store=Store(tmp_path_factory.mktemp("runs")))


def test_the_figures_have_labels(outcome: Outcome) -> None:
    for figure in (ladder_figure(outcome), size_figure((30, 40))):
        assert any(axis.get_ylabel() for axis in figure.axes)


def test_a_rung_has_a_step_for_each_seed() -> None:
    known = recorded(claim("R2-depth"), "toy")
    lines = rung_table(known).text.splitlines()[1:]
    seeds = {side: len(records) for side, records in known.records.items()}
    assert len(lines) >= len(seeds)
    for line in lines:
        side, k, steps = line.split("  ")
        assert k.startswith("k = ")
        assert len(steps.split(", ")) == seeds[side]
