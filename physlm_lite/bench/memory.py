"""What the planner says of memory, beside what a step really takes; `physlm bench --memory` tries all lines again.

Each setting runs in a process of its own, twice: once with every allocation counted, once with nothing in the way, for what the
system sees. On an NVIDIA GPU PyTorch's own counters take the place of the two.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..base.files import write_json
from ..base.strict import build
from ..models import ModelConfig
from ..scale.memory import count
from ..scale.plan import MEASURED, measured

SHAPE: dict[str, Any] = {"vocab": 4096, "width": 384, "layers": 4, "heads": 6}
CANON: dict[str, Any] = {**SHAPE, "canon": "ABCD", "rope_dim": 16}
LINEAR: dict[str, Any] = {**SHAPE, "canon": "ACD"}
# The model, rows, tokens in each, numbers, and checkpointing.
SETTINGS: dict[str, tuple[dict[str, Any], int, int, str, str]] = {
    "Llama": (SHAPE, 4, 256, "float32", "none"),
    "LlamaCanon": (CANON, 4, 256, "float32", "none"),
    "LlamaCanon, bfloat16": (CANON, 4, 256, "autocast", "none"),
    "LlamaCanon, bfloat16, selective checkpointing": (CANON, 4, 256, "autocast", "selective"),
    "LlamaCanon, full checkpointing": (CANON, 4, 256, "float32", "full"),
    "LlamaCanon, tied, one long row": ({**CANON, "tied": True}, 1, 1024, "float32", "none"),
    "LlamaCanon, 12 narrow layers": ({**CANON, "width": 192, "heads": 3, "layers": 12}, 4, 256, "float32", "none"),
    "Llama, a vocabulary of 32,000": ({**SHAPE, "vocab": 32_000, "layers": 2}, 2, 256, "float32", "none"),
    "GLA5Canon": ({**LINEAR, "mixer": "gla", "heads": 3}, 4, 256, "float32", "none"),
    "GDN2Canon, full checkpointing": ({**LINEAR, "mixer": "gated_delta", "heads": 3}, 4, 256, "float32", "full"),
    "Mamba2Canon, bfloat16": ({**LINEAR, "mixer": "mamba2", "heads": 3}, 2, 256, "autocast", "none"),
}

# Two steps, since the optimiser's moments are there from the second one on; before that, one of a small model to load what
# PyTorch loads for its first step.
STEP = """
import json, sys
import psutil, torch
from physlm_lite.base.machine import peak_memory_mb
from physlm_lite.base.strict import build
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale.memory import Alive, recompute

shape, rows, window, numbers, kind, counted = json.loads(sys.argv[1])
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)

def steps(config, rows, window):
    model = recompute(LanguageModel(config, seed=0).to(device), kind)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(config.vocab, (rows, window + 1), device=device)
    learnt = torch.ones_like(tokens, dtype=torch.bool)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=numbers == "autocast"):
            loss = model.loss(tokens, learnt)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()

steps(build(ModelConfig, {**shape, "width": 96, "layers": 1, "vocab": 64}), 1, 32)
config = build(ModelConfig, shape)
if device == "cuda":
    torch.cuda.reset_peak_memory_stats()
    steps(config, rows, window)
    print(torch.cuda.max_memory_reserved() if not counted else torch.cuda.max_memory_allocated())
elif counted:
    with Alive() as alive:
        steps(config, rows, window)
    print(alive.most)
else:
    before = psutil.Process().memory_info().rss
    steps(config, rows, window)
    print(round(peak_memory_mb() * 1e6 - before))
"""


def bench_memory(quick: bool = False, write: Path | None = None, most: int | None = None) -> list[dict[str, Any]]:
    """A line for each setting: bytes predicted, allocated and resident at the fullest moment. quick: the first setting alone;
    most: so many of them.

    write: a file such as `plan.MEASURED`, in which the lines of this machine are replaced or added.
    """
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU {platform.machine()}"
    lines = []
    for name, (shape, rows, window, numbers, kind) in list(SETTINGS.items())[: 1 if quick else most]:
        config = build(ModelConfig, shape)
        found = count(config, rows, window, numbers, kind)  # type: ignore[arg-type]
        predicted = 12 * config.parameters + max(found.before, found.after)
        allocated, resident = (_measure((shape, rows, window, numbers, kind, counted)) for counted in (True, False))
        about = f"{name}: width {config.width}, {config.layers} layers, {rows} x {window}"
        lines.append(
            {
                "setting": about,
                "predicted": predicted,
                "allocated": allocated,
                "resident": resident,
                "machine": f"{machine}, torch {torch.__version__}",
            }
        )
    if write is not None:
        write_lines(lines, write)
    return lines


def _measure(setting: tuple[Any, ...]) -> int:
    # what PyTorch frees goes back to the system at once, as the planner reckons
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", STEP, json.dumps(setting)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def write_lines(lines: list[dict[str, Any]], path: Path = MEASURED) -> None:
    """Put lines into a file in the place of those of the same setting and machine; a reason given there stays."""

    def key(line: Mapping[str, Any]) -> tuple[str, str]:
        return line["setting"], line["machine"].partition(",")[0]

    kept = {key(line): line for line in (measured(path) if path.exists() else [])}
    for line in lines:
        kept[key(line)] = {**({"why": kept[key(line)]["why"]} if "why" in kept.get(key(line), {}) else {}), **line}
    write_json(path, {"about": "bytes at the fullest moment of a step", "lines": list(kept.values())})
