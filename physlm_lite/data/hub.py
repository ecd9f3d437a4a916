"""From a task to the Hugging Face `datasets` library: tables, endless streams, and a card that says what they hold.

Every row is a pure function of (seed, split, step, row), so a stream has no files behind it: to go on from any row, or to
give each rank and worker its own rows, is arithmetic on row numbers.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from .. import __version__
from ..base.strict import unknown
from ..tasks.batch import PAD, Batch, Task, split_number, text_view
from ..tasks.presets import KINDS

if TYPE_CHECKING:
    import datasets
    import pyarrow  # type: ignore[import-untyped]

SHARDS = 40_320  # what a stream calls its number of shards: 8!, which most numbers of ranks and workers divide
CHUNK = 64  # rows made at a time: few, since whoever looks at a stream often wants only the first ones
CITATION = """\
@inproceedings{allenzhu2025canon,
  author    = {Allen-Zhu, Zeyuan},
  title     = {{Physics of Language Models: Part 4.1, Architecture Design and the Magic of Canon Layers}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS 2025)},
  year      = {2025},
  url       = {https://arxiv.org/abs/2512.17351}
}"""


# -- rows --------------------------------------------------------------------------------------------------------------


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

    def pieces(self, row: int) -> Iterator[range]:
        """The rows from `row` on, as ranges of at most CHUNK; none of them reaches over the end of a step."""
        row = max(row, self.start)
        origin = self.start // self.block
        ahead = row // self.block - origin
        for number in count(ahead + (self.first - ahead) % self.every, self.every):
            begin = (origin + number) * self.block
            end = begin + self.block if self.stop is None else min(begin + self.block, self.stop)
            if begin >= end:
                return
            for low in range(max(begin, row), end, CHUNK):
                yield range(low, min(low + CHUNK, end))

    def tables(self, row: int) -> Iterator[tuple[range, pyarrow.Table]]:
        """(rows of the stream, their table) from `row` on; only rows of this share are made."""
        for rows in self.pieces(row):
            step, first = divmod(rows[0], self.rows_per_step)
            numbers = range(first, first + len(rows))
            yield (
                rows,
                _table(self.task, self.task.batch(self.seed, step, numbers, self.split), step, numbers, self.text),
            )


def _share(
    task: Task, seed: int, split: str, rows_per_step: int, start: int, rows: int | None, block: int | None, text: bool
) -> Share:
    """A whole stream, its numbers checked."""
    split_number(split)
    block = rows_per_step if block is None else block
    for name, value, least in (
        ("seed", seed, 0),
        ("rows_per_step", rows_per_step, 1),
        ("start", start, 0),
        ("rows", 1 if rows is None else rows, 1),
        ("block", block, 1),
    ):
        refuse_unless_whole(name, value, least)
    if rows_per_step % block:
        raise ValueError(
            f"block must divide rows_per_step = {rows_per_step}, so that a block lies within one step, not {block}"
        )
    return Share(task, seed, split, rows_per_step, block, start, None if rows is None else start + rows, text)


def refuse_unless_whole(name: str, value: int, least: int) -> None:
    """ValueError unless `value` is a whole number of at least `least`."""
    if not isinstance(value, int) or not least <= value < 2**63:
        raise ValueError(f"{name} must be a whole number of at least {least} (and below 2^63), not {value!r}")


def _table(task: Task, batch: Batch, step: int, rows: range, text: bool) -> pyarrow.Table:
    """A batch as columns, the padded tail of each row cut off."""
    import pyarrow

    schema = _features(text).arrow_schema
    document = batch.document.numpy()
    size = document.shape[1] - (document[:, ::-1] >= 0).argmax(1)
    inside = np.arange(document.shape[1]) < size[:, None]
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int32)
    columns: list[Any] = [np.full(len(rows), step), np.array(rows)]
    for name in ("tokens", "targets", "document"):
        kind = schema.field(name).type
        values = getattr(batch, name).numpy()[inside].astype(kind.value_type.to_pandas_dtype())
        columns.append(pyarrow.ListArray.from_arrays(offsets, values, type=kind))
    if text:
        names = [task.vocabulary[token] for token in batch.tokens.numpy()[inside]]
        columns.append([" ".join(names[begin:end]) for begin, end in pairwise(offsets)])
    return pyarrow.table(columns, schema=schema)


def collate(examples: Iterable[Mapping[str, Any]]) -> Batch:
    """Rows put together again, padded on the right to the longest: the `collate_fn` of a torch DataLoader."""
    rows = list(examples)

    def padded(name: str, fill: int, dtype: torch.dtype) -> torch.Tensor:
        tensors = [torch.as_tensor(row[name], dtype=dtype) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=fill)

    return Batch(
        padded("tokens", PAD, torch.int64), padded("targets", False, torch.bool), padded("document", -1, torch.int64)
    )


# -- datasets ----------------------------------------------------------------------------------------------------------


def to_dataset(
    task: Task, rows: int, seed: int = 0, split: str = "train", step: int = 0, text: bool = False
) -> datasets.Dataset:
    """The rows 0..rows-1 of one step, in memory.

    Columns: `step` and `row` (the address), `tokens` (int32), `targets` (bool: this token carries loss), `document`
    (int32: the example inside the row); the three lists end where the padding begins. text: add the tokens' names.

    >>> from physlm_lite.tasks import Copy
    >>> to_dataset(Copy(n=3), rows=2, text=True)[0]["text"]
    '<bos> 2 3 1 <query> 2 3 1'
    """
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    refuse_unless_whole("rows", rows, 1)
    refuse_unless_whole("step", step, 0)
    share = _share(task, seed, split, rows_per_step=rows, start=step * rows, rows=rows, block=None, text=text)
    table = pyarrow.concat_tables(table for _, table in share.tables(share.start))
    return Dataset(InMemoryTable(table), info=_info(share), split=_split(split))


def stream(
    task: Task,
    seed: int = 0,
    split: str = "train",
    rows_per_step: int = 32,
    start: int = 0,
    rows: int | None = None,
    block: int | None = None,
    text: bool = False,
) -> datasets.IterableDataset:
    """The rows that training with batches of `rows_per_step` sees, in that order; the columns are those of `to_dataset`.

    start: the first row. rows: how many (None: without end). block: how many rows in a row a worker or a rank takes; it
    divides `rows_per_step`, which is the default.

    To go on later, keep `state_dict()` (it holds the next row's number) or count rows and say `start`. Workers of a
    DataLoader and ranks (`datasets.distributed.split_dataset_by_node`) take turns, a block each, and make only their own
    rows. With batches of `block` rows, the batches come in the same order for any number of workers; and with
    `block = rows_per_step / ranks` the ranks' batches together are one step. Shuffling is left out: the rows are
    independent of each other, and another `seed` gives other rows.

    >>> from physlm_lite.tasks import Copy
    >>> [(example["step"], example["row"]) for example in stream(Copy(n=3), rows_per_step=2, rows=3)]
    [(0, 0), (0, 1), (1, 0)]
    """
    from datasets import IterableDataset

    share = _share(task, seed, split, rows_per_step, start, rows, block, text)
    return IterableDataset(_iterable(share), info=_info(share), split=_split(split))


def _iterable(of: Share) -> Any:
    """A share in the form in which `datasets` keeps the source of a stream.

    Its own sources are lists of files; going on would mean to make and skip all earlier rows, and a list has an end.
    The base class is not public, but has served unchanged from release 3.6 to 5.2; tests/tasks/test_hub.py would tell.
    """
    from datasets.iterable_dataset import _BaseExamplesIterable

    class Rows(_BaseExamplesIterable):
        share = of
        _sleep_on_threads_shutdown = False

        def _init_state_dict(self) -> dict[str, int]:
            self._state_dict = {"row": of.start}
            return self._state_dict

        def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
            for row, table in self._iter_arrow():
                yield row, table.to_pylist()[0]

        def _iter_arrow(self) -> Iterator[tuple[int, pyarrow.Table]]:
            state = self._state_dict or {"row": of.start}
            for rows, table in of.tables(state["row"]):
                for i, row in enumerate(rows):
                    state["row"] = row + 1
                    yield row, table.slice(i, 1)

        @property
        def iter_arrow(self) -> Any:
            return self._iter_arrow

        @property
        def num_shards(self) -> int:
            return max(1, SHARDS // of.every)

        def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> Any:
            return _iterable(of.part(index, num_shards))

        def shuffle_data_sources(self, generator: Any) -> Any:
            return self

        def reshard_data_sources(self) -> Any:
            return self

        def __reduce__(self) -> Any:  # a class made inside a function cannot be found by name
            return _iterable, (of,), self.__dict__

    return Rows()


def _features(text: bool) -> datasets.Features:
    from datasets import Features, Sequence, Value

    columns = {
        "step": Value("int64"),
        "row": Value("int64"),
        "tokens": Sequence(Value("int32")),
        "targets": Sequence(Value("bool")),
        "document": Sequence(Value("int32")),
    }
    return Features(columns | {"text": Value("string")} if text else columns)


def _info(share: Share) -> datasets.DatasetInfo:
    from datasets import DatasetInfo

    return DatasetInfo(
        description=card(share.task, share.seed, share.split),
        citation=CITATION,
        license=licence(share.task),
        homepage="https://arxiv.org/abs/2512.17351",
        features=_features(share.text),
    )


def _split(split: str) -> datasets.NamedSplit:
    from datasets import NamedSplit

    return NamedSplit(split)


# -- the card ----------------------------------------------------------------------------------------------------------


def name_and_options(task: Task) -> tuple[str, dict[str, Any]]:
    """What `make_task` needs to make this task again."""
    kind = next((kind for kind, made in KINDS.items() if type(task) is made), type(task).__name__)
    return kind, {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}  # type: ignore[arg-type]


def licence(task: Task) -> str:
    """What is generated here comes under the kit's licence; real text stays under its own."""
    return "that of the text" if hasattr(task, "corpus") else "Apache-2.0"


def card(task: Task, seed: int = 0, split: str = "train") -> str:
    """What a dataset of this task holds and how to make it again, in Markdown; the first row is shown as an example."""
    kind, options = name_and_options(task)
    title = (inspect.getdoc(sys.modules[type(task).__module__]) or kind).split("\n\n")[0].replace("\n", " ").rstrip(".")
    blocks = text_view(task, task.batch(seed, 0, 1, split)).split("\n\n")
    row = "\n\n".join([*blocks[:3], *(["(and so on)"] if len(blocks) > 3 else [])])
    return f"""\
# {title}

Rows of the task `{kind}`, made by physlm-lite {__version__}. Each row is a pure function of (seed, split, step, row).

| | |
|---|---|
| task | `{kind}` |
| options | `{options}` |
| vocabulary | {len(task.vocabulary)} tokens |
| seed | {seed} |
| split | {split} |
| licence | {licence(task)} |

Columns: `step` and `row` are the address. `tokens` are numbers of `task.vocabulary`, the padding cut off. `targets` says
of each token whether it carries loss, that is, has to be predicted from those before it. `document` is the number of the
example inside its row.

The first row, the next token written under each place that carries loss:

```text
{row}
```

To make it again:

```python
from physlm_lite.data.hub import stream
from physlm_lite.tasks.presets import make_task

rows = stream(make_task({kind!r}, {options}), seed={seed}, split={split!r})
```

Please cite the paper:

```bibtex
{CITATION}
```
"""


# -- files -------------------------------------------------------------------------------------------------------------


def save(
    dataset: datasets.Dataset | datasets.IterableDataset,
    path: str | Path,
    kind: str | None = None,
    *,
    replace: bool = True,
) -> None:
    """Write a dataset to one file, whole or not at all. kind: "jsonl" or "parquet" (None: by the ending of `path`).

    Raises ValueError for any other kind, for a stream without end, and if the file cannot be written or, without
    `replace`, exists already.
    """
    path = Path(path)
    kind = kind or path.suffix[1:] or path.name
    if kind not in WRITERS:
        raise unknown("kind of file", kind, WRITERS)
    share = getattr(getattr(dataset, "_ex_iterable", None), "share", None)
    if share is not None and share.stop is None:
        raise ValueError("this stream has no end; say how many rows to save: stream(..., rows=N)")
    write_file(path, lambda temporary: WRITERS[kind](dataset, temporary), replace)


def json_lines(dataset: datasets.Dataset | datasets.IterableDataset) -> Iterator[str]:
    """Each row as one line of JSON, without its line break."""
    return (json.dumps(example) for example in dataset.with_format(None))


def _write_lines(dataset: Any, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in json_lines(dataset))


def _write_parquet(dataset: Any, path: Path) -> None:
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]

    with ParquetWriter(path, dataset.features.arrow_schema) as writer:
        for table in dataset.with_format("arrow").iter(batch_size=256):
            writer.write_table(table)


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {"jsonl": _write_lines, "parquet": _write_parquet}


def write_file(path: Path, write: Callable[[Path], None], replace: bool = True) -> None:
    """Let `write` fill `path`, whole or not at all; ValueError if that cannot be done."""
    from ..base.files import StorageError, refuse_occupied, write_whole

    refuse_occupied(path, replace)
    try:
        write_whole(path, write)
    except StorageError as error:
        reason = getattr(error.__cause__, "strerror", None) or error.__cause__
        raise ValueError(f"cannot write {path}: {reason}; choose a file in a folder that you may write to") from error
