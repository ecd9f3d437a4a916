"""`physlm bench`: speed on this machine, as ratios within one run.

Single timings on a laptop lie; ratios of interleaved medians lie less. A ratio compares two things that ran here, in turns:
ours with its slow twin, or with the plain model of transformers. Everything runs on one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.machine import passport, single_thread
from .models import POSITIONS, ROWS, STEP, WRITTEN, bench_decoding, bench_loading, bench_mixers, bench_steps
from .tasks import bench_generators, bench_grammars, bench_streams

TITLES = {
    "training_step": f"training step, float32, {ROWS} x {POSITIONS} tokens",
    "decoding": f"writing {WRITTEN} tokens, one after another",
    "loading": "loading",
    "mixers": "one layer, rows x positions",
    "generators": "batches of a task",
    "streams": "a stream, one row at a time",
    "grammars": "grammar engine, a sentence",
}
# What a column is called, and how its numbers are written.
COLUMNS = {
    "mb": ("MB", ",d"),
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
        return {
            "machine": passport(),
            "shape": {**STEP, "rows": ROWS, "positions": POSITIONS},
            "training_step": bench_steps(quick),
            "decoding": bench_decoding(quick),
            "loading": bench_loading(quick),
            "mixers": bench_mixers(quick),
            "generators": bench_generators(quick),
            "streams": bench_streams(quick),
            "grammars": bench_grammars(quick),
        }


def bench_table(results: Mapping[str, Any]) -> str:
    """The measurements as text. "elsewhere": published constants of another machine, which no ratio uses."""
    shape = results["shape"]
    lines = [
        f"one thread; training step: width {shape['width']}, {shape['layers']} layers, {shape['heads']} heads, "
        f"feed-forward {shape['hidden']}, vocabulary {shape['vocab']}"
    ]
    for part, title in TITLES.items():
        rows = results[part]
        used = [field for field in COLUMNS if any(field in row for row in rows.values())]
        if used:
            lines += ["", f"{title:<46}" + "".join(f"  {COLUMNS[field][0]:>8}" for field in used)]
        for name, row in rows.items():
            cells = [
                (format(row[field], COLUMNS[field][1]) if field in row else "-", COLUMNS[field][0]) for field in used
            ]
            lines.append(f"{name:<46}" + "".join(f"  {cell:>{max(8, len(heading))}}" for cell, heading in cells))
    return "\n".join(lines)
