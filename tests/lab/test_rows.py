"""Rows and curves of a family of claims, and the tables of their verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import dots_of

from physlm_lite import lab
from physlm_lite.claims import Claim, Outcome, claim, recorded
from physlm_lite.training import Record, Store

RESIDUAL, EACH = claim("R4-residual"), claim("R4-each")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Records for every run of one claim; one run without the residual diverged."""
    store = Store(tmp_path_factory.mktemp("records"))
    for side, run in RESIDUAL.at_first["toy"].walk():
        kl = {"RoPE": 0.2, "Canon-ABCD": 0.05}.get(side, 0.1) + 0.001 * run.seed
        status = "diverged" if "no residual" in side and run.seed == 2 else "finished"
        point = {"step": 400, "seconds": 9.0, "loss": 1.0, "kl": kl, "accuracy": 0.4}
        store.add(Record(run, status, [point], 9.0, 0.1, 95_000, 100, format=1))
    return store


def outcome(of: Claim, store: Store) -> Outcome:
    return recorded(of, "toy", store)


def test_the_ladder_shows_each_side_once_with_every_seed(store: Store) -> None:
    figure = lab.rows_figure(outcome(RESIDUAL, store), outcome(EACH, store), order=("RoPE", "Canon-A"))
    kl, valid, costs = figure.axes
    assert [label.get_text() for label in kl.get_yticklabels()] == [
        "RoPE",
        "Canon-A",
        "Canon-ABCD",
        "Canon-ABCD, no residual",
        "Canon-B",
        "Canon-C",
        "Canon-D",
    ]
    dots = dots_of(kl)
    assert dots[dots[:, 1] == 0][:, 0] == pytest.approx(np.array([0.2, 0.201, 0.202]))
    assert sorted(dots[:, 1]) == [0, 0, 0, 2, 2, 2, 3, 3]
    notes = [text.get_text() for text in kl.texts]
    assert notes.count("no records yet") == 4 and "1 of 3 runs diverged" in notes
    assert len(dots_of(valid)) == len(dots)
    assert {text.get_text() for text in costs.texts} == {"parameters", "95.0 k", "seconds", "9 s"}


def test_the_ladder_can_be_drawn_without_records(tmp_path: Path) -> None:
    empty = outcome(EACH, Store(tmp_path))
    figure = lab.rows_figure(empty)
    assert "no records yet" in figure.get_suptitle()
    assert "not run" in lab.verdict_line(empty).text


def test_the_verdict_line_is_the_rules_word(store: Store) -> None:
    known = outcome(RESIDUAL, store)
    assert known.verdict.word in lab.verdict_line(known).text


def test_the_curves_have_both_clocks(store: Store) -> None:
    steps, seconds = lab.curves_figure(outcome(RESIDUAL, store), "kl").axes
    assert (steps.get_xlabel(), seconds.get_xlabel()) == ("training step", "seconds of training")
    assert steps.get_ylabel() == "KL to the truth (nats)"


def test_what_is_known_begins_with_the_toy_scale_and_every_rule_has_a_line() -> None:
    assert lab.known(RESIDUAL)[0].scale == "toy"
    assert all(all(o.records.values()) for o in lab.known(RESIDUAL)[1:])
    lines = lab.rule_table(RESIDUAL, EACH).text.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["R4-residual"] + ["R4-each"] * 4
