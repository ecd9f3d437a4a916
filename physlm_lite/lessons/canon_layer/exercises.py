"""Exercises of notebook 02: the Canon layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad, rms_norm

from ...lab.checks import Check, Exercise, draws
from ...models import ModelConfig, canon_naive

Layer = Callable[[Tensor], Tensor]

IMPULSE = torch.zeros(1, 6, 2).index_fill(1, torch.tensor(1), 1.0)
IMPULSE_TAPS = torch.tensor([[[0.1, 0.2, 0.4, 0.8]], [[-0.1, 0.3, -0.4, 0.5]]])
TAPS, MATRIX, *INPUTS = draws(3, (4, 1, 4), (4, 4), (2, 6, 4), (2, 6, 4))


def _added(term: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """x and, for each lag, a term made of x, the lag's tap and the lag; the last tap is that of lag 0."""
    return lambda x, weight: x + sum(term(x, tap, lag) for lag, tap in enumerate(weight[:, 0].flip(-1).unbind(-1)))


def _shifted(x: Tensor, lag: int) -> Tensor:
    return pad(x, (0, 0, lag, 0))[:, : x.shape[1]]


def canon_block(x: Tensor, norm: Layer, canon: Layer, mixer: Layer) -> Tensor:
    """Canon-A at its place: inside the residual branch, after the norm."""
    return x + mixer(canon(norm(x)))


def norm(x: Tensor) -> Tensor:
    return rms_norm(x, x.shape[-1:])


def canon(x: Tensor) -> Tensor:
    return canon_naive(x, TAPS)


def mixer(x: Tensor) -> Tensor:
    return torch.tanh(x @ MATRIX)


def canon_channels(width: int, heads: int, kv_heads: int, head_width: int, hidden: int) -> dict[str, int]:
    """Channels at A, B, C, D."""
    config = ModelConfig(2, width, 1, heads, kv_heads=kv_heads, head_width=head_width, hidden=hidden, canon="ABCD")
    return dict(config.canon_widths)


check = Check(
    canon=Exercise(
        canon_naive,
        [(IMPULSE, IMPULSE_TAPS), draws(7, (2, 9, 3), (3, 1, 4)), draws(8, (2, 5, 3), (3, 1, 4))],
        "shift, multiply, add: that is the whole layer",
        hints={
            "no residual": "your output lacks x itself; Canon adds the convolution *to* its input",
            "looks into the future": "your output at position t depends on tokens after t; shift to the right (pad on "
            "the left), or the model can read the answer",
            "taps reversed": "weight[:, 0, 3] belongs to the current token and weight[:, 0, 0] to the one three steps "
            "back; you use them the other way round",
            "wraps around": "the first tokens receive the last ones (torch.roll goes round in a circle); there is "
            "nothing but zeros before the start",
            "one step late": "your lags run from 1 to 4; the current token (lag 0) has a tap, too",
            "residual added at each lag": "x is added once for each tap; add it once in all",
            "one tap for all channels": "you use the taps of channel 0 everywhere; each channel has its own four",
        },
        wrong={
            "no residual": partial(canon_naive, residual=False),
            "looks into the future": lambda x, weight: canon_naive(x.flip(1), weight).flip(1),
            "taps reversed": lambda x, weight: canon_naive(x, weight.flip(-1)),
            "wraps around": _added(lambda x, tap, lag: tap * x.roll(lag, 1)),
            "one step late": _added(lambda x, tap, lag: tap * _shifted(x, lag + 1)),
            "residual added at each lag": _added(lambda x, tap, lag: x + tap * _shifted(x, lag)),
            "one tap for all channels": lambda x, weight: canon_naive(x, weight[:1].expand_as(weight)),
        },
    ),
    canon_block=Exercise(
        canon_block,
        [(x, norm, canon, mixer) for x in INPUTS],
        "inside the branch, after the norm: places A and C",
        hints={
            "on the residual stream": "Canon sits on the residual stream itself, so every later layer receives the "
            "mixture; it belongs inside the branch",
            "before the norm": "Canon comes after the norm, not before it",
            "after the mixer": "Canon-A comes before the attention or feed-forward, not after it",
            "no skip connection": "the block's input is missing: x + ...",
            "no Canon": "Canon is not called",
            "skip from the normed input": "the skip connection carries x, not norm(x)",
        },
        wrong={
            "on the residual stream": lambda x, norm, canon, mixer: canon(x) + mixer(norm(canon(x))),
            "before the norm": lambda x, norm, canon, mixer: x + mixer(norm(canon(x))),
            "after the mixer": lambda x, norm, canon, mixer: x + canon(mixer(norm(x))),
            "no skip connection": lambda x, norm, canon, mixer: mixer(canon(norm(x))),
            "no Canon": lambda x, norm, canon, mixer: x + mixer(norm(x)),
            "skip from the normed input": lambda x, norm, canon, mixer: norm(x) + mixer(canon(norm(x))),
        },
    ),
    canon_channels=Exercise(
        canon_channels,
        [(64, 2, 2, 32, 160), (4096, 32, 8, 128, 14336), (512, 8, 2, 64, 1376)],
        "these are the widths of the four places; at 8B, Canon-D alone has 28,672 channels",
        hints={
            "B is one projection": "Canon-B mixes query, key *and* value: (heads + 2 kv_heads) * head_width channels",
            "B forgets the kv heads": "keys and values have kv_heads heads, which may be fewer than the query's",
            "D is one projection": "Canon-D mixes gate and up together: 2 * hidden channels",
            "D after the gate": "Canon-D sits before the gating, on 2 * hidden channels, not on the output",
        },
        wrong={
            "B is one projection": lambda w, h, g, hw, f: {"A": w, "B": h * hw, "C": w, "D": 2 * f},
            "B forgets the kv heads": lambda w, h, g, hw, f: {"A": w, "B": 3 * h * hw, "C": w, "D": 2 * f},
            "D is one projection": lambda w, h, g, hw, f: {"A": w, "B": (h + 2 * g) * hw, "C": w, "D": f},
            "D after the gate": lambda w, h, g, hw, f: {"A": w, "B": (h + 2 * g) * hw, "C": w, "D": w},
        },
    ),
)
