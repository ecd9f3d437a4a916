"""Tasks by name: every published setting of Part 4.1 (appendix A) and the small ones of each scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..strict import build, choose
from .batch import Task
from .copying import Copy
from .depo import Depo

KINDS: Mapping[str, type] = {"copy": Copy, "depo": Depo}

_DEPO2: dict[str, Any] = {"V": 3, "shortest": 5, "longest": 7, "context": 2048}

PRESETS: dict[str, Task] = {
    "copy": Copy(n=500),
    **{f"depo1-n{N}": Depo(N=N, K=8, context=2048) for N in (225, 300, 375)},
    **{f"depo1-n{N}-k4": Depo(N=N, K=4, context=2048) for N in (225, 300, 375)},
    **{f"depo2-n{N}": Depo(N=N, K=16, **_DEPO2) for N in (75, 100, 125)},
    **{f"depo2-n{N}-k4": Depo(N=N, K=4, **_DEPO2) for N in (75, 100, 125)},
    **{f"depo2-n{N}-v4": Depo(N=N, K=16, **{**_DEPO2, "V": 4}) for N in (75, 100, 125)},
}


def preset(name: str) -> Task:
    """The task of a published or small setting; an unknown name is refused with the nearest one."""
    return choose("task preset", name, PRESETS)


def make_task(kind: str, options: Mapping[str, Any]) -> Task:
    """A task from its kind ("copy", "depo") and options; unknown kinds and options are refused."""
    task: Task = build(choose("task", kind, KINDS), options)
    return task
