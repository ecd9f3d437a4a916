"""Everything a room without a network needs, in one folder to carry: wheels, notebooks, pages, and a starter for each system.

The wheels are those of this environment, version by version; for another system pip fetches the builds for that one, and what
it does not find is said.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..lab.copies import NOTEBOOKS, PACKAGE
from ..tab import PAGE

ASKED = "physlm_lite[lab]"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
MISSING = re.compile(r"No matching distribution found for ([\w.-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Platform:
    """What pip calls it, what markers ask of it, and its starter."""

    tags: tuple[str, ...]
    markers: Mapping[str, str]
    starter: str


PLATFORMS = {
    "linux": Platform(
        (*(f"manylinux_2_{n}_x86_64" for n in range(28, 4, -1)), "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"),
        {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux", "platform_machine": "x86_64"},
        "start-linux.sh",
    ),
    "macos": Platform(
        ("macosx_14_0_arm64", "macosx_14_0_universal2"),
        {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin", "platform_machine": "arm64"},
        "start-macos.command",
    ),
    "windows": Platform(
        ("win_amd64",),
        {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"},
        "start-windows.bat",
    ),
}  # fmt: skip

UNIX = """#!/bin/sh
# Installs the kit from the folder beside this file, without a network, and opens the notebooks. Safe to repeat.
#     sh {name} [FOLDER]      where to install, and where your own notebooks go (default: ~/physlm-classroom)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
room=${{1:-$HOME/physlm-classroom}}
python=$(command -v python{version} || command -v python3)
mkdir -p "$room"
cd "$room"
if ! [ -e ready ]; then
    "$python" -c 'import sys; sys.exit(not ({least}) <= sys.version_info[:3] < ({next}))' ||
        {{ echo "This bundle is for Python {named}; here is $("$python" --version)." >&2; exit 1; }}
    echo "Installing into $room, which takes a few minutes ..."
    "$python" -m venv env
    env/bin/python -m pip install --quiet --no-index --find-links "$here/wheels" '{asked}'
    touch ready
fi
env/bin/physlm doctor || true
exec env/bin/physlm lab my_work
"""
WINDOWS = """@echo off
rem Installs the kit from the folder beside this file, without a network, and opens the notebooks. Safe to repeat.
rem     start-windows.bat [FOLDER]      where to install, and where your own notebooks go
setlocal
set "here=%~dp0"
set "room=%~1"
if "%room%"=="" set "room=%USERPROFILE%\\physlm-classroom"
if not exist "%room%" mkdir "%room%"
cd /d "%room%" || exit /b 1
if not exist ready (
    echo Installing into %room%, which takes a few minutes ...
    py -{version} -m venv env || (echo This bundle is for Python {named}, from python.org. & exit /b 1)
    env\\Scripts\\python -m pip install --quiet --no-index --find-links "%here%wheels" "{asked}" || exit /b 1
    type nul > ready
)
env\\Scripts\\physlm doctor
env\\Scripts\\physlm lab my_work
"""
README = """The kit for a room without a network
====================================

For {platforms}, with Python {named} on each machine.

One laptop:
  Linux    sh start-linux.sh
  macOS    sh start-macos.command        (in Terminal; a double click works once the file is allowed)
  Windows  start-windows.bat             (double click)

The first start installs into a folder physlm-classroom of your home (about 1.7 GB), looks at the machine (physlm doctor) and
opens JupyterLab on your own copies of the notebooks. Later starts take seconds. To be rid of it, delete that folder.

A whole room on one strong machine: install there as above, then
  env/bin/physlm classroom serve learners --names ada,bob,eve
and see classroom.md.

canon_effect.html needs nothing at all: open it in a browser.
{book}
The notebooks here are for looking; you work on copies.

{missing}
"""


def bundle(
    folder: Path, platforms: Sequence[str], wheel: Path | None = None, python: str = "", fetch: bool = True
) -> Iterator[str]:
    """Fill `folder`, which must be new or empty; yields a line on each part as it is done.

    wheel: the kit's own, built from the checkout if there is one. fetch=False leaves out the wheels of others.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; name a new folder for the bundle")
    version = python or ".".join(map(str, sys.version_info[:2]))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".physlm-", ignore_cleanup_errors=True) as part:
        made = Path(part) / "bundle"
        (made / "wheels").mkdir(parents=True)
        own = own_wheel(made / "wheels", wheel)
        yield f"{own.name}: the kit with its notebooks and records"
        missing: list[str] = []
        for name in platforms if fetch else ():
            lacking = download(made / "wheels", name, version)
            missing += [f"for {name}, pip found no {each} here" for each in lacking]
            yield f"wheels for {name}: {'all' if not lacking else 'without ' + ', '.join(lacking)}"
        yield from _pages(made)
        _texts(made, platforms, version, missing)
        if folder.is_dir():
            folder.rmdir()
        made.rename(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    yield f"{folder}: {size / 1e6:,.0f} MB"
    yield from missing


def own_wheel(into: Path, wheel: Path | None = None) -> Path:
    """Put the kit's own wheel there: the one that is named, or one that is built from the checkout."""
    if wheel is not None:
        if not wheel.is_file() or wheel.suffix != ".whl":
            raise ValueError(f"{wheel} is no wheel")
        return Path(shutil.copy(wheel, into))
    root = PACKAGE.parent
    if not (root / "pyproject.toml").is_file():
        raise ValueError(
            "there is no checkout to build the kit's wheel from; name the one you installed with --wheel FILE"
        )
    there = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []  # else pip fetches it
    pip("wheel", "--quiet", "--no-deps", *there, "--wheel-dir", into, root)
    (path,) = into.glob("physlm_lite-*.whl")
    return path


def pip(*arguments: object) -> None:
    """Run pip of this environment; ValueError with its last line where it fails."""
    done = subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip()[-2000:] or f"pip {arguments[0]} failed")


def wanted(platform: Platform, version: str) -> list[str]:
    """What the kit and the lab stand on, as they are installed here, and whatever else a platform asks for."""
    from packaging.requirements import Requirement

    environment = {**platform.markers, "python_version": version, "python_full_version": f"{version}.0"}
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(ASKED), "")]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        extras = [each for each in ("", *sorted(requirement.extras)) if (name, each) not in seen]
        seen |= {(name, each) for each in extras}
        try:
            here = distribution(requirement.name)
        except PackageNotFoundError:  # only another system needs it
            found[name] = f"{requirement.name}{requirement.specifier}"
            continue
        found[name] = f"{requirement.name}=={here.version.partition('+')[0]}"
        waiting += [(Requirement(text), each) for each in extras for text in here.requires or []]
    del found["physlm-lite"]
    return sorted(found.values())


def least_patch(version: str) -> int:
    """The first release of a Python, such as 5 of 3.11.5, that all packages of the bundle accept."""
    from packaging.specifiers import SpecifierSet

    names = {re.split(r"[=<>!~ ]", line)[0] for each in PLATFORMS.values() for line in wanted(each, version)}
    asked = SpecifierSet()
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            asked &= SpecifierSet(distribution(name).metadata["Requires-Python"] or "")
    fits = [patch for patch in range(40) if f"{version}.{patch}" in asked]
    if not fits:
        raise ValueError(
            f"the versions that are installed here are not for Python {version}; make the bundle with that one"
        )
    return fits[0]


def download(into: Path, name: str, version: str) -> list[str]:
    """Fetch the wheels for a platform; returns what there is none of."""
    platform = PLATFORMS[name]
    asked, lacking = wanted(platform, version), []
    if name == "linux":  # the CPU build, never CUDA's, which is ten times as large
        asked = [f"{each}+cpu" if each.startswith("torch==") else each for each in asked]
    target = ["--python-version", version, "--implementation", "cp"]
    for abi in (f"cp{version.replace('.', '')}", "abi3", "none"):
        target += ["--abi", abi]
    for tag in platform.tags:
        target += ["--platform", tag]
    if name == "linux" and answers(f"{CPU_INDEX}/torch/"):
        target += ["--extra-index-url", CPU_INDEX]
    while asked:
        try:
            pip("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", into, *target, *asked)
            break
        except ValueError as error:
            found = MISSING.search(str(error))
            gone = [each for each in asked if found and re.split(r"[=<>!~+ ]", each)[0].lower() == found[1].lower()]
            if not gone:
                raise
            asked = [each for each in asked if each not in gone]
            lacking += [each for each in gone if not _made_here(each, into)]
    return lacking


def _made_here(requirement: str, into: Path) -> bool:
    """A package that comes as source alone: is what is built of it here good for every system?"""
    with tempfile.TemporaryDirectory() as place:
        try:
            pip("wheel", "--quiet", "--no-deps", "--wheel-dir", place, requirement)
        except ValueError:
            return False
        anywhere = list(Path(place).glob("*-none-any.whl"))
        for path in anywhere:
            shutil.copy(path, into)
        return bool(anywhere)


def answers(url: str, seconds: float = 4) -> bool:
    """Whether an address answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return True
    except (OSError, ValueError):
        return False


def _pages(made: Path) -> Iterator[str]:
    shutil.copy(PAGE, made / "canon_effect.html")
    yield "canon_effect.html: the page that trains in a browser tab"
    (made / "notebooks").mkdir()
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    for path in notebooks:
        shutil.copy(path, made / "notebooks")
    yield f"notebooks: {len(notebooks)}"
    book = PACKAGE.parent / "build" / "book"
    if (book / "index.html").is_file():
        shutil.copytree(book, made / "book", ignore=shutil.ignore_patterns(".doctrees", ".buildinfo"))
        yield "book: lessons, reference, glossary and ledger"
    else:
        yield "no book: `make book` in a checkout builds it"


def _texts(made: Path, platforms: Sequence[str], version: str, missing: Sequence[str]) -> None:
    """Starters and instructions."""
    minor, patch = int(version.split(".")[1]), least_patch(version)
    python = {"least": f"3, {minor}, {patch}", "next": f"3, {minor + 1}"}
    python["named"] = f"{version}.{patch} or a later {version}" if patch else version
    for name in platforms:
        starter = PLATFORMS[name].starter
        text = (WINDOWS if name == "windows" else UNIX).format(name=starter, version=version, asked=ASKED, **python)
        path = made / starter
        path.write_bytes(text.replace("\n", "\r\n").encode() if name == "windows" else text.encode())
        path.chmod(0o755)
    shutil.copy(Path(__file__).with_name("classroom.md"), made / "classroom.md")
    has_book = (made / "book").is_dir()
    book = "book/index.html is the book: lessons, reference, glossary, ledger.\n" if has_book else ""
    lacking = "Not in this bundle:\n" + "\n".join(f"  {line}" for line in missing) if missing else "Nothing is missing."
    notes = {"linux": "x86-64", "macos": "Apple silicon", "windows": "64 bits"}
    said = ", ".join(f"{name} ({notes[name]})" for name in platforms)
    (made / "README.txt").write_text(
        README.format(platforms=said, named=python["named"], book=book, missing=lacking),
        encoding="utf-8",
    )
