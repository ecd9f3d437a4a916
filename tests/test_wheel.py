"""The wheel as somebody gets it who installs nothing more: built, put into an environment of its own, and used there.

That environment has the core's packages and what these need, and nothing else: no Matplotlib, no Jupyter, no
transformers. They are linked from the environment of the tests; to download PyTorch again would take minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import skip_reasons
from claims.verdicts import TABLE
from packaging.requirements import Requirement

from physlm_lite.claims import PUBLISHED
from physlm_lite.claims.rules import NOT_RUN

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)]


def needed(names: list[str]) -> set[str]:
    """The distributions with these requirements, and all that they require in turn."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        if requirement.name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            found.add(requirement.name)
            waiting += map(Requirement, distribution(requirement.name).requires or [])
    return found


def link(name: str, site: Path) -> None:
    """Make an installed distribution available in another folder of packages."""
    for entry in {
        file.parts[0] for file in distribution(name).files or [] if file.parts[0] not in ("..", "__pycache__")
    }:
        if not (site / entry).exists():
            (site / entry).symlink_to(Path(distribution(name).locate_file(entry)))


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("physlm_lite-*.whl")
    return path


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the executables of an environment that holds the wheel and the core."""
    home = tmp_path_factory.mktemp("bare")
    assert run(sys.executable, "-m", "venv", "--without-pip", home).returncode == 0
    (site,) = home.glob("lib/python*/site-packages")
    for name in needed(PROJECT["dependencies"]):
        link(name, site)
    # --no-deps is not said: pip makes sure that all requirements are there.
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python"]
    installed = run(*pip, "install", "-q", "--no-index", wheel, cwd=home)
    assert installed.returncode == 0, installed.stderr
    return home / "bin"


@pytest.fixture
def there(tmp_path: Path) -> dict[str, object]:
    """Options for `run`: far from the repository, with a home of its own."""
    hidden = ("PYTHONPATH", "PHYSLM_RUNS", "PHYSLM_SCALE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return {"cwd": tmp_path, "env": {**environment, "HOME": str(tmp_path), "PHYSLM_RUNS": str(tmp_path / "runs")}}


def test_all_files_of_the_package_are_inside_and_the_notebooks(wheel: Path) -> None:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "physlm_lite", cwd=ROOT, check=True)
    files = {name for name in listed.stdout.split("\n") if name and (ROOT / name).exists()}
    assert any(name.endswith(".json") for name in files), "records"
    files |= {f"physlm_lite/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == files


def test_every_module_can_be_imported_but_those_that_say_what_they_need(bare: Path, there: dict[str, object]) -> None:
    program = """if True:
        import importlib, json, pkgutil
        import physlm_lite
        missing = {}
        for module in pkgutil.walk_packages(physlm_lite.__path__, "physlm_lite.", onerror=lambda name: None):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                missing[module.name] = error.name
        print(json.dumps([physlm_lite.__file__, missing]))
    """
    result = run(bare / "python", "-c", program, **there)
    assert result.returncode == 0, result.stderr
    place, missing = json.loads(result.stdout)
    assert place.startswith(str(bare.parent))
    assert set(missing.values()) <= {"matplotlib", "ipywidgets", "seaborn", "IPython", "transformers", "jupyter_server"}
    allowed = ("physlm_lite.lab.", "physlm_lite.lessons.", "physlm_lite.scale.published.hugging_face")
    allowed += ("physlm_lite.classroom.kernels",)
    assert missing and all(name.startswith(allowed) for name in missing)
    assert "physlm_lite.lab.terminal" not in missing


def test_the_ledger_is_that_of_the_repository(bare: Path, there: dict[str, object]) -> None:
    result = run(bare / "physlm", "ledger", "--json", **there)
    assert result.returncode == 0, result.stderr
    rows = [row for row in json.loads(result.stdout) if row["verdict"] != NOT_RUN]
    published = [(row["claim"], row["reason"]) for row in rows if row["basis"] == "published"]
    assert published == [(name, of.verdict.reason) for name, of in PUBLISHED.items()], (
        "their numbers ship with the wheel"
    )
    written = TABLE.read_text(encoding="utf-8").splitlines()
    for row, line in zip(rows[: -len(published)], written, strict=True):
        assert line.startswith(f"{row['claim']}, {row['scale']}: {row['verdict']}. {row['reason']}")


def test_the_notebooks_come_out_of_it_and_jupyterlab_is_asked_for(bare: Path, there: dict[str, object]) -> None:
    brought = run(bare / "physlm", "lab", "mine", "--no-open", **there)
    assert brought.returncode == 0, brought.stderr
    mine = Path(str(there["cwd"])) / "mine"
    assert {path.name for path in mine.glob("*.ipynb")} == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    opened = run(bare / "physlm", "lab", "mine", **there)
    assert opened.returncode == 2 and "`pip install 'physlm_lite[lab]'` brings it" in opened.stderr
    looked = run(bare / "physlm", "doctor", **there)
    assert looked.returncode == 1 and "jupyterlab is missing" in looked.stdout


def test_a_claim_is_replicated_and_the_missing_figure_takes_one_sentence(bare: Path, there: dict[str, object]) -> None:
    result = run(bare / "physlm", "replicate", "R1", "--scale", "smoke", **there)
    assert result.returncode == 0, result.stderr
    assert "verdict:" in result.stdout and "figure:" not in result.stdout
    (sentence,) = (line for line in result.stderr.splitlines() if "figure" in line)
    assert "matplotlib" in sentence and "Traceback" not in result.stderr


def test_an_export_that_needs_more_says_so_in_one_sentence(bare: Path, there: dict[str, object]) -> None:
    seen = run(bare / "physlm", "sample", "copy", "--rows", "2", **there)
    assert seen.returncode == 0 and seen.stdout
    result = run(bare / "physlm", "sample", "copy", "--rows", "2", "--into", "rows.parquet", **there)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "physlm_lite[lab]" in result.stderr
