"""Feed-forward layers: gated, standard, none, and mixtures of experts; what they cost and how they start."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models.variants import DOCUMENT, SMALL, assert_decodes, assert_naive, assert_packed, close, model_of, text
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from physlm_lite.models import Context, LanguageModel, ModelConfig
from physlm_lite.models.experts import Experts, ExpertsConfig, balance, dispatch, dispatch_naive, room_for
from physlm_lite.models.feed_forward import ACTIVATIONS

KINDS = {
    "gated, ReLU²": {"activation": "relu2", "canon": "ABCD"},
    "gated, GELU": {"activation": "gelu"},
    "standard": {"mlp": "standard"},
    "standard, GELU, Canon": {"mlp": "standard", "activation": "gelu", "canon": "ABCD"},
    "standard, ReLU², Canon": {"mlp": "standard", "activation": "relu2", "canon": "D", "canon_activation": True},
    "none": {"mlp": "none", "hidden": None, "canon": "AB"},
    "experts": {"experts": 5, "canon": "ABC"},
    "standard experts": {"experts": 3, "mlp": "standard", "activation": "gelu"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_logits_as_the_naive_model(kind):
    assert_naive(model_of(**KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_and_documents_are_exact(kind):
    assert_decodes(model_of(**KINDS[kind]))
    assert_packed(model_of(**KINDS[kind]))


def test_activations_by_hand():
    x = torch.tensor([-1.0, 0.0, 2.0])
    assert ACTIVATIONS["relu2"](x).tolist() == [0, 0, 4]
    close(ACTIVATIONS["silu"](x), x * x.sigmoid(), 1e-6)
    close(ACTIVATIONS["gelu"](x), torch.tensor([-0.15881, 0, 1.95460]), 1e-5)  # GPT-2's: exact GELU has -0.15866


# -- experts -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(1, 12),
    experts=st.integers(2, 5),
    room=st.none() | st.integers(0, 4),
    gated=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    padding=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_twins_agree_with_gradients(tokens, experts, room, gated, activation, padding, seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    leaves = [draw(tokens, 3), draw(experts, 4, 3), draw(experts, 3, 4), *([draw(experts, 4, 3)] if gated else [])]
    expert = torch.randint(experts + padding, (tokens,), generator=generator)
    found = []
    for function in (dispatch_naive, dispatch):
        x, up, down, *gate = (leaf.clone().requires_grad_() for leaf in leaves)
        y = function(x, expert, up, down, gate[0] if gate else None, ACTIVATIONS[activation], room)
        (y.sin().sum() + 0 * x.sum()).backward()  # perhaps nobody was served
        found.append(
            [y.detach(), *(z.grad if z.grad is not None else torch.zeros_like(z) for z in (x, up, down, *gate))]
        )
    for slow, fast in zip(*found, strict=True):
        close(fast, slow)


def layer_of(experts=4, **options):
    torch.manual_seed(0)
    return Experts(ExpertsConfig(6, hidden=5, experts=experts, **options)).double()


def test_who_finds_an_expert_full_gets_nothing():
    """All tokens want expert 2, which has room for 2 · 12/4 = 6: the first two positions of three rows."""
    layer, x = layer_of(expert_capacity=2.0), torch.rand(3, 4, 6, dtype=torch.float64)
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[2] = 1
    assert room_for(12, 4, 2.0) == 6 and room_for(13, 4, 2.0) == 7
    losses = []
    limited, free = layer(x, Context(auxiliary=losses)), layer(x, Context())
    close(limited[:, :2], free[:, :2])
    assert not limited[:, 2:].any() and free.abs().min() > 0
    assert len(losses) == 1 and 1 < losses[0] <= 4
    # a position changes nothing before it, although all share the experts
    other = x.clone()
    other[:, 1] = -x[:, 1]  # these go elsewhere now, and make room for later ones
    after = layer(other, Context(auxiliary=[]))
    close(after[:, 0], limited[:, 0], 0)
    assert after[:, 2].all()


def test_training_as_a_loop_over_tokens():
    layer, x = layer_of(expert_capacity=0.75), torch.randn(3, 8, 6, dtype=torch.float64)
    document = torch.zeros(3, 8, dtype=torch.long)
    document[0, :3] = -1
    losses, room, taken = [], math.ceil(0.75 * 24 / 4), [0] * 4
    y = layer(x, Context(document=document, auxiliary=losses))
    sent, shares, refused = [0] * 4, torch.zeros(4, dtype=torch.float64), 0
    for t in range(8):
        for row in range(3):
            if document[row, t] < 0:
                assert not y[row, t].any()
                continue
            share = (layer.router.weight @ x[row, t]).exp()
            share = share / share.sum()
            e = int(share.argmax())
            sent[e], shares = sent[e] + 1, shares + share
            if taken[e] == room:
                assert not y[row, t].any()
                refused += 1
                continue
            taken[e] += 1
            inner = F.silu(layer.gate[e] @ x[row, t]) * (layer.up[e] @ x[row, t])
            close(y[row, t], share[e] * (layer.down[e] @ inner))
    assert refused > 0
    close(losses[0], 4 * sum(n / 21 * p / 21 for n, p in zip(sent, shares, strict=True)))


def test_the_load_balance_loss_is_1_for_equal_shares_and_the_number_of_experts_for_one():
    equal, one = torch.full((8, 4), 0.25), F.one_hot(torch.zeros(8, dtype=torch.long), 4).float()
    assert balance(equal, torch.arange(8) % 4).item() == pytest.approx(1)
    assert balance(one, torch.zeros(8, dtype=torch.long)).item() == pytest.approx(4)


def test_the_load_balance_loss_reaches_the_loss_and_the_router():
    tokens, targets = text(), torch.ones(2, 12, dtype=torch.bool)
    options = {"experts": 4, "expert_capacity": 4.0}  # room for all: the cross-entropy is the plain one
    model = model_of(**options, expert_balance=0.5)
    plain = model.cross_entropy(tokens, targets, DOCUMENT)
    layers = []
    model.hidden(tokens[:, :-1], DOCUMENT[:, :-1], auxiliary=layers)
    assert len(layers) == 2
    close(model.loss(tokens, targets, DOCUMENT), plain + 0.5 * sum(layers).float(), 1e-6)
    close(model_of(**options, expert_balance=0.0).loss(tokens, targets, DOCUMENT), plain, 1e-6)
    (slope,) = torch.autograd.grad(sum(layers), model.blocks[0].feed_forward.router.weight)
    assert slope.abs().max() > 1e-4


def test_only_training_is_limited():
    """Capacity shows in the loss; logits, and the cross-entropy that is a score, are of each text alone."""
    tokens, targets = text(6), torch.ones(6, 12, dtype=torch.bool)
    narrow, wide = (model_of(experts=4, expert_capacity=capacity, expert_balance=0.0) for capacity in (0.5, 4.0))
    assert (narrow.loss(tokens, targets) - wide.loss(tokens, targets)).abs() > 1e-3
    assert torch.equal(narrow.cross_entropy(tokens, targets), wide.cross_entropy(tokens, targets))
    close(narrow(tokens)[2:3], narrow(tokens[2:3]))


def test_experts_train_in_mixed_precision():
    model, tokens = LanguageModel(ModelConfig(**SMALL, experts=4, canon="ABC"), seed=0), text(4)
    exact = model.loss(tokens, tokens > 3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(tokens, tokens > 3)
    assert loss.dtype == torch.float32
    close(loss, exact, 0.05)
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all()
    assert model.bfloat16()(tokens).dtype == torch.bfloat16


def test_experts_can_learn():
    torch.manual_seed(0)
    model, tokens = LanguageModel(ModelConfig(**SMALL, experts=4, canon="ABC"), seed=0), text()
    targets = torch.ones_like(tokens, dtype=torch.bool)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(tokens, targets).backward()
        optimizer.step()
    assert (model.guesses(tokens)[:, 2:] == tokens[:, 2:]).float().mean() > 0.9


# -- size, cost, start -------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    mlp=st.sampled_from(["gated", "standard", "none"]),
    experts=st.sampled_from([0, 3]),
    canon=st.sampled_from(["", "A", "AB", "ABC", "ABCD", "D"]),
    hidden=st.sampled_from([None, 7]),
    kv_heads=st.sampled_from([None, 1]),
    tied=st.booleans(),
    cross=st.booleans(),
    only=st.sampled_from([None, (-1,)]),
    qk_norm=st.booleans(),
    positions=st.sampled_from(["rope", "alibi"]),
    length=st.integers(1, 9),
)
def test_the_formulas_count_parameters_and_operations(
    mlp, experts, canon, hidden, kv_heads, tied, cross, only, qk_norm, positions, length
):
    if mlp == "none":
        experts, hidden, canon = 0, None, canon.replace("C", "").replace("D", "")
    canon = canon.replace("D", "") if experts else canon
    config = ModelConfig(
        vocab=11,
        width=12,
        layers=2,
        heads=2,
        kv_heads=kv_heads,
        mlp=mlp,
        experts=experts,
        canon=canon,
        hidden=hidden,
        tied=tied,
        canon_cross=cross,
        qk_norm=qk_norm,
        positions=positions,
        canon_layers=only if canon or cross else None,
    )
    with torch.device("meta"):
        on_paper = LanguageModel(config)
    assert sum(p.numel() for p in on_paper.parameters()) == config.parameters
    model = LanguageModel(config, seed=0)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the fused kernel is not counted
        model(torch.zeros(1, length, dtype=torch.long))
    taps = sum(p.numel() for name, p in model.named_parameters() if "canon" in name)  # nor are Canon layers
    assert length * (config.flops_per_token(length) - 2 * taps) == counter.get_total_flops()


def test_operations_of_a_published_width():
    config = ModelConfig(vocab=32000, width=2048, layers=2, heads=32, hidden=5632, qk_norm=True, canon="ABCD")
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        LanguageModel(config)(torch.zeros(1, 256, dtype=torch.long))
    canon = 2 * 8 * (2048 + 6144 + 2048 + 11264)  # 4 multiplications and additions a channel
    assert config.flops_per_token(256) == counter.get_total_flops() / 256 + canon


def test_published_sizes():
    common = {"vocab": 50257, "width": 768, "layers": 12, "heads": 12}
    gated, standard = ModelConfig(**common, hidden=2048), ModelConfig(**common, mlp="standard")
    assert standard.feed_forward == 3072 and gated.parameters == standard.parameters  # 8 d² each
    moe = ModelConfig(**common, mlp="standard", experts=32)
    assert moe.parameters - standard.parameters == 12 * (31 * 8 * 768**2 + 32 * 768)


@pytest.mark.parametrize("init_std", [None, 0.05])
@pytest.mark.parametrize("init", ["lingua", "huggingface"])
@pytest.mark.parametrize("options", [{"mlp": "standard"}, {"experts": 4}, {"mlp": "none"}])
def test_starting_points(init, init_std, options):
    hidden = {} if options.get("mlp") == "none" else {"hidden": 200}
    model = LanguageModel(
        ModelConfig(
            vocab=400,
            width=96,
            layers=2,
            heads=4,
            init=init,
            init_std=init_std,
            **hidden,
            **options,
            depth_scaling="current" if init == "lingua" else "none",
        ),
        seed=0,
    )
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == 1).all()
            continue
        frame = "blocks" not in name  # init_std reaches only the layers of lingua
        writes = "output" in name or "down" in name
        if init == "huggingface":
            std, bound = init_std or 0.02, math.inf
        else:
            std = 96**-0.5 if frame or init_std is None else init_std
            std = 200**-0.5 if "down" in name and init_std is None else std
            bound = 3 * std / (math.sqrt(2 * (int(name.split(".")[1]) + 1)) if "down" in name else 1)
            std = std / math.sqrt(2 * (int(name.split(".")[1]) + 1)) if writes else std
        cut = 0.98658 if bound == pytest.approx(3 * std) else 1.0
        assert parameter.std().item() == pytest.approx(std * cut, rel=0.1 if "router" in name else 0.02), name
        assert parameter.mean().abs() < 5 * std / parameter.numel() ** 0.5, name
        assert parameter.abs().max() <= bound + 1e-6, name
        assert init == "lingua" or "router" in name or parameter.abs().max() > 3.3 * std, name


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"mlp": "dense"}, "unknown ModelConfig mlp 'dense'"),
        ({"activation": "relu"}, "unknown ModelConfig activation 'relu'; did you mean 'relu2'?"),
        ({"mlp": "none"}, "hidden is an option of the feed-forward layer; leave it out with mlp 'none'"),
        ({"mlp": "none", "hidden": None, "activation": "gelu"}, "activation is an option of the feed-forward layer"),
        ({"mlp": "none", "hidden": None, "experts": 4}, "experts is an option of the feed-forward layer"),
        ({"mlp": "none", "hidden": None, "canon": "ABC"}, "with mlp 'none' choose a subset of 'AB'"),
        ({"experts": 1}, "experts must be 0 (one feed-forward layer for all tokens) or at least 2, not 1"),
        ({"experts": -2}, "or at least 2, not -2"),
        ({"experts": 4, "canon": "ABCD"}, "neighbours go to different experts; with experts choose a subset of 'ABC'"),
        ({"experts": 4, "expert_capacity": 0.0}, "expert_capacity must be a positive number of equal shares, not 0.0"),
        ({"experts": 4, "expert_balance": -1.0}, "expert_balance must be 0 or a positive weight, not -1.0"),
        ({"expert_capacity": 1.0}, "expert_capacity is an option of a mixture of experts; give experts as well"),
        ({"init_std": 0.0}, "init_std must be a positive number or None, not 0.0"),
    ],
)
def test_feed_forward_layers_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        ModelConfig(**{**SMALL, **options})
    assert sentence in str(error.value)
