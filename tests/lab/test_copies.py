"""Readers work on copies: what they changed is never overwritten, and newer versions come beside it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.cli import main
from physlm_lite.lab.copies import NOTEBOOKS, bring, difference

ROOT = Path(__file__).resolve().parents[2]


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
    assert bring(work, kit) == []
    assert texts(work) == texts(kit)
    (work / "00.ipynb").write_text("mine")
    assert bring(work, kit) == [] and texts(work)["00.ipynb"] == "mine"  # the kit has nothing new
    (work / "01.ipynb").unlink()
    assert bring(work, kit) == [] and texts(work)["01.ipynb"] == "01.ipynb, first version"


def test_a_newer_version_comes_beside_what_was_changed_and_in_place_of_what_was_not(kit: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    bring(work, kit)
    (work / "00.ipynb").write_text("mine")
    for path in kit.iterdir():
        path.write_text(f"{path.name}, second version")
    (said,) = bring(work, kit)
    assert said == "00.ipynb has a newer version: it is 00.new.ipynb, and yours stays as it is"
    assert texts(work) == {
        "00.ipynb": "mine",
        "00.new.ipynb": "00.ipynb, second version",
        "01.ipynb": "01.ipynb, second version",
    }
    assert bring(work, kit) == []  # said once


def test_a_file_that_was_there_before_the_first_copies_is_a_reader_s(kit: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "00.ipynb").write_text("mine")
    assert len(bring(work, kit)) == 1
    assert texts(work)["00.ipynb"] == "mine" and "00.new.ipynb" in texts(work)


def test_git_does_not_look_at_the_copies() -> None:
    if not (ROOT / ".git").exists():
        assert "/my_work/" in (ROOT / ".gitignore").read_text()
        return
    command = ["git", "check-ignore", "--quiet", "my_work/00_start_here.ipynb"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_the_copies_are_not_made_where_the_notebooks_come_from(kit: Path) -> None:
    with pytest.raises(ValueError, match="is where the notebooks come from; name another folder"):
        bring(kit, kit)


def test_the_difference_is_told_cell_by_cell_without_outputs(tmp_path: Path) -> None:
    bring(tmp_path)
    name = "02_canon_layer"
    path = tmp_path / f"{name}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code["outputs"] = []
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert difference(tmp_path, "02_canon") == ""
    code["source"] = [*code["source"], "\nmine = 1"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    lines = difference(tmp_path, f"{name}.ipynb").splitlines()
    assert lines[:2] == [f"--- {name} of the kit", f"+++ {name} of yours"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["+mine = 1"]
    with pytest.raises(UnknownName, match="did you mean '02_canon_layer'"):
        difference(tmp_path, "2_canon_layer")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is no notebook that can be read"):
        difference(tmp_path, "02_canon")


def test_the_command_brings_them_and_says_where_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["lab", str(folder), "--no-open"]) == 0
    assert capsys.readouterr().out == f"your copies are in {folder}; begin with 00_start_here.ipynb\n"
    assert sorted(path.name for path in folder.glob("*.ipynb")) == sorted(p.name for p in NOTEBOOKS.glob("*.ipynb"))
    assert main(["lab", str(folder), "--diff", "00"]) == 0
    assert capsys.readouterr().out == "the same, but for outputs\n"
