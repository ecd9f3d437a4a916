"""Exercises of notebook 02b: experiments that tell broken layers apart."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from .layers import LAYERS, RIGHT, Layer

X, TAPS = draws(11, (3, 12, 4), (4, 1, 4))
T = X.shape[1]
IN_ONE_ROW = {name: layer for name, layer in LAYERS.items() if name != "rows leak"}


def _changed(x: Tensor, rows: slice, positions: slice) -> Tensor:
    """The same with other numbers there."""
    y = x.clone()
    y[rows, positions] += 1.0
    return y


EVERYTHING = slice(None)


def _same(layer: Layer, rows: slice, positions: slice, seen_rows: slice, seen: slice) -> bool:
    """Whether what is seen of the output stays, if the input is changed elsewhere."""
    before, after = layer(X, TAPS), layer(_changed(X, rows, positions), TAPS)
    return bool(torch.allclose(before[seen_rows, seen], after[seen_rows, seen], atol=1e-5))


def is_causal(layer: Layer) -> bool:
    """No output depends on a later token: each place in turn is the first one that is changed."""
    return all(_same(layer, EVERYTHING, slice(t, None), EVERYTHING, slice(0, t)) for t in range(1, T))


def rows_apart(layer: Layer) -> bool:
    """No row depends on another: each in turn is changed, and all others are looked at."""
    rows = range(len(X))
    apart = [
        _same(layer, slice(a, a + 1), EVERYTHING, slice(b, b + 1), EVERYTHING) for a in rows for b in rows if a != b
    ]
    return all(apart)


def measured_taps(layer: Layer, weight: Tensor, at: int = 8) -> Tensor:
    """What a one in the middle does to itself and the next tokens: [width, lag]."""
    width, _, kernel = weight.shape
    x = torch.zeros(1, 20, width)
    x[0, at] = 1
    return layer(x, weight)[0, at : at + kernel].T


def _read_before(layer: Layer, weight: Tensor) -> Tensor:
    width, _, kernel = weight.shape
    x = torch.zeros(1, 20, width)
    x[0, 8] = 1
    return layer(x, weight)[0, 9 - kernel : 9].flip(0).T


def diagnose(layer: Layer) -> str:
    """The name of what is wrong, found by experiments alone."""
    weight = TAPS.clone().requires_grad_()
    layer(X.clone().requires_grad_(), weight).sum().backward()
    if weight.grad is None:
        return "taps never learn"
    if not rows_apart(layer):
        return "rows leak"
    taps, own = TAPS[:, 0].flip(-1), torch.tensor([1.0, 0, 0, 0])
    middle = measured_taps(layer, TAPS)
    if not is_causal(layer):  # in the middle, a circle looks like the layer itself
        return "wraps around" if torch.allclose(middle, taps + own) else "looks ahead"
    seen = {"no identity": taps, "taps reversed": taps.flip(-1) + own, "one set of taps": taps[:1] + own}
    for name, expected in seen.items():
        if torch.allclose(middle, expected.expand_as(middle), atol=1e-5):
            return name
    start = measured_taps(layer, TAPS, at=0)
    return RIGHT if torch.allclose(start, middle, atol=1e-5) else "scaled at the start"


def _blind_to(name: str, layer: Layer) -> str:
    """Finds all but one of them, which it takes for the right one."""
    found = diagnose(layer)
    return RIGHT if found == name else found


check = Check(
    is_causal=Exercise(
        is_causal,
        [(layer,) for layer in IN_ONE_ROW.values()],
        "whatever is changed later on, the outputs before it stay: two of the nine fail",
        hints={
            "always true": "you call every layer causal; change a token and look at the outputs *before* it",
            "the outputs after it": "you look at outputs at or after the token that you changed; those may well change. "
            "Compare the ones before it",
            "one place is not enough": "you change one token in the middle. A layer that goes round in a circle shows itself "
            "only if one of the last tokens is changed and the first outputs are looked at",
        },
        wrong={
            "always true": lambda layer: True,
            "the outputs after it": lambda layer: _same(layer, EVERYTHING, slice(5, 6), EVERYTHING, slice(5, None)),
            "one place is not enough": lambda layer: _same(layer, EVERYTHING, slice(6, 7), EVERYTHING, slice(0, 6)),
        },
    ),
    rows_apart=Exercise(
        rows_apart,
        [(layer,) for layer in LAYERS.values()],
        "one of the nine takes the batch for one long text",
        hints={
            "no leak found": "you find no leak in any of the nine. In a batch of one row there is nobody to leak to, and a leak "
            "flows from a row to the *next* one, into its first three outputs",
            "the row itself": "you change a row and look at the same row, too, which must change; look at the others",
            "the other way round": "True is for the layers whose rows keep to themselves; yours says so of the one that leaks",
        },
        wrong={
            "no leak found": lambda layer: _same(layer, slice(1, 2), EVERYTHING, slice(0, 1), EVERYTHING),
            "the row itself": lambda layer: _same(layer, slice(0, 1), EVERYTHING, EVERYTHING, EVERYTHING),
            "the other way round": lambda layer: not rows_apart(layer),
        },
    ),
    measured_taps=Exercise(
        measured_taps,
        [(layer, TAPS) for layer in LAYERS.values()],
        "that is what the layer does, whatever it says of itself",
        hints={
            "read before the one": "you read the outputs before the one; what it sends on arrives at its own place and after it",
            "one channel only": "you put the one into channel 0 alone; each channel has its own taps",
            "the one at the very start": "at position 0 the edge has a say; put the one in the middle, at position 8",
            "the identity taken off": "return what was measured, the identity with it: whether it is there is the question",
        },
        wrong={
            "read before the one": _read_before,
            "one channel only": lambda layer, weight: measured_taps(layer, weight) * torch.eye(weight.shape[0])[:1].T,
            "the one at the very start": partial(measured_taps, at=0),
            "the identity taken off": lambda layer, weight: measured_taps(layer, weight) - torch.tensor([1.0, 0, 0, 0]),
        },
    ),
    diagnose=Exercise(
        diagnose,
        [(layer,) for layer in reversed(LAYERS.values())],
        "all nine told apart: an impulse, the edges, a second row, a gradient",
        hints={
            f"blind to “{name}”": f"you take “{name}” for the right layer: {experiment}"
            for name, experiment in {
                "taps never learn": "values alone do not show it, ask for the gradient of the taps",
                "scaled at the start": "it is right in the middle, put a one at position 0, too",
                "rows leak": "it needs a batch of two rows or more",
                "wraps around": "it is right in the middle, put a one at the last position and look at the first outputs",
                "one set of taps": "give the channels different taps and look at more than the first",
                "taps reversed": "give each lag another tap and look at which lag it is",
            }.items()
        },
        wrong={
            f"blind to “{name}”": partial(_blind_to, name)
            for name in (
                "taps never learn",
                "scaled at the start",
                "rows leak",
                "wraps around",
                "one set of taps",
                "taps reversed",
            )
        },
    ),
)
