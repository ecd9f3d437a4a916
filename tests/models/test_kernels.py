"""The kernels of other packages: stand-ins with their documented arguments, against our own functions.

No package is needed: a stand-in is written from the documentation of the function that it stands for, token after token,
and put where the import would find it. What a GPU really computes is compared where there is one.
"""

import os
import subprocess
import sys
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest
import skip_reasons
import torch
import torch.nn.functional as F
from models import mixer_checks as checks

from physlm_lite.models import (
    GLA,
    Canon,
    Context,
    DecodingState,
    GatedDelta,
    LanguageModel,
    Mamba2,
    Memory,
    ModelConfig,
    canon,
    kernels,
)
from physlm_lite.models.gated_delta import delta_chunked
from physlm_lite.models.gla import gla_chunked
from physlm_lite.models.mamba2 import mamba2_chunked

OWN = {"gla": gla_chunked, "delta": delta_chunked, "mamba2": mamba2_chunked}
LAYERS = {
    "gla": lambda: GLA(16, 2, canon_b=True),
    "delta": lambda: GatedDelta(16, 4),
    "mamba2": lambda: Mamba2(16, 2, state=8),
}
BATCH, POSITION, HEADS, KEY, VALUE = 2, 9, 2, 4, 6


# -- the documented functions, token after token -----------------------------------------------------------------------


def chunk_gla(q, k, v, g, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None):
    """q, k, g [B, T, H, K], v [B, T, H, V], states [N, H, K, V] of N texts; with cu_seqlens [N + 1], B is 1."""
    return per_text(
        partial(one_gla, scale=scale or k.shape[-1] ** -0.5),
        (q, k, v, g),
        initial_state,
        output_final_state,
        cu_seqlens,
    )


def chunk_gated_delta_rule(q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False, cu_seqlens=None):
    """As above, but g and beta [B, T, H]."""
    assert q.dtype == k.dtype == v.dtype and q.dtype != torch.float32
    return per_text(
        partial(one_delta, scale=scale or k.shape[-1] ** -0.5),
        (q, k, v, g, beta),
        initial_state,
        output_final_state,
        cu_seqlens,
    )


def per_text(one, inputs, initial_state, output_final_state, cu_seqlens):
    q, v = inputs[0], inputs[2]
    wide = torch.promote_types(q.dtype, torch.float32)
    if cu_seqlens is None:
        texts = [tuple(z[b].to(wide) for z in inputs) for b in range(len(q))]
    else:
        assert len(q) == 1 and cu_seqlens.dtype == torch.long and cu_seqlens[-1] == q.shape[1]
        assert cu_seqlens[0] == 0 and (cu_seqlens.diff() > 0).all()
        texts = [
            tuple(z[0, start:end].to(wide) for z in inputs)
            for start, end in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True)
        ]
    if initial_state is None:
        initial_state = torch.zeros(len(texts), q.shape[2], q.shape[3], v.shape[3], dtype=wide)
    assert len(initial_state) == len(texts)
    results = [one(*text, state) for text, state in zip(texts, initial_state.to(wide), strict=True)]
    read = [read for read, _ in results]
    read = torch.stack(read) if cu_seqlens is None else torch.cat(read)[None]
    return read.to(q.dtype), torch.stack([state for _, state in results]) if output_final_state else None


def one_gla(q, k, v, g, state, scale):
    read = []
    for t in range(len(q)):
        state = g[t].exp()[..., None] * state + torch.einsum("hk,hv->hkv", k[t], v[t])
        read.append(scale * torch.einsum("hk,hkv->hv", q[t], state))
    return torch.stack(read), state


def one_delta(q, k, v, g, beta, state, scale):
    read = []
    for t in range(len(q)):
        state = g[t].exp()[:, None, None] * state
        error = v[t] - torch.einsum("hk,hkv->hv", k[t], state)
        state = state + torch.einsum("hk,hv->hkv", k[t], beta[t][:, None] * error)
        read.append(scale * torch.einsum("hk,hkv->hv", q[t], state))
    return torch.stack(read), state


def mamba_chunk_scan_combined(
    x,
    dt,
    A,
    B,
    C,
    chunk_size,
    D=None,
    z=None,
    dt_bias=None,
    initial_states=None,
    seq_idx=None,
    dt_softplus=False,
    dt_limit=(0.0, float("inf")),
    return_final_states=False,
):
    """x [B, T, H, P], dt [B, T, H], A [H], B and C [B, T, G, N], states [B, H, P, N], seq_idx [B, T]."""
    assert D is z is dt_bias is None and not dt_softplus and B.shape[2] == C.shape[2] == 1
    assert seq_idx is None or (seq_idx.dtype == torch.int32 and initial_states is None)
    batch, position, heads, width = x.shape
    wide = torch.promote_types(x.dtype, torch.float32)
    state = (
        torch.zeros(batch, heads, width, B.shape[-1], dtype=wide) if initial_states is None else initial_states.to(wide)
    )
    read = []
    for t in range(position):
        if seq_idx is not None and t:
            state = torch.where((seq_idx[:, t] == seq_idx[:, t - 1])[:, None, None, None], state, 0)
        written = torch.einsum("bh,bhp,bn->bhpn", dt[:, t].to(wide), x[:, t].to(wide), B[:, t, 0].to(wide))
        state = (dt[:, t] * A).exp()[..., None, None] * state + written
        read.append(torch.einsum("bhpn,bn->bhp", state, C[:, t, 0].to(wide)))
    read = torch.stack(read, 1).to(x.dtype)
    return (read, state) if return_final_states else read


def causal_conv1d_fn(
    x,
    weight,
    bias=None,
    seq_idx=None,
    initial_states=None,
    return_final_states=False,
    final_states_out=None,
    activation=None,
):
    """x [B, D, T], weight [D, W], seq_idx [B, T]; a tap counts where its source has the number of its target."""
    assert bias is initial_states is None and not return_final_states and activation in (None, "silu", "swish")
    assert 2 <= weight.shape[1] <= 4 and weight.stride(-1) == 1
    assert x.stride(1) == 1 and x.stride(2) % 8 == x.stride(0) % 8 == 0  # the layout for which documents are there
    out = torch.zeros_like(x)
    for t in range(x.shape[2]):
        for lag in range(min(weight.shape[1] - 1, t) + 1):
            term = weight[:, -1 - lag] * x[:, :, t - lag]
            if seq_idx is not None:
                assert seq_idx.dtype == torch.int32 and seq_idx.is_contiguous() and seq_idx.min() >= 0
                term = term * (seq_idx[:, t] == seq_idx[:, t - lag])[:, None]
            now = torch.zeros_like(out)
            now[:, :, t] = 1
            out = out + now * term[:, :, None]
    return F.silu(out) if activation else out


def causal_conv1d(
    x,
    weight=None,
    bias=None,
    residual=None,
    initial_state=None,
    output_final_state=False,
    activation=None,
    backend="triton",
    cu_seqlens=None,
):
    """x and residual [B, T, D], weight [D, W]; with cu_seqlens [N + 1], B is 1 and no text sees another."""
    assert bias is initial_state is None and not output_final_state and activation in (None, "silu", "swish")
    assert weight.is_contiguous() and x.is_contiguous() and backend == "triton"
    if cu_seqlens is None:
        texts = list(x)
    else:
        assert len(x) == 1 and cu_seqlens.dtype == torch.long and cu_seqlens[0] == 0 and cu_seqlens[-1] == x.shape[1]
        assert (cu_seqlens.diff() > 0).all()
        texts = x[0].split(cu_seqlens.diff().tolist())
    past, out = weight.shape[1] - 1, []
    for text in texts:
        padded = F.pad(text, (0, 0, past, 0))
        out.append(sum(weight[:, j] * padded[j : j + len(text)] for j in range(past + 1)))
    mixed = torch.cat(out).view_as(x)
    mixed = F.silu(mixed) if activation else mixed
    return (mixed if residual is None else mixed + residual), None


STAND_INS = {
    "chunk_gla": chunk_gla,
    "chunk_gated_delta_rule": chunk_gated_delta_rule,
    "mamba_chunk_scan_combined": mamba_chunk_scan_combined,
    "causal_conv1d": causal_conv1d,
    "causal_conv1d_fn": causal_conv1d_fn,
}
EVERY = [kernel for alternatives in kernels.KERNELS.values() for kernel in alternatives]
NAME = {operation: alternatives[0].function for operation, alternatives in kernels.KERNELS.items()}


# -- the same results --------------------------------------------------------------------------------------------------


def arguments(operation, sizes=(BATCH, POSITION, HEADS, KEY, VALUE), dtype=torch.float64):
    batch, position, heads, key, value = sizes
    headed = () if operation == "mamba2" else (heads,)
    query, keys = (checks.draw(batch, position, *headed, key, seed=i, dtype=dtype) for i in (0, 1))
    values = checks.draw(batch, position, heads, value, seed=2, dtype=dtype)
    width = (key,) if operation == "gla" else ()
    log_decay = -0.01 - checks.uniform(batch, position, heads, *width, seed=3, dtype=dtype)
    if operation != "delta":
        return query, keys, values, log_decay
    share = checks.uniform(batch, position, heads, seed=4, dtype=dtype)
    return F.normalize(query, dim=-1), F.normalize(keys, dim=-1), values, log_decay, share


def starts_of(case):
    """None, or documents in two rows: both going on from before, or one of them beginning anew."""
    if case == "one":
        return None
    starts = torch.zeros(BATCH, POSITION, dtype=torch.bool)
    starts[0, 4] = starts[0, 5] = starts[1, POSITION - 1] = True
    starts[1, 0] = case == "anew"
    return starts


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("documents", ["one", "going on", "anew"])
@pytest.mark.parametrize("operation", OWN)
def test_values_and_slopes_are_those_of_our_own(operation, documents, continued):
    if operation == "mamba2" and continued:
        documents = "one"  # with both, its layer takes our own function
    inputs, starts = arguments(operation), starts_of(documents)
    state = checks.draw(BATCH, HEADS, KEY, VALUE, seed=9) if continued else None
    (kernel,) = kernels.KERNELS[operation]
    kernel = partial(kernel.call, STAND_INS[kernel.function], torch.float64)
    expected, results = (checks.outcome(form, inputs, starts, state) for form in (OWN[operation], kernel))
    for ours, theirs in zip(expected, results, strict=True):
        assert ours.dtype == theirs.dtype
        checks.assert_close(theirs, ours, 1e-10)


def test_a_slow_decay_of_mamba2_costs_no_digits():
    """What is written is divided by the step and multiplied by it again."""
    query, key, value, _ = arguments("mamba2", dtype=torch.float32)
    step = torch.logspace(-6, 0, BATCH * POSITION * HEADS).view(BATCH, POSITION, HEADS)
    kernel = partial(kernels.mamba2, mamba_chunk_scan_combined, torch.float32)
    results = []
    for form in (mamba2_chunked, kernel):
        leaf = step.clone().requires_grad_()
        read, _ = form(query, key, leaf[..., None] * value, -2 * leaf, None, None)
        (read * checks.draw(*read.shape, dtype=torch.float32)).sum().backward()
        results.append((read.detach(), leaf.grad))
    for ours, theirs in zip(*results, strict=True):
        checks.assert_close(theirs, ours, 1e-5)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("activation", [True, False])
@pytest.mark.parametrize("document", [None, [[1, 1, 2, 2, 1, 1, -1, -1, 5], [0, 1, 0, 0, 0, 3, 3, 3, 3]]])
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("place", [0, 1], ids=["fla", "causal-conv1d"])
def test_the_convolution_is_our_own(place, kernel, document, activation, residual):
    package = kernels.KERNELS["canon"][place]
    x, weight = checks.draw(BATCH, POSITION, 8), checks.draw(8, 1, kernel, seed=1)
    document = None if document is None else torch.tensor(document)
    results = []
    for form in (
        lambda x, w: canon(x, w, residual=residual, activation=activation, document=document),
        lambda x, w: package.call(STAND_INS[package.function], x.dtype, x, w, residual, activation, document),
    ):
        leaves = [z.clone().requires_grad_() for z in (x, weight)]
        y = form(*leaves)
        (y * checks.draw(*y.shape, seed=2)).sum().backward()
        results.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results, strict=True):
        checks.assert_close(theirs, ours, 1e-12)


# -- which one is taken ------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """As on a GPU with every package installed; what was called, by name."""
    names: list[str] = []

    def told(function, *args, **options):
        names.append(function.__name__)
        return function(*args, **options)

    for kernel in EVERY:
        parts = kernel.module.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            module = ModuleType(name)
            module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []
            monkeypatch.setitem(sys.modules, name, sys.modules.get(name, module))
        setattr(sys.modules[kernel.module], kernel.function, partial(told, STAND_INS[kernel.function]))
    monkeypatch.setattr(kernels, "_on_gpu", lambda x: True)
    monkeypatch.delenv("PHYSLM_KERNELS", raising=False)
    kernels._load.cache_clear()
    yield names
    kernels._load.cache_clear()


def available(operation, x, size):
    found = kernels.chosen(x)
    return None if found is None else found(operation, x.shape[-1], size)


def short(*shape):
    return torch.zeros(*shape, dtype=torch.bfloat16)


@pytest.mark.parametrize("documents", [None, checks.documents(4, 1, 6)])
@pytest.mark.parametrize("operation", OWN)
def test_a_layer_in_bfloat16_takes_the_kernels(calls, operation, documents, monkeypatch):
    layer, x = LAYERS[operation](), checks.draw(1, 11, 16, dtype=torch.float32)
    layer.reset_parameters(torch.Generator().manual_seed(0), "lingua")
    with torch.autocast("cpu", torch.bfloat16):
        theirs = layer(x, Context(document=documents, kernels=kernels.chosen(x)))
        assert calls == ["causal_conv1d", NAME[operation]]
        theirs.float().sum().backward()
        monkeypatch.setenv("PHYSLM_KERNELS", "torch")
        ours = layer(x, Context(document=documents, kernels=kernels.chosen(x)))
    assert len(calls) == 2
    checks.assert_close(theirs.float(), ours.float(), 0.03)


@pytest.mark.parametrize("operation", OWN)
def test_a_second_derivative_through_a_kernel_is_refused(calls, operation):
    layer, x = LAYERS[operation](), checks.draw(1, 11, 16, dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = layer(x, Context(kernels=kernels.chosen(x))).float().square().sum()
    torch.autograd.grad(loss, x, retain_graph=True)
    with pytest.raises(RuntimeError, match="a first derivative alone; for a second one"):
        torch.autograd.grad(loss, x, create_graph=True)


@pytest.mark.parametrize("operation", OWN)
def test_decoding_hands_its_state_from_kernel_to_loop(calls, operation, monkeypatch):
    layer, x, state, whole = LAYERS[operation](), checks.draw(1, 8, 16, dtype=torch.float32), Memory(), Memory()
    with torch.autocast("cpu", torch.bfloat16):
        for start, end in ((0, 5), (5, 7), (7, 8)):
            theirs = layer(x[:, start:end], Context(state=state, kernels=kernels.chosen(x)))
        recurrences = [name for name in calls if name == NAME[operation]]
        assert recurrences == [NAME[operation]] * 2  # a single token goes through the loop
        monkeypatch.setenv("PHYSLM_KERNELS", "torch")
        ours = layer(x, Context(state=whole, kernels=kernels.chosen(x)))
    assert state["recurrence"].dtype == whole["recurrence"].dtype == torch.float32
    checks.assert_close(state["recurrence"], whole["recurrence"], 0.03)
    checks.assert_close(theirs.float(), ours[:, -1:].float(), 0.03)


def test_mamba2_goes_on_within_documents_by_itself(calls):
    layer, x, state = LAYERS["mamba2"](), checks.draw(1, 8, 16, dtype=torch.float32), Memory()
    document = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1]])
    with torch.autocast("cpu", torch.bfloat16):
        for part, numbers, past in ((x[:, :4], document[:, :4], None), (x[:, 4:], document[:, 4:], document[:, :4])):
            given = {"document": numbers, "past_document": past, "kernels": kernels.chosen(x)}
            read = layer(part, Context(state=state, **given))
        whole = layer(x, Context(document=document))
    assert calls.count("mamba_chunk_scan_combined") == 1  # while nothing has been read
    checks.assert_close(read.float(), whole[:, 4:].float(), 0.03)


def test_in_32_bits_only_the_convolution_is_taken(calls):
    for operation in OWN:
        assert available(operation, torch.zeros(1, 2, 16), 8) is None
        assert available(operation, short(1, 2, 16), 8) is not None
    layer = Canon(8)
    x, texts = torch.zeros(1, 3, 8), torch.tensor([[0, 0, 1]])
    Context(document=texts, kernels=kernels.chosen(x)).canon(layer, "A", x)
    assert calls == ["causal_conv1d"]
    Context(kernels=kernels.chosen(x.double())).canon(layer.double(), "A", x.double())
    assert calls == ["causal_conv1d"]


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("numbers", [None, [[0, 0, 0, 0, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3, 4, 4, 5]]])
@pytest.mark.parametrize("place", [0, 1], ids=["fla", "causal-conv1d"])
def test_decoding_goes_through_the_convolution_too_and_respects_bounds(calls, place, numbers, activation, monkeypatch):
    monkeypatch.setitem(kernels.KERNELS, "canon", kernels.KERNELS["canon"][place:])
    layer, x = Canon(8, activation=activation), checks.draw(2, 9, 8, dtype=torch.float32)
    document = None if numbers is None else torch.tensor(numbers)
    whole = layer(x, document)
    state, read = Memory(), []
    with torch.no_grad():
        state.writes = True
        for start, end in ((0, 5), (5, 6), (6, 8), (8, 9)):
            now, past = (None, None) if document is None else (document[:, start:end], document[:, :start])
            context = Context(state=state, document=now, past_document=past, kernels=kernels.chosen(x))
            read.append(context.canon(layer, "A", x[:, start:end]))
    checks.assert_close(torch.cat(read, 1), whole, 1e-6)
    assert calls == [kernels.KERNELS["canon"][0].function] * 4


def test_bounds_are_worked_out_once_and_not_where_they_cannot_say_it():
    document = torch.tensor([[0, 0, 1, 1, 1], [2, 2, 2, 2, 2]])
    bounds = kernels._bounds(document)
    assert bounds.tolist() == [0, 2, 5, 10] and kernels._bounds(document) is bounds
    document[1, 3:] = 7
    assert kernels._bounds(document).tolist() == [0, 2, 5, 8, 10]
    assert kernels._bounds(torch.tensor([[1, 1, 2, 1, 1]])) is None  # the last two see the first two across another
    far = torch.tensor([[1] + [2] * len(kernels.TAPS) + [1]])
    assert kernels._bounds(far).tolist() == [0, 1, 1 + len(kernels.TAPS), 2 + len(kernels.TAPS)]
    calls = []
    x, weight = checks.draw(1, 5, 8), checks.draw(8, 1, 4, seed=1)
    again = torch.tensor([[1, 1, 2, 1, 1]])
    theirs = kernels.canon_of_fla(calls.append, x.dtype, x, weight, True, False, again)
    checks.assert_close(theirs, canon(x, weight, document=again), 1e-12)
    assert calls == []


def test_without_packages_a_wide_convolution_is_compiled(monkeypatch):
    monkeypatch.setattr(kernels, "_on_gpu", lambda x: True)
    monkeypatch.setattr(kernels, "_load", lambda module, function: None)
    monkeypatch.setattr(kernels, "_compiles", lambda: True)
    wide = kernels.COMPILED_FROM
    assert available("canon", short(1, 2, wide), 4) is kernels.compiled_canon
    assert available("canon", short(1, 2, wide - 8), 4) is None, "too narrow to earn the compilation back"
    assert available("gla", short(1, 2, wide), 4) is None
    monkeypatch.setattr(kernels, "own_canon", lambda *given, **options: options)
    assert kernels.compiled_canon(None, None, True, False, None)["compiled"]
    monkeypatch.setattr(kernels, "_compiles", lambda: False)
    assert available("canon", short(1, 2, wide), 4) is None


def test_the_other_package_is_taken_where_the_first_cannot(calls, monkeypatch):
    x, weight = torch.ones(1, 2, 8), torch.ones(8, 1, 4)
    available("canon", x, 4)(x, weight, True, False, None)
    found = kernels._load
    with monkeypatch.context() as changed:
        changed.setattr(kernels, "_load", lambda module, name: None if "fla" in module else found(module, name))
        available("canon", x, 4)(x, weight, True, False, None)
        assert available("canon", short(1, 2, 8), 5) is None
    assert calls == ["causal_conv1d", "causal_conv1d_fn"]


@pytest.mark.parametrize(
    "operation, width, size", [("canon", 8, 9), ("canon", 12, 4), ("delta", 16, 257), ("gla", 12, 4)]
)
def test_sizes_that_a_kernel_lacks_are_our_own(calls, operation, width, size):
    assert available(operation, short(1, 2, width), size) is None


def test_without_a_gpu_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(kernels, "_load", lambda module, function: pytest.fail("looked for a package"))
    assert all(available(operation, short(1, 2, 8), 4) is None for operation in kernels.KERNELS)


def test_what_is_asked_of_pytorch_comes_first(calls, monkeypatch):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert available("canon", short(1, 2, 8), 4) is None
    monkeypatch.undo()
    monkeypatch.setattr(kernels, "_on_gpu", lambda x: True)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert available("canon", short(1, 2, 8), 4) is None


def test_a_missing_package_is_no_news_and_a_broken_one_is(monkeypatch):
    monkeypatch.setattr(kernels, "_on_gpu", lambda x: True)
    kernels._load.cache_clear()
    monkeypatch.setattr(kernels, "find_spec", lambda package: None)
    assert available("canon", short(1, 2, 8), 4) is None
    kernels._load.cache_clear()
    there = {"causal_conv1d": ModuleSpec("causal_conv1d", None)}
    monkeypatch.setattr(kernels, "find_spec", there.get)
    monkeypatch.setitem(sys.modules, "causal_conv1d", ModuleType("causal_conv1d"))
    with pytest.warns(
        UserWarning, match=r"causal_conv1d is installed, but causal_conv1d\.causal_conv1d_fn cannot be loaded"
    ):
        assert available("canon", short(1, 2, 8), 4) is None
    assert available("canon", short(1, 2, 8), 4) is None  # and told of once
    kernels._load.cache_clear()


def test_typos_are_refused_on_any_machine(monkeypatch):
    with pytest.raises(ValueError, match="unknown operation with a kernel 'cannon'; did you mean 'canon'"):
        kernels.kernel_for(torch.bfloat16, "cannon", 8, 4)
    monkeypatch.setenv("PHYSLM_KERNELS", "pytorch")
    with pytest.raises(
        ValueError, match=r"unknown PHYSLM_KERNELS 'pytorch'; did you mean 'torch'\? \(valid: auto, torch\)"
    ):
        LanguageModel(ModelConfig(vocab=3))(torch.zeros(1, 2, dtype=torch.long))


# -- the package itself, interpreted on a CPU ------------------------------------------------------------------------------

INTERPRETED = """
import torch
from triton.runtime.autotuner import Autotuner

Autotuner._bench = lambda self, *arguments, config, **options: [0.0, 0.0, 0.0]  # there is no GPU to time anything on

from fla.modules.convolution import causal_conv1d
from physlm_lite.models import canon, kernels

documents = {
    "one": None,
    "packed": torch.tensor([[0] * 5 + [1] * 4 + [2] * 9, [7] * 3 + [8] * 15]),
    "again": torch.tensor([[1, 1, 2] + [1] * 15, [3] * 18]),
}
for kernel, document in ((1, "one"), (4, "one"), (4, "packed"), (4, "again"), (8, "packed")):
    for residual, activation in ((True, False), (True, True), (False, True)):
        results = []
        for form in (
            lambda x, w: kernels.canon_of_fla(causal_conv1d, x.dtype, x, w, residual, activation, documents[document]),
            lambda x, w: canon(x, w, residual=residual, activation=activation, document=documents[document]),
        ):
            dice = torch.Generator().manual_seed(0)
            x, weight = torch.randn(2, 18, 16, generator=dice), torch.randn(16, 1, kernel, generator=dice)
            y = form(x.requires_grad_(), weight.requires_grad_())
            (y * torch.randn(y.shape, generator=dice)).sum().backward()
            results.append((y.detach(), x.grad, weight.grad))
        for theirs, ours in zip(*results):
            torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)
print("equal")
"""


def test_the_kernel_of_fla_itself_agrees_with_us_interpreted_on_a_cpu():
    if any(find_spec(package) is None for package in ("triton", "fla")):
        pytest.skip(skip_reasons.NO_TRITON)
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", "-c", INTERPRETED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("equal\n"), done.stderr[-2000:]


# -- on a GPU ----------------------------------------------------------------------------------------------------------


def on_a_gpu(*modules):
    """Skip where there is no GPU, or one of these modules' packages is missing."""
    if not torch.cuda.is_available() or any(find_spec(module.partition(".")[0]) is None for module in modules):
        pytest.skip(skip_reasons.NO_KERNEL)


@pytest.mark.parametrize("documents", ["one", "going on"])
@pytest.mark.parametrize("kernel", EVERY, ids=[kernel.function for kernel in EVERY])
def test_the_packages_agree_with_us_on_a_gpu(kernel, documents, monkeypatch):
    on_a_gpu(kernel.module)
    function = kernels._load(kernel.module, kernel.function)
    assert function is not None
    monkeypatch.setenv("PHYSLM_KERNELS", "torch")
    number = None if documents == "one" else (torch.arange(200, device="cuda") // 60).expand(2, -1)
    starts = None if number is None else number.diff(dim=1, prepend=number[:, :1]) != 0
    (operation,) = (name for name, alternatives in kernels.KERNELS.items() if kernel in alternatives)
    if operation == "canon":
        inputs, tolerance = [checks.draw(*shape, dtype=torch.float32) for shape in ((2, 200, 64), (64, 1, 4))], 1e-4
        forms = (
            lambda x, w: (kernel.call(function, x.dtype, x, w, True, False, number),),
            lambda x, w: (canon(x, w, document=number),),
        )
    else:
        inputs, tolerance = arguments(operation, (2, 200, 2, 64, 64), torch.float32), 0.03
        forms = (
            lambda *z: kernel.call(function, torch.bfloat16, *z, starts, None),
            lambda *z: OWN[operation](*z, starts),
        )
    results = []
    for form in forms:
        leaves = [z.cuda().requires_grad_() for z in inputs]
        outputs = form(*leaves)
        sum(z.square().sum() for z in outputs).backward()
        results.append([*outputs, *(leaf.grad for leaf in leaves)])
    for theirs, ours in zip(*results, strict=True):
        checks.assert_close(theirs.float(), ours.float(), tolerance)


@pytest.mark.parametrize("documents", [None, (torch.arange(200) // 60).expand(2, -1)], ids=["one", "several"])
def test_the_compiled_convolution_agrees_with_us_on_a_gpu(documents, monkeypatch):
    on_a_gpu()
    number = None if documents is None else documents.cuda()
    results = []
    for form in (kernels.compiled_canon, lambda x, w, r, a, d: canon(x, w, residual=r, activation=a, document=d)):
        x, weight = (
            checks.draw(*shape, dtype=torch.float32).cuda().requires_grad_() for shape in ((2, 200, 64), (64, 1, 4))
        )
        y = form(x, weight, True, False, number)
        y.square().sum().backward()
        results.append([y, x.grad, weight.grad])
    for theirs, ours in zip(*results, strict=True):
        checks.assert_close(theirs, ours, 1e-4)


def test_writing_token_by_token_agrees_on_a_gpu(monkeypatch):
    """Whatever is installed: with what `chosen` takes, and with our own functions alone."""
    on_a_gpu()
    model = LanguageModel(ModelConfig(vocab=50, width=1024, layers=2, heads=8, canon="ABCD"), seed=0).cuda().eval()
    tokens = torch.randint(50, (2, 12), generator=torch.Generator().manual_seed(0)).cuda()
    read = []
    for wanted in ("auto", "torch"):
        monkeypatch.setenv("PHYSLM_KERNELS", wanted)
        state = DecodingState()
        with torch.no_grad():
            parts = [model(tokens[:, start:end], state=state) for start, end in ((0, 9), (9, 10), (10, 11), (11, 12))]
        read.append(torch.cat(parts, 1))
    checks.assert_close(*read, 1e-3)
