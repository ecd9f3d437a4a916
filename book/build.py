"""Build the book: all notebooks, the reference of the library, the glossary, the tab page and the ledger, as a static site.

    python book/build.py                      into build/book
    python book/build.py --into DIR 02 03     only some notebooks, elsewhere

Sphinx does it, with MyST-NB and the theme Furo; no page needs a network. Every link is checked: a warning is an error.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
STATIONS = ("base", "tasks", "models", "data", "evaluation", "training", "claims", "scale", "lab", "classroom")
TAB, QUESTION = "../docs/index.html", "../docs/tab_question.png"


def gather(source: Path, only: Sequence[str] = (), stations: Sequence[str] = STATIONS) -> None:
    """Put all that Sphinx reads into one folder."""
    shutil.copy(BOOK / "conf.py", source)
    shutil.copy(BOOK / "index.md", source)
    for folder in ("notebooks", "api", "_static", "_extra"):
        (source / folder).mkdir()
    shutil.copy(BOOK / "book.css", source / "_static")
    shutil.copy(ROOT / "docs" / "tab_question.png", source / "_static")
    shutil.copy(ROOT / "docs" / "index.html", source / "_extra" / "tab.html")
    shutil.copy(ROOT / "notebooks" / "glossary.md", source / "notebooks")
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))
    chosen = [path for path in paths if not only or path.name.startswith(tuple(only))]
    if not chosen:
        raise SystemExit(f"no notebook begins with {' or '.join(only)}")
    for path in chosen:
        nbformat.write(as_page(nbformat.read(path, 4), {one.name for one in chosen}), source / "notebooks" / path.name)
    for name, text in api_pages(stations).items():
        (source / "api" / f"{name}.md").write_text(text, encoding="utf-8")


def as_page(notebook: nbformat.NotebookNode, there: set[str]) -> nbformat.NotebookNode:
    """A notebook for the book: the tab page is beside it, and links to notebooks that are left out are no links."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            if cell.metadata.get("jupyter", {}).get("source_hidden"):
                cell.metadata.setdefault("tags", []).append("hide-input")
            continue
        picture = rf"\[!\[([^\]]*)\]\({re.escape(QUESTION)}\)\]\({re.escape(TAB)}\)"
        cell.source = re.sub(
            picture, r'<a href="../tab.html"><img src="../_static/tab_question.png" alt="\1"></a>', cell.source
        )
        cell.source = re.sub(rf"\[([^\]]*)\]\({re.escape(TAB)}\)", r'<a href="../tab.html">\1</a>', cell.source)
        cell.source = re.sub(r"\[([^\]]+)\]\((\w+\.ipynb)\)", lambda m: m[0] if m[2] in there else m[1], cell.source)
    return notebook


def api_pages(stations: Sequence[str]) -> dict[str, str]:
    """A page for each station of the library, with every module that has something public."""
    import physlm_lite

    pages = {}
    for station in stations:
        folder = Path(physlm_lite.__file__).parent / station
        modules = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]
        parts = [f"# {station}\n"]
        for path in modules:
            name = f"physlm_lite.{station}.{path.stem}"
            parts.append(f"## {path.stem}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n")
        pages[station] = "\n".join(parts)
    entries = "\n".join(stations)
    pages["index"] = (
        f"# The library\n\nEverything follows the way that data takes.\n\n```{{toctree}}\n\n{entries}\n```\n"
    )
    return pages


def build(into: Path, only: Sequence[str] = (), stations: Sequence[str] = STATIONS) -> int:
    """Write the book; returns the exit status, which is not 0 if anything was to be warned of."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        gather(source, only, stations)
        page = source / "_extra" / "ledger.html"
        subprocess.run(
            [sys.executable, "-m", "physlm_lite.cli", "ledger", "--html", str(page)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        command = [
            sys.executable,
            "-m",
            "sphinx",
            "-b",
            "html",
            "-W",
            "--keep-going",
            "-q",
            "-d",
            str(source / ".doctrees"),
        ]
        return subprocess.run([*command, str(source), str(into)]).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="beginnings of notebooks' names, such as 02")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "book")
    options = parser.parse_args()
    status = build(options.into.absolute(), options.only)
    if status == 0:
        print(f"the book begins at {options.into / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
