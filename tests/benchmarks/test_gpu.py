"""`physlm bench --gpu` carries everything out at small size where there is no GPU, and then reports no number."""

from __future__ import annotations

import json

import pytest
import torch

from physlm_lite.bench import gpu
from physlm_lite.bench.gpu import LARGE, PARTS, SMALL, bench_gpu, gpu_table, kind_of

CPU = torch.device("cpu")


@pytest.mark.slow
def test_without_a_gpu_all_parts_run_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    line = {"setting": "tried in tests/scale", "predicted": 1.0, "allocated": 1.0, "resident": 1.0}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "bench_memory", lambda most: [line])
    found = bench_gpu()
    assert set(found["parts"]) == set(PARTS) and not found["measured"]
    rows = [row for part in found["parts"].values() for row in part.values()]
    assert len(rows) >= 9
    assert all(row["not measured"] == "no GPU here" for row in rows)
    assert not [value for row in rows for value in row.values() if isinstance(value, int | float)], "a CPU's number"
    json.dumps(found)
    table = gpu_table(found)
    assert "nothing was measured" in table and table.count("not measured (no GPU here)") == len(rows)


def test_every_part_measures_what_it_says() -> None:
    """At small size, on the CPU: the numbers are real ones, which `bench_gpu` keeps for itself."""
    alone = gpu.canon_bandwidth(SMALL, CPU, 60)
    assert set(alone) == {"copy", "our own function, forwards", "our own function, backwards"}
    assert alone["copy"]["of_a_copy"] == 1.0 and all(row["gb_per_second"] >= 0 < row["ms"] for row in alone.values())
    blocks = gpu.block_overhead(SMALL, CPU, 60)
    assert blocks["no Canon, eager"]["overhead"] == 0.0 and set(blocks["Canon-ABCD, eager"]) == {"ms", "overhead"}
    (training,) = gpu.training_mfu(SMALL, CPU, 60).values()
    assert training["tokens_per_second"] > 0 and training["mfu_causal"] is None, "a CPU has no peak"
    (many,) = gpu.many_runs(SMALL, CPU, 60).values()
    assert many["times_as_many"] > 0


def test_a_model_that_does_not_fit_gives_way_to_a_shallower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fits(size: gpu.Size, layers: int, device: torch.device) -> gpu.Row:
        tried.append(layers)
        if layers > 8:
            raise torch.OutOfMemoryError
        return {"layers": layers}

    monkeypatch.setattr(gpu, "_mfu", fits)
    assert gpu.training_mfu(LARGE, CPU, 60) == {"LlamaCanon of 8 layers": {"layers": 8}}
    assert tried == [32, 24, 16, 8]


def test_a_part_that_fails_or_comes_too_late_says_so_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(gpu, "passport", dict)

    def fails(*given: object) -> dict[str, gpu.Row]:
        raise RuntimeError("no kernel image\nfor this card")

    def works(*given: object) -> dict[str, gpu.Row]:
        return {"a row": {"ms": 1.5, "mfu": None}}

    parts = {"first": ("one", 1, works), "second": ("two", 1, fails), "third": ("three", 1e9, works)}
    monkeypatch.setattr(gpu, "PARTS", parts)
    found = bench_gpu(limit=100)
    assert found["parts"] == {
        "first": {"a row": {"ms": 1.5, "mfu": None}},
        "second": {"not measured": "RuntimeError: no kernel image"},
        "third": {"not measured": "no time left"},
    }
    assert "ms 1.5, mfu ?" in gpu_table(found) and "not measured (RuntimeError: no kernel image)" in gpu_table(found)


def test_the_parts_together_fit_into_the_limit() -> None:
    assert sum(needed for _, needed, _ in PARTS.values()) <= gpu.LIMIT
    assert set(gpu.BANDWIDTH) <= set(gpu.GPUS)
    assert (kind_of("NVIDIA H100 80GB HBM3"), kind_of("NVIDIA GeForce RTX 4090")) == ("h100", "rtx4090")
