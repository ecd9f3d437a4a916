"""What a run will cost on this machine, said before it starts; refusal when memory cannot hold it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from ..base.machine import available_memory, device_of
from ..models.recurrence import CHUNK
from ..tasks import Task
from .config import Run
from .trainer import Trainer

LONG = 2**20  # tokens in a row: more are reckoned with, not drawn


class TooLarge(ValueError):
    """The run does not fit into this machine's memory; the message says what would."""


@dataclass(frozen=True)
class Cost:
    """Seconds of training and evaluation, and bytes of memory beyond what the process already uses."""

    seconds: float
    memory: int

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:.1f} min" if self.seconds >= 90 else f"{self.seconds:.0f} s"
        return f"about {minutes} and {self.memory / 1e6:,.0f} MB of memory"


def memory_needed(run: Run) -> int:
    """Bytes for weights, gradients, AdamW's two moments, and the larger of a training step and an evaluation.

    An estimate, tested to a factor 2. A training step keeps about 14 vectors of the model's width and 4 of the
    feed-forward's in each layer and position, two more for each Canon channel, and the logits with their gradients; the
    chunks and states of a linear mixer make it 1.2 to 2.5 times as much. An evaluation keeps one layer at a time, but of
    64 rows, which may be more than a training batch has.
    """
    config, settings = run.model_config, run.training
    length = _length(run.made_task)
    canon = config.canon_widths.values()
    chunks = 1 if config.mixer == "attention" else 2
    per_layer = chunks * (14 * config.width + 4 * config.feed_forward) + 2 * sum(canon)
    training = settings.batch * length * (config.layers * per_layer + 3 * config.vocab)
    one_layer = 8 * chunks * config.width + 3 * config.feed_forward + 2 * max(canon, default=0)
    evaluation = min(64, settings.evaluation_rows) * length * (one_layer + 2 * config.vocab)
    rows = 3 * settings.evaluation_rows * length
    return 4 * (4 * config.parameters + max(training, evaluation) + rows)


def stacked_memory(run: Run) -> int:
    """Bytes for a member of a stack: `memory_needed`, and what the naive forms keep, which torch.func needs.

    They are the scores of attention, or the decays between the tokens of a chunk, for each channel of a key at worst, and
    every tap of Canon. An estimate, as that is.
    """
    config, length = run.model_config, _length(run.made_task)
    pairs = 5 * config.heads * length if config.mixer == "attention" else 3 * CHUNK * config.width
    taps = 2 * config.canon_kernel * sum(config.canon_widths.values())
    return memory_needed(run) + 4 * config.layers * run.training.batch * length * (pairs + taps)


def _length(task: Task) -> int:
    """Tokens in a row, as drawn; where a window or an instance is longer than should be drawn for that, as announced."""
    announced: Any = getattr(task, "context", None) or getattr(task, "longest_instance", 0)
    if announced > LONG:
        return int(announced)
    return max(task.batch(0, 0, 1, split).tokens.shape[1] for split in ("train", "test"))


def refuse_too_large(run: Run, available: int | None = None, device: str | None = None) -> int:
    """The memory a run needs in bytes, or `TooLarge` when the machine (its `device`) has less. Nothing large is built."""
    settings = run.training
    if available is None:
        available = free_memory(device_of(device))
    weights = 16 * run.model_config.parameters
    needed = weights if weights > available else memory_needed(run)  # the second asks the task for a row
    if needed > available:
        raise TooLarge(
            f"this run needs about {min(needed, 10**24) / 1e9:,.1f} GB of memory and {available / 1e9:.1f} GB are free; "
            f"choose a smaller scale (PHYSLM_SCALE=toy fits 1 GB) or a smaller batch than {settings.batch:,} "
            f"(evaluation_rows is {settings.evaluation_rows:,})"
        )
    return needed


def free_memory(device: torch.device) -> int:
    """Bytes that are left on a device; what PyTorch keeps there for later use is free, too."""
    if device.type != "cuda":
        return available_memory()[1]
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def estimate(run: Run, steps: int = 3) -> Cost:
    """Time a few steps of the run on this machine, after one to warm up, and one evaluation; nothing is kept.

    Raises `TooLarge`, as `train` does.
    """
    memory = refuse_too_large(run)
    trainer = Trainer(run)

    def seconds(action: Callable[[], object]) -> float:
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    trainer.train_step()
    step = median(seconds(trainer.train_step) for _ in range(steps))
    return Cost(step * run.training.steps + seconds(trainer.evaluate) * run.training.evaluations, memory)
