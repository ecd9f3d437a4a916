"""Gated linear attention: its three forms, against its formulas in NumPy, and its published sizes and starts."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import mixer_checks as checks

from physlm_lite.models.gla import GLA, GLA5, NAMES, gla_chunked, gla_naive, gla_step

SETTINGS = {
    "paper": {},
    "paper with b": {"canon_b": True},
    "GLA5": GLA5,
    "GLA5 without b": {**GLA5, "canon_b": False},
    "others": {
        "expand_key": 2.0,
        "expand_value": 0.5,
        "canon_b": True,
        "canon_kernel": 3,
        "decay_rank": 2,
        "decay_divisor": 4.0,
        "norm_eps": 0.1,
    },
    "1 + elu": {"canon_b": True, "positive": True},
}


def arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (checks.draw(batch, position, heads, key, seed=seed + i, dtype=dtype) for i in range(2))
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, key, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay


def layer_of(name="paper", heads=3):
    return checks.lively(GLA(12, heads, **SETTINGS[name]))


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


@settings(max_examples=40, deadline=None)
@given(case=checks.cases)
def test_the_loop_and_the_chunks_agree(case):
    checks.check_forms_agree(gla_naive, gla_chunked, arguments, case)


def test_one_step_by_hand():
    # two key channels, the first of which halves; one value
    state, query = torch.tensor([[[[8.0], [4.0]]]]), torch.tensor([[[1.0, 10.0]]])
    key, value, log_decay = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[3.0]]]), torch.tensor([[[0.5, 1.0]]]).log()
    read, state = gla_step(state, query, key, value, log_decay)
    assert state.flatten().tolist() == [7.0, 4.0]  # 8 / 2 + 3, and 4
    assert read.item() == pytest.approx(47 / 2**0.5)


def test_without_decay_it_is_linear_attention():
    query, key, value, _ = arguments(2, 37, 2, 4, 5, strength=0.0)
    scores = torch.einsum("bthk,bshk->bhts", query, key).tril() / 2
    read, state = gla_chunked(query, key, value, torch.zeros_like(key))
    checks.assert_close(read, torch.einsum("bhts,bshv->bthv", scores, value), 1e-12)
    checks.assert_close(state, torch.einsum("bshk,bshv->bhkv", key, value), 1e-12)


def test_decays_of_any_strength_leave_finite_numbers_and_slopes():
    for strength in (0.0, 1.0, 1e3, 1e30, float("inf")):
        query, key, value, log_decay = arguments(1, 40, 1, 3, 2, strength=0.0, dtype=torch.float32)
        log_decay = torch.where(torch.arange(40)[:, None, None] % 3 == 1, -strength, log_decay * 0)
        results = checks.outcome(gla_chunked, (query, key, value, log_decay))
        assert all(tensor.isfinite().all() for tensor in results)


def test_the_gradient_is_the_slope():
    inputs = [x.requires_grad_() for x in (*arguments(1, 9, 1, 2, 2, strength=1.0), checks.draw(1, 1, 2, 2, seed=8))]
    starts = torch.arange(9)[None] == 4
    assert torch.autograd.gradcheck(lambda *x: gla_chunked(*x[:4], starts, x[4], chunk=4), inputs)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    options = {
        "heads": 3,
        "convolve": SETTINGS[name].get("canon_b", False),
        "silu": "GLA5" in name,
        "positive": SETTINGS[name].get("positive", False),
    }
    if name == "others":
        options |= {"divisor": 4.0, "eps": 0.1}
    checks.check_against_twin(layer_of(name), lambda *x: twin(*x, **options), NAMES, document=document)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["paper", "GLA5"]), position=st.integers(1, 45), packed=st.booleans(), data=st.data())
def test_a_text_can_be_continued_in_any_pieces(name, position, packed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, position - 1), max_size=6))) if position > 1 else []
    checks.check_continuing(layer_of(name), cuts, position, packed)


def test_token_by_token():
    checks.check_continuing(layer_of("GLA5"), list(range(1, 12)), 12, packed=True)


@pytest.mark.parametrize("name", ["paper", "GLA5"])
def test_documents_do_not_meet_and_nobody_sees_the_future(name):
    checks.check_packed_is_alone(layer_of(name))
    checks.check_causal(layer_of(name))


def test_memory_grows_with_the_length_and_no_faster():
    checks.check_linear_memory(gla_chunked, arguments)


def test_in_short_numbers_the_recurrence_still_has_32_bits():
    checks.check_short_numbers(GLA(12, 3, **GLA5))


# -- sizes and starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_the_formula_counts_the_parameters(name):
    checks.check_count(layer_of(name), GLA.options(12, 3, **SETTINGS[name]).parameters)


@pytest.mark.parametrize(
    "vocab, width, layers, heads, hidden, conv, canon",
    [
        (32000, 2048, 24, 16, 4096, 1_344_004_096, 1_345_183_744),
        (32000, 3072, 26, 24, 6144, 3_149_086_208, 3_151_003_136),
        (128256, 4096, 32, 32, 9472, 8_009_691_136, 8_013_164_544),
    ],
)
def test_released_models_have_their_published_size(vocab, width, layers, heads, hidden, conv, canon):
    checks.check_published_size(GLA, GLA5, vocab, width, layers, heads, hidden, conv, canon)


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


def test_the_seed_decides_the_start():
    first, second = GLA(12, 3, **GLA5), GLA(12, 3, **GLA5)
    for layer in (first, second):
        layer.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert GLA(12, 3).query.weight.is_meta


def test_options_are_those_of_the_configuration():
    assert {"expand_key", "canon_b", "decay_rank", "norm_eps"} < set(inspect.signature(GLA).parameters)


@pytest.mark.parametrize(
    "heads, options, sentence",
    [
        (5, {}, "expand_key 0.5 of a width of 12 is not a multiple of 5 heads; choose another number of heads"),
        (4, {"expand_key": 1.0, "expand_value": 0.5}, "expand_value 0.5 of a width of 12 is not a multiple of 4 heads"),
        (0, {}, "heads must be a whole number of at least 1, not 0"),
        (3, {"gate_rank": 0}, "gate_rank must be a whole number of at least 1 or None, not 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(heads, options, sentence):
    with pytest.raises(ValueError) as error:
        GLA(12, heads, **options)
    assert sentence in str(error.value)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match="chunk should be a power of 2 such as 32, not 24"):
        gla_chunked(*arguments(1, 3, 1, 2, 2, strength=0.1), chunk=24)
    with pytest.raises(ValueError, match="unknown init 'huggingfase'; did you mean 'huggingface'"):
        GLA(12, 3).reset_parameters(init="huggingfase")
