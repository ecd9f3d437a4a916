"""The verbs of whoever teaches: hand-ins are checked, a room without a network is equipped, one machine serves many."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import re
from pathlib import Path

from .parser import Verb, a_file, a_folder, some_names


def add_verbs(verb: Verb) -> None:
    check = verb(_check, "check learners' notebooks: each exercise right, open, or which mistake it makes", "a report")
    check.add_argument("notebooks", metavar="NOTEBOOK", nargs="+", type=Path, help="notebooks, or folders of them")
    check.add_argument("--csv", metavar="FILE", type=a_file, help="write the table there, too")
    check.add_argument("--seconds", type=float, default=10.0, metavar="N", help="for each exercise (default: 10)")
    check.epilog = (
        "example: physlm check class/ --csv class.csv. What is carried out, and guarded against: docs/classroom.md"
    )
    room = verb(_classroom, "a bundle for a room without a network, or one machine for many browsers")
    room.set_defaults(room=None)
    rooms = room.add_subparsers(metavar="ACTION")
    carried = rooms.add_parser("bundle", help="a folder to carry: wheels, notebooks, pages, starters and instructions")
    carried.add_argument("folder", metavar="DIR", nargs="?", type=a_folder, default=Path("physlm-classroom"))
    carried.add_argument("--platforms", type=some_names, default=[], metavar="LIST", help="of linux,macos,windows")
    carried.add_argument("--python", default="", metavar="X.Y", help="version on the machines (default: as here)")
    carried.add_argument(
        "--wheel", type=Path, metavar="FILE", help="the kit's wheel (default: built from the checkout)"
    )
    carried.add_argument(
        "--no-wheels", action="store_true", help="leave out the packages of others: a look at the rest"
    )
    carried.set_defaults(room=_bundle)
    served = rooms.add_parser("serve", help="a JupyterLab for each learner, with a folder and a token of their own")
    served.add_argument("folder", metavar="DIR", nargs="?", type=a_folder, default=Path("learners"))
    served.add_argument(
        "--names", type=some_names, default=["learner"], metavar="LIST", help="of the learners, as ada,bob"
    )
    served.add_argument("--host", default="127.0.0.1", help="whom to listen to (default: this machine alone)")
    served.add_argument("--port", type=int, default=8900, metavar="N", help="the first one (default: 8900)")
    served.add_argument(
        "--kernels", type=int, default=2, metavar="N", help="notebooks a learner may run at a time (default: 2)"
    )
    served.add_argument(
        "--idle", type=int, default=1800, metavar="SECONDS", help="until an unused kernel ends (default: 1800)"
    )
    served.set_defaults(room=_serve)
    room.epilog = "example: physlm classroom bundle --platforms linux,windows; physlm classroom serve --names ada,bob"


def _classroom(options: argparse.Namespace) -> int | None:
    if options.room is None:
        raise ValueError("physlm classroom needs bundle or serve; see `physlm classroom --help`")
    return options.room(options)


def _bundle(options: argparse.Namespace) -> None:
    import sys

    from ..base.strict import choose
    from ..classroom.bundle import PLATFORMS, bundle

    here = {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")
    names = options.platforms or [here]
    for name in names:
        choose("platform", name, PLATFORMS)
    if options.python and not re.fullmatch(r"3\.\d+", options.python):
        raise ValueError(f"--python must be a version such as 3.11, not {options.python}")
    for line in bundle(options.folder, names, options.wheel, options.python, fetch=not options.no_wheels):
        print(line, flush=True)


def _serve(options: argparse.Namespace) -> None:
    from ..classroom.serve import class_list, is_loopback, room_for, seats, serve

    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed here; `pip install 'physlm_lite[lab]'` brings it")
    for name, least in (("kernels", 1), ("idle", 10), ("port", 1)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}, not {getattr(options, name)}")
    print(room_for(len(options.names)))
    if not is_loopback(options.host):
        print("others can reach this, and nothing is encrypted: only in a network that you trust")
    found = seats(options.folder, options.names, options.host, options.port)
    print(f"{class_list(found)}\nCtrl-C ends them all", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        serve(found, idle=options.idle, kernels=options.kernels)
    print("all servers and kernels are ended; the folders stay")


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
