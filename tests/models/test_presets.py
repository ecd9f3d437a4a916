"""Models by name have their published sizes; the operations of linear models are those of a counted forward pass."""

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from physlm_lite.base.strict import UnknownName
from physlm_lite.models import GDN2, GLA, GLA5, MAMBA2, GatedDelta, LanguageModel, Mamba2, ModelConfig, preset, released
from physlm_lite.models.gated_delta import delta_naive
from physlm_lite.models.gla import gla_naive
from physlm_lite.models.presets import architectures

# -- the released models -----------------------------------------------------------------------------------------------

SIZES = {  # parameters at 1B, 3B and 8B
    "Llama": (1_364_396_032, 3_141_331_968, 8_030_261_248),
    "LlamaCanon": (1_366_460_416, 3_144_633_344, 8_035_766_272),
    "GLA5conv": (1_344_004_096, 3_149_086_208, 8_009_691_136),
    "GLA5Canon": (1_345_183_744, 3_151_003_136, 8_013_164_544),
    "GDN2conv": (1_343_955_712, 3_150_285_536, 8_013_756_416),
    "GDN2Canon": (1_345_135_360, 3_152_202_464, 8_017_229_824),
    "Mamba2conv": (1_353_122_944, 3_164_530_000, 8_036_072_448),
    "Mamba2Canon": (1_354_302_592, 3_166_446_928, 8_039_545_856),
}
PARAMETERS = {
    f"{family}-{size}": total
    for family, totals in SIZES.items()
    for size, total in zip(("1B", "3B", "8B"), totals, strict=True)
}


def instantiated(config):
    with torch.device("meta"):
        return LanguageModel(config)


def test_every_released_name_has_its_published_size():
    names = released()
    assert len(names) == len(set(names)) == 64
    assert sum(name.startswith("Llama") for name in names) == 16
    for name in names:
        family = "-".join(name.split("-")[:2])
        assert preset(name).parameters == PARAMETERS[family], name
        assert preset(name) == preset(family), name


def test_the_runs_of_each_architecture():
    runs = {}
    for name in released():
        family, size, _, *run = name.split("-")
        runs.setdefault((family, size), []).append("-".join(run))
    two = ["1T-lr0.002", "1T-lr0.003"]
    assert len(runs) == 24
    for (family, size), found in runs.items():
        if family.startswith("Llama"):
            assert found == ([*two, "2T-lr0.003", "2T-lr0.005"] if size == "1B" else two)
        else:
            assert found == (two if size == "8B" else [*two, "1T-lr0.005"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_released_architectures_can_be_made(name):
    model = instantiated(preset(name))
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    if not name.startswith("Llama"):
        assert model.blocks[0].mixer.config.state_size == 256 * model.config.width


def test_the_released_transformers_in_detail():
    for size, head, theta in (("1B", 64, 1e4), ("3B", 128, 1e4), ("8B", 128, 1e5)):
        plain, canon = preset(f"Llama-{size}"), preset(f"LlamaCanon-{size}")
        assert (plain.each_head, plain.rotated, canon.rotated) == (head, head, head // 4)
        assert dataclasses.replace(canon, canon="", rope_dim=None) == plain
        assert (plain.rope_layout, plain.rope_theta, plain.norm_eps) == ("interleaved", theta, 1e-5)
        assert plain.qk_norm is (size != "8B") and not plain.tied


@pytest.mark.parametrize(
    "name, init, std",
    [
        ("LlamaCanon-1B", "lingua", 0.98658 / 8),
        ("GLA5conv-3B", "huggingface", 0.02),
        ("GDN2Canon-8B", "huggingface", 0.02),
        ("Mamba2Canon-1B", "mamba2", 0.1),
    ],
)
def test_a_released_model_starts_like_its_code_base(name, init, std):
    small = preset(name, vocab=500, width=64, layers=1, heads=2, hidden=96)
    kv_heads = {"kv_heads": None} if small.kv_heads else {}
    model = LanguageModel(dataclasses.replace(small, **kv_heads), seed=0)
    assert model.config.init == init
    assert model.embedding.weight.std().item() == pytest.approx(std, rel=0.02)


# -- the architectures of Part 4.1 -------------------------------------------------------------------------------------

PER_LAYER = {name: 12 for name in architectures()} | {"MoE": 4 + 32 * 8}  # times the square of the width
STATES = {
    "GLA": {512: 64, 768: 96},
    "Mamba2": {512: 128, 768: 128},
    "Mamba2(mlp)": {512: 128, 768: 128},
    "GDN": {512: 144, 768: 144},
}  # numbers for each unit of width


@pytest.mark.parametrize("size", ["8L512D", "12L512D", "8L768D", "12L768D"])
def test_the_architectures_have_their_published_sizes(size):
    layers, width = (int(part) for part in size[:-1].split("L"))
    for name in architectures():
        config = preset(f"{name}-{size}")
        assert config.layers == (2 * layers if name == "Mamba2" else layers) and config.width == width
        # Mamba2's keys, queries and steps come on top of its 6 d^2, and each other mixer's small gates
        extra = {"Mamba2": 0.07, "Mamba2(mlp)": 0.03, "GLA": 0.01, "GDN": 0.01}.get(name, 0.008)
        inner = config.parameters - 2 * config.vocab * width - width
        assert 0 < inner / (layers * width**2 * PER_LAYER[name]) - 1 < extra, name
        if name in STATES:
            one = dataclasses.replace(config, layers=1)
            assert instantiated(one).blocks[0].mixer.config.state_size == STATES[name][width] * width


@pytest.mark.parametrize("convolutions", ["", "+none", "+b", "+A", "+AC", "+ACD", "+AbCD", "+Ab", "+ABC", "+ABCD"])
def test_architectures_with_convolutions(convolutions):
    letters = set(convolutions[1:]) & set("AbBCD") if convolutions != "+none" else set()
    for name in architectures():
        linear = name in STATES
        refused = "B" in letters if linear else "b" in letters
        refused |= name == "MoE" and "D" in letters
        refused |= name == "Mamba2" and bool(letters & set("CD"))
        if refused:
            with pytest.raises(ValueError, match="choose"):
                preset(f"{name}{convolutions}-2L256D")
            continue
        config = preset(f"{name}{convolutions}-2L256D")
        model = instantiated(config)
        assert sum(p.numel() for p in model.parameters()) == config.parameters
        taps = {
            part[-1] for parameter, _ in model.named_parameters() for part in parameter.split(".") if "canon_" in part
        }
        expected = {"Mamba2": {"b"}, "Mamba2(mlp)": {"b"}, "GDN": {"b"}, "Primer": {"b"}}.get(name, set())
        if convolutions:
            expected = {letter.lower() for letter in letters}
        assert taps == expected, name


@pytest.mark.parametrize(
    "name, options",
    [
        ("RoPE", {"rope_dim": None}),
        ("NoPE", {"rope_dim": 0}),
        ("RoPE(quarter)", {"rope_dim": 32, "rope_heads": 4}),
        ("RoPE(quarter-heads)", {"rope_heads": 2}),
        ("RoPE(quarter-dims)", {"rope_dim": 16}),
        ("ALiBi", {"positions": "alibi"}),
        ("H-ALiBi", {"positions": "hard_alibi"}),
        ("RoPE(R2)", {"activation": "relu2"}),
        ("GPT2", {"mlp": "standard"}),
        ("GPT2(quarter)", {"mlp": "standard", "rope_dim": 32, "rope_heads": 4}),
        ("GPT2(R2)", {"mlp": "standard", "activation": "relu2"}),
        ("Primer", {"canon": "B", "canon_residual": False}),
        ("MoE", {"mlp": "standard", "experts": 32, "expert_capacity": 2.0}),
    ],
)
def test_the_transformers_of_the_paper_differ_in_what_their_name_says(name, options):
    assert preset(f"{name}-8L512D") == ModelConfig(
        vocab=128, width=512, layers=8, heads=8, init="huggingface", **options
    )


def test_the_linear_models_of_the_paper():
    assert preset("Mamba2-8L512D").init == "mamba2" and preset("Mamba2-8L512D").mlp == "none"
    assert [preset(f"{name}-8L768D").heads for name in ("RoPE", "GLA", "Mamba2", "GDN")] == [12, 4, 16, 6]
    assert [preset(f"{name}-8L768D").feed_forward for name in STATES] == [2048, 0, 1536, 1536]
    assert preset("GDN-8L512D").parameters == preset("GDN+b-8L512D").parameters
    assert preset("GLA-8L512D").parameters == preset("GLA+none-8L512D").parameters


def test_changes():
    assert preset("NoPE+ABCD-12L768D", vocab=7, canon_frozen=True).canon_frozen
    assert preset("Llama-1B", layers=2, vocab=11).parameters < 2e8
    with pytest.raises(UnknownName, match="unknown ModelConfig option 'widht'; did you mean 'width'"):
        preset("Llama-1B", widht=3)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("LlamaCannon-1B", "did you mean 'LlamaCanon-1B'"),
        ("GDN2-1B", "did you mean 'GDN2conv-1B'"),
        ("Llama-1B-Nemo-1T-lr0.005", "did you mean 'Llama-1B-Nemo-"),
        ("llama-8b", "did you mean 'Llama-8B'"),
        ("RoPE-8L512", "did you mean 'RoPE-8L512D'"),
        ("RoPe+A-8L512D", "unknown architecture 'RoPe'; did you mean 'RoPE'"),
        ("GLA+-8L512D", "unknown model preset"),
        ("", "unknown model preset"),
        ("NoPE+AbCD-8L512D", "b is the short convolution inside a linear mixer, and NoPE has none; choose B"),
        ("GLA+ABCD-8L512D", "choose a subset of 'ACD'"),
        ("RoPE+AE-8L512D", "'E' is none of these letters"),
        ("RoPE-0L512D", "layers must be a whole number from 1 to 10,000, not 0"),
        ("RoPE-2L200D", "3 heads do not divide a width of 200"),
    ],
)
def test_names_that_nothing_has_are_refused(name, hint):
    with pytest.raises(ValueError) as error:
        preset(name)
    assert hint in str(error.value)


# -- operations of linear models ---------------------------------------------------------------------------------------


class StateProducts(TorchDispatchMode):
    """Counts the multiplications whose result is as large as the state [batch, head, key, value]."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.total = shape, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation in (torch.ops.aten.mul.Tensor, torch.ops.aten.addcmul.default) and result.shape == self.shape:
            self.total += result.numel()
        return result


MODELS = {
    "GLA": {"mixer": "gla", "canon": "AC", "canon_cross": True},
    "GLA5": {"mixer": "gla", "mixer_options": GLA5, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mlp": "none", "mixer_options": {"state": 5}},
    "Mamba2 without b": {"mixer": "mamba2", "canon": "D", "mixer_options": {"state": 5, "canon_b": False}},
    "Mamba2 released": {"mixer": "mamba2", "mixer_options": {**MAMBA2, "state": 3}},
    "GDN": {"mixer": "gated_delta", "tied": True},
    "GDN2 with experts": {"mixer": "gated_delta", "mixer_options": GDN2, "experts": 3},
}


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("kind", MODELS)
def test_operations_are_those_of_a_forward_pass_token_after_token(kind, length, monkeypatch):
    # the formula counts the loop, which agrees with the chunks (tested), also for texts
    monkeypatch.setattr(GLA, "chunked", staticmethod(gla_naive))
    monkeypatch.setattr(GatedDelta, "chunked", staticmethod(delta_naive))
    monkeypatch.setattr(Mamba2, "chunked", staticmethod(Mamba2.naive))
    config = ModelConfig(vocab=11, width=32, layers=2, heads=2, **MODELS[kind])
    model = LanguageModel(config, seed=0)
    inner = model.blocks[0].mixer.config
    key = inner.state if config.mixer == "mamba2" else inner.key_width // 2
    products = StateProducts((1, 2, key, inner.state_size // 2 // key))
    with FlopCounterMode(display=False) as matrices, products:
        model(torch.zeros(1, length, dtype=torch.long))
    assert products.total > 0
    taps = sum(p.numel() for name, p in model.named_parameters() if "canon" in name and not name.endswith("bias"))
    counted = matrices.get_total_flops() + 2 * products.total + 2 * length * taps
    assert length * config.flops_per_token(length) == counted


@pytest.mark.parametrize("name, times", [("GLA5conv-1B", 3), ("Mamba2conv-1B", 3), ("GDN2conv-1B", 4)])
def test_operations_of_a_released_model(name, times):
    """Nearly 2 for each parameter that is not looked up, and those of 24 states of 256 numbers for each unit of width."""
    config = preset(name)
    matrices = config.flops_per_token(4096) - 2 * times * 24 * 256 * 2048
    assert matrices / (2 * (config.parameters - 32_000 * 2048)) == pytest.approx(1, abs=3e-4)
    assert config.flops_per_token(1) == config.flops_per_token(16384)
