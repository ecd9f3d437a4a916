"""The verbs of this machine: the page in a tab, the passport, the speed."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from ..base.printable import on_one_line
from .parser import Verb, a_folder


def add_verbs(verb: Verb) -> None:
    tab = verb(_tab, "the Canon effect in a browser tab: one page that trains, without a network")
    tab.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="write the page there (default: canon_effect.html)"
    )
    tab.add_argument("--open", action="store_true", help="open it in the browser; without FILE nothing is written")
    tab.add_argument("--force", action="store_true", help="take the place of a FILE that exists")
    lab = verb(_lab, "your own copies of the notebooks, and JupyterLab on the first of them")
    lab.add_argument(
        "folder", metavar="DIR", nargs="?", type=a_folder, default=Path("my_work"), help="(default: my_work)"
    )
    lab.add_argument("--no-open", action="store_true", help="bring the copies, and no more")
    lab.add_argument(
        "--diff", metavar="NAME", help="print what your copy of a notebook has otherwise than the kit's version"
    )
    lab.epilog = "example: physlm lab; physlm lab --diff 03"
    verb(_doctor, "look at what usually goes wrong here, and say the remedy", otherwise="a list")
    verb(_passport, "what matters about this machine, to paste into a bug report")
    bench = verb(_bench, "measure speed on this machine, as ratios within one run", otherwise="a table")
    bench.add_argument("--quick", action="store_true", help="fewer repeats: a look, not a measurement")
    bench.add_argument("--memory", action="store_true", help="only what the planner says of memory, tried again")
    about = (
        "only what a GPU alone can tell, in at most eight minutes; without one it is tried at small size, unmeasured"
    )
    bench.add_argument("--gpu", action="store_true", help=about)


def _tab(options: argparse.Namespace) -> None:
    from ..tab import PAGE, write_page

    path = options.file or (PAGE if options.open else Path("canon_effect.html"))
    if path != PAGE:
        write_page(path, replace=options.force)
        print(f"written: {on_one_line(path, 5000)}")
    if options.open:
        import webbrowser

        if not webbrowser.open(path.resolve().as_uri()):
            raise ValueError(f"there is no browser to open here; carry {path} to a machine that has one")


def _lab(options: argparse.Namespace) -> int | None:
    from ..lab.copies import NOTEBOOKS, bring, difference

    if options.diff is not None:
        print(difference(options.folder, options.diff) or "the same, but for outputs")
        return None
    for line in bring(options.folder):
        print(line)
    first = options.folder / min(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    if options.no_open:
        print(f"your copies are in {on_one_line(options.folder, 5000)}; begin with {first.name}")
        return None
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed here; `pip install 'physlm_lite[lab]'` brings it")
    # so that `physlm` is found in the terminals and cells of this JupyterLab
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(first)], env={**os.environ, "PATH": path})


def _doctor(options: argparse.Namespace) -> int:
    from ..lab.doctor import doctor, to_json

    found = doctor()
    print(to_json(found) if options.json else "\n".join(map(str, found)))
    return int(any(finding.word == "problem" for finding in found))


def _passport(options: argparse.Namespace) -> None:
    from ..base.machine import format_passport

    print(format_passport())


def _bench(options: argparse.Namespace) -> None:
    from ..bench import bench, bench_table

    if options.memory:
        from ..bench.memory import bench_memory
        from ..scale.plan import measured_table

        lines = bench_memory(options.quick)
        print(json.dumps(lines, indent=2) if options.json else measured_table(lines))
        return
    if options.gpu:
        from ..bench.gpu import bench_gpu, gpu_table

        found = bench_gpu()
        print(json.dumps(found, indent=2) if options.json else gpu_table(found))
        return
    results = bench(quick=options.quick)
    print(json.dumps(results, indent=2) if options.json else bench_table(results))
