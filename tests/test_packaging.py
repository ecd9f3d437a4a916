"""The files around the package agree with each other and with the package."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import skip_reasons
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import physlm_lite

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"


def bounds(lines: list[str]) -> dict[str, SpecifierSet]:
    """Map each package to its bounds."""
    return {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}


def conda(name: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Return a conda file's own packages, the options of its pip list, and the packages of its pip list."""
    dependencies = yaml.safe_load((ROOT / name).read_text())["dependencies"]
    own = dict(re.fullmatch(r"(\w+)(.*)", line).groups() for line in dependencies if isinstance(line, str))
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return own, [line for line in pip if line.startswith("-")], [line for line in pip if not line.startswith("-")]


CORE = bounds(PYPROJECT["project"]["dependencies"])
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
PACKAGES = {**CORE, **bounds(EXTRAS["lab"])}
CONSTRAINTS = bounds(
    [line for line in (ROOT / "requirements/ci-constraints.txt").read_text().splitlines() if line and line[0] != "#"]
)


def test_environment_yml_has_the_packages_and_bounds_of_the_core_and_the_lab():
    own, options, pip = conda("environment.yml")
    assert bounds(pip) == PACKAGES
    assert options == [CPU_INDEX]
    oldest = next(iter(SpecifierSet(PYPROJECT["project"]["requires-python"]))).version
    assert oldest in SpecifierSet(own["python"])
    assert "3.10" not in SpecifierSet(own["python"])


def test_binder_has_the_same_packages_but_exact_python_and_torch():
    own, options, pip = conda("binder/environment.yml")
    found = bounds(pip)
    assert {name: found[name] for name in found if name != "torch"} == {
        name: PACKAGES[name] for name in PACKAGES if name != "torch"
    }
    assert found["torch"] == SpecifierSet(f"{CONSTRAINTS['torch']}+cpu")
    assert options == [CPU_INDEX]
    assert re.fullmatch(r"=3\.\d+\.\d+", own["python"]), "conda's exact version is written python=X.Y.Z"
    assert own["python"].lstrip("=") in SpecifierSet(PYPROJECT["project"]["requires-python"])


def test_the_pinned_torch_is_exact_and_within_the_package_bounds():
    (pin,) = CONSTRAINTS["torch"]
    assert pin.operator == "=="
    assert pin.version in PACKAGES["torch"]
    if "CI" in os.environ:
        assert Version(version("torch")).public == pin.version


def test_every_dependency_has_a_lower_bound():
    for line in [*PYPROJECT["project"]["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]:
        requirement = Requirement(line)
        bound = any(specifier.operator in (">=", "==") for specifier in requirement.specifier)
        assert bound or requirement.name == PYPROJECT["project"]["name"], line


def test_the_tests_have_all_that_a_reader_can_have():
    """Only the kernels are left out, which need a GPU."""
    (own,) = (Requirement(line) for line in EXTRAS["dev"] if line.startswith(PYPROJECT["project"]["name"]))
    assert own.extras == set(EXTRAS) - {"dev", "gpu"}


def test_the_core_brings_no_notebooks_and_no_figures():
    assert set(CORE) == {"torch", "numpy", "einops", "safetensors", "tqdm", "psutil", "pyyaml"}


def test_the_version_stands_in_one_place():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "physlm_lite/__init__.py"
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text())
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "physlm_lite").rglob("*.py")
        if re.search(r"^__version__\s*=", path.read_text(), re.MULTILINE)
    ]
    assert holders == ["physlm_lite/__init__.py"]
    assert Version(physlm_lite.__version__)


def test_the_set_up_and_the_package_want_the_same_python():
    text = (ROOT / "requirements/set_up.py").read_text()
    oldest = re.search(r"^OLDEST_PYTHON = \((\d+), (\d+)\)$", text, re.MULTILINE)
    assert PYPROJECT["project"]["requires-python"] == ">=" + ".".join(oldest.groups())


needs_posix = pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason=skip_reasons.NO_MAKE)


def output_of(*command: str) -> str:
    """Run a command in the repository's root and return what it says."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@needs_posix
@pytest.mark.parametrize("name", ["binder/postBuild", "binder/start", ".ci/run"])
def test_scripts_are_executable_and_parse(name):
    assert (ROOT / name).read_text().startswith("#!/usr/bin/env bash\n")
    assert os.access(ROOT / name, os.X_OK)
    assert output_of("bash", "-n", name) == ""


@needs_posix
def test_binder_start_sets_the_dial_and_caps_the_threads():
    show = 'echo "$OMP_NUM_THREADS $MKL_NUM_THREADS $PHYSLM_SCALE"'
    assert output_of("binder/start", "bash", "-c", show).split() == ["1", "1", "toy"]


def test_binder_takes_this_folder_and_no_other_file():
    """repo2docker prints the Dockerfile that Binder would build, without Docker and without a network."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-2000:]
    assert "env update" in output and '"binder/environment.yml"' in output
    assert "binder/postBuild" in output
    assert "R2D_ENTRYPOINT" in output and "binder/start" in output


VERBS = [
    "bench",
    "book",
    "clean",
    "env",
    "help",
    "lab",
    "notebooks",
    "replicate",
    "tab",
    "test",
    "test-all",
    "verdicts",
]


@needs_make
def test_the_makefile_has_its_verbs_and_lists_them():
    # --no-print-directory: `make test` runs this inside another make
    listed = [line.split()[1] for line in output_of("make", "--no-print-directory").splitlines()]
    assert sorted(listed) == VERBS


@needs_make
@pytest.mark.parametrize(
    ("verb", "part"),
    [
        ("lab", ".venv/bin/physlm lab my_work"),
        ("lab", "requirements/set_up.py lab"),
        ("env", "requirements/set_up.py dev"),
        ("test", '-m pytest -n 2 -m "not browser" --sample\n'),
        ("test", "-m pytest -m browser tests/browser --sample\n"),
        ("test", "-m ruff"),
        ("test", "-m mypy"),
        ("test", "-m ruff format --check"),
        ("test-all", '-m pytest -n 2 -m "not browser"\n'),
        ("replicate", ".venv/bin/physlm replicate R2-depth --scale toy"),
        ("notebooks", ".venv/bin/python notebooks/build.py"),
    ],
)
def test_what_a_verb_runs(verb, part):
    commands = output_of("make", "-n", verb)
    assert part in commands
    assert "requirements/set_up.py" in commands, "every verb prepares the environment first"


def test_the_citation_names_the_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= citation.keys()
    assert citation["license"] == PYPROJECT["project"]["license"] == "Apache-2.0"
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year", "url"} <= reference.keys()
    titles = [reference["title"] for reference in citation["references"]]
    assert [re.search(r"Part (\d(?:\.\d)?)", title).group(1) for title in titles] == ["4.1", "4.2", "3.3", "1"]


def test_the_licence_is_there_in_full():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0" in text and "END OF TERMS AND CONDITIONS" in text


def test_every_skip_takes_its_reason_from_the_register():
    """A skip that nobody counts hides a test; the reasons all stand in tests/skip_reasons.py."""
    strays = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip"):
                reasons = [*node.args, *(keyword.value for keyword in node.keywords)]
                if not any(ast.unparse(reason).startswith("skip_reasons.") for reason in reasons):
                    strays.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert strays == []
