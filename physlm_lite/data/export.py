"""A dataset as one file: lines of JSON, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.files import StorageError, refuse_occupied, write_whole
from ..base.strict import unknown

if TYPE_CHECKING:
    import datasets


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


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Lines of text, each with its line break."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _write_json(dataset: Any, path: Path) -> None:
    write_lines(path, (json.dumps(example) for example in dataset.with_format(None)))


def _write_parquet(dataset: Any, path: Path) -> None:
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]

    with ParquetWriter(path, dataset.features.arrow_schema) as writer:
        for table in dataset.with_format("arrow").iter(batch_size=256):
            writer.write_table(table)


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {"jsonl": _write_json, "parquet": _write_parquet}


def write_file(path: Path, write: Callable[[Path], None], replace: bool = True) -> None:
    """Let `write` fill `path`, whole or not at all; ValueError if that cannot be done."""
    refuse_occupied(path, replace)
    try:
        write_whole(path, write)
    except StorageError as error:
        reason = getattr(error.__cause__, "strerror", None) or error.__cause__
        raise ValueError(f"cannot write {path}: {reason}; choose a file in a folder that you may write to") from error
