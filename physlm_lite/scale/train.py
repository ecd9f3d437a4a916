"""A recipe carried out, on however many ranks there are: the trainer of the toys, on a model that was placed.

    torchrun --nproc-per-node 8 -m physlm_lite.cli train LlamaCanon-1B-Nemo-1T-lr0.002

Everything stands in one folder: checkpoints/, metrics.jsonl, record.json, and at the end model/, in the published layout.
Started again, it goes on; SIGTERM, SIGINT and SIGUSR1 save the state first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..base.files import StorageError, locked, refuse_unwritable, write_json, write_whole
from ..base.machine import peak_memory_mb
from ..base.reading import read_yaml
from ..data.tokenizer import tokenizer_of
from ..models import LanguageModel
from ..training import OtherRank, Progress, Record, Run, Share, Store, Trainer, runs_folder, train
from ..training.loop import record_of, take_steps
from .checkpoint import Saver, prune, resume, saved_steps
from .corpora import prepare_known, run_of, task_of
from .place import group, mesh, place
from .plan import GPUS, model_way, training_flops
from .published.folders import save_pretrained
from .published.layouts import write_keys
from .recipe import Recipe, load_recipe
from .trackers import Tracker, tracker_of

log = logging.getLogger(__name__)
SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")


def carry_out(name: str | Path, into: Path | None = None, **options: Any) -> Record:
    """Train what a name stands for: a recipe, or a YAML file that holds one, or a toy's run (one with a `task`).

    into: the folder (None: one of the recipe's name among the records). options: of `train_recipe`, for recipes alone.
    What all ranks find wrong in the same way, the first of them says; the others raise `OtherRank`.
    """
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    try:
        content = read_yaml(name) if Path(name).suffix in (".yaml", ".yml") else None
        if isinstance(content, Mapping) and "task" in content:
            if ranks > 1 or any(options.values()):
                raise ValueError(f"{name} is a run of one process; leave out torchrun, and the options of recipes")
            return train(Run.from_dict(content), store=Store(*([into] if into else [])))
        recipe = load_recipe(name)
        recipe.divided(ranks, options.get("rows"))
    except ValueError as error:
        raise error if rank == 0 else OtherRank(str(error)) from error
    return train_recipe(recipe, into or runs_folder() / recipe.name, **options)


def train_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    rows: int | None = None,
    replicas: int = 1,
    checkpointing: str = "none",
    compile: bool = False,
    tracker: str | None = None,
) -> Record:
    """Carry a recipe out in a folder, or go on with it, and return its record (as `training.train` does).

    rows: on each rank at a time; replicas, checkpointing, compile: as in `place`. None of them changes what is computed, but
    for rounding. tracker: "tensorboard", "trackio" or "wandb", beside the metrics that are written in any case.

    Raises, in one sentence, ValueError for ranks that do not divide the rows of a step or text that is not there, StorageError
    for a folder that cannot be used, and ConnectionError for ranks that are lost.
    """
    with group() as (rank, ranks), contextlib.ExitStack() as stack:
        division = recipe.divided(ranks, rows)
        share = Share(rank, ranks, division.turns)
        net = mesh(replicas)
        share.first(lambda: _begin(recipe, folder, stack))
        run = run_of(recipe)
        if recipe.precision.rounded_norm and rank == 0:
            log.warning("rounded_norm is not carried out: the norm's factor multiplies in the numbers of its layer")
        model = place(recipe.model, net, recipe.precision, recipe.seed, checkpointing, compile)
        device = f"cuda:{torch.cuda.current_device()}" if net.device_type == "cuda" else "cpu"
        trainer = Trainer(run, device, model, share)
        checkpoints = folder / "checkpoints"
        begun = resume(trainer, checkpoints)
        if rank == 0:
            log.info("%s: %s; from step %s", recipe.name, division, f"{begun:,}")
        metrics = Metrics(recipe, trainer, folder, tracker_of(tracker, recipe.name, folder) if rank == 0 else None)

        def kept() -> None:
            prune(checkpoints, recipe.keeping.saves, recipe.keeping.evaluate_every)

        def due() -> bool:
            saver.look()
            return trainer.step % recipe.keeping.save_every == 0 or trainer.step == recipe.schedule.steps

        asked = stack.enter_context(_asked_to_stop())
        with _lost_ranks_named(trainer, checkpoints):
            with Saver(trainer, checkpoints, kept) as saver:
                said = take_steps(trainer, metrics, lambda: share.sum(asked())[0] > 0, saver.begin, due)
            record = record_of(run, trainer.device, *said, trainer)
            share.first(lambda: write_json(folder / "record.json", record.to_dict()))
            if record.status == "finished":
                export(trainer, folder / "model", recipe)
        return record


def _begin(recipe: Recipe, folder: Path, stack: contextlib.ExitStack) -> None:
    """What one rank does for all: the folder, kept from others, and text that makes itself."""
    refuse_unwritable(folder)
    if stack.enter_context(locked(folder / ".lock")) is False:
        raise StorageError(f"{folder} is in the hands of another run just now; wait for it, or name another folder")
    prepare_known(recipe)
    task_of(recipe)
    write_json(folder / "checkpoints" / "config.json", write_keys(recipe.model))


class Metrics:
    """A line of JSON every so many steps, written by the first rank: how it learns, how fast, and what it waits for.

    loss, rate, norm (of the gradient): of this step. tokens: seen so far. The others since the last line: seconds a step,
    tokens_per_second of all ranks, mfu (share of the peak of the GPUs that does what the model needs, None for an unknown
    kind), data_wait (share of the time until rows were there). memory: GB at the fullest moment of this rank.
    """

    def __init__(self, recipe: Recipe, trainer: Trainer, folder: Path, tracker: Tracker | None) -> None:
        self.recipe, self.trainer, self.path, self.tracker = recipe, trainer, folder / "metrics.jsonl", tracker
        ways = training_flops(recipe.model, recipe.data.window)
        self.flops, peak = ways[model_way(recipe.model)], peak_of(trainer.device)
        self.peak = peak and peak * trainer.share.ranks
        self.last, self.since, self.waited = trainer.step, time.perf_counter(), 0.0
        if trainer.share.rank == 0 and self.path.exists():  # what was learnt after the last checkpoint is learnt again
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= trainer.step]
            text = "".join(f"{line}\n" for line in kept).encode()
            write_whole(self.path, lambda temporary: temporary.write_bytes(text))

    def __call__(self, progress: Progress) -> None:
        recipe, trainer = self.recipe, self.trainer
        self.waited += trainer.waited
        if trainer.share.rank or (
            progress.step % recipe.keeping.log_every
            and progress.scores is None
            and progress.step < recipe.schedule.steps
        ):
            return
        seconds = (now := time.perf_counter()) - self.since
        speed = (progress.step - self.last) * recipe.tokens_per_step / seconds
        line = {
            "step": progress.step,
            "loss": progress.loss,
            "rate": recipe.rate(progress.step - 1),
            "norm": trainer.norm,
            "tokens": progress.step * recipe.tokens_per_step,
            "seconds": round(seconds / (progress.step - self.last), 4),
            "tokens_per_second": round(speed, 1),
            "mfu": self.peak and round(speed * self.flops / self.peak, 4),
            "memory": round(_memory(trainer.device) / 1e9, 3),
            "data_wait": round(self.waited / seconds, 4),
            **({"scores": progress.scores} if progress.scores is not None else {}),
        }
        log.info("step %s: loss %.4f, %s tokens/s", f"{progress.step:,}", progress.loss, f"{speed:,.0f}")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.tracker is not None:
            self.tracker(line)
        self.last, self.since, self.waited = progress.step, now, 0.0


def _step_of(line: str) -> float:
    """Of a line of the metrics; one that was cut off in the middle belongs to none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def peak_of(device: torch.device) -> float | None:
    """Operations a second that a device of this kind is sold with, by the planner's table; None for one that is not in it."""
    if device.type == "cpu":
        return GPUS["cpu"].tflops * 1e12
    name = torch.cuda.get_device_name(device).lower().replace(" ", "").replace("-", "")
    return next((gpu.tflops * 1e12 for kind, gpu in GPUS.items() if kind.replace("-", "") in name), None)


def _memory(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory_mb() * 1e6


def export(trainer: Trainer, folder: Path, recipe: Recipe) -> None:
    """Write the weights of all ranks as one published folder, the tokenizer beside them. All ranks call it together."""
    share = trainer.share
    state = {}
    for name, weight in trainer.weights.items():
        whole: Tensor = weight.detach().full_tensor()  # type: ignore[attr-defined]
        if share.rank == 0:
            state[name] = whole.cpu()

    def write() -> None:
        with torch.device("meta"):
            model = LanguageModel(recipe.model)
        if recipe.model.tied:
            state["head.weight"] = state["embedding.weight"]
        model.load_state_dict(state, assign=True)
        if recipe.model.tied:
            model.head.weight = model.embedding.weight
        save_pretrained(model, folder)
        if (tokenizer := tokenizer_of(task_of(recipe).corpora[0].folder)) is not None:
            tokenizer.save(folder)

    share.first(write)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Did one of `SIGNALS` come? A second SIGINT ends the process as it always does."""
    asked, before = False, {}

    def note(number: int, _: Any) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is threading.main_thread():  # only there may handlers be set
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _lost_ranks_named(trainer: Trainer, checkpoints: Path) -> Iterator[None]:
    """What PyTorch says at length when a rank is gone, in one sentence."""
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, dist.DistError) and not any(word in text for word in ("gloo", "Gloo", "NCCL", "peer")):
            raise
        saved = saved_steps(checkpoints)
        raise ConnectionError(
            f"rank {trainer.share.rank} lost another rank at step {trainer.step:,}; started again, the run goes on from "
            f"{f'step {saved[-1]:,}' if saved else 'its beginning'}"
        ) from error
