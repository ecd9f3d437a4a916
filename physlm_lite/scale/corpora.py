"""The prepared text that a recipe asks for, as the task that its run trains on."""

from __future__ import annotations

import dataclasses

from ..data.prepare import prepare
from ..data.tokenizer import load_tokenizer
from ..tasks.prepared import Prepared, corpora_home
from ..tasks.shards import MANIFEST
from ..tasks.text import KJV, PYTHON
from ..training import Run, Training
from .recipe import Recipe


def task_of(recipe: Recipe) -> Prepared:
    """The task of a recipe: a step of it is `batch(recipe.data.seed, step, rows)`, of which each rank takes its own rows.

    Raises ValueError for a corpus that is not here, that was prepared with tokens that the model does not know, or with marks
    that the recipe leaves out.
    """
    task = Prepared(recipe.data.sources, window=recipe.data.window, rows=recipe.batch.rows)
    for corpus in task.corpora:
        if corpus.tokenizer.vocabulary > recipe.model.vocab:
            raise ValueError(
                f"{corpus.folder} was prepared with a tokenizer of {corpus.tokenizer.vocabulary:,} tokens, "
                f"{corpus.tokenizer.name}, and the model of {recipe.name} knows {recipe.model.vocab:,}; prepare the text with "
                f"the tokenizer {recipe.data.tokenizer}"
            )
        for mark in ("begin", "end"):
            if getattr(corpus.tokenizer, mark) is not None and not getattr(recipe.data, mark):
                raise ValueError(
                    f"{corpus.folder} has a mark at each document's {mark}, and {recipe.name} wants none; prepare the text with "
                    f"--{mark} none"
                )
    return task


def run_of(recipe: Recipe) -> Run:
    """The recipe as the run that the trainer of all runs carries out; `Run.hash` names it.

    Raises ValueError where `task_of` does, and for a model that does not have exactly the tokens of its text.
    """
    task, data, optimizer, schedule = task_of(recipe), recipe.data, recipe.optimizer, recipe.schedule
    if len(task.vocabulary) != recipe.model.vocab:
        raise ValueError(
            f"the text of {recipe.name} has {len(task.vocabulary):,} tokens, and its model {recipe.model.vocab:,}; say "
            f"model: {{vocab: {len(task.vocabulary)}}}"
        )
    model = dataclasses.asdict(recipe.model)
    del model["vocab"]
    training = Training(
        steps=schedule.steps,
        batch=recipe.batch.rows,
        learning_rate=optimizer.learning_rate,
        warmup=schedule.warmup,
        schedule=schedule.shape,
        final=schedule.final,
        beta1=optimizer.beta1,
        beta2=optimizer.beta2,
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        clip=optimizer.clip,
        evaluations=max(1, schedule.steps // recipe.keeping.evaluate_every),
        evaluation_rows=min(256, recipe.batch.rows),
        dtype=recipe.precision.compute,
        leaky=data.leaky,
        optimizer=optimizer.kind,
        decay_all=optimizer.decay_all,
        squared_loss=recipe.squared_loss,
        first_zero=schedule.first_zero,
        data_seed=None if data.seed == recipe.seed else data.seed,
    )
    options = {"sources": dict(data.sources), "window": data.window, "rows": recipe.batch.rows}
    return Run("prepared", options, model, training, recipe.seed)


def prepare_known(recipe: Recipe) -> None:
    """Prepare those corpora of a recipe that need no file, "kjv" and "python", unless they are there; seconds.

    One process of a run does it, before the others ask for the task.
    """
    for name in recipe.data.sources:
        if name in (KJV, PYTHON) and not (corpora_home() / name / MANIFEST).is_file():
            prepare([name], corpora_home() / name, load_tokenizer(recipe.data.tokenizer), held_out=20)
