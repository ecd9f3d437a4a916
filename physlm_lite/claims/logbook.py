"""The runs behind the ledger in a logbook that other tools read: trackio, whose interface is that of Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import Any

from ..training import Record
from .claim import Outcome

PROJECT = "physlm"
AT_ONCE = 4  # trackio waits about a second for each run to be written


def log_records(outcomes: Iterable[Outcome], project: str = PROJECT) -> int:
    """Log every run that the outcomes report, once, with its whole curve; returns how many there were.

    A run is called like its record and grouped by the claim that asked for it first; its configuration is the record's. It is
    written where trackio keeps its projects, on this machine.
    """
    trackio = logbook_package()
    asked: dict[str, tuple[str, Record]] = {}
    for outcome in outcomes:
        for side, records in [*outcome.records.items(), *outcome.in_time.items()]:
            for record in records:
                asked.setdefault(record.id, (f"{outcome.claim.id}, {outcome.scale}: {side}", record))

    def log(group: str, record: Record) -> None:
        settings = {**record.run.to_dict(), "parameters": record.parameters, "status": record.status}
        run = trackio.init(project=project, name=record.id, group=group, config=settings, embed=False)
        for point in record.curve:
            run.log(dict(_numbers(point)), step=point["step"])
        run.finish()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda entry: log(*entry), asked.values()))
    return len(asked)


def logbook_package() -> ModuleType:
    """trackio, which nothing else here needs; ValueError, in one sentence, where it is not installed."""
    try:
        return import_module("trackio")
    except ModuleNotFoundError as error:
        raise ValueError("the logbook needs the package trackio; install it with: pip install trackio") from error


def _numbers(scores: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, float]]:
    """The numbers among nested scores, by their dotted names."""
    for name, value in scores.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{name}.")
        elif isinstance(value, int | float) and name != "step":
            yield above + name, value
