"""What a claim takes on one GPU, by the planner's figures, before anything is started.

The runs are those of the protocol: every side's grid on the tuning seeds, then the reported ones; that a grid has to be extended
is not foreseen. Runs of one shape are trained at once (`training.stacked`). A step of a stack takes as long as its operations at
`MFU`, or as long as Python needs to start them one by one, whichever is more; they are counted in a step that is taken here.
Drawing of rows and grading stand beside it. Nothing of this was measured on a GPU: the assumptions are the constants below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from ..base.machine import available_cores
from ..base.strict import choose
from ..scale.plan import GPUS, model_way, training_flops
from ..training import Run, Trainer, stacks
from ..training.stacked import SHARE, Stack
from .claim import Claim
from .experiment import Experiment
from .pace import length_of

GPU = "h100"
MFU = 0.2  # of narrow layers that are not compiled; the published runs of 1 to 8 billion parameters reach 0.32
CPU_MFU = 0.5
START = 10e-6  # seconds to start an operation from Python: more under torch.func.vmap, less backwards
DRAWN = 5e6  # tokens a second that a task draws on one core, as CONTRIBUTING.md asks of each
GRADED = 1.0  # seconds of an evaluation, beside the writing of texts
HOUR = 3600.0  # of one GPU: what the gpu scale may take


@dataclass(frozen=True)
class Bill:
    """What the runs of a claim at one scale take on one device. seconds: by what they are spent on."""

    claim: str
    scale: str
    gpu: str
    runs: int
    stacks: int
    tokens: int
    operations: float
    seconds: Mapping[str, float]

    @property
    def whole(self) -> float:
        """Seconds in all."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "seconds": {**self.seconds, "all": self.whole}}


def passes(experiment: Experiment) -> tuple[list[Run], list[Run]]:
    """All runs of an experiment, as far as can be told beforehand: of the grids, and those that are reported, for which the
    lowest rate stands in the place of the best one, which costs the same."""
    walked = [run for _, run in experiment.tuning.walk()]
    asked = [(side, min(experiment.rates), seed) for seed in experiment.seeds for side in experiment.sides]
    reported = [experiment.run(*which) for which in asked]
    return walked, reported + [experiment.run_in_time(*which) for which in asked if experiment.is_slower(which[0])]


def bill(claim: Claim, scale: str, gpu: str = GPU) -> Bill:
    """What a claim takes on one GPU (or on the cores of this machine, "cpu"), with nothing recorded so far.

    An unknown scale or kind of GPU is refused with the nearest one.
    """
    card, task = choose("GPU", gpu, GPUS), claim.experiment(scale).made_task
    on_cores = gpu == "cpu"
    speed = card.tflops * 1e12 * (CPU_MFU * available_cores() if on_cores else MFU)
    walked, reported = passes(claim.experiment(scale))
    room = round(SHARE * card.memory * 1e9)
    groups = [[run] for run in (*walked, *reported)] if on_cores else [*stacks(walked, room), *stacks(reported, room)]
    seconds = {"training": 0.0, "drawing of rows": 0.0, "grading": 0.0}
    tokens, operations, written = 0, 0.0, _written(task)
    for group in groups:
        run, started = group[0], 0 if on_cores else started_by(group[0])
        steps, row = run.training.steps, run.training.batch * length_of(run)
        work = training_flops(run.model_config, length_of(run))[model_way(run.model_config)] * row * len(group)
        seconds["training"] += steps * max(work / speed, started * START)
        seconds["drawing of rows"] += steps * row * len({member.data_seed for member in group}) / DRAWN
        # the members of a stack are graded one after the other; a forward pass is a third of a step
        seconds["grading"] += len(group) * run.training.evaluations * (GRADED + written * started / 3 * START)
        tokens, operations = tokens + steps * row * len(group), operations + steps * work
    return Bill(claim.id, scale, gpu, len(walked) + len(reported), len(groups), tokens, operations, seconds)


def _written(task: Any) -> int:
    """How many tokens a model writes, one after the other, to be graded."""
    if (language := getattr(task, "language", None)) is not None:
        return min(language.longest, task.context or language.longest)
    return int(getattr(task, "longest_answer", 0))


class _Count(TorchDispatchMode):
    """How many operations are started that do something: another view of a tensor is made at once."""

    started = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.started += not function.is_view
        return function(*args, **(kwargs or {}))


_KNOWN: dict[str, int] = {}


def started_by(run: Run) -> int:
    """How many operations a training step starts, whatever the number of rows, and of runs beside it.

    A step of one row is taken, on the CPU, in one layer and in two: every further one adds what the second has added.
    """
    short, config = run.but(batch=1, learning_rate=1e-3, seed=0), run.model_config
    if short.hash not in _KNOWN:
        layers = (1, 2) if config.canon_layers is None else (config.layers, config.layers + 1)
        first, second = (_counted(dataclasses.replace(short, model={**run.model, "layers": n})) for n in layers)
        _KNOWN[short.hash] = first + (config.layers - layers[0]) * (second - first)
    return _KNOWN[short.hash]


def _counted(run: Run) -> int:
    trainer = Trainer(run, "cpu")
    step = trainer.train_step if run.model_config.experts else Stack([trainer]).train_step
    with _Count() as count:
        step()
    return count.started


def bill_table(found: Bill) -> str:
    """The bill for people."""
    lines = [
        ("claim", f"{found.claim} at {found.scale} scale"),
        ("runs", f"{found.runs} in {found.stacks} stacks" if found.stacks < found.runs else f"{found.runs}"),
        ("tokens", f"{found.tokens:,}"),
        ("operations", f"{found.operations:.2e} for the models"),
        *((name, in_words(seconds)) for name, seconds in found.seconds.items()),
        (f"in all, on {found.gpu}", in_words(found.whole)),
        (
            "assumed",
            f"{MFU:.0%} of the peak; {START * 1e6:.0f} µs to start an operation; {DRAWN:,.0f} tokens drawn a second;",
        ),
        ("", f"{GRADED:.0f} s for a grading; no grid that has to be extended. Nothing of it was measured"),
    ]
    return "\n".join(f"{name:<18}{value}".rstrip() for name, value in lines)


def in_words(seconds: float) -> str:
    """So many seconds as minutes or hours."""
    return f"{seconds / 60:,.0f} minutes" if seconds < 6000 else f"{seconds / 3600:,.1f} hours"
