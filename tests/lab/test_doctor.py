"""The doctor finds what is wrong, one thing at a time, and says what to do about it."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import webbrowser
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from physlm_lite.cli import main
from physlm_lite.lab import doctor as ward
from physlm_lite.lab.doctor import LOOKS, Finding


def only(look: Any) -> Finding:
    (found,) = look()
    assert found.remedy or found.word == "fine", "what is wrong has a remedy"
    return found


def test_here_nothing_keeps_it_from_working(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    problems = [one for one in found if one["word"] == "problem"]
    assert code == bool(problems)
    assert {one["about"] for one in problems} <= {"records", "temporary files"}, problems  # of a full disk
    assert {"Python", "packages of the core", "packages of the lab", "kernel", "notebooks"} <= {
        o["about"] for o in found
    }
    assert main(["doctor"]) == code
    assert all(
        line.startswith(("\u2713", "\u00b7", "\u2717", "    \u2192")) for line in capsys.readouterr().out.splitlines()
    )


def test_a_package_that_is_missing_or_old_is_named_with_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "einops":
            raise metadata.PackageNotFoundError(name)
        return "3.0.0" if name == "jupyterlab" else real(name)

    monkeypatch.setattr(ward, "version", version)
    core, lab = ward.packages()
    assert (core.word, core.said) == ("problem", "einops is missing")
    assert lab.said.startswith("jupyterlab is 3.0.0, asked for is ") and "[lab]" in lab.remedy


def test_packages_that_belong_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert only(ward.python).remedy.startswith("a virtual environment keeps the kit apart")


def test_a_command_of_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "physlm"))
    found = only(ward.command)
    assert found.word == "problem" and str(tmp_path) in found.said
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert only(ward.command).word == "note"


def test_a_kernel_that_is_missing_or_runs_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    other = SimpleNamespace(argv=[str(tmp_path / "python"), "-m", "ipykernel_launcher"])
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: other)
    found = only(ward.kernel)
    assert (found.word, found.said) == ("problem", f"python3 runs {tmp_path / 'python'}")
    assert found.remedy.endswith("-m ipykernel install --sys-prefix")

    def none(self: Any, name: str) -> None:
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    assert only(ward.kernel).said == "there is no kernel named python3"


def test_records_that_have_no_place_or_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path / "file"))
    found = only(ward.storage)
    assert found.word == "problem" and found.remedy == "set PHYSLM_RUNS to a folder that you may write to"
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5e7))
    records, temporary = ward.storage()
    assert "0.1 GB free" in records.said and records.word == temporary.word == "problem"


def test_little_memory_no_browser_and_no_notebooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ward, "available_memory", lambda: (int(4e8), int(4e8)))
    assert (only(ward.memory).word, only(ward.memory).said) == ("note", "0.4 GB free")

    def none() -> None:
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", none)
    assert only(ward.browser).word == "note"
    monkeypatch.setattr(ward, "NOTEBOOKS", tmp_path)
    assert only(ward.notebooks).word == "problem"


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(ward, "PORT", taken.getsockname()[1])
        assert only(ward.port).said.endswith("is taken")
    assert only(ward.port).word == "fine"


def test_every_look_answers() -> None:
    assert [look.__name__ for look in LOOKS if not list(look())] == []
