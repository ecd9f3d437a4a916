"""What a probe asks a model that lists a graph: what does it still have to write?"""

from __future__ import annotations

import torch

from ...lab.inside import Asked, Question
from ...tasks import Batch, Brevo

ROWS = 256


def still_to_come(task: Brevo, written: int, rows: int = ROWS) -> Question:
    """After so many names of the answer: which of all names are still to come?

    ValueError for names of several tokens, of which no probe reads which one a token belongs to.
    """
    if task.longest > 1:
        raise ValueError(f"a probe reads names of one token, and longest is {task.longest}; take longest=1")
    names = range(task.names.final, len(task.vocabulary))

    def question(seed: int) -> tuple[Batch, Asked]:
        batch = task.batch(seed, 0, rows, split="test")
        place, wanted = [], []
        for row, (tokens, document) in enumerate(zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)):
            _, _, (first, end) = task.read(tokens[: document.count(0)])
            if first + written < end - 1:  # <eos> is the last
                left = set(tokens[first + written : end])
                place.append((row, first + written - 1))
                wanted.append([name in left for name in names])
        return batch, Asked(torch.tensor(place), torch.tensor(wanted))

    return question
