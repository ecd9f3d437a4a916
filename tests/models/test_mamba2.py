"""Mamba2: its three forms, against its formulas in NumPy and in another package, and its published sizes and starts."""

import math
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models import mixer_checks as checks

from physlm_lite.models import Context
from physlm_lite.models.mamba2 import MAMBA2, NAMES, Mamba2, mamba2_chunked, mamba2_naive, mamba2_step

SETTINGS = {
    "paper": {"state": 5},
    "without b": {"state": 5, "canon_b": False},
    "released": {**MAMBA2, "state": 4},
    "others": {"state": 3, "canon_kernel": 3, "norm_eps": 0.1},
}


def arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (checks.draw(batch, position, key, seed=seed + i, dtype=dtype) for i in range(2))
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay


def layer_of(name="paper", heads=3):
    return checks.lively(Mamba2(12, heads, **SETTINGS[name]))


def twin(z, w, document, heads=3, eps=1e-5):
    """One text through the mixer, by its formulas, with the released names; the state is [value, key] here."""
    inner = w["out_proj.weight"].shape[1]
    N = (len(w["in_proj.weight"]) - 2 * inner - heads) // 2
    projected = z @ w["in_proj.weight"].T
    gate, xBC, dt = projected[:, :inner], projected[:, inner : 2 * inner + 2 * N], projected[:, 2 * inner + 2 * N :]
    if "conv1d.weight" in w:
        xBC = checks.short_convolution(xBC, w["conv1d.weight"], document, w["conv1d.bias"])
    x, B, C = xBC[:, :inner], xBC[:, inner : inner + N], xBC[:, inner + N :]
    delta = checks.softplus(dt + w["dt_bias"])
    P, y = inner // heads, np.zeros_like(x)
    for h in range(heads):
        channels = slice(h * P, (h + 1) * P)
        S = np.zeros((P, N))
        for t in range(len(z)):
            if t and document[t] != document[t - 1]:
                S[:] = 0
            S = np.exp(-np.exp(w["A_log"][h]) * delta[t, h]) * S + delta[t, h] * np.outer(x[t, channels], B[t])
            y[t, channels] = S @ C[t] + w["D"][h] * x[t, channels]
    return checks.rms_norm(y * checks.silu(gate), w["norm.weight"], eps) @ w["out_proj.weight"].T


@settings(max_examples=40, deadline=None)
@given(case=checks.cases)
def test_the_loop_and_the_chunks_agree(case):
    checks.check_forms_agree(mamba2_naive, mamba2_chunked, arguments, case)


def test_one_step_by_hand():
    # two heads share key and query; the first one halves, the second keeps everything
    state, key = torch.tensor([[[[8.0], [4.0]], [[6.0], [2.0]]]]), torch.tensor([[1.0, 0.0]])
    read, state = mamba2_step(
        state, torch.tensor([[1.0, 10.0]]), key, torch.tensor([[[3.0], [5.0]]]), torch.tensor([[0.5, 1.0]]).log()
    )
    assert state.flatten().tolist() == [7.0, 2.0, 11.0, 2.0]
    assert read.flatten().tolist() == [27.0, 31.0]


def test_decays_of_any_strength_leave_finite_numbers_and_slopes():
    for strength in (0.0, 1.0, 1e3, 1e30, float("inf")):
        query, key, value, log_decay = arguments(1, 40, 1, 3, 2, strength=0.0, dtype=torch.float32)
        log_decay = torch.where(torch.arange(40)[:, None] % 3 == 1, -strength, log_decay * 0)
        results = checks.outcome(mamba2_chunked, (query, key, value, log_decay))
        assert all(tensor.isfinite().all() for tensor in results)


def test_the_gradient_is_the_slope():
    inputs = [x.requires_grad_() for x in (*arguments(1, 9, 2, 2, 2, strength=1.0), checks.draw(1, 2, 2, 2, seed=8))]
    starts = torch.arange(9)[None] == 4
    assert torch.autograd.gradcheck(lambda *x: mamba2_chunked(*x[:4], starts, x[4], chunk=4), inputs)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    eps = 0.1 if name == "others" else 1e-5
    checks.check_against_twin(layer_of(name), lambda *x: twin(*x, eps=eps), NAMES, document=document)


def test_the_same_as_the_mixer_of_transformers():
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    theirs = Mamba2Mixer(
        Mamba2Config(
            hidden_size=32,
            num_heads=4,
            head_dim=16,
            state_size=8,
            expand=2,
            n_groups=1,
            use_conv_bias=True,
            use_bias=False,
            layer_norm_epsilon=1e-5,
            chunk_size=16,
        ),
        0,
    )
    ours, x = Mamba2(32, 4, state=8), checks.draw(2, 50, 32, dtype=torch.float32)
    theirs.load_state_dict({NAMES[name][0]: tensor for name, tensor in ours.state_dict().items()})
    checks.assert_close(ours(x, Context()), theirs(x), 1e-5)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["paper", "without b"]), position=st.integers(1, 45), packed=st.booleans(), data=st.data())
def test_a_text_can_be_continued_in_any_pieces(name, position, packed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, position - 1), max_size=6))) if position > 1 else []
    checks.check_continuing(layer_of(name), cuts, position, packed)


def test_token_by_token():
    checks.check_continuing(layer_of("released"), list(range(1, 12)), 12, packed=True)


def test_documents_do_not_meet_and_nobody_sees_the_future():
    checks.check_packed_is_alone(layer_of("paper"))
    checks.check_causal(layer_of("paper"))


def test_memory_grows_with_the_length_and_no_faster():
    checks.check_linear_memory(mamba2_chunked, arguments)


def test_in_short_numbers_the_recurrence_still_has_32_bits():
    checks.check_short_numbers(Mamba2(12, 3))


# -- sizes and starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_the_formula_counts_the_parameters(name):
    checks.check_count(layer_of(name), Mamba2.options(12, 3, **SETTINGS[name]).parameters)


@pytest.mark.parametrize(
    "vocab, width, layers, heads, hidden, conv, canon",
    [
        (32000, 2048, 24, 16, 4096, 1_353_122_944, 1_354_302_592),
        (32000, 3072, 26, 24, 6144, 3_164_530_000, 3_166_446_928),
        (128256, 4096, 32, 32, 9472, 8_036_072_448, 8_039_545_856),
    ],
)
def test_released_models_have_their_published_size(vocab, width, layers, heads, hidden, conv, canon):
    checks.check_published_size(Mamba2, MAMBA2, vocab, width, layers, heads, hidden, conv, canon)


@pytest.mark.parametrize("width", [512, 768])
def test_the_paper_has_6_d_squared_parameters_and_its_state(width):
    config = Mamba2(width, 16).config
    assert config.state_size == 128 * width
    assert config.mixed + 2 * width + 16 == 4 * width + 144  # inner coordinates, of which about a half is mixed
    assert 0 < config.parameters - 6 * width**2 < 0.35 * width**2


@pytest.mark.parametrize("name", ["huggingface", "mamba2"])
def test_published_start(name):
    layer = Mamba2(256, 128, **MAMBA2)
    layer.reset_parameters(torch.Generator().manual_seed(0), name)
    checks.check_start(layer.input.weight, (3 * 256) ** -0.5, 1 / 16)
    checks.check_start(layer.output.weight, (3 * 512) ** -0.5, 512**-0.5)
    checks.check_start(layer.canon_b.weight, 0.5 / 3**0.5, 0.5)
    checks.check_start(layer.canon_b.bias, 0.5 / 3**0.5, 0.5)
    assert (layer.norm.weight == 1).all() and (layer.skip == 1).all()
    rate, step = layer.log_rate.exp(), F.softplus(layer.step_bias)
    assert 1 <= rate.min() < 1.5 and 15 < rate.max() <= 16 and rate.mean().item() == pytest.approx(8.5, abs=1.2)
    assert 0.000999 < step.min() < 0.0013 and 0.08 < step.max() < 0.1001
    assert step.log().mean().item() == pytest.approx(math.log(0.01), abs=0.35)
    torch.testing.assert_close(Mamba2(12, 4).log_rate.exp(), torch.tensor([1.0, 2.0, 3.0, 4.0]))  # Part 4.1


def test_start_for_narrow_models():
    layer = Mamba2(256, 2)
    layer.reset_parameters(torch.Generator().manual_seed(0), "lingua", divisor=2.0)
    checks.check_start(layer.input.weight, 0.98658 / 16, 3 / 16)
    checks.check_start(layer.output.weight, 0.98658 * 512**-0.5 / 2, 1.5 * 512**-0.5)


def test_the_seed_decides_the_start():
    first, second = Mamba2(12, 3, **MAMBA2), Mamba2(12, 3, **MAMBA2)
    for layer in (first, second):
        layer.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert Mamba2(12, 3).skip.is_meta


@pytest.mark.parametrize(
    "heads, options, sentence",
    [
        (5, {}, "5 heads do not divide an inner width of 24; choose another number of heads"),
        (3, {"state": 0}, "state must be a whole number from 1 to 1,048,576, not 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(heads, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Mamba2(12, heads, **options)
