"""Recipes: the published ones equal the published tables, and a recipe cannot become another experiment by accident."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from physlm_lite.models import LanguageModel, preset, released
from physlm_lite.scale import Recipe, load_recipe, recipes
from physlm_lite.scale.recipe import FOLDER, OWN, Schedule, differences, divisors, flat, published, shown_recipe

TABLE = Path(__file__).with_name("published_recipes.txt").read_text(encoding="utf-8").splitlines()[1:]
# Of the instantiated original models, the same for every rate.
PARAMETERS = {
    "Llama-1B": 1_364_396_032,
    "LlamaCanon-1B": 1_366_460_416,
    "Llama-3B": 3_141_331_968,
    "LlamaCanon-3B": 3_144_633_344,
    "Llama-8B": 8_030_261_248,
    "LlamaCanon-8B": 8_035_766_272,
    "GLA5conv-1B": 1_344_004_096,
    "GLA5Canon-1B": 1_345_183_744,
    "GLA5conv-3B": 3_149_086_208,
    "GLA5Canon-3B": 3_151_003_136,
    "GLA5conv-8B": 8_009_691_136,
    "GLA5Canon-8B": 8_013_164_544,
    "GDN2conv-1B": 1_343_955_712,
    "GDN2Canon-1B": 1_345_135_360,
    "GDN2conv-3B": 3_150_285_536,
    "GDN2Canon-3B": 3_152_202_464,
    "GDN2conv-8B": 8_013_756_416,
    "GDN2Canon-8B": 8_017_229_824,
    "Mamba2conv-1B": 1_353_122_944,
    "Mamba2Canon-1B": 1_354_302_592,
    "Mamba2conv-3B": 3_164_530_000,
    "Mamba2Canon-3B": 3_166_446_928,
    "Mamba2conv-8B": 8_036_072_448,
    "Mamba2Canon-8B": 8_039_545_856,
}
USER = """
base: LlamaCanon-1B-Nemo-1T-lr0.002
about: a try
model: {layers: 12}
data: {sources: {mine: 2, theirs: 1}}
optimizer: {learning_rate: 1e-3}
"""


def written(folder: Path, content: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def row_of(recipe: Recipe) -> dict[str, str]:
    """A recipe as the published tables write it."""
    model, batch = recipe.model, recipe.batch
    attention = model.mixer == "attention"
    values: dict[str, Any] = {
        "recipe": recipe.name,
        "width": model.width,
        "layers": model.layers,
        "heads": model.heads,
        "kv_heads": (model.kv_heads or model.heads) if attention else "-",
        "hidden": model.hidden,
        "rope_theta": f"{model.rope_theta:.0f}" if attention else "-",
        "rotated": model.rotated if attention else "-",
        "qk_norm": model.qk_norm,
        "squared_loss": {1e-4: True, 0.0: False}[recipe.squared_loss],
        "vocab": model.vocab,
        "rate": recipe.optimizer.learning_rate,
        "decay": recipe.optimizer.weight_decay,
        "warmup": recipe.schedule.warmup,
        "each": recipe.divided().rows,
        "gpus": batch.gpus,
        "window": recipe.data.window,
        "rows": batch.rows,
        "steps": recipe.schedule.steps,
        "save": recipe.keeping.save_every,
        "evaluate": recipe.keeping.evaluate_every,
        "rounded": recipe.precision.rounded_norm,
    }
    return {key: {True: "yes", False: "no"}[v] if isinstance(v, bool) else str(v) for key, v in values.items()}


def test_all_published_recipes_equal_the_published_tables() -> None:
    names = TABLE[0].split()
    rows = [dict(zip(names, line.split(), strict=True)) for line in TABLE[1:]]
    assert len(rows) == 64 and {row["recipe"] for row in rows} == {*published()} == {*released()}
    for row in rows:
        assert row_of(load_recipe(row["recipe"])) == row


@pytest.mark.parametrize("family", PARAMETERS)
def test_every_published_model_has_its_published_size(family: str) -> None:
    alike = [recipe for name, recipe in published().items() if name.startswith(f"{family}-")]
    assert {recipe.model for recipe in alike} == {preset(family)}
    assert alike[0].model.parameters == PARAMETERS[family]
    with torch.device("meta"):
        model = LanguageModel(alike[0].model)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[family]


def test_what_all_published_runs_share() -> None:
    for name, recipe in published().items():
        assert recipe.published and recipe.batch.gpu == "h200" and recipe.model.norm_eps == 1e-5
        assert vars(recipe.optimizer) | {"learning_rate": 0, "weight_decay": 0} == {
            **{"learning_rate": 0, "weight_decay": 0, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "clip": 1.0},
            "decay_all": True,
            "kind": "adamw",
        }
        assert recipe.data.begin and recipe.data.end and recipe.data.leaky
        assert recipe.data.tokenizer == ("llama-3" if recipe.model.vocab == 128_256 else "llama-2")
        assert (recipe.precision.compute, recipe.precision.reduce) == ("bfloat16", "float32")
        assert recipe.tokens == (2_013_265_920_000 if "2T" in name else 1_006_632_960_000)


def test_twins_differ_in_canon_alone() -> None:
    for name, recipe in published().items():
        if name.startswith("Llama-"):
            changed = differences(recipe, load_recipe(name.replace("Llama-", "LlamaCanon-")))
            assert {*changed} == {"model.canon", "model.rope_dim", "parameters"}
            assert changed["model.rope_dim"] == (None, recipe.model.each_head // 4)
        elif "conv" in name:
            changed = differences(recipe, load_recipe(name.replace("conv", "Canon")))
            assert {*changed} - {"keeping.save_every", "precision.rounded_norm"} == {"model.canon", "parameters"}


def test_rates_are_the_published_formula_with_its_quirks() -> None:
    recipe = load_recipe("LlamaCanon-8B-Nemo-1T-lr0.003")
    w, n, m = 3000, 160_000, 0.01
    for s in (0, 1, 2999, 3000, 81_500, 159_999, 160_000, 160_001):
        sign = -1 if s == n else 1
        cosine = m + 0.5 * (1 - m) * (1 + sign * math.cos(math.pi * (s - w) / (n - w)))
        expected = s / w if s < w else cosine if s <= n else m
        assert recipe.rate(s) == pytest.approx(0.003 * expected, rel=1e-12)
    mended = dataclasses.replace(recipe.schedule, first_zero=False, last_full=False)
    assert mended.share(0) == 1 / w and mended.share(n) == m
    assert mended.share(81_500) == recipe.schedule.share(81_500)
    assert [Schedule(10, 2, "linear", 0.1).share(s) for s in (2, 6)] == [1.0, pytest.approx(0.55)]
    assert Schedule(10, 2, "constant").share(9) == 1.0


def test_fewer_gpus_take_turns_and_never_another_batch() -> None:
    recipe = load_recipe("LlamaCanon-8B-Nemo-1T-lr0.003")
    for gpus in divisors(recipe.batch.rows):
        found = recipe.divided(gpus)
        assert found.gpus * found.rows * found.turns == 1536 and found.rows <= 3
    assert str(recipe.divided(256)) == "256 GPUs x 3 rows x 2 turns = 1,536 rows"
    assert recipe.divided(512, 1).turns == 3 and recipe.divided(1536).rows == 1
    with pytest.raises(ValueError, match=r"cannot be dealt out evenly to 500 GPUs, .*; choose 384 or 512 GPUs"):
        recipe.divided(500)
    with pytest.raises(
        ValueError, match=r"2 rows at a time do not divide the 3 that each of 512 GPUs has .*; choose 1 or 3"
    ):
        recipe.divided(512, 2)


@pytest.mark.parametrize("name", [*OWN, "LlamaCanon-8B-Nemo-1T-lr0.003", "GLA5Canon-3B-Nemo-1T-lr0.005"])
def test_a_shown_recipe_is_one_that_can_be_read_and_every_value_is_explained(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    text = shown_recipe(recipe)
    assert dataclasses.replace(load_recipe(written(tmp_path, text)), name=name) == recipe
    own_options = 0
    for line in text.splitlines():
        key, _, value = line.partition("#")[0].strip().partition(": ")
        own_options += line.startswith("    ")
        assert not value or " # " in line or line.startswith("    "), f"{key} is not explained"
    assert own_options == (len(recipe.model.mixer_options) if recipe.model.mixer_options else 0)


def test_every_line_of_the_files_is_explained() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert len(files) == 12 + len(OWN)
    for path in files:
        lines = path.read_text(encoding="utf-8").partition("\nruns:")[0].splitlines()
        assert lines[0].startswith("# ")
        for line in lines:
            explained = "#" in line or line.rstrip().endswith(":") or line.strip().startswith("about:")
            assert explained, f"{path.name}: {line}"
        for value in flat(yaml.safe_load(path.read_text(encoding="utf-8"))).values():
            assert not isinstance(value, list)


def test_a_file_of_ones_own_says_what_differs(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, USER))
    base = load_recipe("LlamaCanon-1B-Nemo-1T-lr0.002")
    assert recipe.name == "mine" and not recipe.published
    assert {*differences(base, recipe)} == {
        "model.layers",
        *(f"data.sources.{name}" for name in ("nemotron-cc-high-quality", "mine", "theirs")),
        "optimizer.learning_rate",
        "parameters",
    }
    assert recipe.optimizer.learning_rate == 0.001 and recipe.data.sources == {"mine": 2.0, "theirs": 1.0}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base: LlamaCanon-1B", "base: LlamaCannon-1B", "unknown base .*did you mean 'LlamaCanon-1B-Nemo-1T-lr0.002'"),
        ("about:", "abuot:", "unknown Recipe option 'abuot'; did you mean 'about'"),
        ("layers:", "layer:", "unknown ModelConfig option 'layer'; did you mean 'layers'"),
        ("layers: 12", "layers: twelve", "layers must be a whole number from 1 to 10,000, not 'twelve'"),
        ("layers: 12", "layers: '12'", "layers must be a whole number from 1 to 10,000, not '12'"),
        ("1e-3", "'0.001'", "Optimizer option learning_rate must be a positive number, not '0.001'"),
        ("1e-3", "-1e-3", "Optimizer option learning_rate must be a positive number, not -0.001"),
        ("{mine: 2, theirs: 1}", "{}", "sources must name at least one corpus"),
        ("{mine: 2, theirs: 1}", "mine", "sources must be a mapping of names to values, not 'mine'"),
        (
            "about: a try",
            "batch: {gpus: 96}",
            "1,024 rows .* cannot be dealt out evenly to 96 GPUs, .*; choose 64 or 128",
        ),
        ("about: a try", "schedule: {warmup: 240000}", "a warm-up of 240,000 steps leaves nothing of 240,000"),
        ("about: a try", "schedule: {shape: cosin}", "unknown Schedule shape 'cosin'; did you mean 'cosine'"),
        ("about: a try", "runs: {}", "unknown Recipe option 'runs'"),
        ("base: LlamaCanon-1B-Nemo-1T-lr0.002", "seed: 1", "Recipe needs the option 'batch'"),
        ("base: LlamaCanon-1B-Nemo-1T-lr0.002", "base: 7", "the base must be the name of a recipe, not 7"),
        ("about: a try", "about: a try\nabout: twice", "the key 'about' stands twice"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence_that_names_the_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in USER
    with pytest.raises(ValueError, match=f"mine.yaml.*{said}") as caught:
        load_recipe(written(tmp_path, USER.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown recipe 'tinny'; did you mean 'tiny'"):
        load_recipe("tinny")
    assert recipes()[:3] == [*OWN] and len(recipes()) == 67


def test_our_own_recipes_are_what_they_say() -> None:
    tiny, small, academic = (load_recipe(name) for name in OWN)
    assert tiny.batch.gpu == "cpu" and tiny.model.parameters < 10**6
    assert small.batch.gpus == 1 and small.tokens > 10**9
    assert academic.tokens == 4096 * 48 * 510_000 and 1.3e9 < academic.model.parameters < 1.4e9
    assert (academic.optimizer.beta2, academic.optimizer.weight_decay) == (0.98, 0.03)
    assert not any(recipe.schedule.first_zero or recipe.optimizer.decay_all for recipe in (tiny, small, academic))
