"""Figures say what they show: labels, seeds, and every seed's dot."""

from __future__ import annotations

import dataclasses
from itertools import chain
from statistics import fmean

import pytest
from drawn import dots_of

from physlm_lite.claims import CLAIMS, Outcome, claim, recorded, replicate
from physlm_lite.lab import (
    claim_card,
    effect_figure,
    ledger_row,
    outcome_figure,
    save_figure,
    scale_table,
    setting_table,
)
from physlm_lite.lab.plots import colour
from physlm_lite.lab.terminal import report
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return replicate(claim("R2-depth"), "smoke", store=Store(tmp_path_factory.mktemp("runs")))


def test_an_outcome_shows_every_seed(outcome: Outcome) -> None:
    figure = outcome_figure(outcome)
    assert len(dots_of(figure.axes[0])) == 2 * 3 * len(outcome.experiment.panels)
    assert "3 seeds" in figure.get_suptitle()
    assert figure.axes[0].get_ylabel()
    assert [axis.get_xlabel() for axis in figure.axes[-2:]] == ["training step", "seconds of training"]


def test_means_stand_on_their_dots_and_scores_that_are_no_shares_have_a_panel_of_their_own() -> None:
    structure = recorded(claim("R2-structure"), "toy")
    figure = outcome_figure(structure)
    panels = {axis.get_title(): axis for axis in figure.axes}
    for metric in structure.experiment.panels:
        axis = panels[metric.label]
        scores = [[r.score(metric.name) for r in runs] for runs in structure.records.values()]
        assert sorted(dots_of(axis)[:, 1]) == pytest.approx(sorted(chain(*scores)))
        assert [text.get_text() for text in axis.texts[: len(scores)]] == [f"{fmean(s):.2f}" for s in scores]
        assert [bar.get_height() for bar in axis.patches] == pytest.approx([fmean(s) for s in scores])


def test_the_front_page_figure_has_a_label(outcome: Outcome) -> None:
    assert any(axis.get_ylabel() for axis in effect_figure(outcome).axes)


@pytest.mark.parametrize("name", CLAIMS)
def test_no_two_sides_of_a_claim_share_a_colour(name: str) -> None:
    for experiment in CLAIMS[name].experiments.values():
        assert len({colour(side) for side in experiment.sides}) == len(experiment.sides)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("scale", ["toy", "laptop"])
def test_records_can_always_be_drawn(name: str, scale: str) -> None:
    if scale in CLAIMS[name].experiments:
        result = recorded(CLAIMS[name], scale)
        assert outcome_figure(result).axes
        assert result.verdict.word in ledger_row(result).text


@pytest.mark.parametrize("name", ["R2-depth", "R2-structure", "R2-capacity"])  # a share, a distance, bits
@pytest.mark.parametrize("tests", [0, 2])
@pytest.mark.parametrize("seeds", [1, 3])
def test_diverged_runs_are_drawn_and_told_whatever_the_score(name: str, tests: int, seeds: int) -> None:
    whole = recorded(claim(name), "toy")
    side = list(whole.records)[-1]
    runs = list(whole.records[side])
    fallen = [dataclasses.replace(run, status="diverged", curve=run.curve[:tests]) for run in runs[:seeds]]
    outcome = dataclasses.replace(whole, records={**whole.records, side: [*fallen, *runs[seeds:]]})
    metric = outcome.experiment.panels[0]
    figure, _ = outcome_figure(outcome), effect_figure(outcome)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert (f"{seeds} diverged" in texts) == (not metric.share)
    assert outcome.verdict.word in report(outcome).lower() and outcome.verdict.word in ledger_row(outcome).text
    assert "diverged" in outcome.verdict.reason or metric.share


def test_a_figure_is_written_whole(outcome: Outcome, tmp_path) -> None:
    path = save_figure(outcome_figure(outcome), tmp_path / "deep" / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]


def test_page_pieces_come_from_the_claims() -> None:
    depth = claim("R2-depth")
    assert depth.statement in claim_card(depth).text
    assert depth.paper[0]["value"] in claim_card(depth).markup
    assert "← the dial" in scale_table(depth).text
    assert depth.experiment("toy").simplified in setting_table(depth).text
