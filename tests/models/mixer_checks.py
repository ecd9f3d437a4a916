"""What holds for every linear mixer: three forms that agree, documents that do not meet, a past that can be continued."""

import numpy as np
import torch
from hypothesis import strategies as st

from physlm_lite.models import Context, DecodingState, Memory


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def log_decays(*shape, strength, seed=0, dtype=torch.float64):
    """Between none and `strength`, most of them weak; a few forget everything."""
    weak = -strength * uniform(*shape, seed=seed, dtype=dtype) ** 4
    return weak.masked_fill(uniform(*shape, seed=seed + 1) < 0.02, -200.0)


cases = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 2),
        "position": st.one_of(st.just(1), st.integers(1, 50)),
        "heads": st.integers(1, 3),
        "key": st.integers(1, 5),
        "value": st.integers(1, 6),
        "chunk": st.sampled_from([1, 2, 8, 32]),
        "strength": st.sampled_from([0.0, 0.1, 3.0, 1000.0]),
        "packed": st.booleans(),
        "continued": st.booleans(),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
        "seed": st.integers(0, 99),
    }
)


def check_forms_agree(naive, chunked, arguments, case):
    """Outputs, final state and all gradients. `arguments(batch, position, heads, key, value, strength=, seed=, dtype=)`."""
    sizes = [case[name] for name in ("batch", "position", "heads", "key", "value")]
    seed, dtype = case["seed"], case["dtype"]
    inputs = arguments(*sizes, strength=case["strength"], seed=seed, dtype=dtype)
    batch, position, heads, key, value = sizes
    starts = uniform(batch, position, seed=seed + 50) < 0.2 if case["packed"] else None
    state = draw(batch, heads, key, value, seed=seed + 51, dtype=dtype) if case["continued"] else None
    slow = outcome(naive, inputs, starts, state)
    fast = outcome(chunked, inputs, starts, state, chunk=case["chunk"])
    assert slow[0].shape == fast[0].shape == (batch, position, heads, value)
    assert slow[1].shape == fast[1].shape == (batch, heads, key, value)
    for a, b in zip(slow, fast, strict=True):
        assert a.dtype == b.dtype == dtype
        assert_close(b, a, 1e-5 if dtype == torch.float32 else 1e-10)


def outcome(form, inputs, starts=None, state=None, **options):
    """Output, final state, and the gradients of a loss that treats every number differently."""
    leaves = [x.clone().requires_grad_() for x in (*inputs, state) if x is not None]
    past = leaves[-1] if state is not None else None
    read, after = form(*leaves[: len(inputs)], starts, past, **options)
    loss = (read * draw(*read.shape, seed=90, dtype=read.dtype)).sum()
    (loss + (after * draw(*after.shape, seed=91, dtype=after.dtype)).sum()).backward()
    return [read.detach(), after.detach(), *(leaf.grad for leaf in leaves)]


def assert_close(a, b, tolerance):
    """Relative to the largest number of `b`, or to 1 if that is smaller."""
    scale = b.abs().max().clamp(min=1)
    torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=tolerance)


def lively(layer, seed=5):
    """In 64 bits, with every parameter away from its starting point, so that none can be missed."""
    layer = layer.double()
    with torch.no_grad():
        for i, parameter in enumerate(layer.parameters()):
            parameter.add_(0.3 * draw(*parameter.shape, seed=seed + i))
    return layer


def documents(*lengths):
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]


def released(layer, names):
    """The weights as NumPy arrays under their released names; joined tensors are cut into equal shares of channels."""
    weights = {}
    for name, tensor in layer.state_dict().items():
        sizes = [len(tensor)]
        if len(names[name]) == 3:  # [query | key | value]
            keys, values = layer.config.key_width, layer.config.value_width
            sizes = [keys, keys, values]
        weights |= dict(zip(names[name], (part.numpy() for part in tensor.split(sizes)), strict=True))
    return weights


def check_against_twin(layer, twin, names, width=12, document=None):
    """`twin(z, weights, document)` maps one text [position, width] with weights under the released names, in NumPy."""
    x = draw(2, 11, width, seed=3)
    rows = [
        twin(row.numpy(), released(layer, names), (document[0] if document is not None else torch.zeros(11)).tolist())
        for row in x
    ]
    expected = torch.from_numpy(np.stack(rows))
    assert expected.std() > 0.01
    given = document if document is None else document.expand(2, -1)
    assert_close(layer(x, Context(document=given)).detach(), expected, 1e-10)


def check_continuing(layer, cuts, position, packed, width=12):
    """Any split of a text, with a state, gives what the whole text gives; also token by token and row by row."""
    x = draw(2, position, width, seed=4)
    document = torch.arange(position).div(5, rounding_mode="floor").expand(2, -1) if packed else None
    whole = layer(x, Context(document=document))
    state, pieces = Memory(), []
    for start, end in zip([0, *cuts], [*cuts, position], strict=True):
        part, past = (None if document is None else document[:, span] for span in (slice(start, end), slice(start)))
        pieces.append(
            layer(x[:, start:end], Context(document=part, past_document=past if start else None, state=state))
        )
    assert_close(torch.cat(pieces, 1), whole, 1e-10)
    assert all(len(tensor) == 2 for tensor in (state["recurrence"], *state.get("b", ())))
    # what is kept can be selected by row
    both = DecodingState(layers=[state])
    both.keep(torch.tensor([1]))
    following = draw(1, 1, width, seed=6)
    number = None if document is None else document[1:, -1:]
    context = Context(document=number, past_document=None if document is None else document[1:], state=both.layers[0])
    longer = torch.cat([x[1:], following], 1)
    number = None if document is None else torch.cat([document[1:], number], 1)
    assert_close(layer(following, context), layer(longer, Context(document=number))[:, -1:], 1e-10)


def check_packed_is_alone(layer, width=12):
    lengths = [1, 5, 2, 6, 3, 40]
    x = draw(1, sum(lengths), width, seed=7)
    packed = layer(x, Context(document=documents(*lengths)))
    alone = torch.cat([layer(part, Context()) for part in x.split(lengths, 1)], 1)
    assert_close(packed, alone, 1e-12)
    leaky = layer(x, Context())
    assert ((leaky - packed).abs().amax(-1)[0, 1:] > 1e-6).all() and torch.equal(leaky[:, 0], packed[:, 0])


def check_causal(layer, width=12):
    x = draw(1, 9, width, seed=8)
    before = layer(x, Context())
    for place in range(9):
        changed = x.clone()
        changed[0, place] += 1
        change = (layer(changed, Context()) - before).abs().amax(-1)[0]
        assert (change[:place] == 0).all() and (change[place:] > 1e-9).all()


def saved_numbers(chunked, inputs):
    """How many numbers are kept between forward and backward pass, each storage once."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    inputs = [x.requires_grad_() for x in inputs]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        read, _ = chunked(*inputs)
    read.sum().backward()
    return sum(storages.values())


def check_linear_memory(chunked, arguments):
    sizes = [
        saved_numbers(chunked, arguments(1, position, 2, 8, 8, strength=0.1, dtype=torch.float32))
        for position in (256, 2048)
    ]
    assert sizes[1] < 8.2 * sizes[0]


def check_start(weight, std, bound=None, tolerance=0.05):
    """Mean 0, this standard deviation, and nothing beyond `bound`."""
    assert abs(weight.mean().item()) < 6 * std / weight.numel() ** 0.5
    assert abs(weight.std().item() / std - 1) < tolerance
    if bound is not None:
        assert 0.9 * bound < weight.abs().max().item() <= bound * (1 + 1e-6)
    else:
        assert weight.abs().max() > 3.05 * std  # not cut


# NumPy, written from the formulas and not from the package.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.log1p(np.exp(x))


def rms_norm(x, gain, eps=1e-5):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def short_convolution(x, weight, document, bias=0.0):
    """x [position, channel], weight [channel, 1, kernel]; silu after it, no identity."""
    out = np.zeros_like(x) + bias
    kernel = weight.shape[2]
    for t in range(len(x)):
        for j in range(kernel):
            source = t - (kernel - 1) + j
            if source >= 0 and document[source] == document[t]:
                out[t] += weight[:, 0, j] * x[source]
    return silu(out)


def check_short_numbers(layer, tolerance=0.05, width=12):
    """In bfloat16, mixed or whole, the recurrence still has 32 bits, and the output is near the exact one."""
    x = draw(2, 20, width, dtype=torch.float32)
    layer.reset_parameters(torch.Generator().manual_seed(0), "lingua")
    exact, state = layer(x, Context()), Memory()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x, Context(state=state))
        mixed.float().sum().backward()
    assert state["recurrence"].dtype == torch.float32
    assert_close(mixed.float(), exact, 0.05)
    short = layer.bfloat16()(x.bfloat16(), Context())
    assert short.dtype == torch.bfloat16
    assert_close(short.float(), exact, tolerance)


def check_count(layer, parameters, width=12):
    """The formulas of the parameters and of the state's size."""
    assert sum(p.numel() for p in layer.parameters()) == parameters
    state = Memory()
    layer(draw(1, 3, width), Context(state=state))
    assert state["recurrence"].numel() == layer.config.state_size


def check_published_size(cls, options, vocab, width, layers, heads, hidden, conv, canon):
    """A released model's parameters, with its own convolution alone and with Canon-ACD added."""
    rest = layers * (3 * width * hidden + 2 * width) + 2 * vocab * width + width
    assert layers * cls.options(width, heads, **options).parameters + rest == conv
    assert conv + layers * 4 * (2 * width + 2 * hidden) == canon
    assert cls(128, 1, **options).config.state_size == 256 * 128
