"""A run's metrics in the pages of others, for whoever has them installed and asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..base.strict import choose

Tracker = Callable[[Mapping[str, Any]], None]


def tracker_of(name: str | None, project: str, folder: Path) -> Tracker | None:
    """One that takes each line of metrics; None for None. ModuleNotFoundError if its package is not installed."""
    return None if name is None else choose("tracker", name, TRACKERS)(project, folder)


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in line.items() if isinstance(value, int | float) and name != "step"}


def _tensorboard(project: str, folder: Path) -> Tracker:
    import_module("tensorboard")  # whose absence PyTorch's own writer tells in other words
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def take(line: Mapping[str, Any]) -> None:
        for name, value in _numbers(line).items():
            writer.add_scalar(name, value, line["step"])
        writer.flush()

    return take


def _trackio(project: str, folder: Path) -> Tracker:
    trackio = import_module("trackio")

    trackio.init(project=project, name=folder.name, resume="allow")
    return lambda line: trackio.log(_numbers(line), step=line["step"])


def _wandb(project: str, folder: Path) -> Tracker:
    """One that was stopped and goes on is the same run there, too: its name is that of the folder."""
    run = import_module("wandb").init(
        project=project, name=folder.name, id=folder.name, resume="allow", dir=str(folder)
    )
    return lambda line: run.log(_numbers(line), step=line["step"])


TRACKERS: Mapping[str, Callable[[str, Path], Tracker]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
}
