"""An example as the model reads it, and the facts about it beside its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ipywidgets import ValueWidget
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..tasks import Batch, Task, html_view
from .controls import slider
from .plots import GREY
from .show import Interactive

YELLOW = "<span style='background:#ffe99a'>yellow</span>"
LEGEND = f"names in blue, special tokens in grey, and in {YELLOW} the tokens that carry loss."


def first_texts(batch: Batch) -> list[list[int]]:
    """The tokens of the first example of each row."""
    rows = zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)
    return [[t for t, document in zip(*row, strict=True) if document == 0] for row in rows]


def inspector(
    task: Task,
    batch: Batch,
    draw: Callable[..., Figure],
    controls: Mapping[str, ValueWidget],
    alt: str,
    legend: str = LEGEND,
) -> Interactive:
    """Leaf through the rows of a batch: `draw(row, ...)`, and below it the row as the model reads it, in colours.

    controls: of what `draw` takes beside the row. legend: what the colours mean.
    """

    def as_read(row: int, **_: Any) -> str:
        return f"<p><b>What the model reads</b>: {legend}</p>{html_view(task, batch, row)}"

    return Interactive(draw, {"row": slider("instance", 0, 0, len(batch.tokens) - 1), **controls}, alt, extra=as_read)


def write_facts(axis: Axes, facts: Mapping[str, str], looks: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Facts as lines of text in a panel of their own; `looks`: Matplotlib's options for some of them."""
    axis.axis("off")
    for line, (name, fact) in enumerate(facts.items()):
        height = 0.88 - 0.9 / len(facts) * line
        axis.text(0, height, name, fontsize=10, color=GREY, transform=axis.transAxes)
        look: dict[str, Any] = {"fontsize": 11 if len(fact) < 30 else 9, **(looks or {}).get(name, {})}
        axis.text(0.33, height, fact, transform=axis.transAxes, **look)
