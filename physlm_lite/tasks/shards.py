"""Shards: a corpus as numbers of tokens on disk, written by `physlm prepare` and read a window at a time.

A corpus is a folder of plain files, which NumPy's `memmap` opens without this kit:

    manifest.json           what there is: the tokenizer, and of each shard its split, tokens, documents and checksums
    vocabulary.json         the name of each token, by its number
    tokenizer.json          the tokenizer itself, where it is one of Hugging Face
    00000-train.tokens      the tokens, 16 or 32 bits each, little-endian; documents one after the other
    00000-train.documents   where each document begins, 64 bits each, little-endian: numbers of tokens in this shard
    00000-test.tokens       and so on

The shards of a split, in the order of the manifest, are one long text. It is cut into windows without regard to documents and
to shards: window i predicts tokens i * window + 1 to (i + 1) * window from those before them, so that every token is a target
once, as in the published training (Part 4.2). What is left at the end and fills no window is not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..base.reading import fingerprint
from ..base.strict import Count, Whole, build, choose, verify
from .draws import Ints

FORMAT = "physlm tokens 1"
SPLITS = ("train", "test")
MANIFEST, VOCABULARY = "manifest.json", "vocabulary.json"
DTYPES: Mapping[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
STARTS: np.dtype[Any] = np.dtype("<u8")
OPEN = 256  # shards that are kept open


class BrokenCorpus(ValueError):
    """A corpus whose files are not those that were written; the message names the file."""


@dataclass(frozen=True)
class Shard:
    """One shard of the manifest; its files are called `name` with ".tokens" and ".documents"."""

    name: str
    split: Literal["train", "test"]
    tokens: Count
    documents: Whole
    tokens_sha256: str
    documents_sha256: str

    def __post_init__(self) -> None:
        verify(self)
        if Path(self.name).name != self.name:
            raise ValueError(f"a shard lies in the folder of its corpus, and {self.name!r} leads out of it")


@dataclass(frozen=True)
class Tokens:
    """What the manifest says of the tokenizer: its name, what names its content, how many tokens it knows, and the marks
    before and after each document (None: no mark)."""

    name: str
    fingerprint: str
    vocabulary: Count
    begin: Whole | None = None
    end: Whole | None = None

    def __post_init__(self) -> None:
        verify(self)


@dataclass(frozen=True)
class Corpus:
    """A folder of shards."""

    folder: Path
    dtype: str
    tokenizer: Tokens
    shards: tuple[Shard, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Names the tokens and the boundaries between documents, wherever they lie: eight hexadecimal digits."""
        return fingerprint(
            [FORMAT, self.dtype, self.tokenizer.fingerprint, [sorted(vars(s).items()) for s in self.shards]]
        )

    @cached_property
    def _splits(self) -> Mapping[str, Sequence[Shard]]:
        return {split: [shard for shard in self.shards if shard.split == split] for split in SPLITS}

    def of(self, split: str) -> Sequence[Shard]:
        """The shards of a split, in order."""
        return self._splits[split]

    def size(self, split: str) -> int:
        """Tokens of a split."""
        return sum(shard.tokens for shard in self.of(split))

    def windows(self, split: str, window: int) -> int:
        """How many windows a split has."""
        return max(0, self.size(split) - 1) // window

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The name of each token."""
        names = _json(self.folder / VOCABULARY)
        if not isinstance(names, list) or len(names) != self.tokenizer.vocabulary:
            raise BrokenCorpus(
                f"{self.folder / VOCABULARY} should be a list of {self.tokenizer.vocabulary:,} names; prepare the corpus anew"
            )
        return tuple(map(str, names))

    @cached_property
    def _edges(self) -> Mapping[str, NDArray[np.int64]]:
        """Where the shards of each split begin, and where the last one ends."""
        return {
            split: np.array([0, *accumulate(shard.tokens for shard in self.of(split))], np.int64) for split in SPLITS
        }

    def read(self, split: str, begin: Ints, length: int) -> tuple[Ints, Ints]:
        """Tokens [row, length] of a split from each place `begin` on, and the number of the document inside its row, from 0.

        Raises BrokenCorpus for a token that the vocabulary does not have.
        """
        tokens, new = np.zeros((len(begin), length), np.int64), np.zeros((len(begin), length), np.int64)
        edges = self._edges[split]
        first, last = (np.searchsorted(edges, place, "right") - 1 for place in (begin, begin + length - 1))
        for number in sorted({n for a, b in zip(first.tolist(), last.tolist(), strict=True) for n in range(a, b + 1)}):
            rows, shard = np.flatnonzero((first <= number) & (number <= last)), self.of(split)[number]
            # of each row, the part in this shard: `size` tokens, from `at` on in the row and from `place` on in the shard
            at = np.maximum(edges[number] - begin[rows], 0)
            place = begin[rows] + at - edges[number]
            size = np.minimum(length - at, shard.tokens - place)
            whole = size == length
            text, starts = self.mapped(shard, "tokens"), self.mapped(shard, "documents")
            tokens[rows[whole]] = text[place[whole, None] + np.arange(length)]
            for row, a, b, n in zip(*(some[~whole].tolist() for some in (rows, at, place, size)), strict=True):
                tokens[row, a : a + n] = text[b : b + n]
            low, high = np.searchsorted(starts, place), np.searchsorted(starts, place + size)
            number_of = np.repeat(np.arange(len(rows)), high - low)
            begun = starts[np.arange(len(number_of)) - np.repeat(np.cumsum(high - low) - high, high - low)].astype(
                np.int64
            )
            new[rows[number_of], begun - place[number_of] + at[number_of]] = 1
            if int(tokens[rows].max()) >= self.tokenizer.vocabulary:
                raise BrokenCorpus(
                    f"{self.folder / shard.name}.tokens holds the token {int(tokens[rows].max())}, and the vocabulary has "
                    f"{self.tokenizer.vocabulary:,}; see `physlm prepare --check {self.folder}`"
                )
        new[:, 0] = 0
        return tokens, new.cumsum(1)

    def mapped(self, shard: Shard, kind: str) -> NDArray[Any]:
        """The "tokens" or the "documents" of a shard, mapped: pages are read when they are looked at."""
        return _mapped(
            self.folder / f"{shard.name}.{kind}", DTYPES[self.dtype] if kind == "tokens" else STARTS, self.fingerprint
        )

    def files(self) -> Iterator[tuple[Path, int, str]]:
        """Each file of the shards, its size in bytes and its checksum."""
        for shard in self.shards:
            size = shard.tokens * DTYPES[self.dtype].itemsize
            yield self.folder / f"{shard.name}.tokens", size, shard.tokens_sha256
            yield self.folder / f"{shard.name}.documents", shard.documents * STARTS.itemsize, shard.documents_sha256

    def check(self) -> int:
        """Read every byte of the shards and compare it with what was written; returns how many bytes there are.

        Raises BrokenCorpus, which names the first file that differs.
        """
        total = 0
        for path, size, sha256 in self.files():
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise BrokenCorpus(
                        f"{path} is damaged: it has its size of {size:,} bytes, but not its checksum; delete the folder and "
                        "prepare the corpus anew, or copy it again"
                    )
            total += size
        return total


@lru_cache(maxsize=OPEN)
def _mapped(path: Path, dtype: np.dtype[Any], corpus: str) -> NDArray[Any]:
    # an empty file cannot be mapped; as a plain array it is sliced faster
    return np.asarray(np.memmap(path, dtype, "r")) if path.stat().st_size else np.zeros(0, dtype)


def open_corpus(folder: str | Path) -> Corpus:
    """A prepared corpus; the sizes of all its files are compared with its manifest.

    Raises BrokenCorpus for a file that is missing or has another size, and ValueError for a folder that is no corpus.
    """
    folder = Path(folder).expanduser()
    if not (folder / MANIFEST).is_file():
        unfinished = (folder / "plan.json").is_file()
        advice = "go on with the same `physlm prepare`" if unfinished else "make one with `physlm prepare`"
        raise ValueError(f"{folder} is no {'finished ' * unfinished}corpus, it has no {MANIFEST}; {advice}")
    content = _json(folder / MANIFEST)
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise ValueError(
            f"{folder / MANIFEST} is not of the format {FORMAT!r}, which this version reads; prepare it anew"
        )
    try:
        tokens, shards = build(Tokens, content["tokenizer"]), tuple(build(Shard, shard) for shard in content["shards"])
        dtype = content["dtype"]
        choose("dtype", dtype, DTYPES)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenCorpus(f"{folder / MANIFEST} is damaged ({error}); prepare the corpus anew") from error
    corpus = Corpus(folder, dtype, tokens, shards)
    if content.get("fingerprint") != corpus.fingerprint:
        raise BrokenCorpus(f"{folder / MANIFEST} was changed after it was written; prepare the corpus anew")
    for path, size, _ in corpus.files():
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            what = "is missing" if found is None else f"has {found:,} bytes and should have {size:,}"
            raise BrokenCorpus(f"{path} {what}; delete the folder and prepare the corpus anew, or copy it again")
    return corpus


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenCorpus(f"{path} cannot be read as JSON ({error}); prepare the corpus anew") from error


def manifest_of(corpus: Corpus, made_from: Mapping[str, Any]) -> dict[str, Any]:
    """The content of manifest.json. made_from: what the corpus was prepared from, for people to read."""
    return {
        "format": FORMAT,
        "fingerprint": corpus.fingerprint,
        "dtype": corpus.dtype,
        "tokenizer": vars(corpus.tokenizer),
        "tokens": {split: corpus.size(split) for split in SPLITS},
        "documents": {split: sum(shard.documents for shard in corpus.of(split)) for split in SPLITS},
        "made_from": dict(made_from),
        "shards": [vars(shard) for shard in corpus.shards],
    }
