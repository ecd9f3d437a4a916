"""The published results: what the package ships says what the tables and curves of the release say."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.scale.published import results
from physlm_lite.scale.published.results import BENCHMARKS, curves, losses, named, others, tables
from physlm_lite.scale.recipe import load_recipe, published

# Read by eye from the published pages, not from the shipped files.
SPOTS = [
    (
        "LlamaCanon-8B-Nemo-1T-lr0.003",
        {"average of 13": 67.5, "MMLU": 62.1, "WikiPPL": 9.21, "1-hop-4k": 92.8, "COPA": 89.0},
    ),
    ("Llama-8B-Nemo-1T-lr0.002", {"MMLU": 60.2, "1-hop-3k": 95.0, "2-hop-0k": 42.9, "niah-S3-4k": 83.6}),
    ("Llama-1B-Nemo-2T-lr0.005", {"LMB": 59.2, "Babilong average": 31.6, "LMBPPL": 7.09}),
    ("GDN2Canon-8B-Nemo-1T-lr0.002", {"MMLU": 64.0, "1-hop-6k": 38.7, "niah-S3-8k": 66.0, "JRT average": 61.5}),
    ("GLA5conv-1B-Nemo-1T-lr0.002", {"CSQA": 28.8, "1-hop-2k": 25.3, "WikiPPL": 14.08}),
    ("Mamba2Canon-3B-Nemo-1T-lr0.005", {"ARC-e": 81.3, "2-hop-6k": 16.7}),
]
ENDS = [
    ("GDN2Canon-1B-Nemo-1T-lr0.003", {"triviaqa": 41.80, "mmlu": 49.44}, 1.7079),
    ("Llama-3B-Nemo-1T-lr0.002", {"arc_challenge": 50.51, "copa": 85.00}, None),
    ("GLA5Canon-8B-Nemo-1T-lr0.003", {"lambada_openai": 69.80, "winogrande": 73.24}, 1.8423),
]


@pytest.mark.parametrize(("recipe", "scores"), SPOTS, ids=[recipe for recipe, _ in SPOTS])
def test_the_tables_say_what_is_printed(recipe: str, scores: dict[str, float]) -> None:
    assert {name: tables()[recipe][name] for name in scores} == scores


@pytest.mark.parametrize(("recipe", "scores", "loss"), ENDS, ids=[recipe for recipe, *_ in ENDS])
def test_the_curves_end_where_the_pages_end(recipe: str, scores: dict[str, float], loss: float | None) -> None:
    assert {name: round(float(curves()[recipe].scores[name][-1]), 2) for name in scores} == scores
    assert (losses()[recipe][1][-1] if recipe in losses() else None) == pytest.approx(loss, abs=1e-4)


def test_every_published_recipe_has_its_results() -> None:
    names = set(published())
    assert names == set(tables()) == set(curves()) and len(names) == 64
    assert set(losses()) == {name for name in names if not name.startswith("Llama")}
    assert all(len(table) == 87 for table in tables().values())


def test_the_printed_averages_are_those_of_their_columns() -> None:
    for row in tables().values():
        assert fmean(row[name] for name in results.AVERAGE_OF_13) == pytest.approx(row["average of 13"], abs=0.06)
    for row in others():
        scores = [row[name] for name in results.AVERAGE_OF_10]
        assert fmean(scores) == pytest.approx(row["average of 10"], abs=0.06)  # type: ignore[arg-type, type-var]


def test_a_curve_runs_from_its_first_checkpoint_to_the_end_of_its_recipe() -> None:
    for name, curve in curves().items():
        recipe = load_recipe(name)
        assert curve.tokens[-1] == recipe.tokens
        assert (np.diff(curve.tokens) > 0).all() and set(curve.scores) == set(BENCHMARKS)
        missing = name == "GDN2Canon-3B-Nemo-1T-lr0.005"  # whose page lacks one checkpoint
        assert len(curve.tokens) + missing == recipe.schedule.steps // recipe.keeping.evaluate_every
        assert all(
            len(values) == len(curve.tokens) and 0 <= values.min() <= values.max() <= 100
            for values in curve.scores.values()
        )


def test_tables_and_curves_are_two_evaluations_of_the_same_weights() -> None:
    for benchmark, (column, _) in BENCHMARKS.items():
        if column == "TriviaQA":
            continue  # asked for in another way
        apart = [abs(curves()[name].scores[benchmark][-1] - row[column]) for name, row in tables().items()]
        assert max(apart) <= (3.01 if column == "COPA" else 1.35) and fmean(apart) < 0.8, benchmark


def test_a_name_says_what_its_recipe_says() -> None:
    for name, recipe in published().items():
        said = named(name)
        assert said.rate == recipe.optimizer.learning_rate
        assert said.canon == bool(recipe.model.canon)
        assert round(recipe.tokens / 1e12) == int(said.tokens[0])
        mixer = {"attention": "Transformer", "gla": "GLA", "gated_delta": "GDN", "mamba2": "Mamba2"}[recipe.model.mixer]
        assert said.mixer == mixer
        assert abs(recipe.model.parameters / 1e9 - int(said.size[0])) < 0.65
    with pytest.raises(UnknownName, match="unknown published run 'Llama-8B'; did you mean 'Llama-"):
        named("Llama-8B")


def test_the_data_stay_small() -> None:
    folder = Path(results.__file__).parent
    assert sum(path.stat().st_size for path in folder.glob("results_*")) < 200_000
