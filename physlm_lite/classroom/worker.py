"""The process that carries hand-ins out: `python -m physlm_lite.classroom.worker`, a request a line on standard input.

Under Linux each is carried out by a child of its own, so that what takes seconds to import is imported once; elsewhere, and
with the argument `alone`, this process carries out one request and ends. A child writes into a file what it begins and what
came of it, a line of JSON each. It has no answers to compare with: whoever asked has them.
"""

from __future__ import annotations
import __future__

import ast
import gc
import json
import linecache
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NoReturn

from .. import lessons
from ..base.strict import choose
from ..lab.checks import CheckResult, Tried, tried
from ..lab.copies import NOTEBOOKS, PACKAGE
from .answers import encoded
from .confine import confine
from .hand_in import Statement, exercises_in, needed
from .watch import ANSWERS, Closed, Printed, place_of, watch

FORKS = sys.platform == "linux"
LESSONS = tuple(module.name for module in iter_modules(lessons.__path__))
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
MOST_PRINTED, LARGEST_FILE = 1_000_000, 16_000_000  # letters, bytes
Say = Callable[..., None]
Tell = Callable[[str], NoReturn]


def main(alone: bool) -> None:
    """Serve until standard input ends; on standard output, of each child its number and how it ended."""
    for lesson in LESSONS:
        import_module(f"{lessons.__name__}.{lesson}")
    gc.freeze()  # what is there now need not be looked through in every child
    for line in sys.stdin:
        request = json.loads(line)
        if alone:
            work(request)
            return
        child = os.fork()
        if child == 0:
            try:
                work(request)
            finally:
                os._exit(0)
        os.write(1, b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(1, b"ended %d\n" % os.waitstatus_to_exitcode(status))


def work(request: Mapping[str, Any]) -> None:
    """Carry out what a hand-in needs, and say what came of it. This process is good for nothing else afterwards."""
    events = os.open(request["events"], os.O_WRONLY | os.O_APPEND)

    def say(**event: Any) -> None:
        text = json.dumps(event).encode() + b"\n"
        while text:
            text = text[os.write(events, text) :]

    def tell(offence: str) -> NoReturn:
        say(offence=offence)
        os._exit(3)

    folder = Path(request["folder"])
    _settle(folder, tell)
    kept, broken = needed(request["cells"])
    _take_answers_out(request["skip"], request["patience"], say, tell)
    answers = [*PACKAGE.glob("lessons/*/exercises.py"), *PACKAGE.glob("lessons/*/__pycache__/exercises.*"), NOTEBOOKS]
    secret = [Path(path) for path in request["secret"]]
    readable = _readable(secret)
    guarded = confine(folder, readable, request["memory"], request["seconds"], LARGEST_FILE)
    say(guarded=guarded)
    watch(folder, answers, secret, readable, tell)
    for number, error in broken.items():
        say(failed=number, said=f"it is not Python: {error.msg}, line {error.lineno}: {(error.text or '').strip()}")
    carry_out(request["cells"], kept, request["passed_over"], say)
    say(done=True)


def _settle(folder: Path, tell: Tell) -> None:
    """A session and a home of its own, and nowhere to read from or to print to."""
    if os.name == "posix" and os.getsid(0) != os.getpid():
        os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir(folder)
    for name in ("HOME", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR", "PHYSLM_RUNS", "IPYTHONDIR"):
        os.environ[name] = str(folder)
    tempfile.tempdir = None
    sys.path[:] = [path for path in sys.path if path]
    sys.stdin, sys.stdout = open(0, closefd=False), Printed(MOST_PRINTED, tell)  # noqa: SIM115
    sys.stderr = sys.stdout


def _readable(secret: Sequence[Path]) -> list[Path]:
    """What Python needs; neither the folder of the hand-ins nor anything else of a home."""
    system = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev/urandom", "/dev/null")
    paths = [Path(path).resolve() for path in sys.path]
    libraries = [path for path in paths if not any(each.is_relative_to(path) for each in (PACKAGE, *secret))]
    return [PACKAGE, Path(sys.prefix), Path(sys.base_prefix), *libraries, *map(Path, system)]


class Recorder:
    """The `check` that a hand-in gets: it tries an attempt on the cases, and has nothing to compare with."""

    def __init__(self, check: Callable[[str, Callable[..., Any]], CheckResult], tell: Tell) -> None:
        self._check, self._tell = check, tell

    def __call__(self, name: str, attempt: Callable[..., Any]) -> CheckResult:
        """Try an attempt, and say what it answered."""
        return self._check(name, attempt)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python asks of everything
            raise AttributeError(name)
        self._tell(f"{ANSWERS} ({place_of(sys._getframe(1))}: check.{name})")


def _take_answers_out(skip: Sequence[str], patience: float, say: Say, tell: Tell) -> None:
    """Put a recorder in the place of each `check`; references and usual mistakes are no longer in this process."""
    for lesson in LESSONS:
        module: ModuleType = import_module(f"{lessons.__name__}.{lesson}")
        cases = {name: exercise.cases for name, exercise in module.check.exercises.items()}

        def check(name: str, attempt: Callable[..., Any], cases: Any = cases) -> CheckResult:
            of = choose("exercise", name, cases)
            if name not in skip:
                say(begin=name)
                result = tried(of, attempt, patience)
                answers = [encoded(answer) for answer in result.answers]
                say(exercise=name, answers=answers, ended=_ended(result), said=result.said)
            return CheckResult("open", f"{name} is noted")

        closed = Closed(f"{module.__name__}.exercises", tell)
        module.__dict__.update(check=Recorder(check, tell), exercises=closed)
        sys.modules[closed.__name__] = closed
    linecache.clearcache()


def _ended(result: Tried) -> str:
    """How an attempt ended; "memory" or "refused" where it was the system that said no."""
    if result.ended != "raised":
        return result.ended
    if any(word in result.said for word in ("MemoryError", "can't allocate", "can't start new thread")):
        return "memory"
    refused = ("Permission denied", "Operation not permitted", "PermissionError", "File too large")
    return "refused" if any(word in result.said for word in refused) else "raised"


def carry_out(cells: Sequence[str], kept: Sequence[Statement], passed_over: Collection[int], say: Say) -> None:
    """Run the statements in one namespace, as a notebook does; a cell ends at its first error. Of a cell that is passed over,
    since it had to be stopped before, only the definitions count."""
    for number, cell in enumerate(cells, 1):
        linecache.cache[f"<cell {number}>"] = (len(cell), None, cell.splitlines(keepends=True), f"<cell {number}>")
    scope: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    flags, failed = 0, set[int]()
    for statement in kept:
        number = statement.cell
        if number in failed or (number in passed_over and not isinstance(statement.node, DEFINITIONS)):
            continue
        say(cell=number, checks=exercises_in(cells[number - 1]))
        if isinstance(statement.node, ast.ImportFrom) and statement.node.module == "__future__":
            names = (alias.name for alias in statement.node.names if alias.name in __future__.all_feature_names)
            flags |= sum(getattr(__future__, name).compiler_flag for name in names)
        try:
            tree = ast.Module([statement.node], [])
            exec(compile(tree, f"<cell {number}>", "exec", flags, dont_inherit=True), scope)
        except BaseException as error:  # whatever it is, the next cell may be sound
            failed.add(number)
            say(failed=number, said=f"{type(error).__name__}: {error}{''.join(_line_of(error))}")


def _line_of(error: BaseException) -> Iterator[str]:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell ")]
    if frames:
        yield f", in line {frames[-1].lineno} of {frames[-1].filename[1:-1]}: {frames[-1].line}"


if __name__ == "__main__":
    main(alone=not FORKS or "alone" in sys.argv)
