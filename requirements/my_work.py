"""Bring the notebooks into `my_work/`, where readers work on copies of their own, which git does not look at:

    python requirements/my_work.py

`make lab` does it each time. What a reader has changed is never overwritten: where the kit has a newer version of such a
notebook, that comes beside it, as `NAME.new.ipynb`. Only the standard library is used.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIVEN = ".given"  # the folder with the versions that were brought before


def bring(source: Path, work: Path) -> list[str]:
    """Bring every notebook of `source`; returns a line on each newer version that came beside a reader's own."""
    (work / GIVEN).mkdir(parents=True, exist_ok=True)
    said = []
    for path in sorted(source.glob("*.ipynb")):
        kit, own, given = path.read_bytes(), work / path.name, work / GIVEN / path.name
        before = given.read_bytes() if given.exists() else None
        if own.exists() and kit == before:
            continue
        target = own
        if own.exists() and own.read_bytes() not in (before, kit):
            target = own.with_suffix(".new.ipynb")
            said.append(f"{path.name} has a newer version: it is {target.name}, and yours stays as it is.")
        write(target, kit)
        write(given, kit)
    return said


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


if __name__ == "__main__":
    for line in bring(ROOT / "notebooks", ROOT / "my_work"):
        print(line)
