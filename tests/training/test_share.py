"""What the ranks of a step have in common: the mean of their gradients is the gradient of the whole step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from physlm_lite.tasks import Batch
from physlm_lite.tasks.batch import Rows, row_numbers
from physlm_lite.training import Run, Share, Trainer, Training

ROWS = 4
RUN = Run("mano", {"L": 3}, {"width": 16, "layers": 1, "heads": 2}, Training(batch=ROWS, clip=1e9, steps=2))


class Masked:
    """Rows of another task, of which the first few alone have targets."""

    def __init__(self, rows: int) -> None:
        self.whole, self.vocabulary = RUN.made_task.batch(0, 0, ROWS), RUN.made_task.vocabulary
        self.whole.targets[rows:] = False

    def batch(self, seed: int, step: int, rows: Rows) -> Batch:
        return Batch(*(tensor[row_numbers(rows)] for tensor in self.whole))


@dataclass(frozen=True)
class Alone(Share):
    """A rank that knows what the others would say: how many targets there are, and nothing of the loss."""

    targets: int = 0

    def sum(self, *numbers: float) -> tuple[float, ...]:
        return numbers if isinstance(numbers[0], float) else (float(self.targets),)


def step(share: Share, rows: int) -> tuple[float, list[Tensor]]:
    """The loss of a step, and its gradient, where `rows` of the rows have targets."""
    trainer = Trainer(RUN, "cpu", share=share)
    trainer.task = Masked(rows)  # type: ignore[assignment]
    return trainer.train_step(), [p.grad for p in trainer.weights.values() if p.grad is not None]


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize(("ranks", "turns"), [(1, 4), (2, 1), (2, 2), (4, 1)])
def test_the_mean_over_ranks_is_the_whole(rows: int, ranks: int, turns: int) -> None:
    """Also where all targets are of one rank, and another has none, whose mean would be no number."""
    loss, gradients = step(Share(), rows)
    targets = int(Masked(rows).whole.targets[:, 1:].sum())
    losses, parts = zip(*(step(Alone(rank, ranks, turns, targets), rows) for rank in range(ranks)), strict=True)
    assert sum(losses) == pytest.approx(loss, rel=1e-6)
    for whole, *shares in zip(gradients, *parts, strict=True):
        torch.testing.assert_close(torch.stack(shares).mean(0), whole, rtol=1e-4, atol=1e-7)
