"""What a probe asks a model that follows hops: where it stands on its way."""

from __future__ import annotations

import torch

from ...lab.inside import Asked, Question
from ...tasks import Batch, Depo

ROWS = 256


def after(task: Depo, hops: int, asked: int, rows: int = ROWS) -> Question:
    """Before the answer to a question of `asked` hops: which node lies `hops` after the one that it names?

    ValueError for names of several tokens, which no probe reads at once.
    """
    if task.longest > 1:
        raise ValueError(f"a probe reads names of one token, and longest is {task.longest}; take longest=1")

    def question(seed: int) -> tuple[Batch, Asked]:
        batch = task.batch(seed, 0, rows, split="test")
        place, wanted = [], []
        for row, (tokens, document) in enumerate(zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)):
            successor, queries = task.read(tokens[: document.count(0)], cut=True)
            for k, node, first, _ in queries:
                if k == asked:
                    for _ in range(hops):
                        node = successor[node]
                    place.append((row, first - 1))
                    wanted.append(node[0])
        return batch, Asked(torch.tensor(place), torch.tensor(wanted))

    return question
