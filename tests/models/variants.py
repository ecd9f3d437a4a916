"""What the tests of the model's variants share: a small model with large weights, texts, and the decoding check."""

import torch
from models import naive_model

from physlm_lite.models import DecodingState, LanguageModel, ModelConfig

VOCAB, LENGTH = 17, 12
# small, with every number different, so that no axis can be mistaken for another
SMALL = {"vocab": VOCAB, "width": 16, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 10}
# two rows with other boundaries, and padding on both sides
DOCUMENT = torch.tensor([[-1] * 2 + [0] * 4 + [1] + [2] * 5, [0] * 7 + [1] * 3 + [-1] * 2])

# padding in the middle of texts, before the first and behind the last token
HOLES = torch.tensor([[0, -1, 0, 0, 0, -1, -1, 0, -1, 0, 0, 1], [-1, 0, 0, -1, -1, -1, -1, -1, 0, 0, 1, -1]])


def model_of(seed=0, small=SMALL, **options):
    """A small model in 64 bits, with norm gains and taps away from their starting points."""
    model = LanguageModel(ModelConfig(**{**small, **options}), seed=seed).double()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            elif "canon" not in name:
                parameter.mul_(2)  # sharper attention, so that its mistakes show
    return model


def text(rows=2, length=LENGTH, seed=0):
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def assert_naive(model):
    """The same logits as the naive model, with documents and without."""
    tokens = text()
    for document in (None, DOCUMENT):
        expected = torch.from_numpy(naive_model.logits_of(model, tokens, document))
        assert expected.std() > 0.5
        close(model(tokens, document), expected, 1e-5)  # the tables of positions have 32 bits


def assert_decodes(model):
    """A text in pieces, of one token or of several, is the whole text; rows that have ended may leave."""
    tokens = text()
    for document in (None, DOCUMENT, HOLES):
        there = torch.ones_like(tokens, dtype=torch.bool) if document is None else document >= 0
        whole, state, pieces = model(tokens, document), DecodingState(), []
        for begin, end in ((0, 3), (3, 4), (4, 8), (8, 9), (9, 10)):
            part = None if document is None else document[:, begin:end]
            pieces.append(model(tokens[:, begin:end], part, state))
        close(torch.cat(pieces, 1)[there[:, :10]], whole[:, :10][there[:, :10]])  # what padding gives means nothing
        state.keep(torch.tensor([True, False]))
        rest = None if document is None else document[:1, 10:]
        close(model(tokens[:1, 10:], rest, state), whole[:1, 10:])


def assert_packed(model, tolerance=1e-5):
    """Packed examples are as if alone, and nobody sees the future."""
    tokens = text()
    alone = model(tokens[:1, 2:6])
    close(model(tokens, DOCUMENT)[:1, 2:6], alone, tolerance)
    other = tokens.clone()
    other[:, 7:] = (other[:, 7:] + 1) % VOCAB
    close(model(other)[:, :7], model(tokens)[:, :7])
    assert (model(other)[:, 7] - model(tokens)[:, 7]).abs().max() > 1e-3
