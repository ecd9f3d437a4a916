"""Standard output and standard error: complaints in one sentence, and an end in order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from ..base.printable import on_one_line

KIT = __name__.partition(".")[0]


def complain(what: object) -> int:
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            let_go()
    if isinstance(what, OSError) and what.strerror and what.filename:
        what = f"{what.filename}: {what.strerror}"
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(f"physlm: {on_one_line(str(what) or type(what).__name__)}", file=sys.stderr, flush=True)
    return 2


def let_go() -> None:
    """Standard output takes no more: what is left for it goes nowhere, instead of failing once more at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the library has to say meanwhile goes to standard error, a line each."""
    log, handler = logging.getLogger(KIT), logging.Handler()
    handler.emit = lambda record: print(f"physlm: {on_one_line(record.getMessage())}", file=sys.stderr)  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
            yield
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
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
