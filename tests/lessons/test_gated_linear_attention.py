"""Notebook 11's pictures with their numbers: how far a key sees, what decoding keeps, how much a state holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from drawn import heat_of
from numpy.typing import NDArray

from physlm_lite.lab.linear_states import RECALL
from physlm_lite.lessons.gated_linear_attention import figures as lab
from physlm_lite.models import DecodingState, LanguageModel, ModelConfig
from physlm_lite.models.gla import GLA
from physlm_lite.models.recurrence import STATE

TEXT = RECALL.batch(seed=0, step=0, rows=1).tokens[0]
NAMES = [RECALL.vocabulary[token] for token in TEXT]


def made(**options: Any) -> LanguageModel:
    chosen = {"width": 16, "layers": 2, "heads": 2, "mixer": "gla", **options}
    return LanguageModel(ModelConfig(len(RECALL.vocabulary), **chosen), seed=0)


def band(reach: NDArray[np.float64]) -> set[int]:
    """How far behind it a key sees."""
    return {int(t - s) for t, s in np.argwhere(reach > 1e-6)}


@pytest.mark.parametrize(
    ("own", "outside", "far"), [(False, "", 0), (True, "", 3), (False, "ACD", 3), (False, "CD", 0), (True, "ACD", 6)]
)
def test_a_key_of_the_first_layer_sees_as_far_as_its_convolutions(own: bool, outside: str, far: int) -> None:
    model = made(mixer_options={"canon_b": own}, canon=outside, layers=1)
    assert band(lab.key_reach(model, TEXT[:9])) == set(range(far + 1))


def test_a_key_of_the_second_layer_sees_everything_before_it() -> None:
    assert band(lab.key_reach(made(), TEXT[:8], layer=1)) == set(range(8))


def test_the_reach_figure_has_a_panel_for_each_model() -> None:
    figure = lab.reach_figure(
        {"one": made(), "other": made(mixer_options={"canon_b": True}, canon="ACD")}, TEXT[:6], NAMES[:6]
    )
    assert [axis.get_title() for axis in figure.axes] == ["one", "other"]


def test_the_chunk_figure_has_a_cell_for_each_pair() -> None:
    grid, flow = lab.chunk_figure(chunks=3, chunk=4).axes
    assert heat_of(grid).count() == 12 * 13 // 2
    assert [text.get_text() for text in flow.texts if "tokens" in text.get_text()] == [
        "tokens 1–4",
        "tokens 5–8",
        "tokens 9–12",
    ]


def test_the_memory_figure_shows_what_decoding_keeps() -> None:
    width, heads, length = 32, 2, 7
    lines = lab.memory_figure(width, heads).axes[0].lines
    model = LanguageModel(
        ModelConfig(4, width=width, heads=heads, layers=1, mixer="gla", mixer_options={"canon_b": True})
    )
    attention = LanguageModel(ModelConfig(4, width=width, heads=heads, layers=1))
    kept = []
    for each in (model, attention):
        memory = DecodingState()
        each(torch.zeros(1, length, dtype=torch.long), state=memory)
        kept.append({name: torch.cat([*z], 1).numel() for name, z in memory.layers[0].items()})
    assert set(kept[0]) == {STATE, "b"} and kept[0][STATE] == np.ravel(lines[1].get_ydata())[0]
    assert sum(kept[0].values()) - kept[0][STATE] == np.ravel(lines[2].get_ydata())[0]
    tokens, numbers = (np.asarray(z, float) for z in lines[0].get_data())
    assert np.allclose(numbers / tokens, sum(kept[1].values()) / length)
    assert np.ravel(lines[3].get_xdata())[0] * sum(kept[1].values()) / length == kept[0][STATE]


def test_a_fresh_layer_keeps_half_for_sixteen_tokens() -> None:
    layer = GLA(width=64, heads=2)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    (a,) = layer.gates(torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(1)))
    assert math.log(0.5) / float(a.detach().mean()) == pytest.approx(16, abs=0.5)


def test_a_state_holds_few_pairs_for_sure_and_many_by_halves() -> None:
    assert (lab.recalled(keys=4, pairs=1) == 1).all()
    assert lab.recalled(keys=64, pairs=10).mean() > 0.99
    forty = lab.recalled(keys=16, pairs=40)
    assert forty.mean() == pytest.approx(0.5, abs=0.05) and forty[:20].mean() == pytest.approx(
        forty[20:].mean(), abs=0.05
    )
    decaying = lab.recalled(keys=16, pairs=40, half_life=10)
    assert decaying[:5].mean() > 0.9 and decaying[-10:].mean() < 0.1 and decaying.mean() < forty.mean()
    assert lab.recalled(8, 100, 5).mean() > lab.recalled(8, 100).mean()


def test_the_capacity_explorer_draws_over_its_whole_range() -> None:
    explorer = lab.capacity_explorer()
    shown = [explorer.image.value]
    for name, value in (("keys", 4), ("pairs", 2), ("half_life", 50.0), ("keys", 64), ("pairs", 100)):
        explorer.controls[name].value = value
        shown.append(explorer.image.value)
    assert explorer.errors == [] and len(set(shown)) >= 5
