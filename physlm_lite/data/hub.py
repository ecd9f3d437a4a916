"""Tasks in the Hugging Face `datasets` library: tables, endless streams, and a card that says what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..tasks.batch import PAD, Batch, Task
from .card import CITATION, card, licence
from .shares import Share, share_of, step_of

if TYPE_CHECKING:
    import datasets
    import pyarrow  # type: ignore[import-untyped]

SHARDS = 40_320  # what a stream calls its number of shards: 8!, which most numbers of ranks and workers divide


def collate(examples: Iterable[Mapping[str, Any]]) -> Batch:
    """Rows put together again, padded on the right to the longest: the `collate_fn` of a torch DataLoader."""
    rows = list(examples)
    if not rows or any(name not in row for row in rows for name in Batch._fields):
        raise ValueError(
            f"collate needs at least one row, each with {', '.join(Batch._fields)}, as `stream` gives them"
        )

    def padded(name: str, fill: int, dtype: torch.dtype) -> torch.Tensor:
        tensors = [torch.as_tensor(row[name], dtype=dtype) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=fill)

    return Batch(
        padded("tokens", PAD, torch.int64), padded("targets", False, torch.bool), padded("document", -1, torch.int64)
    )


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

    share = step_of(task, rows, seed, split, step, text)
    share.refuse_too_large()
    schema = _features(text).arrow_schema
    table = pyarrow.concat_tables(table for _, table in share.tables(share.start, schema))
    return Dataset(InMemoryTable(table), **_about(share))


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
    return dataset_of(share_of(task, seed, split, rows_per_step, start, rows, block, text))


def dataset_of(share: Share) -> datasets.IterableDataset:
    """The rows of a share."""
    from datasets import IterableDataset

    return IterableDataset(_iterable(share), **_about(share))


def _iterable(of: Share) -> Any:
    """A share in the form in which `datasets` keeps the source of a stream.

    Its own sources are lists of files; going on would mean to make and skip all earlier rows, and a list has an end.
    The base class is not public, but has served unchanged from release 5.0 to 5.2; tests/data/test_hub.py would tell.
    """
    from datasets.iterable_dataset import _BaseExamplesIterable

    class Rows(_BaseExamplesIterable):
        share = of
        is_typed = True  # so nobody looks at every number again
        features = _features(of.text)
        _sleep_on_threads_shutdown = False

        def _init_state_dict(self) -> dict[str, int]:
            self._state_dict = {"row": of.start}
            return self._state_dict

        def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
            state = self._state_dict or {"row": of.start}
            for row, example in of.examples(state["row"]):
                state["row"] = row + 1
                yield row, example

        def iter_arrow(self) -> Iterator[tuple[int, pyarrow.Table]]:
            state = self._state_dict or {"row": of.start}
            for rows, table in of.tables(state["row"], self.features.arrow_schema):
                for i, row in enumerate(rows.tolist()):
                    state["row"] = row + 1
                    yield row, table.slice(i, 1)

        @property
        def num_shards(self) -> int:
            return max(1, SHARDS // of.every)

        def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> Any:
            return _iterable(of.part(index, num_shards))

        def shuffle_data_sources(self, *_: Any) -> Any:
            return self

        reshard_data_sources = shuffle_data_sources

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


def _about(share: Share) -> dict[str, Any]:
    from datasets import DatasetInfo, NamedSplit

    info = DatasetInfo(
        description=card(share.task, share.seed, share.split),
        citation=CITATION,
        license=licence(share.task),
        homepage="https://arxiv.org/abs/2512.17351",
        features=_features(share.text),
    )
    return {"info": info, "split": NamedSplit(share.split)}
