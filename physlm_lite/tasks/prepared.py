"""Prepared text: windows of the corpora that `physlm prepare` wrote, in a shuffled order, each corpus with its share (Part 4.2).

Which window stands where is a pure function of (seed, number of the window in the run). So nothing has to be kept to go on
after a stop, and a step has the same windows whatever the number of ranks and workers that share it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.reading import fingerprint
from ..base.strict import Positive, Range, verify
from .batch import Batch, Rows, Steps, accuracy, in_chunks, row_numbers, split_number, to_batch
from .draws import Ints, address
from .metric import Metric, by_name, share
from .order import shuffled
from .shards import Corpus, open_corpus

BLOCK = 10_000  # windows of a mixture in which each corpus has exactly its share
MIXTURE, ORDER = range(2)  # streams of draws


@dataclass(frozen=True)
class Prepared:
    """Rows of `window` + 1 tokens: all but the first are predicted, so a row of a corpus goes on where another one ended.

    sources: the folders of prepared corpora, and how much of each is wanted; a name that is no folder here is looked for in the
    folder PHYSLM_CORPORA. Of every 10,000 windows of a run, each corpus has exactly its share. rows: the windows of a step, all
    ranks together; a run asks for as many (`Training.batch`). A corpus is repeated, in another order, once all its windows
    have been seen. `document` says which document of its row a token belongs to; whether documents see each other is the
    trainer's choice (`leaky`), and so is the published way.

    corpus_hash: the `fingerprint` that the corpora must have together, so that a setting speaks of the same tokens everywhere.
    """

    sources: Annotated[Mapping[str, Positive], "corpora"] = field(hash=False)
    window: Annotated[int, Range(1, 2**20)] = 128
    rows: Annotated[int, Range(1, 2**20)] = 32
    corpus_hash: str | None = None
    reads: ClassVar[tuple[str, ...]] = ("sources", "corpus_hash")  # a run is named by what the files hold

    def __post_init__(self) -> None:
        verify(self)
        if not self.sources:
            raise ValueError("Prepared option sources must name at least one corpus, such as {'corpora/kjv': 1.0}")
        for name, quota in zip(self.sources, self.quotas.tolist(), strict=True):
            if not quota:
                raise ValueError(
                    f"the share of {name!r} is less than one window of {BLOCK:,}; give it more, or leave it out"
                )

    @cached_property
    def quotas(self) -> Ints:
        """The windows of each corpus in a block of 10,000: the shares, those with the largest remainders rounded up."""
        weights = np.array(list(self.sources.values()))
        exact = BLOCK * weights / weights.sum()
        quotas = np.floor(exact).astype(np.int64)
        quotas[np.argsort(quotas - exact, kind="stable")[: BLOCK - quotas.sum()]] += 1
        return quotas

    @cached_property
    def corpora(self) -> tuple[Corpus, ...]:
        """The corpora, opened. Raises ValueError for one that is not there or does not fit the others."""
        corpora = tuple(open_corpus(corpus_folder(name)) for name in self.sources)
        for corpus in corpora:
            if corpus.tokenizer.fingerprint != corpora[0].tokenizer.fingerprint:
                raise ValueError(
                    f"{corpus.folder} was prepared with the tokenizer {corpus.tokenizer.name}, and {corpora[0].folder} with "
                    f"{corpora[0].tokenizer.name}; a mixture needs one tokenizer"
                )
        together = _together(corpora, self.quotas)
        if self.corpus_hash not in (None, together):
            raise ValueError(
                f"the corpora {', '.join(self.sources)} have the fingerprint {together} here, not {self.corpus_hash}; leave "
                "corpus_hash out to train on them, which is another run"
            )
        return corpora

    @cached_property
    def fingerprint(self) -> str:
        """Names the corpora and their shares: eight hexadecimal digits."""
        return self.corpus_hash or _together(self.corpora, self.quotas)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The name of each token of the tokenizer with which the corpora were prepared."""
        return self.corpora[0].vocabulary

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, window + 1] tokens. Rows are numbered 0..`rows` - 1 within a step; a test may ask for more."""
        number, test = row_numbers(rows), split_number(split)
        if not test and number.max() >= self.rows:
            raise ValueError(
                f"row {number.max()} is asked for, and a step of this task has {self.rows}; set its option rows to the windows "
                "of a whole step (the run's batch)"
            )
        index = np.broadcast_to(np.asarray(step, np.int64) * self.rows + number, number.shape)
        corpus, place = self.places(seed, index, split)
        return in_chunks(lambda *some: self._read(split, *some), self.window + 1, corpus, place)

    def places(self, seed: int, index: NDArray[np.int64], split: str = "train") -> tuple[Ints, Ints]:
        """The corpus of each window of a run, by number, and the number of the window in it; index: 0, 1, 2, ..."""
        test = split_number(split)
        corpus, position = np.zeros_like(index), index
        if len(self.corpora) > 1:
            ends = np.cumsum(self.quotas)
            block, inside = np.divmod(index, BLOCK)
            inside = shuffled(address(seed, MIXTURE, test, block), inside, BLOCK)
            corpus = np.searchsorted(ends, inside, "right")
            position = block * self.quotas[corpus] + inside - (ends - self.quotas)[corpus]
        place = np.zeros_like(index)
        for i, one in enumerate(self.corpora):
            mine = corpus == i
            if not mine.any():
                continue
            if not (windows := one.windows(split, self.window)):
                raise ValueError(
                    f"the {split} part of {one.folder} has {one.size(split):,} tokens, too few for a window of {self.window:,}; "
                    "prepare more text, hold out more of it, or take a smaller window"
                )
            epoch, within = np.divmod(position[mine], windows)
            place[mine] = shuffled(address(seed, ORDER, test, i, epoch), within, windows)
        return corpus, place

    def _read(self, split: str, corpus: Ints, place: Ints) -> Batch:
        length = self.window + 1
        tokens, document = np.zeros((len(place), length), np.int64), np.zeros((len(place), length), np.int64)
        for i in np.unique(corpus).tolist():
            mine = corpus == i
            tokens[mine], document[mine] = self.corpora[i].read(split, place[mine] * self.window, length)
        targets = np.ones(tokens.shape, bool)
        targets[:, 0] = False
        return to_batch(tokens, targets, document)

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(
            Metric("loss_held_out", "held-out loss (nats)", lower=True),
            share("accuracy", "tokens that are the most likely one", error="standard_error"),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the tokens that are the most likely one."""
        right = (guesses == batch.tokens).numpy()
        return accuracy([r[t].tolist() for r, t in zip(right, batch.targets.numpy(), strict=True)])


def _together(corpora: tuple[Corpus, ...], quotas: Ints) -> str:
    return fingerprint([[corpus.fingerprint, quota] for corpus, quota in zip(corpora, quotas.tolist(), strict=True)])


def corpora_home() -> Path:
    """Where corpora are looked for by name: PHYSLM_CORPORA, or .physlm/corpora in the home folder."""
    return Path(os.environ.get("PHYSLM_CORPORA") or "~/.physlm/corpora").expanduser()


def corpus_folder(name: str) -> Path:
    """The folder of a corpus: of this name, or the one in `corpora_home`. ValueError if there is neither."""
    path = Path(name).expanduser()
    if path.is_dir() or path.is_absolute():
        return path
    home = corpora_home()
    if not (home / name).is_dir():
        raise ValueError(
            f"there is no prepared corpus {name!r}, neither here nor in {home}; make it with "
            f"`physlm prepare TEXT --tokenizer NAME --into {home / name}`, or name its folder"
        )
    return home / name
