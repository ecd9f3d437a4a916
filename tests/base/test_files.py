"""Files are written whole or not at all, whatever the disk says."""

from __future__ import annotations

import ast
import errno
import json
import os
import socket
import stat
import subprocess
import sys
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
from physlm_lite.base.files import load_tensors, locked, save_tensors, write_json, write_whole
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
        with pytest.raises(StorageError, match=f"cannot write {path}: Not a directory; choose another place"):
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


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    """Whichever file they were writing, and however short ago."""
    left, alive, foreign = tmp_path / ".physlm-1.part", tmp_path / ".physlm-2.part", tmp_path / "mine.part"
    for part in (left, alive, foreign):
        part.mkdir()
        (part / "a.json").write_text("half of")
    (left / "lock").touch()
    with locked(alive / "lock") as held:
        assert held
        write_json(tmp_path / "b.json", {})
        assert listing(tmp_path) == [alive.name, "b.json", foreign.name]
    write_json(tmp_path / "b.json", {})
    assert listing(tmp_path) == ["b.json", foreign.name]


WRITER = """
import os, signal, sys, time
from pathlib import Path
from physlm_lite.base.files import write_whole
def slow(path):
    path.write_text("half of")
    print("writing", flush=True)
    time.sleep(60)
write_whole(Path(sys.argv[1]), slow)
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_writing_process_is_left_alone_until_it_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a")], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"writing\n"
        write_json(tmp_path / "b.json", {})
        (part,) = tmp_path.glob(".physlm-*.part")
        assert (part / "a").read_text() == "half of"
        process.kill()
    assert part.exists()
    write_json(tmp_path / "b.json", {})
    assert listing(tmp_path) == ["b.json"]


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_is_held_once_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path) as first, locked(path) as second:
        assert (first, second) == (True, False)
    with locked(path) as third:
        assert third and listing(tmp_path) == ["lock"]
    assert listing(tmp_path) == []


def test_a_lock_whose_file_was_removed_keeps_nobody_away_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last holder removed it in the moment between opening and locking it."""
    path, take = tmp_path / "lock", files._take

    def too_late(file: int) -> bool | None:
        path.unlink()
        return take(file)

    monkeypatch.setattr(files, "_take", too_late)
    with locked(path) as held:
        assert held is False


def test_threads_take_turns(tmp_path: Path) -> None:
    inside, most, wrong = 0, 0, 0

    def turn() -> None:
        nonlocal inside, most, wrong
        done = 0
        while done < 200:
            with locked(tmp_path / "lock") as held:
                if held:
                    inside += 1
                    wrong += inside != 1
                    most, done = max(most, inside), done + 1
                    inside -= 1

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, wrong) == (1, 0)


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unknown(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unknown)
    (tmp_path / ".physlm-1.part").mkdir()
    with locked(tmp_path / "lock") as held:
        assert held is None
    write_json(tmp_path / "a.json", {"value": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"value": 1}
    assert (tmp_path / ".physlm-1.part").exists()  # somebody may be writing there


# -- what stands there already -----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o000, 0o666)])
def test_a_new_file_obeys_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
        save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(3)}, {})
        (tmp_path / "plain").touch()
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o777])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.safetensors"
    path.touch()
    path.chmod(mode)
    save_tensors(path, {"a": torch.zeros(3)}, {})
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert "a" in load_tensors(path)[0]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_link_stays_and_what_it_points_at_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text("old")
    (tmp_path / "link").symlink_to("deep/file")
    write_json(tmp_path / "link", {})
    assert (tmp_path / "link").is_symlink() and (tmp_path / "deep" / "file").read_text() == "{\n\n}\n"
    assert listing(tmp_path / "deep") == ["file"]


def in_the_way(folder: Path, kind: str) -> Path:
    path = folder / kind
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        case "device":
            path.symlink_to("/dev/null")
        case "folder":
            path.mkdir()
        case "nothing":
            path.symlink_to(folder / "missing" / "file")
        case "loop":
            path.symlink_to(path)
    return path


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pipe", "it is a device or a pipe"),
        ("socket", "it is a device or a pipe"),
        ("device", "it is a device or a pipe"),
        ("folder", "it is a folder"),
        ("nothing", "it is a link that leads nowhere"),
        ("loop", "symbolic links"),
        ("nul\0", "null byte"),
    ],
)
def test_what_is_not_a_file_is_never_replaced(tmp_path: Path, kind: str, said: str) -> None:
    path = in_the_way(tmp_path, kind)
    before = listing(tmp_path)
    with pytest.raises(StorageError, match=said):
        write_json(path, {})
    assert listing(tmp_path) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_only_what_is_missing_is_written_unless_replacing_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, lambda temporary: temporary.write_text("first") and None, replace=False)
    with pytest.raises(StorageError, match=r"it exists already; .* or replace it with --force"):
        write_whole(path, lambda temporary: temporary.write_text("second") and None, replace=False)
    assert path.read_text() == "first"


# -- tensors -----------------------------------------------------------------------------------------------------------


def test_tensors_come_back_to_the_bit_with_their_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).t(), "b": torch.tensor(float("nan")), "c": torch.arange(3)}
    save_tensors(tmp_path / "a.safetensors", tensors, {"loss": 0.1, "curve": [{"step": 1}]})
    loaded, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == {"loss": 0.1, "curve": [{"step": 1}]}
    assert {name: tensor.numpy().tobytes() for name, tensor in loaded.items()} == {
        name: tensor.contiguous().numpy().tobytes() for name, tensor in tensors.items()
    }


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.randn(4, 4), "step": torch.tensor(3.0)}, {"step": 3, "curve": []})
    good = path.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        with pytest.raises(
            StorageError, match=r"is not a whole checkpoint of this kit \(.*\); delete it to begin anew"
        ):
            load_tensors(path)
    for bad in (good[:-1], good + b"\0", good[:100], b""):
        path.write_bytes(bad)
        with pytest.raises(StorageError, match="is not a whole checkpoint"):
            load_tensors(path)
    path.write_bytes(good)
    assert load_tensors(path)[1]["step"] == 3


REPLACER = """
import sys
from pathlib import Path
import torch
from physlm_lite.base.files import save_tensors
for i in range(10**9):
    save_tensors(Path(sys.argv[1]), {str(j): torch.full((1000 * (1 + i % 3),), float(i)) for j in range(20)}, {"i": i})
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_read_never_mixes_two_files(tmp_path: Path) -> None:
    """Another process replaces the file all the time, by one of another size."""
    path, seen = tmp_path / "a.safetensors", set()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", REPLACER, str(path)], env=environment) as process:
        try:
            while not path.exists():
                assert process.poll() is None
            for _ in range(300):
                tensors, metadata = load_tensors(path)
                seen.add(metadata["i"])
                assert {value for tensor in tensors.values() for value in tensor.tolist()} == {float(metadata["i"])}
                assert {len(tensor) for tensor in tensors.values()} == {1000 * (1 + metadata["i"] % 3)}
        finally:
            process.kill()
    assert len(seen) > 5


PICKLERS = {"pickle", "_pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def pickling(source: str) -> list[str]:
    """What in a module could run code out of a file; torch.load of plain tensors alone is harmless."""
    nodes, found = list(ast.walk(ast.parse(source))), []
    plain = [
        node.func
        for node in nodes
        if isinstance(node, ast.Call) and "weights_only=True" in [ast.unparse(k) for k in node.keywords]
    ]
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in {*PICKLERS, "torch"}:
            found += [a.name for a in node.names if a.name in ("load", "save") or node.module in PICKLERS]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and node not in plain:
            found += [name for name in ("torch.load", "torch.save") if ast.unparse(node) == name]
    return [name for name in found if name != "UnpicklingError"]


# What writes for the original training code, which knows no other form; and what looks through a description of sharded
# tensors, of which it lets nothing but tensors pass, before PyTorch unpickles it (tests/scale/test_convert.py).
MAY_PICKLE = {"lingua.py": ["torch.save"], "sharded.py": ["pickle"]}


def test_nothing_is_pickled() -> None:
    """A checkpoint from somebody else must not be able to run code. Published .pth files are read as plain tensors only."""
    sources = list(Path(physlm_lite.__file__).parent.rglob("*.py"))
    assert len(sources) > 20
    assert {path.name: found for path in sources if (found := pickling(path.read_text(encoding="utf-8")))} == MAY_PICKLE


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("torch.load(path, weights_only=True, mmap=zipfile.is_zipfile(path))", []),
        ("from pickle import UnpicklingError", []),
        ("torch.load(path)", ["torch.load"]),
        ("torch.load(path, weights_only=False)", ["torch.load"]),
        ("read = torch.load", ["torch.load"]),
        ("torch.save(x, path)", ["torch.save"]),
        ("from torch import load", ["load"]),
        ("from pickle import loads, UnpicklingError", ["loads"]),
        ("import pickle as p", ["pickle"]),
        ("np.load(path, allow_pickle=True)", ["allow_pickle=True"]),
    ],
)
def test_pickling_would_be_found(source: str, found: list[str]) -> None:
    assert pickling(source) == found


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
