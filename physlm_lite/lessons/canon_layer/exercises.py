"""Exercises of notebook 02: the Canon layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models import ModelConfig, canon_naive


def _canon_cases() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(7)
    impulse = torch.zeros(1, 6, 2)
    impulse[0, 1] = 1
    taps = torch.tensor([[[0.1, 0.2, 0.4, 0.8]], [[-0.1, 0.3, -0.4, 0.5]]])
    return [(impulse, taps)] + [
        (torch.randn(2, length, 3, generator=generator), torch.randn(3, 1, 4, generator=generator)) for length in (9, 5)
    ]


def _shifted(x: Tensor, lag: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]


def _taps(weight: Tensor) -> list[Tensor]:
    """Taps by lag: the last entry of the weight multiplies the current token."""
    return [weight[:, 0, weight.shape[-1] - 1 - lag] for lag in range(weight.shape[-1])]


def _canon_future(x: Tensor, weight: Tensor) -> Tensor:
    flipped = canon_naive(x.flip(1), weight)
    return flipped.flip(1)


def _canon_reversed(x: Tensor, weight: Tensor) -> Tensor:
    return canon_naive(x, weight.flip(-1))


def _canon_no_residual(x: Tensor, weight: Tensor) -> Tensor:
    return canon_naive(x, weight, residual=False)


def _canon_wraps(x: Tensor, weight: Tensor) -> Tensor:
    return x + sum(tap * x.roll(lag, 1) for lag, tap in enumerate(_taps(weight)))


def _canon_late(x: Tensor, weight: Tensor) -> Tensor:
    return x + sum(tap * _shifted(x, lag + 1) for lag, tap in enumerate(_taps(weight)))


def _canon_twice(x: Tensor, weight: Tensor) -> Tensor:
    return x + sum(x + tap * _shifted(x, lag) for lag, tap in enumerate(_taps(weight)))


def _canon_shared(x: Tensor, weight: Tensor) -> Tensor:
    return canon_naive(x, weight[:1].expand_as(weight))


Layer = Callable[[Tensor], Tensor]


def canon_block(x: Tensor, norm: Layer, canon: Layer, mixer: Layer) -> Tensor:
    """Canon-A at its place: inside the residual branch, after the norm."""
    return x + mixer(canon(norm(x)))


def _block_cases() -> list[tuple[Tensor, Layer, Layer, Layer]]:
    generator = torch.Generator().manual_seed(3)
    weight, matrix = torch.randn(4, 1, 4, generator=generator), torch.randn(4, 4, generator=generator)

    def norm(x: Tensor) -> Tensor:
        return x / x.pow(2).mean(-1, keepdim=True).sqrt()

    def canon(x: Tensor) -> Tensor:
        return canon_naive(x, weight)

    def mixer(x: Tensor) -> Tensor:
        return torch.tanh(x @ matrix)

    return [(torch.randn(2, 6, 4, generator=generator), norm, canon, mixer) for _ in range(2)]


def canon_channels(width: int, heads: int, kv_heads: int, head_width: int, hidden: int) -> dict[str, int]:
    """Channels at A, B, C, D."""
    sizes: dict[str, Any] = {
        "width": width,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_width": head_width,
        "hidden": hidden,
    }
    return dict(ModelConfig(vocab=2, layers=1, canon="ABCD", **sizes).canon_widths)


check = Check(
    Exercise(
        "canon",
        canon_naive,
        {
            "no residual": Mistake(
                "your output lacks x itself; Canon adds the convolution *to* its input", _canon_no_residual
            ),
            "looks into the future": Mistake(
                "your output at position t depends on tokens after t; shift to the right (pad on the left), "
                "or the model can read the answer",
                _canon_future,
            ),
            "taps reversed": Mistake(
                "weight[:, 0, 3] belongs to the current token and weight[:, 0, 0] to the one three steps back; you use them "
                "the other way round",
                _canon_reversed,
            ),
            "wraps around": Mistake(
                "the first tokens receive the last ones (torch.roll goes round in a circle); there is nothing but zeros "
                "before the start",
                _canon_wraps,
            ),
            "one step late": Mistake(
                "your lags run from 1 to 4; the current token (lag 0) has a tap, too", _canon_late
            ),
            "residual added at each lag": Mistake("x is added once for each tap; add it once in all", _canon_twice),
            "one tap for all channels": Mistake(
                "you use the taps of channel 0 everywhere; each channel has its own four", _canon_shared
            ),
        },
        _canon_cases,
        "shift, multiply, add: that is the whole layer",
    ),
    Exercise(
        "canon_block",
        canon_block,
        {
            "on the residual stream": Mistake(
                "Canon sits on the residual stream itself, so every later layer receives the mixture; it belongs "
                "inside the branch",
                lambda x, norm, canon, mixer: canon(x) + mixer(norm(canon(x))),
            ),
            "before the norm": Mistake(
                "Canon comes after the norm, not before it", lambda x, norm, canon, mixer: x + mixer(norm(canon(x)))
            ),
            "after the mixer": Mistake(
                "Canon-A comes before the attention or feed-forward, not after it",
                lambda x, norm, canon, mixer: x + canon(mixer(norm(x))),
            ),
            "no skip connection": Mistake(
                "the block's input is missing: x + ...", lambda x, norm, canon, mixer: mixer(canon(norm(x)))
            ),
            "no Canon": Mistake("Canon is not called", lambda x, norm, canon, mixer: x + mixer(norm(x))),
            "skip from the normed input": Mistake(
                "the skip connection carries x, not norm(x)",
                lambda x, norm, canon, mixer: norm(x) + mixer(canon(norm(x))),
            ),
        },
        _block_cases,
        "inside the branch, after the norm: places A and C",
    ),
    Exercise(
        "canon_channels",
        canon_channels,
        {
            "B is one projection": Mistake(
                "Canon-B mixes query, key *and* value: (heads + 2 kv_heads) * head_width channels",
                lambda w, h, g, hw, f: {"A": w, "B": h * hw, "C": w, "D": 2 * f},
            ),
            "B forgets the kv heads": Mistake(
                "keys and values have kv_heads heads, which may be fewer than the query's",
                lambda w, h, g, hw, f: {"A": w, "B": 3 * h * hw, "C": w, "D": 2 * f},
            ),
            "D is one projection": Mistake(
                "Canon-D mixes gate and up together: 2 * hidden channels",
                lambda w, h, g, hw, f: {"A": w, "B": (h + 2 * g) * hw, "C": w, "D": f},
            ),
            "D after the gate": Mistake(
                "Canon-D sits before the gating, on 2 * hidden channels, not on the width of the output",
                lambda w, h, g, hw, f: {"A": w, "B": (h + 2 * g) * hw, "C": w, "D": w},
            ),
        },
        lambda: [(64, 2, 2, 32, 160), (4096, 32, 8, 128, 14336), (512, 8, 2, 64, 1376)],
        "these are the widths of the four places; at 8B, Canon-D alone has 28,672 channels",
    ),
)
