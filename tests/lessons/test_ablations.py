"""Notebook 09's pictures and exercises: the shares against exact numbers, the reach against the formula, the ladder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from physlm_lite.claims import claim
from physlm_lite.lessons.ablations import exercises
from physlm_lite.lessons.ablations import figures as lab
from physlm_lite.models import Attention, AttentionConfig, Canon, Context

RESIDUAL, EACH = claim("R4-residual"), claim("R4-each")


# -- what is left of a token -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("residual", "own"), [(True, 13 / 16), (False, 1 / 4)])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_own_share_is_what_uniform_taps_imply(residual: bool, own: float, layers: int) -> None:
    """Taps in ±1/2 have variance 1/12; one more on the token itself leaves it (13/12) / (16/12) of the signal."""
    shares = lab.energy_shares(residual, layers, width=40_000)
    assert shares.sum() == pytest.approx(1)
    assert len(shares) == 3 * layers + 1
    assert shares[0] == pytest.approx(own**layers, rel=0.1)


def test_effective_taps_are_the_taps_by_lag_with_the_identity_on_the_token_itself() -> None:
    weight = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])
    assert torch.allclose(lab.effective_taps(weight), torch.tensor([[1.4, 0.3, 0.2, 0.1]]))
    assert torch.allclose(lab.effective_taps(weight, residual=False), torch.tensor([[0.4, 0.3, 0.2, 0.1]]))


def test_equal_taps_leave_no_signature_and_random_ones_do() -> None:
    assert np.allclose(lab.signatures(torch.tensor([1.0, 0.4, 0.2, 0.1]).expand(64, 4)), 1)
    wide = Canon(4096)
    wide.reset_parameters(torch.Generator().manual_seed(0))
    cosine = lab.signatures(lab.effective_taps(wide.weight.detach()))
    assert np.abs(cosine - np.eye(4)).max() < 0.1


# -- who reaches whom --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["none", "A", "D", "BC", "ABCD"])
@pytest.mark.parametrize("place", lab.PLACES)
@pytest.mark.parametrize("cross", [False, True])
def test_the_reach_is_where_the_influence_ends(letters: str, place: str, cross: bool) -> None:
    config = lab.parts_config(letters, place, cross, kernel=3, activation=place == "in the last layer only")
    strength = lab.influence(config, lags=40)
    assert strength.shape == (4, 41)
    assert int(np.flatnonzero(strength[-1]).max()) == lab.reach(config)


def test_the_influence_grows_layer_by_layer_and_attention_reaches_all() -> None:
    config = lab.parts_config("AC", residual=False)
    assert [int(np.flatnonzero(row).max()) for row in lab.influence(config, lags=30)] == [6, 12, 18, 24]
    assert (lab.influence(lab.parts_config("none"), 30, True) > 0).all()


def test_the_explorer_follows_its_controls() -> None:
    explorer = lab.parts_explorer()
    before = explorer.image.value
    explorer.controls["letters"].set_state({"index": 15})
    assert "Canon alone reaches 48 tokens back" in explorer.text.value
    explorer.controls["place"].set_state({"index": 3})
    assert "Layers that have them: 1 of 4" in explorer.text.value
    assert explorer.errors == []
    assert explorer.image.value != before


@pytest.mark.parametrize(
    ("letters", "place", "kernel", "residual", "activation", "cross", "attention"),
    [
        ("none", "in all but the first", 2, False, True, False, False),
        ("none", "in the first layer only", 6, False, False, True, True),
        ("ABCD", "in every layer", 6, False, True, True, False),
    ],
)
def test_every_choice_can_be_drawn(
    letters: str, place: str, kernel: int, residual: bool, activation: bool, cross: bool, attention: bool
) -> None:
    config = lab.parts_config(letters, place, cross, kernel=kernel, residual=residual, activation=activation)
    texts = [text.get_text() for text in lab.parts_figure(config, attention).axes[1].texts]
    assert len(texts) == 4
    assert ("itself only" in texts) == (letters == "none" and not attention)


def test_no_canon_layer_has_no_taps() -> None:
    config = lab.parts_config("none", "in the last layer only")
    assert "Taps in all: 0," in lab.parts_text(config)
    assert lab.parts_figure(config).axes[0].get_title() == "no Canon layer"


# -- exercises against the library -------------------------------------------------------------------------------------


def test_the_own_share_of_the_exercise_is_that_of_the_picture() -> None:
    layer = Canon(4096)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    for residual in (True, False):
        assert exercises.own_share(layer.weight.detach(), residual) == pytest.approx(
            lab.energy_shares(residual)[0], rel=1e-4
        )


def test_the_tokens_seen_are_the_reach_and_oneself() -> None:
    for letters, place in [("A", "in every layer"), ("BC", "in all but the first"), ("ABCD", "in the last layer only")]:
        config = lab.parts_config(letters, place, kernel=5)
        layers = [letters if i in config.canon_depths else "" for i in range(4)]
        assert exercises.tokens_seen(layers, 5) == lab.reach(config) + 1


@torch.no_grad()
def test_primers_attention_is_canon_b_without_its_residual() -> None:
    taps = Canon(18, residual=False)
    attention = Attention(AttentionConfig(8, 1, head_width=6), taps)
    x = torch.randn(1, 9, 8)
    query, key, value = (m.weight for m in (attention.query, attention.key, attention.value))
    by_hand = attention.output(exercises.primer_attention(x[0], query, key, value, taps.weight))
    assert torch.allclose(attention(x, Context())[0], by_hand, atol=1e-5)
