"""Real text, character by character: the kind of training that the playground is compared with (Part 4.1, sections 1 and 8).

The default corpus needs no download: the documentation that every Python installation carries (`help()` shows it). It
differs a little between Python versions, so every score carries the corpus's fingerprint.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .batch import Batch, accuracy, row_numbers, split_number, to_batch
from .draws import address, below, bits

CHARACTERS = ("<pad>", "<end>", *(chr(c) for c in range(32, 127)), "\n")  # anything else is written as "?"
END = 1
HELD_OUT = 20  # one document in this many is kept for the test split
PLACE, LETTER, TRUE_ONE = range(3)  # streams of draws


@dataclass(frozen=True)
class Text:
    """Windows of `context` characters at random places of a corpus; loss on every character but a window's first.

    corpus: "python" or the path of a text file or of a folder of .txt, .md and .rst files. The test split has documents
    of its own. A question of the multiple-choice test shows `context - answer` characters and `choices` continuations
    of `answer` characters, all of them beginnings of words in held-out text; one is the true one.
    """

    corpus: str = "python"
    context: int = 128
    answer: int = 24
    choices: int = 4
    reads: ClassVar[tuple[str, ...]] = ("corpus",)  # names files: a run is named by what they hold

    def __post_init__(self) -> None:
        if self.context < 2 or not 1 <= self.answer < self.context:
            raise ValueError(f"an answer of {self.answer} characters must leave room in a context of {self.context}")
        if self.choices < 2:
            raise ValueError(f"a question needs at least 2 choices, not {self.choices}")

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Dense ids: `<pad>` `<end>`, the printable ASCII characters (a space is shown as ␣) and the line's end, ↵."""
        return tuple({" ": "␣", "\n": "↵"}.get(character, character) for character in CHARACTERS)

    @cached_property
    def stream(self) -> dict[str, NDArray[np.int64]]:
        """The characters of each split, its documents separated by <end>."""
        documents = read_corpus(self.corpus)
        splits = {
            "train": [d for i, d in enumerate(documents) if i % HELD_OUT],
            "test": [d for i, d in enumerate(documents) if i % HELD_OUT == 0],
        }
        streams = {split: encode(parts) for split, parts in splits.items()}
        for split, characters in streams.items():
            if len(characters) <= 2 * self.context:
                raise ValueError(
                    f"the {split} part of corpus {self.corpus!r} has only {len(characters)} characters, too "
                    f"few for windows of {self.context}; give more text or a smaller context"
                )
        return streams

    @cached_property
    def fingerprint(self) -> str:
        """Names the corpus: eight hexadecimal digits of its hash."""
        return hashlib.sha256(b"".join(s.tobytes() for s in self.stream.values())).hexdigest()[:8]

    def batch(self, seed: int, step: int, rows: int | range, split: str = "train") -> Batch:
        """[rows, context] characters."""
        key = address(seed, split_number(split), step, row_numbers(rows))
        stream = self.stream[split]
        tokens = self._windows(stream, below(bits(key, PLACE), len(stream) - self.context))
        document = np.cumsum(np.pad(tokens[:, :-1] == END, ((0, 0), (1, 0))), 1)
        targets = np.ones(tokens.shape, bool)
        targets[:, 0] = False
        return to_batch(tokens, targets, document)

    def _windows(self, stream: NDArray[np.int64], begin: NDArray[np.int64]) -> NDArray[np.int64]:
        return stream[begin[:, None] + np.arange(self.context)]

    def questions(self, seed: int, rows: int | range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Windows [rows, choices, context] that differ only in their last `answer` characters, and the true choice [rows]."""
        key = address(seed, 2, row_numbers(rows))
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

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the characters that are the most likely one (the multiple-choice score needs a model)."""
        right = (guesses == batch.tokens).numpy()
        return accuracy([r[t].tolist() for r, t in zip(right, batch.targets.numpy(), strict=True)])


@lru_cache(maxsize=4)
def read_corpus(corpus: str) -> tuple[str, ...]:
    """The documents of a corpus, in a fixed order. Raises ValueError if there are none."""
    if corpus == "python":
        return tuple(_python_documentation())
    path = Path(corpus).expanduser()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".md", ".rst"))
    documents = tuple(text for text in (p.read_text(encoding="utf-8", errors="replace").strip() for p in files) if text)
    if not documents:
        raise ValueError(
            f"corpus {corpus!r} holds no text; give a text file, a folder of .txt, .md or .rst files, or "
            "'python' for the help topics of this Python"
        )
    if len(documents) == 1:  # one long file: its paragraphs are the documents
        documents = tuple(part for part in documents[0].split("\n\n") if part.strip())
    return documents


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


def encode(documents: Sequence[str]) -> NDArray[np.int64]:
    """Character ids of the documents, each followed by <end>."""
    table = np.full(0x110000, CHARACTERS.index("?"), np.int16)
    for i, character in enumerate(CHARACTERS[2:], start=2):
        table[ord(character)] = i
    parts = [np.append(table[np.frombuffer(d.encode("utf-32-le"), np.uint32)], END) for d in documents]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def decode(tokens: Sequence[int]) -> str:
    """The text of character ids; <end> becomes a line of dashes."""
    return "".join("\n---\n" if t == END else CHARACTERS[t] for t in tokens if t != 0)
