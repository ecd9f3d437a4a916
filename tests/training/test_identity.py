"""A run is named by what differs from the pinned defaults: every spelling of it has one name, every other run another."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physlm_lite.claims import SHIPPED
from physlm_lite.models import ModelConfig
from physlm_lite.models.config import MIXERS
from physlm_lite.tasks import Text
from physlm_lite.tasks.presets import KINDS
from physlm_lite.training import Run, Training, config

SPELLED_OUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a default": ({"task_options": {"K": 2}}, {"task_options": {"K": 2, "queries": 10, "context": None}}),
    "the order": ({"task_options": {"N": 9, "K": 2}}, {"task_options": {"K": 2, "N": 9}}),
    "no Canon layers": ({}, {"model": {"canon": ""}}),
    "the order of Canon layers": ({"model": {"canon": "ABCD"}}, {"model": {"canon": "DBCA"}}),
    "all Canon layers": ({"model": {"canon": "A"}}, {"model": {"canon": "A", "canon_layers": [0, 1]}}),
    "counting from the end": (
        {"model": {"canon": "A", "canon_layers": [1]}},
        {"model": {"canon": "A", "canon_layers": [-1]}},
    ),
    "the width that follows": ({"model": {"width": 48}}, {"model": {"width": 48, "hidden": 128}}),
    "kv heads that follow": ({"model": {"heads": 4}}, {"model": {"heads": 4, "kv_heads": 4, "head_width": 16}}),
    "the rotation that follows": ({}, {"model": {"rope_dim": 32, "rope_heads": 2}}),
    "the deviation that follows": (
        {"model": {"init": "huggingface"}},
        {"model": {"init": "huggingface", "init_std": 0.02}},
    ),
    "defaults of a mixer": (
        {"model": {"mixer": "gla"}},
        {"model": {"mixer": "gla", "mixer_options": {"expand_key": 0.5, "expand_value": 1, "canon_b": False}}},
    ),
    "whole numbers for floats": ({"training": {"learning_rate": 1.0}}, {"training": {"learning_rate": 1}}),
    "NumPy's numbers": (
        {"task_options": {"N": 9}, "seed": 3, "training": {"steps": 7}},
        {"task_options": {"N": np.int64(9)}, "seed": np.arange(9)[3], "training": {"steps": np.int32(7)}},
    ),
    "training's defaults": ({}, {"training": dataclasses.asdict(Training())}),
    "the model's defaults": ({}, {"model": {"width": 64, "tied": False, "positions": "rope"}}),
}


def of(options: dict[str, Any]) -> Run:
    return Run.from_dict({"task": "depo", **options})


@pytest.mark.parametrize(("short", "long"), SPELLED_OUT.values(), ids=SPELLED_OUT)
def test_two_spellings_of_a_run_have_one_name(short: dict[str, Any], long: dict[str, Any]) -> None:
    assert of(short).hash == of(long).hash
    assert of(json.loads(json.dumps(of(long).to_dict()))).hash == of(short).hash


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"seed": 1},
    {"task_options": {"K": 7}},
    {"task_options": {"context": 4096}},
    {"model": {"canon": "A"}},
    {"model": {"canon": "A", "canon_layers": [0]}},
    {"model": {"canon": "A", "canon_layers": [1]}},
    {"model": {"hidden": 160}},
    {"model": {"kv_heads": 1}},
    {"model": {"rope_dim": 0}},
    {"model": {"rope_dim": 16}},
    {"model": {"init_std": 0.02}},
    {"model": {"mixer": "gla"}},
    {"model": {"mixer": "gla", "mixer_options": {"canon_b": True}}},
    {"model": {"mixer": "mamba2"}},
    {"model": {"mixer": "mamba2", "mixer_options": {"canon_b": False}}},
    {"training": {"learning_rate": 1e-3}},
    {"training": {"leaky": True}},
]


def test_runs_that_differ_have_different_names() -> None:
    assert len({of(options).hash for options in DIFFERENT}) == len(DIFFERENT)


def test_the_name_is_the_same_for_ever() -> None:
    """Records are found by it: if this fails, every shipped record is orphaned."""
    copy = Run("copy", {"n": 8})
    depo = Run("depo", {"N": 6}, {"canon": "ABCD"}, Training(steps=9, learning_rate=1e-3), seed=2)
    assert (copy.name_in(1), depo.name_in(1)) == ("2e6556c17ece", "0329850cab56")
    assert (copy.name_in(2), depo.name_in(2)) == ("1f568eb19fd4", "0f9d693d7435")


def defaults_of(cls: Any) -> dict[str, Any]:
    """The fields of a dataclass that have a default, JSON-ready."""
    found = {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    found |= {f.name: f.default_factory() for f in dataclasses.fields(cls) if callable(f.default_factory)}
    return json.loads(json.dumps(found))


def test_the_pinned_defaults_are_those_of_the_code() -> None:
    """A new option is added to defaults.json, and all names stay. A changed default gives other numbers under an old name:
    raise FORMAT, give the records of the new runs, and change the table."""
    mixed = ("width", "heads", "norm_eps", "canon_compiled")  # which the model gives to its mixers
    mixers = {
        name: {p.name: p.default for p in inspect.signature(cls).parameters.values() if p.name not in mixed}
        for name, cls in MIXERS.items()
    }
    assert config.DEFAULTS == {
        "training": defaults_of(Training),
        "model": defaults_of(ModelConfig),
        "mixers": mixers,
        "tasks": {name: defaults_of(cls) for name, cls in KINDS.items()},
    }


def test_a_new_option_leaves_all_names_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `leaky` and `K` had been added to the code after these names were given."""
    before = of({"seed": 4}).hash, of({"task_options": {"N": 9}}).hash
    younger = json.loads(json.dumps(config.DEFAULTS))
    monkeypatch.setattr(config, "DEFAULTS", younger)
    assert (of({"seed": 4}).hash, of({"task_options": {"N": 9}}).hash) == before
    monkeypatch.setattr(config, "FORMAT", config.FORMAT + 1)
    assert of({"seed": 4}).hash != before[0]


def test_a_run_that_reads_files_is_named_by_their_content(tmp_path: Path) -> None:
    text = "\n\n".join(
        f"This is paragraph {i} of a text with a few words in every one of its lines." for i in range(200)
    )
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.txt").write_text(text)

    def name(file: str) -> str:
        return Run("text", {"corpus": str(tmp_path / file), "context": 32}).hash

    first = name("a.txt")
    assert name("b.txt") == first  # the same text in another place
    (tmp_path / "a.txt").write_text(text.replace("paragraph 7", "paragraph 8"))
    assert name("a.txt") != first and name("b.txt") == first
    task = Text(str(tmp_path / "b.txt"), context=32)
    by_hash = Run("text", {"corpus": "nowhere.txt", "context": 32, "corpus_hash": task.fingerprint})
    assert by_hash.hash == first  # found without the text


def test_every_shipped_record_has_the_name_of_its_run() -> None:
    paths = sorted(SHIPPED.rglob("*.json"))
    assert len(paths) > 700
    for path in paths[:: max(1, len(paths) // 60)]:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["id"] == path.stem
        if content["run"]["task"] != "text":  # another Python has another documentation
            assert Run.from_dict(content["run"]).name_in(content.get("format", 1)) == path.stem
