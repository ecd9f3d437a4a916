"""How far a reader has come: which exercises are right, kept in a small file beside the records. Nobody else is told."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..base.files import StorageError, locked, write_json
from ..base.strict import Count, build, shown, verify
from ..training import runs_folder
from .copies import NOTEBOOKS

FORMAT = 1
CHECKED = re.compile(r"^check\(\"(\w+)\"", re.MULTILINE)


@dataclass(frozen=True)
class Attempts:
    """At one exercise: whether one was right, how many there were, and the usual mistake of the last ("" for none)."""

    right: bool = False
    tries: Count = 1
    mistake: str = ""

    def __post_init__(self) -> None:
        verify(self)


def progress_file() -> Path:
    """Beside the folder of the records."""
    return runs_folder().with_name("progress.json")


def attempts(path: Path | None = None) -> dict[str, Attempts]:
    """The attempts at each exercise so far; ValueError with one sentence if the file is not whole."""
    path = path or progress_file()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping) or content.keys() != {"format", "exercises"} or content["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT} and exercises, not {shown(content)}")
        return {name: build(Attempts, each) for name, each in content["exercises"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        said = str(error).split("\n")[0]
        raise ValueError(
            f"{path} cannot be read ({said}); it stays as it is: mend it, or remove it to begin anew"
        ) from None


def note(name: str, right: bool, mistake: str = "", path: Path | None = None) -> None:
    """Add an attempt. A file that cannot be read or written is left alone: an exercise does not fail because of it."""
    path = path or progress_file()
    with contextlib.suppress(OSError, StorageError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(50):  # another notebook may be at it
            with locked(path.with_name(f"{path.name}.lock")) as held:
                if held is not False:
                    every = attempts(path)
                    before = every.get(name)
                    tries = before.tries + 1 if before else 1
                    every[name] = Attempts(right or bool(before and before.right), tries, "" if right else mistake)
                    exercises: dict[str, Any] = {each: asdict(one) for each, one in sorted(every.items())}
                    write_json(path, {"format": FORMAT, "exercises": exercises})
                    return
            time.sleep(0.02)


def note_where_somebody_is(name: str, status: str, mistake: str | None) -> None:
    """`note`, for a reader at a notebook and an attempt; a test, a build and a checker leave no trace."""
    if status == "open" or "IPython" not in sys.modules:
        return
    from .show import someone_is_there

    if someone_is_there():
        note(name, status == "passed", mistake or "")


def exercises_of(folder: Path = NOTEBOOKS) -> dict[str, list[str]]:
    """The exercises of each notebook, by its title."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        names = [
            name for cell in cells if cell["cell_type"] == "code" for name in CHECKED.findall("".join(cell["source"]))
        ]
        if names:
            found["".join(cells[0]["source"]).splitlines()[0].lstrip("# ")] = names
    return found


def progress() -> Any:
    """The card of a reader: where which exercise is right, tried or open. It is drawn from a file on this machine alone."""
    from .page import stacked, table, text

    try:
        done = attempts()
    except ValueError as error:
        return text(str(error))
    every = exercises_of()
    begun = {title: names for title, names in every.items() if any(name in done for name in names)}
    rows = [(title, *_row([(name, done.get(name)) for name in names])) for title, names in begun.items()]
    right = sum(name in done and done[name].right for names in every.values() for name in names)
    total = sum(map(len, every.values()))
    said = f"{right} of {total} exercises are right, in {len(begun)} of {len(every)} notebooks you have begun."
    kept = "What is right is kept beside your records, on this machine alone."
    if not begun:
        return text(f"No exercise is attempted yet. {kept}")
    return stacked(text(said), table(("notebook", "right", "exercises"), rows), text(kept))


def _row(exercises: list[tuple[str, Attempts | None]]) -> tuple[str, str]:
    def one(name: str, tried: Attempts | None) -> str:
        if tried is None:
            return f"… {name}"
        return f"✓ {name}" if tried.right else f"✗ {name}" + (f" ({tried.mistake})" if tried.mistake else "")

    right = sum(tried is not None and tried.right for _, tried in exercises)
    return f"{right} of {len(exercises)}", ", ".join(one(*each) for each in exercises)
