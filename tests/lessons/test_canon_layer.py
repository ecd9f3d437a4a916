"""Notebook 02's pictures: the matrix is the layer, the boxes are the places, the map is the model's attention."""

from __future__ import annotations

import itertools

import numpy as np
from drawn import heat_of

from physlm_lite.claims import claim
from physlm_lite.lab.show import WIDGET_VIEW
from physlm_lite.lessons.canon_layer.figures import (
    attention_figure,
    block_figure,
    canon_explorer,
    canon_figure,
    mixing_matrix,
)
from physlm_lite.models import LanguageModel


def test_corners_of_the_canon_explorer() -> None:
    explorer = canon_explorer()
    sliders = [control for name, control in explorer.controls.items() if name.startswith("tap")]
    for corner in itertools.product((-1.0, 1.0), repeat=len(sliders)):
        for slider, value in zip(sliders, corner, strict=True):
            slider.value = value
    assert explorer.errors == []


def test_a_slider_does_not_leave_its_range() -> None:
    explorer = canon_explorer()
    explorer.controls["tap1"].set_state({"value": 5})
    assert explorer.controls["tap1"].value == 1.0


def test_the_display_carries_the_widget_and_a_still_picture() -> None:
    seen, widget = canon_explorer().outputs()
    assert "base64,iVBOR" in seen["text/html"] and 'alt="Canon explorer' in seen["text/html"]
    assert "A still picture" in seen["text/html"]
    assert WIDGET_VIEW in widget and "text/html" not in widget


def test_the_mixing_matrix_is_the_layer() -> None:
    matrix = mixing_matrix((0.1, 0.4, -0.3, 0.2), positions=6).numpy()
    assert np.allclose(np.diag(matrix), 1.1)
    assert np.allclose(np.diag(matrix, -1), 0.4)
    assert np.allclose(np.diag(matrix, -3), 0.2)
    assert np.allclose(np.triu(matrix, 1), 0)
    assert np.allclose(np.diag(mixing_matrix((0.1, 0, 0, 0), 3, residual=False)), 0.1)


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
