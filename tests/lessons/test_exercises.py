"""Every exercise: the solution passes, each usual mistake is called by its name, an open exercise stays quiet."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch

from physlm_lite import lessons
from physlm_lite.base.strict import UnknownName
from physlm_lite.lab.checks import Check, Exercise

LESSONS = [module.name for module in iter_modules(lessons.__path__)]
EXERCISES: dict[str, Exercise] = {
    name: exercise
    for lesson in LESSONS
    for name, exercise in import_module(f"physlm_lite.lessons.{lesson}").check.exercises.items()
}

check = Check(**EXERCISES)
MISTAKES = [(name, label) for name, exercise in EXERCISES.items() for label in exercise.hints]


def test_a_lesson_is_named_like_its_notebook() -> None:
    sources = Path(__file__).resolve().parents[2] / "notebooks" / "source"
    assert sorted(path.stem[3:] for path in sources.glob("*.py")) == sorted(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_checks_its_own_exercises(lesson: str) -> None:
    check = import_module(f"physlm_lite.lessons.{lesson}").check
    assert len(check.exercises) >= 3
    assert all(check(name, lambda *arguments: ...).status == "open" for name in check.exercises)
    with pytest.raises(UnknownName):
        check("an exercise of nobody", lambda: ...)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_passes(name: str) -> None:
    result = check(name, EXERCISES[name].reference)
    assert result.status == "passed"
    assert result.message == EXERCISES[name].praise


@pytest.mark.parametrize(("name", "label"), MISTAKES)
def test_each_mistake_is_told_by_its_name(name: str, label: str) -> None:
    result = check(name, EXERCISES[name].wrong[label])
    assert (result.status, result.mistake) == ("failed", label)
    assert EXERCISES[name].hints[label] in result.message


@pytest.mark.parametrize("name", EXERCISES)
def test_each_exercise_knows_at_least_three_mistakes(name: str) -> None:
    assert len(EXERCISES[name].hints) >= 3
    assert EXERCISES[name].hints.keys() == EXERCISES[name].wrong.keys()


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", [..., None])
def test_an_open_exercise_is_neither_right_nor_wrong(name: str, answer: object) -> None:
    assert check(name, lambda *arguments: answer).status == "open"


def test_an_exception_is_reported_with_its_arguments() -> None:
    result = check("answer", lambda edges, node, k: 1 / 0)
    assert result.status == "failed"
    assert "ZeroDivisionError" in result.message
    assert "'A'" in result.message


def test_an_unforeseen_answer_is_shown_where_it_first_differs() -> None:
    def nearly(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = EXERCISES["canon"].reference(x, weight)
        y[0, 2, 1] += 1
        return y

    result = check("canon", nearly)
    assert result.mistake is None
    assert "(0, 2, 1)" in result.message
    assert "expected" in result.message


def test_wrong_shapes_and_types_are_said() -> None:
    assert "shape" in check("canon", lambda x, weight: x[:, 1:]).message
    assert "expected" in check("canon", lambda x, weight: "text").message
    assert (
        "entries" in check("size_probabilities", lambda N: [0.5]).message
        or "shape" in check("size_probabilities", lambda N: [0.5]).message
    )


def test_an_attempt_cannot_spoil_the_cases() -> None:
    def spoiling(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = EXERCISES["canon"].reference(x, weight)
        x.zero_()
        return y

    assert check("canon", spoiling).status == "passed"


def test_an_attempt_cannot_spoil_lists_either() -> None:
    def emptying(expression: list[str | int], modulus: int) -> int:
        value: int = EXERCISES["prefix_value"].reference(list(expression), modulus)
        expression.clear()
        return value

    assert check("prefix_value", emptying).status == "passed"
    assert check("prefix_value", emptying).status == "passed"


def test_an_unknown_exercise_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'canon_block'"):
        check("canon_blok", lambda: ...)
