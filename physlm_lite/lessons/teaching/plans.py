"""Plans, answers and what each cell shows, read from the notebooks themselves, so that they cannot go stale."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from itertools import pairwise
from pathlib import Path

from ...base.printable import escaped
from ...lab.copies import NOTEBOOKS
from ...lab.doctor import REMEDIES
from ...lab.page import Block, behind, stacked, table, text

TAKES = re.compile(r"about (\d+) minutes, and (\d+) for the exercises")
SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)```\n?(.*?)</details>", re.DOTALL)
EXERCISE = re.compile(r"^\*\*(\d+ · .+?)\*\* \((\d+) minutes", re.MULTILINE)
PICTURE = re.compile(r"<img[^>]+alt=\"([^\"]+)\"")
TALK, BREAK = 5, 10  # minutes: to begin and to end with; in the middle of what is longer than 90

MACHINES_OWN = {"passport_card()": "versions and memory of this machine"}

READ, DO = "read and run", "exercises"
Part = tuple[str, str]
# What is done in which order; the minutes are the notebooks' own.
LESSONS: dict[int, tuple[Part, ...]] = {
    45: (("00", READ), ("00", DO)),
    90: (("00", READ), ("00", DO), ("02", READ), ("03", READ)),
    180: (("00", READ), ("00", DO), ("02", READ), ("02", DO), ("03", READ), ("03", DO), ("13", READ)),
}
COURSE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the layer", ("00", "01", "02", "02b")),
    ("five clean tasks", ("03", "04", "05", "06", "07")),
    ("what matters in it", ("08", "09", "10", "13")),
    ("linear models, real text, scale", ("11", "12", "14", "15")),
)


@dataclass(frozen=True)
class Notebook:
    """What a notebook says of itself."""

    number: str
    title: str
    reading: int
    exercises: int
    path: Path


@cache
def notebooks(folder: Path = NOTEBOOKS) -> dict[str, Notebook]:
    """The notebooks by their numbers, with the minutes of their headers."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        head = "".join(_cells(path)[0]["source"])
        takes = TAKES.search(head)
        number = path.stem.partition("_")[0]
        if takes and number != "99":
            title = head.splitlines()[0].partition("·")[2].strip()
            found[number] = Notebook(number, title, int(takes[1]), int(takes[2]), path)
    return found


@cache
def _cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def plan(minutes: int) -> list[tuple[int, str]]:
    """A lesson of so many minutes: when each part begins, and what it is; the last line is the end.

    ValueError for one that does not fit any more, since a notebook has grown.
    """
    now, lines = 0, [(0, "the tab page on the wall, the question, everybody's guess")]
    now += TALK
    known = notebooks()
    for number, what in LESSONS[minutes]:
        one = known[number]
        lines.append((now, f"{number} · {one.title} ({what})"))
        now += one.reading if what == READ else one.exercises
        if now >= 80 and not any("break" in said for _, said in lines) and minutes > 90:
            lines.append((now, "a break"))
            now += BREAK
    if now + TALK > minutes:
        raise ValueError(f"the plan for {minutes} minutes takes {now + TALK}: a notebook has grown, take a part out")
    lines.append((now, "the class page: thirty results, one picture; who guessed right?"))
    return [*lines, (minutes, "the end")]


def plan_table(minutes: int) -> Block:
    """The plan as a table."""
    lines = plan(minutes)
    rows = [(f"{begin}", f"{end - begin} min", said) for (begin, said), (end, _) in pairwise(lines)]
    return stacked(text(f"{minutes} minutes"), table(("at", "takes", "what"), rows))


def course_table() -> Block:
    """Four weeks: what is read together, and what is left to do alone."""
    known = notebooks()
    rows = []
    for week, (about, numbers) in enumerate(COURSE, 1):
        reading = sum(known[number].reading for number in numbers)
        alone = sum(known[number].exercises for number in numbers)
        rows.append((f"week {week}: {about}", ", ".join(numbers), _hours(reading), _hours(alone)))
    return table(("", "notebooks", "together", "exercises, alone"), rows)


def _hours(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60:02d} min"


def answers(number: str) -> Block:
    """The exercises of a notebook with their solutions, folded."""
    one = notebooks()[number]
    source = "\n".join("".join(cell["source"]) for cell in _cells(one.path))
    titles, solutions = EXERCISE.findall(source), SOLUTION.findall(source)
    pieces = []
    for (title, minutes), (code, remark) in zip(titles, solutions, strict=True):
        said = f"{code.rstrip()}" + (f"\n\n{remark.strip()}" if remark.strip() else "")
        pieces.append(behind(f"{title} ({minutes} min)", _code(said)))
    return behind(f"{number} · {one.title}: {len(pieces)} exercises", *pieces)


def _code(said: str) -> Block:
    look = "font-family:monospace;font-size:12px;line-height:1.35;margin:2px 0 8px 0"
    return Block(f'<pre style="{look}">{escaped(said)}</pre>', said)


def shown_by(number: str) -> Block:
    """What each cell of a notebook should show, read from its stored outputs, folded."""
    rows = list(_shown(notebooks()[number]))
    return behind(
        f"{number} · {notebooks()[number].title}: {len(rows)} cells", table(("under", "the cell", "shows"), rows)
    )


def _shown(one: Notebook) -> Iterator[tuple[str, str, str]]:
    heading = ""
    for cell in _cells(one.path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = next(
                (line.lstrip("# ") for line in reversed(source.splitlines()) if line.startswith("#")), heading
            )
            continue
        name = _name(source)
        seen = list(dict.fromkeys(filter(None, (_said(output) for output in cell["outputs"]))))
        if seen:
            yield heading, _cut(name, 60), MACHINES_OWN.get(name) or _cut("; ".join(seen), 150)


def _name(source: str) -> str:
    """A cell by the line with which its last statement begins."""
    last = ast.parse(source).body[-1]
    return source.splitlines()[last.lineno - 1].strip()


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else said[: most - 2].rstrip() + " …"


def _said(output: dict) -> str:
    page = "".join(output.get("data", {}).get("text/html", ""))
    if pictures := PICTURE.findall(page):
        return "a picture: " + "; ".join(map(unescape, pictures))
    lines = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "")).strip().splitlines()
    if not lines or lines[0].startswith("<"):
        return ""
    return "that the exercise is not attempted yet" if lines[0].startswith("CheckResult(") else lines[0]


# What a teacher hears, by the look of `physlm doctor` that finds the reason.
HEARD: dict[str, Sequence[str]] = {
    "memory": ("the kernel dies while it trains", "everything has become slow"),
    "port": ("the browser says that it cannot connect",),
    "browser": ("nothing opens",),
    "kernel": ("“No module named physlm_lite” in a notebook, and not in the terminal",),
    "records": ("nothing is found again after a restart", "“could not write”"),
    "text": ("lesson 14 says that it has no text",),
    "command": ("the terminal does not know physlm",),
}
IN_THE_ROOM = (
    ("a live cell says “stopped”", "press “Go on”: it continues from exactly there"),
    ("the picture does not move", "run the cell: a saved notebook shows stills"),
    (
        "two neighbours have the same curves to the digit",
        "that is right: a run is named by its seed; give each another number",
    ),
    ("a seed fails where all others get there", "keep it: it is what this lesson is about"),
    ("“exercise … is not attempted yet”", "the three dots are still in the cell; replace them, run it again"),
    ("a check was right and is wrong now", "an earlier cell changed a name: Kernel → Restart and Run All"),
)


def trouble_table() -> Block:
    """What goes wrong in a room, and the remedy; those of the machine are the doctor's own."""
    rows = [(said, REMEDIES[look]) for look, every in HEARD.items() for said in every]
    return table(("you hear", "you say"), [*IN_THE_ROOM, *rows])
