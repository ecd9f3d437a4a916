"""What a task hands to a model: tokens, which of them carry loss, and where one example ends."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.strict import Range, shown, unknown
from .metric import Metric

PAD = 0  # in every task's dense vocabulary
MOST_TOKENS = 2**25  # of one batch: with all that its making needs, about a GB
Rows = int | range | NDArray[np.int64]
Steps = int | NDArray[np.int64]  # one step, or one for each row
Window = Annotated[int, Range(2, 2**20)]  # tokens of a packed row


class Batch(NamedTuple):
    """Tensors of shape [batch, position]; a named tuple, which loaders, pinned memory and accelerate know how to move.

    `tokens` (int64), `targets` (bool: *this token* is to be predicted from those before it), and `document` (int64: the
    number of the example inside its row, -1 for padding).
    """

    tokens: Tensor
    targets: Tensor
    document: Tensor

    @property
    def packed(self) -> bool:
        """Does any row hold more than one example?"""
        return bool(self.document.max() > 0)


class Task(Protocol):
    """A task is a pure function of (seed, step, rows)."""

    @property
    def vocabulary(self) -> Sequence[str]:
        """The name of each dense token id."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names what is read from files, by content; "" for a task that reads none."""
        ...

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """The rows of one step (or each row of a step of its own); the same arguments always give the same batch."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What its test measures, by name."""
        ...

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Score teacher-forced guesses (guesses[b, t] for tokens[b, t]); returns named numbers."""
        ...


def metric_of(task: Task, name: str) -> Metric:
    """The metric of a task with this name; an unknown one is refused with the nearest."""
    metrics = task.metrics
    if name in metrics:
        return metrics[name]
    families: dict[str, list[str]] = {}
    for known in metrics:
        families.setdefault(known.partition(".")[0], []).append(known)
    family = families.get(str(name).partition(".")[0])
    valid = family or [members[0] for members in families.values()]
    raise unknown(f"score of {type(task).__name__}", name, valid)


def row_numbers(rows: Rows) -> NDArray[np.int64]:
    """`rows` as an array: a count means rows 0..count-1; ranges and arrays let a rank or worker take its own share."""
    if isinstance(rows, int | np.integer) and not isinstance(rows, bool):
        rows = range(rows)
    if isinstance(rows, range):
        refuse_too_large(len(rows), 1)
        rows = np.arange(rows.start, rows.stop, rows.step)
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or numbers.size == 0 or numbers.min() < 0:
        raise ValueError(f"rows must be a positive count or a range of row numbers from 0 up, not {shown(rows)}")
    return numbers.astype(np.int64)


def refuse_too_large(rows: int, width: int) -> None:
    """ValueError for more tokens than one batch may have."""
    if rows * width > MOST_TOKENS:
        raise ValueError(
            f"{rows:,} rows{f' of {width:,} tokens' * (width > 1)} are too many at a time, the limit is {MOST_TOKENS:,} tokens; "
            f"take at most {MOST_TOKENS // width:,} rows"
        )


def in_chunks(make: Callable[..., Batch], width: int, *columns: NDArray[Any]) -> Batch:
    """The batch that `make` makes of arrays with an entry for each row, some rows at a time so that its own arrays stay small.

    Its rows have `width` tokens each.
    """
    refuse_too_large(len(columns[0]), width)
    size = max(1, 2**20 // width)
    parts = [make(*(c[begin : begin + size] for c in columns)) for begin in range(0, len(columns[0]), size)]
    return parts[0] if len(parts) == 1 else Batch(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def split_number(split: str) -> int:
    """Train and test draw from different streams, so no test row is ever trained on by construction of the address."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    return ("train", "test").index(split)


def to_batch(tokens: NDArray[np.int64], targets: NDArray[np.bool_], document: NDArray[np.int64]) -> Batch:
    """Arrays to tensors."""
    return Batch(torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(document))


def accuracy(right: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Share of right answers, its standard error, and their number, from the answers of each independent example.

    Answers about the same example rise and fall together, so the error comes from the spread between examples: with
    s_i right of m_i in example i and share p, it is sqrt(sum (s_i - p m_i)^2) / sum m_i (the ratio estimator). For a
    single example only the binomial error is left.
    """
    size = np.array([len(answers) for answers in right], dtype=float)
    hits = np.array([sum(answers) for answers in right], dtype=float)
    count = size.sum()
    if not count:
        return {"accuracy": float("nan"), "standard_error": float("nan"), "count": 0}
    share = hits.sum() / count
    spread = np.square(hits - share * size).sum() if len(right) > 1 else count * share * (1 - share)
    error = np.sqrt(spread) / count
    return {"accuracy": float(share), "standard_error": float(error), "count": int(count)}


def text_view(task: Task, batch: Batch, row: int = 0, width: int = 100) -> str:
    """One row as aligned lines: tokens over labels over the loss mask, in blocks of at most `width` characters.

    The label of a position is the *next* token, shown only where it carries loss.
    """
    tokens, targets = batch.tokens[row].tolist(), batch.targets[row].tolist()
    last = max((i for i, d in enumerate(batch.document[row].tolist()) if d >= 0), default=0)
    names = [task.vocabulary[t] for t in tokens[: last + 1]]
    counts = [i < last and targets[i + 1] for i in range(last + 1)]
    cells = [(names[i], names[i + 1] if counts[i] else ".", "1" if counts[i] else "0") for i in range(last + 1)]
    blocks: list[list[list[str]]] = []
    used = width
    for cell in cells:
        size = max(map(len, cell))
        if used + size + 1 > width:
            blocks.append([["tokens"], ["labels"], ["loss  "]])
            used = 6
        used += size + 1
        for line, text in zip(blocks[-1], cell, strict=True):
            line.append(f"{text:>{size}}")
    return "\n\n".join("\n".join(" ".join(line).rstrip() for line in block) for block in blocks)


def html_view(task: Task, batch: Batch, row: int = 0) -> str:
    """One row as coloured HTML: special tokens grey, targets on yellow, examples separated by a thin line."""
    spans, previous = [], 0
    for token, target, document in zip(
        batch.tokens[row].tolist(), batch.targets[row].tolist(), batch.document[row].tolist(), strict=True
    ):
        if document < 0:
            continue
        if document != previous:
            spans.append('<span style="border-left:2px solid #888;margin:0 4px"></span>')
            previous = document
        name = task.vocabulary[token]
        colour = "#8a6d00" if target else "#777" if name.startswith("<") else "#1f3b73"
        back = "#ffe99a" if target else "#f2f2f2" if name.startswith("<") else "#e3ecfb"
        title = "carries loss: predicted from everything before it" if target else "read only"
        spans.append(
            f'<span title="{title}" style="background:{back};color:{colour};border-radius:3px;padding:1px 4px;'
            f'margin:1px;display:inline-block;font-family:monospace">{html.escape(name)}</span>'
        )
    return f'<div style="line-height:1.9">{"".join(spans)}</div>'
