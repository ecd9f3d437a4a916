"""`physlm bench --gpu`: what only a GPU can tell, in one call of at most eight minutes.

Canon's share of the memory's bandwidth, what Canon-ABCD adds to a block of the 8B model, the share of the peak that training at
this width reaches, the planner's memory beside the measured one, many small runs at once, and one claim. A part for which
there is no time left, or that fails, says so and leaves the others alone. Without a GPU everything is carried out at small
size, to show that it works, and no number is reported.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ..base.machine import passport
from ..claims import claim, replicate
from ..models import Context, LanguageModel, ModelConfig, canon, kernels
from ..scale.memory import recompute
from ..scale.plan import GPUS, training_flops
from ..training import Store, train_stacked
from .memory import bench_memory

LIMIT = 480  # seconds in all
# Bytes a second that a card's memory is sold with.
BANDWIDTH = {
    "h200": 4.8e12,
    "h100": 3.35e12,
    "a100": 2.04e12,
    "b200": 8.0e12,
    "l40s": 0.864e12,
    "a10": 0.6e12,
    "rtx4090": 1.008e12,
    "rtx3090": 0.936e12,
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large everything is. layers: of the whole model, the first number that fits. steps: of each of the small runs."""

    width: int
    heads: int
    kv_heads: int
    hidden: int
    vocab: int
    window: int
    layers: tuple[int, ...]
    rounds: int
    runs: int
    steps: int
    settings: int
    scale: str


LARGE = Size(4096, 32, 8, 14_336, 128_256, 4096, (32, 24, 16, 8, 4, 2, 1), 20, 16, 60, 4, "toy")
SMALL = Size(64, 4, 2, 160, 128, 32, (2, 1), 2, 2, 2, 1, "smoke")


def bench_gpu(limit: float = LIMIT) -> dict[str, Any]:
    """All parts (JSON-ready): {"machine", "device", "measured", "parts": {part: {row: numbers, or why there are none}}}.

    measured: whether the numbers are a GPU's. Without one, they are left out.
    """
    there = torch.cuda.is_available()
    size, device = (LARGE, torch.device("cuda")) if there else (SMALL, torch.device("cpu"))
    begin, parts = time.monotonic(), {}
    for part, (_, seconds, measure) in PARTS.items():
        left = limit - (time.monotonic() - begin)
        parts[part] = (
            _carried_out(measure, size, device, left) if left >= seconds or not there else _not("no time left")
        )
        if not there:
            parts[part] = {name: _not("no GPU here") | _words(row) for name, row in parts[part].items()}
    return {
        "machine": passport(),
        "device": torch.cuda.get_device_name() if there else "none",
        "measured": there,
        "seconds": round(time.monotonic() - begin, 1),
        "parts": parts,
    }


def _carried_out(measure: Measure, size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """What a part measures; a part that fails on a GPU must not take the others with it."""
    if device.type == "cpu":
        return measure(size, device, left)
    try:
        return measure(size, device, left)
    except Exception as error:  # whatever a driver, a compiler or a package of others meets
        return _not(f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}")
    finally:
        torch.cuda.empty_cache()


def _not(why: str) -> Row:
    return {"not measured": why}


def _words(row: Mapping[str, Any]) -> Row:
    """What is said in a row, without its numbers."""
    return {name: value for name, value in row.items() if isinstance(value, str) and name != "not measured"}


def seconds(actions: Mapping[str, Callable[[], object]], device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Seconds of each action in each round; all actions take turns. On a GPU by its own clock."""
    for action in actions.values():
        for _ in range(3):  # compiles, tunes, and fills the memory that is kept
            action()
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            found[name].append(_timed(action, device))
    return found


def _timed(action: Callable[[], object], device: torch.device) -> float:
    if device.type == "cpu":
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    action()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def kind_of(name: str) -> str | None:
    """The planner's name of a card; None where it knows none.

    >>> kind_of("NVIDIA H200"), kind_of("NVIDIA A100-SXM4-40GB"), kind_of("Quadro")
    ('h200', 'a100-40gb', None)
    """
    said = name.lower().replace(" ", "")
    found = [kind for kind in GPUS if kind != "cpu" and all(part in said for part in kind.split("-"))]
    return max(found, key=len, default=None)


# -- the parts ---------------------------------------------------------------------------------------------------------


def canon_bandwidth(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """Canon's bytes a second, forwards (x read, y written) and backwards (x and dy read, dx written), beside a plain copy."""
    width, rows = 4 * size.width, 4
    x = torch.randn(rows, size.window, width, device=device, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.rand(width, 1, 4, device=device, requires_grad=True)
    dy, into = torch.randn_like(x), torch.empty_like(x)
    forms: dict[str, Callable[..., Tensor]] = {"our own function": canon}
    taken = kernels.chosen(x)
    if taken is not None and (kernel := taken("canon", width, 4)) is not None:
        forms["what a model takes here"] = partial(canon, kernel=kernel)
    for package in kernels.KERNELS["canon"] if device.type == "cuda" else ():
        if (function := kernels._load(package.module, package.function)) is not None:
            forms[package.module] = partial(_by_package, package.call, function)
    if device.type == "cuda":
        forms["compiled"] = partial(canon, compiled=True)
    actions: dict[str, Callable[[], object]] = {"copy": partial(into.copy_, x.detach())}
    for name, form in forms.items():
        actions[f"{name}, forwards"] = partial(form, x.detach(), weight.detach())
        actions[f"{name}, backwards"] = partial(
            torch.autograd.grad, form(x, weight), (x, weight), dy, retain_graph=True
        )
    found = seconds(actions, device, size.rounds)
    sold = BANDWIDTH.get(kind_of(torch.cuda.get_device_name()) or "") if device.type == "cuda" else None
    rows_: dict[str, Row] = {}
    for name, times in found.items():
        passes = 3 if name.endswith("backwards") else 2
        speed = passes * x.numel() * x.element_size() / median(times)
        copy = 2 * x.numel() * x.element_size() / median(found["copy"])
        rows_[name] = {
            "ms": round(1e3 * median(times), 3),
            "gb_per_second": round(speed / 1e9),
            "of_a_copy": round(speed / copy, 3),
            "of_what_is_sold": None if sold is None else round(speed / sold, 3),
        }
    return rows_


def _by_package(call: Callable[..., Tensor], function: Any, x: Tensor, weight: Tensor) -> Tensor:
    return call(function, x.dtype, x, weight, True, False, None)


def _shape(size: Size, layers: int, letters: str) -> ModelConfig:
    sizes: dict[str, Any] = {"vocab": size.vocab, "width": size.width, "hidden": size.hidden, "layers": layers}
    rotated = size.width // size.heads // 4 if letters else None
    return ModelConfig(**sizes, heads=size.heads, kv_heads=size.kv_heads, canon=letters, rope_dim=rotated)


def block_overhead(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """Forwards and backwards through one block of this width: with Canon-ABCD, A and C, and without."""
    x = torch.randn(1, size.window, size.width, device=device, dtype=torch.bfloat16, requires_grad=True)
    actions: dict[str, Callable[[], object]] = {}
    for letters in ("", "AC", "ABCD"):
        for compiled in (False, True) if device.type == "cuda" else (False,):
            with torch.device(device):  # drawn where it is used: no seed, which would be drawn on the CPU
                model = LanguageModel(replace(_shape(size, 1, letters), vocab=256)).to(torch.bfloat16)
            block, rope = model.blocks[0], model.rope(0, size.window, device)
            if compiled:
                block.compile()
            name = f"{f'Canon-{letters}' if letters else 'no Canon'}, {'compiled' if compiled else 'eager'}"
            actions[name] = partial(_through, block, x, rope)
    found = seconds(actions, device, size.rounds)
    rows = {}
    for name, times in found.items():
        plain = found[f"no Canon, {name.rpartition(', ')[2]}"]
        more = median(a / b for a, b in zip(times, plain, strict=True)) - 1
        rows[name] = {"ms": round(1e3 * median(times), 3), "overhead": round(more, 4)}
    return rows


def _through(block: Any, x: Tensor, rope: Any) -> None:
    block.zero_grad(set_to_none=True)
    block(x, Context(rope=rope, kernels=kernels.chosen(x))).square().mean().backward()


def training_mfu(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """A step of a whole model (weights and moments in bfloat16, fused AdamW, every layer recomputed), and its MFU."""
    for layers in size.layers:
        try:
            return {f"LlamaCanon of {layers} layers": _mfu(size, layers, device)}
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return _not("not even one layer fits")


def _mfu(size: Size, layers: int, device: torch.device) -> Row:
    config = _shape(size, layers, "ABCD")
    with torch.device(device):
        model = recompute(LanguageModel(config).to(torch.bfloat16), "full")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device.type == "cuda")
    tokens = torch.randint(config.vocab, (1, size.window + 1), device=device)
    learnt = torch.ones_like(tokens, dtype=torch.bool)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model.loss(tokens, learnt).backward()
        optimizer.step()

    took = median(seconds({"step": step}, device, max(2, size.rounds // 4))["step"])
    ways = training_flops(config, size.window)
    all_pairs = ways["6 N"] + ways["6 (N - V d) + 12 L T d"] - ways["6 (N - V d)"]
    kind = kind_of(torch.cuda.get_device_name()) if device.type == "cuda" else None
    peak = None if kind is None else GPUS[kind].tflops * 1e12
    row: Row = {"parameters": config.parameters, "tokens_per_second": round(size.window / took)}
    for name, each in (("mfu_6N_12LdT", all_pairs), ("mfu_causal", ways["6 (N - V d) + 6 L T d"])):
        row[name] = None if peak is None else round(each * size.window / took / peak, 4)
    return row


def planned_memory(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """The planner's bytes at the fullest moment of a step, and those that were measured."""
    rows = {}
    for line in bench_memory(most=size.settings):
        measured = {name: round(line[name] / 1e6, 1) for name in ("predicted", "allocated", "resident")}
        rows[line["setting"]] = {**measured, "off_by": round(line["predicted"] / line["allocated"] - 1, 4)}
    return rows


def many_runs(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """Small runs of one shape, one after the other and all at once: how many times as many in the same time."""
    experiment = claim("R1").experiment("toy")
    side, rate = next(iter(experiment.sides)), experiment.rates[0]
    runs = [
        experiment.run(side, rate, seed).but(steps=size.steps, evaluations=1, evaluation_rows=8)
        for seed in range(size.runs)
    ]
    took = {}
    for name, some in (("warm", runs[:1]), ("one", runs[:1]), ("all", runs)):
        with tempfile.TemporaryDirectory(prefix="physlm-") as folder:
            begin = time.perf_counter()
            train_stacked(some, store=Store(Path(folder)), device=device.type)
            took[name] = time.perf_counter() - begin
    each = took["one"] * len(runs) / took["all"]
    return {f"{len(runs)} runs at once": {"seconds": round(took["all"], 2), "times_as_many": round(each, 2)}}


def shortest_claim(size: Size, device: torch.device, left: float) -> dict[str, Row]:
    """One claim from its runs to its verdict; it is stopped after two minutes."""
    begin = time.monotonic()
    until = begin + min(120.0, max(left, 1.0))
    the_claim = claim("R1")
    with tempfile.TemporaryDirectory(prefix="physlm-") as folder:
        options: dict[str, Any] = {"store": Store(Path(folder)), "device": device.type}
        outcome = replicate(the_claim, size.scale, stop=lambda: time.monotonic() > until, **options)
    runs = sum(map(len, outcome.records.values()))
    said = {"verdict": outcome.verdict.word}
    return {
        f"{the_claim.id} at {size.scale} scale": {"seconds": round(time.monotonic() - begin, 1), "runs": runs, **said}
    }


Measure = Callable[[Size, torch.device, float], dict[str, Row]]
# Each part: what its table is called, the seconds that it needs, and what measures it.
PARTS: dict[str, tuple[str, float, Measure]] = {
    "canon": ("Canon alone, bfloat16, 4 rows x 4096 x 16384", 40, canon_bandwidth),
    "block": ("one block of width 4096, 4096 tokens, forwards and backwards", 90, block_overhead),
    "training": ("a training step at width 4096, every layer recomputed", 60, training_mfu),
    "memory": ("memory of a step in MB", 60, planned_memory),
    "runs": ("small runs", 30, many_runs),
    "claim": ("a claim from runs to verdict", 20, shortest_claim),
}


def gpu_table(found: Mapping[str, Any]) -> str:
    """The measurements as text."""
    lines = [f"device: {found['device']}; {found['seconds']:.0f} s in all"]
    if not found["measured"]:
        lines.append("without an NVIDIA GPU everything was carried out at small size, and nothing was measured")
    for part, (title, _, _) in PARTS.items():
        rows = found["parts"][part]
        lines += ["", title]
        for name, row in {"": rows}.items() if "not measured" in rows else rows.items():
            if "not measured" in row:
                said = f"not measured ({row['not measured']})"
            else:
                said = ", ".join(f"{key.replace('_', ' ')} {'?' if v is None else v}" for key, v in row.items())
            lines.append(f"  {name:<52}{said}")
    return "\n".join(lines)
