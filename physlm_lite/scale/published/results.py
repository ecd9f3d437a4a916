"""What the release of Part 4.2 publishes of its 64 runs: final tables, benchmark curves, losses; and others' models beside them.

None of these runs is ours. The tables are those of the release's PDF files (to a tenth of a percent), the curves those of its
interactive pages: two evaluations of the same weights, which differ by up to 1.3 points (COPA, of 100 questions, by up to 3).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...base.strict import choose

SOURCE = "Physics of Language Models, Part 4.2: result tables and curves of its public release"
# The averages that the release prints: of which columns.
AVERAGE_OF_13 = (
    "LMB",
    "PIQA",
    "Hella",
    "Wino",
    "ARC-e",
    "ARC-c",
    "SIQA",
    "BoolQ",
    "COPA",
    "OBQA",
    "RACE",
    "CSQA",
    "MMLU",
)
AVERAGE_OF_10 = tuple(name for name in AVERAGE_OF_13 if name not in ("LMB", "BoolQ", "COPA"))
LESS_IS_BETTER = ("WikiPPL", "LMBPPL")  # perplexities; all else is in percent
# The benchmarks of the curves with the tables' names, and what guessing scores (None: no choice of answers is given).
BENCHMARKS: Mapping[str, tuple[str, float | None]] = {
    "arc_challenge": ("ARC-c", 25),
    "arc_easy": ("ARC-e", 25),
    "boolq": ("BoolQ", 50),
    "commonsense_qa": ("CSQA", 20),
    "copa": ("COPA", 50),
    "hellaswag": ("Hella", 25),
    "lambada_openai": ("LMB", None),
    "mmlu": ("MMLU", 25),
    "openbookqa": ("OBQA", 25),
    "piqa": ("PIQA", 50),
    "race": ("RACE", 25),
    "social_iqa": ("SIQA", 100 / 3),
    "triviaqa": ("TriviaQA", None),
    "winogrande": ("Wino", 50),
}
MIXERS = {"Llama": "Transformer", "GLA5": "GLA", "GDN2": "GDN", "Mamba2": "Mamba2"}
_NAME = re.compile(r"(Llama|GLA5|GDN2|Mamba2)(Canon|conv|)-(1B|3B|8B)-Nemo-(1T|2T)-lr(0\.00\d)")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Named:
    """What the name of a published run says of it.

    >>> named("GLA5conv-3B-Nemo-1T-lr0.002")
    Named(mixer='GLA', canon=False, size='3B', tokens='1T', rate=0.002)
    """

    mixer: str
    canon: bool
    size: str
    tokens: str
    rate: float

    @property
    def setting(self) -> str:
        """All but the learning rate and the side: "3B, 1T"."""
        return f"{self.size}, {self.tokens}"


@cache
def named(recipe: str) -> Named:
    """The parts of a run's name; an unknown run is refused with the nearest."""
    choose("published run", recipe, tables())
    found = _NAME.fullmatch(recipe)
    assert found is not None
    family, side, size, tokens, rate = found.groups()
    return Named(MIXERS[family], side == "Canon", size, tokens, float(rate))


@cache
def tables() -> Mapping[str, Mapping[str, float]]:
    """Every column of the final tables, by run: percent, and two perplexities.

    >>> len(tables()), tables()["LlamaCanon-8B-Nemo-1T-lr0.003"]["MMLU"]
    (64, 62.1)
    """
    return {
        row.pop("recipe"): {name: float(value) for name, value in row.items()} for row in _rows("results_tables.csv.gz")
    }


@dataclass(frozen=True)
class Curve:
    """A run on its way: tokens [point] that were read, and of each benchmark its scores [point], in percent."""

    tokens: Floats
    scores: Mapping[str, Floats]


@cache
def curves() -> Mapping[str, Curve]:
    """The benchmark curves of all runs, every checkpoint that was evaluated.

    >>> curve = curves()["LlamaCanon-8B-Nemo-1T-lr0.003"]
    >>> len(curve.tokens), int(curve.tokens[-1]), float(curve.scores["mmlu"][-1].round(2))
    (80, 1006632960000, 62.14)
    """
    points: dict[str, list[dict[str, str]]] = {}
    for row in _rows("results_curves.csv.gz"):
        points.setdefault(row["recipe"], []).append(row)
    return {
        recipe: Curve(
            np.array([int(row["tokens / 2**20"]) * 2.0**20 for row in rows]),
            {name: np.array([int(row[name]) / 100 for row in rows]) for name in BENCHMARKS},
        )
        for recipe, rows in points.items()
    }


def first_above(recipe: str, benchmark: str, percent: float) -> float:
    """The tokens of the first checkpoint at which a benchmark is above a bar; infinite if it never is.

    >>> round(first_above("LlamaCanon-8B-Nemo-1T-lr0.003", "mmlu", 30) / 1e9, 1)
    37.7
    """
    curve = curves()[recipe]
    above = curve.scores[benchmark] > percent
    return float(curve.tokens[above.argmax()]) if above.any() else float("inf")


@cache
def losses() -> Mapping[str, tuple[Floats, Floats]]:
    """Tokens [60] and smoothed training losses [60] of the 48 linear runs; there are none of the Transformers."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in _rows("results_losses.csv.gz"):
        found.setdefault(row["recipe"], []).append((int(row["tokens / 2**20"]) * 2.0**20, float(row["loss"])))
    return {recipe: (*np.array(points).T,) for recipe, points in found.items()}


@cache
def others() -> tuple[Mapping[str, str | float | None], ...]:
    """Models of others in the release's Transformer table: model, size, data, tokens, date, and its scores (None: not given)."""
    words = ("model", "size", "data", "tokens", "date")
    return tuple(
        {name: value if name in words else float(value) if value else None for name, value in row.items()}
        for row in _rows("results_others.csv")
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    raw = Path(__file__).with_name(name).read_bytes()
    yield from csv.DictReader(io.StringIO((gzip.decompress(raw) if name.endswith(".gz") else raw).decode()))
