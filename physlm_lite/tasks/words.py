"""From text to tokens: a tokenizer of whole words that needs no files, GPT-2's when its files are there, and a lexicon.

A tokenizer here only *splits* a text into pieces and joins them again; the vocabulary of a task is made of the pieces
that occur in it. So GPT-2's 50,257 tokens shrink to the few thousand that biographies use (Part 4.1, appendix A).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.reading import fingerprint, kept_while_unchanged, read_bytes

EOS = 1  # after `<pad>`, which is 0 in every task


class Words:
    """Whole words; a full stop, a comma and an 's at the end of one are pieces of their own.

    The spaces need no pieces: there is one before each word and none before the others.

    >>> Words().split(" Ann Lee's home is Enid, D.C.")
    ['Ann', 'Lee', "'s", 'home', 'is', 'Enid', ',', 'D.C', '.']
    >>> Words().join(Words().split(" Ann Lee's home is Enid, D.C."))
    " Ann Lee's home is Enid, D.C."
    """

    _piece = re.compile(r"(?:(?!(?:'s|[.,])+(?:\s|$))\S)+|'s|[.,]")
    _attached = frozenset((".", ",", "'s"))

    def split(self, text: str) -> list[str]:
        """The pieces of a text that has one space before each word (spaces elsewhere are lost)."""
        pieces: list[str] = self._piece.findall(text)
        return pieces

    def join(self, pieces: Sequence[str]) -> str:
        """The text of the pieces."""
        return "".join(piece if piece in self._attached else f" {piece}" for piece in pieces)


class Spaces:
    """Whatever stands between spaces: the toy formats, where each value is one piece."""

    def split(self, text: str) -> list[str]:
        """The pieces of a text that has one space before each of them."""
        return text.split()

    def join(self, pieces: Sequence[str]) -> str:
        """The text of the pieces."""
        return "".join(f" {piece}" for piece in pieces)


class GPT2:
    """GPT-2's byte-level tokenizer, from a folder with its files vocab.json and merges.txt.

    A piece is written as in those files: "Ġwas" is " was".
    """

    def __init__(self, folder: str | Path):
        for file in _gpt2_files(folder):
            if not file.is_file():
                raise ValueError(
                    f"{folder} has no {file.name}; GPT-2's tokenizer needs its vocab.json and merges.txt there"
                )
        try:
            from tokenizers import ByteLevelBPETokenizer
        except ImportError as error:
            raise ValueError("GPT-2's tokenizer needs the package tokenizers: pip install tokenizers") from error
        try:
            self._tokenizer: Any = ByteLevelBPETokenizer.from_file(*map(str, _gpt2_files(folder)))
        except Exception as error:  # the package raises nothing more particular
            raise ValueError(f"the files vocab.json and merges.txt of {folder} are not GPT-2's: {error}") from error
        self.fingerprint = fingerprint([hashlib.sha256(read_bytes(file)).hexdigest() for file in _gpt2_files(folder)])

    def split(self, text: str) -> list[str]:
        """The pieces of any text."""
        pieces: list[str] = self._tokenizer.encode(text).tokens
        return pieces

    def join(self, pieces: Sequence[str]) -> str:
        """The text of the pieces."""
        text: str = self._tokenizer.decode([self._tokenizer.token_to_id(piece) for piece in pieces])
        return text


def _gpt2_files(folder: str | Path) -> list[Path]:
    return [Path(folder, name) for name in ("vocab.json", "merges.txt")]


read_gpt2 = kept_while_unchanged(_gpt2_files)(GPT2)  # made once while the folder's files stay as they are

Tokenizer = Words | Spaces | GPT2  # splits a text into pieces without loss


class Lexicon:
    """Items, each a few tokens long, that texts are put together from.

    `vocabulary` names the token ids: `<pad>`, `<eos>`, then pieces in the order of their first appearance. `tokens`
    holds all items one after the other, item i at start[i] : start[i] + length[i]; `marked` (of the same shape) says
    which tokens of an item are the thing itself, a name or a value, and not the words around it.
    """

    def __init__(self) -> None:
        self._number = {"<pad>": 0, "<eos>": EOS}
        self._lengths: list[int] = []
        self._tokens: list[int] = []
        self._marked: list[bool] = []

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, pieces: Sequence[str], marked: range) -> None:
        """A new item, its number being the count of those before it; `marked` are the places of its marked pieces."""
        self._lengths.append(len(pieces))
        self._tokens += [self._number.setdefault(piece, len(self._number)) for piece in pieces]
        self._marked += [place in marked for place in range(len(pieces))]

    def close(self) -> None:
        """Lay the items out as arrays; nothing can be added afterwards."""
        self.vocabulary = tuple(self._number)
        self.length = np.array(self._lengths)
        self.start = np.cumsum(self.length) - self.length
        self.tokens = np.array(self._tokens)
        self.marked = np.array(self._marked)

    def write(self, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The place in `tokens` of each token of these items, one after the other, and the length of each item."""
        length = self.length[items]
        place = np.repeat(self.start[items] - (np.cumsum(length) - length), length)
        place += np.arange(len(place))
        return place, length
