"""Second derivatives, torch.func and forward mode through the functions whose first derivative is written by hand."""

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from models.mixer_checks import draw, log_decays
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from physlm_lite.models import GDN2, GLA5, LanguageModel, ModelConfig, canon, canon_naive
from physlm_lite.models.recurrence import decays, decays_naive, products, products_naive

DOCUMENT = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]])
CANONS = {
    f"{residual=} {activation=} {packed=}": {
        "residual": residual,
        "activation": activation,
        "document": DOCUMENT if packed else None,
    }
    for residual, activation, packed in [(True, False, False), (True, True, True), (False, True, False)]
}


def all_of(outputs):
    """One number that treats every output differently."""
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    weights = (
        torch.linspace(0.5, 2.5 + i, y.numel(), dtype=y.dtype).sin().view(y.shape) for i, y in enumerate(outputs)
    )
    return sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))


def cases():
    """Name: the function, its naive twin, and its arguments."""
    for name, options in CANONS.items():
        yield (
            f"canon {name}",
            lambda x, w, options=options: canon(x, w, **options),
            lambda x, w, options=options: canon_naive(x, w, **options),
            (draw(2, 5, 3), draw(3, 1, 4, seed=1)),
        )
    log_decay = log_decays(2, 4, 3, strength=3.0)
    log_decay[0, 2, 1] = -torch.inf  # a new document
    yield "products", products, products_naive, (draw(2, 4, 3), draw(2, 4, 3, seed=1), log_decay)
    yield "decays", decays, decays_naive, (log_decay[..., 1],)


CASES = {name: case for name, *case in cases()}
each = pytest.mark.parametrize("function, naive, arguments", CASES.values(), ids=CASES)


def finite(arguments):
    """Without decays of -inf, near which there are no differences to take."""
    return tuple(x.clamp(min=-3).clone().requires_grad_() for x in arguments)


@each
def test_first_and_second_derivatives_are_the_slopes(function, naive, arguments):
    arguments = finite(arguments)
    assert torch.autograd.gradcheck(function, arguments, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, arguments, check_batched_grad=True)


@each
def test_the_naive_twin_gives_the_same_to_the_second_derivative(function, naive, arguments):
    def outcome(form):
        leaves = [x.clone().requires_grad_() for x in arguments]
        outputs = form(*leaves)
        first = torch.autograd.grad(all_of(outputs), leaves, create_graph=True)
        second = torch.autograd.grad(all_of([torch.tanh(g) for g in first]), leaves)
        return [*([outputs] if isinstance(outputs, torch.Tensor) else outputs), *first, *second]

    for a, b in zip(outcome(function), outcome(naive), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        assert a.isfinite().all()


@each
def test_the_transforms_of_torch_func(function, naive, arguments):
    arguments = tuple(x.detach() for x in finite(arguments))
    every = tuple(range(len(arguments)))

    def number(*x):
        return all_of(function(*x)).tanh()

    leaves = [x.clone().requires_grad_() for x in arguments]
    expected = torch.autograd.grad(number(*leaves), leaves)
    for a, b in zip(grad(number, every)(*arguments), expected, strict=True):
        torch.testing.assert_close(a, b)
    direction = tuple(draw(*x.shape, seed=7 + i) for i, x in enumerate(arguments))
    slope = sum((a * b).sum() for a, b in zip(expected, direction, strict=True))
    torch.testing.assert_close(jvp(number, arguments, direction)[1], slope)
    with forward_ad.dual_level():
        dual = number(*(forward_ad.make_dual(x, d) for x, d in zip(arguments, direction, strict=True)))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, slope)
    # forward over reverse, reverse over reverse, and plain autograd
    product = torch.autograd.functional.hvp(number, arguments, direction)[1]
    for a, b in zip(jvp(grad(number, every), arguments, direction)[1], product, strict=True):
        torch.testing.assert_close(a, b)
    _, pull = vjp(grad(number, every), *arguments)
    for a, b in zip(pull(direction), product, strict=True):
        torch.testing.assert_close(a, b)
    for outer in (jacfwd, jacrev):
        for row, of_hessian in zip(
            outer(jacrev(number, every), every)(*arguments), hessian(number, every)(*arguments), strict=True
        ):
            for a, b in zip(row, of_hessian, strict=True):
                torch.testing.assert_close(a, b)


@each
def test_vmap_is_a_loop(function, naive, arguments):
    several = tuple(torch.stack([x.detach(), draw(*x.shape, seed=9) - 1, x.detach() / 2]) for x in finite(arguments))
    for places in ((0,) * len(several), (0, *(None,) * (len(several) - 1)), (*(None,) * (len(several) - 1), 0)):
        given = tuple(x if place == 0 else x[1] for x, place in zip(several, places, strict=True))

        def number(*x):
            return all_of(function(*x))

        for form in (number, grad(number, tuple(range(len(several))))):
            found = vmap(form, places)(*given)
            rows = [form(*(x[i] if p == 0 else x for x, p in zip(given, places, strict=True))) for i in range(3)]
            expected = torch.stack(rows) if form is number else [torch.stack(g) for g in zip(*rows, strict=True)]
            torch.testing.assert_close(list(found) if form is not number else found, expected)


def test_documents_may_differ_between_the_rows_of_a_vmap():
    x, weight = draw(3, 2, 5, 4), draw(4, 1, 4, seed=1)
    document = torch.randint(0, 2, (3, 2, 5), generator=torch.Generator().manual_seed(0))
    found = vmap(lambda x, document: canon(x, weight, document=document))(x, document)
    torch.testing.assert_close(
        found, torch.stack([canon(a, weight, document=d) for a, d in zip(x, document, strict=True)])
    )


# -- whole models ------------------------------------------------------------------------------------------------------

KINDS = {
    "LlamaCanon": {"canon": "ABCD", "kv_heads": 1},
    "ALiBi": {"canon": "B", "positions": "alibi"},
    "GLA5": {"mixer": "gla", "mixer_options": GLA5, "canon": "ACD"},
    "GDN2": {"mixer": "gated_delta", "mixer_options": GDN2, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {"state": 8}, "canon": "ACD"},
}
TOKENS = torch.randint(11, (3, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("document", [None, torch.tensor([[-1, 0, 0, 0, 1, 1, 1]] * 3)], ids=["whole", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_a_model(kind, document):
    model = LanguageModel(ModelConfig(vocab=11, width=16, heads=2, **KINDS[kind]), seed=0).double()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    direction = {name: draw(*w.shape, seed=i) for i, (name, w) in enumerate(weights.items())}

    def loss(weights, tokens=TOKENS, document=document):
        logits = functional_call(model, weights, (tokens, document))
        return F.cross_entropy(logits[:, 1:-1].transpose(1, 2), tokens[:, 2:])  # the first position is padding

    def along(a, b):
        return sum((a[name] * b[name]).sum() for name in weights)

    gradient = grad(loss)(weights)
    loss(dict(model.named_parameters())).backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(gradient[name], p.grad)
    torch.testing.assert_close(jvp(loss, (weights,), (direction,))[1], along(gradient, direction))
    # the second derivative, three ways and by finite differences
    curvature = along(jvp(grad(loss), (weights,), (direction,))[1], direction)
    step = 1e-6
    above, below = ({n: w + s * direction[n] for n, w in weights.items()} for s in (step, -step))
    difference = along(grad(loss)(above), direction) - along(grad(loss)(below), direction)
    torch.testing.assert_close(curvature, difference / (2 * step), rtol=1e-5, atol=1e-8)
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's fused attention has no second derivative
        leaves = {n: w.clone().requires_grad_() for n, w in weights.items()}
        first = torch.autograd.grad(loss(leaves), list(leaves.values()), create_graph=True)
        slope = along(dict(zip(leaves, first, strict=True)), direction)
        second = torch.autograd.grad(slope, list(leaves.values()))
    torch.testing.assert_close(along(dict(zip(leaves, second, strict=True)), direction), curvature)
    # the gradient of each text by itself
    if document is None:
        each = vmap(lambda tokens: grad(loss)(weights, tokens[None]))(TOKENS)
    else:
        each = vmap(lambda tokens, document: grad(loss)(weights, tokens[None], document[None]))(TOKENS, document)
    for name in weights:
        torch.testing.assert_close(each[name].mean(0), gradient[name])
    # and afterwards the model is as before
    torch.testing.assert_close(model(TOKENS, document).detach(), functional_call(model, weights, (TOKENS, document)))
