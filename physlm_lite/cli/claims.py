"""The verbs of the claims: carried out, shown, tried again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..base.printable import on_one_line
from .parser import Verb, a_file, a_folder, a_project

OF_SLURM = ("members", "time", "partition", "account", "dry_run")


def add_verbs(verb: Verb) -> None:
    replicate = verb(_replicate, "run a claim's experiment here and print its verdict", otherwise="text")
    replicate.add_argument(
        "claim", metavar="CLAIM", help="a claim's id (see `physlm ledger`), a file with your own, or all"
    )
    replicate.add_argument("--scale", help="smoke, toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")
    replicate.add_argument("--grid", action="store_true", help="walk the whole learning-rate grid anew")
    replicate.add_argument("--again", action="store_true", help="run even what your own records already hold")
    replicate.add_argument(
        "--into", metavar="FOLDER", type=a_folder, help="keep records there (default: your own, PHYSLM_RUNS)"
    )
    replicate.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time, each on one thread (default: a core each, at most 4)"
    )
    replicate.add_argument(
        "--plan", action="store_true", help="say only what it takes; with all: what the ledger lacks"
    )
    replicate.add_argument(
        "--slurm", action="store_true", help="with all: write an array of jobs that work side by side, and submit it"
    )
    replicate.add_argument("--members", type=int, metavar="N", help="with --slurm: how many (default: 4)")
    for name in ("time", "partition", "account"):
        replicate.add_argument(f"--{name}", metavar=name.upper(), help="with --slurm: as in physlm launch")
    replicate.add_argument("--dry-run", action="store_true", help="with --slurm: only print the job")
    replicate.add_argument(
        "--member", type=int, metavar="I", help="with all: be the Ith of several that share the folder's runs"
    )
    replicate.add_argument("--hours", type=float, metavar="H", help="with all: stop after so many hours")
    queue = verb(_queue, "what `physlm replicate all` is at, from another terminal", otherwise="text")
    queue.add_argument("--into", metavar="FOLDER", type=a_folder, help="the folder of its records (default: your own)")
    queue.add_argument("--stop", action="store_true", help="stop it; what was learnt is kept")
    ledger = verb(_ledger, "every claim with its verdict at each scale, from the records", otherwise="a table")
    ledger.add_argument("files", metavar="FILE", nargs="*", help="your own claims, to be shown as well")
    ledger.add_argument("--schema", action="store_true", help="print the JSON schema of what --json prints")
    for kind, about in (("html", "a page that needs no network"), ("csv", "a table, a line for each comparison")):
        add = f"write {about} (default: ledger.{kind})"
        ledger.add_argument(f"--{kind}", metavar="PATH", nargs="?", const=f"ledger.{kind}", type=a_file, help=add)
    about = "log the reported runs with trackio (default: physlm)"
    ledger.add_argument("--logbook", metavar="PROJECT", nargs="?", const="physlm", type=a_project, help=about)
    around = verb(_map, "where a claim turns: two options of its experiment on one grid", otherwise="text")
    around.add_argument("name", metavar="NAME", nargs="?", help="a map's name (default: all)")
    around.add_argument("--figure", metavar="PATH", type=a_file, help="draw it there, as a PNG")
    around.epilog = (
        "example: physlm map residual --figure residual.png; `physlm replicate all` carries out what is missing"
    )
    verify = verb(_verify, "carry out a recorded run again and compare it with its record")
    verify.add_argument("--record", metavar="ID", help="the run to carry out (default: the first reported one)")
    clock = verb(_clock, "time a training step of each side of a claim, to be compared at equal seconds")
    for added in (verify, clock):
        added.add_argument("claim", metavar="CLAIM", help="a claim's id, or a file with your own")
        added.add_argument("--scale", help="toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")


def _replicate(options: argparse.Namespace) -> int:
    from ..base.machine import available_cores
    from ..claims import find_claim, scale_of
    from ..lab.terminal import figure_of, plan_text, queue_in_terminal, replicate_in_terminal, report
    from ..training import runs_folder

    if options.claim == "all":
        if named := _given(options, "grid", "again", "json"):
            raise ValueError(f"--{named[0]} is for one claim, not for all")
        if options.slurm:
            return _slurm(options)
        if named := _given(options, *OF_SLURM):
            raise ValueError(f"--{named[0]} goes with --slurm")
        plan: dict[str, Any] = {"hours": options.hours, "only_plan": options.plan, "workers": options.workers}
        plan |= {"member": options.member}
        return min(queue_in_terminal(scale_of(options.scale), into=options.into, **plan), 1)
    if named := _given(options, "hours", "slurm", "member", *OF_SLURM):
        raise ValueError(f"--{named[0]} is for the queue: physlm replicate all")
    workers = min(4, available_cores()) if options.workers is None else options.workers
    the_claim, scale = find_claim(options.claim), scale_of(options.scale)
    if options.plan:
        print(plan_text(the_claim, scale))
        return 0
    outcome = replicate_in_terminal(
        the_claim, scale, walk=options.grid, again=options.again, into=options.into, workers=workers
    )
    figures = (options.into or runs_folder()) / "figures"
    if options.json:
        figure = figure_of(outcome, figures)
        print(json.dumps({**outcome.to_dict(), "figure": figure and str(figure)}, indent=2))
    else:
        print(report(outcome), flush=True)
        if figure := figure_of(outcome, figures):
            print(f"figure: {on_one_line(figure, 5000)}")
    return 0


def _given(options: argparse.Namespace, *names: str) -> list[str]:
    """Those of these options that stand on the command line."""
    return [
        name.replace("_", "-") for name in names if not any(getattr(options, name) is unset for unset in (None, False))
    ]


def _slurm(options: argparse.Namespace) -> int:
    from ..claims import scale_of
    from ..claims.reach import NEED_A_GPU
    from ..scale.launch import Crew, slurm_array, start_job, write_array
    from ..training import runs_folder

    given = {"members": options.members, "cpus": options.workers, "time": options.time}
    given |= {"partition": options.partition, "account": options.account}
    scale = scale_of(options.scale)
    asked = {name: value for name, value in given.items() if value is not None}
    crew = Crew(scale, options.into or runs_folder(), needs_gpu=scale in NEED_A_GPU, **asked)
    if options.dry_run:
        print(slurm_array(crew), end="")
        return 0
    path = write_array(crew)
    print(f"written: {on_one_line(path, 5000)} ({crew.members} members)", flush=True)
    return start_job("slurm", path)


def _queue(options: argparse.Namespace) -> None:
    from ..claims.queue import queue_status, stop_queue
    from ..lab.terminal import queue_report
    from ..training import runs_folder

    folder = options.into or runs_folder()
    status = queue_status(folder)
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        print(queue_report(status) if status else f"no queue is at work in {on_one_line(folder, 5000)}")
    if options.stop and stop_queue(folder) and not options.json:
        print("stopped; the same command goes on from here")


def _ledger(options: argparse.Namespace) -> None:
    from ..base.files import refuse_occupied
    from ..claims import find_claim
    from ..claims.ledger import SCHEMA, every, judged, ledger_csv, ledger_table, published
    from ..claims.logbook import log_records, logbook_package
    from ..claims.replicate import everything
    from ..lab.ledger_page import ledger_html

    if options.schema:
        print(json.dumps(SCHEMA, indent=1))
        return
    for path in filter(None, (options.html, options.csv)):  # what cannot be written is refused before all is read
        refuse_occupied(path, replace=True)
    if options.logbook:
        logbook_package()
    own = {file: find_claim(file) for file in options.files}
    store = everything()
    list(store)  # reads every record, so that one that cannot be used is named
    found = judged(every(own.values()), store)
    rows = [*(row for _, row in found), *published()]
    said = []
    if options.html:
        said.append(_write(options.html, ledger_html(found, store, {claim.id: file for file, claim in own.items()})))
    if options.csv:
        said.append(_write(options.csv, ledger_csv(rows)))
    if options.logbook:
        said.append(
            f"{log_records([outcome for outcome, _ in found], options.logbook)} runs, as trackio's {options.logbook}"
        )
    print(json.dumps(rows, indent=2) if options.json else "\n".join(said) or ledger_table(rows))


def _map(options: argparse.Namespace) -> None:
    from ..claims import everything
    from ..claims.phase_map import MAPS, map_table, phase_map

    if options.figure and not options.name:
        raise ValueError(f"--figure is for one map; name it: {', '.join(MAPS)}")
    asked, store = [phase_map(options.name)] if options.name else [*MAPS.values()], everything()
    if options.json:
        print(json.dumps([phase.to_dict(store) for phase in asked], indent=2))
    else:
        print("\n\n".join(map_table(phase, store) for phase in asked))
    if options.figure:
        from ..lab.maps import map_figure
        from ..lab.plots import save_figure

        save_figure(map_figure(asked[0], store), options.figure)


def _write(path: Path, text: str) -> str:
    """Write a whole file; returns its name and size, in words."""
    from ..base.files import write_whole

    content = text.encode()
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    return f"{on_one_line(path, 5000)}, {len(content) / 1e6:.1f} MB"


def _verify(options: argparse.Namespace) -> int:
    from ..claims import find_claim, scale_of
    from ..claims.verify import verify

    found = verify(find_claim(options.claim), scale_of(options.scale), options.record)
    print(found)
    return 0 if found.confirmed else 1


def _clock(options: argparse.Namespace) -> None:
    from ..claims import find_claim, scale_of
    from ..claims.clocks import measure_step_times

    times = measure_step_times(find_claim(options.claim).experiment(scale_of(options.scale)).at_hand)
    print("step_times:", json.dumps(times, ensure_ascii=False))
