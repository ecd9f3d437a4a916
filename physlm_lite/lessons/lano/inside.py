"""What a probe asks a model of a language with levels: which symbol stands above this token?"""

from __future__ import annotations

import dataclasses

import torch

from ...lab.inside import Asked, Question
from ...tasks import Batch, Lano

ROWS = 256


def symbol_above(task: Lano, levels: int, rows: int = ROWS) -> Question:
    """At each token: which symbol stands so many levels above it? One sentence a row, as the model reads it, to the left."""
    single = dataclasses.replace(task, context=None)

    def question(seed: int) -> tuple[Batch, Asked]:
        batch = single.batch(seed, 0, rows, split="test")
        place, wanted = [], []
        for row, tree in enumerate(single.derivations(seed, 0, rows, split="test")):
            symbols, _ = tree.ancestors()
            above = symbols[len(symbols) - 1 - levels]
            place += [(row, 1 + token) for token in range(len(above))]  # behind <bos>
            wanted += above.tolist()
        return batch, Asked(torch.tensor(place), torch.tensor(wanted) - min(wanted))

    return question
