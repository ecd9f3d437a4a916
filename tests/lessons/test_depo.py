"""Notebook 03's pictures have labels."""

from __future__ import annotations

import pytest

from physlm_lite.claims import Outcome, claim, replicate
from physlm_lite.lessons.depo.figures import ladder_figure, size_figure
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return replicate(claim("R2-depth"), "smoke", store=Store(tmp_path_factory.mktemp("runs")))


def test_the_figures_have_labels(outcome: Outcome) -> None:
    for figure in (ladder_figure(outcome), size_figure((30, 40))):
        assert any(axis.get_ylabel() for axis in figure.axes)
