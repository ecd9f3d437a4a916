"""`physlm bench`: speed on this machine, as ratios within one run.

Single timings on a laptop lie; ratios of interleaved medians lie less. Everything runs on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .base.machine import passport, single_thread
from .models import Context, LanguageModel, ModelConfig
from .tasks import Lano, preset
from .tasks.parsing import next_symbols, recognise

# Training step of the comparison: width, layers, heads, feed-forward, vocabulary, rows, positions.
STEP = {"width": 128, "layers": 4, "heads": 4, "hidden": 336, "vocab": 256}
ROWS, POSITIONS = 16, 128

# One layer with a linear mixer, all by themselves.
MIXER_STEP: dict[str, Any] = {"width": 128, "layers": 1, "heads": 4, "hidden": 336, "vocab": 256}
MIXER_POSITIONS = 512
MIXERS: dict[str, dict[str, Any]] = {
    "GLA": {"mixer": "gla"},
    "Mamba2": {"mixer": "mamba2"},
    "gated delta net": {"mixer": "gated_delta"},
}

# Tokens/s on one core of the released generators (measured on a 2-core AMD EPYC, CPU time). Capo: GPT-2 tokens of the
# text with its permutation routine, tokenizing not included.
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
    "brevo1-n110": 656_000,
    "brevo1-n90": 688_000,
    "brevo1-n70": 721_000,
    "brevo2-n50": 1_520_000,
    "brevo2-n40": 1_530_000,
    "brevo2-n30": 1_500_000,
    "mano-l10": 898_000,
    "mano-l13": 867_000,
    "mano-l16": 915_000,
    "lano-cfg3b": 846_000,
    "lano-cfg3i": 851_000,
    "lano-cfg3h": 890_000,
    "lano-cfg3g": 852_000,
    "lano-cfg3f": 879_000,
    "lano-cfg3e1": 852_000,
    "lano-cfg3e2": 907_000,
    "lano-cfg3j": 836_000,
    "lano-cfg3k": 909_000,
    "capo-100k": 3_100_000,
}

# Seconds a sentence of the released programs, on sentences of about the mean length: recognition, true distribution.
RELEASED_GRAMMAR_SECONDS = {"cfg3f": (4.0, 3.0), "cfg3k": (20.7, 16.9)}


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


def layer_step(rows: int, **options: Any) -> Callable[[], object]:
    """Forward and backward through one layer: a mixer with its feed-forward layer."""
    model = LanguageModel(ModelConfig(**{**MIXER_STEP, **options}), seed=0)
    tokens = torch.randint(model.config.vocab, (rows, MIXER_POSITIONS), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.hidden(tokens).square().mean().backward()

    return step


def recurrence_step(rows: int, loop: bool, **options: Any) -> Callable[[], object]:
    """Forward and backward through the recurrence of a mixer alone; loop: token after token."""
    mixer: Any = LanguageModel(ModelConfig(**{**MIXER_STEP, **options}), seed=0).get_submodule("blocks.0.mixer")
    x = torch.randn(rows, MIXER_POSITIONS, MIXER_STEP["width"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        inputs = [z.clone() for z in mixer.inputs(x, Context())]
    form = mixer.naive if loop else mixer.chunked

    def step() -> None:
        form(*(z.requires_grad_() for z in inputs))[0].square().mean().backward()

    return step


def bench_mixers(quick: bool = False) -> dict[str, Any]:
    """Milliseconds of a training step with each linear mixer: its recurrence against the loop, its layer against attention."""
    found = {}
    for rows in (1,) if quick else (1, 4):
        actions = {"attention": layer_step(rows)}
        for name, options in MIXERS.items():
            actions |= {
                name: layer_step(rows, **options),
                f"{name}, chunks": recurrence_step(rows, False, **options),
                f"{name}, loop": recurrence_step(rows, True, **options),
            }
        seconds = interleaved(actions, rounds=1 if quick else 9)
        for name in MIXERS:
            pairs = zip(seconds[f"{name}, loop"], seconds[f"{name}, chunks"], strict=True)
            against = zip(seconds[name], seconds["attention"], strict=True)
            found[f"{name}, {rows} x {MIXER_POSITIONS}"] = {
                "ms": round(1e3 * median(seconds[name]), 1),
                "loop_to_chunks": round(median(a / b for a, b in pairs), 1),
                "to_attention": round(median(a / b for a, b in against), 2),
            }
    return found


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


def bench_grammars(quick: bool = False) -> dict[str, Any]:
    """Milliseconds a sentence of the grammar engine, in a batch of sentences within 10 % of the mean length."""
    rows = {}
    for name, (recognition, distribution) in RELEASED_GRAMMAR_SECONDS.items():
        task = Lano(name)
        grammar, near = task.language, 0.1 * task.language.mean_length
        sentences = [s for s in task.sentences(0, 0, 400, "test") if abs(len(s) - grammar.mean_length) < near][:64]
        corrupt = [np.append(s[:-1], s[-1] % 3 + 1) for s in sentences]
        actions: dict[str, Callable[[], object]] = {
            "recognise": partial(recognise, grammar, sentences),
            "recognise, last symbol changed": partial(recognise, grammar, corrupt),
            "true distribution": partial(next_symbols, grammar, sentences),
        }
        released = {
            "recognise": recognition,
            "recognise, last symbol changed": recognition,
            "true distribution": distribution,
        }
        for action, seconds in interleaved(actions, rounds=3 if quick else 9).items():
            each = median(seconds) / len(sentences)
            rows[f"{name}: {action}"] = {
                "ms": round(1e3 * each, 2),
                "released_ms": round(1e3 * released[action]),
                "ratio": round(released[action] / each),
            }
    return rows


def bench(quick: bool = False) -> dict[str, Any]:
    """All measurements of this machine, on one thread (JSON-ready)."""
    with single_thread():
        return {
            "machine": passport(),
            "shape": {**STEP, "rows": ROWS, "positions": POSITIONS},
            "training_step": bench_steps(quick),
            "mixers": bench_mixers(quick),
            "generators": bench_generators(quick),
            "grammars": bench_grammars(quick),
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
    lines += [
        "",
        f"{'one layer, rows x positions':<32}{'ms':>8}{'recurrence: loop / chunks':>28}{'layer: x attention':>22}",
    ]
    for name, row in results["mixers"].items():
        lines.append(f"{name:<32}{row['ms']:>8.1f}{row['loop_to_chunks']:>28.1f}{row['to_attention']:>22.2f}")
    lines += ["", f"{'generators, one core':<32}{'tokens/s':>14}{'released':>14}{'ratio':>8}"]
    for name, row in results["generators"].items():
        lines.append(f"{name:<32}{row['tokens_per_second']:>14,}{row['released']:>14,}{row['ratio']:>8.1f}")
    lines += ["", f"{'grammar engine, one core, one sentence':<48}{'ms':>10}{'released, ms':>14}{'ratio':>8}"]
    for name, row in results["grammars"].items():
        lines.append(f"{name:<48}{row['ms']:>10.2f}{row['released_ms']:>14,}{row['ratio']:>8,}")
    return "\n".join(lines)
