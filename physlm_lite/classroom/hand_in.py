"""What a learner hands in, a notebook, and which of its statements an exercise needs.

Not the whole notebook is carried out, only what its exercises stand on: their own cells, and of all other cells the
statements that define, or change, a name that is needed (imports, functions, classes, constants). Pictures, live trainings
and everything else is passed over, and so are the lines for IPython (`%`, `!`, `?`), which are not Python.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.strict import shown

LARGEST = 64e6  # bytes of a notebook, with its pictures
CALLED = re.compile(r"^[^#\n]*?\bcheck\(\s*[\"'](\w+)[\"']", re.MULTILINE)
LESSON = re.compile(r"^[ \t]*from physlm_lite\.lessons\.(\w+) import .*\bcheck\b", re.MULTILINE)
IPYTHON = re.compile(r"\s*[%!?]|\s*[\w.]+\?{1,2}\s*$")
OWN = re.compile(r"^\w+ = Own\(", re.MULTILINE)
# What trains, or waits for somebody at a screen.
PASSED_OVER = {"Live", "Trained", "Own", "Interactive", "Explorer", "Prediction", "Frame", "train", "replicate"}


class NotReadable(ValueError):
    """A file that is no notebook; its message says why in one sentence."""


def cells_of(path: Path) -> list[str]:
    """The cells of code of a notebook, in order; the n-th of them is "cell n". `NotReadable` for anything else."""
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST / 1e6:g} MB")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
            raise ValueError("it has no cells")
        found = []
        for cell in content["cells"]:
            if not isinstance(cell, dict):
                raise ValueError("one of its cells is none")
            text = cell.get("source", "")
            lines = [text] if isinstance(text, str) else text
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise ValueError("the source of a cell is no text")
            if cell.get("cell_type") == "code":
                found.append("".join(lines))
    except (OSError, ValueError, RecursionError) as error:
        reason = {json.JSONDecodeError: "its JSON is broken", UnicodeDecodeError: "it is no text in UTF-8"}
        reason[RecursionError] = "it is nested too deeply"
        said = reason.get(type(error)) or getattr(error, "strerror", None) or str(error)
        raise NotReadable(f"it is no notebook that can be read: {said}") from None
    return found


def lessons_in(cells: Sequence[str]) -> list[str]:
    """The lessons whose `check` the notebook imports."""
    return list(dict.fromkeys(name for cell in cells for name in LESSON.findall(cell)))


def exercises_in(cell: str) -> list[str]:
    """The exercises that a cell checks."""
    return CALLED.findall(cell)


@dataclass(frozen=True)
class Statement:
    """One statement of a cell, what it binds or changes, and what it needs from elsewhere."""

    cell: int
    node: ast.stmt
    binds: frozenset[str]
    needs: frozenset[str]


def python_of(cell: str) -> str:
    """A cell without what is said to IPython; the lines keep their numbers. SyntaxError where the rest is not Python."""
    if cell.lstrip().startswith("%%"):
        return ""
    try:
        ast.parse(cell)
        return cell
    except SyntaxError:
        return "\n".join("" if IPYTHON.match(line) else line for line in cell.splitlines())


def statements(number: int, cell: str) -> list[Statement]:
    """The statements of a cell; SyntaxError where it is not Python."""
    found = []
    for node in ast.parse(python_of(cell)).body:
        table = symtable.symtable(ast.unparse(node), "a cell", "exec")
        binds = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        needs = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()} | set(_free(table))
        found.append(Statement(number, node, frozenset(binds | _changed(node)), frozenset(needs)))
    return found


def _free(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that the functions and classes in here take from the notebook."""
    for inner in table.get_children():
        yield from (symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global())
        yield from _free(inner)


def _changed(node: ast.stmt) -> set[str]:
    """Names of what is changed in place: `x[0] = 1`, `x.y = 1`, `x.append(1)`."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        targets = list(node.targets) if isinstance(node, ast.Assign | ast.Delete) else [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        targets = [node.value.func.value]
    found = set()
    for target in targets:
        while isinstance(target, ast.Subscript | ast.Attribute):
            target = target.value
        if isinstance(target, ast.Name):
            found.add(target.id)
    return found


def trains(statement: Statement) -> bool:
    """Is it one of those that train, or wait for somebody?"""
    if isinstance(statement.node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    calls = (node.func for node in ast.walk(statement.node) if isinstance(node, ast.Call))
    return any(getattr(call, "id", getattr(call, "attr", "")) in PASSED_OVER for call in calls)


def needed(cells: Sequence[str]) -> tuple[list[Statement], dict[int, SyntaxError]]:
    """The statements that the exercises need, in their order, and the cells of exercises that are not Python.

    Of a cell that is not Python and has no exercise in it nothing is taken.
    """
    every: list[Statement] = []
    broken: dict[int, SyntaxError] = {}
    theirs = {number for number, cell in enumerate(cells, 1) if exercises_in(cell)}
    for number, cell in enumerate(cells, 1):
        try:
            every += statements(number, cell)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if number in theirs:
                broken[number] = error if isinstance(error, SyntaxError) else SyntaxError(shown(str(error)))
    chosen = {i for i, statement in enumerate(every) if statement.cell in theirs}
    names: set[str] = set()
    ahead = set(chosen)
    while ahead:
        names = names.union(*(every[i].needs for i in ahead))
        ahead = {i for i, statement in enumerate(every) if i not in chosen and statement.binds & names}
        chosen |= ahead
    return [every[i] for i in sorted(chosen) if not trains(every[i])], broken
