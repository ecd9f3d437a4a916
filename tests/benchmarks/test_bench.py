"""The benchmark suite runs and reports what it should; its numbers are for `physlm bench` to print, never for a test to judge."""

from __future__ import annotations

import json

from physlm_lite import bench


def test_a_quick_benchmark_reports_every_row(monkeypatch) -> None:
    monkeypatch.setattr(bench, "RELEASED_RATES", {"depo1-n225": 660_000})
    monkeypatch.setattr(bench, "RELEASED_GRAMMAR_SECONDS", {"cfg3b": (5.0, 3.0)})
    results = bench.bench(quick=True)
    steps = results["training_step"]
    assert list(steps) == ["matrix products alone", "no Canon, eager", "Canon-ABCD, eager"]
    assert steps["no Canon, eager"]["to_no_canon_eager"] == 1.0
    assert all(row["ms"] > 0 for row in steps.values())
    assert list(results["mixers"]) == [f"{name}, 1 x 512" for name in ("GLA", "Mamba2", "gated delta net")]
    assert all(value > 0 for row in results["mixers"].values() for value in row.values())
    assert results["generators"]["depo1-n225"]["tokens_per_second"] > 0
    assert list(results["grammars"]) == [
        "cfg3b: recognise",
        "cfg3b: recognise, last symbol changed",
        "cfg3b: true distribution",
    ]
    assert all(row["ms"] > 0 for row in results["grammars"].values())
    json.dumps(results)
    table = bench.bench_table(results)
    assert "Canon-ABCD, eager" in table
    assert "gated delta net, 1 x 512" in table
    assert "depo1-n225" in table
    assert "cfg3b: true distribution" in table


def test_matrix_products_cover_every_weight() -> None:
    from physlm_lite.models import LanguageModel, ModelConfig

    model = LanguageModel(ModelConfig(**bench.STEP), seed=0)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embedding" not in name]
    assert len(matrices) == 7 * bench.STEP["layers"] + 1
    assert bench.matrix_products()() is None


def test_interleaving_takes_turns() -> None:
    order: list[str] = []
    seconds = bench.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "a", "b", "b", "a", "b", "a", "b"]
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}
