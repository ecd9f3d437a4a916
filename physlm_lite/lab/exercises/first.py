"""Exercises of notebooks 00, 02 and 03."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models import ModelConfig, canon_naive
from ...tasks import Depo
from ..checks import Exercise, Mistake

Scores = dict[float, list[float]]


# -- notebook 00: reading an experiment --------------------------------------------------------------------------------


def _score_cases() -> list[tuple[Scores]]:
    return [
        ({1e-3: [0.20, 0.22, 0.21], 2e-3: [0.98, 0.30, 0.31], 4e-3: [0.60, 0.58, 0.62]},),
        ({1e-3: [0.5, 0.5, 0.5], 2e-3: [0.4, 0.9, 0.1], 4e-3: [0.2, 0.2, 0.3]},),
        ({1e-3: [0.1, 0.9, 0.1], 2e-3: [0.7, 0.7, 0.1], 4e-3: [0.5, 0.55, 0.6]},),
    ]


def best_rate(scores: Scores) -> float:
    """The learning rate with the best mean over seeds."""
    return max(scores, key=lambda rate: sum(scores[rate]) / len(scores[rate]))


def _verdict_cases() -> list[tuple[list[float], list[float]]]:
    return [
        ([0.90, 0.88, 0.91], [0.16, 0.17, 0.16]),
        ([0.80, 0.30, 0.70], [0.35, 0.20, 0.25]),
        ([0.5, 0.55, 0.6], [0.3, 0.4, 0.45]),
        ([0.8, 0.85, 0.9], [0.3, 0.35, 0.4]),
        ([0.2, 0.3, 0.25], [0.5, 0.6, 0.7]),
        ([0.9, 0.9, 0.7], [0.2, 0.2, 0.2]),
        ([0.4, 0.5, 0.9], [0.5, 0.4, 0.2]),
    ]


def verdict(with_canon: list[float], without: list[float]) -> str:
    """ "holds" if all seeds clear both bars, "direction" if the seeds do not overlap, else "not shown"."""
    if min(with_canon) >= 0.75 and max(without) <= 0.25:
        return "holds"
    return "direction" if min(with_canon) > max(without) else "not shown"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _verdict_by_means(with_canon: list[float], without: list[float]) -> str:
    if _mean(with_canon) >= 0.75 and _mean(without) <= 0.25:
        return "holds"
    return "direction" if _mean(with_canon) > _mean(without) else "not shown"


def _verdict_by_best(with_canon: list[float], without: list[float]) -> str:
    if max(with_canon) >= 0.75 and min(without) <= 0.25:
        return "holds"
    return "direction" if max(with_canon) > min(without) else "not shown"


def _verdict_one_bar(with_canon: list[float], without: list[float]) -> str:
    if min(with_canon) >= 0.75:
        return "holds"
    return "direction" if min(with_canon) > max(without) else "not shown"


def _verdict_no_direction(with_canon: list[float], without: list[float]) -> str:
    return "holds" if min(with_canon) >= 0.75 and max(without) <= 0.25 else "not shown"


def extra_parameters(config: ModelConfig) -> float:
    """Canon's share of a model's parameters, in percent."""
    canon = config.layers * config.canon_kernel * sum(config.canon_widths.values())
    return 100 * canon / config.parameters


def _config_cases() -> list[tuple[ModelConfig]]:
    return [
        (ModelConfig(vocab=29, width=64, layers=2, heads=2, hidden=160, canon="ABCD"),),
        (ModelConfig(vocab=50, width=128, layers=4, heads=4, canon="AC"),),
        (ModelConfig(vocab=32000, width=512, layers=8, heads=8, kv_heads=2, canon="ABCD", canon_kernel=3),),
    ]


def _share(config: ModelConfig, channels: float, kernel: int, layers: int, per: float | None = None) -> float:
    return 100 * layers * kernel * channels / (per or config.parameters)


# -- notebook 02: the Canon layer --------------------------------------------------------------------------------------


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
    return {"A": width, "B": (heads + 2 * kv_heads) * head_width, "C": width, "D": 2 * hidden}


# -- notebook 03: Depo -------------------------------------------------------------------------------------------------

Edges = Sequence[tuple[str, str]]


def answer(edges: Edges, node: str, k: int) -> str:
    """Follow the edges k times."""
    successor = dict(edges)
    for _ in range(k):
        node = successor[node]
    return node


def _answer_cases() -> list[tuple[Edges, str, int]]:
    edges = [("C", "A"), ("E", "B"), ("A", "D"), ("B", "C"), ("D", "E")]
    seven = [("t", "q"), ("p", "u"), ("q", "v"), ("v", "s"), ("u", "r"), ("r", "t"), ("s", "p")]
    return [(edges, "A", 1), (edges, "B", 2), (edges, "D", 4), (edges, "C", 5), (seven, "q", 3), (seven, "t", 9)]


def _walk(edges: Edges, node: str, k: int, backwards: bool = False) -> str:
    return answer([(b, a) for a, b in edges] if backwards else edges, node, k)


def _next_in_text(edges: Edges, node: str, k: int) -> str:
    sources = [a for a, _ in edges]
    return sources[(sources.index(node) + k) % len(sources)]


def size_probabilities(N: int) -> np.ndarray:
    """P(n) for n = 3..N."""
    return Depo(N=N).size_probabilities


def _normalised(weight: np.ndarray) -> np.ndarray:
    return weight / weight.sum()


def whole_name_accuracy(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    """Share of the answers whose every token is right."""
    return sum(list(a) == list(g) for a, g in zip(answers, guesses, strict=True)) / len(answers)


def _accuracy_cases() -> list[tuple[list[list[int]], list[list[int]]]]:
    return [
        ([[4, 9], [7, 8], [3, 9], [1, 8]], [[4, 9], [7, 9], [5, 8], [1, 8]]),
        ([[1, 2, 9], [3, 8]], [[1, 2, 9], [3, 9]]),
        ([[5, 6, 7], [5, 6, 8], [4, 9, 9]], [[5, 1, 1], [2, 6, 8], [4, 9, 9]]),
    ]


def _token_accuracy(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    pairs = [a == g for x, y in zip(answers, guesses, strict=True) for a, g in zip(x, y, strict=True)]
    return sum(pairs) / len(pairs)


def _position_accuracy(position: int) -> Callable[[Any, Any], float]:
    return lambda answers, guesses: (
        sum(a[position] == g[position] for a, g in zip(answers, guesses, strict=True)) / len(answers)
    )


def _any_token(answers: Sequence[Sequence[int]], guesses: Sequence[Sequence[int]]) -> float:
    return sum(any(a == g for a, g in zip(x, y, strict=True)) for x, y in zip(answers, guesses, strict=True)) / len(
        answers
    )


EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in [
        Exercise(
            "best_rate",
            best_rate,
            {
                "the luckiest seed": Mistake(
                    "you pick the rate of the single best run; one lucky seed then decides, so compare means over "
                    "the seeds",
                    lambda s: max(s, key=lambda r: max(s[r])),
                ),
                "the worst rate": Mistake(
                    "you pick the rate with the lowest mean; accuracy is better when it is higher",
                    lambda s: min(s, key=lambda r: _mean(s[r])),
                ),
                "the first seed only": Mistake(
                    "you look only at seed 0; use the mean over all seeds", lambda s: max(s, key=lambda r: s[r][0])
                ),
                "the score, not the rate": Mistake(
                    "you return the best mean score; the question asks which learning rate gave it",
                    lambda s: max(_mean(v) for v in s.values()),
                ),
            },
            _score_cases,
            "that is the rule of this kit: each side of a comparison gets its own best rate, chosen by the mean over seeds",
        ),
        Exercise(
            "verdict",
            verdict,
            {
                "means only": Mistake(
                    "you compare means, so one lucky seed can carry a claim; every seed has to clear the bar "
                    "(min of one side, max of the other)",
                    _verdict_by_means,
                ),
                "the best seeds": Mistake(
                    "you compare the best seed of one side with the worst of the other the wrong way round: use the *lowest* "
                    "seed with Canon and the *highest* without",
                    _verdict_by_best,
                ),
                "one bar": Mistake(
                    "you check only the side with Canon; if the plain model had learnt it too there would be no effect",
                    _verdict_one_bar,
                ),
                "no middle": Mistake(
                    "you never answer 'direction': when the seeds do not overlap but a bar is missed, the sign is still clear",
                    _verdict_no_direction,
                ),
            },
            _verdict_cases,
            "exactly the rule that this notebook's claim is judged by",
        ),
        Exercise(
            "extra_parameters",
            extra_parameters,
            {
                "one layer only": Mistake(
                    "you counted the Canon weights of one layer; there are config.layers of them",
                    lambda c: _share(c, sum(c.canon_widths.values()), c.canon_kernel, 1),
                ),
                "no kernel": Mistake(
                    "each channel has config.canon_kernel weights, not one",
                    lambda c: _share(c, sum(c.canon_widths.values()), 1, c.layers),
                ),
                "a fraction": Mistake(
                    "you returned a fraction; the question asks for percent",
                    lambda c: _share(c, sum(c.canon_widths.values()), c.canon_kernel, c.layers) / 100,
                ),
                "against the rest": Mistake(
                    "you divided by the parameters *without* Canon; divide by all of them, config.parameters",
                    lambda c: _share(
                        c,
                        sum(c.canon_widths.values()),
                        c.canon_kernel,
                        c.layers,
                        c.parameters - c.layers * c.canon_kernel * sum(c.canon_widths.values()),
                    ),
                ),
            },
            _config_cases,
            "small, isn't it? at the paper's widths it is below half a percent",
        ),
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
        Exercise(
            "answer",
            answer,
            {
                "backwards": Mistake(
                    "you walk from target to source; an edge x → y means that y comes after x",
                    lambda e, n, k: _walk(e, n, k, backwards=True),
                ),
                "one step short": Mistake(
                    "you take k - 1 steps; k = 1 is the direct successor", lambda e, n, k: _walk(e, n, k - 1)
                ),
                "one step too far": Mistake(
                    "you take k + 1 steps; k = 1 is the direct successor", lambda e, n, k: _walk(e, n, k + 1)
                ),
                "one step only": Mistake(
                    "you return the direct successor whatever k is", lambda e, n, k: _walk(e, n, 1)
                ),
                "the order of the text": Mistake(
                    "you count along the text; the edges are shuffled, so only the successor relation counts",
                    _next_in_text,
                ),
            },
            _answer_cases,
            "easy in a loop; the model has to do it in one forward pass",
        ),
        Exercise(
            "size_probabilities",
            size_probabilities,
            {
                "uniform": Mistake(
                    "all sizes come out equally likely; the weight is 1 / (n + sqrt N)",
                    lambda N: np.full(N - 2, 1 / (N - 2)),
                ),
                "no square root": Mistake(
                    "1 / n lacks the sqrt N in the denominator, so tiny cycles are far too common",
                    lambda N: _normalised(1 / np.arange(3, N + 1)),
                ),
                "root of the sum": Mistake(
                    "1 / sqrt(n + N) is another formula; the root is only over N",
                    lambda N: _normalised(1 / np.sqrt(np.arange(3, N + 1) + N)),
                ),
                "not normalised": Mistake(
                    "the weights do not sum to 1; divide by their sum", lambda N: 1 / (np.arange(3, N + 1) + np.sqrt(N))
                ),
                "starts at 1": Mistake(
                    "a cycle has at least 3 nodes: n runs over 3..N, so there are N - 2 probabilities",
                    lambda N: _normalised(1 / (np.arange(1, N + 1) + np.sqrt(N))),
                ),
            },
            lambda: [(8,), (30,), (225,)],
            "small cycles are common and the largest rare: a ladder of difficulty inside the data",
        ),
        Exercise(
            "whole_name_accuracy",
            whole_name_accuracy,
            {
                "token accuracy": Mistake(
                    "you count tokens; a name with one wrong token is a wrong answer", _token_accuracy
                ),
                "first token only": Mistake("you compare only the first token of each name", _position_accuracy(0)),
                "last token only": Mistake("you compare only the last token of each name", _position_accuracy(-1)),
                "any token": Mistake(
                    "you count a name as right if any of its tokens is; all of them must be", _any_token
                ),
            },
            _accuracy_cases,
            "whole answers, as the paper's floors of 1/N require",
        ),
    ]
}
