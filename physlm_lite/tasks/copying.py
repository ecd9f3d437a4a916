"""The copy toy: repeat a random permutation (Part 4.1, section 4 and figure 5).

The smallest task that wants one local and one global step: to repeat a symbol, the model must find where it stood the
first time (global) and take the symbol *after* it (local).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from ..base.strict import Count, Range, verify
from .batch import PAD, Batch, Rows, Steps, accuracy, in_chunks, row_numbers, split_number, to_batch
from .draws import U64, address, below, bits
from .metric import Metric, by_name, share
from .names import shuffle


@dataclass(frozen=True)
class Copy:
    """`<bos>`, a permutation of n symbols, `<query>`, the same permutation; loss on the second half.

    The paper's setting is n = 500 in a context of 1,024. With `shortest`, each row has a length of its own, uniform in
    shortest..n, and is padded on the right. At a fixed small n, a model can copy by counting ("look n + 1 back")
    without looking at the symbols at all; at a varying length it cannot.

    >>> from physlm_lite.tasks import text_view
    >>> task = Copy(n=4)
    >>> print(text_view(task, task.batch(seed=0, step=0, rows=1)))
    tokens <bos> 2 3 4 1 <query> 2 3 4 1
    labels     . . . . .       2 3 4 1 .
    loss       0 0 0 0 0       1 1 1 1 0
    """

    n: Annotated[int, Range(2, 2**14 - 1)] = 500
    shortest: Count | None = None

    fingerprint = ""  # it reads no files

    def __post_init__(self) -> None:
        verify(self)
        if self.shortest is not None and self.shortest > self.n:
            raise ValueError(f"shortest must lie in 1..n = {self.n}, not {self.shortest}")

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        return ("<pad>", "<bos>", "<query>", *(str(i + 1) for i in range(self.n)))

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, 2n + 2] tokens; see `Task.batch`."""
        key = address(seed, split_number(split), step, row_numbers(rows))
        return in_chunks(self._rows, 2 * self.n + 2, key)

    def _rows(self, key: U64) -> Batch:
        random = bits(key[:, None], 0, np.arange(self.n)).ravel()
        symbols = 3 + shuffle(random, np.full(len(key), self.n)).reshape(-1, self.n)
        shortest = self.n if self.shortest is None else self.shortest
        length = shortest + below(bits(key, 1), self.n - shortest + 1)[:, None]
        place = np.arange(2 * self.n + 2)[None]
        source = np.where(place <= length, place - 1, place - length - 2).clip(0, self.n - 1)
        inside = place < 2 * length + 2
        tokens = np.where(inside, np.take_along_axis(symbols, source, 1), PAD)
        tokens[:, 0] = 1
        np.put_along_axis(tokens, length + 1, 2, 1)
        targets = inside & (place > length + 1)
        return to_batch(tokens, targets, np.where(inside, 0, -1))

    @property
    def metrics(self) -> dict[str, Metric]:
        return by_name(share("accuracy", "accuracy", error="standard_error", guess=lambda: 1 / self.n))

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the repeated symbols that are right, graded from the text alone."""
        right = []
        for tokens, guess in zip(batch.tokens.tolist(), guesses.tolist(), strict=True):
            query = tokens.index(2)
            original = tokens[1:query]
            answer = guess[query + 1 : query + 1 + len(original)]
            right.append([a == b for a, b in zip(original, answer, strict=True)])
        return accuracy(right)
