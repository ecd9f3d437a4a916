"""Every benchmark curve of the 64 published runs of Part 4.2, in a frame that answers without a kernel.

The module that draws the ledger draws it, too (`published_page.js`). No number is ours.
"""

from __future__ import annotations

from typing import Any

from ..base.printable import escaped
from ..scale.published.results import BENCHMARKS, SOURCE, curves, named
from .frame import framed
from .ledger_page import html

TENTHS = 10  # a score is written in tenths of a percent: three digits, of which noise leaves two


def curves_data() -> dict[str, Any]:
    """What is drawn, JSON-ready: the benchmarks, the tokens of the checkpoints (in 10^9), and every run with its scores."""
    tokens: list[list[float]] = []
    runs = []
    for name, curve in curves().items():
        about = named(name)
        at = [round(float(t) / 1e9, 1) for t in curve.tokens]
        if at not in tokens:
            tokens.append(at)
        runs.append(
            {
                **{"mixer": about.mixer, "canon": about.canon, "size": about.size},
                **{"budget": about.tokens, "rate": about.rate, "at": tokens.index(at)},
                "scores": [(TENTHS * curve.scores[benchmark]).round().astype(int).tolist() for benchmark in BENCHMARKS],
            }
        )
    runs.sort(key=lambda run: (run["mixer"] != "Transformer", run["mixer"], run["canon"], run["size"], run["rate"]))
    about_them = [
        {"name": name, "label": label, "chance": chance and round(chance, 1)}
        for name, (label, chance) in BENCHMARKS.items()
    ]
    return {"benchmarks": about_them, "tokens": tokens, "runs": runs}


class PublishedCurves:
    """The curves in a notebook: benchmark, size, mixer, Canon and learning rate are chosen in the browser."""

    title = "Benchmark curves of the 64 published runs"

    def __init__(self, height: int = 600) -> None:
        self.height = height

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        frame = framed(html(curves_data(), "published", self.title), self.title, self.height)
        line = f"{self.title}, {len(BENCHMARKS)} benchmarks at every checkpoint. Source: {SOURCE}."
        return {"text/html": f"{frame}<p>{escaped(line)}</p>", "text/plain": line}
