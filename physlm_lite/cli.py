"""The `physlm` command: each verb is one call into the library."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .base.printable import on_one_line
from .base.strict import shown, unknown
from .data.sample import add_arguments, run

VERBS = ("replicate", "ledger", "sample", "passport", "bench")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what the user can mend, with one sentence on standard error)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stderr is None:  # closed by whoever started us; print() would take standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        return _complain("standard output is closed, so nothing can be printed; send it to a file or to /dev/null")
    for stream in (sys.stdout, sys.stderr):  # not every console has every character that we print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        with _told(), _ended_in_order():
            if arguments[0] not in (known := (*VERBS, "--help", "-h", "--version")):
                raise unknown("verb", arguments[0], known)  # argparse would not name the nearest one
            options, rest = parser.parse_known_args(arguments)
            if rest:
                raise _left_over(rest[0], options.parser)
            options.verb(options)
            sys.stdout.flush()
            return 0
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        _let_go()
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(__package__ or ""):
            raise
        return _complain(f"this needs the package {error.name}; install it, or all: pip install 'physlm_lite[lab]'")
    except (OSError, ValueError, MemoryError) as error:
        return _complain(error)
    except KeyboardInterrupt as stop:
        _complain("stopped; finished runs are kept, and the same command (without --again) goes on from here")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)


def _complain(what: object) -> int:
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            _let_go()
    if isinstance(what, OSError) and what.strerror and what.filename:
        what = f"{what.filename}: {what.strerror}"
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(f"physlm: {on_one_line(str(what) or type(what).__name__)}", file=sys.stderr, flush=True)
    return 2


def _let_go() -> None:
    """Standard output takes no more: what is left for it goes nowhere, instead of failing once more at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Telling(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(f"physlm: {on_one_line(record.getMessage())}", file=sys.stderr)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the library has to say meanwhile goes to standard error, a line each."""
    log, handler = logging.getLogger(__package__), _Telling()
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
            yield
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, end the work as Ctrl-C does; those that are ignored stay ignored."""

    def end(number: int, _: Any) -> NoReturn:
        raise KeyboardInterrupt(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        numbers = []
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] == signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- arguments ---------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """One that complains in one sentence, and takes no option for another that begins alike."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see `{self.prog} --help`")


def _left_over(argument: str, parser: argparse.ArgumentParser) -> ValueError:
    """The error for the first argument that a verb does not know."""
    if not argument.startswith("-"):
        return ValueError(f"{shown(argument)} is one argument too many; see `{parser.prog} --help`")
    return unknown(f"option of {parser.prog}", argument, [name for a in parser._actions for name in a.option_strings])


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it must name a folder")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="physlm", description="Teaching and replication kit for Physics of Language Models.")
    parser.add_argument("--version", action="version", version=f"physlm {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    replicate = verbs.add_parser("replicate", help="run a claim's experiment here and print its verdict")
    replicate.add_argument("claim", metavar="CLAIM", help="a claim's id; `physlm ledger` lists them")
    replicate.add_argument("--scale", help="smoke, toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")
    replicate.add_argument("--grid", action="store_true", help="walk the whole learning-rate grid anew")
    replicate.add_argument("--again", action="store_true", help="run even what your own records already hold")
    replicate.add_argument(
        "--into", metavar="FOLDER", type=_folder, help="keep records there (default: your own, PHYSLM_RUNS)"
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
    from .lab.terminal import figure_of, replicate_in_terminal, report
    from .training import runs_folder

    workers = min(4, available_cores()) if options.workers is None else options.workers
    the_claim, scale = claim(options.claim), scale_of(options.scale)
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


def _ledger(options: argparse.Namespace) -> None:
    from .claims.ledger import ledger, ledger_table
    from .training import Store

    for _ in Store():  # reads every record of this user's, so that one that cannot be used is named
        pass
    rows = ledger()
    print(json.dumps(rows, indent=2) if options.json else ledger_table(rows))


def _sample(options: argparse.Namespace) -> None:
    for line in run(options):
        print(line)


def _passport(options: argparse.Namespace) -> None:
    from .base.machine import format_passport

    print(format_passport())


def _bench(options: argparse.Namespace) -> None:
    from .bench import bench, bench_table

    results = bench(quick=options.quick)
    print(json.dumps(results, indent=2) if options.json else bench_table(results))


if __name__ == "__main__":
    sys.exit(main())
