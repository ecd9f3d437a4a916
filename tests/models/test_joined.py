"""Linear layers that share a product are still modules: what wraps, replaces or watches one of them works."""

import pytest
import torch
import torch.nn.functional as F
from models.variants import close, text
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm
from torch.utils._python_dispatch import TorchDispatchMode

from physlm_lite.models import GDN2, GLA5, DecodingState, LanguageModel, ModelConfig
from physlm_lite.models.joined import joined

KINDS = {
    "Llama": {"kv_heads": 2},
    "LlamaCanon": {"kv_heads": 2, "canon": "ABCD"},
    "LlamaCanon, QK-norm": {"canon": "ABCD", "qk_norm": True},
    "standard": {"canon": "ABCD", "mlp": "standard"},
    "experts": {"canon": "ABC", "experts": 3},
    "GLA": {"mixer": "gla"},
    "GLA5": {"mixer": "gla", "mixer_options": GLA5, "canon": "ACD"},
    "GDN2": {"mixer": "gated_delta", "mixer_options": GDN2, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {"state": 8}, "canon": "ACD"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
TOKENS = text(2, 20)  # more tokens than the model is wide, so that plain layers share a product


def model_of(kind):
    model = LanguageModel(ModelConfig(vocab=17, width=16, heads=4, **KINDS[kind]), seed=0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


def linears(model):
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}


def replace(model, name, layer):
    owner, _, last = name.rpartition(".")
    setattr(model.get_submodule(owner), last, layer)


class Adapter(nn.Module):
    """W x + B A x, as adapters of low rank do it."""

    def __init__(self, base, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, base.in_features, generator=generator).double() / base.in_features**0.5)
        self.b = nn.Parameter(torch.randn(base.out_features, 2, generator=generator).double() / 4)

    def forward(self, x):
        return self.base(x) + F.linear(F.linear(x, self.a), self.b)


@every_kind
def test_adapters_of_every_linear_layer_are_used_and_learn(kind):
    model, merged = model_of(kind), model_of(kind)
    for i, (name, layer) in enumerate(linears(model).items()):
        adapter = Adapter(layer, seed=i)
        replace(model, name, adapter)
        with torch.no_grad():
            merged.get_submodule(name).weight.add_(adapter.b @ adapter.a)
    expected = merged(TOKENS)
    close(model(TOKENS), expected)
    assert (expected - model_of(kind)(TOKENS)).abs().max() > 0.1
    model(TOKENS).square().mean().backward()
    for name, parameter in model.named_parameters():
        if name.endswith((".a", ".b")):
            assert parameter.grad.abs().max() > 0, name


@every_kind
@pytest.mark.parametrize("decoding", [False, True])
def test_hooks_hear_every_linear_layer(kind, decoding):
    model, heard = model_of(kind), {}
    for name, layer in linears(model).items():
        layer.register_forward_hook(lambda layer, x, y, name=name: heard.update({name: (layer, x[0], y)}))
    expected = model_of(kind)(TOKENS)
    if decoding:
        state = DecodingState()
        found = torch.cat([model(part, state=state) for part in TOKENS.split(1, 1)], 1)
    else:
        found = model(TOKENS)
    close(found, expected)
    assert list(heard) and heard.keys() == linears(model).keys()
    for layer, x, y in heard.values():
        close(y, F.linear(x, layer.weight, layer.bias))


@every_kind
def test_hooks_change_what_a_linear_layer_gives_and_see_its_gradient(kind):
    for name in linears(model_of(kind)):
        model = model_of(kind)
        with torch.no_grad():
            model.get_submodule(name).weight.mul_(2)
        expected, model = model(TOKENS), model_of(kind)
        bias = model.get_submodule(name).bias
        model.get_submodule(name).register_forward_hook(
            lambda layer, x, y, bias=bias: 2 * y if bias is None else 2 * y - bias
        )
        close(model(TOKENS), expected)
        model, seen = model_of(kind), []
        model.get_submodule(name).register_full_backward_hook(lambda layer, dx, dy, seen=seen: seen.append(dy[0]))
        model(TOKENS).square().mean().backward()
        assert seen[0].abs().max() > 0, name


def test_a_global_hook_hears_every_linear_layer():
    model, heard = model_of("LlamaCanon"), set()
    handle = nn.modules.module.register_module_forward_hook(lambda layer, x, y: heard.add(layer))
    try:
        model(TOKENS)
    finally:
        handle.remove()
    assert set(linears(model).values()) <= heard


@every_kind
def test_a_forward_of_its_own_is_called(kind):
    """The way of libraries that move weights to the device only while a layer is called."""
    model, called = model_of(kind), []
    for name, layer in linears(model).items():

        def forward(x, name=name, own=layer.forward):
            called.append(name)
            return own(x)

        layer.forward = forward
    close(model(TOKENS), model_of(kind)(TOKENS))
    assert set(called) == set(linears(model))


@every_kind
@pytest.mark.parametrize("way", ["parametrization", "hook"])
def test_weight_norm(kind, way):
    model = model_of(kind)
    for layer in linears(model).values():
        if way == "parametrization":
            parametrizations.weight_norm(layer)
        else:
            with pytest.warns(FutureWarning):
                weight_norm(layer)
    close(model(TOKENS), model_of(kind)(TOKENS))
    lengths = {name: p for name, p in model.named_parameters() if name.endswith(("original0", "weight_g"))}
    assert len(lengths) == len(linears(model_of(kind)))
    with torch.no_grad():
        for p in lengths.values():
            p.mul_(1.5)
    longer = model_of(kind)
    with torch.no_grad():
        for layer in linears(longer).values():
            layer.weight.mul_(1.5)
    close(model(TOKENS), longer(TOKENS))
    model(TOKENS).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in lengths.values())


@every_kind
def test_pruning(kind):
    model, expected = model_of(kind), model_of(kind)
    for name, layer in linears(model).items():
        prune.l1_unstructured(layer, "weight", 0.4)
        weight = expected.get_submodule(name).weight.data
        weight[weight.abs() <= weight.abs().flatten().kthvalue(round(0.4 * weight.numel()))[0]] = 0
    close(model(TOKENS), expected(TOKENS))
    assert (expected(TOKENS) - model_of(kind)(TOKENS)).abs().max() > 0.1
    for layer in linears(model).values():
        prune.remove(layer, "weight")
    close(model(TOKENS), expected(TOKENS))


@every_kind
@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_dynamic_quantisation(kind):
    model, heard = model_of(kind).float(), {}
    short = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    for name in linears(model):
        layer = short.get_submodule(name)
        layer.register_forward_hook(lambda layer, x, y, name=name: heard.update({name: (layer, x[0], y)}))
    assert short(TOKENS).isfinite().all()
    assert heard.keys() == linears(model).keys() and not linears(short)
    for layer, x, y in heard.values():
        exact = F.linear(x, layer.weight().dequantize(), layer.bias())
        assert 0 < (y - exact).norm() / exact.norm() < 0.1
    state = DecodingState()
    assert all(short(part, state=state).isfinite().all() for part in TOKENS.split(1, 1))


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return function(*args, **(kwargs or {}))


def test_plain_layers_share_one_product_where_that_copies_less():
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(6, width, bias=False) for width in (5, 3)]
    for rows, products in ((6, 1), (5, 2)):
        x = torch.randn(rows, 6, generator=generator)
        with Products() as seen:
            found = joined(x, *layers)
        assert seen.count == products
        close(found, torch.cat([layer(x) for layer in layers], -1), 1e-6)
    biased = [layers[0], nn.Linear(6, 3)]
    close(joined(x, *biased), torch.cat([layer(x) for layer in biased], -1), 1e-6)


def test_a_wrapped_router_answers_in_32_bits():
    model = model_of("experts").bfloat16()
    experts = model.blocks[0].feed_forward
    x = torch.randn(7, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = experts.route(x)
    experts.router = nn.Sequential(experts.router)
    found = experts.route(x)
    assert exact.dtype == found.dtype == torch.float32
    close(found, exact, 0.02)
