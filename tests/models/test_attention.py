"""Attention: the two twins, masks, and the rotation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.models import (
    Attention,
    AttentionConfig,
    Context,
    attend,
    attend_naive,
    causal_mask,
    rope_table,
    rotate,
)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    kv=st.integers(1, 3),
    groups=st.integers(1, 3),
    queries=st.integers(1, 7),
    past=st.integers(0, 5),
    width=st.integers(1, 9),
    documents=st.booleans(),
)
def test_the_twins_agree(batch, kv, groups, queries, past, width, documents):
    keys = queries + past
    q = draw(batch, kv * groups, queries, width)
    k, v = draw(batch, kv, keys, width, seed=1), draw(batch, kv, keys, width, seed=2)
    document = torch.arange(keys).div(3, rounding_mode="floor").expand(batch, keys) if documents else None
    mask = causal_mask(queries, keys, document)
    slow, weights = attend_naive(q, k, v, mask)
    torch.testing.assert_close(attend(q, k, v, mask), slow)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert (weights[~mask.expand_as(weights)] == 0).all()
    if past == 0 and not documents:
        torch.testing.assert_close(attend(q, k, v, None), slow)


def test_the_naive_twin_by_hand():
    # two query heads share one kv head; at position 1 the scores are (ln 3) and 0 for head 0, equal for head 1
    q = torch.tensor([[[[0.0, 0.0], [math.log(3) * 2**0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    k = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    v = torch.tensor([[[[4.0, 0.0], [0.0, 8.0]]]])
    out, weights = attend_naive(q, k, v, causal_mask(2, 2))
    torch.testing.assert_close(weights, torch.tensor([[[[1, 0], [0.75, 0.25]], [[1, 0], [0.5, 0.5]]]]))
    torch.testing.assert_close(out, torch.tensor([[[[4.0, 0], [3, 2]], [[4, 0], [2, 4]]]]))


def test_kv_heads_serve_consecutive_query_heads():
    q, k = draw(1, 4, 3, 2), draw(1, 2, 3, 2, seed=1)
    v = torch.stack([torch.zeros(3, 2), torch.ones(3, 2)])[None].double()
    out, _ = attend_naive(q, k, v, causal_mask(3, 3))
    assert out[0, :, 0, 0].tolist() == [0, 0, 1, 1]
    assert attend(q, k, v, causal_mask(3, 3))[0, :, 0, 0].tolist() == [0, 0, 1, 1]


def test_causal_mask():
    assert causal_mask(3, 3)[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4)[0, 0].int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    document = torch.tensor([[0, 0, 1, 1], [-1, 0, 0, 0]])
    mask = causal_mask(4, 4, document)
    assert mask.shape == (2, 1, 4, 4)
    assert mask[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert mask[1, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert torch.equal(causal_mask(2, 4, document), mask[:, :, 2:])


@pytest.mark.parametrize("rope_dim, theta", [(2, 10_000.0), (8, 10_000.0), (16, 100_000.0)])
def test_rope_table_divides_by_the_rotated_width(rope_dim, theta):
    positions = [0, 1, 5, 400]
    cos, sin = rope_table(torch.tensor(positions), rope_dim, theta)
    assert cos.shape == sin.shape == (4, rope_dim // 2) and cos.dtype == torch.float32
    for row, p in enumerate(positions):
        for i in range(rope_dim // 2):
            angle = p / theta ** (2 * i / rope_dim)
            assert cos[row, i].item() == pytest.approx(math.cos(angle), abs=1e-4)
            assert sin[row, i].item() == pytest.approx(math.sin(angle), abs=1e-4)


@pytest.mark.parametrize("layout, pairs", [("half", [(0, 2), (1, 3)]), ("interleaved", [(0, 1), (2, 3)])])
def test_rotation_turns_the_pairs_of_its_layout(layout, pairs):
    x = draw(2, 3, 5, 7)
    cos, sin = (z.double() for z in rope_table(torch.arange(5), 4, 100.0))
    turned = rotate(x, cos, sin, layout)
    for i, (a, b) in enumerate(pairs):
        before, after = torch.complex(x[..., a], x[..., b]), torch.complex(turned[..., a], turned[..., b])
        torch.testing.assert_close(
            after,
            before * torch.polar(torch.ones(5), torch.arange(5) * 100.0 ** (-2 * i / 4)),
            atol=1e-6,
            rtol=0,
            check_dtype=False,
        )
    assert torch.equal(turned[..., 4:], x[..., 4:])


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_scores_depend_on_the_distance_only(layout):
    q, k = draw(1, 1, 1, 8).expand(1, 1, 20, 8), draw(1, 1, 1, 8, seed=1).expand(1, 1, 20, 8)
    cos, sin = rope_table(torch.arange(20), 6, 10.0)
    score = (rotate(q, cos, sin, layout) @ rotate(k, cos, sin, layout).transpose(-1, -2))[0, 0]
    for distance in range(-19, 20):
        diagonal = score.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)
    assert score[0].std() > 0.1  # and they do depend on it


def test_rotation_of_bfloat16_happens_in_float32():
    x = draw(1, 1, 300, 4, dtype=torch.bfloat16)
    cos, sin = rope_table(torch.arange(300), 4, 10_000.0)
    turned = rotate(x, cos, sin)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(x.float(), cos, sin).bfloat16())


def test_pictures_show_the_weights_that_are_used():
    torch.manual_seed(0)
    layer = Attention(AttentionConfig(12, 3, kv_heads=1, head_width=4))
    x = draw(2, 6, 12, dtype=torch.float32)
    for context in (
        Context(),
        Context(
            rope_table(torch.arange(6), 4, 10.0),
            causal_mask(6, 6, torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 2]])),
        ),
    ):
        weights = layer.weights(x, context)
        assert weights.shape == (2, 3, 6, 6)
        value = layer.heads(x, context)[2].repeat_interleave(3, 1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        torch.testing.assert_close(layer.output(mixed), layer(x, context))
