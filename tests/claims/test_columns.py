"""Records as columns: what a page is given is what the files hold, and no two runs look alike that are not."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from physlm_lite.claims import SHIPPED
from physlm_lite.claims.columns import columns, facets
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def table() -> dict:
    return json.loads(json.dumps(columns(Store(SHIPPED)), allow_nan=False))


def test_every_curve_is_that_of_its_file(table: dict) -> None:
    told = table["records"]
    assert len(set(told["id"])) == len(list(SHIPPED.rglob("*.json")))
    for place in range(0, len(told["id"]), 7):
        (path,) = SHIPPED.rglob(f"{told['id'][place]}.json")
        file = json.loads(path.read_text(encoding="utf-8"))
        config = table["configs"][told["config"][place]]
        world, run = table["worlds"][config["world"]], file["run"]
        assert (world["task"], world["options"]) == (run["task"], run["task_options"])
        mixer = {f"mixer_options.{name}": value for name, value in run["model"].pop("mixer_options", {}).items()}
        assert (config["options"], told["seed"][place]) == ({**run["model"], **mixer}, run["seed"])
        assert told["rate"][place] == run["training"]["learning_rate"]
        training = table["trainings"][told["training"][place]]
        assert training["budget"] == f"{run['training']['steps']:,} steps of {run['training']['batch']}"
        assert training["options"].items() <= run["training"].items()
        assert table["steps"][told["steps"][place]] == [point["step"] for point in file["curve"]]
        for metric, values in zip(world["metrics"], told["values"][place], strict=True):
            family, _, member = metric["name"].partition(".")
            for value, point in zip(values, file["curve"], strict=True):
                score = point.get(family, {}).get(member) if member else point.get(family)
                assert value == (None if score is None else pytest.approx(score, rel=1e-3))


def test_what_a_reader_can_choose_tells_all_runs_of_a_protocol_apart(table: dict) -> None:
    told, same = table["records"], defaultdict(set)
    for place, config in enumerate(told["config"]):
        known = table["configs"][config]
        budget = table["trainings"][told["training"][place]]["budget"]
        key = (known["world"], *known["facets"].values(), budget, told["rate"][place], told["seed"][place])
        same[key].add(told["id"][place])
    assert [ids for ids in same.values() if len(ids) > 1] == []


def test_worlds_of_one_task_have_names_of_their_own(table: dict) -> None:
    names = [(world["task"], world["label"]) for world in table["worlds"]]
    assert len(set(names)) == len(names)
    assert all(label for task, label in names if sum(task == other for other, _ in names) > 1)


def test_it_is_small_enough_for_a_phone(table: dict) -> None:
    text = json.dumps(table, separators=(",", ":"))
    assert len(text) < 1000 * len(table["records"]["id"]), "a record takes about half a thousand characters"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({}, {"side": "RoPE", "canon": "none", "feed-forward": "gated", "variant": "plain"}),
        ({"rope_dim": 0, "canon": "DCBA"}, {"side": "NoPE", "canon": "ABCD"}),
        ({"rope_dim": 16, "rope_heads": 1}, {"side": "RoPE on 16 coordinates of 1 head"}),
        ({"positions": "hard_alibi"}, {"side": "H-ALiBi"}),
        ({"mixer": "gla", "mixer_options": {"canon_b": True}, "canon": "ACD"}, {"side": "GLA", "canon": "AbCD"}),
        ({"mixer": "gated_delta", "mixer_options": {"canon_b": True}}, {"side": "GDN", "canon": "b"}),
        ({"mixer": "mamba2", "mixer_options": {"canon_b": False}}, {"side": "Mamba2", "canon": "none"}),
        ({"mlp": "standard", "activation": "relu2", "experts": 4}, {"feed-forward": "standard, ReLU², 4 experts"}),
        ({"canon": "B", "canon_residual": False, "heads": 2}, {"variant": "no residual"}),
        ({"canon_layers": [0], "canon_frozen": True}, {"variant": "canon_layers [0], frozen"}),
    ],
)
def test_a_model_in_a_readers_words(model: dict, said: dict) -> None:
    assert said.items() <= facets(model).items()
