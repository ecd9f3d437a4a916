"""Files are written whole or not at all, whatever the disk says."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
import torch

import physlm_lite
from physlm_lite.base import files
from physlm_lite.base.files import load_tensors, save_tensors, write_json, write_whole
from physlm_lite.training import Run, StorageError, Store, Trainer, train

pytestmark = pytest.mark.usefixtures("one_thread")

Write = Callable[[Path], None]


def full_disk(path: Path) -> None:
    """Half of the file fits."""
    path.write_text("half of")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def interrupted(path: Path) -> None:
    path.write_text("half of")
    raise KeyboardInterrupt


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- one file ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(
        StorageError, match=f"could not write {path}: No space left on device; the previous file is untouched"
    ):
        write_whole(path, full_disk)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["file"]


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"nothing was left behind. Free some space or choose another folder with PHYSLM_RUNS"
    ):
        write_whole(tmp_path / "file", full_disk)
    assert listing(tmp_path) == []


def test_ctrl_c_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, interrupted)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["file"]


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_the_last_moment_can_fail_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"value": 1})

    def fail(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(*((Path, "replace") if function == "replace" else (os, "fsync")), fail)
    with pytest.raises(StorageError, match="Read-only file system"):
        write_json(path, {"value": 2})
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {"value": 1}
    assert listing(tmp_path) == ["file.json"]


def test_a_value_that_is_not_json_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "file.json", {"value": object()})
    assert listing(tmp_path) == []


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    for path in (tmp_path / "runs" / "a.json", tmp_path / "runs" / "deeper" / "a.json"):
        with pytest.raises(StorageError, match=f"could not write {path}"):
            write_json(path, {})
    assert (tmp_path / "runs").read_text() == "a file"


def test_json_is_read_back_and_has_a_line_for_each_entry(tmp_path: Path) -> None:
    content = {"id": "é", "curve": [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 1e-17}], "empty": [], "machine": {}}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert len(text.splitlines()) == 2 + len(content) + 3


def test_many_writers_of_one_file_leave_one_of_their_files_whole(tmp_path: Path) -> None:
    """Two processes may well finish the same run; whoever comes last wins, and nobody ever reads half a file."""
    path, wrong = tmp_path / "a.json", []

    def write(number: int) -> None:
        for _ in range(10):
            write_json(path, {"value": [number] * 2000})
            value = json.loads(path.read_text())["value"]
            if value != [value[0]] * 2000:
                wrong.append(value)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert listing(tmp_path) == ["a.json"]


def test_the_part_of_a_killed_process_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, new, other = tmp_path / ".a.json.1-1.part", tmp_path / ".a.json.2-2.part", tmp_path / ".b.json.1-1.part"
    for part in (old, new, other):
        part.mkdir()
        (part / "a.json").write_text("half of")
    for part in (old, other):
        os.utime(part, (0, 0))
    write_json(tmp_path / "a.json", {})
    assert listing(tmp_path) == sorted([new.name, other.name, "a.json"])  # `new` may still be being written


# -- tensors -----------------------------------------------------------------------------------------------------------


def test_tensors_come_back_to_the_bit_with_their_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(float("nan")), "c": torch.arange(3)}
    save_tensors(tmp_path / "a.safetensors", tensors, {"loss": 0.1, "curve": [{"step": 1}]})
    loaded, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == {"loss": 0.1, "curve": [{"step": 1}]}
    assert {name: tensor.numpy().tobytes() for name, tensor in loaded.items()} == {
        name: tensor.contiguous().numpy().tobytes() for name, tensor in tensors.items()
    }


def test_nothing_is_pickled() -> None:
    """A checkpoint from somebody else must not be able to run code. Published .pth files are read as plain tensors only."""
    harmless = re.compile(
        r"torch\.load\([^()]*weights_only=True[^()]*\)|^from pickle import UnpicklingError$", re.MULTILINE
    )
    pickling = re.compile(r"torch\.(save|load)\b|\bpickle\b|\bjoblib\b|\bdill\b|\bshelve\b|\bmarshal\b|allow_pickle")
    sources = list(Path(physlm_lite.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert [path.name for path in sources if pickling.search(harmless.sub("", path.read_text(encoding="utf-8")))] == []


# -- a run on a bad disk -----------------------------------------------------------------------------------------------


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the operating system refuse larger files: a real failure in the middle of a real write."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(tiny: Run, runs: Path) -> None:
    trainer, path = Trainer(tiny, "cpu"), runs / f"{tiny.hash}.safetensors"
    trainer.train_step()
    trainer.save(path)
    trainer.train_step()
    size = path.stat().st_size
    with (
        files_up_to(size // 2),
        pytest.raises(StorageError, match=r"could not write .* the previous file is untouched"),
    ):
        trainer.save(path)
    assert listing(runs) == [path.name]
    again = Trainer(tiny, "cpu")
    again.load(path)
    assert again.step == 1


@pytest.mark.parametrize("name", ["save_tensors", "write_json"])
def test_a_run_whose_disk_fills_up_can_go_on_later(
    tiny: Run, runs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whichever write fails, that of the fourth checkpoint or that of the record: what was saved before stays."""
    writes, whole = 0, files.write_whole

    def fourth_checkpoint_or_record(path: Path, write: Write) -> None:
        nonlocal writes
        writes += path.suffix == ".safetensors"
        fails = path.suffix == ".json" if name == "write_json" else writes == 4
        whole(path, full_disk if fails else write)

    monkeypatch.setattr(files, "write_whole", fourth_checkpoint_or_record)
    with pytest.raises(StorageError, match="No space left on device"):
        train(tiny, store=Store(), device="cpu", checkpoint_seconds=0)
    assert listing(runs) == [f"{tiny.hash}.safetensors"]
    monkeypatch.undo()
    monkeypatch.setenv("PHYSLM_RUNS", str(runs))
    trainer = Trainer(tiny, "cpu")
    trainer.load(runs / f"{tiny.hash}.safetensors")
    assert trainer.step == (12 if name == "write_json" else 3)
    assert train(tiny, store=Store(), device="cpu").curve[-1]["step"] == 12
    assert listing(runs) == [f"{tiny.hash}.json"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(
    tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file")
    steps: list[object] = []
    with pytest.raises(StorageError, match=r"cannot write into .*; choose another folder with PHYSLM_RUNS"):
        train(tiny, store=Store(tmp_path / "file" / "runs"), progress=steps.append, device="cpu")

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", read_only)
    with pytest.raises(StorageError, match=r"cannot write into .*: Read-only file system; choose"):
        train(tiny, store=Store(tmp_path / "runs"), progress=steps.append, device="cpu")
    assert steps == []


def test_a_file_as_the_folder_of_records_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path / "file"))
    with pytest.raises(
        StorageError, match=r"file is a file where records need a folder; choose another with PHYSLM_RUNS"
    ):
        Store()
