"""Mamba2: its three forms, against its formulas in NumPy and in another package, and its published sizes and starts."""

import math
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import mixer_checks as checks
from models.mixers import MIXERS

from physlm_lite.models import Context
from physlm_lite.models.mamba2 import MAMBA2, NAMES, Mamba2, mamba2_step

MIXER = MIXERS["Mamba2"]


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


def test_one_step_by_hand():
    # two heads share key and query; the first one halves, the second keeps everything
    state, key = torch.tensor([[[[8.0], [4.0]], [[6.0], [2.0]]]]), torch.tensor([[1.0, 0.0]])
    read, state = mamba2_step(
        state, torch.tensor([[1.0, 10.0]]), key, torch.tensor([[[3.0], [5.0]]]), torch.tensor([[0.5, 1.0]]).log()
    )
    assert state.flatten().tolist() == [7.0, 2.0, 11.0, 2.0]
    assert read.flatten().tolist() == [27.0, 31.0]


@pytest.mark.parametrize("name", MIXER.settings)
@pytest.mark.parametrize("document", [None, checks.documents(4, 1, 6)])
def test_the_layer_follows_its_formulas(name, document):
    eps = 0.1 if name == "others" else 1e-5
    checks.check_against_twin(MIXER.layer(name), lambda *x: twin(*x, eps=eps), NAMES, document=document)


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


# -- sizes and starts --------------------------------------------------------------------------------------------------


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
