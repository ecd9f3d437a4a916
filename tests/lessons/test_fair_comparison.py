"""Notebook 13's toys: pairs in one matrix, numbers held, hops and places, each against an independent count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import Outcome, claim, recorded
from physlm_lite.lab.show import Interactive
from physlm_lite.lessons.fair_comparison.exercises import best_matrix, crowd, halves, hop_needed
from physlm_lite.lessons.fair_comparison.figures import (
    HOPS,
    MODELS,
    PAPER,
    RULES,
    board_figure,
    crowd_figure,
    found,
    hops_explorer,
    hops_figure,
    memory,
    numbers_kept,
    pairs_explorer,
    pairs_figure,
    pairs_of,
    places,
    right,
)
from physlm_lite.models import LanguageModel
from physlm_lite.tasks import Metric
from physlm_lite.training import Record

# -- one matrix --------------------------------------------------------------------------------------------------------


def by_hand(rule: str, keys: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    state = np.zeros((keys.shape[1], values.shape[1]))
    for key, value in zip(keys, values, strict=True):
        wrong = value if rule == "adding" else share * (value - state.T @ key)
        state = state + np.outer(key, wrong)
    return state


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("rule", ["adding", "correcting"])
def test_a_rule_writes_what_its_formula_says(rule: str, share: float) -> None:
    keys, values = pairs_of(7, 5, seed=2)
    assert np.allclose(memory(rule, keys, values, share), by_hand(rule, keys.numpy(), values.numpy(), share))


def test_the_best_matrix_is_exact_until_there_are_more_pairs_than_a_key_is_wide() -> None:
    for pairs, exact in ((3, True), (8, True), (9, False), (20, False)):
        keys, values = pairs_of(pairs, 8, seed=1)
        assert torch.allclose(keys @ memory("the best matrix", keys, values), values) is exact


def test_no_rule_that_sees_a_pair_once_is_nearer_than_the_best_matrix() -> None:
    for pairs in (4, 16, 40):
        keys, values = pairs_of(pairs, 16, seed=pairs)
        wrong = {rule: float((keys @ memory(rule, keys, values) - values).square().sum()) for rule in RULES}
        assert wrong["the best matrix"] <= min(wrong.values()) + 1e-9


def test_keys_at_right_angles_are_kept_exactly_by_every_rule() -> None:
    values = pairs_of(6, 6)[1]
    for rule in RULES:
        resembling = found(rule, torch.eye(6, dtype=torch.float64), values)
        assert torch.allclose(resembling, values @ values.T) and right(resembling) == 1


def test_the_crowd_of_the_exercise_is_the_error_of_adding() -> None:
    errors = []
    for seed in range(300):
        keys, values = pairs_of(12, 16, seed)
        errors.append((keys @ memory("adding", keys, values) - values).square().sum(1).mean())
    assert float(torch.stack(errors).mean()) == pytest.approx(crowd(12, 16), rel=0.05)


def test_the_notebook_says_where_adding_fails() -> None:
    shares = [np.mean([right(found("adding", *pairs_of(pairs, 16, seed))) for seed in range(24)]) for pairs in (4, 12)]
    assert shares[1] < 0.99


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'adding'"):
        memory("ading", *pairs_of(2, 4))


# -- numbers held ------------------------------------------------------------------------------------------------------


def test_a_transformer_holds_more_with_every_token_and_a_linear_model_does_not() -> None:
    experiment = claim("R11-recall").experiment("toy")
    for side in experiment.sides:
        config = experiment.run(side, 1e-3, seed=0).model_config
        model = LanguageModel(config, seed=0)
        short, long = numbers_kept(model, 48), numbers_kept(model, 96)
        if side in MODELS[3:]:
            assert short == long
        else:
            assert long - short == 48 * 2 * config.layers * config.width


# -- hops --------------------------------------------------------------------------------------------------------------


def test_the_exercises_about_hops_undo_a_chain() -> None:
    assert math.prod([hop_needed(0.9, 8)] * 8) == pytest.approx(0.9)
    first, last = halves(0.76, 0.28)
    assert first**4 == pytest.approx(0.76) and first**4 * last**4 == pytest.approx(0.28)
    assert 1 / (1 - hop_needed(0.9, 8)) == pytest.approx(76, abs=1)  # what the exercise's praise says


def test_every_linear_model_lies_below_the_line_as_the_notebook_says() -> None:
    for side, points in HOPS.items():
        below = [eight / 100 < (four / 100) ** 2 for four, eight in points]
        if side in MODELS[3:]:
            assert all(below)
            assert all(last < first for first, last in (halves(four / 100, eight / 100) for four, eight in points))


# -- the board ---------------------------------------------------------------------------------------------------------

SHARE = Metric("accuracy", "symbols right", lower=False)
DISTANCE = Metric("kl", "distance", lower=True)


def test_a_place_is_shared_until_chance_alone_would_not_put_a_side_so_far_behind() -> None:
    scores = {"a": [0.9, 0.92, 0.91, 0.93, 0.9], "b": [0.89, 0.93, 0.9, 0.92, 0.91], "c": [0.5, 0.51, 0.52, 0.5, 0.49]}
    assert places(scores, SHARE) == {"a": 1, "b": 1, "c": 3}
    assert places(scores, DISTANCE) == {"c": 1, "b": 2, "a": 2}
    assert places({"a": [], "b": [1.0]}, SHARE) == {"b": 1}


def test_the_papers_places_name_the_models_of_the_board() -> None:
    named = {side for groups in PAPER.values() for group in groups for side in group}
    assert named == set(MODELS) - {"RoPE + Canon"}
    for skill, groups in PAPER.items():
        assert claim(f"R10-{skill}").source.startswith("Part 4.1, section 7.2")
        assert len({side for group in groups for side in group}) == sum(map(len, groups)) == 5


def made(claim_id: str, scores: dict[str, Sequence[float]], name: str) -> Outcome:
    experiment = claim(claim_id).experiment("toy")

    def record(side: str, seed: int, score: float) -> Record:
        run = experiment.run(side, experiment.rates[0], seed)
        final = {"step": run.training.steps, "seconds": 1.0, name: score}
        return Record(run, "finished", [final], 1.0, evaluation_seconds=0.0, parameters=1, peak_memory_mb=1.0)

    records = {
        side: [record(side, seed, score) for seed, score in enumerate(values)] for side, values in scores.items()
    }
    return Outcome(claim(claim_id), "toy", {}, records)


def test_the_board_shows_places_and_means_and_leaves_out_what_is_not_whole() -> None:
    sides = claim("R10-structure").experiment("toy").sides
    whole = made(
        "R10-structure", {side: [0.1 * (i + 1) + 0.001 * s for s in range(5)] for i, side in enumerate(sides)}, "kl"
    )
    part = made("R10-manipulation", {"RoPE + Canon": [0.5] * 5, "NoPE + Canon": []}, "accuracy")
    figure = board_figure({"structure": whole, "manipulation": part})
    figure.canvas.draw()
    said = [text.get_text() for text in figure.axes[1].texts]
    assert [text for text in said if text] == [f"{i + 1}\n{0.1 * (i + 1) + 0.002:.2g}" for i in order(sides)]


def order(sides: Sequence[str]) -> list[int]:
    """The places of the sides in the rows of the board."""
    return [list(sides).index(side) for side in MODELS if side in sides]


def test_the_board_draws_what_is_recorded() -> None:
    figure = board_figure({skill: recorded(claim(f"R10-{skill}"), "toy") for skill in PAPER})
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == list(PAPER)


# -- pictures and widgets ----------------------------------------------------------------------------------------------


def test_the_pictures_draw_with_labels() -> None:
    for figure in (pairs_figure(), crowd_figure(most=6), hops_figure()):
        figure.canvas.draw()
        assert all(axis.get_xlabel() for axis in figure.axes)


@pytest.mark.parametrize("explorer", [pairs_explorer, hops_explorer])
def test_every_control_of_an_explorer_changes_the_picture(explorer: object) -> None:
    assert callable(explorer)
    widget: Interactive = explorer()
    for name, control in widget.controls.items():
        pictures = set()
        for value in (control.min, control.max):
            control.value = value
            pictures.add(bytes(widget.image.value))
        assert len(pictures) == 2, f"{name} changes nothing"
    assert widget.errors == []


def test_the_best_matrix_of_the_exercise_reads_every_value() -> None:
    keys, values = pairs_of(5, 8)
    assert torch.allclose(keys @ best_matrix(keys, values), values)
