"""Models and grids that several tasks share."""

from __future__ import annotations

from typing import Any

ONE_LAYER: dict[str, Any] = {"width": 64, "layers": 1, "heads": 2, "hidden": 160, "depth_scaling": "global"}
SMALL: dict[str, Any] = {**ONE_LAYER, "layers": 2}
DEEPER: dict[str, Any] = {**ONE_LAYER, "layers": 3}
PUBLISHED: dict[str, Any] = {"width": 512, "layers": 8, "heads": 8, "hidden": 1376, "init": "huggingface"}
HALF: dict[str, Any] = {**PUBLISHED, "layers": 4}  # as wide, half as deep: for one GPU
BIG: dict[str, Any] = {"warmup": 1000, "evaluations": 50, "dtype": "bfloat16", "leaky": True}  # its training

UNTRIED = ("Written before any run at this scale: no GPU had been at hand.",)

GRID = (1e-3, 2e-3, 4e-3, 8e-3)
FEW = (1e-3, 4e-3, 8e-3)  # of this grid: a side costs 9 runs instead of 12
