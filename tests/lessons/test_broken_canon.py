"""Eight layers are wrong, in one thing each, and only an experiment shows it."""

from __future__ import annotations

import pytest
import torch

from physlm_lite.lessons.broken_canon.exercises import diagnose
from physlm_lite.lessons.broken_canon.figures import EXPERIMENTS, detective, responses
from physlm_lite.lessons.broken_canon.layers import LAYERS, RIGHT, mystery


@pytest.mark.parametrize("name", LAYERS)
def test_a_broken_layer_looks_like_one(name: str) -> None:
    x, weight = torch.randn(2, 9, 3, requires_grad=True), torch.randn(3, 1, 4)
    y = LAYERS[name](x, weight)
    assert y.shape == x.shape and y.isfinite().all()
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("seed", [0, 1])
def test_all_nine_are_told_apart_whatever_their_letters(seed: int) -> None:
    layers = mystery(seed)
    assert list(layers) == list("ABCDEFGHI")
    assert sorted(map(diagnose, layers.values())) == sorted(LAYERS)
    assert {layer.__name__ for layer in layers.values()} == {"<lambda>"}  # a name would give it away


def test_the_pictures_show_what_they_say() -> None:
    right = responses(LAYERS[RIGHT])
    assert torch.allclose(right[0].diagonal(), torch.tensor(1.4)) and torch.allclose(
        right[0].diagonal(-1), torch.tensor(0.3)
    )
    assert not responses(LAYERS[RIGHT], 0, 1).any() and responses(LAYERS["rows leak"], 0, 1).any()


def test_every_layer_can_be_drawn_under_every_experiment() -> None:
    explorer = detective()
    pictures = set()
    for letter in mystery():
        for experiment in EXPERIMENTS:
            explorer.controls["layer"].value = letter
            explorer.controls["experiment"].value = experiment
            pictures.add(bytes(explorer.image.value))
    assert not explorer.errors and len(pictures) > 12
