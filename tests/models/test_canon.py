"""The Canon operator: the two twins, what it means, and what it must never do."""

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from physlm_lite.models import Canon, Context, DecodingState, LanguageModel, Memory, ModelConfig, canon, canon_naive

module = importlib.import_module("physlm_lite.models.canon")  # the package gives the name to the function


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def documents(batch, position, seed=0, kinds=3):
    """Any numbers in any order: runs, returns to an earlier number, and documents of one token."""
    return torch.randint(kinds, (batch, position), generator=torch.Generator().manual_seed(seed))


def outcome(function, x, weight, **options):
    """Output and gradients, with respect to a loss that treats every output differently."""
    leaves = [t.clone().requires_grad_() for t in (x, weight)]
    y = function(*leaves, **options)
    y.backward(draw(*y.shape, seed=9, dtype=torch.promote_types(y.dtype, torch.float32)).to(y.dtype))
    return [y.detach()] + [leaf.grad for leaf in leaves]


def assert_close(slow, fast, tolerance):
    """Output, gradient of x and of the weight, each relative to its own scale."""
    for a, b in zip(slow, fast, strict=True):
        scale = a.abs().max().clamp(min=1) if a.numel() else 1
        torch.testing.assert_close(b / scale, a / scale, rtol=0, atol=tolerance)


shapes = st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 20))


@settings(max_examples=150, deadline=None)
@given(
    shape=shapes,
    kernel=st.integers(1, 6),
    residual=st.booleans(),
    activation=st.booleans(),
    packed=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_the_twins_agree(shape, kernel, residual, activation, packed, dtype, seed):
    batch, position, width = shape
    x, weight = draw(*shape, seed=seed, dtype=dtype), draw(width, 1, kernel, seed=1, dtype=dtype)
    document = documents(batch, position, seed) if packed else None
    options = dict(residual=residual, activation=activation, document=document)
    slow, fast = (outcome(function, x, weight, **options) for function in (canon_naive, canon))
    assert all(tensor.dtype == dtype for tensor in fast)
    assert_close(slow, fast, 1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(16, 128, 48), (2, 300, 64), (48, 31, 64), (8, 6, 4096)])
def test_the_twins_agree_at_sizes_of_training(shape, packed):
    """Here the gradient of the weight is summed in several pieces, the last of them shorter."""
    batch, position, width = shape
    document = torch.arange(position).div(25, rounding_mode="floor").repeat(batch, 1) if packed else None
    x, weight = draw(*shape, dtype=torch.float32), draw(width, 1, 4, seed=1, dtype=torch.float32)
    assert_close(*(outcome(f, x, weight, document=document) for f in (canon_naive, canon)), 1e-6)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("shape", [(2, 9, 5), (1, 2, 3), (3, 1, 2)])
def test_the_form_for_compilers_and_other_devices_agrees(shape, activation, packed, monkeypatch):
    monkeypatch.setattr(module, "_in_place", lambda x: False)
    options = dict(activation=activation, document=documents(*shape[:2]) if packed else None)
    x, weight = draw(*shape), draw(shape[-1], 1, 4, seed=1)
    assert_close(*(outcome(function, x, weight, **options) for function in (canon_naive, canon)), 1e-12)


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_the_gradient_is_the_slope(activation, packed):
    x, weight = draw(2, 5, 3).requires_grad_(), draw(3, 1, 4, seed=1).requires_grad_()
    document = documents(2, 5) if packed else None
    assert torch.autograd.gradcheck(
        lambda x, weight: canon(x, weight, activation=activation, document=document), (x, weight)
    )


def test_only_the_gradients_that_are_wanted():
    x, weight = draw(2, 6, 3), draw(3, 1, 4, seed=1)
    for function in (canon_naive, canon):
        leaf = x.clone().requires_grad_()
        function(leaf, weight).sum().backward()
        assert leaf.grad is not None and weight.grad is None
    taps = weight.clone().requires_grad_()
    canon(x, taps).sum().backward()
    assert x.grad is None and taps.grad.shape == weight.shape


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
def test_it_is_a_depthwise_convolution_plus_the_identity(kernel):
    x = draw(2, 9, 5)
    convolution = torch.nn.Conv1d(5, 5, kernel, groups=5, padding=kernel - 1, bias=False, dtype=x.dtype)
    convolved = convolution(x.transpose(1, 2))[..., :9].transpose(1, 2)
    for function in (canon_naive, canon):
        torch.testing.assert_close(function(x, convolution.weight), x + convolved)
        torch.testing.assert_close(function(x, convolution.weight, residual=False), convolved)
        torch.testing.assert_close(function(x, convolution.weight, activation=True), x + F.silu(convolved))


@pytest.mark.parametrize("function", [canon_naive, canon])
def test_an_impulse_returns_the_taps_newest_first(function):
    weight = torch.tensor([[[0.1, 0.2, 0.3, 0.4]], [[5.0, 6.0, 7.0, 8.0]]])
    x = torch.zeros(1, 7, 2)
    x[0, 1] = 1
    expected = torch.tensor([[0, 1.4, 0.3, 0.2, 0.1, 0, 0], [0, 9, 7, 6, 5, 0, 0]]).T[None]
    torch.testing.assert_close(function(x, weight), expected)
    torch.testing.assert_close(function(x, weight, residual=False), expected - x)


@settings(max_examples=30, deadline=None)
@given(position=st.integers(2, 12), kernel=st.integers(1, 5), data=st.data())
def test_a_token_changes_nothing_before_it_and_nothing_beyond_the_kernel(position, kernel, data):
    token = data.draw(st.integers(0, position - 1))
    x, weight = draw(2, position, 3), draw(3, 1, kernel, seed=1)
    changed = x.clone()
    changed[0, token] += 1
    same = (canon(x, weight) == canon(changed, weight)).all(-1)
    assert same[1].all(), "the other example of the batch changed"
    assert same[0].tolist() == [not token <= t < token + kernel for t in range(position)]


@settings(max_examples=40, deadline=None)
@given(position=st.integers(1, 14), kernel=st.integers(1, 5), packed=st.booleans(), data=st.data())
def test_any_split_of_a_text_equals_the_whole(position, kernel, packed, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, position - 1)))) if position > 1 else []
    layer, state = Canon(3, kernel).double(), Memory()
    x, document = draw(2, position, 3), documents(2, position) if packed else None
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, position], strict=True):
        part, past = (None if document is None else document[:, span] for span in (slice(start, end), slice(start)))
        pieces.append(Context(document=part, past_document=past, state=state).canon(layer, "A", x[:, start:end]))
    torch.testing.assert_close(torch.cat(pieces, 1), layer(x, document))
    kept = torch.cat([torch.zeros(2, kernel - 1, 3), x], 1)[:, position:]
    assert torch.equal(torch.cat([*state.get("A", ()), x[:, :0]], 1), kept)


def test_what_is_kept_of_a_text_does_not_keep_all_of_it_alive():
    state = Memory()
    Context(state=state).canon(Canon(8).double(), "A", draw(1, 1000, 8))
    assert [tensor.untyped_storage().nbytes() <= 6 * 8 * 8 for tensor in state["A"]] == [True] * 3


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), kernel=st.integers(1, 5), activation=st.booleans())
def test_packed_documents_equal_separate_runs(lengths, kernel, activation):
    weight = draw(4, 1, kernel, seed=1)
    parts = [draw(1, length, 4, seed=seed) for seed, length in enumerate(lengths)]
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]
    packed = canon(torch.cat(parts, 1), weight, activation=activation, document=document)
    torch.testing.assert_close(packed, torch.cat([canon(x, weight, activation=activation) for x in parts], 1))


def test_nothing_at_all_leaks_out_of_a_document():
    """Not even a rounding error: one document is infinite, and the other does not notice, nor does its gradient."""
    x, weight = draw(1, 8, 3), draw(3, 1, 4, seed=1)
    document = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    poisoned = x.clone()
    poisoned[:, :4] = torch.inf
    outcomes = []
    for source in (x, poisoned):
        leaf = source.clone().requires_grad_()
        y = canon(leaf, weight, document=document)
        y[:, 4:].pow(2).sum().backward()
        outcomes.append((y[:, 4:].detach(), leaf.grad[:, 4:]))
        assert not leaf.grad[:, :4].any()
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


@pytest.mark.parametrize("function", [canon_naive, canon])
def test_only_equality_of_document_numbers_counts(function):
    """Documents 1 2 1 1: the third token sees the first across the second, which is of another document."""
    weight = torch.tensor([[[1000.0, 100.0, 10.0, 1.0]]])
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1)
    y = function(x, weight, residual=False, document=torch.tensor([[1, 2, 1, 1]]))
    assert y.flatten().tolist() == [1, 2, 3 + 100 * 1, 4 + 10 * 3 + 1000 * 1]
    # and what the numbers are does not matter
    other = function(x, weight, residual=False, document=torch.tensor([[-7, 0, -7, -7]]))
    assert torch.equal(y, other)


@pytest.mark.parametrize("function", [canon_naive, canon])
def test_padding_on_the_left_does_not_matter(function):
    x, weight, padding = draw(2, 6, 3), draw(3, 1, 4, seed=1), draw(2, 5, 3, seed=2)
    document = torch.tensor([[-1] * 5 + [0] * 6]).expand(2, -1)
    padded = function(torch.cat([padding, x], 1), weight, document=document)
    torch.testing.assert_close(padded[:, 5:], function(x, weight))


@pytest.mark.parametrize("packed", [False, True])
def test_the_layout_of_the_input_does_not_matter(packed):
    x, weight = draw(3, 8, 5), draw(5, 1, 4, seed=1)
    document = documents(3, 8) if packed else None
    expected = outcome(canon, x, weight, document=document)
    views = {
        "width first": x.transpose(1, 2).contiguous().transpose(1, 2),
        "batch in the middle": x.transpose(0, 1).contiguous().transpose(0, 1),
        "part of a wider tensor": torch.cat([x, x], -1)[..., :5],
        "every other position": x.repeat_interleave(2, 1)[:, ::2],
    }
    for view in views.values():
        leaf, taps = view.detach().requires_grad_(), weight.clone().requires_grad_()
        y = canon(leaf, taps, document=document)
        y.backward(draw(*y.shape, seed=9).transpose(0, 1).contiguous().transpose(0, 1))
        assert_close(expected, [y.detach(), leaf.grad, taps.grad], 1e-12)
    summed = x.clone().requires_grad_()  # the gradient of a sum is one number, expanded
    canon(summed, weight).sum().backward()
    naive = x.clone().requires_grad_()
    canon_naive(naive, weight).sum().backward()
    torch.testing.assert_close(summed.grad, naive.grad)


def test_bfloat16_is_rounded_once():
    x, weight = draw(4, 32, 16, dtype=torch.float32), draw(16, 1, 4, seed=1, dtype=torch.float32)
    exact = outcome(canon_naive, x.bfloat16().float(), weight.bfloat16().float())
    short = outcome(canon, x.bfloat16(), weight.bfloat16())
    assert all(tensor.dtype == torch.bfloat16 for tensor in short)
    torch.testing.assert_close(short[0].float(), exact[0], rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(short[2].float(), exact[2], rtol=2e-2, atol=2e-1)
    torch.testing.assert_close(
        outcome(canon_naive, x.bfloat16(), weight.bfloat16())[0].float(), exact[0], rtol=3e-2, atol=6e-2
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_the_output_keeps_the_dtype_of_the_input(dtype):
    layer, x = Canon(8), draw(2, 6, 8, dtype=dtype).requires_grad_()
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        y.float().sum().backward()
    assert y.dtype == x.grad.dtype == dtype and layer.weight.grad.dtype == torch.float32
    assert torch.equal(y, plain)


def test_without_gradients_and_without_data():
    layer = Canon(8)
    x = draw(2, 6, 8, dtype=torch.float32)
    with torch.no_grad():
        y = layer(x)
    assert not y.requires_grad and torch.equal(y, layer(x))
    with torch.device("meta"):
        shape_only = Canon(8)
    assert shape_only(x.to("meta"), documents(2, 6).to("meta")).shape == (2, 6, 8)
    assert layer(x[:, :0]).shape == (2, 0, 8)


def test_a_frozen_layer_keeps_its_taps():
    frozen = Canon(4, frozen=True)
    assert isinstance(frozen.weight, torch.nn.Parameter) and not frozen.weight.requires_grad
    x = draw(1, 5, 4, dtype=torch.float32).requires_grad_()
    frozen(x).sum().backward()
    assert x.grad is not None and frozen.weight.grad is None


def test_the_layer_passes_its_options_on():
    x, document = draw(2, 6, 4), documents(2, 6)
    for residual, activation in [(True, False), (False, True), (True, True)]:
        layer = Canon(4, 3, residual, activation).double()
        expected = canon_naive(x, layer.weight, residual=residual, activation=activation, document=document)
        torch.testing.assert_close(layer(x, document), expected)
    assert list(Canon(4).state_dict()) == ["weight"]


@pytest.mark.parametrize("kernel", [2, 4])
def test_the_initial_taps_are_uniform(kernel):
    layer = Canon(20_000, kernel)
    bound = kernel**-0.5
    assert layer.weight.shape == (20_000, 1, kernel) and layer.weight.abs().max() <= bound
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.01)
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)  # 0.2887 for a kernel of 4
    layer.reset_parameters(torch.Generator().manual_seed(5))
    first = layer.weight.clone()
    layer.reset_parameters(torch.Generator().manual_seed(5))
    assert torch.equal(layer.weight, first)


@pytest.mark.parametrize("function", [canon_naive, canon])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(x=draw(5, 4)), r"expected x of shape \[batch, position, width\], got \[5, 4\]"),
        (dict(weight=draw(3, 1, 4)), r"expected weight of shape \[4, 1, kernel\] .*, got \[3, 1, 4\]"),
        (dict(weight=draw(4, 4)), r"expected weight of shape \[4, 1, kernel\] .*, got \[4, 4\]"),
        (dict(document=documents(2, 6)), r"expected document of shape \[2, 5\], got \[2, 6\]"),
    ],
)
def test_a_wrong_shape_is_named(function, change, message):
    arguments = dict(x=draw(2, 5, 4), weight=draw(4, 1, 4)) | change
    with pytest.raises(ValueError, match=message):
        function(**arguments)


def test_a_layer_without_width_or_kernel_is_refused():
    for width, kernel in [(0, 4), (4, 0)]:
        with pytest.raises(ValueError, match=f"got width {width} and kernel {kernel}"):
            Canon(width, kernel)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler has its own
def test_compiled_equals_fast():
    for shape in [(3, 20, 8), (4, 33, 40)]:
        x, weight = draw(*shape, dtype=torch.float32), draw(shape[-1], 1, 4, seed=1, dtype=torch.float32)
        for options in [dict(), dict(document=documents(*shape[:2]), activation=True)]:
            fast = outcome(canon, x, weight, **options)
            assert_close(fast, outcome(canon, x, weight, compiled=True, **options), 1e-6)
    x = draw(2, 5, 8, dtype=torch.float32)
    whole = torch.compile(Canon(8))  # a model that its owner compiles
    torch.testing.assert_close(whole(x, documents(2, 5)), whole._orig_mod(x, documents(2, 5)))


@torch.no_grad()
def test_a_new_text_sees_weights_that_were_written_behind_pytorchs_back() -> None:
    model = LanguageModel(ModelConfig(vocab=9, width=8, layers=1, heads=1, canon="ABCD"), seed=0).eval()
    tokens = torch.tensor([[1, 2, 3, 4, 5]])

    def written() -> torch.Tensor:
        state = DecodingState()
        return torch.cat([model(tokens[:, i : i + 1], state=state) for i in range(5)], 1)

    before = written()
    for module in model.modules():
        if isinstance(module, Canon):
            module.weight.data.mul_(-2)
    after = written()
    assert not torch.allclose(after, before) and torch.allclose(after, model(tokens), atol=1e-5)
