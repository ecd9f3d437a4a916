"""Checkpoints are written beside the training: they hold the state of their step, and count only when they are whole."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from data.small_corpus import small_corpus
from scale.rank_work import kept_while_it_goes_on, trainers
from scale.ranks import on_ranks
from scale.small_recipes import small

from physlm_lite.base.files import StorageError
from physlm_lite.scale import checkpoint as module
from physlm_lite.scale.checkpoint import NAME, Saver, resume, saved_steps
from physlm_lite.scale.recipe import Recipe
from physlm_lite.scale.trackers import tracker_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return small(small_corpus(), steps=40)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_checkpoint_holds_the_state_at_which_it_was_begun(recipe: Recipe, tmp_path: Path, ranks: int) -> None:
    assert on_ranks(ranks, kept_while_it_goes_on, recipe, tmp_path) == [True] * ranks
    assert saved_steps(tmp_path) == [3]


def test_training_goes_on_while_it_is_written_and_it_counts_when_it_is_whole(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, sealed, told = threading.Event(), module._seal, []

    def slow(*arguments: Any) -> None:
        assert go_on.wait(60)
        sealed(*arguments)

    monkeypatch.setattr(module, "_seal", slow)
    with trainers(recipe) as (trainer, other), Saver(trainer, tmp_path, lambda: told.append(trainer.step)) as saver:
        saver.begin()
        for _ in range(3):
            trainer.train_step()
            saver.look()
        assert saved_steps(tmp_path) == [] and resume(other, tmp_path) == 0 and not told
        go_on.set()
        until = time.monotonic() + 60
        while not told and time.monotonic() < until:
            saver.look()
        assert (told, saved_steps(tmp_path)) == ([3], [0])
        saver.begin()  # the next one is waited for at the end
    assert saved_steps(tmp_path) == [0, 3]


def test_one_that_cannot_be_written_is_told_when_it_is_known_and_takes_nothing_away(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trainers(recipe) as (trainer, _):
        with Saver(trainer, tmp_path) as saver:
            saver.begin()
        trainer.train_step()

        def full(written: Future[Any], *_: Any) -> None:
            written.result()  # as the real one does: nobody writes any more when it is taken away
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module, "_seal", full)
        with (
            pytest.raises(StorageError, match=r"could not write .*step-0000000001: No space left on device; the check"),
            Saver(trainer, tmp_path) as saver,
        ):
            saver.begin()
    assert [path.name for path in tmp_path.iterdir()] == [NAME.format(0)]


def test_a_stopped_run_goes_on_as_the_same_run_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in with the documented calls: it is not installed here."""
    begun, lines = [], []

    def init(**options: Any) -> Any:
        begun.append(options)
        return SimpleNamespace(log=lambda numbers, step: lines.append((step, numbers)))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    take = tracker_of("wandb", "physlm", tmp_path / "small")
    assert take is not None
    take({"step": 3, "loss": 1.5, "mfu": None, "scores": {"accuracy": 0.5}})
    assert lines == [(3, {"loss": 1.5})]
    (options,) = begun
    assert (options["project"], options["name"], options["id"], options["resume"]) == (
        "physlm",
        "small",
        "small",
        "allow",
    )
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModuleNotFoundError, match="wandb"):
        tracker_of("wandb", "physlm", tmp_path)
