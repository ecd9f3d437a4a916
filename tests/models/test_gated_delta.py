"""The gated delta net: its three forms, against its formulas in NumPy, and its published sizes and starts."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import mixer_checks as checks
from models.mixers import MIXERS

from physlm_lite.models.gated_delta import GDN2, NAMES, GatedDelta, delta_chunked, delta_naive, delta_step

MIXER = MIXERS["gated delta net"]


def twin(z, w, document, heads=3, eps=1e-5):
    """One text through the mixer, by its formulas, with the released names."""
    q, k, v = (z @ w[f"{name}_proj.weight"].T for name in "qkv")
    if "q_conv1d.weight" in w:
        q, k, v = (
            checks.short_convolution(x, w[f"{name}_conv1d.weight"], document)
            for x, name in ((q, "q"), (k, "k"), (v, "v"))
        )
    else:
        q, k, v = checks.silu(q), checks.silu(k), checks.silu(v)
    beta = checks.sigmoid(z @ w["b_proj.weight"].T)
    decay = np.exp(-np.exp(w["A_log"]) * checks.softplus(z @ w["a_proj.weight"].T + w["dt_bias"]))
    if "g_proj.weight" in w:
        gate = z @ w["g_proj.weight"].T
    else:
        gate = z @ w["g_proj.0.weight"].T @ w["g_proj.1.weight"].T + w["g_proj.1.bias"]
    K, V = q.shape[1] // heads, v.shape[1] // heads
    out = np.zeros_like(v)
    for h in range(heads):
        S = np.zeros((K, V))
        for t in range(len(z)):
            qt, kt = (x[t, h * K : (h + 1) * K] for x in (q, k))
            qt, kt = (x / np.sqrt(x @ x + 1e-6) for x in (qt, kt))
            vt = v[t, h * V : (h + 1) * V]
            if t and document[t] != document[t - 1]:
                S[:] = 0
            # the product form of the delta rule: what S says about the key shrinks, and the new value is added
            S = decay[t, h] * (np.eye(K) - beta[t, h] * np.outer(kt, kt)) @ S + beta[t, h] * np.outer(kt, vt)
            out[t, h * V : (h + 1) * V] = checks.rms_norm(S.T @ qt / np.sqrt(K), w["o_norm.weight"], eps)
    return (out * checks.silu(gate)) @ w["o_proj.weight"].T


def test_one_step_by_hand():
    # the state says 8 about the first key; it halves to 4, and moves a quarter of the way towards 12
    state, key = torch.tensor([[[[8.0], [2.0]]]]), torch.tensor([[[1.0, 0.0]]])
    read, state = delta_step(
        state,
        torch.tensor([[[1.0, 10.0]]]),
        key,
        torch.tensor([[[12.0]]]),
        torch.tensor([[0.5]]).log(),
        torch.tensor([[0.25]]),
    )
    assert state.flatten().tolist() == [6.0, 1.0]
    assert read.item() == pytest.approx(16 / 2**0.5)


def test_a_full_share_replaces_what_was_known_about_a_key():
    keys, values = torch.eye(3)[[0, 1, 0, 2]].view(1, 4, 1, 3), torch.tensor([5.0, 7.0, 11.0, 13.0]).view(1, 4, 1, 1)
    for form in (delta_naive, delta_chunked):
        read, state = form(keys, keys, values, torch.zeros(1, 4, 1), torch.ones(1, 4, 1))
        torch.testing.assert_close(state.flatten(), torch.tensor([11.0, 7.0, 13.0]))
        torch.testing.assert_close(read.flatten() * 3**0.5, values.flatten())


@pytest.mark.parametrize("share", [0.5, 0.999])
def test_the_hardest_text_stays_exact(share):
    """The same key again and again and nothing forgotten: the triangular system is as full as it gets."""
    query, key, value, log_decay, _ = MIXER.arguments(1, 600, 1, 8, 4, strength=0.0, dtype=torch.float32)
    key, log_decay = key[:, :1].expand_as(key) + 0.01 * key, torch.zeros_like(log_decay)
    inputs = (query, F.normalize(key, dim=-1), value, log_decay, torch.full_like(log_decay, share))
    exact = delta_naive(*(x.double() for x in inputs))
    for chunk in (32, 128):
        for fast, slow in zip(delta_chunked(*inputs, chunk=chunk), exact, strict=True):
            checks.assert_close(fast.double(), slow, 1e-5)


@pytest.mark.parametrize("name", MIXER.settings)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    eps = 0.1 if name == "others" else 1e-5
    checks.check_against_twin(MIXER.layer(name), lambda *x: twin(*x, eps=eps), NAMES, document=document)


# -- sizes and starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width, heads", [(512, 4), (768, 6)])
def test_the_paper_has_6_d_squared_parameters_and_its_state(width, heads):
    config = GatedDelta(width, heads).config
    assert config.state_size == 144 * width
    assert 0 < config.parameters - 6 * width**2 < 0.06 * width**2


def test_published_start():
    layer = GatedDelta(256, 128, **GDN2)
    layer.reset_parameters(torch.Generator().manual_seed(0))
    for name in ("query", "key", "value", "output", "share", "step", "canon_b"):
        checks.check_start(layer.get_parameter(f"{name}.weight"), 0.02)
    for part in layer.gate:
        checks.check_start(part.weight, 0.0707)
    assert not layer.gate[1].bias.any() and (layer.norm.weight == 1).all()
    check_rates_and_steps(layer, 0.0)


def check_rates_and_steps(layer, least):
    rate, step = layer.log_rate.exp(), F.softplus(layer.step_bias)
    assert least <= rate.min() and 15 < rate.max() <= 16 and rate.mean().item() == pytest.approx(8 + least / 2, abs=1.2)
    assert 0.000999 < step.min() < 0.0013 and 0.08 < step.max() < 0.1001
    assert step.log().mean().item() == pytest.approx(math.log(0.01), abs=0.35)


def test_start_for_narrow_models():
    layer = GatedDelta(256, 2, **GDN2)
    layer.reset_parameters(torch.Generator().manual_seed(0), "lingua", divisor=2.0)
    for name, std in (("query", 1 / 16), ("gate.0", 1 / 16), ("gate.1", 1 / 4), ("output", 512**-0.5 / 2)):
        checks.check_start(layer.get_parameter(f"{name}.weight"), 0.98658 * std, 3 * std)
    checks.check_start(layer.canon_b.weight, 0.5 / 3**0.5, 0.5)


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"expand_key 0\.75 of a width of 12 is not a multiple of 2 heads"):
        GatedDelta(12, 2)
