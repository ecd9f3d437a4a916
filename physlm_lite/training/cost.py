"""What a run will cost on this machine, said before it starts; refusal when memory cannot hold it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from ..base.machine import available_memory
from .config import Run
from .loop import Trainer


class TooLarge(MemoryError):
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
    length = max(run.made_task.batch(0, 0, 1, split).tokens.shape[1] for split in ("train", "test"))
    canon = config.canon_widths.values()
    chunks = 1 if config.mixer == "attention" else 2
    per_layer = chunks * (14 * config.width + 4 * config.feed_forward) + 2 * sum(canon)
    training = settings.batch * length * (config.layers * per_layer + 3 * config.vocab)
    one_layer = 8 * chunks * config.width + 3 * config.feed_forward + 2 * max(canon, default=0)
    evaluation = min(64, settings.evaluation_rows) * length * (one_layer + 2 * config.vocab)
    rows = 3 * settings.evaluation_rows * length
    return 4 * (4 * config.parameters + max(training, evaluation) + rows)


def refuse_too_large(run: Run, available: int | None = None) -> int:
    """The memory a run needs in bytes, or `TooLarge` when this machine has less."""
    needed = memory_needed(run)
    available = available_memory()[1] if available is None else available
    if needed > available:
        raise TooLarge(
            f"this run needs about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free; "
            "choose a smaller scale (PHYSLM_SCALE=toy fits 1 GB) or a smaller batch than "
            f"{run.training.batch}"
        )
    return needed


def estimate(run: Run, steps: int = 3) -> Cost:
    """Time a few steps of the run on this machine, after one to warm up, and one evaluation; nothing is kept."""
    memory = refuse_too_large(run)
    trainer = Trainer(run)
    trainer.train_step()
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    trainer.evaluate()
    evaluation = time.perf_counter() - begin
    return Cost(median(times) * run.training.steps + evaluation * run.training.evaluations, memory)
