"""Which rows of an endless stream are whose, and the rows themselves as Python lists or as Arrow tables.

Every row is a pure function of (seed, split, step, row), so a stream has no files behind it: to go on from any row, or to
give each rank and worker its own rows, is arithmetic on row numbers. Rows are drawn in blocks, across steps where these
are small, and handed out one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..base.strict import Range, Seed, conform
from ..tasks.batch import MOST_TOKENS, Batch, Task, split_number

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]

FIRST, MOST = 32, 4096  # rows drawn at a time: fewer at first, since many who look at a stream want no more
TOKENS = 2**19  # drawn at a time, about
Number = Annotated[int, Range(least=1, below=2**63)]
LISTS = ("tokens", "targets", "document")


@dataclass(frozen=True)
class Share:
    """The rows of a stream that one worker of one rank takes; the default is all of them.

    Row r of the stream is row r % rows_per_step of step r // rows_per_step. The rows from `start` up to `stop` (None:
    without end) are dealt out like cards, in blocks of `block` rows: this share holds block `first` and every `every`-th
    after it. Block 0 is the one with row `start` in it.
    """

    task: Task
    seed: int
    split: str
    rows_per_step: int
    block: int
    start: int
    stop: int | None
    text: bool = False
    first: int = 0
    every: int = 1

    def part(self, index: int, parts: int) -> Share:
        """Part number `index` of `parts`, dealt out once more."""
        return dataclasses.replace(self, first=self.first + index * self.every, every=self.every * parts)

    def blocks(self, row: int) -> Iterator[range]:
        """The rows of this share from `row` on, block after block."""
        row = max(row, self.start)
        origin = self.start // self.block
        ahead = row // self.block - origin
        for number in count(ahead + (self.first - ahead) % self.every, self.every):
            begin = (origin + number) * self.block
            end = begin + self.block if self.stop is None else min(begin + self.block, self.stop)
            if begin >= end:
                return
            yield range(max(begin, row), end)

    def batches(self, row: int) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """(numbers of rows, their batch) from `row` on; only rows of this share are made."""
        blocks, rest, most = self.blocks(row), range(0), FIRST
        while True:
            parts, missing = [], most
            while missing:
                rest = rest or next(blocks, range(0))
                if not rest:
                    break
                parts.append(rest[:missing])
                missing -= len(parts[-1])
                rest = rest[len(parts[-1]) :]
            if not parts:
                return
            rows = np.concatenate([np.arange(part.start, part.stop) for part in parts])
            step, place = np.divmod(rows, self.rows_per_step)
            batch = self.task.batch(self.seed, step, place, self.split)
            yield rows, batch
            most = max(1, min(2 * most, MOST, TOKENS * len(rows) // int(_sizes(batch).sum())))

    def refuse_too_large(self, most: int = MOST_TOKENS) -> None:
        """ValueError if all rows of this share are more than `most` tokens (by itself: than can be held at a time), going by
        the first few."""
        _, batch = next(self.batches(self.start))
        mean = float(_sizes(batch).mean())
        rows = 0 if self.stop is None else self.stop - self.start
        if rows * mean > most:
            raise ValueError(
                f"{rows:,} rows of about {mean:,.0f} tokens are too many at a time, the limit is {most:,} tokens; "
                f"take at most {most / mean:,.0f} rows, or a stream"
            )

    def examples(self, row: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the row, the row as Python's numbers and lists) from `row` on."""
        for rows, batch in self.batches(row):
            tokens, targets, document = (tensor.numpy() for tensor in batch)
            columns = (rows, *np.divmod(rows, self.rows_per_step), _sizes(batch))
            for i, (number, step, place, size) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
                example: dict[str, Any] = {
                    "step": step,
                    "row": place,
                    "tokens": tokens[i, :size].tolist(),
                    "targets": targets[i, :size].tolist(),
                    "document": document[i, :size].tolist(),
                }
                if self.text:
                    example["text"] = " ".join(self.task.vocabulary[token] for token in example["tokens"])
                yield number, example

    def tables(self, row: int, schema: pyarrow.Schema) -> Iterator[tuple[NDArray[np.int64], pyarrow.Table]]:
        """(numbers of rows, their table) from `row` on: the same rows as columns."""
        import pyarrow

        for rows, batch in self.batches(row):
            size = _sizes(batch)
            inside = np.arange(batch.document.shape[1]) < size[:, None]
            offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int32)
            columns: list[Any] = list(np.divmod(rows, self.rows_per_step))
            for name in LISTS:
                kind = schema.field(name).type
                values = getattr(batch, name).numpy()[inside].astype(kind.value_type.to_pandas_dtype())
                columns.append(pyarrow.ListArray.from_arrays(offsets, values, type=kind))
            if self.text:
                names = [self.task.vocabulary[token] for token in batch.tokens.numpy()[inside]]
                columns.append([" ".join(names[begin:end]) for begin, end in pairwise(offsets)])
            yield rows, pyarrow.table(columns, schema=schema)


def _sizes(batch: Batch) -> NDArray[np.int64]:
    """The length of each row without its padded tail."""
    inside = batch.document.numpy() >= 0
    return inside.shape[1] - inside[:, ::-1].argmax(1)


def share_of(
    task: Task,
    seed: int = 0,
    split: str = "train",
    rows_per_step: int = 32,
    start: int = 0,
    rows: int | None = None,
    block: int | None = None,
    text: bool = False,
) -> Share:
    """A whole stream, its numbers checked."""
    split_number(split)
    seed, start = conform("seed", Seed, seed), conform("start", Seed, start)
    rows_per_step, rows = conform("rows_per_step", Number, rows_per_step), conform("rows", Number | None, rows)
    block = conform("block", Number, rows_per_step if block is None else block)
    if rows_per_step % block:
        raise ValueError(
            f"block must divide rows_per_step = {rows_per_step}, so that a block lies within one step, not {block}"
        )
    return Share(task, seed, split, rows_per_step, block, start, None if rows is None else start + rows, text)


def step_of(task: Task, rows: int, seed: int = 0, split: str = "train", step: int = 0, text: bool = False) -> Share:
    """The rows 0..rows-1 of one step, the numbers checked."""
    rows = conform("rows", Number, rows)
    step = conform("step", Annotated[int, Range(least=0, below=2**63 // rows)], step)
    return share_of(task, seed, split, rows_per_step=rows, start=step * rows, rows=rows, text=text)
