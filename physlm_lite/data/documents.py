"""Texts as documents, one after the other: files of lines, Parquet, and data sets of the Hub, in parts that can be read apart.

A part is what one worker reads at a time: a range of bytes of a file, of row groups of a Parquet file, or a shard of a data
set. The parts depend on the files alone, so that the same files always give the same shards, however many workers there are.

    .jsonl                  an object a line, the text under "text", else under "content"
    .txt .md .rst           a file is a document; a line with nothing but <|endoftext|> begins another one
    .parquet                a row a document, the text in the column "text", else "content"

Lines may be compressed (.gz, .zst, .zstd). The Nemotron-CC corpus, which the published models were trained on, comes as
.jsonl.zstd, in folders quality=high/kind=actual/kind2=actual/ and so on: naming a folder takes all files below it, in the order
of their names. What the training code wants, shuffled files called *.chunk.*.jsonl, is read as well.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..base.strict import shown
from ..tasks.text import KJV, PYTHON, read_corpus

LINES, TEXTS, PARQUET = (".jsonl",), (".txt", ".md", ".rst"), (".parquet",)
PACKED = {".gz": "gzip", ".zst": "zstandard", ".zstd": "zstandard"}
COLUMNS = ("text", "content")
SEPARATOR = b"<|endoftext|>"
LONGEST = 2**22  # bytes of a document of plain text; what is longer is cut at the end of a line
PART_BYTES = 2**26  # of a file, in one part


class BrokenText(ValueError):
    """A line or a row that holds no text; the message names the file and the line."""


@dataclass(frozen=True)
class Part:
    """A part of the source. kind: "lines", "texts", "parquet", "hub" or "corpus"; begin, end: bytes, row groups or, of the
    Hub, the number of the shard and of all of them."""

    source: str
    kind: str
    begin: int
    end: int


@dataclass(frozen=True)
class Hub:
    """A data set that `datasets` knows by name, or a folder that it can read."""

    name: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None

    def load(self) -> Any:
        """The stream. ValueError if it is not to be had."""
        try:
            import datasets
        except ImportError as error:
            raise ValueError(
                "a data set of the Hub needs the package datasets: pip install 'physlm_lite[lab]'"
            ) from error
        try:
            return datasets.load_dataset(
                self.name, self.config, split=self.split, revision=self.revision, streaming=True
            )
        except Exception as error:  # `datasets` raises all kinds: of the network, of the Hub, of builders
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ValueError(f"the data set {self.name} cannot be streamed: {shown(reason[0], 300)}") from error


# -- which parts -------------------------------------------------------------------------------------------------------


def parts_of(inputs: Sequence[str], hub: Hub | None = None, part_bytes: int = PART_BYTES) -> list[Part]:
    """The parts of files, folders and "kjv" or "python", in order; with `hub`, those of a data set.

    Raises ValueError for what is not there, is empty, or has an ending that is not read.
    """
    if hub is not None:
        shards = getattr(hub.load(), "num_shards", 1)
        return [Part(hub.name, "hub", shard, shards) for shard in range(shards)]
    found: list[Part] = []
    for name in inputs:
        if name in (KJV, PYTHON) and not Path(name).exists():
            found.append(Part(name, "corpus", 0, 1))
        else:
            for file in _files(Path(name).expanduser()):
                found += _parts(file, part_bytes)
    return found


def kind_of(path: Path) -> str | None:
    """How a file is read, by its ending; None if it is not."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in PACKED:
        endings.pop()
    last = endings[-1] if endings else ""
    kinds = {"lines": LINES, "texts": TEXTS, "parquet": PARQUET}
    return next((kind for kind, some in kinds.items() if last in some), None)


def _files(path: Path) -> list[Path]:
    wanted = ", ".join((*LINES, *TEXTS, *PARQUET))
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and kind_of(file) and file.stat().st_size]
        if not files:
            raise ValueError(f"{path} holds no text: no file with the ending {wanted} that is not empty")
        return files
    if not path.is_file():
        raise ValueError(f"there is no file or folder {str(path)!r}; for a data set of the Hub say --hub")
    if kind_of(path) is None:
        raise ValueError(
            f"{path} has the ending {shown(path.suffix)}, and text is read from {wanted} (lines also as .gz or .zst)"
        )
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    return [path]


def _parts(file: Path, part_bytes: int) -> list[Part]:
    kind, size = kind_of(file) or "", file.stat().st_size
    if kind == "parquet":
        table = _parquet(file)
        parts, begin, used = [], 0, 0
        for group in range(table.num_row_groups):
            used += table.metadata.row_group(group).total_byte_size
            if used >= part_bytes or group == table.num_row_groups - 1:
                parts.append(Part(str(file), kind, begin, group + 1))
                begin, used = group + 1, 0
        return parts
    if file.suffix.lower() in PACKED:
        return [Part(str(file), kind, 0, size)]
    return [Part(str(file), kind, begin, min(begin + part_bytes, size)) for begin in range(0, size, part_bytes)]


def _parquet(file: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError as error:
        raise ValueError("Parquet needs the package pyarrow: pip install 'physlm_lite[lab]'") from error
    try:
        return ParquetFile(file)
    except Exception as error:  # pyarrow's own errors are not all of one class
        raise ValueError(f"{file} is no Parquet file that can be read ({error}); get it again") from error


# -- the documents of one --------------------------------------------------------------------------------------------


def documents(
    part: Part, column: str | None = None, hub: Hub | None = None, skipped: Callable[[], object] | None = None
) -> Iterator[str]:
    """The documents of a part. column: where the text stands, "text" or "content" if None.

    skipped: called for each line that cannot be read, which is then passed over; without it, BrokenText is raised.
    """
    try:
        if part.kind == "corpus":
            yield from read_corpus(part.source)
        elif part.kind == "texts":
            yield from _texts(part)
        elif part.kind == "lines":
            yield from _objects(part, column, skipped)
        else:
            yield from _rows(part, column, hub, skipped)
    except OSError as error:
        raise BrokenText(f"{part.source} cannot be read: {error.strerror or error}; get it again") from error


def _texts(part: Part) -> Iterator[str]:
    """A document ends at a separator, at the end of the part, or where it gets too long."""
    kept: list[bytes] = []
    size, begun = 0, 0

    def text() -> str:
        try:
            return b"".join(kept).replace(b"\r\n", b"\n").decode("utf-8-sig").strip("\n")
        except UnicodeDecodeError as error:
            line = begun + b"".join(kept)[: error.start].count(b"\n")
            raise BrokenText(
                f"{part.source}, line {_number(part, line)}, is not UTF-8; convert it first, for example with iconv"
            ) from error

    for number, line in enumerate(_lines(part)):
        if not kept:
            begun = number
        if line.strip() == SEPARATOR:
            if kept:
                yield text()
            kept, size = [], 0
            continue
        kept.append(line)
        size += len(line)
        if size >= LONGEST:
            yield text()
            kept, size = [], 0
    if kept:
        yield text()


def _objects(part: Part, column: str | None, skipped: Callable[[], object] | None) -> Iterator[str]:
    for number, line in enumerate(_lines(part)):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"it holds {type(row).__name__}, and an object is expected")
            yield _text(row, column)
        except (ValueError, RecursionError) as error:
            if skipped is None:
                raise BrokenText(
                    f"{part.source}, line {_number(part, number)}, cannot be read ({error}); mend it, or leave such lines "
                    "out with --skip-broken"
                ) from error
            skipped()


def _rows(part: Part, column: str | None, hub: Hub | None, skipped: Callable[[], object] | None) -> Iterator[str]:
    first = 0
    if part.kind == "hub":
        assert hub is not None
        rows = _streamed(hub, part)
    else:
        table = _parquet(Path(part.source))
        first = sum(table.metadata.row_group(group).num_rows for group in range(part.begin))
        known = table.schema_arrow.names
        names = [name for name in ([column] if column else COLUMNS) if name in known][:1] or known
        batches = table.iter_batches(256, range(part.begin, part.end), columns=names)
        rows = (row for batch in batches for row in batch.to_pylist())
    for number, row in enumerate(rows, start=first + 1):
        try:
            yield _text(row, column)
        except ValueError as error:
            if skipped is None:
                of = f" of shard {part.begin + 1}" if part.kind == "hub" and part.end > 1 else ""
                raise BrokenText(f"{part.source}, row {number}{of}, cannot be read ({error})") from error
            skipped()


def _streamed(hub: Hub, part: Part) -> Iterator[dict[str, Any]]:
    stream = hub.load()
    try:
        yield from stream if part.end == 1 else stream.shard(part.end, part.begin)
    except Exception as error:  # of the network or of the files: `datasets` raises all kinds
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BrokenText(
            f"the data set {hub.name} broke off ({shown(reason[0], 300)}); the same command goes on"
        ) from error


def _text(row: dict[str, Any], column: str | None) -> str:
    """The text of a row. ValueError if it has none."""
    wanted = (column,) if column else COLUMNS
    name = next((name for name in wanted if name in row), None)
    if name is None:
        have = ", ".join(map(str, list(row)[:8])) or "nothing"
        raise ValueError(f"it has no {' or '.join(map(repr, wanted))}, but {have}; say --column NAME")
    if not isinstance(row[name], str):
        raise ValueError(f"{name!r} holds {shown(row[name], 40)}, and a text is expected")
    return str(row[name])


def _number(part: Part, line: int) -> int:
    """The number in its file, from 1, of a line of the part."""
    if not part.begin:
        return line + 1
    with open(part.source, "rb") as file:
        before, left = 0, part.begin
        while left and (block := file.read(min(left, 2**20))):
            before, left = before + block.count(b"\n"), left - len(block)
        file.seek(part.begin - 1)
        cut = file.read(1) != b"\n"  # the part begins inside a line, which belongs to the part before
    return before + cut + line + 1


def _lines(part: Part) -> Iterator[bytes]:
    """The lines that begin inside the part."""
    ending = Path(part.source).suffix.lower()
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open(part.source, "rb"))
        if ending in PACKED:
            yield from _unpacked(file, part.source, ending)
            return
        if part.begin:
            file.seek(part.begin - 1)
            file.readline()
        while file.tell() < part.end and (line := file.readline()):
            yield line


def _unpacked(file: IO[bytes], source: str, ending: str) -> Iterator[bytes]:
    if PACKED[ending] == "gzip":
        try:
            with gzip.open(file) as lines:
                yield from lines
        except (OSError, EOFError) as error:
            raise BrokenText(f"{source} is no whole gzip file ({error}); get it again") from error
        return
    try:
        import zstandard
    except ImportError as error:
        raise ValueError(f"{source} needs the package zstandard: pip install zstandard") from error
    try:
        yield from _in_lines(_zstd_blocks(file, zstandard.ZstdDecompressor))
    except (zstandard.ZstdError, EOFError) as error:
        raise BrokenText(f"{source} is no whole zstd file ({error}); get it again") from error


def _zstd_blocks(file: IO[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """What the frames of a file hold. EOFError if the last one is cut, which zstandard's own reader passes over."""
    frame = None
    while block := file.read(2**17):
        while block:
            frame = new().decompressobj() if frame is None or frame.eof else frame
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
    if frame is not None and not frame.eof:
        raise EOFError("it ends in the middle")


def _in_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).splitlines(keepends=True) or [b""]
        if rest.endswith(b"\n"):
            whole, rest = [*whole, rest], b""
        yield from whole
    if rest:
        yield rest
