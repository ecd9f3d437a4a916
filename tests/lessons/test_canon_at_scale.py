"""Notebook 15's pictures, tables and planner: their numbers are those of the published tables and of the plan."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from physlm_lite.base.machine import single_thread
from physlm_lite.claims.published import cells
from physlm_lite.lessons.canon_at_scale import exercises
from physlm_lite.lessons.canon_at_scale import figures as lab
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale.launch import Job, write_job
from physlm_lite.scale.plan import PUBLISHED_MFU, model_way, plan, training_flops
from physlm_lite.scale.published.results import curves, tables
from physlm_lite.scale.recipe import load_recipe

EIGHT = "LlamaCanon-8B-Nemo-1T-lr0.003"


def test_the_runs_add_up() -> None:
    rows = [line.split("  ") for line in lab.runs_table().text.splitlines()[1:]]
    assert sum(int(row[-1]) for row in rows) == 64
    assert sum(int(row[-1]) for row in rows if row[0] == "Transformer") == 16
    assert ["Transformer", "8B, 1T", "8.03 to 8.04", "0.002, 0.003", "4"] in rows


def test_every_dot_of_the_pairs_is_a_published_number() -> None:
    figure = lab.pairs_figure(("MMLU", "1-hop-4k"))
    for axis, score in zip(figure.axes, ("MMLU", "1-hop-4k"), strict=True):
        found = cells(tables(), score, "LlamaCanon", "Llama")
        drawn = [[float(x) for x, _ in dots.get_offsets()] for dots in axis.collections]  # type: ignore[union-attr]
        assert drawn == [[values[side] for _, values in found] for side in ("Llama", "LlamaCanon")]


def test_noise_stands_beside_the_gain() -> None:
    lines = {row.split("  ")[0]: row.split("  ") for row in lab.noise_table().text.splitlines()}
    assert lines["MMLU"] == ["MMLU", "+2.2", "+1.3 to +3.8", "8 of 8", "0.7", "not published"]
    assert lines["FDA"][-1] == "up to 9"


def test_canon_passes_thirty_percent_on_fewer_tokens_in_every_pair() -> None:
    rows = [line.split("  ") for line in lab.awakening_table().text.splitlines()[1:]]
    assert len(rows) == 8 and all(float(row[-1]) > 1 for row in rows)
    assert rows[0] == ["1B, 1T, rate 0.002", "285", "117", "2.4"]


def test_every_checkpoint_of_the_still_picture_is_a_published_one() -> None:
    axes = lab.growth_figure("mmlu").axes
    assert [len(axis.lines) for axis in axes] == [5, 5, 5]  # two rates a side, and guessing
    ends = sorted(float(line.get_ydata()[-1]) for line in axes[2].lines[:4])  # type: ignore[index]
    names = [f"{side}-8B-Nemo-1T-lr0.00{rate}" for side in ("Llama", "LlamaCanon") for rate in (2, 3)]
    assert ends == sorted(float(curves()[name].scores["mmlu"][-1]) for name in names)


def test_a_line_of_the_lengths_is_a_run() -> None:
    axes = lab.length_figure().axes
    assert [len(axis.lines) - 1 for axis in axes] == [7, 7, 6]  # two, two and three rates; at 8B two
    last = axes[2].lines[1]
    name = "LlamaCanon-8B-Nemo-1T-lr0.003"
    assert list(last.get_ydata())[-1] == tables()[name]["1-hop-6k"]  # type: ignore[arg-type]


# -- the bill ----------------------------------------------------------------------------------------------------------


def test_the_planner_says_what_the_plan_says_and_refuses_in_its_words() -> None:
    with single_thread():
        widget = lab.planner("academic-1.3B")
        widget.controls["gpus"].value = 8
        found = plan(load_recipe("academic-1.3B"), gpus=8, gpu="h200", mfu=round(100 * PUBLISHED_MFU) / 100, price=2.0)
        assert (
            widget.text.value == lab.bill(found) and f"<b>{found['gpu_hours']:,.0f} GPU-hours</b>" in widget.text.value
        )
        before = widget.image.value
        widget.controls["gpu"].value = "l40s"
        assert widget.image.value != before
        widget.controls["gpus"].value = 64  # does not divide the rows of a step
    assert "would be another experiment" in widget.text.value
    assert widget.errors == []


def test_the_bar_is_as_long_as_the_memory() -> None:
    found = plan(load_recipe("academic-1.3B"), gpus=8)
    (axis,) = lab.memory_figure(found).axes
    total = sum(bar.get_width() for bar in axis.patches)  # type: ignore[attr-defined]
    assert total == pytest.approx(found["memory_per_gpu"]["total"] / 1e9)


def test_the_exercises_are_the_arithmetic_of_the_8b_run() -> None:
    recipe = load_recipe(EIGHT)
    model, window = recipe.model, recipe.data.window
    flops = exercises.flops_per_token(model.parameters, model.vocab, model.width, model.layers, window)
    assert flops == training_flops(model, window)[model_way(model)]
    assert exercises.step_tokens(512, 3, 1, window) == recipe.tokens_per_step
    assert exercises.gpu_hours(flops, recipe.tokens, 989.4, 0.328) == pytest.approx(41_600, rel=0.001)
    assert exercises.bytes_per_gpu(model.parameters, 512) == pytest.approx(16.3e9, rel=0.01)


# -- rehearsal, checkpoint, what was measured ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_dry_run_takes_place_elsewhere() -> None:
    said = lab.dry_run_elsewhere("tiny", 8)
    assert said.startswith("tiny on 8 ranks, tried in") and re.search(r"all-gather +[\d,]+ +8\n", said)
    with pytest.raises(RuntimeError, match="cannot be dealt out evenly to 7 GPUs"):
        lab.dry_run_elsewhere("tiny", 7)


def test_the_job_that_is_shown_is_the_one_that_would_be_written(tmp_path: Path) -> None:
    shown = lab.slurm_job("tiny", nodes=2, gpus=4, folder=str(tmp_path))
    written = write_job("slurm", Job(load_recipe("tiny"), tmp_path / "tiny", nodes=2, gpus=4)).read_text()
    assert shown.text == written.replace(sys.executable, "python")
    assert "#SBATCH --nodes=2" in shown.text and "python -m physlm_lite.cli train" in shown.markup
    with pytest.raises(ValueError, match="cannot be dealt out evenly to 7 GPUs"):
        lab.slurm_job("tiny", nodes=1, gpus=7)


def test_the_taps_are_those_of_the_model() -> None:
    model = LanguageModel(ModelConfig(vocab=9, width=16, layers=2, heads=2, canon="ABCD"), seed=0)
    model.get_submodule("blocks.1.canon_a").weight.data[:, 0] = model.blocks[0].canon_a.weight.new_tensor(
        [0.1, 0.2, 0.3, 0.4]
    )  # type: ignore[union-attr, operator, index]
    first, other = lab.taps_figure(model).axes
    assert first.get_title() == "Canon-A, mean |tap|" and other.get_title() == "Canon-D, mean |tap|"
    values = first.collections[0].get_array().reshape(2, 4)  # type: ignore[union-attr]
    assert values[1].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_what_was_not_measured_is_said() -> None:
    said = lab.measured_here().text
    assert "one seed each" in said and "Canon's overhead on a GPU  not measured" in said
