"""What the ranks of a test do."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from scale.small_recipes import MODELS

from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import train
from physlm_lite.scale.checkpoint import Saver, resume
from physlm_lite.scale.corpora import run_of
from physlm_lite.scale.place import group, mesh, place
from physlm_lite.scale.recipe import Precision, Recipe
from physlm_lite.training import Progress, Share, Trainer

FLOAT = Precision(compute="float32")


def config(name: str) -> ModelConfig:
    return ModelConfig(vocab=50, **MODELS[name])


def differing(replicas: int) -> list[str]:
    """The weights of placed models that are not those of one process."""
    with group():
        net = mesh(replicas)
        found = []
        for name in MODELS:
            model, whole = place(config(name), net, FLOAT, seed=7), LanguageModel(config(name), seed=7)
            for (called, ours), theirs in zip(model.named_parameters(), whole.parameters(), strict=True):
                if not torch.equal(ours.full_tensor(), theirs):  # type: ignore[operator]
                    found.append(f"{name} {called}")
        return found


def trained(recipe: Recipe, folder: Path, stop_at: int | None = None, **options: Any) -> str:
    """Train, or go on; the status of the record. stop_at: after this step a signal comes, to one rank alone."""

    class Stopping(train.Metrics):
        def __call__(self, progress: Progress) -> None:
            super().__call__(progress)
            if progress.step == stop_at and self.trainer.share.rank == self.trainer.share.ranks - 1:
                os.kill(os.getpid(), signal.SIGUSR1)

    before, train.Metrics = train.Metrics, Stopping  # type: ignore[misc]
    try:
        return train.train_recipe(recipe, folder, **options).status
    finally:
        train.Metrics = before  # type: ignore[misc]


def trained_on_little_disk(recipe: Recipe, folder: Path, size: int) -> str:
    """The same where no file may have more than `size` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return trained(recipe, folder)


def alone_among(ranks: int) -> None:
    """One rank of several, the others of which never come."""
    os.environ["WORLD_SIZE"] = str(ranks)
    with group(patience=1):
        pass


@contextmanager
def trainers(recipe: Recipe) -> Iterator[tuple[Trainer, Trainer]]:
    """Two of the same, on all ranks."""

    def made() -> Trainer:
        model = place(recipe.model, net, recipe.precision, recipe.seed, "none", False)
        return Trainer(run_of(recipe), "cpu", model, Share(rank, ranks, recipe.divided(ranks).turns))

    with group() as (rank, ranks):
        net = mesh()
        yield made(), made()


def state(trainer: Trainer) -> dict[str, Any]:
    """A copy of all that a checkpoint holds, of this rank's part."""
    tensors = {name: getattr(t, "_local_tensor", t).detach().clone() for name, t in trainer.tensors().items()}
    return {**tensors, "counters": json.loads(json.dumps(trainer.counters()))}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same = [torch.equal(x, other[name]) if isinstance(x, torch.Tensor) else x == other[name] for name, x in one.items()]
    return one.keys() == other.keys() and all(same)


def kept_while_it_goes_on(recipe: Recipe, folder: Path) -> bool:
    """Five steps are taken between the beginning of a save and its end: is what it holds that of its beginning?"""
    with trainers(recipe) as (trainer, other):
        for _ in range(3):
            trainer.train_step()
        before = state(trainer)
        with Saver(trainer, folder) as saver:
            saver.begin()
            for _ in range(5):
                trainer.train_step()
        return resume(other, folder) == 3 and equal(before, state(other)) and not equal(before, state(trainer))
