"""Many records as one small table of columns, for a page: every curve, rounded to what a picture can show.

What a reader may choose is told apart (`FACETS`): the task and its world, the mixer with its positions, the Canon set, the
sizes, the feed-forward layer, the budget, the learning rate and the seed. What follows from these is left as it was recorded.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..tasks import Metric
from ..training import Record, Training
from ..training.config import DEFAULTS, differing
from .sides import FAMILIES

DIGITS = 4  # of a score
# Each facet of a model with its options, a dot for one of its mixer's; whatever is named nowhere belongs to the variant.
FACETS: Mapping[str, tuple[str, ...]] = {
    "side": ("mixer", "positions", "rope_dim", "rope_heads", "mixer_options.state"),
    "canon": ("canon", "mixer_options.canon_b"),
    "width": ("width",),
    "layers": ("layers",),
    "feed-forward": ("mlp", "activation", "experts"),
}
FOLLOWS = ("hidden", "heads", "tied", "depth_scaling", "init")  # chosen by the setting, to fit the rest
_FAMILY = {side.options["mixer"]: name for name, (side, *_) in FAMILIES.items()}
_POSITIONS = {"alibi": "ALiBi", "hard_alibi": "H-ALiBi"}
_VARIANTS = {
    "canon_residual False": "no residual",
    "canon_activation True": "silu",
    "canon_frozen True": "frozen",
    "mixer_options.positive True": "1 + elu",
}


def columns(records: Iterable[Record]) -> dict[str, Any]:
    """The records as JSON-ready columns, with the tables that these point into.

    worlds: a task with its options and metrics; configs: a world with a model (a dot before the options of its mixer) and its
    facets; trainings: all of a training but its rate; steps: those of a curve; owned: the options that make each facet. Of each
    record: its place in these tables, and the values of each metric of its world.
    """
    kept = list(records)
    worlds, configs, trainings, steps = _Table(), _Table(), _Table(), _Table()
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in kept:
        run = record.run
        training = differing(dataclasses.asdict(run.training), DEFAULTS["training"])
        training.pop("learning_rate", None)
        world = worlds.place({"task": run.task, "options": dict(run.task_options)}, record)
        options = _flat(run.model) | ({"code": run.code_name} if run.code else {})
        place = configs.place({"world": world, "options": options}, record)
        for name, value in {
            "id": record.id,
            "config": place,
            "training": trainings.place(training, record),
            "rate": run.training.learning_rate,
            "seed": run.seed,
            "parameters": record.parameters,
            "format": record.format,
            "status": record.status,
            "steps": steps.place([point["step"] for point in record.curve], record),
            "seconds": [_rounded(point["seconds"]) for point in record.curve],
        }.items():
            columns[name].append(value)
    for world, record in zip(worlds.entries, worlds.first, strict=True):
        world["metrics"] = [_metric(metric) for metric in record.run.made_task.metrics.values()]
    for config in configs.entries:
        config["facets"] = _facets(config["options"])
    for record, place in zip(kept, columns["config"], strict=True):
        names = [metric["name"] for metric in worlds.entries[configs.entries[place]["world"]]["metrics"]]
        columns["values"].append([[_score(record, name, point) for point in record.curve] for name in names])
    for training, record in zip(trainings.entries, trainings.first, strict=True):
        training["budget"] = budget_of(record.run.training)
    _name_worlds(worlds.entries)
    apart = _tell_apart(configs.entries, columns["config"], columns["training"], columns["rate"], columns["seed"])
    unusual = {name for config in configs.entries for name in _unusual(config["options"])}
    return {
        "worlds": worlds.entries,
        "configs": configs.entries,
        "trainings": [{"budget": t.pop("budget"), "options": t} for t in trainings.entries],
        "steps": steps.entries,
        "owned": {**{facet: list(names) for facet, names in FACETS.items()}, "variant": sorted(unusual | apart)},
        "records": dict(columns),
    }


def budget_of(training: Training) -> str:
    """How long a run is, in words."""
    return f"{training.steps:,} steps of {training.batch}"


def facets(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader would say of a model: mixer and positions, Canon set, sizes, feed-forward layer, and what else is unusual."""
    return _facets(_flat(model))


def _facets(flat: Mapping[str, Any]) -> dict[str, Any]:
    mixer, letters = flat.get("mixer", "attention"), "".join(sorted(flat.get("canon", "")))
    side = _FAMILY.get(mixer) or (_attention(flat) if mixer == "attention" else str(mixer))
    canon = letters or "none"
    if "mixer_options.canon_b" in flat:
        canon = {"": "b", "ACD": "AbCD"}.get(letters, f"b, {letters}") if flat["mixer_options.canon_b"] else canon
    layer = "standard" if flat.get("mlp") == "standard" else "gated"
    layer += ", ReLU²" * (flat.get("activation") == "relu2")
    layer += f", {flat['experts']} experts" if flat.get("experts") else ""
    others = [f"{name} {flat[name]}" for name in _unusual(flat)]
    unusual = [_VARIANTS.get(said, said.removeprefix("mixer_options.")) for said in others]
    sizes = {name: flat.get(name, DEFAULTS["model"].get(name)) for name in ("width", "layers")}
    return {"side": side, "canon": canon, **sizes, "feed-forward": layer, "variant": ", ".join(unusual) or "plain"}


def _unusual(flat: Mapping[str, Any]) -> list[str]:
    """The options that make a variant: those of no other facet, but for what follows from the rest."""
    owned = {name for names in FACETS.values() for name in names}
    return [name for name in flat if name not in owned and name not in FOLLOWS]


def _attention(flat: Mapping[str, Any]) -> str:
    if flat.get("positions", "rope") in _POSITIONS:
        return _POSITIONS[flat["positions"]]
    rotated, heads = flat.get("rope_dim"), flat.get("rope_heads")
    if rotated == 0:
        return "NoPE"
    if rotated is None and heads is None:
        return "RoPE"
    among = "each head" if heads is None else f"{heads} head{'s' * (heads != 1)}"
    return f"RoPE on {'all' if rotated is None else rotated} coordinates of {among}"


def _flat(model: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in model.items() if name != "mixer_options"}
    return own | {f"mixer_options.{name}": value for name, value in model.get("mixer_options", {}).items()}


class _Table:
    """Distinct entries in the order in which they come, each with the first record that has it."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.first: list[Record] = []
        self._places: dict[str, int] = {}

    def place(self, entry: Any, record: Record) -> int:
        key = json.dumps(entry, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.entries)
            self.entries.append(entry)
            self.first.append(record)
        return self._places[key]


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "label": metric.label,
        "share": metric.share,
        "lower": metric.lower,
        "chance": metric.chance,
    }


def _score(record: Record, name: str, point: Mapping[str, Any]) -> float | None:
    try:
        return _rounded(record.metric(name).of(point))
    except KeyError:
        return None


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _name_worlds(worlds: Sequence[dict[str, Any]]) -> None:
    """Call each world of a task by its letters (N, K, L), or by what else sets it apart from the task's others."""
    for task in {world["task"] for world in worlds}:
        alike = [world for world in worlds if world["task"] == task]
        every = sorted({name for world in alike for name in world["options"]})
        apart = [name for name in every if len({json.dumps(world["options"].get(name)) for world in alike}) > 1]
        letters = [name for name in every if len(name) == 1]
        for names in (letters or apart, letters + [name for name in apart if name not in letters]):
            for world in alike:
                found = world["options"]
                world["label"] = ", ".join(f"{name} = {_short(found[name])}" for name in names if name in found)
            if len({world["label"] for world in alike}) == len(alike):
                break


def _short(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def _tell_apart(configs: Sequence[dict[str, Any]], *places: Sequence[Any]) -> set[str]:
    """Where two models would have one description in one run, say what sets them apart; returns the options that do."""
    same: dict[Any, set[int]] = defaultdict(set)
    for config, *rest in zip(*places, strict=True):
        same[configs[config]["world"], json.dumps(configs[config]["facets"]), *rest].add(config)
    groups = {frozenset(group) for group in same.values() if len(group) > 1}
    said_of: set[str] = set()
    for group in groups:
        flats = {place: configs[place]["options"] for place in group}
        names = sorted({name for flat in flats.values() for name in flat})
        for name in (n for n in names if len({json.dumps(flat.get(n)) for flat in flats.values()}) > 1):
            for place, flat in flats.items():
                known = configs[place]["facets"]
                said = f"{name} {flat.get(name, 'as usual')}"
                known["variant"] = said if known["variant"] == "plain" else f"{known['variant']}, {said}"
                said_of.add(name)
    return said_of
