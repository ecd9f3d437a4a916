"""The command itself: finds the verb, and says in one sentence what went wrong."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence

from ..base.strict import unknown
from . import claims, classroom, data, here, models, scale
from .parser import left_over, parser_of
from .streams import KIT, complain, ended_in_order, let_go, told

VERBS = tuple(
    "replicate queue ledger map verify clock sample prepare eval generate convert recipes plan train launch tab lab "
    "doctor passport bench check classroom".split()
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what the user can mend, with one sentence on standard error; 1 where what
    was to be confirmed is not)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stderr is None:  # closed by whoever started us; print() would take standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        return complain("standard output is closed, so nothing can be printed; send it to a file or to /dev/null")
    for stream in (sys.stdout, sys.stderr):  # not every console has every character that we print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = parser_of(*(group.add_verbs for group in (claims, data, models, scale, here, classroom)))
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        with told(), ended_in_order():
            if arguments[0] not in (known := (*VERBS, "--help", "-h", "--version")):
                raise unknown("verb", arguments[0], known)  # argparse would not name the nearest one
            options, rest = parser.parse_known_args(arguments)
            if rest:
                raise left_over(rest[0], options.parser)
            code = options.verb(options)
            sys.stdout.flush()
            return code or 0
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        let_go()
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(KIT):
            raise
        return complain(f"this needs the package {error.name}; install it, or all: pip install 'physlm_lite[lab]'")
    except (OSError, ValueError, MemoryError) as error:
        return complain(error)
    except KeyboardInterrupt as stop:
        complain("stopped; finished runs are kept, and the same command (without --again) goes on from here")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
