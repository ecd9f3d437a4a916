"""What a task measures, declared once: rules, plots and tables ask here which way is better, and what guessing gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One number of a test.

    name: where it stands among the scores; "accuracy_k.2" is the entry "2" of the nested "accuracy_k". label: for axes and
    tables. share: from 0 to 1, such as an accuracy. lower: smaller is better, such as a distance to the truth.
    error: the score that holds its standard error. count: for a share without one, the score that holds how many answers
    it is a share of. guess: works out what knowing nothing scores, where that is known (see `chance`).
    """

    name: str
    label: str
    share: bool = False
    lower: bool = False
    error: str | None = None
    count: str | None = None
    guess: Callable[[], float] | None = None

    @property
    def worst(self) -> float:
        """The worst score there is: that of a run which diverged."""
        return 0.0 if self.share else math.inf if self.lower else -math.inf

    @property
    def chance(self) -> float | None:
        """What a guess among the answers shown, or the best constant answer, scores; None if that is not known."""
        return None if self.guess is None else self.guess()

    def merit(self, score: float) -> float:
        """The score, turned so that more is better."""
        return -score if self.lower else score

    def of(self, scores: Mapping[str, Any]) -> float:
        """This number among the scores of one test. Raises KeyError if it was not measured."""
        return score_of(scores, self.name)

    def error_of(self, scores: Mapping[str, Any]) -> float | None:
        """Its standard error from that test alone (not between seeds); None if unknown."""
        try:
            if self.error is not None:
                return score_of(scores, self.error)
            count = 0.0 if self.count is None else score_of(scores, self.count)
        except KeyError:
            return None
        share = self.of(scores)
        return math.sqrt(share * (1 - share) / count) if count else None


# part of every run, whatever its task: the mean since the last test
LOSS = Metric("loss", "training loss (nats)", lower=True)


def share(name: str, label: str, **options: Any) -> Metric:
    """An accuracy, from 0 to 1. A nested one is counted by its own family: "accuracy_k.2" by "count_k.2"."""
    family, _, member = name.partition(".")
    if member and family.startswith("accuracy_"):
        options.setdefault("count", f"count_{family.removeprefix('accuracy_')}.{member}")
    return Metric(name, label, share=True, **options)


def by_member(family: str, right: Mapping[int, Sequence[bool]]) -> dict[str, dict[str, Any]]:
    """Accuracies and counts of one family: "accuracy_k" and "count_k", each as {"1": ...} in the order of the numbers."""
    members = sorted(right)
    return {
        f"accuracy_{family}": {str(k): sum(right[k]) / len(right[k]) for k in members},
        f"count_{family}": {str(k): len(right[k]) for k in members},
    }


def by_name(*metrics: Metric | Iterable[Metric]) -> dict[str, Metric]:
    """Metrics and families of them as a task's `metrics`."""
    flat = [m for entry in metrics for m in ([entry] if isinstance(entry, Metric) else entry)]
    return {metric.name: metric for metric in (*flat, LOSS)}


def score_of(scores: Mapping[str, Any], name: str) -> float:
    """Look up "accuracy" or "accuracy_k.2" in an entry of a curve."""
    value: Any = scores
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(f"no score {name!r} among {', '.join(map(str, scores))}")
        value = value[part]
    return float(value)
