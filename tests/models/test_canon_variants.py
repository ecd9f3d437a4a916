"""Canon layers elsewhere, started otherwise, or around another mixer; Primer's convolution; Canon across layers."""

import math

import pytest
import torch
import torch.nn.functional as F
from models.variants import DOCUMENT, SMALL, assert_decodes, assert_naive, assert_packed, close, model_of, text

from physlm_lite.models import Attention, Canon, Context, LanguageModel, ModelConfig, canon, canon_naive
from physlm_lite.models.gated_delta import GDN2
from physlm_lite.models.gla import GLA5
from physlm_lite.models.mamba2 import MAMBA2

KINDS = {
    "first layer only": {"canon": "ABCD", "canon_layers": (0,)},
    "last layer only": {"canon": "ABCD", "canon_layers": (-1,)},
    "all but the first": {"canon": "AC", "canon_layers": (1, 2), "layers": 3},
    "across layers": {"canon_cross": True},
    "across some layers": {"canon": "ABCD", "canon_cross": True, "canon_layers": (0,), "canon_kernel": 2},
    "across layers, with silu": {"canon": "AC", "canon_cross": True, "canon_activation": True, "canon_kernel": 5},
    "Primer": {"canon": "B", "canon_residual": False, "canon_kernel": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_logits_as_the_naive_model(kind):
    assert_naive(model_of(**KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_and_documents_are_exact(kind):
    assert_decodes(model_of(**KINDS[kind]))
    assert_packed(model_of(**KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_formula_counts_the_parameters(kind):
    model = model_of(**KINDS[kind])
    assert sum(p.numel() for p in model.parameters()) == model.config.parameters
    assert model.config.canon_depths == sorted(
        {int(name.split(".")[1]) for name in model.state_dict() if "canon" in name}
    )


@pytest.mark.parametrize("canon_layers, depths", [(None, [0, 1, 2]), ((0,), [0]), ((-1,), [2]), ([2, 0], [0, 2])])
def test_only_the_given_layers_have_canon_layers(canon_layers, depths):
    model = model_of(layers=3, canon="ABCD", canon_layers=canon_layers)
    assert model.config.canon_depths == depths
    for depth, block in enumerate(model.blocks):
        assert sum(isinstance(module, Canon) for module in block.modules()) == (4 if depth in depths else 0)


def test_all_layers_by_name_are_all_layers():
    model, other = model_of(canon="ABCD"), model_of(canon="ABCD", canon_layers=(0, 1))
    assert torch.equal(model(text()), other(text()))


def test_primer_convolves_query_key_and_value_of_each_head_and_keeps_no_identity():
    """Multi-dconv-head attention: a depthwise convolution after each projection."""
    model = model_of(**KINDS["Primer"])
    attention, x = model.blocks[0].mixer, torch.randn(2, 9, 16, dtype=torch.float64)
    found = attention.heads(x, Context())
    taps = attention.canon_b.weight.split(attention.widths)
    for heads, linear, tap in zip(found, (attention.query, attention.key, attention.value), taps, strict=True):
        projected = F.pad(linear(x).transpose(1, 2), (2, 0))
        convolved = F.conv1d(projected, tap, groups=len(tap)).unflatten(1, (-1, 8)).transpose(2, 3)
        close(heads, convolved)


def test_across_layers_by_hand():
    model = model_of(canon_cross=True)
    block, x = model.blocks[0], torch.randn(2, 7, 16, dtype=torch.float64)
    context, taps = Context(model.rope(0, 7, x.device)), block.canon_x.weight
    after = x + block.mixer(block.mixer_norm(x), context)
    after = after + block.feed_forward(block.feed_forward_norm(after), context)
    close(block(x, context), after + canon_naive(x, taps, residual=False))
    for block in model.blocks:
        block.canon_x.weight.data.zero_()
    close(model(text()), model_of()(text()))


def test_zero_taps_start_as_no_canon_and_learn():
    plain, model = (
        LanguageModel(ModelConfig(**SMALL, **options), seed=3)
        for options in ({}, {"canon": "ABCD", "canon_cross": True, "canon_init": "zeros"})
    )
    close(model(text()), plain(text()), 1e-6)
    model.loss(text(), torch.ones(2, 12, dtype=torch.bool)).backward()
    taps = [parameter for name, parameter in model.named_parameters() if "canon" in name]
    assert len(taps) == 10 and all(not tap.any() and tap.grad.abs().max() > 0 for tap in taps)


@pytest.mark.parametrize("options", [{}, {"canon_layers": (0,)}, {"canon_cross": True}])
def test_frozen_taps_are_random_and_stay(options):
    model = model_of(canon="AC", canon_frozen=True, **options)
    model.loss(text(), torch.ones(2, 12, dtype=torch.bool)).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) is ("canon" in name)
        assert "canon" not in name or 0.2 < parameter.std() < 0.4  # uniform within ±1/2


def test_a_layer_can_start_as_a_mean():
    layer = Canon(4, init="mean")
    assert torch.equal(layer(torch.ones(1, 5, 4))[0, :, 0], torch.tensor([1.25, 1.5, 1.75, 2.0, 2.0]))
    assert layer.weight.requires_grad


@torch.no_grad()
@pytest.mark.parametrize("canon_b", [True, False])
def test_a_mimetic_start_attends_to_the_same_token_and_forgets_nothing(canon_b):
    """Each of twelve different tokens reads most from itself, the first one twelve tokens later no less than nearly all."""
    options = {"mixer": "mamba2", "mixer_options": {"state": 64, "mimetic": True, "canon_b": canon_b}}
    model = LanguageModel(ModelConfig(vocab=17, width=64, layers=1, heads=2, **options), seed=0)
    mixer, x = model.blocks[0].mixer, torch.randn(1, 12, 64, generator=torch.Generator().manual_seed(0))
    query, key, _, log_decay = mixer.inputs(x, Context())
    assert torch.equal(query, key)
    scores = (query @ key.mT)[0]
    assert scores.argmax(-1).tolist() == list(range(12))
    assert 0.98 < log_decay.sum(1).exp().min() < 1
    assert mixer.canon_b is None or torch.equal(
        mixer.canon_b(x[..., :1].expand(-1, -1, 256)), F.silu(x[..., :1].expand(-1, -1, 256))
    )


def test_a_layer_can_start_with_zero_taps():
    layer, x = Canon(4, init="zeros"), torch.randn(2, 5, 4)
    assert torch.equal(layer(x), x) and torch.equal(canon(x, layer.weight), x)
    with pytest.raises(
        ValueError, match=r"unknown Canon init 'zero'; did you mean 'zeros'\? \(valid: uniform, zeros, mean\)"
    ):
        Canon(4, init="zero")


# -- around another mixer ----------------------------------------------------------------------------------------------

LINEAR = {"vocab": 17, "width": 16, "layers": 2, "heads": 2}
MIXERS = {
    "GLA": {"mixer": "gla"},
    "GLA, AbCD": {"mixer": "gla", "canon": "ACD", "mixer_options": {"canon_b": True}},
    "GLA5": {"mixer": "gla", "canon": "AC", "mixer_options": GLA5},
    "Mamba2 without a feed-forward layer": {"mixer": "mamba2", "mlp": "none", "mixer_options": {"state": 4}},
    "Mamba2, A": {"mixer": "mamba2", "mlp": "none", "canon": "A", "mixer_options": {"canon_b": False, "state": 4}},
    "Mamba2 of Part 4.2": {"mixer": "mamba2", "hidden": 32, "mixer_options": {**MAMBA2, "state": 8}},
    "GDN": {"mixer": "gated_delta", "canon": "ACD", "tied": True},
    "GDN2 with experts": {"mixer": "gated_delta", "mixer_options": GDN2, "experts": 3},
}


def linear(kind, **options):
    model = LanguageModel(ModelConfig(**LINEAR, **{**MIXERS[kind], **options}), seed=0).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "canon" not in name:
                parameter.mul_(2)
    return model


@pytest.mark.parametrize("kind", MIXERS)
def test_a_mixer_stands_in_the_place_of_attention(kind):
    model, tokens = linear(kind), text()
    block, x = model.blocks[0], model.embedding(tokens)
    context = Context(document=DOCUMENT)
    branch = block.mixer_norm(x)
    branch = branch if block.canon_a is None else canon_naive(branch, block.canon_a.weight, document=DOCUMENT)
    after = x + block.mixer(branch, context)
    if block.feed_forward is not None:
        branch = block.feed_forward_norm(after)
        branch = branch if block.canon_c is None else canon_naive(branch, block.canon_c.weight, document=DOCUMENT)
        after = after + block.feed_forward(branch, context)
    close(block(x, context), after)
    assert not isinstance(block.mixer, Attention) and model.rope(0, 12, x.device) is None
    assert (block.feed_forward is None) is (model.config.mlp == "none")


@pytest.mark.parametrize("kind", MIXERS)
def test_a_mixer_decodes_and_keeps_documents_apart(kind):
    assert_decodes(linear(kind))
    assert_packed(linear(kind), 1e-8)


@pytest.mark.parametrize("kind", MIXERS)
def test_with_a_mixer_the_formula_counts_the_parameters_and_all_are_trained(kind):
    model = linear(kind)
    with torch.device("meta"):
        assert sum(p.numel() for p in LanguageModel(model.config).parameters()) == model.config.parameters
    model.loss(text(), torch.ones(2, 12, dtype=torch.bool)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "mixer, options, canon, total",
    [
        ("gla", GLA5, "ACD", 1_345_183_744),
        ("gla", GLA5, "", 1_344_004_096),
        ("gated_delta", GDN2, "ACD", 1_345_135_360),
        ("mamba2", MAMBA2, "ACD", 1_354_302_592),
    ],
)
def test_published_linear_models_have_their_published_size(mixer, options, canon, total):
    config = ModelConfig(
        vocab=32000, width=2048, layers=24, heads=16, hidden=4096, canon=canon, mixer=mixer, mixer_options=options
    )
    assert config.parameters == total


@pytest.mark.parametrize(
    "mixer, options, init",
    [
        ("gla", GLA5, "lingua"),
        ("gla", GLA5, "huggingface"),
        ("gated_delta", GDN2, "lingua"),
        ("gated_delta", GDN2, "huggingface"),
        ("mamba2", MAMBA2, "lingua"),
        ("mamba2", MAMBA2, "mamba2"),
    ],
)
def test_starting_points_of_linear_models(mixer, options, init):
    config = ModelConfig(
        vocab=300, width=96, heads=4, layers=2, hidden=150, canon="ACD", init=init, mixer=mixer, mixer_options=options
    )
    model = LanguageModel(config, seed=0)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), LanguageModel(config, seed=0).parameters(), strict=True)
    )
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            std = parameter.shape[1] ** -0.5 * 0.98658
            if init == "huggingface":
                low_rank = "gate.0" in name or "gate.1" in name or "decay" in name
                std = 0.02**0.5 / 2 if low_rank and ".mixer." in name else 0.02
            if init == "mamba2":
                std = 0.1 if "embedding" in name else (3 * parameter.shape[1]) ** -0.5
            if "embedding" in name and init == "lingua":
                std = 96**-0.5 * 0.98658
            rough = 0.15 if parameter.numel() < 2000 else 0.03
            assert parameter.std().item() == pytest.approx(std, rel=rough), name
        elif parameter.dim() == 3:
            inner = "canon_b" in name and init == "huggingface"
            assert parameter.std().item() == pytest.approx(0.02 if inner else 12**-0.5, rel=0.06), name


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"canon_layers": (0,)}, "canon_layers is an option of Canon layers; give canon as well"),
        ({"canon_init": "zeros"}, "canon_init is an option of Canon layers; give canon as well"),
        ({"canon": "A", "canon_init": "ones"}, "unknown ModelConfig canon_init 'ones'"),
        (
            {"canon": "A", "canon_init": "zeros", "canon_frozen": True},
            "must be trained; it goes neither with canon_frozen",
        ),
        ({"canon": "A", "canon_init": "zeros", "canon_residual": False}, "nor without canon_residual"),
        (
            {"canon": "A", "canon_layers": ()},
            "canon_layers must name different layers between 0 and 1, or from the end -1 to -2",
        ),
        ({"canon": "A", "canon_layers": (0, 2)}, "at least one; not [0, 2]"),
        ({"canon": "A", "canon_layers": (1, -1)}, "must name different layers"),
        ({"canon": "A", "canon_layers": (-3,)}, "not [-3]"),
        ({"mixer": "rwkv"}, "unknown mixer 'rwkv'; "),
        ({"mixer_options": GLA5}, "mixer_options are for a mixer other than attention; give mixer as well"),
    ],
)
def test_canon_layers_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        ModelConfig(**{**SMALL, **options})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"qk_norm": True}, "qk_norm is an option of attention; leave it out with mixer 'gla'"),
        ({"positions": "alibi"}, "positions is an option of attention"),
        ({"rope_dim": 0}, "rope_dim is an option of attention"),
        ({"kv_heads": 1}, "kv_heads is an option of attention"),
        ({"init_std": 0.1}, "init_std is an option of attention"),
        (
            {"canon": "AB"},
            "canon 'B' mixes query, key and value of attention; with mixer 'gla', which has a short convolution of "
            "its own, choose a subset of 'ACD'",
        ),
        ({"mixer_options": {"canonb": True}}, "unknown option of mixer 'gla' 'canonb'; did you mean 'canon_b'?"),
        ({"mixer_options": {"width": 8}}, "unknown option of mixer 'gla' 'width'"),
        ({"mlp": "none", "canon": "AC"}, "with mlp 'none' choose a subset of 'A'"),
        ({"mixer_options": {"canon_b": "no"}}, "canon_b must be True or False, not 'no'"),
        ({"mixer_options": {"gate_rank": 0}}, "gate_rank must be a whole number from 1 to 65,536 or None, not 0"),
        ({"mixer_options": {"decay_divisor": math.nan}}, "decay_divisor must be a positive number, not nan"),
        ({"heads": 3}, "is not a multiple of 3 heads; choose another number of heads"),
        (
            {"init": "mamba2"},
            "init 'mamba2' is how mixer 'mamba2' starts; with mixer 'gla' choose lingua or huggingface",
        ),
    ],
)
def test_mixers_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        ModelConfig(**{**LINEAR, "mixer": "gla", **options})
    assert sentence in str(error.value)
