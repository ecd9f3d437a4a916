"""`physlm bench`: speed on this machine, as ratios within one run.

Single timings on a laptop lie; ratios of interleaved medians lie less. A ratio compares two things that ran here, in turns:
ours with its slow twin, or with the plain model of transformers. Everything runs on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..base.machine import passport, single_thread
from .models import POSITIONS, ROWS, STEP, WRITTEN, bench_decoding, bench_loading, bench_mixers, bench_steps
from .reaction import bench_reaction
from .tasks import bench_generators, bench_grammars, bench_streams
from .text import bench_text

# Each part: what its table is called, and what measures it.
PARTS: dict[str, tuple[str, Callable[[bool], dict[str, Any]]]] = {
    "training_step": (f"training step, float32, {ROWS} x {POSITIONS} tokens", bench_steps),
    "decoding": (f"writing {WRITTEN} tokens, one after another", bench_decoding),
    "loading": ("loading", bench_loading),
    "mixers": ("one layer, rows x positions", bench_mixers),
    "generators": ("batches of a task", bench_generators),
    "streams": ("a stream, one row at a time", bench_streams),
    "grammars": ("grammar engine, a sentence", bench_grammars),
    "text": ("prepared text, one core", bench_text),
    "reaction": ("a drag, from the hand to the screen", bench_reaction),
}
# What a column is called, and how its numbers are written.
COLUMNS = {
    "mb": ("MB", ",d"),
    "mb_per_second": ("MB/s", ",.1f"),
    "to_tokenizer": ("x tokenizer alone", ".2f"),
    "ms": ("ms", ",.2f"),
    "ms_a_token": ("ms a token", ".2f"),
    "tokens_per_second": ("tokens/s", ",d"),
    "to_no_canon_eager": ("x no Canon, eager", ".2f"),
    "to_matrix_products": ("x matrix products", ".2f"),
    "to_no_canon": ("x no Canon", ".2f"),
    "to_transformers": ("x transformers' Llama", ".2f"),
    "to_reading": ("x reading the bytes", ".2f"),
    "more_mb": ("MB more memory", ",d"),
    "loop_to_chunks": ("recurrence: loop / chunks", ".1f"),
    "to_attention": ("layer: x attention", ".2f"),
    "over_slow_twin": ("times as fast as the slow twin", ",.1f"),
    "released_tokens_per_second": ("released, elsewhere: tokens/s", ",d"),
    "released_ms": ("released, elsewhere: ms", ",d"),
}


def bench(quick: bool = False) -> dict[str, Any]:
    """All measurements of this machine, on one thread (JSON-ready)."""
    with single_thread():
        about = {"machine": passport(), "shape": {**STEP, "rows": ROWS, "positions": POSITIONS}}
        return about | {part: measure(quick) for part, (_, measure) in PARTS.items()}


def bench_table(results: Mapping[str, Any]) -> str:
    """The measurements as text. "elsewhere": published constants of another machine, which no ratio uses."""
    shape = results["shape"]
    lines = [
        f"one thread; training step: width {shape['width']}, {shape['layers']} layers, {shape['heads']} heads, "
        f"feed-forward {shape['hidden']}, vocabulary {shape['vocab']}"
    ]
    for part, (title, _) in PARTS.items():
        rows = results[part]
        used = {field: column for field, column in COLUMNS.items() if any(field in row for row in rows.values())}
        if used:
            lines += ["", f"{title:<46}" + "".join(f"  {heading:>8}" for heading, _ in used.values())]
        for name, row in rows.items():
            cells = (
                f"{format(row[field], form) if field in row else '-':>{max(8, len(heading))}}"
                for field, (heading, form) in used.items()
            )
            lines.append("  ".join([f"{name:<46}", *cells]))
    return "\n".join(lines)
