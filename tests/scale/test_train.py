"""A recipe on one rank and on several is one run: its losses, its checkpoints, its model."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from data.small_corpus import small_corpus
from scale.rank_work import alone_among, trained, trained_on_little_disk
from scale.ranks import on_ranks
from scale.small_recipes import small

from physlm_lite.base.files import StorageError, locked
from physlm_lite.cli import main
from physlm_lite.scale import load_pretrained, load_recipe
from physlm_lite.scale.checkpoint import NAME, saved_steps
from physlm_lite.scale.convert import open_model
from physlm_lite.scale.corpora import run_of
from physlm_lite.scale.recipe import Recipe, shown_recipe
from physlm_lite.training import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def corpus() -> str:
    return small_corpus()


def curve(folder: Path) -> list[float]:
    """The loss of each step."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_pretrained(folder / "model").named_parameters())


@pytest.fixture(scope="module", params=["LlamaCanon", "GLA"])
def alone(request: pytest.FixtureRequest, corpus: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """Fifty steps on one rank, at a rate at which rounding does not grow: at 0.003, GLA has left 1e-5 after 22 steps."""
    recipe = small(corpus, request.param, steps=50, optimizer={"learning_rate": 5e-4})
    folder = tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    assert trained(recipe, folder) == "finished"
    return recipe, folder


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("ranks", "options"), [(2, {"rows": 2}), (4, {"replicas": 2})])
def test_the_curve_of_several_ranks_is_that_of_one(
    alone: tuple[Recipe, Path], tmp_path: Path, ranks: int, options: dict[str, Any]
) -> None:
    """Two ranks take their rows in two turns; four hold the weights twice."""
    recipe, folder = alone
    assert on_ranks(ranks, _with(options), recipe, tmp_path) == ["finished"] * ranks
    losses = curve(tmp_path)
    assert len(losses) == 50 and losses[-1] < 0.9 * losses[0]
    assert losses == pytest.approx(curve(folder), rel=1e-5)


def test_the_trainer_of_the_toys_gives_the_same_curve(alone: tuple[Recipe, Path]) -> None:
    recipe, folder = alone
    trainer = Trainer(run_of(recipe), "cpu")
    assert [trainer.train_step() for _ in range(50)] == pytest.approx(curve(folder), rel=1e-6)


@pytest.mark.sampled(2)
def test_four_ranks_then_two_then_one_go_on_with_one_curve(alone: tuple[Recipe, Path], tmp_path: Path) -> None:
    recipe, folder = alone
    assert on_ranks(4, _with({"stop_at": 13}), recipe, tmp_path) == ["stopped"] * 4
    assert saved_steps(tmp_path / "checkpoints") == [10, 13]
    assert on_ranks(2, _with({"stop_at": 31}), recipe, tmp_path) == ["stopped"] * 2
    assert trained(recipe, tmp_path) == "finished"
    assert curve(tmp_path) == pytest.approx(curve(folder), rel=1e-5)
    assert saved_steps(tmp_path / "checkpoints") == [30, 31, 40, 50]  # the last three, and those that were evaluated


def _with(options: dict[str, Any]) -> partial[str]:
    return partial(trained, **options)


def test_the_model_at_the_end_is_in_the_published_layout(alone: tuple[Recipe, Path]) -> None:
    recipe, folder = alone
    model = load_pretrained(folder / "model")
    sharded = open_model(folder / "checkpoints" / NAME.format(50))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, sharded.get_parameter(name))
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "finished" and record["curve"][-1]["step"] == 50
    assert record["curve"][-1]["loss_held_out"] < 4.6
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"rate", "norm", "tokens_per_second", "mfu", "memory", "data_wait"} <= line.keys()
    assert line["rate"] == recipe.rate(49) and line["tokens"] == recipe.tokens
    assert 0 < line["mfu"] < 1.5 and 0 <= line["data_wait"] < 1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_stopped_and_started_again_it_ends_with_the_same_bits(corpus: str, tmp_path: Path, kind: str) -> None:
    recipe = small(
        corpus, "tied", steps=20, optimizer={"kind": kind, "decay_all": True}, precision={"compute": "bfloat16"}
    )
    assert on_ranks(2, trained, recipe, tmp_path / "a") == ["finished"] * 2
    assert on_ranks(2, _with({"stop_at": 6}), recipe, tmp_path / "b") == ["stopped"] * 2
    assert not (tmp_path / "b/model").exists()
    assert on_ranks(2, trained, recipe, tmp_path / "b") == ["finished"] * 2
    a, b = (weights(tmp_path / name) for name in "ab")
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def damage(checkpoint: Path) -> None:
    """Turn one bit of the largest file."""
    file = max(checkpoint.glob("*.distcp"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    corpus: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = small(corpus, steps=20, keeping={"save_every": 5})
    assert trained(recipe, tmp_path) == "finished"
    whole, losses = weights(tmp_path), curve(tmp_path)
    for step in (15, 20):
        damage(tmp_path / "checkpoints" / NAME.format(step))
    # half of one, left behind by a killed process, is no checkpoint
    shutil.copytree(tmp_path / "checkpoints" / NAME.format(10), tmp_path / "checkpoints/step-0000000018.part")
    assert trained(recipe, tmp_path) == "finished"
    assert re.findall(r"step-0000000\d+ is damaged \(__0_0.distcp has another checksum\)", caplog.text)
    assert curve(tmp_path) == losses and all(torch.equal(whole[name], w) for name, w in weights(tmp_path).items())
    for step in saved_steps(tmp_path / "checkpoints"):
        damage(tmp_path / "checkpoints" / NAME.format(step))
    with pytest.raises(StorageError, match=r"no checkpoint in .* is whole; delete them to begin anew"):
        trained(recipe, tmp_path)
    with pytest.raises(StorageError, match=r"no checkpoint in .* is whole"):
        on_ranks(2, trained, recipe, tmp_path)


def test_a_checkpoint_of_another_run_is_refused(corpus: str, tmp_path: Path) -> None:
    recipe = small(corpus, steps=10)
    trained(recipe, tmp_path)
    with pytest.raises(StorageError, match="holds another run; a checkpoint continues only the run that wrote it"):
        trained(dataclasses.replace(recipe, seed=1), tmp_path)


def test_a_full_disk_leaves_the_last_good_checkpoint(corpus: str, tmp_path: Path) -> None:
    recipe = small(corpus, steps=20)
    on_ranks(2, _with({"stop_at": 10}), recipe, tmp_path)
    with pytest.raises(
        StorageError, match=r"could not write .*step-0000000020: .*(large|space).*; the checkpoints before it stay"
    ):
        on_ranks(2, trained_on_little_disk, recipe, tmp_path, 30_000)
    assert saved_steps(tmp_path / "checkpoints") == [10]
    assert on_ranks(2, trained, recipe, tmp_path) == ["finished"] * 2


def test_ranks_that_never_come_and_a_port_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, corpus: str
) -> None:
    with pytest.raises(
        ConnectionError, match=r"rank 0 cannot join the others at localhost:\d+: one of them did not come within 1 s"
    ):
        on_ranks(1, alone_among, 2)
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}.items():
            monkeypatch.setenv(name, str(value))
        with pytest.raises(
            ConnectionError, match=rf"localhost:{port}: the port is taken; name another one in MASTER_PORT"
        ):
            trained(small(corpus), tmp_path)


def test_a_folder_in_the_hands_of_another_run(corpus: str, tmp_path: Path) -> None:
    with locked(tmp_path / ".lock"), pytest.raises(StorageError, match="in the hands of another run just now"):
        trained(small(corpus), tmp_path)


def test_a_text_of_other_tokens_is_refused(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has 98 tokens, and its model 99; say model: \{vocab: 98\}"):
        trained(small(corpus, model={"vocab": 99}), tmp_path)


@pytest.mark.parametrize("name", ["tiny", "small", "LlamaCanon-1B-Nemo-1T-lr0.003", "GLA5Canon-8B-Nemo-1T-lr0.002"])
def test_the_run_has_the_rates_of_the_recipe(name: str, corpus: str) -> None:
    recipe = load_recipe(name)
    run = run_of(
        dataclasses.replace(
            recipe,
            model=dataclasses.replace(recipe.model, vocab=98),
            data=dataclasses.replace(recipe.data, sources={corpus: 1.0}),
        )
    )
    steps = [*range(0, recipe.schedule.steps, 97), recipe.schedule.steps - 1]
    assert [run.training.rate(step) for step in steps] == pytest.approx(
        [recipe.rate(step) for step in steps], rel=1e-12
    )
    assert run.model_config == dataclasses.replace(recipe.model, vocab=98)
    assert run.training.squared_loss == recipe.squared_loss and run.training.leaky == recipe.data.leaky


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_trains_a_recipe_and_a_run(corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small-test.yaml"
    file.write_text(shown_recipe(small(corpus, steps=10)))
    assert main(["train", str(file), "--into", str(tmp_path / "a")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("finished: ") and "step 10: loss" in err
    assert main(["train", str(file), "--into", str(tmp_path / "a")]) == 0  # there is nothing left to do
    assert "from step 10" in capsys.readouterr().err
    run = tmp_path / "run.yaml"
    run.write_text(
        "{task: copy, task_options: {n: 4}, model: {width: 16, layers: 1}, training: {steps: 3, evaluations: 1}}"
    )
    assert main(["train", str(run), "--into", str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"
    assert main(["train", str(run), "--rows", "2"]) == 2
    assert "is a run of one process" in capsys.readouterr().err


BAD = {
    "unknown recipe 'tinny'; did you mean 'tiny'?": ["tinny"],
    "3 rows at a time do not divide the 32 that each of 1 GPUs has": ["tiny", "--rows", "3"],
    "unknown checkpointing 'some'": ["tiny", "--checkpointing", "some"],
    "1 ranks cannot be dealt out evenly to 2 replicas": ["tiny", "--replicas", "2"],
}


@pytest.mark.parametrize(("said", "words"), BAD.items(), ids=BAD)
def test_bad_calls_get_one_sentence(
    said: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHYSLM_CORPORA", str(tmp_path / "corpora"))
    assert main(["train", *words, "--into", str(tmp_path / "run")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("written", "said"), [("1e-3", None), ("'1e-3'", None), ("fast", "must be a positive number, not 'fast'")]
)
def test_a_rate_is_a_number(written: str, said: str | None, corpus: str, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(shown_recipe(small(corpus, steps=6)).replace("learning_rate: 0.003", f"learning_rate: {written}"))
    assert main(["train", str(file), "--into", str(tmp_path / "run")]) == (2 if said else 0)
    assert (said or "loss") in capsys.readouterr().err


def test_of_several_ranks_one_says_what_all_find(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank, said in (("0", "32 rows in a step cannot be dealt out evenly to 3 GPUs"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert main(["train", "tiny"]) == 2
        err = capsys.readouterr().err
        assert said in err and bool(err) == bool(said)
