"""Positions: rotation of some heads and coordinates, ALiBi, hard ALiBi, and none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models.variants import DOCUMENT, SMALL, assert_decodes, assert_naive, assert_packed, close, model_of, text

from physlm_lite.models import Context, LanguageModel, ModelConfig, attend, attend_naive, causal_mask, rotate
from physlm_lite.models.positions import alibi_slopes, position_mask, rotate_heads

KINDS = {
    "NoPE": {"rope_dim": 0},
    "ALiBi": {"positions": "alibi"},
    "ALiBi, 6 heads": {"positions": "alibi", "heads": 6, "head_width": 4},
    "H-ALiBi": {"positions": "hard_alibi"},
    "H-ALiBi, 5 heads": {"positions": "hard_alibi", "heads": 5, "kv_heads": 1},
    "quarter of the dims": {"rope_dim": 2},
    "quarter of the heads": {"rope_heads": 1, "kv_heads": None},
    "half of both": {"rope_heads": 2, "rope_dim": 4},
    "half of both, interleaved": {"rope_heads": 2, "rope_dim": 4, "rope_layout": "interleaved"},
}


@pytest.mark.parametrize("canon", ["", "ABCD"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_logits_as_the_naive_model(kind, canon):
    assert_naive(model_of(canon=canon, qk_norm=bool(canon), **KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_and_documents_are_exact(kind):
    model = model_of(canon="ABCD", **KINDS[kind])
    assert_decodes(model)
    assert_packed(model)


@pytest.mark.parametrize("kind", ["ALiBi", "H-ALiBi", "NoPE"])
def test_what_knows_distances_only_does_not_notice_where_a_document_begins(kind):
    assert_packed(model_of(**KINDS[kind]), tolerance=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["alibi", "hard_alibi"]),
    batch=st.integers(1, 2),
    kv=st.integers(1, 3),
    groups=st.integers(1, 3),
    queries=st.integers(1, 6),
    past=st.integers(0, 4),
    documents=st.booleans(),
)
def test_the_twins_of_attention_agree_with_gradients(kind, batch, kv, groups, queries, past, documents):
    keys = queries + past
    generator = torch.Generator().manual_seed(0)
    document = torch.arange(keys).div(3, rounding_mode="floor").expand(batch, keys) if documents else None
    mask = position_mask(kind, kv * groups, causal_mask(queries, keys, document))
    assert mask.shape == (batch if documents else 1, kv * groups, queries, keys)
    shapes = (kv * groups, queries), (kv, keys), (kv, keys)
    leaves = [torch.randn(batch, *shape, 5, generator=generator, dtype=torch.float64) for shape in shapes]
    found = []
    for function in (lambda *z: attend_naive(*z)[0], attend):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        out = function(*inputs, mask)
        out.pow(2).sum().backward()
        found.append([out.detach(), *(leaf.grad for leaf in inputs)])
    for slow, fast in zip(*found, strict=True):
        close(fast, slow, 1e-6)  # ALiBi's numbers have 32 bits


def test_alibi_by_hand():
    # all scores equal: the shares are 2 ** (-slope * distance / ln 2), and the slopes are 1/16 and 1/256
    zeros = torch.zeros(1, 2, 3, 4)
    _, weights = attend_naive(zeros, zeros, zeros, position_mask("alibi", 2, causal_mask(3, 3)))
    for head, slope in enumerate((1 / 16, 1 / 256)):
        share = torch.exp(-slope * torch.tensor([2.0, 1.0, 0.0]))
        close(weights[0, head, 2], share / share.sum(), 1e-6)
    assert alibi_slopes(8).tolist() == [2.0**-h for h in range(1, 9)]


def test_hard_alibi_by_hand():
    mask = position_mask("hard_alibi", 4, causal_mask(4, 4))
    assert mask[0, 0].int().tolist() == torch.eye(4, dtype=torch.int).tolist()  # the first head sees the token itself
    assert mask[0, 1].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert torch.equal(mask[0, 2:], causal_mask(4, 4)[0].expand(2, -1, -1))  # the other half sees everything
    seen = position_mask("hard_alibi", 5, causal_mask(9, 9))
    assert seen[0, :, -1].sum(-1).tolist() == [1, 2, 9, 9, 9]
    assert torch.equal(position_mask("hard_alibi", 4, causal_mask(1, 4)), mask[:, :, 3:])  # while decoding


def test_rotation_of_some_heads_leaves_the_others():
    x = torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    cos, sin = torch.rand(5, 2), torch.rand(5, 2)
    turned = rotate_heads(x, 1, cos, sin, "interleaved")
    assert torch.equal(turned[:, :1], rotate(x[:, :1], cos, sin, "interleaved")) and torch.equal(
        turned[:, 1:], x[:, 1:]
    )
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert torch.equal(rotate_heads(x, 4, cos, sin), rotate(x, cos, sin))


@pytest.mark.parametrize("kind", ["quarter of the dims", "quarter of the heads", "half of both"])
def test_the_three_layouts_rotate_a_quarter_of_the_coordinates(kind):
    model = model_of(**{**KINDS[kind], "kv_heads": None})
    x, tokens = torch.randn(1, 6, 16, dtype=torch.float64), 6
    block = model.blocks[0].mixer
    query, key, _ = block.heads(x, Context(model.rope(0, tokens, x.device)))
    plain_query, plain_key, _ = block.heads(x, Context())
    for turned, plain in ((query, plain_query), (key, plain_key)):
        assert (turned != plain)[:, :, 1:].any(2).float().mean() == 1 / 4


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_show_the_weights_that_are_used(kind):
    model = model_of(**KINDS[kind])
    attention, x = model.blocks[0].mixer, torch.randn(2, 12, 16, dtype=torch.float64)
    for document in (None, DOCUMENT):
        context = Context(model.rope(0, 12, x.device), model.mask(12, 12, document))
        value = attention.heads(x, context)[2]
        weights = attention.weights(x, context)
        mixed = weights @ value.repeat_interleave(weights.shape[1] // value.shape[1], 1)
        close(attention.output(mixed.transpose(1, 2).flatten(2)), attention(x, context), 1e-6)


@pytest.mark.parametrize("kind", ["ALiBi", "H-ALiBi", "half of both"])
def test_low_precision_runs_and_trains(kind):
    model, tokens = LanguageModel(ModelConfig(**{**SMALL, **KINDS[kind]}), seed=0), text()
    exact = model(tokens, DOCUMENT)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(tokens, tokens > 3, DOCUMENT)
    close(loss, model.loss(tokens, tokens > 3, DOCUMENT), 0.05)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    close(model.bfloat16()(tokens, DOCUMENT).float(), exact, 0.1)


def test_positions_have_no_parameters():
    sizes = {
        ModelConfig(**{**SMALL, **options}).parameters
        for options in KINDS.values()
        if options.keys() <= {"positions", "rope_dim", "rope_heads", "rope_layout"}
    }
    assert sizes == {ModelConfig(**SMALL).parameters}


@pytest.mark.parametrize(
    "options, sentence",
    [
        (
            {"positions": "nope"},
            "unknown positions 'nope'; did you mean 'rope'? (valid: rope, alibi, hard_alibi); for NoPE leave positions "
            "out and set rope_dim to 0",
        ),
        (
            {"positions": "alibi", "rope_dim": 4},
            "rope_dim is an option of rotation; leave it out with positions 'alibi'",
        ),
        ({"positions": "hard_alibi", "rope_heads": 2}, "rope_heads is an option of rotation"),
        ({"positions": "alibi", "rope_theta": 1e5}, "rope_theta is an option of rotation"),
        ({"positions": "hard_alibi", "heads": 1, "kv_heads": 1}, "limits half of the heads, so it needs at least 2"),
        (
            {"rope_heads": 5},
            "rope_heads must be between 1 and the 4 heads, in steps of the 2 that share a kv head, not 5",
        ),
        ({"rope_heads": 1}, "in steps of the 2 that share a kv head, not 1; for none, set rope_dim to 0"),
        ({"rope_heads": 0}, "rope_heads must be between 1 and the 4 heads"),
        ({"rope_heads": 2, "rope_dim": 0}, "with rope_dim 0 none does; leave one out"),
    ],
)
def test_positions_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        ModelConfig(**{**SMALL, **options})
    assert sentence in str(error.value)
