"""Every exercise: the solution passes, each usual mistake is called by its name, an open exercise stays quiet."""

from __future__ import annotations

import ast
import inspect
import textwrap
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
import torch

from physlm_lite import lessons
from physlm_lite.base.strict import UnknownName
from physlm_lite.lab import checks
from physlm_lite.lab.checks import Check, Exercise, TooLong, _in_time

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
    assert sorted(path.stem.partition("_")[2] for path in sources.glob("*.py")) == sorted(LESSONS)


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


def stub(*arguments):
    """As the notebook has it."""
    ...


@pytest.mark.parametrize("name", EXERCISES)
def test_an_open_exercise_is_neither_right_nor_wrong(name: str) -> None:
    assert check(name, lambda *arguments: ...).status == "open"
    assert check(name, stub).status == "open"


@pytest.mark.parametrize("name", EXERCISES)
def test_work_without_a_return_is_told_from_no_work(name: str) -> None:
    def forgetful(*arguments):
        EXERCISES[name].reference(*arguments)

    result = check(name, forgetful)
    assert result.status == "failed" and "returns nothing; end it with return" in result.message


def otherwise(answer, change):
    """The same answer in another form, all through."""
    if isinstance(answer, Mapping):
        return {key: otherwise(value, change) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer)(otherwise(each, change) for each in answer)
    return change(answer)


def with_gradient(answer):
    """As `nn.Conv1d` would give it."""
    floats = isinstance(answer, torch.Tensor) and answer.is_floating_point()
    return torch.nn.Parameter(answer.detach().clone()) * 1 if floats else answer


def in_another_dtype(answer):
    if isinstance(answer, torch.Tensor):
        return answer.double() if answer.is_floating_point() else answer.to(torch.int32)
    return answer.astype(np.float64) if isinstance(answer, np.ndarray) else answer


def as_tensors(answer):
    """Numbers as tensors without dimensions, arrays as tensors."""
    if isinstance(answer, bool | str) or answer is None:
        return answer
    if isinstance(answer, np.ndarray):
        return torch.from_numpy(answer.copy())
    return torch.tensor(answer, dtype=torch.float64) if isinstance(answer, float) else answer


def as_arrays(answer):
    """Tensors and numbers as NumPy has them."""
    if isinstance(answer, torch.Tensor):
        return answer.detach().numpy()
    return np.float64(answer) if isinstance(answer, float) else np.int64(answer) if type(answer) is int else answer


@pytest.mark.parametrize("change", [with_gradient, in_another_dtype, as_tensors, as_arrays], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", EXERCISES)
def test_a_right_answer_is_right_in_any_honest_form(name: str, change) -> None:
    reference = EXERCISES[name].reference
    result = check(name, lambda *arguments: otherwise(reference(*arguments), change))
    assert result.status == "passed", result.message


def test_a_layer_of_pytorch_is_an_answer() -> None:
    def by_convolution(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        width, _, kernel = weight.shape
        layer = torch.nn.Conv1d(width, width, kernel, groups=width, padding=kernel - 1, bias=False)
        layer.weight.data.copy_(weight)
        return x + layer(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)

    assert check("canon", by_convolution).status == "passed"


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exception_is_told_with_its_line(name: str) -> None:
    def failing(*arguments):
        found = arguments
        return found[0] / nothing  # noqa: F821

    result = check(name, failing)
    assert (
        result.status == "failed"
        and "NameError: name 'nothing' is not defined, in line 3 of the function" in result.message
    )


def test_the_line_is_the_students_own_though_it_happened_further_down() -> None:
    def failing(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = x + 0
        return torch.matmul(y, weight[:2])

    assert ", in line 3 of the function: return torch.matmul(y, weight[:2])" in check("canon", failing).message


@pytest.mark.parametrize("name", EXERCISES)
def test_a_loop_that_never_ends_is_stopped_and_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.05)

    def endless(*arguments):
        number = 0
        while True:
            try:
                number += 1
            except Exception:  # a learner may well catch everything
                number -= 1

    result = check(name, endless)
    assert result.status == "failed"
    assert "was stopped after 0.05 s, in line" in result.message and "does a loop never end?" in result.message


def test_nothing_is_stopped_later_because_it_was_slow() -> None:
    with pytest.raises(TooLong), _in_time(0.02):
        while True:
            pass
    end = time.monotonic() + 0.6
    while time.monotonic() < end:  # the watcher has gone
        pass
    assert not [thread for thread in threading.enumerate() if "interrupt" in thread.name]


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


# In a part of the reference that only a usual mistake goes through, or of a number that is never met: 2π of whole steps.
ELSEWHERE = {("next_symbol", "len(sentence) > n"), ("new_angles", "speeds[pair] * (trained - 1) <= turn")}
STRICT = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}


@pytest.mark.parametrize("lesson", LESSONS)
def test_more_is_told_from_at_least(lesson: str) -> None:
    """Whoever writes > for >=, or the other way round, is found out by some case: so the bars themselves are among them."""
    module = import_module(f"physlm_lite.lessons.{lesson}.exercises")
    for name, exercise in import_module(f"physlm_lite.lessons.{lesson}").check.exercises.items():
        if exercise.reference.__module__ != module.__name__:  # a function of the library, which has tests of its own
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(exercise.reference)))
        compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        for node, place in [(n, i) for n in compared for i, op in enumerate(n.ops) if type(op) in STRICT]:
            right = node.ops[place]
            node.ops[place] = STRICT[type(right)]()
            known = dict(vars(module))
            exec(compile(ast.unparse(tree), lesson, "exec"), known)
            told = ast.unparse(node)
            passed = check(name, known[exercise.reference.__name__]).status == "passed"
            assert passed == ((name, told) in ELSEWHERE), f"{name}: {told} passes"
            node.ops[place] = right
