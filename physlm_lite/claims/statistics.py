"""Two handfuls of seeds compared: an exact permutation test, and a bootstrap interval that needs no random numbers.

Scores are turned so that more is better (see `Metric.merit`); a run that diverged counts as minus infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import combinations, combinations_with_replacement
from statistics import NormalDist, fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EXACT = 6  # up to so many seeds a side, every sample that a bootstrap can draw is looked at
DRAWS = 1_000  # beyond that, so many random ones of each side
CONFIDENCE = 0.95
LUCK = 0.05  # a permutation p above this is no evidence


@dataclass(frozen=True)
class Comparison:
    """One side against another by one score, for a table.

    difference: of the means, better minus worse, turned so that more is better (`ratio`: how many times better instead).
    interval: its 95 % interval; either is None where runs that diverged leave no number. p: one-sided and exact. effect:
    the difference in deviations between seeds; None where all seeds of a side agree.
    """

    metric: str
    better: str
    worse: str
    difference: float | None
    interval: tuple[float, float] | None
    p: float
    effect: float | None = None
    ratio: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: a bound that is infinite, such as of a ratio to nothing, is None."""
        bounds = self.interval and [bound if abs(bound) < 1e12 else None for bound in self.interval]
        return {**asdict(self), "interval": bounds}

    def __str__(self) -> str:
        if self.interval is None:
            return f"p = {self.p:.3f}"
        low, high = self.interval
        kind = "ratio" if self.ratio else "difference"
        return f"{kind} {self.difference:.3g} [{low:.3g}, {high:.3g}], p = {self.p:.3f}"


def permutation_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The share of all ways to deal out the scores in which "ours" come out ahead by at least as much as they did.

    Compared are the means or, where a score is infinite, the sums of ranks. Five against five: 1/252 at the least.
    """
    pooled = np.array([*ours, *theirs], dtype=float)
    values = pooled if np.isfinite(pooled).all() else _ranks(pooled)
    sums = values[_deals(len(pooled), len(ours))].sum(1)
    own = values[: len(ours)].sum()
    return float((sums >= own - 1e-9 * max(1.0, abs(own))).mean())


def interval(
    ours: Sequence[float], theirs: Sequence[float], of: Callable[[Floats, Floats], Floats] = np.subtract
) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of a number made of two means (the difference, unless `of` says otherwise).

    Each side's seeds are drawn anew with replacement. So few vary less when drawn than between themselves, by
    sqrt((n - 1) / n); the means are spread by as much, without which the interval would be too narrow. None where a score
    is infinite.
    """
    if not np.isfinite([*ours, *theirs]).all():
        return None
    (a, p), (b, q) = (_means(np.array(side, dtype=float)) for side in (ours, theirs))
    values, weights = of(a[:, None], b[None, :]).ravel(), np.outer(p, q).ravel()
    return _middle(values, weights)


def sign_p(differences: Sequence[float]) -> float:
    """The exact one-sided sign test: how probable so many pairs ahead are, or more, if each were a toss of a coin.

    Ties are left out. Eight of eight: 1/256.

    >>> round(sign_p([1.0] * 7 + [-1.0, 0.0]), 4)
    0.0352
    """
    untied = [d for d in differences if d]
    ahead = sum(d > 0 for d in untied)
    return sum(math.comb(len(untied), k) for k in range(ahead, len(untied) + 1)) / 2 ** len(untied)


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of paired differences, whose pairs are drawn anew with replacement.

    >>> paired_interval([2.0] * 8)
    (2.0, 2.0)
    """
    means, weights = _means(np.array(differences, dtype=float))
    return _middle(means, weights)


def effect(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The difference of the means in pooled standard deviations between seeds; None if nothing varies."""
    spread = math.sqrt((stdev(ours) ** 2 + stdev(theirs) ** 2) / 2) if np.isfinite([*ours, *theirs]).all() else 0.0
    return (fmean(ours) - fmean(theirs)) / spread if spread > 0 else None


def seeds_needed(effect: float, least: int, chance: float = 0.8) -> int:
    """How many seeds a side it takes until a one-sided test finds an `effect` (see above) with this chance, `least` at least.

    The normal approximation with Guenther's correction for small samples (1981). A true difference of two deviations:

    >>> seeds_needed(2.0, least=5), seeds_needed(0.5, least=5)
    (5, 51)
    """
    if not effect > 0:
        raise ValueError(f"only an effect above 0 can be found, not {effect:g}")
    level, power = NormalDist().inv_cdf(1 - LUCK), NormalDist().inv_cdf(chance)
    return max(least, math.ceil(2 * ((level + power) / effect) ** 2 + level**2 / 4))


def won(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The share of contests, one seed against one, that our side wins; a tie is half won."""
    a, b = np.array(ours)[:, None], np.array(theirs)[None, :]
    return float((a > b).mean() + (a == b).mean() / 2)


def won_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the share of contests that our side would win, if scores vary normally between seeds.

    That share is the normal distribution's at effect / sqrt(2); the effect has the usual interval of a standardised mean
    difference with its correction for few seeds (Hedges, 1981). Counting contests alone could not tell nine wins in ten from
    ten with so few. Anything is possible where a run diverged.
    """
    n, m = len(ours), len(theirs)
    if not np.isfinite([*ours, *theirs]).all():
        return 0.0, 1.0
    seen = effect(ours, theirs)
    if seen is None:  # nothing varies
        share = won(ours, theirs)
        return share, share
    seen *= 1 - 3 / (4 * (n + m) - 9)
    half = 1.96 * math.sqrt((n + m) / (n * m) + seen**2 / (2 * (n + m - 2)))
    low, high = (NormalDist().cdf((seen + side) / math.sqrt(2)) for side in (-half, half))
    return low, high


def _middle(values: Floats, weights: Floats) -> tuple[float, float]:
    """Where the middle 95 % of weighted values begin and end."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.searchsorted(reached / reached[-1], (tail, 1 - tail))
    return float(values[order][low]), float(values[order][min(high, len(values) - 1)])


def _means(values: Floats) -> tuple[Floats, Floats]:
    """The means of all bootstrap samples of these values, and how probable each is."""
    n = len(values)
    counts, weights = _samples(n)
    centre = values.mean()
    spread = math.sqrt(n / (n - 1)) if n > 1 else 1.0
    return centre + spread * (counts @ values / n - centre), weights


@cache
def _samples(n: int) -> tuple[Floats, Floats]:
    """How often each of n values is drawn, in every sample of n there is (or in many random ones), and its probability."""
    if n > EXACT:
        return np.random.default_rng(0).multinomial(n, [1 / n] * n, DRAWS).astype(float), np.full(DRAWS, 1 / DRAWS)
    drawn = combinations_with_replacement(range(n), n)
    counts = np.array([np.bincount(sample, minlength=n) for sample in drawn], dtype=float)
    ways = [math.factorial(n) / math.prod(math.factorial(int(c)) for c in row) for row in counts]
    return counts, np.array(ways) / n**n


@cache
def _deals(total: int, ours: int) -> NDArray[np.int64]:
    """Every choice of `ours` places among `total`; many random ones where there are too many."""
    if math.comb(total, ours) <= 200_000:
        return np.array(list(combinations(range(total), ours)))
    dice = np.random.default_rng(0)
    drawn = np.stack([dice.permutation(total)[:ours] for _ in range(100_000)])
    return np.concatenate([np.arange(ours)[None], drawn])


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs."""
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])
