"""The language model: against two other implementations, position by position, and at its boundaries."""

import math
import os
from functools import partial
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models import naive_model, variants

from physlm_lite.models import DecodingState, LanguageModel, ModelConfig, Seen, rope_table, rotate

VOCAB = 17
SUBSETS = ["".join(letters) for size in range(5) for letters in combinations("ABCD", size)]
# small, with every number different, so that no axis can be mistaken for another
SMALL = {"vocab": VOCAB, "width": 12, "layers": 2, "heads": 6, "kv_heads": 2, "head_width": 4, "hidden": 10}


model_of = partial(variants.model_of, small=SMALL)


def text(rows=2, length=11, seed=0):
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


# -- against other implementations -------------------------------------------------------------------------------------


def naive_logits(model, tokens, document=None):
    config = model.config
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    options = naive_model.Settings(
        config.layers,
        config.heads,
        config.kv_heads or config.heads,
        config.head_width or config.width // config.heads,
        config.canon,
        config.canon_residual,
        config.canon_activation,
        config.head_width if config.rope_dim is None else config.rope_dim,
        config.rope_theta,
        config.rope_layout,
        config.qk_norm,
        config.norm_eps,
    )
    rows = [
        naive_model.logits(row, weights, options, None if document is None else document[i].tolist())
        for i, row in enumerate(tokens.tolist())
    ]
    return torch.from_numpy(np.stack(rows))


@pytest.mark.parametrize(
    "options",
    [
        *({"canon": subset} for subset in SUBSETS),
        *({"canon": "ABCD", "canon_kernel": kernel} for kernel in (2, 3, 5)),
        {"canon": "ABCD", "canon_residual": False},
        {"canon": "ABCD", "canon_activation": True},
        {"canon": "ABCD", "canon_activation": True, "canon_residual": False, "qk_norm": True},
        {"canon": "B", "qk_norm": True},
        *({"canon": places, "qk_norm": True} for places in ("K", "V", "O", "M", "KVOM", "ACKVOM")),
        {"qk_norm": True, "norm_eps": 0.1},
        {"rope_dim": 0},
        {"rope_theta": 100.0},
        {"rope_dim": 4, "rope_theta": 100.0, "head_width": 6},
        {"rope_layout": "interleaved"},
        {"rope_layout": "interleaved", "rope_dim": 2, "canon": "ABCD", "qk_norm": True},
        {"kv_heads": None},
        {"kv_heads": 1, "canon": "ABCD"},
        {"kv_heads": 3, "canon": "ABCD", "tied": True, "canon_kernel": 1},
    ],
    ids=str,
)
def test_the_same_logits_as_the_naive_model(options):
    model, tokens = model_of(**options), text()
    expected = naive_logits(model, tokens)
    assert expected.std() > 0.5
    close(model(tokens), expected, 1e-5)  # the package's rotation table has 32 bits
    document = torch.tensor([[0] * 4 + [1] + [2] * 6, [-1] * 2 + [0] * 9])
    close(model(tokens, document), naive_logits(model, tokens, document), 1e-5)


@pytest.fixture(scope="module")
def transformers():
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    return transformers


@pytest.mark.parametrize("kv_heads, tied", [(4, False), (2, False), (1, True)])
def test_the_same_logits_loss_and_gradients_as_transformers(transformers, kv_heads, tied):
    config = ModelConfig(
        vocab=VOCAB, width=24, layers=2, heads=4, kv_heads=kv_heads, head_width=8, hidden=20, tied=tied
    )
    model = LanguageModel(config, seed=0)
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=24,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=kv_heads,
            head_dim=8,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
            bos_token_id=None,
            eos_token_id=None,
            max_position_embeddings=64,
        )
    )
    table = {
        "embed_tokens": "embedding",
        "model.layers": "blocks",
        "model.": "",
        "self_attn": "mixer",
        "q_proj": "query",
        "k_proj": "key",
        "v_proj": "value",
        "o_proj": "output",
        "mlp": "feed_forward",
        "gate_proj": "gate",
        "up_proj": "up",
        "down_proj": "down",
        "input_layernorm": "mixer_norm",
        "post_attention_layernorm": "feed_forward_norm",
        "lm_head": "head",
    }

    def our_name(name):
        for theirs_, ours in table.items():
            name = name.replace(theirs_, ours)
        return name

    with torch.no_grad():
        for module in model.modules():  # gains away from 1
            if isinstance(module, torch.nn.RMSNorm):
                module.weight.add_(torch.linspace(-0.4, 0.4, len(module.weight)))
    ours = model.state_dict()
    theirs.load_state_dict({name: ours[our_name(name)] for name in theirs.state_dict()})
    assert len(ours) == len(theirs.state_dict())
    tokens = text(3, 20)
    close(model(tokens), theirs(tokens).logits, 2e-6)
    every = torch.ones_like(tokens, dtype=torch.bool)
    loss, their_loss = model.loss(tokens, every), theirs(tokens, labels=tokens).loss
    close(loss, their_loss, 1e-6)
    loss.backward(), their_loss.backward()
    gradients = dict(model.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert parameter.grad.abs().max() > 1e-4
        close(gradients[our_name(name)].grad, parameter.grad, 2e-6)


def test_layouts_are_a_permutation_of_rows():
    """The published conversion of interleaved weights into half-split ones."""
    options = {"rope_dim": 4, "head_width": 6, "canon": "ABCD", "qk_norm": True}
    interleaved, half = model_of(**options, rope_layout="interleaved"), model_of(**options, rope_layout="half")
    order = [0, 2, 1, 3, 4, 5]  # of a head: new[i] = old[2i], new[2 + i] = old[2i + 1], the rest stays
    query = torch.tensor([6 * head + i for head in range(6) for i in order])
    key = torch.tensor([6 * head + i for head in range(2) for i in order])
    weights = dict(interleaved.state_dict())
    for name in list(weights):
        if "mixer.query" in name:  # the projection and the gain of its norm
            weights[name] = weights[name][query]
        elif "mixer.key" in name:
            weights[name] = weights[name][key]
        elif name.endswith("canon_b.weight"):
            weights[name] = weights[name][torch.cat([query, 36 + key, torch.arange(48, 60)])]
    assert not torch.allclose(interleaved(text()), half(text()), atol=0.1)
    half.load_state_dict(weights)
    close(interleaved(text()), half(text()))


# -- where the Canon layers sit ----------------------------------------------------------------------------------------


def watch(model, tokens):
    """Input and output of every module of the first block during one forward pass."""
    seen = {}
    block = model.blocks[0]
    hooks = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.__setitem__(name, SimpleNamespace(x=inputs[0], y=output))
        )
        for name, module in block.named_modules()
    ]
    model(tokens)
    for hook in hooks:
        hook.remove()
    return seen


def test_what_each_canon_layer_sees_and_feeds():
    model = model_of(canon="ABCD", qk_norm=True, rope_dim=2)
    seen = watch(model, text())
    a, b, c, d = (seen[name] for name in ("canon_a", "mixer.canon_b", "canon_c", "feed_forward.canon_d"))
    # A: after the first norm, before the projections
    assert torch.equal(a.x, seen["mixer_norm"].y)
    assert all(torch.equal(a.y, seen[f"mixer.{name}"].x) for name in ("query", "key", "value"))
    # B: after QK-norm, on [query | key | value]; the value is not normed
    norms = [seen["mixer.query_norm"], seen["mixer.key_norm"]]
    assert torch.equal(norms[0].x, seen["mixer.query"].y) and torch.equal(norms[1].x, seen["mixer.key"].y)
    assert torch.equal(b.x, torch.cat([norms[0].y, norms[1].y, seen["mixer.value"].y], -1))
    # ... and before the rotation, from there to the scores
    query, key, value = (z.unflatten(-1, (-1, 4)).transpose(1, 2) for z in b.y.split([24, 8, 8], -1))
    rope = rope_table(torch.arange(11), 2, 10_000.0)
    query, key = rotate(query, *rope), rotate(key, *rope)
    mixed = F.scaled_dot_product_attention(
        query, key.repeat_interleave(3, 1), value.repeat_interleave(3, 1), is_causal=True
    )
    close(seen["mixer.output"].x, mixed.transpose(1, 2).flatten(2))
    # C: after the second norm, whose input is the stream plus attention
    stream = seen[""].x + seen["mixer"].y
    assert torch.equal(seen["feed_forward_norm"].x, stream) and torch.equal(c.x, seen["feed_forward_norm"].y)
    # D: on [gate | up] of Canon-C's output, before the activation
    feed_forward = model.blocks[0].feed_forward
    close(d.x, torch.cat([feed_forward.gate(c.y), feed_forward.up(c.y)], -1))
    assert torch.equal(seen["feed_forward.down"].x, F.silu(d.y[..., :10]) * d.y[..., 10:])
    assert torch.equal(seen[""].y, stream + seen["feed_forward"].y)


@pytest.mark.parametrize("subset", [*SUBSETS[1:], "K", "V", "O", "M", "KVOM"])
def test_zero_taps_mean_no_canon(subset):
    plain, model = model_of(), model_of(canon=subset)
    missing = model.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert len(missing) == 2 * len(subset)
    assert not torch.allclose(model(text()), plain(text()), atol=1e-3)
    for name in missing:
        model.get_parameter(name).data.zero_()
    close(model(text()), plain(text()))


def test_canon_never_touches_the_residual_stream():
    # Canon layers that let nothing through silence the branches; what is left is the embedding
    model = model_of(canon="AC", canon_residual=False)
    for name, parameter in model.named_parameters():
        if "canon" in name:
            parameter.data.zero_()
    tokens = text()
    close(model(tokens), model.head(model.norm(model.embedding(tokens))))


# -- who sees whom -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"canon": "ABCD"}, {"canon": "KVOM"}, {"canon": "ABCD", "qk_norm": True, "rope_dim": 0}]
)
@pytest.mark.parametrize("documents", [False, True])
def test_nobody_sees_the_future(options, documents):
    model, tokens = model_of(**options), text(1, 12)
    document = torch.tensor([[0] * 5 + [1] * 7]) if documents else None
    before = model(tokens, document)
    for place in range(12):
        other = tokens.clone()
        other[0, place] = (other[0, place] + 1) % VOCAB
        after = model(other, document)
        close(after[:, :place], before[:, :place], 0)
        assert (after[:, place] - before[:, place]).abs().max() > 1e-3
        if documents and place < 5:
            close(after[:, 5:], before[:, 5:], 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"canon": "ABCD"},
        {"canon": "KVOM"},
        {"canon": "ABCD", "canon_kernel": 5, "rope_dim": 0},
        {"canon": "BD", "qk_norm": True, "canon_activation": True},
    ],
)
def test_packed_examples_are_as_if_alone(options):
    model, tokens = model_of(**options), text(2, 14)
    lengths = [1, 5, 2, 6]
    document = torch.repeat_interleave(torch.arange(4), torch.tensor(lengths)).expand(2, -1)
    packed, leaky = model(tokens, document), model(tokens)
    alone = [model(part) for part in tokens.split(lengths, 1)]
    close(packed, torch.cat(alone, 1), 1e-5)  # the rotation of later positions has 32 bits
    # without document numbers, only the first example is alone
    close(leaky[:, :1], alone[0], 1e-10)
    assert all((leaky[:, i] - packed[:, i]).abs().max() > 1e-3 for i in range(1, 14))


@pytest.mark.parametrize("options", [{}, {"canon": "ABCD"}, {"canon": "ABCD", "rope_dim": 2, "qk_norm": True}])
def test_left_padding_does_not_matter(options):
    model, tokens = model_of(**options), text(2, 9)
    padded = F.pad(tokens, (5, 0), value=3)
    document = torch.where(torch.arange(14) < 5, -1, 0).expand(2, -1)
    assert model(padded, document).isfinite().all()
    close(model(padded, document)[:, 5:], model(tokens), 1e-5)
    assert not torch.allclose(model(padded)[:, 5:], model(tokens), atol=1e-3)


# -- decoding ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    subset=st.sampled_from([*SUBSETS, "KVOM", "KD", "AVM"]),
    kernel=st.integers(1, 5),
    qk_norm=st.booleans(),
    residual=st.booleans(),
    cuts=st.sets(st.integers(1, 11)),
    lengths=st.none() | st.lists(st.integers(1, 6), min_size=1, max_size=12),
)
def test_a_text_in_pieces_is_the_whole_text(subset, kernel, qk_norm, residual, cuts, lengths):
    model = model_of(canon=subset, canon_kernel=kernel, qk_norm=qk_norm, canon_residual=residual)
    tokens, document = text(2, 12), None
    if lengths:  # two rows with different boundaries; padding on the left of the first
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        numbers = torch.from_numpy(np.pad(numbers, (0, 12), mode="edge")[:12])
        document = torch.stack([numbers - 1, numbers.flip(0).max() - numbers.flip(0)])
    state, pieces = DecodingState(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True):
        part = None if document is None else document[:, begin:end]
        pieces.append(model(tokens[:, begin:end], part, state))
        assert state.length == end
    close(torch.cat(pieces, 1), model(tokens, document))


def test_decoding_beyond_the_first_rotation_table():
    model, tokens = model_of(canon="ABCD"), text(1, 140)
    state = DecodingState()
    pieces = [model(tokens[:, :120], state=state), *(model(tokens[:, i : i + 1], state=state) for i in range(120, 140))]
    close(torch.cat(pieces, 1), model(tokens))


def test_a_state_holds_the_last_inputs_of_each_canon_layer():
    model, state = model_of(canon="ABCD"), DecodingState()
    seen = watch(model, text())
    model(text()[:, :4], state=state), model(text()[:, 4:], state=state)
    assert len(state.layers) == 2
    layer = state.layers[0]
    for name, module in zip("ABCD", ("canon_a", "mixer.canon_b", "canon_c", "feed_forward.canon_d"), strict=True):
        close(torch.cat(layer[name], 1), seen[module].x[:, -3:])
    assert layer["key"].shape == layer["value"].shape == (2, 2, 11, 4)


def test_document_numbers_cannot_come_and_go():
    tokens, document = text(1, 4), torch.zeros(1, 4, dtype=torch.long)
    for first, then in ((None, document), (document, None)):
        model, state = model_of(), DecodingState()
        model(tokens, first, state)
        with pytest.raises(ValueError, match="continued with them, and one begun without must not"):
            model(tokens, then, state)


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("documents", [False, True])
def test_the_loss_is_the_mean_over_the_marked_tokens(documents):
    model, tokens = model_of(canon="ABCD"), text(3, 10)
    document = torch.tensor([[0] * 4 + [1] * 6] * 3) if documents else None
    targets = torch.rand(3, 10, generator=torch.Generator().manual_seed(0)) < 0.3
    targets[0, 0] = True  # nothing predicts the first token: ignored
    logits = model(tokens, document)
    terms = [
        -(logits[b, t - 1] - logits[b, t - 1].logsumexp(-1))[tokens[b, t]]
        for b in range(3)
        for t in range(1, 10)
        if targets[b, t]
    ]
    assert len(terms) > 5
    loss = model.loss(tokens, targets, document)
    assert loss.dtype == torch.float32
    close(loss.double(), torch.stack(terms).mean(), 1e-5)


def test_guesses_stand_where_the_token_stands():
    model, tokens = model_of(canon="ABCD"), text(2, 10)
    document = torch.tensor([[0] * 4 + [1] * 6] * 2)
    for numbers in (None, document):
        guesses, logits = model.guesses(tokens, numbers), model(tokens, numbers)
        assert guesses.shape == tokens.shape and (guesses[:, 0] == -1).all()
        assert torch.equal(guesses[:, 1:], logits.argmax(-1)[:, :-1])
    assert not guesses.requires_grad


def test_a_model_can_learn():
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(**SMALL, canon="ABCD"), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    tokens, targets = text(2, 12), torch.ones(2, 12, dtype=torch.bool)
    first = model.loss(tokens, targets).item()
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(tokens, targets).backward()
        optimizer.step()
    assert model.loss(tokens, targets).item() < 0.2 * first
    assert (model.guesses(tokens)[:, 2:] == tokens[:, 2:]).float().mean() > 0.9


def test_every_parameter_is_trained_but_frozen_taps():
    tokens, targets = text(), torch.ones(2, 11, dtype=torch.bool)
    for frozen in (False, True):
        model = model_of(canon="ABCD", qk_norm=True, canon_frozen=frozen)
        model.loss(tokens, targets).backward()
        for name, parameter in model.named_parameters():
            trained = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
            assert trained is not (frozen and "canon" in name), name


@pytest.mark.parametrize("qk_norm", [False, True])
def test_bfloat16_runs(qk_norm):
    model = LanguageModel(ModelConfig(**SMALL, canon="ABCD", qk_norm=qk_norm), seed=0)
    tokens, document = text(), torch.tensor([[0] * 4 + [1] * 7] * 2)
    exact = model(tokens, document)
    low = model.bfloat16()(tokens, document)
    assert low.dtype == torch.bfloat16
    close(low.float(), exact, 0.15)
    state = DecodingState()
    pieces = [model(tokens[:, :5], document[:, :5], state), model(tokens[:, 5:], document[:, 5:], state)]
    close(torch.cat(pieces, 1), low, 0.1)


def test_mixed_precision_trains():
    model = LanguageModel(ModelConfig(**SMALL, canon="ABCD"), seed=0)
    tokens, document = text(), torch.tensor([[0] * 4 + [1] * 7] * 2)
    exact = model.loss(tokens, tokens > 3, document)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(tokens, tokens > 3, document)
    assert loss.dtype == torch.float32
    close(loss, exact, 0.05)
    loss.backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_looking_in_inference_mode_does_not_spoil_training():
    model = model_of(canon="ABCD")
    with torch.inference_mode():
        model(text())
    model.loss(text(), torch.ones(2, 11, dtype=torch.bool)).backward()


# -- the starting point ------------------------------------------------------------------------------------------------

WIDE = {
    "vocab": 400,
    "width": 96,
    "layers": 3,
    "heads": 4,
    "head_width": 32,
    "hidden": 200,
    "canon": "ABCD",
    "qk_norm": True,
}


@pytest.mark.parametrize(
    "depth_scaling, divisor",
    [("none", lambda i: 1.0), ("current", lambda i: math.sqrt(2 * (i + 1))), ("global", lambda i: math.sqrt(2 * 4))],
)
def test_lingua_starting_point(depth_scaling, divisor):
    model = LanguageModel(ModelConfig(**WIDE, depth_scaling=depth_scaling), seed=0)

    def check(weight, std, bound=3.0):
        """A normal distribution cut at `bound` times `std`; cutting at 3 leaves 0.98658 of the deviation."""
        shrunk = 0.98658 if bound == 3.0 else 1.0
        assert weight.std().item() == pytest.approx(std * shrunk, rel=0.02)
        assert abs(weight.mean().item()) < 5 * std / weight.numel() ** 0.5
        largest = weight.abs().max().item() / std
        assert 0.9 * min(bound, 3.8) < largest <= bound + 1e-5

    std = 96**-0.5
    check(model.embedding.weight, std), check(model.head.weight, std)
    assert not torch.equal(model.embedding.weight, model.head.weight)
    for i, block in enumerate(model.blocks):
        for layer in (
            block.mixer.query,
            block.mixer.key,
            block.mixer.value,
            block.feed_forward.gate,
            block.feed_forward.up,
        ):
            check(layer.weight, std)
        # the bound of the output projection is not divided, that of the down projection is
        check(block.mixer.output.weight, std / divisor(i), 3 * divisor(i))
        check(block.feed_forward.down.weight, 200**-0.5 / divisor(i))


def test_huggingface_starting_point():
    model = LanguageModel(ModelConfig(**WIDE, init="huggingface"), seed=0)
    for name, parameter in model.named_parameters():
        if "norm" not in name and "canon" not in name:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.02), name
            assert parameter.abs().max() > 3.3 * 0.02, name  # not truncated


@pytest.mark.parametrize("init", ["lingua", "huggingface"])
@pytest.mark.parametrize("kernel", [2, 4])
def test_gains_start_at_one_and_taps_uniform(init, kernel):
    model = LanguageModel(ModelConfig(**WIDE, init=init, canon_kernel=kernel), seed=0)
    bound, taps = kernel**-0.5, []
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == 1).all()
        elif "canon" in name:
            taps.append(parameter.flatten())
    every = torch.cat(taps)
    assert 0.99 * bound < every.abs().max() <= bound
    assert every.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
    assert abs(every.mean().item()) < 5 * bound / len(every) ** 0.5


def test_the_seed_decides_the_weights():
    def weights(seed):
        return torch.cat([p.flatten() for p in LanguageModel(ModelConfig(**SMALL, canon="ABCD"), seed).parameters()])

    torch.manual_seed(1)
    first = weights(5)
    torch.manual_seed(2)
    assert torch.equal(first, weights(5))
    assert not torch.equal(first, weights(6))
    torch.manual_seed(3)
    free = weights(None)
    torch.manual_seed(3)
    assert torch.equal(free, weights(None))
    assert not torch.equal(free, weights(None))


# -- size --------------------------------------------------------------------------------------------------------------

ONE_B = {"vocab": 32000, "width": 2048, "layers": 24, "heads": 32, "hidden": 5632, "qk_norm": True}
THREE_B = {"vocab": 32000, "width": 3072, "layers": 26, "heads": 24, "hidden": 8192, "qk_norm": True}
EIGHT_B = {"vocab": 128256, "width": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "hidden": 14336}


@pytest.mark.parametrize(
    "options, total",
    [
        (ONE_B, 1_364_396_032),
        ({**ONE_B, "canon": "ABCD"}, 1_366_460_416),
        (THREE_B, 3_141_331_968),
        ({**THREE_B, "canon": "ABCD"}, 3_144_633_344),
        (EIGHT_B, 8_030_261_248),
        ({**EIGHT_B, "canon": "ABCD"}, 8_035_766_272),
    ],
)
def test_published_models_have_their_published_size(options, total):
    config = ModelConfig(**options)
    assert config.parameters == total
    with torch.device("meta"):
        model = LanguageModel(config)
    assert sum(p.numel() for p in model.parameters()) == total


def test_published_canon_widths():
    assert ModelConfig(**ONE_B, canon="ABCD").canon_widths == {"A": 2048, "B": 6144, "C": 2048, "D": 11264}
    assert ModelConfig(**EIGHT_B, canon="BD").canon_widths == {"B": 6144, "D": 28672}
    assert ModelConfig(**EIGHT_B, canon="KVOM").canon_widths == {"K": 1024, "M": 4096, "O": 4096, "V": 1024}
    assert ModelConfig(**EIGHT_B).canon_widths == {}


@settings(max_examples=40, deadline=None)
@given(
    heads=st.sampled_from([2, 4, 6]),
    kv_heads=st.sampled_from([None, 1, 2]),
    head_width=st.sampled_from([None, 2, 6]),
    hidden=st.sampled_from([None, 7]),
    canon=st.sampled_from(SUBSETS),
    kernel=st.integers(1, 5),
    qk_norm=st.booleans(),
    tied=st.booleans(),
    layers=st.integers(1, 3),
)
def test_the_formula_counts_the_parameters(heads, kv_heads, head_width, hidden, canon, kernel, qk_norm, tied, layers):
    config = ModelConfig(
        vocab=11,
        width=24,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        hidden=hidden,
        canon=canon,
        canon_kernel=kernel,
        qk_norm=qk_norm,
        tied=tied,
    )
    assert sum(p.numel() for p in LanguageModel(config, seed=0).parameters()) == config.parameters


def test_a_tied_head_is_the_embedding():
    model = model_of(tied=True)
    assert model.head.weight is model.embedding.weight
    model.loss(text(), torch.ones(2, 11, dtype=torch.bool)).backward()
    assert model.embedding.weight.grad.abs().max() > 0


def test_what_follows_from_the_width():
    config = ModelConfig(vocab=5, width=64, heads=4)
    assert (config.each_head, config.rotated, config.feed_forward) == (16, 16, 176)
    assert ModelConfig(vocab=5, width=48, heads=4).feed_forward == 128  # 8/3 of 48, exactly
    assert ModelConfig(vocab=5, rope_dim=0).rotated == 0


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"vocab": 0}, "vocab must be a whole number from 1 to 16,777,216, not 0"),
        ({"layers": 0}, "layers must be a whole number from 1 to 10,000, not 0"),
        ({"heads": 0}, "heads must be a whole number from 1 to 1,048,576, not 0"),
        ({"canon_kernel": 0}, "canon_kernel must be a whole number from 1 to 4,096, not 0"),
        ({"kv_heads": 0}, "kv_heads must be a whole number from 1 to 1,048,576 or None, not 0"),
        ({"kv_heads": -1}, "kv_heads must be a whole number from 1"),
        ({"hidden": 0}, "hidden must be a whole number from 1"),
        ({"head_width": -2}, "head_width must be a whole number from 1"),
        (
            {"width": 10, "heads": 4, "head_width": None},
            "4 heads do not divide a width of 10; choose another number of heads",
        ),
        ({"kv_heads": 4}, "each of the 4 kv heads must serve equally many of the 6 heads"),
        ({"canon": "b"}, "canon is a subset of 'ABCDKVOM', and 'b' is none of these letters"),
        ({"canon": "BKV"}, "canon 'B' mixes query, key and value already; leave 'KV' out, or 'B'"),
        ({"canon": "AXBY"}, "'XY' is none of these letters"),
        ({"rope_dim": 3}, "rope_dim must be even and between 0 and the head width 4, not 3"),
        ({"rope_dim": 6}, "between 0 and the head width 4, not 6"),
        ({"rope_dim": -2}, "between 0 and the head width 4, not -2"),
        ({"head_width": 3}, "rope_dim must be even and between 0 and the head width 3, not 3"),
        (
            {"rope_layout": "lingua"},
            "unknown ModelConfig rope_layout 'lingua'; (valid: half, interleaved)",
        ),
        (
            {"init": "meta"},
            "unknown ModelConfig init 'meta'; did you mean 'mamba2'? (valid: lingua, huggingface, mamba2)",
        ),
        ({"tied": "no"}, "tied must be True or False, not 'no'"),
        ({"qk_norm": "false"}, "qk_norm must be True or False, not 'false'"),
        ({"canon": "A", "canon_frozen": 1}, "canon_frozen must be True or False, not 1"),
        ({"norm_eps": -1}, "norm_eps must be a number of at least 0, not -1.0"),
        ({"norm_eps": math.nan}, "norm_eps must be a number, not nan"),
        ({"rope_theta": math.nan}, "rope_theta must be a number, not nan"),
        ({"rope_theta": 0}, "rope_theta must be a positive number, not 0.0"),
        ({"width": True}, "width must be a whole number from 1 to 1,048,576, not True"),
        ({"width": 12.0}, "width must be a whole number from 1 to 1,048,576, not 12.0"),
        ({"heads": "6"}, "heads must be a whole number from 1 to 1,048,576, not '6'"),
        ({"layers": 10**9}, "layers must be a whole number from 1 to 10,000, not 1000000000"),
        ({"canon": ["A"]}, "canon must be a text, not ['A']"),
        ({"canon": "A", "canon_layers": (0.5,)}, "canon_layers must be a list of values"),
        ({"mixer_options": 3}, "mixer_options must be"),
        ({"depth_scaling": "local"}, "unknown ModelConfig depth_scaling 'local'; did you mean 'global'?"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        ModelConfig(**{**SMALL, **options})
    assert sentence in str(error.value)


def test_numbers_of_numpy_are_numbers():
    numpy = {
        name: np.int64(value) if isinstance(value, int) else value
        for name, value in {
            **SMALL,
            "canon_layers": np.array([0, -1]),
            "canon": "A",
            "norm_eps": np.float32(0.5),
        }.items()
    }
    config = ModelConfig(**numpy, tied=np.bool_(True))
    plain = ModelConfig(**SMALL, canon="A", canon_layers=(0, -1), norm_eps=0.5, tied=True)
    assert config == plain and repr(config) == repr(plain) and config.parameters == plain.parameters
    assert LanguageModel(config, seed=0)(text()).shape == (2, 11, VOCAB)


def test_the_order_of_canon_letters_does_not_matter():
    model, other = model_of(canon="ABCD"), model_of(canon="DBCAA")
    assert torch.equal(model(text()), other(text()))
    assert model.config.parameters == other.config.parameters


def test_shapes_that_make_no_sense_are_refused():
    model, tokens = model_of(), text()
    for wrong in (tokens[0], tokens.float(), tokens[..., None], tokens > 3, torch.zeros(2, 11, 13), tokens + 0j):
        with pytest.raises(ValueError, match=r"tokens should be whole numbers \[batch, position\], or embeddings"):
            model(wrong)
    for wrong in (17, -1, 10**9):
        with pytest.raises(ValueError, match=f"between 0 and 16, the last of the vocabulary, and {wrong} is not"):
            model(torch.where(tokens == tokens[1, 3], wrong, tokens))
    for kind in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(model(tokens.to(kind)), model(tokens))
    with pytest.raises(ValueError, match=r"document should be \[2, 11\] like tokens, not \[1, 11\]"):
        model(tokens, torch.zeros(1, 11, dtype=torch.long))


@pytest.mark.parametrize(
    "options", [{"canon": "ABCD"}, {"positions": "alibi"}, {"kv_heads": None, "head_width": None, "mixer": "gla"}]
)
def test_a_pass_keeps_what_it_is_asked_for(options):
    model, tokens = model_of(**options), text()
    seen = Seen(weights=[])
    final = model.hidden(tokens, seen=seen)
    torch.testing.assert_close(final, model.hidden(tokens))
    assert len(seen.hidden) == model.config.layers
    assert torch.equal(seen.hidden[0], model.embedding(tokens))
    blocks = []
    hooks = [block.register_forward_hook(lambda *call: blocks.append(call[-1])) for block in model.blocks]
    torch.testing.assert_close(model.hidden(model.embedding(tokens)), final)  # embeddings in the place of tokens
    for hook in hooks:
        hook.remove()
    for kept, made in zip(seen.hidden[1:], blocks, strict=False):
        torch.testing.assert_close(kept, made)
    if model.config.mixer != "attention":
        assert seen.weights == []
        return
    assert len(seen.weights) == model.config.layers
    for weights in seen.weights:
        assert weights.shape == (2, model.config.heads, 11, 11) and not weights.triu(1).any()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    final.sum().backward()
    assert all(weights.requires_grad for weights in seen.weights)


def test_a_context_moves_to_another_device():
    tokens, model, state, kept = text(), model_of(), DecodingState(), []
    model.hidden(tokens[:, :6], state=state)
    hook = model.blocks[0].register_forward_pre_hook(lambda _, arguments: kept.append(arguments[1]))
    model.hidden(tokens[:, 6:], state=state)
    model.hidden(tokens, torch.zeros_like(tokens))
    hook.remove()
    moved = kept[0].to(torch.device("meta"))
    assert all(tensor.is_meta for tensor in (*moved.rope, moved.mask)) and not kept[0].mask.is_meta
    assert moved.state is kept[0].state and moved.document is None
    assert torch.equal(kept[1].to(torch.device("cpu")).document, torch.zeros_like(tokens))
