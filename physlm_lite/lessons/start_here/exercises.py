"""Exercises of notebook 00: reading an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from ...lab.checks import Check, Exercise, Mistake
from ...models import ModelConfig

Scores = dict[float, list[float]]


def _score_cases() -> list[tuple[Scores]]:
    return [
        ({1e-3: [0.20, 0.22, 0.21], 2e-3: [0.98, 0.30, 0.31], 4e-3: [0.60, 0.58, 0.62]},),
        ({1e-3: [0.5, 0.5, 0.5], 2e-3: [0.4, 0.9, 0.1], 4e-3: [0.2, 0.2, 0.3]},),
        ({1e-3: [0.1, 0.9, 0.1], 2e-3: [0.7, 0.7, 0.1], 4e-3: [0.5, 0.55, 0.6]},),
    ]


def best_rate(scores: Scores) -> float:
    """The learning rate with the best mean over seeds."""
    return max(scores, key=lambda rate: fmean(scores[rate]))


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


def verdict(
    with_canon: Sequence[float],
    without: Sequence[float],
    low: Callable[[Sequence[float]], float] = min,
    high: Callable[[Sequence[float]], float] = max,
    bar: float = 0.25,
    middle: str = "direction",
) -> str:
    """ "holds" if all seeds clear both bars, "direction" if the seeds do not overlap, else "not shown"."""
    if low(with_canon) >= 0.75 and high(without) <= bar:
        return "holds"
    return middle if low(with_canon) > high(without) else "not shown"


def extra_parameters(config: ModelConfig) -> float:
    """Canon's share of a model's parameters, in percent."""
    return 100 * (1 - replace(config, canon="", canon_kernel=4).parameters / config.parameters)


def _config_cases() -> list[tuple[ModelConfig]]:
    return [
        (ModelConfig(vocab=29, width=64, layers=2, heads=2, hidden=160, canon="ABCD"),),
        (ModelConfig(vocab=50, width=128, layers=4, heads=4, canon="AC"),),
        (ModelConfig(vocab=32000, width=512, layers=8, heads=8, kv_heads=2, canon="ABCD", canon_kernel=3),),
    ]


def _share(config: ModelConfig, channels: float, kernel: int, layers: int, per: float | None = None) -> float:
    return 100 * layers * kernel * channels / (per or config.parameters)


check = Check(
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
                lambda s: min(s, key=lambda r: fmean(s[r])),
            ),
            "the first seed only": Mistake(
                "you look only at seed 0; use the mean over all seeds", lambda s: max(s, key=lambda r: s[r][0])
            ),
            "the score, not the rate": Mistake(
                "you return the best mean score; the question asks which learning rate gave it",
                lambda s: max(fmean(v) for v in s.values()),
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
                partial(verdict, low=fmean, high=fmean),
            ),
            "the best seeds": Mistake(
                "you compare the best seed of one side with the worst of the other the wrong way round: use the *lowest* "
                "seed with Canon and the *highest* without",
                partial(verdict, low=max, high=min),
            ),
            "one bar": Mistake(
                "you check only the side with Canon; if the plain model had learnt it too there would be no effect",
                partial(verdict, bar=1.0),
            ),
            "no middle": Mistake(
                "you never answer 'direction': when the seeds do not overlap but a bar is missed, the sign is still clear",
                partial(verdict, middle="not shown"),
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
)
