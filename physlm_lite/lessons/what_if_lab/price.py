"""What a trial will take, while its controls are turned: nothing is built and no step is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ...base.strict import choose
from ...claims import SHIPPED
from ...claims.pace import Pace, operations_of
from ...models import ModelConfig
from ...scale.plan import plan
from ...scale.recipe import Recipe, published
from ...training import Store, TooLarge, refuse_too_large, runs_folder
from .trial import Trial

SIZES = ("1B", "8B")
WORKERS = 2  # runs at a time, as in all notebooks
OWN_SIZE = (
    "vocab",
    "width",
    "layers",
    "heads",
    "kv_heads",
    "head_width",
    "hidden",
    "norm_eps",
    "rope_theta",
    "canon_layers",
)


@dataclass(frozen=True)
class Price:
    """Seconds of all runs of a trial, two at a time, and their operations; memory (bytes) of one; its parameters; refusal: why it
    cannot run."""

    runs: int
    seconds: float
    memory: int
    parameters: int
    operations: float
    refusal: str = ""

    @property
    def minutes(self) -> str:
        """In words."""
        return f"{self.seconds:.0f} s" if self.seconds < 90 else f"{self.seconds / 60:,.1f} min"


def known() -> Store:
    """This user's records and the shipped ones; all parts of the lab share it, since reading them takes a while."""
    return _known(runs_folder())


@cache
def _known(folder: Path) -> Store:
    return Store(folder, SHIPPED)


@cache
def pace() -> Pace:
    """How long runs take here, by what is recorded."""
    records, folder = list(known()), known().folders[0]
    own = [record for record in records if (folder / f"{record.id}.json").exists()]
    mine = {record.id for record in own}
    return Pace(own, [record for record in records if record.id not in mine])


def price(trial: Trial, available: int | None = None) -> Price:
    """What all runs of a trial will take here. available: bytes of memory (None: what is free)."""
    run = trial.runs[0]
    try:
        memory, refusal = refuse_too_large(run, available), ""
    except TooLarge as error:
        memory, refusal = 0, str(error)
    *_, step = operations_of(run)
    count = len(trial.runs)
    seconds = -(-count // WORKERS) * pace().foreseen(run)
    return Price(count, seconds, memory, run.model_config.parameters, float(count * step * run.training.steps), refusal)


# -- the same architecture at a published size -------------------------------------------------------------------------


def at_size(trial: Trial, size: str) -> Recipe:
    """A published recipe of this size with the architecture of a trial: its mixer, positions, Canon layers and feed-forward
    layer, with the published widths, text and steps. ValueError, the library's, where that does not go.

    Rotated coordinates keep their share of a head, and a wider or narrower feed-forward layer falls back to the published one.
    """
    base = _base(trial.config.mixer, choose("size", size, {name: name for name in SIZES}))
    return replace(base, name=f"{base.name}, {trial.name}", model=replace(base.model, **_carried(trial, base.model)))


def _carried(trial: Trial, large: ModelConfig) -> dict[str, Any]:
    """The options that a trial's model has otherwise than the defaults, and that mean the same at another size."""
    small, default = trial.config, ModelConfig(1)
    names = [
        f.name for f in fields(ModelConfig) if f.name not in (*OWN_SIZE, "init", "depth_scaling", "init_std", "tied")
    ]
    found = {name: getattr(small, name) for name in names if getattr(small, name) != getattr(default, name)}
    found.setdefault("canon", "")
    found.pop("rope_layout", None)
    if small.mixer == "attention":
        share = small.rotated / small.each_head if small.positions == "rope" else 1.0
        found["rope_dim"] = None if share == 1 else 2 * round(share * large.each_head / 2)
        if small.positions != "rope":
            found |= {name: getattr(default, name) for name in ("rope_layout", "rope_theta")}
        if small.rope_heads is not None:
            found["rope_heads"] = max(1, large.heads * small.rope_heads // small.heads)
    if small.mixer != "attention":
        found["mixer_options"] = {**large.mixer_options, **_words(small.mixer_options)}
    if small.canon_layers is not None:
        found["canon_layers"] = tuple(
            sorted({place % large.layers if place < 0 else place for place in small.canon_layers})
        )
    if small.mlp != "gated":
        found["hidden"] = None
    return found


def _words(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a mixer that are no sizes."""
    return {name: value for name, value in options.items() if isinstance(value, bool | str)}


@cache
def _base(mixer: str, size: str) -> Recipe:
    """The first published recipe with a mixer at a size, without Canon layers."""
    found = (r for r in published().values() if r.model.mixer == mixer and f"-{size}-" in r.name and not r.model.canon)
    return next(found)


def cost_at(trial: Trial, size: str) -> dict[str, Any]:
    """The plan of `at_size` on the GPUs of the original run (see `scale.plan.plan`)."""
    return plan(at_size(trial, size))
