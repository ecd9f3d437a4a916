"""Friendly checks: what was expected, what came, where they first differ, and the usual mistakes by name.

An exercise holds a reference, the library's own function where there is one, and the usual *wrong* answers. A student's
function that behaves like one of these is told which mistake it makes; any other difference is shown at its first place.
The tests run the check on the solution in the notebook and on every wrong variant, so a hint that could not fire would be
noticed.
"""

from __future__ import annotations

import ctypes
import dis
import linecache
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..base.printable import escaped, printable
from ..base.strict import choose
from .attempts import note_where_somebody_is

PATIENCE = 10.0  # seconds for all cases of an exercise; the solutions take thousandths
SIGNS = {"passed": ("✓", "#2d7d46"), "failed": ("✗", "#b3261e"), "open": ("…", "#6b7280")}


@dataclass(frozen=True)
class Exercise:
    """What a student's function must agree with on all `cases` (tuples of arguments), and the usual mistakes.

    Under the label of a mistake, `hints` has the sentence that names it, `wrong` a function that makes it.
    """

    reference: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]
    praise: str
    hints: Mapping[str, str]
    wrong: Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class CheckResult:
    """What a check says; `status` is "passed", "failed" or "open" (not attempted yet)."""

    status: str
    message: str
    mistake: str | None = None

    def __str__(self) -> str:
        return f"{SIGNS[self.status][0]} {printable(self.message)}"

    def _repr_html_(self) -> str:
        sign, colour = SIGNS[self.status]
        return (
            f'<div style="border-left:4px solid {colour};padding:6px 12px;margin:4px 0;white-space:pre-wrap">'
            f"<b style='color:{colour}'>{sign}</b> {escaped(self.message)}</div>"
        )


@dataclass(frozen=True)
class Tried:
    """What became of an attempt: its answers on the cases, plain, and why they end before the last case ("" if they do not).

    ended: "open" (not attempted yet), "nothing" (no return), "raised", "slow"; said: in a sentence, for the reader.
    """

    answers: tuple[Any, ...] = ()
    ended: str = ""
    said: str = ""


class Check:
    """The `check` of a lesson: it says what is to be said of an attempt at one of the lesson's exercises."""

    def __init__(self, **exercises: Exercise) -> None:
        self.exercises = exercises

    def __call__(self, name: str, attempt: Callable[..., Any]) -> CheckResult:
        """Check an attempt. One that is still the `...` of the notebook, or returns it, is "not attempted yet"."""
        exercise = choose("exercise", name, self.exercises)
        result = judged(name, exercise, tried(exercise.cases, attempt, PATIENCE))
        note_where_somebody_is(name, result.status, result.mistake)
        return result


def tried(cases: Sequence[tuple[Any, ...]], attempt: Callable[..., Any], seconds: float) -> Tried:
    """Carry out an attempt on all cases, for so many seconds; it may do anything."""
    answers: list[Any] = []

    def ended(why: str, said: str) -> Tried:
        return Tried(tuple(answers), why, f"{said}\nfor the arguments {_brief(case)}")

    try:
        with _in_time(seconds):
            for case in cases:
                answer = _plain(attempt(*deepcopy(case)))
                if answer is Ellipsis or (answer is None and _is_stub(attempt)):
                    return ended("open", "")
                if answer is None:
                    return ended("nothing", "your function returns nothing; end it with return and your answer")
                answers.append(answer)
    except TooLong as error:
        return ended(
            "slow", f"your function was stopped after {seconds:g} s{_where(error, attempt)}; does a loop never end?"
        )
    except Exception as error:
        return ended("raised", f"your function raised {type(error).__name__}: {error}{_where(error, attempt)}")
    return Tried(tuple(answers))


def judged(name: str, exercise: Exercise, attempt: Tried) -> CheckResult:
    """What is to be said of the answers."""
    if attempt.ended == "open":
        return CheckResult("open", f"exercise “{name}” is not attempted yet: replace the ... and run this cell again")
    if attempt.ended:
        return CheckResult("failed", attempt.said)

    def problems(function: Callable[..., Any]) -> Iterator[str | None]:
        pairs = zip(attempt.answers, exercise.cases, strict=True)
        return (_difference(answer, _plain(function(*deepcopy(case)))) for answer, case in pairs)

    unlike = [
        f"{problem}\nfor the arguments {_brief(case)}"
        for problem, case in zip(problems(exercise.reference), exercise.cases, strict=True)
        if problem
    ]
    if not unlike:
        return CheckResult("passed", exercise.praise)
    for label, hint in exercise.hints.items():
        if not any(problems(exercise.wrong[label])):
            return CheckResult("failed", f"{label}: {hint}", label)
    return CheckResult("failed", unlike[0])


class TooLong(Exception):
    """An attempt took too long."""


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in here once the time is over, again and again, since the code inside may catch it.

    It is raised between two operations of Python, whatever the system and the thread; a single long operation ends first.
    """
    thread, over = threading.get_ident(), threading.Event()

    def interrupt() -> None:
        wait = seconds
        while not over.wait(wait):
            with ending:
                if not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TooLong))
            wait = 0.2

    ending, watcher = threading.Lock(), threading.Thread(target=interrupt, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with ending:
            over.set()
        watcher.join()


def _is_stub(attempt: Callable[..., Any]) -> bool:
    """Whether a function is still `...` alone, as the notebook has it: nothing is done but to return nothing."""
    code = getattr(attempt, "__code__", None)
    if code is None:
        return False
    done = [i for i in dis.get_instructions(code) if i.opname not in ("RESUME", "NOP", "CACHE")]
    return all(i.opname in ("LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") and i.argval is None for i in done)


def _where(error: BaseException, attempt: Callable[..., Any]) -> str:
    """The line of the attempt in which it happened, in words; the last one that is the student's own."""
    file = getattr(getattr(attempt, "__code__", None), "co_filename", None)
    first = getattr(getattr(attempt, "__code__", None), "co_firstlineno", 0)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    lines = [frame.lineno for frame in frames if frame.lineno is not None and frame.lineno >= first]
    if not lines or file is None:
        return ""
    text = linecache.getline(file, lines[-1]).strip()
    return f", in line {lines[-1] - first + 1} of the function{f': {text}' if text else ''}"


def _plain(answer: Any) -> Any:
    """An answer that can be compared and printed: of a tensor, its numbers alone; a tensor of one number is that number."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu()
        answer = answer.float() if answer.dtype in (torch.bfloat16, torch.float16) else answer
    if isinstance(answer, torch.Tensor | np.ndarray) and answer.ndim == 0:
        return answer.item()
    if isinstance(answer, np.generic):
        return answer.item()
    if isinstance(answer, Mapping):
        return {key: _plain(value) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer)(map(_plain, answer)) if type(answer) in (list, tuple) else [_plain(each) for each in answer]
    return answer


def draws(seed: int, *shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    """Normal numbers for cases: a tensor of each shape, one after the other from a generator with this seed."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator) for shape in shapes)


def _difference(answer: Any, wanted: Any) -> str | None:
    """None if equal; else one sentence with what was expected, what came, and where they first differ."""
    if isinstance(wanted, torch.Tensor | np.ndarray):
        try:
            got, want = np.asarray(answer, dtype=float), np.asarray(wanted, dtype=float)
        except (TypeError, ValueError):
            return f"expected an array of shape {tuple(wanted.shape)}, got {type(answer).__name__}"
        if got.shape != want.shape:
            return f"expected shape {tuple(want.shape)}, got {tuple(got.shape)}"
        wrong = ~np.isclose(got, want, rtol=1e-4, atol=1e-5, equal_nan=True)
        if not wrong.any():
            return None
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"first difference at index {place}: expected {want[place]:.4f}, got {got[place]:.4f}"
    if isinstance(wanted, float) and isinstance(answer, int | float):
        close = abs(float(answer) - wanted) <= 1e-6 * max(1, abs(wanted))
        return None if close else f"expected {wanted:.6g}, got {answer:.6g}"
    if isinstance(wanted, torch.Tensor | np.ndarray) != isinstance(answer, torch.Tensor | np.ndarray):
        return f"expected {type(wanted).__name__}, got {type(answer).__name__}"
    if isinstance(wanted, list | tuple) and isinstance(answer, list | tuple):
        if len(wanted) != len(answer):
            return f"expected {len(wanted)} entries, got {len(answer)}"
        problems = ((i, _difference(a, w)) for i, (a, w) in enumerate(zip(answer, wanted, strict=True)))
        return next((f"entry {i}: {problem}" for i, problem in problems if problem), None)
    if isinstance(wanted, Mapping) and isinstance(answer, Mapping):
        for key in wanted:
            if key not in answer:
                return f"expected an entry {key!r}, got only {', '.join(map(repr, answer)) or 'none'}"
        if more := [key for key in answer if key not in wanted]:
            return f"entry {more[0]!r} is one too many"
        problems = ((key, _difference(answer[key], wanted[key])) for key in wanted)
        return next((f"entry {key!r}: {problem}" for key, problem in problems if problem), None)
    try:
        same = bool(answer == wanted)
    except (TypeError, ValueError, RuntimeError):
        same = False
    return None if same else f"expected {wanted!r}, got {answer!r}"


def _brief(case: tuple[Any, ...]) -> str:
    def one(x: Any) -> str:
        if isinstance(x, torch.Tensor):
            return f"tensor of shape {list(x.shape)}"
        text = getattr(x, "__name__", None) or repr(x)
        return text if len(text) <= 90 else text[:87] + "..."

    return "(" + ", ".join(one(x) for x in case) + ")"
