"""The recall toy: say again which digit belongs to a letter; the smallest text with pairs that have to be bound.

It is a small relative of "associative recall", for the lessons on linear mixers (Part 4.1, section 6): what a state keeps of
a token helps only if the token's neighbour is kept with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from ..base.strict import Range, verify
from .batch import Batch, Rows, Steps, accuracy, in_chunks, row_numbers, split_number, to_batch
from .draws import U64, address, below, bits
from .metric import Metric, by_name, share

LETTERS, DIGITS = "ABCDEFGH", "01234567"


@dataclass(frozen=True)
class Recall:
    """Pairs of a letter and a digit, then the same letters in another order, each with its digit again: these carry loss.

    A letter is the key to the token *after* it. A letter occurs in one pair only, a digit may occur in several.

    >>> from physlm_lite.tasks import text_view
    >>> task = Recall()
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens H 5 E 4 B 7 C 4 E 4 H 5 B 7 C 4
    labels . . . . . . . . 4 . 5 . 7 . 4 .
    loss   0 0 0 0 0 0 0 0 1 0 1 0 1 0 1 0
    """

    pairs: Annotated[int, Range(2, len(LETTERS))] = 4

    fingerprint = ""  # it reads no files

    def __post_init__(self) -> None:
        verify(self)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        return ("<pad>", *LETTERS, *DIGITS)

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, 4 * pairs] tokens; see `Task.batch`."""
        key = address(seed, split_number(split), step, row_numbers(rows))
        return in_chunks(self._rows, 4 * self.pairs, key)

    def _rows(self, key: U64) -> Batch:
        key = key[:, None]
        letters = 1 + bits(key, 0, np.arange(len(LETTERS))).argsort(1)[:, : self.pairs]
        digits = 1 + len(LETTERS) + below(bits(key, 1, np.arange(self.pairs)), len(DIGITS))
        order = bits(key, 2, np.arange(self.pairs)).argsort(1)
        both = np.stack([letters, digits], 2)
        again = np.take_along_axis(both, order[:, :, None], 1)
        tokens = np.concatenate([both, again], 1).reshape(len(key), -1).astype(np.int64)
        targets = np.zeros(tokens.shape, bool)
        targets[:, 2 * self.pairs + 1 :: 2] = True
        return to_batch(tokens, targets, np.zeros_like(tokens))

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(share("accuracy", "digits recalled", error="standard_error", guess=lambda: 1 / len(DIGITS)))

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the recalled digits that are right, graded from the text alone."""
        right = []
        for tokens, guess in zip(batch.tokens.tolist(), guesses.tolist(), strict=True):
            first, again = 2 * self.pairs, range(2 * self.pairs, 4 * self.pairs, 2)
            digit = dict(zip(tokens[:first:2], tokens[1:first:2], strict=True))
            right.append([guess[place + 1] == digit[tokens[place]] for place in again])
        return accuracy(right)
