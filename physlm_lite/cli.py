"""The `physlm` command: each verb is one call into the library."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .base.printable import printable
from .base.strict import unknown
from .data.sample import add_arguments, run

VERBS = ("replicate", "ledger", "sample", "passport", "bench")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what the user can mend, with one sentence on standard error)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):  # not every console has every character that we print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        if not arguments[0].startswith("-") and arguments[0] not in VERBS:
            raise unknown("verb", arguments[0], VERBS)  # argparse would not name the nearest one
        return _carry_out(parser.parse_args(arguments))
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        print(
            "physlm: stopped; finished runs are kept, and the same command (without --again) goes on from here",
            file=sys.stderr,
        )
        return 130


def _carry_out(options: argparse.Namespace) -> int:
    from .training import StorageError, TooLarge

    try:
        options.verb(options)
        sys.stdout.flush()
        return 0
    except (StorageError, TooLarge) as error:
        return _complain(error)


def _complain(error: Exception) -> int:
    print(f"physlm: {printable(error)}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="physlm", description="Teaching and replication kit for Physics of Language Models."
    )
    parser.add_argument("--version", action="version", version=f"physlm {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    replicate = verbs.add_parser("replicate", help="run a claim's experiment here and print its verdict")
    replicate.add_argument("claim", metavar="CLAIM", help="a claim's id; `physlm ledger` lists them")
    replicate.add_argument("--scale", help="smoke, toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")
    replicate.add_argument("--grid", action="store_true", help="walk the whole learning-rate grid anew")
    replicate.add_argument("--again", action="store_true", help="run even what your own records already hold")
    replicate.add_argument(
        "--into", metavar="FOLDER", type=Path, help="keep records there (default: your own, PHYSLM_RUNS)"
    )
    replicate.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time, each on one thread (default: a core each, at most 4)"
    )
    replicate.add_argument("--json", action="store_true", help="print JSON instead of text")
    replicate.set_defaults(verb=_replicate)

    ledger = verbs.add_parser("ledger", help="every claim with its verdict at each scale, from the records")
    ledger.add_argument("--json", action="store_true", help="print JSON instead of a table")
    ledger.set_defaults(verb=_ledger)

    sample = verbs.add_parser("sample", help="rows of a task, to look at or to take away")
    add_arguments(sample)
    sample.set_defaults(verb=_sample)

    passport = verbs.add_parser("passport", help="what matters about this machine, to paste into a bug report")
    passport.set_defaults(verb=_passport)

    bench = verbs.add_parser("bench", help="measure speed on this machine, as ratios within one run")
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")
    bench.add_argument("--quick", action="store_true", help="fewer repeats: a look, not a measurement")
    bench.set_defaults(verb=_bench)
    return parser


def _replicate(options: argparse.Namespace) -> None:
    from .base.machine import available_cores
    from .claims import claim, scale_of
    from .lab.terminal import replicate_in_terminal

    workers = min(4, available_cores()) if options.workers is None else options.workers
    the_claim, scale = claim(options.claim), scale_of(options.scale)
    outcome, figure = replicate_in_terminal(
        the_claim, scale, walk=options.grid, again=options.again, into=options.into, workers=workers
    )
    if options.json:
        print(json.dumps({**outcome.to_dict(), "figure": str(figure)}, indent=2))
    else:
        from .lab.terminal import report

        print(report(outcome))
        print(f"figure: {figure}")


def _ledger(options: argparse.Namespace) -> None:
    from .claims.ledger import ledger, ledger_table

    rows = ledger()
    print(json.dumps(rows, indent=2) if options.json else ledger_table(rows))


def _sample(options: argparse.Namespace) -> None:
    text = run(options)
    if text is not None:
        print(printable(text))


def _passport(options: argparse.Namespace) -> None:
    from .base.machine import format_passport

    print(format_passport())


def _bench(options: argparse.Namespace) -> None:
    from .bench import bench, bench_table

    results = bench(quick=options.quick)
    print(json.dumps(results, indent=2) if options.json else bench_table(results))


if __name__ == "__main__":
    sys.exit(main())
