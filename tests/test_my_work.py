"""Readers work on copies: what they changed is never overwritten, and newer versions come beside it."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
bring = runpy.run_path(str(ROOT / "requirements" / "my_work.py"))["bring"]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    folder = tmp_path / "kit"
    folder.mkdir()
    for name in ("00.ipynb", "01.ipynb"):
        (folder / name).write_text(f"{name}, first version")
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.*")) if path.is_file()}


def test_copies_come_once_and_what_a_reader_changed_stays(kit: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert bring(kit, work) == []
    assert texts(work) == texts(kit)
    (work / "00.ipynb").write_text("mine")
    assert bring(kit, work) == [] and texts(work)["00.ipynb"] == "mine"  # the kit has nothing new
    (work / "01.ipynb").unlink()
    assert bring(kit, work) == [] and texts(work)["01.ipynb"] == "01.ipynb, first version"


def test_a_newer_version_comes_beside_what_was_changed_and_in_place_of_what_was_not(kit: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    bring(kit, work)
    (work / "00.ipynb").write_text("mine")
    for path in kit.iterdir():
        path.write_text(f"{path.name}, second version")
    (said,) = bring(kit, work)
    assert said == "00.ipynb has a newer version: it is 00.new.ipynb, and yours stays as it is."
    assert texts(work) == {
        "00.ipynb": "mine",
        "00.new.ipynb": "00.ipynb, second version",
        "01.ipynb": "01.ipynb, second version",
    }
    assert bring(kit, work) == []  # said once


def test_a_file_that_was_there_before_the_first_copies_is_a_reader_s(kit: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "00.ipynb").write_text("mine")
    assert len(bring(kit, work)) == 1
    assert texts(work)["00.ipynb"] == "mine" and "00.new.ipynb" in texts(work)


def test_git_does_not_look_at_the_copies() -> None:
    if not (ROOT / ".git").exists():
        assert "/my_work/" in (ROOT / ".gitignore").read_text()
        return
    command = ["git", "check-ignore", "--quiet", "my_work/00_start_here.ipynb"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
