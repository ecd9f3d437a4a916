"""Exercises of notebook 00: reading an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import fmean

from ...lab.checks import Check, Exercise
from ...models import ModelConfig

Pick = Callable[[list[float]], float]


def best_rate(scores: dict[float, list[float]]) -> float:
    """The learning rate with the best mean over seeds."""
    return max(scores, key=lambda rate: fmean(scores[rate]))


def verdict(
    with_canon: list[float], without: list[float], low: Pick = min, high: Pick = max, ceiling: float = 0.25
) -> str:
    """ "holds" if all seeds clear both bars, "direction" if the seeds do not overlap, else "not shown".

    For the usual mistakes: what is taken for the weakest and the strongest seed, and the bar of the plain model.
    """
    if low(with_canon) >= 0.75 and high(without) <= ceiling:
        return "holds"
    return "direction" if low(with_canon) > high(without) else "not shown"


def _clear(with_canon: list[float], without: list[float]) -> bool:
    """Whether no seed lies exactly at a bar."""
    return 0.75 not in with_canon and 0.25 not in without


def extra_parameters(config: ModelConfig) -> float:
    """Canon's share of a model's parameters, in percent."""
    return 100 * (1 - replace(config, canon="", canon_kernel=4).parameters / config.parameters)


check = Check(
    best_rate=Exercise(
        best_rate,
        [
            ({1e-3: [0.20, 0.22, 0.21], 2e-3: [0.98, 0.30, 0.31], 4e-3: [0.60, 0.58, 0.62]},),
            ({1e-3: [0.5, 0.5, 0.5], 2e-3: [0.4, 0.9, 0.1], 4e-3: [0.2, 0.2, 0.3]},),
            ({1e-3: [0.1, 0.9, 0.1], 2e-3: [0.7, 0.7, 0.1], 4e-3: [0.5, 0.55, 0.6]},),
        ],
        "that is the rule of this kit: each side of a comparison gets its own best rate, chosen by the mean over seeds",
        hints={
            "the luckiest seed": "you pick the rate of the single best run; one lucky seed then decides, so compare "
            "means over the seeds",
            "the worst rate": "you pick the rate with the lowest mean; accuracy is better when it is higher",
            "the first seed only": "you look only at seed 0; use the mean over all seeds",
            "the score, not the rate": "you return the best mean score; the question asks which learning rate gave it",
        },
        wrong={
            "the luckiest seed": lambda s: max(s, key=lambda r: max(s[r])),
            "the worst rate": lambda s: min(s, key=lambda r: fmean(s[r])),
            "the first seed only": lambda s: max(s, key=lambda r: s[r][0]),
            "the score, not the rate": lambda s: max(map(fmean, s.values())),
        },
    ),
    verdict=Exercise(
        verdict,
        [
            ([0.90, 0.88, 0.91], [0.16, 0.17, 0.16]),
            ([0.80, 0.30, 0.70], [0.35, 0.20, 0.25]),
            ([0.5, 0.55, 0.6], [0.3, 0.4, 0.45]),
            ([0.8, 0.85, 0.9], [0.3, 0.35, 0.4]),
            ([0.2, 0.3, 0.25], [0.5, 0.6, 0.7]),
            ([0.9, 0.9, 0.7], [0.2, 0.2, 0.2]),
            ([0.4, 0.5, 0.9], [0.5, 0.4, 0.2]),
            ([0.75, 0.9, 0.8], [0.2, 0.25, 0.1]),  # exactly at both bars
            ([0.5, 0.7, 0.9], [0.5, 0.4, 0.3]),  # one seed level with the other side's
        ],
        "exactly the rule that this notebook's claim is judged by",
        hints={
            "means only": "you compare means, so one lucky seed can carry a claim; every seed has to clear the bar "
            "(min of one side, max of the other)",
            "the best seeds": "you compare the best seed of one side with the worst of the other the wrong way round: "
            "use the *lowest* seed with Canon and the *highest* without",
            "one bar": "you check only the side with Canon; if the plain model learnt it too there is no effect",
            "a bar that is met": "you ask for more than the bars; a seed that lies exactly at one clears it (>= and <=)",
            "no middle": "you never answer 'direction': when the seeds do not overlap but a bar is missed, the sign "
            "is still clear",
        },
        wrong={
            "means only": partial(verdict, low=fmean, high=fmean),
            "the best seeds": partial(verdict, low=max, high=min),
            "one bar": partial(verdict, ceiling=1.0),
            "a bar that is met": lambda canon, plain: verdict(
                canon, plain, ceiling=0.25 if _clear(canon, plain) else -1.0
            ),
            "no middle": lambda *sides: "holds" if verdict(*sides) == "holds" else "not shown",
        },
    ),
    extra_parameters=Exercise(
        extra_parameters,
        [
            (ModelConfig(vocab=29, width=64, layers=2, heads=2, hidden=160, canon="ABCD"),),
            (ModelConfig(vocab=50, width=128, layers=4, heads=4, canon="AC"),),
            (ModelConfig(vocab=32000, width=512, layers=8, heads=8, kv_heads=2, canon="ABCD", canon_kernel=3),),
        ],
        "small, isn't it? at the paper's widths it is below half a percent",
        hints={
            "one layer only": "you counted the Canon weights of one layer; there are config.layers of them",
            "no kernel": "each channel has config.canon_kernel weights, not one",
            "a fraction": "you returned a fraction; the question asks for percent",
            "against the rest": "you divided by the parameters *without* Canon; divide by all of them, "
            "config.parameters",
        },
        wrong={
            "one layer only": lambda c: extra_parameters(c) / c.layers,
            "no kernel": lambda c: extra_parameters(c) / c.canon_kernel,
            "a fraction": lambda c: extra_parameters(c) / 100,
            "against the rest": lambda c: 100 * extra_parameters(c) / (100 - extra_parameters(c)),
        },
    ),
)
