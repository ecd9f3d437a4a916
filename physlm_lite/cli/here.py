"""The verbs of this machine: the page in a tab, the passport, the speed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..base.printable import on_one_line
from .parser import Verb


def add_verbs(verb: Verb) -> None:
    tab = verb(_tab, "the Canon effect in a browser tab: one page that trains, without a network")
    tab.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="write the page there (default: canon_effect.html)"
    )
    tab.add_argument("--open", action="store_true", help="open it in the browser; without FILE nothing is written")
    tab.add_argument("--force", action="store_true", help="take the place of a FILE that exists")
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
