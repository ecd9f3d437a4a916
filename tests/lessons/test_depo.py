"""Notebook 03's pictures have labels, and its rings are those of the texts."""

from __future__ import annotations

import pytest

from physlm_lite.claims import Outcome, claim, replicate
from physlm_lite.lab.reading import first_texts
from physlm_lite.lessons.depo.figures import depo_ring, ladder_figure, size_figure
from physlm_lite.tasks import Depo
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return replicate(claim("R2-depth"), "smoke", store=Store(tmp_path_factory.mktemp("runs")))


def test_the_figures_have_labels(outcome: Outcome) -> None:
    for figure in (ladder_figure(outcome), size_figure((30, 40))):
        assert any(axis.get_ylabel() for axis in figure.axes)


@pytest.mark.parametrize(
    "names", [{"V": 12, "longest": 1}, {"V": 3, "shortest": 2, "longest": 4}], ids=["short", "long"]
)
def test_the_rings_of_the_page_are_those_of_the_texts(names: dict) -> None:
    task = Depo(N=8, K=6, **names)
    data = depo_ring(task).data
    assert [len(ring["names"]) for ring in data["rings"]] == list(range(3, 13))
    for n, ring in enumerate(data["rings"], data["first"]):
        one = Depo(N=n, K=6, sizes="fixed", **names)
        successor, _ = one.read(first_texts(one.batch(0, 0, 1))[0])
        spelled = {
            " ".join(one.vocabulary[t] for t in a): " ".join(one.vocabulary[t] for t in b) for a, b in successor.items()
        }
        pairs = [(ring["names"][place], ring["names"][(place + 1) % n]) for place in ring["edges"]]
        assert pairs == list(spelled.items())
