"""The verbs of whoever teaches: hand-ins are checked."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parser import Verb, a_file


def add_verbs(verb: Verb) -> None:
    check = verb(_check, "check learners' notebooks: each exercise right, open, or which mistake it makes", "a report")
    check.add_argument("notebooks", metavar="NOTEBOOK", nargs="+", type=Path, help="notebooks, or folders of them")
    check.add_argument("--csv", metavar="FILE", type=a_file, help="write the table there, too")
    check.add_argument("--seconds", type=float, default=10.0, metavar="N", help="for each exercise (default: 10)")
    check.epilog = (
        "example: physlm check class/ --csv class.csv. What is carried out, and guarded against: docs/classroom.md"
    )


def _check(options: argparse.Namespace) -> int:
    from ..base.files import write_whole
    from ..classroom import reports
    from ..classroom.checker import Checker, Limits, Report

    if not 0.1 <= options.seconds <= 600:
        raise ValueError(f"--seconds must be from 0.1 to 600, not {options.seconds:g}")
    found: list[Report] = []
    single = len(options.notebooks) == 1 and options.notebooks[0].is_file()
    with Checker(
        Limits(exercise=options.seconds), secret=[path for path in options.notebooks if path.is_dir()]
    ) as checker:
        for path in options.notebooks:
            if not path.exists():
                raise ValueError(f"there is no {path}")
            for notebook in reports.hand_ins(path):
                name = str(notebook.relative_to(path)) if path.is_dir() else str(notebook)
                found.append(checker.check(notebook, name))
    if not found:
        raise ValueError(f"there is no notebook in {', '.join(map(str, options.notebooks))}")
    print(reports.to_json(found) if options.json else reports.one(found[0]) if single else reports.class_table(found))
    if not options.json and (unguarded := reports.guards(found)):
        print(f"\n{unguarded}")
    if options.csv:
        write_whole(options.csv, lambda part: part.write_bytes(b"\xef\xbb\xbf" + reports.to_csv(found).encode()))
    return int(any(reports.needs_a_look(said) for report in found for said in report.exercises))
