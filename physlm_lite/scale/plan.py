"""What a recipe will take on given machines, before anything is started: operations, memory, traffic, disk, hours, money.

Parameters and operations come from the formulas of the model's own parts, memory is counted (`memory`), and what is assumed is
said. The published runs give the speed: their figure's note says 5,200 H200 hours for 10^9 parameters and 10^12 tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..base.machine import available_memory
from ..base.strict import Fraction, NotNegative, choose, conform
from ..models import LanguageModel, ModelConfig
from ..training import TooLarge
from .memory import CHECKPOINTING, Counted, count
from .recipe import Division, Recipe, divisors

MEASURED = Path(__file__).with_name("memory_measured.json")


@dataclass(frozen=True)
class Gpu:
    """Its dense products of bfloat16 matrices, in 10^12 operations a second, and its memory in 10^9 bytes, as it is sold."""

    tflops: float
    memory: float


GPUS = {
    "h200": Gpu(989.4, 141),
    "h100": Gpu(989.4, 80),
    "a100": Gpu(312, 80),
    "a100-40gb": Gpu(312, 40),
    "b200": Gpu(2250, 180),
    "mi300x": Gpu(1307, 192),
    "l40s": Gpu(362, 48),
    "a10": Gpu(125, 24),
    "rtx4090": Gpu(165, 24),
    "rtx3090": Gpu(71, 24),
    "cpu": Gpu(0.05, 0),  # one core, by rule of thumb; the memory is what is free here
}
PUBLISHED_HOURS = 5_200  # on an H200, for 10^9 parameters and 10^12 tokens
PUBLISHED_MFU = 6e21 / (PUBLISHED_HOURS * 3600 * 989.4e12)
RESERVE = 0.06  # of a GPU's memory, for its context, the network's buffers and gaps: assumed


def published_hours(parameters: float, tokens: float) -> float:
    """GPU-hours by the note in the published figure.

    >>> published_hours(8e9, 1e12)
    41600.0
    """
    return PUBLISHED_HOURS * parameters / 1e9 * tokens / 1e12


# -- operations --------------------------------------------------------------------------------------------------------


def training_flops(config: ModelConfig, window: int) -> dict[str, int]:
    """Operations for each token in training, 3 times those of a forward pass, by every way of counting that is in use.

    N: parameters, V d: the input table, which multiplies nothing. L T d: layers, window, and width of all heads.
    """
    matrices = config.parameters - (0 if config.tied else config.vocab * config.width)
    if config.experts:  # a token visits one of them
        part = config.feed_forward_part
        matrices -= config.layers * (part.parameters - part.flops() // 2)
    mixing = 3 * config.mixing_per_token(window)
    found = {"6 N": 6 * config.parameters, "6 (N - V d)": 6 * matrices}
    if config.mixer != "attention":
        return {**found, "6 (N - V d) + states": 6 * matrices + mixing}
    return {
        **found,
        "6 (N - V d) + 6 L T d": 6 * matrices + mixing // 2,
        "6 (N - V d) + 7 L T d": 6 * matrices + mixing // 2 + mixing // 12,
        "6 (N - V d) + 12 L T d": 6 * matrices + mixing,
    }


ABOUT_FLOPS = {
    "6 N": "all parameters",
    "6 (N - V d)": "without the input table",
    "6 (N - V d) + 6 L T d": "and attention to earlier tokens: what the model needs",
    "6 (N - V d) + 7 L T d": "and the scores once more backwards, as fused attention does; the release reports this",
    "6 (N - V d) + 12 L T d": "and attention to all pairs of tokens, which nobody computes but many report",
    "6 (N - V d) + states": "and the recurrence: what the model needs",
}


def recomputed_flops(config: ModelConfig, window: int, kind: str) -> int:
    """Operations for each token that checkpointing adds."""
    half = 2 if config.mixer == "attention" else 1
    mixing = config.mixing_per_token(window) // half
    if kind == "full":
        return (
            config.flops_per_token(window) - config.mixing_per_token(window) + mixing - 2 * config.vocab * config.width
        )
    return mixing if kind == "selective" and config.mixer != "attention" else 0


# -- memory ------------------------------------------------------------------------------------------------------------


def memory_per_gpu(recipe: Recipe, division: Division, kind: str = "none") -> dict[str, int]:
    """Bytes on each GPU by part; what is only passing is `work`.

    Weights and moments are sharded in float32. Layers are gathered in the numbers that they compute in and stay gathered
    until their backward pass, as in the published runs; gradients are added up in float32.
    """
    config, gpus, short = recipe.model, division.gpus, recipe.precision.compute == "bfloat16"
    total, shared = config.parameters, gpus > 1 or short
    found = _counted(recipe, division, kind)
    kept = shared or division.turns > 1  # is there a gradient of its own, beside that of the layer at work?
    sizes = unit_sizes(config)
    return {
        "weights": 4 * total // gpus,
        "gathered weights": (2 if short else 4) * total * shared,
        "gradients": 4 * total // gpus * kept,
        "optimizer": 8 * total // gpus,
        "activations": found.kept,
        "logits": found.ends,
        "work": max(0, found.before - found.kept - found.ends, (found.after - found.kept - found.ends) * (not kept)),
        "buffers": (4 + 2 * short) * max(sizes.values()) * (gpus > 1),
    }


def unit_sizes(config: ModelConfig) -> dict[str, int]:
    """Parameters of each unit that is gathered as a whole, by the formulas; every layer is one."""
    table = config.vocab * config.width
    ends = {"embedding": table, "block": 0, "head": 0 if config.tied else table, "norm": config.width}
    return {**ends, "block": (config.parameters - sum(ends.values())) // config.layers}


@lru_cache
def _tensors(config: ModelConfig) -> int:
    """How many tensors of weights there are."""
    with torch.device("meta"):
        return sum(1 for _ in LanguageModel(config).parameters())


def communication(recipe: Recipe, division: Division) -> dict[str, int]:
    """Bytes that each GPU sends, and receives as many, in a step, by collective; what padding adds is not in it.

    In each turn every unit is gathered, the head once more backwards, and all gradients are scattered. The
    norm of the gradient is a number for each tensor.
    """
    sizes, numbers = unit_sizes(recipe.model), {"bfloat16": 2, "float32": 4}
    others = (division.gpus - 1) / division.gpus * division.turns
    return {
        "all-gather": round(numbers[recipe.precision.compute] * (recipe.model.parameters + sizes["head"]) * others),
        "reduce-scatter": round(numbers[recipe.precision.reduce] * recipe.model.parameters * others),
        "all-reduce": round(4 * _tensors(recipe.model) * (division.gpus - 1) / division.gpus),
    }


ABOUT_MEMORY = {
    "weights": "this GPU's share, in float32",
    "gathered weights": "of all layers, as they compute",
    "gradients": "this GPU's share, in float32",
    "optimizer": "its share of AdamW's two moments, in float32",
    "activations": "counted in eager PyTorch with the kit's own functions; compiled, it is less",
    "logits": "and their gradients",
    "work": "more at the fullest moment",
    "buffers": "of the largest unit on its way between GPUs",
    "total": "",
    "can be used": f"{1 - RESERVE:.0%} of what is sold; the rest is assumed for context and gaps",
}


# -- the plan ----------------------------------------------------------------------------------------------------------


def plan(
    recipe: Recipe,
    gpus: int | None = None,
    gpu: str | None = None,
    rows: int | None = None,
    checkpointing: str | None = None,
    mfu: float | None = None,
    price: float | None = None,
) -> dict[str, Any]:
    """All that is known beforehand (JSON-ready); bytes, operations, hours.

    Args:
        gpus, gpu: how many of which (None: those of the original run).
        rows: on each GPU at a time (None: as many as in the original run, or as many fewer as fit).
        checkpointing: "none", "selective" or "full" (None: the first of them that fits).
        mfu: the share of a GPU's peak that does what the model needs (None: that of the published runs).
        price: of a GPU for an hour.

    Raises:
        ValueError: an unknown GPU, or a number that makes no sense.
        TooLarge: it does not fit; the sentence says what does.
    """
    kind = recipe.batch.gpu if gpu is None else gpu.lower()
    card = choose("GPU", kind, GPUS)
    mfu = PUBLISHED_MFU if mfu is None else conform("mfu", Fraction, mfu)
    price = None if price is None else conform("price", NotNegative, price)
    if not mfu:
        raise ValueError("mfu must be above 0")
    division, chosen = _that_fits(recipe, gpus, kind, rows, checkpointing)
    config, window, parts = recipe.model, recipe.data.window, memory_per_gpu(recipe, division, chosen)
    ways = training_flops(config, window)
    needed = ways[model_way(config)]
    hardware = needed + recomputed_flops(config, window, chosen)
    if config.mixer == "attention":
        hardware += ways["6 (N - V d) + 7 L T d"] - needed
    seconds = needed * recipe.tokens_per_step / (division.gpus * card.tflops * 1e12 * mfu)
    seconds *= 1 + recomputed_flops(config, window, chosen) / needed
    hours = seconds * recipe.schedule.steps / 3600
    saved = 12 * config.parameters
    evaluations = recipe.schedule.steps // recipe.keeping.evaluate_every
    return {
        "recipe": recipe.name,
        "parameters": config.parameters,
        "tokens": recipe.tokens,
        "steps": recipe.schedule.steps,
        "tokens_per_step": recipe.tokens_per_step,
        "gpu": kind,
        **asdict(division),
        "original": asdict(recipe.divided()),
        "original_gpu": recipe.batch.gpu,
        "checkpointing": chosen,
        "flops": {
            "per_token": ways,
            "model_formula": model_way(config),
            "model": needed * recipe.tokens,
            "hardware": hardware * recipe.tokens,
        },
        "memory_per_gpu": {**parts, "total": sum(parts.values()), "can be used": _room(kind)},
        "activations": {
            name: _counted(recipe, division, name).kept + _counted(recipe, division, name).ends
            for name in CHECKPOINTING
        },
        "communication": communication(recipe, division),
        "checkpoint": {
            "bytes": saved,
            "weights": 4 * config.parameters,
            "kept": saved * (recipe.keeping.saves + evaluations),
        },
        "data": recipe.tokens * (2 if config.vocab <= 2**16 else 4),
        "mfu": mfu,
        "step_seconds": seconds,
        "hours": hours,
        "gpu_hours": hours * division.gpus,
        "cost": None if price is None else price * hours * division.gpus,
        "published": _published(recipe, ways) if recipe.published else None,
    }


def model_way(config: ModelConfig) -> str:
    """The way of counting that is what the model needs."""
    return "6 (N - V d) + 6 L T d" if config.mixer == "attention" else "6 (N - V d) + states"


def _published(recipe: Recipe, ways: Mapping[str, int]) -> dict[str, Any]:
    """The figure of the release, for round numbers and for exact ones, and the share of the peak that it means."""
    size, tokens = recipe.name.split("-")[1], recipe.name.split("-")[3]
    hours = published_hours(float(size[:-1]) * 1e9, float(tokens[:-1]) * 1e12)
    seconds = hours * 3600 * GPUS["h200"].tflops * 1e12
    return {
        "gpu_hours": hours,
        "gpu_hours_of_exact_size": published_hours(recipe.model.parameters, recipe.tokens),
        "mfu": {way: each * recipe.tokens / seconds for way, each in ways.items()},
    }


def _counted(recipe: Recipe, division: Division, kind: str) -> Counted:
    numbers: Any = "bfloat16" if recipe.precision.compute == "bfloat16" else "float32"
    return count(recipe.model, division.rows, recipe.data.window, numbers, kind)


def _room(kind: str) -> int:
    """Bytes of a GPU that a run may use."""
    return available_memory()[1] if kind == "cpu" else round(GPUS[kind].memory * 1e9 * (1 - RESERVE))


def _that_fits(
    recipe: Recipe, gpus: int | None, gpu: str, rows: int | None, checkpointing: str | None
) -> tuple[Division, str]:
    """The asked division and checkpointing; where they are left open, those nearest to the original run that fit."""
    if checkpointing is not None:
        choose("checkpointing", checkpointing, CHECKPOINTING)
    asked, room = recipe.divided(gpus, rows), _room(gpu)

    def needed(setting: tuple[Division, str]) -> int:
        return sum(memory_per_gpu(recipe, *setting).values())

    def settings(some_rows: int | None, some_kind: str | None) -> Iterator[tuple[Division, str]]:
        """Those with no more rows at a time than asked; more rows first, and recomputing last."""
        choices = [n for n in divisors(recipe.batch.rows // asked.gpus)[::-1] if n <= asked.rows]
        for kind in CHECKPOINTING if some_kind is None else [some_kind]:
            yield from ((recipe.divided(asked.gpus, n), kind) for n in (choices if some_rows is None else [some_rows]))

    def first(options: Iterator[tuple[Division, str]]) -> tuple[Division, str] | None:
        return next((option for option in options if needed(option) <= room), None)

    if found := first(settings(rows, checkpointing)):
        return found
    *_, last = settings(rows, checkpointing)
    nearest = first(settings(None, None)) or first(
        (recipe.divided(n, 1), "full") for n in divisors(recipe.batch.rows) if n > asked.gpus
    )
    instead = "no number of them would do; choose a kind with more memory"
    if nearest is not None:
        instead = (
            f"the nearest that fits is --gpus {nearest[0].gpus} --rows {nearest[0].rows} --checkpointing {nearest[1]}"
        )
    raise TooLarge(
        f"{recipe.name} needs {needed(last) / 1e9:,.1f} GB on each {gpu} ({last[0]}, checkpointing {last[1]}), and "
        f"{room / 1e9:,.1f} GB can be used; {instead}"
    )


# -- as text -----------------------------------------------------------------------------------------------------------


def plan_table(found: Mapping[str, Any]) -> str:
    """The plan for people."""
    division, original = Division(found["gpus"], found["rows"], found["turns"]), Division(**found["original"])
    flops, memory, published = found["flops"], found["memory_per_gpu"], found["published"]
    kinds = [f"{name} {size / 1e9:,.1f}" for name, size in found["activations"].items()]
    lines = [
        ("recipe", found["recipe"]),
        ("parameters", f"{found['parameters']:,}"),
        ("tokens", f"{found['tokens']:,} in {found['steps']:,} steps of {found['tokens_per_step']:,}"),
        ("a step", str(division)),
        *([("  originally", f"{original}, on {found['original_gpu']}")] if original != division else []),
        ("", ""),
        (
            "operations",
            f"for each token; whole run {flops['model']:.4e} for the model, {flops['hardware']:.4e} carried out",
        ),
        *((f"  {way}", f"{each:.4e}  {ABOUT_FLOPS[way]}") for way, each in flops["per_token"].items()),
        ("", ""),
        (f"memory of each {found['gpu']}", f"GB, checkpointing {found['checkpointing']}"),
        *((f"  {part}", f"{size / 1e9:10,.2f}  {ABOUT_MEMORY[part]}".rstrip()) for part, size in memory.items()),
        ("  each checkpointing", f"{', '.join(kinds)} GB of activations and logits"),
        ("", ""),
        ("traffic of a GPU", "GB sent in each step"),
        *((f"  {name}", f"{size / 1e9:10,.2f}") for name, size in found["communication"].items()),
        (
            "checkpoint",
            f"{found['checkpoint']['bytes'] / 1e9:,.1f} GB; {found['checkpoint']['kept'] / 1e12:,.2f} TB stay",
        ),
        ("data", f"{found['data'] / 1e9:,.1f} GB of tokens"),
        ("", ""),
        ("speed assumed", f"{found['mfu']:.1%} of the peak does what the model needs"),
        ("time", f"{_duration(found['hours'])}, {found['step_seconds']:,.2f} s a step"),
        ("GPU-hours", f"{found['gpu_hours']:,.2f}" if found["gpu_hours"] < 100 else f"{found['gpu_hours']:,.0f}"),
    ]
    if published:
        shares = [f"{share:.1%} by {way}" for way, share in published["mfu"].items()]
        lines += [
            (
                "  published",
                f"{published['gpu_hours']:,.0f} on H200s ({published['gpu_hours_of_exact_size']:,.0f} for the exact size)",
            ),
            ("  that is", "; ".join(shares)),
        ]
    if found["cost"] is not None:
        lines.append(("cost", f"{found['cost']:,.2f} at the typed price"))
    return "\n".join(f"{name:<26}{text}".rstrip() for name, text in lines)


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:,.1f} minutes"
    return f"{hours:,.1f} hours" if hours < 72 else f"{hours / 24:,.1f} days"


def recipes_table(all_of_them: list[Recipe]) -> str:
    """A line for each recipe; GPU-hours by the note in the published figure."""
    lines = [f"{'recipe':<31}{'parameters':>15}{'tokens':>20}{'H200-hours':>12}  rate"]
    for recipe in all_of_them:
        hours = published_hours(recipe.model.parameters, recipe.tokens)
        amount = f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
        rate = recipe.optimizer.learning_rate
        lines.append(f"{recipe.name:<31}{recipe.model.parameters:>15,}{recipe.tokens:>20,}{amount:>12}  {rate:g}")
    return "\n".join(lines)


# -- predicted and measured --------------------------------------------------------------------------------------------


def measured(path: Path = MEASURED) -> list[dict[str, Any]]:
    """The lines that ship: settings whose memory was counted beforehand and then measured; `bench.memory` makes them."""
    lines: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["lines"]
    return lines


def measured_table(lines: list[dict[str, Any]]) -> str:
    """MB at the fullest moment of a step: predicted, counted while it ran, and as the system saw it."""
    heads = ("predicted", "allocated", "off by", "resident", "off by")
    rows = [f"{'setting':<64}" + "".join(f"{head:>11}" for head in heads) + "  machine"]
    for line in lines:
        predicted, others = line["predicted"], (line["allocated"], line["resident"])
        cells = [f"{predicted / 1e6:11,.1f}"]
        cells += [
            f"{other / 1e6:11,.1f}{predicted / other - 1:11.1%}" if other else f"{'-':>11}" * 2 for other in others
        ]
        rows.append(f"{line['setting']:<64}{''.join(cells)}  {line['machine']}")
        rows += [f"  {line['why']}"] if "why" in line else []
    return "\n".join(rows)
