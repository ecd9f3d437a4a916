"""What a teacher reads: one hand-in exercise by exercise, or a class as a table, with the mistakes that are common."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from .checker import Report, Said, Status
from .confine import EVERYTHING

SIGNS: dict[Status, str] = {
    "right": "✓",
    "mistake": "✗",
    "wrong": "✗",
    "crashed": "!",
    "slow": "~",
    "stopped": "■",
    "open": "…",
}
WORDS: dict[Status, str] = {
    "right": "right",
    "mistake": "a usual mistake",
    "wrong": "not right yet",
    "crashed": "crashed",
    "slow": "too slow",
    "stopped": "stopped",
    "open": "not attempted",
}
COLUMNS = ("hand-in", "exercise", "status", "mistake", "said")


def hand_ins(path: Path) -> list[Path]:
    """The notebooks of a folder and of the folders in it; not the versions that Jupyter and `physlm lab` keep beside."""
    found = sorted(path.rglob("*.ipynb")) if path.is_dir() else [path]
    ours = [each for each in found if not {".ipynb_checkpoints", ".given"} & set(each.parts)]
    return [each for each in ours if not each.name.endswith(".new.ipynb")]


def one(report: Report) -> str:
    """A hand-in, a line or two an exercise."""
    if report.problem:
        return f"{report.name}: {report.problem}"
    lines = [f"{report.name}: {_count(report)}"]
    for said in report.exercises:
        more = f": {said.said}" if said.said else ""
        lines += f"  {SIGNS[said.status]} {said.exercise}: {WORDS[said.status]}{more}".replace("\n", "\n      ").split(
            "\n"
        )
    lines += [f"  · {note}" for note in report.notes]
    return "\n".join(lines)


def class_table(reports: Sequence[Report]) -> str:
    """A class: a line a hand-in, then the mistakes that more than one has made, then whom to look at first."""
    width = max((len(report.name) for report in reports), default=0)
    lines = [f"{report.name:{width}}  {_row(report)}" for report in reports]
    lines += ["", "  ".join(f"{sign} {WORDS[status]}" for status, sign in SIGNS.items() if status != "wrong")]
    told = [(said, report) for report in reports for said in report.exercises]
    common = Counter(f"{said.mistake} ({said.exercise})" for said, _ in told if said.mistake).most_common(8)
    if common:
        lines += ["", "mistakes, the most common first:", *(f"  {count} × {mistake}" for mistake, count in common)]
    stopped = [f"  {report.name}: {said.exercise}: {said.said}" for said, report in told if said.status == "stopped"]
    return "\n".join([*lines, *(["", "stopped:", *stopped] if stopped else [])])


def _row(report: Report) -> str:
    if report.problem:
        return report.problem
    return f"{''.join(SIGNS[said.status] for said in report.exercises):5} {_count(report)}{_mistakes(report.exercises)}"


def _count(report: Report) -> str:
    right = sum(said.status == "right" for said in report.exercises)
    return f"{right} of {len(report.exercises)} right"


def _mistakes(exercises: Sequence[Said]) -> str:
    named = [f"{said.exercise}: {said.mistake or WORDS[said.status]}" for said in exercises if needs_a_look(said)]
    return f"  ({'; '.join(named)})" if named else ""


def needs_a_look(said: Said) -> bool:
    """Was it attempted, and is not right?"""
    return said.status not in ("right", "open")


def guards(reports: Sequence[Report]) -> str:
    """What this system did not guard against, in a sentence; "" if nothing is missing."""
    missing = [what for what in EVERYTHING if any(what not in report.guarded for report in reports)]
    said = {
        "memory": "memory (looked at five times a second)",
        "files": "writing and reading files outside (only Python is asked)",
        "processes": "starting and ending processes (only Python is asked)",
        "network": "the network (only Python is asked)",
    }
    return (
        f"on this system nothing but these looks guards {', '.join(said[what] for what in missing)}" if missing else ""
    )


def to_csv(reports: Sequence[Report]) -> str:
    """A line an exercise; a text that a spreadsheet would take for a formula is marked as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_as_text(cell) for cell in line] for line in _lines(reports))
    return out.getvalue()


def _lines(reports: Sequence[Report]) -> Iterator[tuple[str, ...]]:
    for report in reports:
        if report.problem:
            yield report.name, "", "not readable", "", report.problem
        for said in report.exercises:
            yield report.name, said.exercise, said.status, said.mistake, said.said


def _as_text(cell: str) -> str:
    return f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell


def to_json(reports: Sequence[Report]) -> str:
    """The same as JSON."""
    return json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False)
