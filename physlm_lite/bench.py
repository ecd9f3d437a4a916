"""`physlm bench`: speed on this machine, as ratios within one run.

Single timings on a laptop lie; ratios of interleaved medians lie less. Everything runs on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from torch import Tensor

from .models import LanguageModel, ModelConfig
from .passport import passport
from .tasks import preset
from .training.machine import single_thread

# Training step of the comparison: width, layers, heads, feed-forward, vocabulary, rows, positions.
STEP = {"width": 128, "layers": 4, "heads": 4, "hidden": 336, "vocab": 256}
ROWS, POSITIONS = 16, 128

# Tokens/s on one core of the released generators (measured on a 2-core AMD EPYC, CPU time).
RELEASED_RATES = {
    "depo1-n375": 484_000,
    "depo1-n300": 574_000,
    "depo1-n225": 660_000,
    "depo2-n125": 2_330_000,
    "depo2-n100": 2_770_000,
    "depo2-n75": 3_080_000,
    "depo2-n125-v4": 2_490_000,
    "depo2-n100-v4": 2_720_000,
    "depo2-n75-v4": 2_930_000,
}


def interleaved(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action in each round; all actions take turns, so that a slow moment of the machine hits all alike."""
    for action in actions.values():
        action()
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            begin = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def training_step(
    canon: str = "", operator_compiled: bool = False, blocks_compiled: bool = False
) -> Callable[[], object]:
    """One whole step: forward, backward, fused AdamW."""
    config = ModelConfig(canon=canon, canon_compiled=operator_compiled, **STEP)  # type: ignore[arg-type]
    model = LanguageModel(config, seed=0)
    if blocks_compiled:
        for block in model.blocks:
            block.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(config.vocab, (ROWS, POSITIONS + 1), generator=torch.Generator().manual_seed(0))
    targets = torch.ones_like(tokens, dtype=torch.bool)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model.loss(tokens, targets).backward()
        optimizer.step()

    return step


def matrix_products() -> Callable[[], object]:
    """The products of every weight matrix of that step with its activations: forward, and both gradients."""
    config = ModelConfig(**STEP)  # type: ignore[arg-type]
    model = LanguageModel(config, seed=0)
    x: dict[int, Tensor] = {}
    layers = [m.weight.detach() for m in model.modules() if isinstance(m, torch.nn.Linear)]
    for weight in layers:
        for width in weight.shape:
            x.setdefault(width, torch.randn(ROWS * POSITIONS, width))

    def products() -> None:
        for weight in layers:
            out, into = weight.shape
            _ = x[into] @ weight.t()  # forward
            _ = x[out] @ weight  # gradient of the input
            _ = x[out].t() @ x[into]  # gradient of the weight

    return products


def bench_steps(quick: bool = False) -> dict[str, Any]:
    """Milliseconds, tokens/s and ratios of the training step's variants."""
    actions: dict[str, Callable[[], object]] = {
        "matrix products alone": matrix_products(),
        "no Canon, eager": training_step(),
        "Canon-ABCD, eager": training_step("ABCD"),
    }
    if not quick:
        actions |= {
            "Canon-ABCD, operator compiled": training_step("ABCD", operator_compiled=True),
            "no Canon, blocks compiled": training_step(blocks_compiled=True),
            "Canon-ABCD, blocks compiled": training_step("ABCD", operator_compiled=True, blocks_compiled=True),
        }
    seconds = interleaved(actions, rounds=5 if quick else 31)
    base, products = seconds["no Canon, eager"], seconds["matrix products alone"]

    def ratio(name: str, to: list[float]) -> float:
        return round(median(a / b for a, b in zip(seconds[name], to, strict=True)), 3)

    rows = {
        name: {
            "ms": round(1e3 * median(values), 1),
            "tokens_per_second": round(ROWS * POSITIONS / median(values)),
            "to_no_canon_eager": ratio(name, base),
            "to_matrix_products": ratio(name, products),
        }
        for name, values in seconds.items()
    }
    rows["matrix products alone"].pop("tokens_per_second")
    return rows


def bench_generators(quick: bool = False) -> dict[str, Any]:
    """Tokens/s of the generators on one core, with the released generators' rates beside them."""
    rows = {}
    for name, released in RELEASED_RATES.items():
        task, rates = preset(name), []
        for step in range(3 if quick else 9):
            begin = time.perf_counter()
            count = task.batch(0, step, 128).tokens.numel()
            rates.append(count / (time.perf_counter() - begin))
        rows[name] = {
            "tokens_per_second": round(median(rates)),
            "released": released,
            "ratio": round(median(rates) / released, 1),
        }
    return rows


def bench(quick: bool = False) -> dict[str, Any]:
    """All measurements of this machine, on one thread (JSON-ready)."""
    with single_thread():
        return {
            "machine": passport(),
            "shape": {**STEP, "rows": ROWS, "positions": POSITIONS},
            "training_step": bench_steps(quick),
            "generators": bench_generators(quick),
        }


def bench_table(results: Mapping[str, Any]) -> str:
    """The measurements as text."""
    shape = results["shape"]
    lines = [
        f"training step, one thread, float32: width {shape['width']}, {shape['layers']} layers, {shape['heads']} heads, "
        f"feed-forward {shape['hidden']}, vocabulary {shape['vocab']}, {shape['rows']} x {shape['positions']} tokens",
        f"{'':<32}{'ms':>8}{'tokens/s':>11}{'x no Canon, eager':>20}{'x matrix products':>20}",
    ]
    for name, row in results["training_step"].items():
        rate = f"{row['tokens_per_second']:,}" if "tokens_per_second" in row else "-"
        lines.append(
            f"{name:<32}{row['ms']:>8.1f}{rate:>11}{row['to_no_canon_eager']:>20.2f}{row['to_matrix_products']:>20.2f}"
        )
    lines += ["", f"{'generators, one core':<32}{'tokens/s':>14}{'released':>14}{'ratio':>8}"]
    for name, row in results["generators"].items():
        lines.append(f"{name:<32}{row['tokens_per_second']:>14,}{row['released']:>14,}{row['ratio']:>8.1f}")
    return "\n".join(lines)
