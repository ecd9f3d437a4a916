"""Rows that are drawn ahead are those that would have been drawn."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from physlm_lite.training import Run, Share, Trainer
from physlm_lite.training.ahead import Ahead

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_next_step_is_drawn_meanwhile_and_any_other_may_be_asked_for() -> None:
    drawn, threads = [], []

    def draw(step: int) -> int:
        drawn.append(step)
        threads.append(threading.current_thread())
        return 10 * step

    ahead = Ahead(draw, last=4)
    assert [ahead(step) for step in (0, 1, 2)] == [0, 10, 20]
    assert ahead(0) == 0  # a checkpoint was loaded, say
    assert [ahead(step) for step in (1, 2, 3, 4)] == [10, 20, 30, 40]
    assert max(drawn) == 4 and drawn[:3] == [0, 1, 2]
    assert threads[0] is threading.main_thread() and threads[1] is not threading.main_thread()


def test_what_cannot_be_drawn_is_told_at_its_step() -> None:
    def draw(step: int) -> int:
        if step == 2:
            raise OSError("a shard is gone")
        return step

    ahead = Ahead(draw, last=9)
    assert [ahead(0), ahead(1)] == [0, 1]
    with pytest.raises(OSError, match="a shard is gone"):
        ahead(2)
    assert ahead(3) == 3


@pytest.mark.parametrize("share", [Share(), Share(rank=0, ranks=1, turns=2)])
def test_a_trainer_learns_the_same_whether_it_draws_ahead_or_not(tiny: Run, share: Share) -> None:
    run = dataclasses.replace(tiny.but(steps=12))
    plain, early = (Trainer(run, "cpu", share=share) for _ in range(2))
    early.drawn = Ahead(early._draw, last=11)
    assert [plain.train_step() for _ in range(12)] == [early.train_step() for _ in range(12)]
    assert not isinstance(plain.drawn, Ahead)  # on a CPU
