"""Tokenizers: the kit's own of single characters, which needs no file, and any of Hugging Face.

A folder of a model or of a corpus that the kit writes holds its tokenizer: `tokenizer.json`, or "characters" in
`physlm_tokenizer.json`; `tokenizer_of` finds either.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base.files import write_json, write_whole
from ..base.reading import fingerprint, read_text
from ..base.strict import shown
from ..tasks.text import CHARACTERS, END, decode, encode

OWN = "characters"
ON_THE_HUB = {"llama-2": "meta-llama/Llama-2-7b-hf", "llama-3": "meta-llama/Llama-3.1-8B"}  # as the recipes call them
FILE, MARKS = "tokenizer.json", "physlm_tokenizer.json"
# How tokenizers call the marks around a document, where no file beside them says it.
BEGINS = ("<s>", "<|begin_of_text|>", "<|endoftext|>", "<bos>")
ENDS = ("</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>")
PIECE = 400_000  # characters that are encoded at a time, as in the published training
NONE = "none"


class Tokenizer(Protocol):
    """From texts to numbers of tokens and back."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Names its content: eight hexadecimal digits."""
        ...

    @property
    def vocabulary(self) -> Sequence[str]:
        """The name of each token, by its number."""
        ...

    @property
    def begin(self) -> int | None:
        """The mark before a document, None for none."""
        ...

    @property
    def end(self) -> int | None:
        """The mark after a document, None for none."""
        ...

    def encode(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """The tokens of each text, without marks."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without marks."""
        ...

    def save(self, folder: Path) -> None:
        """Write it into a folder, where `tokenizer_of` finds it."""
        ...


@dataclass(frozen=True)
class Characters:
    """The 95 printable characters of ASCII, the line's end, and two marks; anything else becomes "?" (see tasks/text.py)."""

    begin: int | None = None
    end: int | None = END
    name: str = OWN

    @property
    def vocabulary(self) -> Sequence[str]:
        return CHARACTERS

    @property
    def fingerprint(self) -> str:
        return fingerprint([self.name, CHARACTERS])

    def encode(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        return [encode([text])[:-1].astype(np.uint8) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return decode([token for token in tokens if token not in (self.begin, self.end)])

    def save(self, folder: Path) -> None:
        _save_marks(self, folder)


@dataclass(frozen=True)
class HuggingFace:
    """One of Hugging Face's `tokenizers`. content: its tokenizer.json.

    A text that spells a special token is plain text, as in the published training; texts of more than 400,000 characters
    are encoded in pieces, cut before a white space where there is one.
    """

    name: str
    content: str
    begin: int | None = None
    end: int | None = None

    @cached_property
    def inner(self) -> Any:
        """The object of `tokenizers`."""
        tokenizer = tokenizers_package().Tokenizer.from_str(self.content)
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.content)

    @cached_property
    def vocabulary(self) -> Sequence[str]:
        names = {number: name for name, number in self.inner.get_vocab(with_added_tokens=True).items()}
        return tuple(names.get(number, f"<{number}>") for number in range(max(names) + 1))

    def encode(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        pieces = [list(in_pieces(text)) for text in texts]
        flat = [piece for parts in pieces for piece in parts]
        encoded = iter(self.inner.encode_batch_fast(flat, add_special_tokens=False))
        ids = [[np.array(next(encoded).ids, np.uint32) for _ in parts] for parts in pieces]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in ids]

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self.inner.decode(
            [token for token in tokens if token not in (self.begin, self.end)], skip_special_tokens=False
        )
        return text

    def save(self, folder: Path) -> None:
        write_whole(folder / FILE, lambda path: path.write_bytes(self.content.encode()))
        _save_marks(self, folder)
        marks = {"begin": "bos_token", "end": "eos_token"}
        named = {key: self.vocabulary[i] for mark, key in marks.items() if (i := getattr(self, mark)) is not None}
        # so that AutoTokenizer of transformers finds it
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **named})


def in_pieces(text: str, most: int = PIECE) -> Iterator[str]:
    """A text in pieces of at most `most` characters, each but the first beginning with a white space if one is near."""
    edges = [0]
    while len(text) - edges[-1] > most:
        stop = edges[-1] + most
        gap = max(text.rfind(mark, stop - most // 10, stop) for mark in " \n")
        edges.append(gap if gap > edges[-1] else stop)
    for begin, stop in pairwise([*edges, len(text)]):
        yield text[begin:stop]


def _save_marks(tokenizer: Tokenizer, folder: Path) -> None:
    write_json(folder / MARKS, {"name": tokenizer.name, "begin": tokenizer.begin, "end": tokenizer.end})


# -- finding one -------------------------------------------------------------------------------------------------------


def tokenizers_package() -> Any:
    """The package, with one thread: the kit spreads texts over processes. ValueError if it is not installed."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ImportError as error:
        raise ValueError(
            "this tokenizer needs the package tokenizers; install it with `pip install 'physlm_lite[hf]'`, or take the "
            f"tokenizer {OWN!r}, which needs none"
        ) from error
    return tokenizers


def load_tokenizer(name: str | Path, begin: str | None = None, end: str | None = None) -> Tokenizer:
    """The tokenizer "characters", that of a tokenizer.json or of the folder that holds one, "llama-2", "llama-3", or one that
    the Hub knows by this name.

    begin, end: the tokens that mark a document's begin and end; None takes the tokenizer's own, where it has them, "none" none.
    One that serves as both, as GPT-2's, stands at the end alone unless it is asked for.

    Raises ValueError for one that cannot be found or read, and for a mark that is not in its vocabulary.
    """
    name = str(name)
    if name == OWN:
        if begin not in (None, NONE):
            raise ValueError(
                f"the tokenizer {OWN!r} has no mark {begin!r} for the begin of a document; its end is <end>"
            )
        if end not in (None, NONE, CHARACTERS[END]):
            raise ValueError(f"the tokenizer {OWN!r} has the mark <end>, and no {end!r}")
        return Characters(end=None if end == NONE else END)
    path = Path(name).expanduser()
    if path.exists():
        content, said = _local(path)
    else:
        content, said = _of_the_hub(name), {}
    found = HuggingFace(name if not path.exists() else path.resolve().name, content)
    try:
        names = {token: number for number, token in enumerate(found.vocabulary)}
    except ValueError:
        raise
    except Exception as error:  # tokenizers has one exception for all, and no class for it
        raise ValueError(f"{name} is no tokenizer that `tokenizers` reads ({error}); get the file again") from error
    marks = {
        "begin": _mark(found.name, "begin", begin, said.get("bos_token"), BEGINS, names),
        "end": _mark(found.name, "end", end, said.get("eos_token"), ENDS, names),
    }
    if marks["begin"] == marks["end"] and begin is None:
        marks["begin"] = None
    return HuggingFace(found.name, content, **marks)


def tokenizer_of(folder: str | Path) -> Tokenizer | None:
    """The tokenizer in the folder of a model or of a corpus; None if there is none."""
    folder = Path(folder)
    marks = _json(folder / MARKS) if (folder / MARKS).is_file() else {}
    if (folder / FILE).is_file() or all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        found = load_tokenizer(folder)
        assert isinstance(found, HuggingFace)
        given = {key: marks[key] for key in ("begin", "end") if key in marks}
        return HuggingFace(
            marks.get("name", found.name), found.content, **{"begin": found.begin, "end": found.end, **given}
        )
    if marks.get("name") == OWN:
        return Characters(end=marks.get("end"))
    return None


def _local(path: Path) -> tuple[str, Mapping[str, Any]]:
    """The content of a tokenizer.json, and what a file beside it says of the marks."""
    if path.is_file():
        if path.suffix != ".json":
            raise ValueError(f"{path} is no tokenizer.json; name that file, or the folder that holds it")
        return read_text(path), _said(path.parent)
    if (path / FILE).is_file():
        return read_text(path / FILE), _said(path)
    if all((path / name).is_file() for name in ("vocab.json", "merges.txt")):
        package = tokenizers_package()
        made = package.ByteLevelBPETokenizer(str(path / "vocab.json"), str(path / "merges.txt"))
        return made.to_str(), _said(path)
    if (path / "tokenizer.model").is_file():
        raise ValueError(
            f"{path} has only a tokenizer.model; convert it first, with transformers and sentencepiece: "
            f"AutoTokenizer.from_pretrained({str(path)!r}).save_pretrained({str(path)!r})"
        )
    raise ValueError(f"{path} holds no {FILE}; name the folder of a tokenizer, or {OWN!r}, which needs no file")


def _of_the_hub(name: str) -> str:
    there = ON_THE_HUB.get(name, name)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", there) or there.endswith(".json"):
        raise ValueError(
            f"there is no tokenizer {shown(name)} here; name a tokenizer.json, a folder that holds one, one of the "
            f"Hub, or {OWN!r}"
        )
    try:
        content: str = tokenizers_package().Tokenizer.from_pretrained(there).to_str()
        return content
    except ValueError:
        raise
    except Exception as error:  # of the network, of the Hub, or of tokenizers, which has one exception for all
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"the tokenizer {name} is no file or folder here, and the Hub does not give {there} ({shown(reason[0], 200)}); get "
            f"its tokenizer.json and name the file, or take {OWN!r}, which needs no file"
        ) from error


def _said(folder: Path) -> dict[str, Any]:
    """The marks that tokenizer_config.json or special_tokens_map.json name."""
    said: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        content = _json(folder / name) if (folder / name).is_file() else {}
        for key in ("bos_token", "eos_token"):
            value = content.get(key)
            value = value.get("content") if isinstance(value, Mapping) else value
            if isinstance(value, str):
                said[key] = value
    return said


def _mark(
    tokenizer: str, which: str, asked: str | None, said: str | None, usual: Sequence[str], names: Mapping[str, int]
) -> int | None:
    """The number of a mark."""
    if asked == NONE:
        return None
    if asked is not None:
        if asked not in names:
            some = [token for token in (said, *usual) if token in names]
            raise ValueError(
                f"the vocabulary of {tokenizer} has no token {shown(asked)} to mark the {which} of a document; say "
                f"--{which} {some[0] if some else NONE}"
            )
        return names[asked]
    return next((names[token] for token in (said, *usual) if token is not None and token in names), None)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a JSON object, not {type(content).__name__}")
    return content
