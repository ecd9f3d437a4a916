"""Friendly checks: what was expected, what came, where they first differ, and the usual mistakes by name.

An exercise holds a reference, the library's own function where there is one, and the usual *wrong* answers. A student's
function that behaves like one of these is told which mistake it makes; any other difference is shown at its first place.
The tests run the check on the solution in the notebook and on every wrong variant, so a hint that could not fire would be
noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..base.printable import escaped, printable
from ..base.strict import choose

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


class Check:
    """The `check` of a lesson: it says what is to be said of an attempt at one of the lesson's exercises."""

    def __init__(self, **exercises: Exercise) -> None:
        self.exercises = exercises

    def __call__(self, name: str, attempt: Callable[..., Any]) -> CheckResult:
        """Check an attempt. Returning `...` or None from it means "not attempted yet"."""
        exercise = choose("exercise", name, self.exercises)
        answers = []
        for case in exercise.cases:
            try:
                answer = attempt(*deepcopy(case))
            except Exception as error:  # the student's code may do anything
                problem = f"your function raised {type(error).__name__}: {error}"
                return CheckResult("failed", f"{problem}\nfor the arguments {_brief(case)}")
            if answer is None or answer is Ellipsis:
                return CheckResult(
                    "open", f"exercise “{name}” is not attempted yet: replace the ... and run this cell again"
                )
            answers.append(answer)

        def problems(function: Callable[..., Any]) -> Iterator[str | None]:
            return (_difference(a, function(*deepcopy(c))) for a, c in zip(answers, exercise.cases, strict=True))

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
    if isinstance(wanted, float) and isinstance(answer, int | float | np.number):
        close = abs(float(answer) - wanted) <= 1e-6 * max(1, abs(wanted))
        return None if close else f"expected {wanted:.6g}, got {answer:.6g}"
    if isinstance(wanted, torch.Tensor | np.ndarray) != isinstance(answer, torch.Tensor | np.ndarray):
        return f"expected {type(wanted).__name__}, got {type(answer).__name__}"
    if isinstance(wanted, list | tuple) and isinstance(answer, list | tuple):
        if len(wanted) != len(answer):
            return f"expected {len(wanted)} entries, got {len(answer)}"
        problems = ((i, _difference(a, w)) for i, (a, w) in enumerate(zip(answer, wanted, strict=True)))
        return next((f"entry {i}: {problem}" for i, problem in problems if problem), None)
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
