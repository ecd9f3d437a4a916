"""A reader's own copies of the notebooks: never overwritten, newer versions beside what was changed."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from ..base.files import write_whole
from ..base.strict import choose

PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel they lie inside the package, in a checkout beside it.
NOTEBOOKS = next(
    (folder for folder in (PACKAGE / "notebooks", PACKAGE.parent / "notebooks") if folder.is_dir()),
    PACKAGE / "notebooks",
)
GIVEN = ".given"  # the folder with the versions that were brought before


def bring(work: Path, source: Path = NOTEBOOKS) -> list[str]:
    """Bring every notebook of `source` into `work`; returns a line on each newer version that came beside a reader's own.

    What a reader has changed stays so, and what was deleted comes again; where the kit has a newer version of a notebook that
    was changed, it comes as `NAME.new.ipynb`. ValueError if `work` is where the notebooks come from.
    """
    if work.resolve() == source.resolve():
        raise ValueError(f"{work} is where the notebooks come from; name another folder for your own copies")
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
            said.append(f"{path.name} has a newer version: it is {target.name}, and yours stays as it is")
        for place in (target, given):
            write_whole(place, lambda part, kit=kit: part.write_bytes(kit))  # type: ignore[misc]
    return said


def difference(work: Path, name: str) -> str:
    """What a reader's copy has otherwise than the kit's version, cell by cell as unified text; outputs do not count.

    name: of a notebook, or how it begins. ValueError for one that is not there.
    """
    theirs = {path.stem: path for path in sorted(work.glob("*.ipynb")) if not path.name.endswith(".new.ipynb")}
    found = [stem for stem in theirs if stem.startswith(Path(name).stem)]
    own = theirs[found[0]] if found else choose("notebook", Path(name).stem, theirs)
    stem = own.stem
    kit, mine = _text(NOTEBOOKS / own.name), _text(own)
    return "\n".join(difflib.unified_diff(kit, mine, f"{stem} of the kit", f"{stem} of yours", lineterm=""))


def _text(path: Path) -> list[str]:
    """The cells of a notebook as lines of a percent script."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        lines = [
            line
            for cell in cells
            for line in (f"# %% [{cell['cell_type']}]", *"".join(cell["source"]).splitlines(), "")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no notebook that can be read ({type(error).__name__})") from None
    return lines
