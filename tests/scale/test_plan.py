"""The planner: the published run's numbers, what fits and what does not, and how far it was off where it was tried."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from physlm_lite.bench import memory as bench
from physlm_lite.cli import main
from physlm_lite.models import LanguageModel
from physlm_lite.scale import load_recipe, recipes
from physlm_lite.scale import plan as planner
from physlm_lite.scale.memory import Counted
from physlm_lite.scale.plan import GPUS, measured, measured_table, plan, plan_table, recipes_table, training_flops
from physlm_lite.training import TooLarge

pytestmark = pytest.mark.usefixtures("one_thread")

EIGHT = "LlamaCanon-8B-Nemo-1T-lr0.003"
# Of the published 8B run: for each token, for the whole run, and the share of an H200's peak at 41,600 hours.
PUBLISHED = {
    "6 N": (4.8215e10, 4.8534e22, 0.328),
    "6 (N - V d)": (4.5063e10, 4.5361e22, 0.306),
    "6 (N - V d) + 6 L T d": (4.8284e10, 4.8604e22, 0.328),
    "6 (N - V d) + 7 L T d": (4.8821e10, 4.9145e22, 0.332),
    "6 (N - V d) + 12 L T d": (5.1505e10, 5.1847e22, 0.350),
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the count, which takes seconds: 40 GB of activations a row without checkpointing, 13 and 1 with it."""
    kept = {"none": 40 * 10**9, "selective": 13 * 10**9, "full": 10**9}

    def count(config: Any, rows: int, window: int, numbers: str, kind: str = "none") -> Counted:
        return Counted(rows * kept[kind], 0, rows * 6 * 10**9, rows * (kept[kind] + 6 * 10**9), 0)

    monkeypatch.setattr(planner, "count", count)


def test_the_published_run_is_priced_exactly(counted: None, capsys: Capture) -> None:
    assert main(["plan", EIGHT, "--json", "--price", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["tokens"], found["steps"]) == (8_035_766_272, 1_006_632_960_000, 160_000)
    for way, (each, whole, share) in PUBLISHED.items():
        assert found["flops"]["per_token"][way] == pytest.approx(each, rel=2e-5)
        assert found["flops"]["per_token"][way] * found["tokens"] == pytest.approx(whole, rel=2e-5)
        assert found["published"]["mfu"][way] == pytest.approx(share, abs=6e-4)
        assert found["published"]["mfu"][way] * 41_600 / 42_000 == pytest.approx(share * 0.9905, abs=6e-4)
    assert found["flops"]["model"] == 48_283_803_648 * 1_006_632_960_000
    assert found["published"]["gpu_hours"] == 41_600
    assert found["published"]["gpu_hours_of_exact_size"] == pytest.approx(42_063, abs=1)
    assert found["gpu_hours"] == pytest.approx(42_063, rel=0.003) and found["cost"] == 2 * found["gpu_hours"]
    assert found["gpu"] == "h200" and found["gpus"] * found["rows"] * found["turns"] == 1536
    parts = found["memory_per_gpu"]
    assert parts["weights"] == parts["gradients"] == 4 * 8_035_766_272 // 512
    assert parts["optimizer"] == 8 * 8_035_766_272 // 512 and parts["gathered weights"] == 2 * 8_035_766_272
    assert parts["total"] == sum(size for part, size in parts.items() if part not in ("total", "can be used"))
    assert found["checkpoint"]["bytes"] == 12 * 8_035_766_272 and found["data"] == 4 * found["tokens"]


def test_a_plan_that_is_really_counted(capsys: Capture) -> None:
    assert main(["plan", "tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    parts, kept = found["memory_per_gpu"], found["activations"]
    assert (found["gpu"], found["turns"], found["checkpointing"]) == ("cpu", 1, "none")
    assert parts["gathered weights"] == parts["gradients"] == parts["buffers"] == 0  # one process, in float32
    assert parts["weights"] + parts["optimizer"] == 12 * found["parameters"]
    assert kept["none"] > 2 * kept["selective"] > 3 * kept["full"] > 0
    assert kept["none"] == parts["activations"] + parts["logits"]


def test_operations_come_from_the_parts() -> None:
    for name in recipes():
        recipe = load_recipe(name)
        config, window = recipe.model, recipe.data.window
        ways = training_flops(config, window)
        norms = 6 * (2 * config.layers + 1) * config.width
        everything = ways.get("6 (N - V d) + 12 L T d", ways.get("6 (N - V d) + states"))
        # the parts leave out gains, biases and rates, which are 1 of 2,000 parameters at most
        assert 0 <= everything - 3 * config.flops_per_token(window) - norms <= 6 * config.parameters / 2000
    tied = dataclasses.replace(load_recipe("tiny").model, tied=True)
    assert training_flops(tied, 8)["6 (N - V d)"] == 6 * tied.parameters == training_flops(tied, 8)["6 N"]
    experts = dataclasses.replace(load_recipe("tiny").model, canon="ABC", experts=4)
    one = dataclasses.replace(experts, experts=0)
    router = experts.layers * experts.width * 4
    assert training_flops(experts, 8)["6 (N - V d)"] == training_flops(one, 8)["6 (N - V d)"] + 6 * router


def test_units_are_those_of_the_model() -> None:
    for changes in ({}, {"tied": True}):
        config = dataclasses.replace(load_recipe("tiny").model, **changes)
        model, sizes = LanguageModel(config), planner.unit_sizes(config)
        assert sizes["block"] == sum(p.numel() for p in model.blocks[0].parameters())
        assert sizes["block"] * config.layers + sizes["embedding"] + sizes["head"] + sizes["norm"] == config.parameters


def test_less_memory_means_turns_then_checkpointing_and_never_another_batch(counted: None) -> None:
    recipe = load_recipe(EIGHT)
    asked = [("b200", 512), ("h200", 512), ("h100", 512), ("a100-40gb", 512), ("a100-40gb", 1536)]
    found = [plan(recipe, gpus, gpu) for gpu, gpus in asked]
    assert [(p["rows"], p["turns"], p["checkpointing"]) for p in found] == [
        (3, 1, "none"),
        (1, 3, "none"),
        (1, 3, "none"),
        (1, 3, "full"),
        (1, 1, "full"),
    ]
    slower = plan(recipe, 512, "h200", checkpointing="full")
    assert slower["gpu_hours"] == pytest.approx(found[1]["gpu_hours"] * 4 / 3, rel=0.03)
    assert plan(recipe, 256)["hours"] == pytest.approx(2 * plan(recipe)["hours"])
    assert plan(recipe, mfu=0.5)["hours"] == pytest.approx(plan(recipe, mfu=0.25)["hours"] / 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpu": "h100", "rows": 3, "checkpointing": "none"}, "--gpus 512 --rows 1 --checkpointing none"),
        ({"gpu": "h100", "gpus": 1}, "needs 151.* GB on each h100 .*--gpus 3 --rows 1 --checkpointing full"),
        ({"gpu": "a10"}, "no number of them would do; choose a kind with more memory"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_nearest_that_does(
    counted: None, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(TooLarge, match=said):
        plan(load_recipe(EIGHT), **asked)


def test_the_tables_hold_what_the_numbers_say(counted: None, capsys: Capture, tmp_path: Path) -> None:
    text = plan_table(plan(load_recipe(EIGHT), price=2.5))
    for part in (
        "8,035,766,272",
        "1,006,632,960,000",
        "4.8604e+22",
        "41,600",
        "32.8% by 6 N",
        "all-gather",
        "can be used",
    ):
        assert part in text
    assert all(len(line) < 180 for line in text.splitlines())
    table = recipes_table([load_recipe(name) for name in recipes()]).splitlines()
    assert len(table) == 68 and "1,006,632,960,000      42,063" in next(
        line for line in table if line.startswith(EIGHT)
    )
    assert main(["recipes", "diff", "Llama-8B-Nemo-1T-lr0.003", EIGHT]) == 0
    assert "model.rope_dim" in capsys.readouterr().out
    assert main(["recipes", "show", "tiny"]) == 0
    (tmp_path / "copy.yaml").write_text(capsys.readouterr().out)
    assert main(["recipes", "diff", "tiny", str(tmp_path / "copy.yaml")]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert main(["recipes", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == recipes()


def test_the_shipped_predictions_are_within_a_tenth_or_say_why(capsys: Capture) -> None:
    lines = measured()
    assert {line["setting"].partition(":")[0] for line in lines} == {*bench.SETTINGS}
    for line in lines:
        for seen in (line["allocated"], line["resident"]):
            assert abs(line["predicted"] / seen - 1) <= 0.1 or line.get("why"), line
    assert main(["plan", "--measured"]) == 0
    assert capsys.readouterr().out.strip() == measured_table(lines)


@pytest.mark.slow
def test_the_shipped_table_can_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "lines.json"
    (line,) = bench.bench_memory(quick=True, write=path)
    (shipped,) = [other for other in measured() if other["setting"] == line["setting"]][:1]
    assert line["predicted"] == pytest.approx(shipped["predicted"], rel=0.02)
    assert line["predicted"] == pytest.approx(line["allocated"], rel=0.01)
    bench.write_lines([{**line, "resident": 7}], path)
    bench.write_lines([{**line, "machine": "another"}], path)
    assert [(row["resident"], row["machine"]) for row in measured(path)] == [
        (7, line["machine"]),
        (line["resident"], "another"),
    ]


def test_kinds_of_gpu_are_spelled_in_small_letters() -> None:
    assert all(name == name.lower() for name in GPUS)
