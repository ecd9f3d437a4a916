"""Tasks by name: every published setting of Part 4.1 (appendix A) and the small ones of each scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.strict import build, choose
from .batch import Task
from .births import Births
from .brevo import Brevo
from .capo import Capo
from .copying import Copy
from .depo import Depo
from .grammar import PUBLISHED
from .lano import Lano
from .mano import Mano
from .prepared import Prepared
from .recall import Recall
from .text import Text

KINDS: Mapping[str, type] = {
    "copy": Copy,
    "depo": Depo,
    "brevo": Brevo,
    "capo": Capo,
    "mano": Mano,
    "lano": Lano,
    "text": Text,
    "births": Births,
    "recall": Recall,
    "prepared": Prepared,
}

_DEPO2: dict[str, Any] = {"V": 3, "shortest": 5, "longest": 7, "context": 2048}
_BREVO2: dict[str, Any] = {"V": 4, "shortest": 2, "longest": 4, "context": 1536}
_PEOPLE = {"50k": 50_000, "100k": 100_000, "200k": 200_000, "500k": 500_000, "1m": 1_000_000, "2m": 2_000_000}

PRESETS: dict[str, Task] = {
    "copy": Copy(n=500),
    **{f"depo1-n{N}": Depo(N=N, K=8, context=2048) for N in (225, 300, 375)},
    **{f"depo1-n{N}-k4": Depo(N=N, K=4, context=2048) for N in (225, 300, 375)},
    **{f"depo2-n{N}": Depo(N=N, K=16, **_DEPO2) for N in (75, 100, 125)},
    **{f"depo2-n{N}-k4": Depo(N=N, K=4, **_DEPO2) for N in (75, 100, 125)},
    **{f"depo2-n{N}-v4": Depo(N=N, K=16, **{**_DEPO2, "V": 4}) for N in (75, 100, 125)},
    **{f"brevo1-n{N}": Brevo(N=N, context=1024) for N in (70, 90, 110)},
    **{f"brevo2-n{N}": Brevo(N=N, **_BREVO2) for N in (30, 40, 50)},
    **{f"capo-{name}": Capo(people=people, context=512) for name, people in _PEOPLE.items()},
    **{f"mano-l{L}": Mano(L=L, context=1024) for L in (10, 13, 16)},
    **{f"mano-l{L}-plain": Mano(L=L, markers="plain", context=1024) for L in (10, 13, 16)},
    **{f"lano-{name}": Lano(name, context=1536 if name in ("cfg3j", "cfg3k") else 512) for name in PUBLISHED},
    "lano-brackets": Lano("brackets", context=192),
    "text": Text(),
    "births": Births(),
}


def preset(name: str) -> Task:
    """The task of a published or small setting; an unknown name is refused with the nearest one."""
    return choose("task preset", name, PRESETS)


def make_task(kind: str, options: Mapping[str, Any]) -> Task:
    """A task from its kind (one of `KINDS`) and options; unknown kinds and options are refused."""
    task: Task = build(choose("task", kind, KINDS), options)
    return task
