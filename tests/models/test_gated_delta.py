"""The gated delta net: its three forms, against its formulas in NumPy, and its published sizes and starts."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models import mixer_checks as checks

from physlm_lite.models.gated_delta import GDN2, NAMES, GatedDelta, delta_chunked, delta_naive, delta_step

SETTINGS = {
    "paper": {},
    "paper without b": {"canon_b": False},
    "GDN2": GDN2,
    "GDN2 without b": {**GDN2, "canon_b": False},
    "others": {"expand_key": 2.0, "expand_value": 0.5, "canon_kernel": 3, "norm_eps": 0.1},
}


def arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (
        F.normalize(checks.draw(batch, position, heads, key, seed=seed + i, dtype=dtype), dim=-1) for i in range(2)
    )
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay, checks.uniform(batch, position, heads, seed=seed + 5, dtype=dtype)


def layer_of(name="paper", heads=3):
    return checks.lively(GatedDelta(12, heads, **SETTINGS[name]))


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


@settings(max_examples=40, deadline=None)
@given(case=checks.cases)
def test_the_loop_and_the_chunks_agree(case):
    checks.check_forms_agree(delta_naive, delta_chunked, arguments, case)


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
    query, key, value, log_decay, _ = arguments(1, 600, 1, 8, 4, strength=0.0, dtype=torch.float32)
    key, log_decay = key[:, :1].expand_as(key) + 0.01 * key, torch.zeros_like(log_decay)
    inputs = (query, F.normalize(key, dim=-1), value, log_decay, torch.full_like(log_decay, share))
    exact = delta_naive(*(x.double() for x in inputs))
    for chunk in (32, 128):
        for fast, slow in zip(delta_chunked(*inputs, chunk=chunk), exact, strict=True):
            checks.assert_close(fast.double(), slow, 1e-5)


def test_decays_of_any_strength_leave_finite_numbers_and_slopes():
    for strength in (0.0, 1.0, 1e3, 1e30, float("inf")):
        query, key, value, log_decay, share = arguments(1, 40, 1, 3, 2, strength=0.0, dtype=torch.float32)
        log_decay = torch.where(torch.arange(40)[:, None] % 3 == 1, -strength, log_decay * 0)
        results = checks.outcome(delta_chunked, (query, key, value, log_decay, share))
        assert all(tensor.isfinite().all() for tensor in results)


def test_the_gradient_is_the_slope():
    inputs = [x.requires_grad_() for x in (*arguments(1, 9, 1, 2, 2, strength=1.0), checks.draw(1, 1, 2, 2, seed=8))]
    starts = torch.arange(9)[None] == 4
    assert torch.autograd.gradcheck(lambda *x: delta_chunked(*x[:5], starts, x[5], chunk=4), inputs)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    eps = 0.1 if name == "others" else 1e-5
    checks.check_against_twin(layer_of(name), lambda *x: twin(*x, eps=eps), NAMES, document=document)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["paper", "GDN2"]), position=st.integers(1, 45), packed=st.booleans(), data=st.data())
def test_a_text_can_be_continued_in_any_pieces(name, position, packed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, position - 1), max_size=6))) if position > 1 else []
    checks.check_continuing(layer_of(name), cuts, position, packed)


def test_token_by_token():
    checks.check_continuing(layer_of("GDN2"), list(range(1, 12)), 12, packed=True)


@pytest.mark.parametrize("name", ["paper", "GDN2"])
def test_documents_do_not_meet_and_nobody_sees_the_future(name):
    checks.check_packed_is_alone(layer_of(name))
    checks.check_causal(layer_of(name))


def test_memory_grows_with_the_length_and_no_faster():
    checks.check_linear_memory(delta_chunked, arguments)


def test_in_short_numbers_the_recurrence_still_has_32_bits():
    checks.check_short_numbers(GatedDelta(12, 3, **GDN2), tolerance=0.1)


# -- sizes and starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_the_formula_counts_the_parameters(name):
    checks.check_count(layer_of(name), GatedDelta.options(12, 3, **SETTINGS[name]).parameters)


@pytest.mark.parametrize(
    "vocab, width, layers, heads, hidden, conv, canon",
    [
        (32000, 2048, 24, 16, 4096, 1_343_955_712, 1_345_135_360),
        (32000, 3072, 26, 24, 6144, 3_150_285_536, 3_152_202_464),
        (128256, 4096, 32, 32, 9472, 8_013_756_416, 8_017_229_824),
    ],
)
def test_released_models_have_their_published_size(vocab, width, layers, heads, hidden, conv, canon):
    checks.check_published_size(GatedDelta, GDN2, vocab, width, layers, heads, hidden, conv, canon)


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


def test_the_seed_decides_the_start():
    first, second = GatedDelta(12, 3), GatedDelta(12, 3)
    for layer in (first, second):
        layer.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert GatedDelta(12, 3).log_rate.is_meta


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"expand_key 0\.75 of a width of 12 is not a multiple of 2 heads"):
        GatedDelta(12, 2)
