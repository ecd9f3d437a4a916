"""Filler: true sentences of some text, in which a probe hides its own (Part 4.1, section 8 and appendix A).

The default text needs no download: the documentation that comes with Python itself. Give `Filler.from_path` a corpus of
your own (the paper used Wikipedia articles) for numbers to compare with others.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import sysconfig
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated

from ..base.reading import read_text, text_files
from ..base.strict import Range, verify
from ..tasks.draws import U64
from .probe import Dice, Tokenizer, count_tokens

MOST_FILLER = 2**22  # tokens: more than any context we know of

# Streams of draws; the sources number their own from 0 up.
START, PLACES = 100, 101

# Words that carry a full stop inside a sentence.
TITLES = set("mr mrs ms dr prof st sr jr gen col lt capt sgt rev hon pres gov sen rep mt ft".split())
REFERENCES = set("vs cf fig figs eq eqs sec sect ch vol ed eds approx dept est incl inc ltd co corp".split())
NUMBERED = set("no nos p pp art pt".split())  # only before a number: "No. 5", but "He said no. Five came."

_END = re.compile(r"""([.!?…]+)(["'”’»)\]]*)\s+""")
_OPENING = re.compile(r"""["'“‘«(\[]*""")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]|[A-HJ-Z]")  # "U.S", "e.g", and the "J" of "J. Smith", but not "I"
# A plain English sentence: begins with a capital, has four words, no code and no table, and ends.
_PROSE = re.compile(r"""["“(]?[A-Z](?!.*(?:[=<>{}|\\~^@]|::|__|\*\*|--))(?:\S*\s+){3}.*[.!?]["”)]*""")


# -- sentences ---------------------------------------------------------------------------------------------------------


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space evened out; a blank line always ends one.

    A sentence ends with . ! ? or … before a word that does not begin in lower case, unless the full stop belongs to an
    abbreviation, to an initial, or to the number of an item. Decimals have no space, so they never end one.

    >>> split_sentences("Dr. A. Ross paid 3.50 for it. Why? See fig. 2 of the U.S. edition.")
    ['Dr. A. Ross paid 3.50 for it.', 'Why?', 'See fig. 2 of the U.S. edition.']
    """
    return [sentence for paragraph in re.split(r"\n\s*\n", text) for sentence in _split(" ".join(paragraph.split()))]


def _split(paragraph: str) -> list[str]:
    sentences, begin = [], 0
    for match in _END.finditer(paragraph):
        opening = _OPENING.match(paragraph, match.end())
        following = paragraph[opening.end() if opening else match.end() :][:1]
        if following.islower() or (match[0].strip() == "." and _belongs(paragraph[begin : match.start()], following)):
            continue
        sentences.append(paragraph[begin : match.end()].rstrip())
        begin = match.end()
    return [*sentences, paragraph[begin:]] if paragraph[begin:] else sentences


def _belongs(before: str, following: str) -> bool:
    """Is a full stop part of the word that stands before it?"""
    last = before.rsplit(None, 1)[-1] if before else ""
    word = last.lstrip("\"'“‘«([")
    if word.lower() in ("a.m", "p.m"):
        return False  # what follows begins with a capital
    if word.isdigit():
        return before == last  # "2. Open the door."
    lower = word.lower()
    return (
        lower in TITLES | REFERENCES or bool(_INITIALS.fullmatch(word)) or (lower in NUMBERED and following.isdigit())
    )


def words(text: str) -> list[int]:
    """The default tokenizer: one id (a checksum) for each word between white space."""
    return [zlib.crc32(word.encode()) for word in text.split()]


@lru_cache(maxsize=2**18)
def sentence_tokens(sentence: str, tokenize: Tokenizer) -> int:
    """How many tokens a sentence has by itself; remembered, because each probe walks over hundreds of them."""
    return count_tokens(sentence, tokenize)


# -- corpora -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Filler:
    """The sentences of a corpus, at least one."""

    sentences: tuple[str, ...]
    name: str = "text"

    def __post_init__(self) -> None:
        if not self.sentences:
            raise ValueError(
                f"the filler corpus {self.name!r} has no sentences; give a text, a text file or a folder of "
                ".txt, .md or .py files, or use python_documentation()"
            )

    @classmethod
    def from_text(cls, text: str, name: str = "text") -> Filler:
        """Every sentence of a text."""
        return cls(tuple(split_sentences(text)), name)

    @classmethod
    def from_path(cls, path: str | Path) -> Filler:
        """A file, or all .txt, .md and .py files of a folder, in the order of their names.

        Of Markdown and Python files only the prose is taken: whole sentences outside code blocks, and docstrings.
        """
        files = text_files(path, (".txt", ".md", ".py"))
        return cls(tuple(sentence for file in files for sentence in _read(file)), str(path))

    @cached_property
    def fingerprint(self) -> str:
        """Names the corpus: eight hexadecimal digits of its hash."""
        return hashlib.sha256("\n".join(self.sentences).encode()).hexdigest()[:8]

    def passage(
        self, start: int, limit: int, tokenize: Tokenizer = words, keep: Callable[[str], bool] | None = None
    ) -> list[str]:
        """Consecutive sentences from number `start` on, as many as stay strictly below `limit` tokens together.

        It stops before the first sentence that does not fit, or at the end of the corpus, and may then be much shorter.
        `keep`: skip the sentences for which it is false.
        """
        chosen: list[str] = []
        used = 0
        for sentence in islice(self.sentences, start, None):
            if keep is not None and not keep(sentence):
                continue
            used += sentence_tokens(sentence, tokenize)
            if used >= limit:
                break
            chosen.append(sentence)
        return chosen


def _read(file: Path) -> list[str]:
    text, kind = read_text(file), file.suffix.lower()
    if kind == ".py":
        return prose("\n\n".join(docstrings(text)))
    if kind == ".md":
        return prose(re.sub(r"^(```|~~~).*?^\1", "\n\n", text, flags=re.DOTALL | re.MULTILINE))
    return split_sentences(text)


def prose(text: str) -> list[str]:
    """Only the sentences that read like English: no headings, code or tables."""
    without_bullets = re.sub(r"^\s*[*+-]\s+", "\n\n", text, flags=re.MULTILINE)
    return [sentence for sentence in split_sentences(without_bullets) if _PROSE.fullmatch(sentence)]


def docstrings(source: str) -> list[str]:
    """The docstrings of a Python file; none if it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the file's own escapes
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return []
    places = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, places)]
    return [docstring for docstring in found if docstring]


@lru_cache(maxsize=1)
def python_documentation() -> Filler:
    """The reference topics of `help()` and the docstrings of the standard library, each sentence once.

    They differ a little between Python versions: compare `fingerprint` before you compare scores. Reading takes a second
    or two, once.
    """
    pages: dict[str, str] = {}
    with contextlib.suppress(ImportError):  # some distributions leave the topics out
        from pydoc_data.topics import topics as pages
    sentences = [sentence for name in sorted(pages) for sentence in prose(pages[name])]
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        sentences += _read(file)
    return Filler(tuple(dict.fromkeys(sentences)), "documentation of Python")


# -- hiding ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WithFiller:
    """The settings that all sources of probes share.

    filler_tokens: hide the statements in less than so many tokens of filler; 0 for none. filler: where it comes from,
    the documentation of Python unless said otherwise. tokenize: how tokens are counted, sentence by sentence and without
    special tokens; words by default. For a model, give its own tokenizer.
    """

    filler_tokens: Annotated[int, Range(0, MOST_FILLER)] = 0
    filler: Filler | None = None
    tokenize: Tokenizer = words

    def __post_init__(self) -> None:
        if self.filler is not None and not isinstance(self.filler, Filler):
            raise ValueError(
                f"filler must be a Filler, not {type(self.filler).__name__}; make one with "
                "Filler.from_text or Filler.from_path"
            )
        verify(self)

    def passage(self, key: U64, keep: Callable[[str], bool] | None = None) -> list[str]:
        """This probe's filler, from a sentence drawn uniformly."""
        if not self.filler_tokens:
            return []
        filler = self.filler or python_documentation()
        start = Dice(key, START).below(len(filler.sentences))
        return filler.passage(start, self.filler_tokens, self.tokenize, keep)

    def filler_facts(self, passage: Sequence[str]) -> dict[str, int]:
        """For a probe's `meta`: how much filler there is."""
        used = sum(sentence_tokens(sentence, self.tokenize) for sentence in passage)
        return {"filler_tokens": used, "filler_sentences": len(passage)}


def hide(statements: Sequence[str], passage: Sequence[str], key: U64) -> tuple[str, list[int]]:
    """One text of both, each in its own order, and the sentence number of each statement.

    The places of the statements are a uniform choice among all sentences.
    """
    total = len(statements) + len(passage)
    places = sorted(Dice(key, PLACES).sample(range(total), len(statements)))
    texts, rest = dict(zip(places, statements, strict=True)), iter(passage)
    return " ".join(texts[i] if i in texts else next(rest) for i in range(total)), places
