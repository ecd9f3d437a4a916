"""Records: found by what made them, read back as they were, and refused when they are not what they say."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skip_reasons

from physlm_lite.base.strict import UnknownName
from physlm_lite.training import Record, Run, StorageError, Store, rename_records, runs_folder, train
from physlm_lite.training import record as module
from physlm_lite.training.record import read_record


def record_of(run: Run, status: str = "finished", **scores: Any) -> Record:
    return Record(
        run,
        status,
        [
            {"step": 6, "seconds": 0.5, "loss": 2.0, "accuracy": 0.1},
            {"step": 12, "seconds": 1.0, "loss": 1.0, **scores},
        ],
        1.0,
        0.1,
        100,
        50.0,
        {"device": "cpu"},
    )


@pytest.fixture
def path(tiny: Run) -> Path:
    return Store().add(record_of(tiny, accuracy=0.5))


def test_a_record_is_found_by_its_configuration_seed_included(tiny: Run) -> None:
    store = Store()
    for seed in (0, 1):
        store.add(record_of(tiny.but(seed=seed), accuracy=seed))
    assert [store.find(tiny.but(seed=seed)).final["accuracy"] for seed in (0, 1)] == [0, 1]  # type: ignore[union-attr]
    assert store.find(tiny.but(seed=2)) is None
    assert store.find(tiny.but(learning_rate=1e-3)) is None
    assert [record.run.seed for record in sorted(store, key=lambda record: record.run.seed)] == [0, 1]


def test_a_record_comes_back_as_it_was(tiny: Run, path: Path) -> None:
    assert read_record(path) == record_of(tiny, accuracy=0.5)
    assert path.name == f"{tiny.hash}.json"


def test_a_real_record_comes_back_as_it_was(tiny: Run) -> None:
    record = train(tiny, store=Store(), device="cpu")
    found = Store().find(tiny)
    assert found is not None
    assert found.to_dict() == record.to_dict()
    assert found.curve == record.curve


def test_the_first_folder_comes_first_and_only_it_is_written(tiny: Run, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    Store(theirs).add(record_of(tiny, accuracy=0.1))
    both = Store(mine, theirs)
    assert both.find(tiny).final["accuracy"] == 0.1  # type: ignore[union-attr]
    both.add(record_of(tiny, accuracy=0.9))
    assert both.find(tiny).final["accuracy"] == 0.9  # type: ignore[union-attr]
    assert Store(theirs).find(tiny).final["accuracy"] == 0.1  # type: ignore[union-attr]
    assert [record.final["accuracy"] for record in both] == [0.9]


def test_a_stopped_run_here_does_not_hide_a_finished_one_there(tiny: Run, tmp_path: Path) -> None:
    Store(tmp_path / "theirs").add(record_of(tiny, accuracy=0.1))
    store = Store(tmp_path / "mine", tmp_path / "theirs")
    store.add(record_of(tiny, "stopped", accuracy=0.2))
    assert store.find(tiny).final["accuracy"] == 0.1  # type: ignore[union-attr]


def test_a_folder_that_does_not_exist_yet_holds_nothing(tiny: Run, tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.find(tiny) is None
    assert list(store) == []
    assert not (tmp_path / "none").exists()


def test_the_folder_is_the_users_wish(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_folder() == runs
    monkeypatch.setenv("PHYSLM_RUNS", "~/records")
    assert runs_folder() == Path.home() / "records"
    monkeypatch.delenv("PHYSLM_RUNS")
    assert runs_folder() == Path.home() / ".physlm" / "runs"


def change(**changes: Any) -> Callable[[Path], object]:
    """Rewrite entries of a record's file; None takes one out."""

    def apply(path: Path) -> None:
        content = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return apply


def entry(**changes: Any) -> Callable[[Path], object]:
    """Rewrite the last entry of a record's curve; None takes a value out."""

    def apply(path: Path) -> None:
        content = json.loads(path.read_text())
        content["curve"][-1] = {k: v for k, v in {**content["curve"][-1], **changes}.items() if v is not None}
        path.write_text(json.dumps(content))

    return apply


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(path.read_bytes()[:200]), "char"),
    (lambda path: path.write_bytes(b""), "Expecting value"),
    (lambda path: path.write_bytes(b"\xff\xfe"), "utf-8"),
    (lambda path: path.write_text("[1, 2]"), ""),
    (lambda path: path.write_text("{}"), "it lacks 'run'"),
    (lambda path: path.write_text("[" * 100_000), "recursion"),
    (lambda path: os.truncate(path, 10**9), "size"),
    (a_folder, "it is not a file"),
    (a_pipe, "it is not a file"),
    (a_link_to_nothing, "it is not a file"),
    (change(parameters=None), "parameters"),
    (change(parameters=-1), "parameters must be a whole number of at least 0, not -1"),
    (change(parameters=1.5), "parameters must be a whole number"),
    (change(seconds="long"), "seconds must be a number"),
    (change(seconds=float("nan")), "NaN is not a number"),
    (change(seconds=float("inf")), "seconds must be a number"),
    (change(machine="cpu"), "machine"),
    (change(curve={}), "curve"),
    (change(curve=[]), "its curve is empty"),
    (change(curve=[1, 2]), ""),
    (entry(accuracy=float("nan")), "NaN is not a number"),
    (entry(step=None), "it lacks 'step'"),
    (entry(step=6), "the steps of its curve do not rise"),
    (entry(step="12"), ""),
    (entry(step=12.5), "the steps of its curve do not rise"),
    (entry(seconds=None), "it lacks 'seconds'"),
    (entry(seconds=-1), "the seconds of its curve are no times"),
    (change(run={"task": "depo"}), "does not belong to its configuration"),
    (change(id="0123456789ab"), "record 0123456789ab does not belong to its configuration"),
    (change(run="depo"), ""),
    (change(run=5), ""),
]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_a_damaged_record_is_named_in_one_sentence_and_skipped(
    tiny: Run, path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], said: str
) -> None:
    other = Store().add(record_of(tiny.but(seed=1), accuracy=0.25))
    damage(path)
    with pytest.raises(StorageError) as caught:
        read_record(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is not a run record (")
    assert message.endswith("); delete it to run that configuration again")
    assert said in message and "\n" not in message
    assert Store().find(tiny) is None
    assert [record.id for record in Store()] == [other.stem]
    assert caplog.messages == [f"skipped: {message}"]  # once, however often it is met


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES[:11]])
def test_what_is_not_a_record_is_never_replaced_by_one(tiny: Run, path: Path, damage: Callable[[Path], object]) -> None:
    damage(path)
    steps: list[object] = []
    with pytest.raises(StorageError, match="is not a run record"):
        train(tiny, store=Store(), device="cpu", progress=steps.append)
    assert steps == [] and os.path.lexists(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change(colour="red"), "unknown Record option 'colour'"),
        (change(format=3), "format must be a whole number from 1 to 2, not 3"),
        (change(parametres=1, parameters=None), "'parametres'; did you mean 'parameters'"),
        (change(status="postponed"), "status 'postponed'"),
        (change(run={"task": "depo", "sed": 1}), "did you mean 'seed'"),
        (change(run={"task": "depo", "task_options": {"hops": 3}}), "unknown Depo option 'hops'"),
        (change(run={"task": "depo", "model": {"mixture": 2}}), "unknown ModelConfig option 'mixture'"),
        (change(run={"task": "depo", "training": {"accumulate": 1}}), "unknown Training option 'accumulate'"),
        (change(run={"task": "chess"}), "unknown task 'chess'"),
        (change(machine={"physlm": "99.0"}, parameters=None), "parameters"),
        (change(machine={"physlm": "99.0"}, run={"task": "depo"}), "does not belong to its configuration"),
    ],
)
def test_the_record_of_a_newer_version_is_not_to_be_deleted(
    tiny: Run, path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(path)
    with pytest.raises(StorageError) as caught:
        train(tiny, store=Store(), device="cpu")
    message = str(caught.value)
    assert message.startswith(f"{path} is not a run record that this version reads (") and said in message
    assert "a newer one wrote it; update the kit" in message and "delete" not in message


def test_a_good_record_elsewhere_is_found_behind_a_bad_one(tiny: Run, path: Path, tmp_path: Path) -> None:
    Store(tmp_path / "theirs").add(record_of(tiny, accuracy=0.75))
    path.write_text("{")
    both = Store(path.parent, tmp_path / "theirs")
    assert both.find(tiny).final["accuracy"] == 0.75  # type: ignore[union-attr]
    assert [record.final["accuracy"] for record in both] == [0.75]


def test_a_file_is_read_again_when_it_has_changed(tiny: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    monkeypatch.setattr(module, "read_record", lambda path: reads.append(path) or read_record(path))
    store = Store()
    for accuracy in (0.5, 0.75):
        for _ in range(3):
            assert store.find(tiny).final["accuracy"] == accuracy  # type: ignore[union-attr]
        store.add(record_of(tiny, accuracy=0.75))
    assert reads == [path, path]
    path.unlink()
    assert store.find(tiny) is None


def test_a_folder_that_may_not_be_read_is_named(
    runs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert list(Store()) == []
    assert caplog.messages == [f"skipped: {runs}: it may not be read; change its permissions, or set PHYSLM_RUNS"]


def test_an_infinite_score_is_kept(tiny: Run) -> None:
    """The surprise at a token that a model holds for impossible."""
    Store().add(record_of(tiny, cross_entropy=float("inf")))
    assert Store().find(tiny).final["cross_entropy"] == float("inf")  # type: ignore[union-attr]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize("named", ["~nobody-of-that-name", "~nobody-of-that-name/runs"])
def test_the_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("PHYSLM_RUNS", named)
    with pytest.raises(StorageError, match=f"{named} begins with a home folder that does not exist"):
        Store()


def test_an_empty_wish_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSLM_RUNS", "")
    assert runs_folder() == Path.home() / ".physlm" / "runs"


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_home_that_does_not_exist_is_not_made(tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHYSLM_RUNS")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert Store().find(tiny) is None
    with pytest.raises(
        StorageError, match=r"home folder .*nobody does not exist; choose another folder with PHYSLM_RUNS"
    ):
        train(tiny, store=Store(), device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_record_under_another_name_is_not_believed(tiny: Run, path: Path) -> None:
    other = tiny.but(seed=1)
    path = path.rename(path.with_name(f"{other.hash}.json"))
    with pytest.raises(StorageError, match=f"it holds {tiny.hash}, another configuration"):
        read_record(path)
    assert Store().find(other) is None


def test_scores_are_read_inside_nested_ones_and_typos_refused(tiny: Run) -> None:
    record = record_of(tiny, accuracy=0.5, accuracy_k={"1": 1.0, "2": 0.25})
    assert record.score("accuracy") == 0.5
    assert record.score("accuracy_k.2") == 0.25
    assert record.score("loss") == 1.0  # whatever the task
    for name, near in (("accuracy_k.3", "accuracy_k.2"), ("acuracy", "accuracy"), ("kl_k.1", "accuracy_k.1")):
        with pytest.raises(UnknownName, match=f"unknown score of Depo '{name}'; did you mean '{near}'"):
            record.score(name)
    with pytest.raises(KeyError, match="no score 'accuracy_k\\.1' among"):
        record_of(tiny, accuracy=0.5).score("accuracy_k.1")


def test_a_diverged_run_scores_nothing_whatever_it_had_reached(tiny: Run) -> None:
    assert record_of(tiny, "diverged", accuracy=0.9).score("accuracy") == 0.0
    assert Record(tiny, "diverged", [], 0.1, 0.0, 1, 1.0).score("accuracy_k.2") == 0.0
    assert record_of(tiny, "diverged", accuracy=0.9).score("loss") == math.inf


def test_records_of_an_older_way_of_naming_get_their_names(tiny: Run, runs: Path) -> None:
    record = train(tiny, store=Store(), device="cpu")
    path = runs / f"{record.id}.json"
    old = json.dumps(json.loads(path.read_text()) | {"id": "0123456789ab"})
    path.unlink()
    (runs / "0123456789ab.json").write_text(old)
    (runs / "notes.json").write_text("[]")
    assert Store().find(tiny) is None
    assert rename_records(runs) == 1 and rename_records(runs) == 0
    assert sorted(file.name for file in runs.glob("*.json")) == sorted([path.name, "notes.json"])
    found = Store().find(tiny)
    assert found is not None and found.curve == record.curve and found.run == record.run
