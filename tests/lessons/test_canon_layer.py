"""Notebook 02's pictures: the matrix is the layer, the boxes are the places, the map is the model's attention."""

from __future__ import annotations

import numpy as np
from drawn import heat_of

from physlm_lite.claims import claim
from physlm_lite.lessons.canon_layer.figures import GOALS, attention_figure, block_figure, canon_figure, mixing_matrix
from physlm_lite.models import LanguageModel


def test_the_mixing_matrix_is_the_layer() -> None:
    matrix = mixing_matrix((0.1, 0.4, -0.3, 0.2), positions=6).numpy()
    assert np.allclose(np.diag(matrix), 1.1)
    assert np.allclose(np.diag(matrix, -1), 0.4)
    assert np.allclose(np.diag(matrix, -3), 0.2)
    assert np.allclose(np.triu(matrix, 1), 0)
    assert np.allclose(np.diag(mixing_matrix((0.1, 0, 0, 0), 3, residual=False)), 0.1)


def test_the_goals_of_the_taps_are_what_their_words_say() -> None:
    signal = np.random.default_rng(0).normal(size=6)
    before = np.concatenate([[0], signal[:-1]])
    for goal, wanted in zip(GOALS, (before, signal, signal - before), strict=True):
        assert np.allclose(mixing_matrix(goal["shares"], 6, residual=False).numpy() @ signal, wanted, atol=1e-6), goal[
            "said"
        ]


def test_the_attention_figure_draws_the_models_own_weights() -> None:
    run = claim("R1").experiment("smoke").run("RoPE + Canon", 1e-3, 0)
    figure = attention_figure(LanguageModel(run.model_config, seed=0), run.made_task, run.made_task.batch(0, 0, 1))
    weights = heat_of(figure.axes[0])
    assert np.allclose(weights.sum(1), 1, atol=1e-5)
    assert weights[0, 1:].max() == 0  # causal


def test_the_block_has_the_boxes_that_are_asked_for() -> None:
    letters = {text.get_text() for text in block_figure("AC").axes[0].texts}
    assert {"Canon-A", "Canon-C"} <= letters
    assert "Canon-B" not in letters
    assert all(axis.get_ylabel() for axis in canon_figure((0, 1, 0, 0)).axes)
