"""Recipes of a second, on a corpus that is written for the test."""

from __future__ import annotations

import dataclasses
from typing import Any

from physlm_lite.scale import Recipe, load_recipe

MODEL: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "hidden": 40, "rope_dim": 2}
MODELS: dict[str, dict[str, Any]] = {
    "LlamaCanon": {**MODEL, "canon": "ABCD"},
    "GLA": {**MODEL, "canon": "ACD", "mixer": "gla", "rope_dim": None},
    "tied": {**MODEL, "canon": "AC", "tied": True, "qk_norm": True},
}


def small(corpus: str, kind: str = "LlamaCanon", steps: int = 30, **parts: dict[str, Any]) -> Recipe:
    """`tiny`, smaller: 8 rows of 32 tokens, packed documents that do not see each other. parts: what else differs."""
    tiny = load_recipe("tiny")
    changes: dict[str, dict[str, Any]] = {
        "model": MODELS[kind],
        "data": {"sources": {corpus: 1.0}, "window": 32},
        "batch": {"rows": 8},
        "schedule": {"steps": steps, "warmup": 5},
        "keeping": {"save_every": 10, "evaluate_every": 15, "log_every": 1},
    }
    for name, part in parts.items():
        changes[name] = {**changes.get(name, {}), **part}
    made = {name: dataclasses.replace(getattr(tiny, name), **part) for name, part in changes.items()}
    return dataclasses.replace(tiny, name="small-test", **made)
