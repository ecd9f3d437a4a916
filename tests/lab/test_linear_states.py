"""The story of a state, its viewer, and the runs that learn to recall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from drawn import heat_of

from physlm_lite.lab import linear_states as lab
from physlm_lite.lab.mixing import mixing_maps
from physlm_lite.models import Block, DecodingState, LanguageModel, ModelConfig
from physlm_lite.models.recurrence import STATE
from physlm_lite.training import Run

TEXT = lab.RECALL.batch(seed=0, step=0, rows=1).tokens[0]
NAMES = [lab.RECALL.vocabulary[token] for token in TEXT]
MIXERS: dict[str, dict[str, Any]] = {
    "gla": {},
    "mamba2": {"mixer_options": {"state": 8}},
    "gated_delta": {},
    "gla + AbCD": {"mixer_options": {"canon_b": True}, "canon": "ACD"},
    "mamba2, no convolution": {"mixer_options": {"state": 8, "canon_b": False}},
}


def made(mixer: str, **options: Any) -> LanguageModel:
    chosen = {
        "width": 16,
        "layers": 2,
        "heads": 2,
        "mixer": mixer.replace(",", "").split()[0],
        **MIXERS[mixer],
        **options,
    }
    return LanguageModel(ModelConfig(len(lab.RECALL.vocabulary), **chosen), seed=0)


# -- the story ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_state_decays_and_then_gets_its_pair(mixer: str, layer: int) -> None:
    story = lab.state_story(made(mixer), TEXT, layer)
    follows = story.decay[..., None] * story.states[:-1] + story.key[..., None] * story.written[..., None, :]
    torch.testing.assert_close(follows, story.states[1:])
    assert not story.states[0].any()
    assert ((story.decay > 0) & (story.decay < 1)).all()


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_last_state_is_the_one_that_decoding_keeps(mixer: str) -> None:
    model, memory = made(mixer), DecodingState()
    with torch.no_grad():
        model(TEXT[None], state=memory)
    for layer in range(2):
        story = lab.state_story(model, TEXT, layer)
        torch.testing.assert_close(story.states[-1], memory.layers[layer][STATE][0])


def test_the_mixing_is_the_map_of_the_layer() -> None:
    model = made("gla + AbCD")
    assert torch.equal(lab.state_story(model, TEXT, layer=1).mixing, mixing_maps(model, TEXT)[1])


def test_the_delta_net_writes_less_of_what_it_knows_already() -> None:
    model = made("gated_delta", layers=1, mixer_options={"canon_b": False})
    story = lab.state_story(model, [3, 3, 3])
    lengths = story.written.norm(dim=-1).mean(1)
    assert lengths[0] > lengths[1] > lengths[2]


def test_a_story_that_cannot_be_told_is_refused_with_the_reason() -> None:
    model = made("gla")
    with pytest.raises(ValueError, match="2 layers, so layer is 0 to 1, not 2"):
        lab.state_story(model, TEXT, 2)
    with pytest.raises(ValueError, match="one text"):
        lab.state_story(model, TEXT.repeat(2, 1))
    attention = LanguageModel(ModelConfig(len(lab.RECALL.vocabulary), width=16, layers=1), seed=0)
    with pytest.raises(ValueError, match="Attention keeps no state"):
        lab.state_story(attention, TEXT)
    block = attention.blocks[0]
    assert isinstance(block, Block)
    assert not block.mixer._forward_pre_hooks


# -- picture and viewer ------------------------------------------------------------------------------------------------


def test_the_picture_shows_the_four_matrices_and_the_reading() -> None:
    story = lab.state_story(made("gla"), TEXT)
    before, kept, written, after, reads = lab.state_figure(story, NAMES, t=8, head=1, title="GLA").axes
    shown = [heat_of(axis) for axis in (before, written, after)]
    decay = np.array([bar.get_width() for bar in kept.patches])  # type: ignore[attr-defined]
    assert np.allclose(decay, story.decay[8, 1])
    total = np.asarray(shown[0]) * decay[:, None] + np.asarray(shown[1])
    assert np.allclose(total, np.asarray(shown[2]), atol=1e-6)
    bars = [bar.get_width() for bar in reads.patches]  # type: ignore[attr-defined]
    assert np.allclose(bars, story.mixing[1, 8])
    assert [label.get_text() for label in reads.get_yticklabels()] == NAMES


def test_the_viewer_draws_every_model_token_head_and_layer() -> None:
    models = {"GLA": made("gla"), "Mamba2": made("mamba2"), "one layer": made("gated_delta", layers=1, heads=1)}
    viewer = lab.state_viewer(models, TEXT, NAMES, t=3)
    pictures = [viewer.image.value]
    for name, value in (("t", 8), ("head", 1), ("layer", 1), ("model", "Mamba2"), ("model", "one layer")):
        viewer.controls[name].value = value
        pictures.append(viewer.image.value)
    assert viewer.errors == []
    assert len(set(pictures)) == len(pictures)


def test_the_viewer_takes_a_single_model() -> None:
    viewer = lab.state_viewer(made("gla", layers=1, heads=1), TEXT, NAMES)
    assert viewer.controls["t"].value == len(NAMES) - 1
    assert viewer.controls["head"].disabled and viewer.controls["layer"].disabled
    assert viewer.controls["model"].layout.display == "none"


# -- the text that has to be bound -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["attention", "gla", "mamba2", "gated_delta"])
def test_the_runs_that_learn_to_recall_are_of_one_layer_and_have_names(name: str) -> None:
    run = lab.recall_run(20, mixer=name)
    assert run.model_config.layers == 1 and run.model_config.vocab == len(lab.RECALL.vocabulary)
    assert run.hash != lab.recall_run(21, mixer=name).hash and Run.from_dict(run.to_dict()).hash == run.hash
