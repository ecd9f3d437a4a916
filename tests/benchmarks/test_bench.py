"""The benchmark suite runs and reports what it should; its numbers are for `physlm bench` to print, never for a test to judge."""

from __future__ import annotations

import json

import pytest

from physlm_lite.base import clock
from physlm_lite.bench import COLUMNS, PARTS, bench, bench_table, models, published, reaction, tasks, text
from physlm_lite.lessons.mamba2_and_gated_delta.figures import delta_state


@pytest.mark.slow
def test_a_quick_benchmark_reports_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "GENERATORS", {"depo1-n225": 660_000})
    monkeypatch.setattr(published, "GRAMMARS", {"cfg3b": (5.0, 3.0)})
    monkeypatch.setattr(tasks, "STREAMED", ("depo1-n225",))
    monkeypatch.setattr(models, "WRITTEN", 4)
    monkeypatch.setattr(models, "POSITIONS", 8)
    monkeypatch.setattr(models, "MIXER_POSITIONS", 32)
    monkeypatch.setitem(models.FOLDER, "width", 64)
    monkeypatch.setattr(text, "VOCABULARY", 400)
    monkeypatch.setattr(reaction, "pictures", lambda: {"delta rule": delta_state()})
    results = bench(quick=True)
    names = {part: list(rows) for part, rows in results.items() if part in PARTS}
    assert names == {
        "training_step": [
            "matrix products alone",
            "no Canon, eager",
            "Canon-ABCD, eager",
            "transformers' Llama, eager",
        ],
        "decoding": [
            f"{name}, width 128, {texts}"
            for texts in ("1 text", "16 texts")
            for name in ("no Canon", "Canon-ABCD", "GLA", "Mamba2", "gated delta net", "transformers' Llama")
        ]
        + [
            f"{name}, width 512, {texts}"
            for texts in ("1 text", "16 texts")
            for name in ("no Canon", "Canon-ABCD", "transformers' Llama")
        ],
        "loading": ["a folder with a model"],
        "mixers": [f"{name}, 1 x 32" for name in ("GLA", "Mamba2", "gated delta net")],
        "generators": ["depo1-n225"],
        "streams": ["depo1-n225"],
        "grammars": ["cfg3b: recognise", "cfg3b: recognise, last symbol changed", "cfg3b: true distribution"],
        "text": ["characters: text into shards", "byte pairs, 400 tokens: text into shards", "shards into batches"],
        "reaction": ["delta rule"] if reaction.chromium() else [],
    }
    rows = [row for part in PARTS for row in results[part].values()]
    assert {field for row in rows for field in row} == set(COLUMNS)
    assert all(value > 0 for row in rows for field, value in row.items() if field != "more_mb")
    assert results["training_step"]["no Canon, eager"]["to_no_canon_eager"] == 1.0
    assert results["decoding"]["no Canon, width 128, 1 text"]["to_no_canon"] == 1.0
    assert results["decoding"]["transformers' Llama, width 128, 16 texts"]["to_transformers"] == 1.0
    json.dumps(results)
    table = bench_table(results)
    assert all(name in table for part in PARTS for name in results[part])
    assert all(heading in table for heading, _ in COLUMNS.values())


def test_without_the_packages_of_others_their_rows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(models, "WRITERS", {8: {"width": 8, "layers": 1, "heads": 1, "hidden": 8, "vocab": 8}})
    monkeypatch.setattr(models, "WRITTEN", 2)
    rows = models.bench_decoding(quick=True)
    assert "no Canon, width 8, 1 text" in rows
    assert not any("transformers" in name or "to_transformers" in row for name, row in rows.items())
    assert tasks.bench_streams() == {}
    assert reaction.bench_reaction() == {}


def test_no_ratio_uses_a_number_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other published numbers change their own column alone."""
    monkeypatch.setattr(tasks, "rates", lambda *_: {"fast": [30.0], "slow": [10.0]})
    monkeypatch.setattr(published, "GENERATORS", {"copy": 5, "depo1-n225": 7})
    same = {"tokens_per_second": 30, "over_slow_twin": 3.0}
    assert tasks.bench_generators() == {
        "copy": {**same, "released_tokens_per_second": 5},
        "depo1-n225": {**same, "released_tokens_per_second": 7},
    }


@pytest.mark.parametrize("name", ["depo2-n75", "brevo1-n70", "mano-l10", "lano-cfg3b", "capo-100k"])
def test_the_slow_twin_of_every_task_counts_its_tokens(name: str) -> None:
    task = tasks.preset(name)
    assert 2 < tasks.SLOW[type(task)](task, 1) < 5_000
    assert set(tasks.SLOW) == {type(tasks.preset(name)) for name in published.GENERATORS}


def test_matrix_products_cover_every_weight() -> None:
    model = models.LanguageModel(models.ModelConfig(**models.STEP), seed=0)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embedding" not in name]
    assert len(matrices) == 7 * models.STEP["layers"] + 1
    assert models.matrix_products()() is None


def test_the_plain_model_and_that_of_transformers_have_one_shape() -> None:
    for shape in (models.STEP, *models.WRITERS.values()):
        ours = models.LanguageModel(models.ModelConfig(**shape), seed=0)
        assert sum(p.numel() for p in ours.parameters()) == models.llama(shape).num_parameters()


def test_taking_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], []

    def work(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    monkeypatch.setattr(clock.time, "process_time", lambda: now[0])
    seconds = clock.interleaved({"a": lambda: work("a", 0.5), "b": lambda: work("b", 0.125)}, rounds=2)
    assert order == ["a", "a", "b", "b", "a", "b", "a", "b"]
    assert seconds == {"a": [0.5, 0.5], "b": [0.125, 0.125]}
    assert clock.ratio(seconds["a"], seconds["b"]) == 4.0
    assert clock.milliseconds(seconds["b"]) == 125.0


def test_a_rate_counts_until_there_was_enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, numbers = [0.0], []

    def work(number: int) -> int:
        numbers.append(number)
        now[0] += 0.25
        return 10

    monkeypatch.setattr(tasks.time, "process_time", lambda: now[0])
    assert tasks.rate(work, 2, 0.7) == 40.0
    assert numbers == [2000, 2001, 2002]
