"""Runs of one shape trained at once: their weights lie side by side, and one batched product takes the place of many small ones.

A GPU spends most of a toy's step on starting one small operation after another; for a stack of runs it starts each of them
once. On a CPU, where each operation keeps a core busy, nothing is gained. This module was tested on the CPU only.

Grading is not stacked: the members of a stack take turns with it. Batches are drawn once for members of one seed.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, vmap

from ..base.files import refuse_unwritable
from ..base.machine import device_of
from ..tasks import Batch
from ..tasks.batch import PAD
from .config import Run
from .cost import TooLarge, free_memory, stacked_memory
from .loop import Progress, Stopped, grade, record_of, train
from .optimizers import MOMENTS, moments_of
from .record import Record, Status, Store
from .trainer import Diverged, Trainer

SHARE = 0.8  # of the free memory that a stack may take
IGNORED = -100  # a label that carries no loss
EMPTY = (PAD, False, -1)  # in the columns of a batch


def shape(run: Run) -> str:
    """The same text for runs that can be trained in one stack: all but the seed and the learning rate is equal.

    A mixture of experts sends its tokens wherever its weights say, and is in no stack with others; nor is a run with an option
    that a stack does not know.
    """
    settings = run.training
    training = {**dataclasses.asdict(settings), "learning_rate": None}
    unknown = settings.optimizer != "adamw" or settings.decay_all or settings.squared_loss
    alone = run.hash if run.model_config.experts or unknown else ""
    return json.dumps([run.setting, training, alone], sort_keys=True)


def stacks(runs: Sequence[Run], memory: int | None = None, device: str | None = None) -> list[list[Run]]:
    """The runs in groups that `train_stacked` takes, each as large as `memory` allows (bytes; default: what is free on the
    device); in the order in which their first members come. What stands there twice is left out."""
    if memory is None:
        memory = int(SHARE * free_memory(device_of(device)))
    alike: dict[str, dict[str, Run]] = {}
    for run in runs:
        alike.setdefault(shape(run), {}).setdefault(run.hash, run)
    groups = []
    for found in alike.values():
        members = list(found.values())
        most = max(1, memory // stacked_memory(members[0])) if len(members) > 1 else 1
        groups += [members[i : i + most] for i in range(0, len(members), most)]
    return groups


class Stack:
    """Trainers of one shape, whose weights and moments become the rows of matrices [trainer, number].

    Each of them stays a whole `Trainer`, which can be graded, saved, and trained by itself. They may be at different steps.
    """

    @torch.no_grad()
    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers, first = list(trainers), trainers[0]
        self.model, self.settings, self.device = first.model, first.settings, first.device
        self.shapes = {name: parameter.shape for parameter, name in first.names.items()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        decays = [torch.full_like(p, self.settings.weight_decay * (p.dim() > 1)) for p in first.names]
        self.decay = torch.cat([decay.flatten() for decay in decays])
        self.weights = torch.stack([torch.cat([p.flatten() for p in t.names]) for t in trainers]).requires_grad_()
        frozen = {name for name, _ in self.model.named_parameters()} - self.shapes.keys()
        self.frozen = {name: torch.stack([t.model.get_parameter(name) for t in trainers]) for name in frozen}
        for trainer in trainers:
            moments_of(trainer.optimizers, trainer.names)  # zeros, where it has taken no step
        self.step, self.mean, self.square = (
            torch.stack([torch.cat([t.optimizer.state[p][key].flatten() for p in t.names]) for t in trainers])
            for key in MOMENTS
        )
        for i, trainer in enumerate(trainers):
            rows = [self._apart(matrix[i]) for matrix in (self.weights.detach(), self.mean, self.square)]
            for parameter, step, weight, *moments in zip(trainer.names, self.step[i].unbind(), *rows, strict=True):
                parameter.data = weight
                trainer.optimizer.state[parameter] = dict(zip(MOMENTS, (step, *moments), strict=True))

    def _apart(self, row: Tensor) -> list[Tensor]:
        """Views of a row, one for each parameter."""
        return [part.view(shape) for part, shape in zip(row.split(self.sizes), self.shapes.values(), strict=True)]

    # -- one step ------------------------------------------------------------------------------------------------------

    def train_step(self) -> list[float | Diverged]:
        """One step of each trainer on its own data; its loss, or how it diverged: then it must not be trained on."""
        settings, trainers = self.settings, self.trainers
        # runs that differ in their rates alone learn from the same rows
        asked = [(t.run.data_seed, t.step) for t in trainers]
        first = dict(zip(reversed(asked), reversed(trainers), strict=True))
        drawn = {place: trainer.rows(trainer.step)[0] for place, trainer in first.items()}
        batches = [drawn[place] for place in asked]
        with trainers[0].autocast():
            losses = self._losses(_side_by_side(batches))
        (gradient,) = torch.autograd.grad(losses.sum(), self.weights)
        norms = gradient.norm(dim=1)
        self._update(gradient * (settings.clip / (norms + 1e-6)).clamp(max=1)[:, None])
        results: list[float | Diverged] = []
        numbers = torch.stack([losses.detach(), norms]).tolist()
        for trainer, batch, loss, norm in zip(trainers, batches, *numbers, strict=True):
            try:
                trainer.refuse_diverged(loss, norm)
            except Diverged as error:
                results.append(error)
                continue
            trainer.count(loss, batch.tokens.numel())
            results.append(loss)
        return results

    def _losses(self, batch: Batch) -> Tensor:
        """The loss [trainer] of `LanguageModel.loss` on tensors [trainer, row, position]."""
        shown = batch.document[..., :-1] if batch.packed and not self.settings.leaky else None
        tokens, targets = batch.tokens.to(self.device), batch.targets[..., 1:].to(self.device)
        parts = self.weights.split(self.sizes, 1)
        own = {name: p.unflatten(1, size) for p, (name, size) in zip(parts, self.shapes.items(), strict=True)}
        call = vmap(lambda weights, *inputs: functional_call(self.model, weights, inputs))
        inputs = (tokens[..., :-1],) if shown is None else (tokens[..., :-1], shown.to(self.device))
        logits = call({**own, **self.frozen}, *inputs)
        labels = tokens[..., 1:].masked_fill(~targets, IGNORED)
        each = F.cross_entropy(logits.flatten(0, 2).float(), labels.flatten(), ignore_index=IGNORED, reduction="none")
        return each.view(len(logits), -1).sum(1) / targets.sum((1, 2))

    @torch.no_grad()
    def _update(self, gradient: Tensor) -> None:
        """PyTorch's AdamW, in which each row has its own rate and its own number of steps."""
        settings, mean, square = self.settings, self.mean, self.square
        rates = [(t.settings.rate(t.step), t.step + 1) for t in self.trainers]
        numbers = [(r, r / (1 - settings.beta1**n), (1 - settings.beta2**n) ** 0.5) for r, n in rates]
        rate, size, spread = torch.tensor(numbers, device=self.device).T[..., None]
        self.step += 1
        mean.lerp_(gradient, 1 - settings.beta1)
        square.mul_(settings.beta2).addcmul_(gradient, gradient, value=1 - settings.beta2)
        self.weights.mul_(1 - rate * self.decay)
        self.weights.sub_(size * mean / (square.sqrt() / spread + settings.eps))


def _side_by_side(batches: Sequence[Batch]) -> Batch:
    """Tensors [member, row, position]; shorter ones are padded on the right, where nothing looks."""
    longest = max(batch.tokens.shape[1] for batch in batches)
    padded = [[F.pad(x, (0, longest - x.shape[1]), value=v) for x, v in zip(b, EMPTY, strict=True)] for b in batches]
    return Batch(*(torch.stack(column) for column in zip(*padded, strict=True)))


# -- whole runs --------------------------------------------------------------------------------------------------------


def train_stacked(
    runs: Sequence[Run],
    *,
    store: Store,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    device: str | None = None,
    checkpoint_seconds: float = 20.0,
) -> list[Record]:
    """Carry out runs of one `shape` at once and return their records; all arguments, files and errors as those of `train`.

    The numbers of a run are those of `train` within rounding, and either goes on from a checkpoint of the other. Its seconds
    are its share of the stack's, and its note says how many runs were in it. A run that diverges leaves the others alone.
    Raises ValueError for runs of several shapes, and TooLarge if they do not fit into memory together (see `stacks`).
    """
    if len({shape(run) for run in runs}) > 1:
        raise ValueError("runs of one stack may differ in seed and learning rate alone; `stacks` sorts them")
    wanted = {run.hash: run for run in runs if store.find(run) is None}
    if len(wanted) > 1:
        if len(stacks(list(wanted.values()), device=device)) > 1:
            raise TooLarge(f"these {len(wanted)} runs do not fit into memory together; `stacks` says how many do")
        refuse_unwritable(store.folders[0])
        with ExitStack() as locks:
            trainers = []
            for _, run in sorted(wanted.items()):  # in this order, so that two stacks never wait for each other
                held = locks.enter_context(store.lock(run, stop))
                if held and store.find(run) is None:
                    store.refuse_occupied(run)
                    trainers.append(Trainer(run, device))
                    if (checkpoint := store.checkpoint(run)).exists():
                        trainers[-1].load(checkpoint)
            ended = _carry_out(trainers, store, progress, stop, checkpoint_seconds)
    else:
        ended = {}
    ways: dict[str, Any] = {"device": device, "checkpoint_seconds": checkpoint_seconds}
    return [ended.get(run.hash) or train(run, store=store, progress=progress, stop=stop, **ways) for run in runs]


def _carry_out(
    trainers: Sequence[Trainer],
    store: Store,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    checkpoint_seconds: float,
) -> dict[str, Record]:
    """Take the steps that are left, and keep the records of what has ended."""
    live, records, note = list(trainers), {}, f"trained in a stack of {len(trainers)}"
    stack, last_save = None, time.perf_counter()

    def end(trainer: Trainer, status: Status, said: str = "") -> None:
        live.remove(trainer)
        record = records[trainer.run.hash] = record_of(trainer.run, trainer.device, status, said + note, trainer)
        if status != "stopped" or store.find(trainer.run) is None:
            store.add(record)

    while True:
        for trainer in [t for t in live if t.step >= t.settings.steps and not t.owes]:
            end(trainer, "finished")
        stopping = stop is not None and stop()
        if live and (stopping or time.perf_counter() - last_save > checkpoint_seconds):
            for trainer in live:
                trainer.save(store.checkpoint(trainer.run))
            last_save = time.perf_counter()
        if stopping:
            for trainer in list(live):
                end(trainer, "stopped")
        if not live:
            return records
        results: dict[Trainer, float | Diverged] = {t: t.loss_sum / t.loss_count for t in live if t.owes}
        if not results:  # else a grading was cut short
            if stack is None or stack.trainers != live:
                stack = Stack(live)
            begin = live[0].clock()
            results = dict(zip(live, stack.train_step(), strict=True))
            share = (live[0].clock() - begin) / len(live)
            for trainer in live:
                trainer.seconds += share
        # those that diverged are not left for after a grading that is cut short
        for trainer, result in sorted(results.items(), key=lambda item: not isinstance(item[1], Diverged)):
            try:
                if isinstance(result, Diverged):
                    raise result
                scores = grade(trainer, stop) if trainer.owes else None
            except Stopped:
                break
            except Diverged as error:
                end(trainer, "diverged", f"{error}; ")
                continue
            if progress is not None:
                progress(Progress(trainer.run, trainer.step, result, trainer.seconds, scores, trainer.curve))
