"""What notebook 08 shows: rotations against the layer that performs them, reach, order, maps of trained models, tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.lab import Interactive
from physlm_lite.lessons.positions import figures as lab
from physlm_lite.models import LanguageModel, ModelConfig, rope_table
from physlm_lite.models.positions import rotate_heads
from physlm_lite.training import Record, Run, Trainer, train

# -- which coordinates turn --------------------------------------------------------------------------------------------

ROTATIONS = st.tuples(
    st.integers(0, 4), st.integers(1, 4), st.sampled_from(["half", "interleaved"]), st.sampled_from([100.0, 10_000.0])
)


@settings(max_examples=40, deadline=None)
@given(ROTATIONS)
def test_the_wavelengths_are_those_of_the_rotation_that_the_layer_performs(chosen: tuple[int, int, str, float]) -> None:
    pairs, heads, layout, theta = chosen
    config = ModelConfig(
        vocab=2,
        width=32,
        heads=4,
        rope_dim=2 * pairs,
        rope_heads=heads if pairs else None,
        rope_layout=layout,
        rope_theta=theta,
    )
    waves = lab.wavelengths(config)
    assert waves.shape == (4, 8)
    one_hot = torch.eye(8).expand(1, 4, 8, 8)  # [batch, head, "position", coordinate]: each coordinate alone
    kept = one_hot
    if pairs:
        cos, sin = (z.expand(8, -1) for z in rope_table(torch.ones(1), 2 * pairs, theta))
        kept = rotate_heads(one_hot, heads, cos, sin, layout)
    after_one_token = kept[0].diagonal(0, 1, 2).numpy()
    np.testing.assert_allclose(np.cos(2 * np.pi / waves), after_one_token, atol=1e-5)


def test_the_layouts_are_those_of_the_paper() -> None:
    counts = [
        int(np.isfinite(lab.wavelengths(lab.published_size(**options))).sum()) for options in lab.LAYOUTS.values()
    ]
    assert counts == [512, 128, 128, 128, 0]
    titles = [axis.get_title().split("\n")[-1] for axis in lab.layouts_figure().axes[:5]]
    assert titles == ["512 of 512", "128 of 512", "128 of 512", "128 of 512", "0 of 512"]


def test_a_match_keeps_what_does_not_turn() -> None:
    far = np.arange(20_000, dtype=float)
    for rope_dim in (0, 16, 32, 64):
        score = lab.match_score(lab.wavelengths(lab.published_size(rope_dim=rope_dim)), far)
        assert score.shape == (8, 20_000)
        assert np.all(score[:, 0] == 1)
        assert score.min() >= 1 - 2 * rope_dim / 64 - 1e-9


def test_the_answer_to_the_explorers_question_is_a_quarter_of_the_coordinates() -> None:
    lowest = {r: lab.lowest_match(lab.wavelengths(lab.published_size(rope_dim=r))) for r in (0, 16, 18)}
    assert lowest[0] == 1 and lowest[16] >= 0.5 > lowest[18]
    assert f"at least {lowest[16]:.2f} of its score" in lab.rotation_text(16, 8)


def test_the_rotation_explorer_counts_and_draws_every_choice() -> None:
    explorer = lab.rotation_explorer()
    assert "128 of 512 coordinates turn</b> (25.0%), at 16 speeds: one turn takes 6.3" in explorer.text.value
    explorer.controls["rope_heads"].value = 8
    explorer.controls["layout"].value = "interleaved"
    explorer.controls["rope_dim"].value = 0
    assert "0 of 512" in explorer.text.value
    explorer.controls["rope_dim"].value = 64
    assert "512 of 512" in explorer.text.value
    assert not explorer.errors


# -- how far a head sees -----------------------------------------------------------------------------------------------


def test_equal_attention_is_uniform_geometric_or_a_window() -> None:
    uniform = lab.equal_attention("rope", 4, 6)
    torch.testing.assert_close(uniform[3], torch.ones(6, 6).tril() / torch.arange(1, 7)[:, None])
    alibi = lab.equal_attention("alibi", 4, 6)
    torch.testing.assert_close(alibi[0, 5, 4] / alibi[0, 5, 5], torch.tensor(2.0**-2).exp().reciprocal())
    hard = lab.equal_attention("hard_alibi", 4, 6)
    assert hard[0].equal(torch.eye(6))
    assert hard[1, 5].tolist() == [0, 0, 0, 0, 0.5, 0.5]
    torch.testing.assert_close(hard[2:], uniform[2:])


def test_the_curves_of_the_neighbour_are_what_the_heads_do() -> None:
    figure = lab.neighbour_figure(longest=20)
    lines = {line.get_label(): np.asarray(line.get_ydata()) for axis in figure.axes for line in axis.lines}
    for name, kind, head in (
        ("ALiBi, steepest of 4 heads", "alibi", 0),
        ("H-ALiBi, head 2", "hard_alibi", 1),
        ("NoPE (RoPE: on average)", "rope", 0),
    ):
        before = lab.equal_attention(kind, 4, 21)[head].diagonal(-1).numpy()
        np.testing.assert_allclose(lines[name], before, rtol=1e-5)
    counted = lab.equal_attention("rope", 4, 21)[0, 1:, 0].numpy()
    np.testing.assert_allclose(lines["weight of the first token"], counted, rtol=1e-5)


def test_one_layer_without_positions_sees_a_bag_and_two_do_not() -> None:
    text, order = torch.tensor([2, 5, 3, 7, 1, 6, 4]), [3, 5, 0, 4, 2, 1]

    def effect(layers: int, **options: object) -> float:
        config = ModelConfig(vocab=8, width=32, heads=4, layers=layers, **options)  # type: ignore[arg-type]
        return lab.order_effect(LanguageModel(config, seed=0), text, order)

    assert effect(1, rope_dim=0) < 1e-5
    assert effect(2, rope_dim=0) > 1e-2
    assert all(effect(1, **options) > 1e-3 for name, options in lab.VARIANTS.items() if name != "NoPE")
    assert effect(1, rope_dim=0, canon="ABCD") > 1e-2


def test_an_order_that_is_none_is_refused() -> None:
    model = LanguageModel(ModelConfig(vocab=8), seed=0)
    with pytest.raises(ValueError, match="each of the 2 tokens before the last one once"):
        lab.order_effect(model, torch.tensor([1, 2, 3]), [0, 0])


# -- maps --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def groups() -> dict[str, lab.Copiers]:
    wanted = {"one layer": lab.variant_runs(1, steps=2), "two layers": lab.variant_runs(2, canon=("",), steps=2)}

    def carried_out(run: Run) -> tuple[LanguageModel, Record]:
        kept: list[Trainer] = []
        record = train(run, keep=kept.append)
        return kept[0].model, record

    return {group: lab.copiers(runs, map(carried_out, runs.values())) for group, runs in wanted.items()}


def test_every_variant_is_trained_with_and_without_canon(groups: dict[str, lab.Copiers]) -> None:
    assert list(groups["one layer"]) == [*lab.VARIANTS, *(f"{name} + Canon" for name in lab.VARIANTS)]
    assert list(groups["two layers"]) == list(lab.VARIANTS)
    for trained in groups.values():
        for name, (model, accuracy) in trained.items():
            assert bool(model.config.canon) == name.endswith("Canon")
            assert 0 <= accuracy <= 1


def test_the_cells_point_at_the_symbol_to_copy_and_at_the_token_before() -> None:
    for text in lab.sentences():
        assert len(text) == 12
        tokens = text.tolist()
        assert [tokens[column] for _, column in lab.copy_cells(12)] == [
            tokens[row + 1] for row, _ in lab.copy_cells(12)
        ]
        assert [row for row, _ in lab.copy_cells(12)] == list(range(6, 11))
    assert lab.local_cells(4) == [(1, 0), (2, 1), (3, 2)]


def test_the_explorer_shows_all_side_by_side_or_every_head_of_one(groups: dict[str, lab.Copiers]) -> None:
    explorer = lab.maps_explorer(groups)
    assert isinstance(explorer, Interactive)
    first = bytes(explorer.image.value)
    assert first.startswith(b"\x89PNG")
    for name, value in (("layer", 1), ("head", 2), ("show", ("two layers", "ALiBi"))):
        explorer.controls[name].value = value
    assert not explorer.errors and bytes(explorer.image.value) != first
    figure = lab.maps_figure(groups, ("one layer", None), layer=1, head=None, sentence=0)  # its last layer
    assert len([axis for axis in figure.axes if axis.collections]) >= 10
    assert "layer 1, mean over heads" in figure.get_suptitle()
    one = lab.maps_figure(groups, ("two layers", "NoPE"), layer=0, head=0, sentence=1)
    assert [axis.get_title() for axis in one.axes if axis.get_title()][-1] == "layer 2, head 4"


def test_the_table_has_a_line_for_each_model_and_two_columns_for_each_layer(groups: dict[str, lab.Copiers]) -> None:
    for trained in groups.values():
        block = lab.look_table(trained)
        assert block.markup.count("<tr>") == 1 + len(trained)
    assert "layer 2: the token before" in block.markup and "(head 2)" in block.markup
