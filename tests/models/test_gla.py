"""Gated linear attention: its three forms, against its formulas in NumPy, and its published sizes and starts."""

import inspect

import numpy as np
import pytest
import torch
from models import mixer_checks as checks
from models.mixers import MIXERS

from physlm_lite.models.gla import GLA, GLA5, NAMES, gla_chunked, gla_step

MIXER = MIXERS["GLA"]


def twin(z, w, document, heads=3, convolve=True, silu=False, divisor=16.0, eps=1e-5, positive=False):
    """One text through the mixer, by its formulas, with the released names."""
    q, k, v = (z @ w[f"{name}_proj.weight"].T for name in "qkv")
    if convolve:
        q, k, v = (
            checks.short_convolution(x, w[f"{name}_conv1d.weight"], document)
            for x, name in ((q, "q"), (k, "k"), (v, "v"))
        )
    elif silu:
        q, k, v = checks.silu(q), checks.silu(k), checks.silu(v)
    if positive:
        q, k = (np.where(x > 0, 1 + x, np.exp(np.minimum(x, 0))) for x in (q, k))
    decay = z @ w["gk_proj.0.weight"].T @ w["gk_proj.1.weight"].T + w["gk_proj.1.bias"]
    decay = checks.sigmoid(decay) ** (1 / divisor)
    if "g_proj.weight" in w:
        gate = z @ w["g_proj.weight"].T
    else:
        gate = z @ w["g_proj.0.weight"].T @ w["g_proj.1.weight"].T + w["g_proj.1.bias"]
    K, V = q.shape[1] // heads, v.shape[1] // heads
    out = np.zeros_like(v)
    for h in range(heads):
        ks, vs = slice(h * K, (h + 1) * K), slice(h * V, (h + 1) * V)
        S = np.zeros((K, V))
        for t in range(len(z)):
            if t and document[t] != document[t - 1]:
                S[:] = 0
            S = np.diag(decay[t, ks]) @ S + np.outer(k[t, ks], v[t, vs])
            o = S.T @ q[t, ks] / np.sqrt(K)
            out[t, vs] = checks.rms_norm(o, w["g_norm_swish_gate.weight"], eps)
    return (out * checks.silu(gate)) @ w["o_proj.weight"].T


def test_one_step_by_hand():
    # two key channels, the first of which halves; one value
    state, query = torch.tensor([[[[8.0], [4.0]]]]), torch.tensor([[[1.0, 10.0]]])
    key, value, log_decay = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[3.0]]]), torch.tensor([[[0.5, 1.0]]]).log()
    read, state = gla_step(state, query, key, value, log_decay)
    assert state.flatten().tolist() == [7.0, 4.0]  # 8 / 2 + 3, and 4
    assert read.item() == pytest.approx(47 / 2**0.5)


def test_without_decay_it_is_linear_attention():
    query, key, value, _ = MIXER.arguments(2, 37, 2, 4, 5, strength=0.0)
    scores = torch.einsum("bthk,bshk->bhts", query, key).tril() / 2
    read, state = gla_chunked(query, key, value, torch.zeros_like(key))
    checks.assert_close(read, torch.einsum("bhts,bshv->bthv", scores, value), 1e-12)
    checks.assert_close(state, torch.einsum("bshk,bshv->bhkv", key, value), 1e-12)


@pytest.mark.parametrize("name", MIXER.settings)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    options = {
        "heads": 3,
        "convolve": MIXER.settings[name].get("canon_b", False),
        "silu": "released" in name,
        "positive": MIXER.settings[name].get("positive", False),
    }
    if name == "others":
        options |= {"divisor": 4.0, "eps": 0.1}
    checks.check_against_twin(MIXER.layer(name), lambda *x: twin(*x, **options), NAMES, document=document)


# -- sizes and starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width, state", [(512, 64), (768, 96)])
def test_the_paper_has_4_d_squared_parameters_and_its_state(width, state):
    config = GLA(width, 4).config
    assert config.state_size == state * width
    assert 0 < config.parameters - 4 * width**2 < 0.06 * width**2


def test_published_start():
    layer = GLA(256, 2, **GLA5)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    for name in ("query", "key", "value", "output", "canon_b"):
        checks.check_start(layer.get_parameter(f"{name}.weight"), 0.02)
    for pair in (layer.gate, layer.decay):
        assert not pair[1].bias.any()
        for part in pair:
            checks.check_start(part.weight, 0.0707)
    assert (layer.norm.weight == 1).all()
    plain = GLA(256, 2)
    checks.check_start(plain.decay[0].weight, 0.02)
    checks.check_start(plain.gate.weight, 0.02)
    decay = layer.gates(checks.draw(1, 50, 256, dtype=torch.float32))[0].exp()
    assert decay.mean().item() == pytest.approx(0.958, abs=0.002)


def test_start_for_narrow_models():
    layer = GLA(256, 2, **GLA5)
    layer.reset_parameters(torch.Generator().manual_seed(0), "lingua", divisor=2.0)
    for name, std in (
        ("query", 1 / 16),
        ("value", 1 / 16),
        ("gate.0", 1 / 16),
        ("gate.1", 1 / 4),
        ("decay.1", 1 / 4),
        ("output", 512**-0.5 / 2),
    ):
        checks.check_start(layer.get_parameter(f"{name}.weight"), 0.98658 * std, 3 * std)
    checks.check_start(layer.canon_b.weight, 0.5 / 3**0.5, 0.5)


def test_options_are_those_of_the_configuration():
    assert {"expand_key", "canon_b", "decay_rank", "norm_eps"} < set(inspect.signature(GLA).parameters)


@pytest.mark.parametrize(
    "heads, options, sentence",
    [
        (5, {}, "expand_key 0.5 of a width of 12 is not a multiple of 5 heads; choose another number of heads"),
        (4, {"expand_key": 1.0, "expand_value": 0.5}, "expand_value 0.5 of a width of 12 is not a multiple of 4 heads"),
        (0, {}, "heads must be a whole number of at least 1, not 0"),
        (3, {"gate_rank": 0}, "gate_rank must be a whole number from 1 to 65,536 or None, not 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(heads, options, sentence):
    with pytest.raises(ValueError) as error:
        GLA(12, heads, **options)
    assert sentence in str(error.value)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match="chunk should be a power of 2 such as 32, not 24"):
        gla_chunked(*MIXER.arguments(1, 3, 1, 2, 2, strength=0.1), chunk=24)
    with pytest.raises(ValueError, match="unknown init 'huggingfase'; did you mean 'huggingface'"):
        GLA(12, 3).reset_parameters(init="huggingfase")
