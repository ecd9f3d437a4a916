"""Dependencies point one way, from the lessons down to the base, and no two modules need each other.

All imports count, wherever they stand: one inside a function, or only for the type checker, is a dependency that the
reader has to follow as well.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import physlm_lite

NAME = "physlm_lite"
ROOT = Path(physlm_lite.__file__).parent

# From top to bottom; a station may use those below it. Stations of one line do not know each other.
ORDER = (
    {"cli"},
    {"bench", "classroom"},
    {"lessons", "tab"},
    {"lab"},
    {"claims"},
    {"scale"},
    {"training"},
    {"evaluation"},
    {"data"},
    {"tasks", "models"},
    {"base"},
)
LEVEL = {station: level for level, stations in enumerate(reversed(ORDER)) for station in stations}

# The package's face: every import of a part runs `__init__`, which says the version and calls `registration`; that one
# reaches for the Auto classes, but only at the moment when transformers itself is imported.
FACE = {NAME, f"{NAME}.registration"}

# What a module may need as soon as it is imported: the core's packages, and these.
MORE = {
    f"{NAME}.lab": {"ipywidgets", "matplotlib", "seaborn"},
    f"{NAME}.lessons": {"ipywidgets", "matplotlib", "seaborn"},
    f"{NAME}.classroom.kernels": {"jupyter_server", "tornado", "traitlets"},
    f"{NAME}.scale.published.hugging_face": {"transformers"},
}
# `physlm replicate` and `physlm ledger` stand on it.
NO_MORE = {f"{NAME}.lab", f"{NAME}.lab.terminal", f"{NAME}.lab.ledger_page", f"{NAME}.lab.frame"}

# Imports that still close a circle. The list only ever gets shorter: one that is gone must be taken out.
CLOSING = {}


def module_of(path: Path, root: Path) -> str:
    """The dotted name of a file; a package's own is that of its folder."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def names_in(path: Path, root: Path) -> set[str]:
    """The dotted names within the package that a file imports, at any depth."""
    own, found = module_of(path, root), set()
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == root.name}


def longest(name: str, modules: set[str]) -> str:
    """The module of which a dotted name is a part: `physlm_lite.tasks.Depo` belongs to `physlm_lite.tasks`."""
    while name not in modules:
        name = name.rpartition(".")[0]
    return name


def graph_of(root: Path) -> dict[str, set[str]]:
    """Each module of a package with the modules that it imports."""
    paths = {module_of(path, root): path for path in sorted(root.rglob("*.py"))}
    return {own: {longest(name, set(paths)) for name in names_in(path, root)} - {own} for own, path in paths.items()}


def station_of(module: str) -> str:
    """The part of the package to which a module belongs."""
    return module.split(".")[1]


def upward(graph: dict[str, set[str]]) -> list[str]:
    """The imports that run up, or sideways between stations of one level."""
    return [
        f"{module} imports {target}"
        for module, targets in graph.items()
        for target in sorted(targets - FACE)
        if module not in FACE
        and station_of(module) != station_of(target)
        and LEVEL[station_of(module)] <= LEVEL[station_of(target)]
    ]


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules each of which reaches all others of its set and itself; the face is no part of it."""
    below = {module: targets - FACE for module, targets in graph.items() if module not in FACE}
    while True:
        further = {module: targets.union(*(below[target] for target in targets)) for module, targets in below.items()}
        if further == below:
            break
        below = further
    found = {frozenset(other for other in below[module] if module in below[other]) for module in below}
    return sorted((set(circle) for circle in found if circle), key=min)


GRAPH = graph_of(ROOT)


def test_every_station_has_its_place_in_the_order():
    assert {station_of(module) for module in GRAPH if module not in FACE} <= set(LEVEL)


def test_no_import_runs_up():
    assert upward(GRAPH) == []


def test_no_module_needs_one_that_needs_it():
    open_ends = {module: targets - {b for a, b in CLOSING if a == module} for module, targets in GRAPH.items()}
    assert circles(open_ends) == []
    assert [f"{a} -> {b}" for a, b in CLOSING if b not in GRAPH.get(a, ())] == [], "gone: take it out of the list"


def test_of_the_face_only_the_version_is_used():
    for path in sorted(ROOT.rglob("*.py")):
        if module_of(path, ROOT) not in FACE:
            used = {name for name in names_in(path, ROOT) if longest(name, set(GRAPH)) in FACE}
            assert used <= {f"{NAME}.__version__"}, path


def needed_at_once(path: Path) -> set[str]:
    """The packages of others that a file imports outside functions, not counting what is only for the type checker."""
    found: set[str] = set()
    waiting = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return found - set(sys.stdlib_module_names) - {NAME}


def test_the_core_needs_no_more_than_its_own_packages():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {Requirement(line).name for line in project["dependencies"]}
    for path in sorted(ROOT.rglob("*.py")):
        module = module_of(path, ROOT)
        more = [names for place, names in MORE.items() if module.startswith(place) and module not in NO_MORE]
        assert needed_at_once(path) <= core.union(*more), module


def test_only_what_runs_at_once_is_needed_at_once(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import json\nimport torch.nn\nif TYPE_CHECKING:\n    import datasets\n"
        "try:\n    import yaml\nexcept ImportError:\n    pass\n"
        "class A:\n    import psutil\n    def f(self):\n        import seaborn\n"
        "def g():\n    import matplotlib\n"
    )
    assert needed_at_once(path) == {"torch", "yaml", "psutil"}


@pytest.fixture
def package(tmp_path):
    """A small package of files by their text; returns its graph."""

    def write(**files: str) -> dict[str, set[str]]:
        root = tmp_path / NAME
        for name, text in {"__init__": "", **files}.items():
            path = root / (name.replace("__DOT__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return graph_of(root)

    return write


@pytest.mark.parametrize(
    "line",
    [
        "from ..training.loop import train",
        "from ..training import loop",
        "import physlm_lite.training.loop",
        "from physlm_lite.training.loop import train as other",
        "def f():\n    from ..training.loop import train",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..training import loop",
    ],
)
def test_an_arrow_that_runs_up_is_found_in_every_spelling(package, line):
    graph = package(tasks__DOT____init__="", tasks__DOT__depo=line, training__DOT____init__="", training__DOT__loop="")
    assert upward(graph) == ["physlm_lite.tasks.depo imports physlm_lite.training.loop"]


def test_neighbours_do_not_know_each_other(package):
    graph = package(tasks__DOT____init__="from ..models import canon", models__DOT____init__="", models__DOT__canon="")
    assert upward(graph) == ["physlm_lite.tasks imports physlm_lite.models.canon"]


def test_a_circle_is_found_also_where_one_half_hides_in_a_function(package):
    graph = package(
        lab__DOT____init__="",
        lab__DOT__a="from .b import x",
        lab__DOT__b="from . import c",
        lab__DOT__c="def f():\n    from .a import y",
        lab__DOT__d="from .a import y",
    )
    assert circles(graph) == [{"physlm_lite.lab.a", "physlm_lite.lab.b", "physlm_lite.lab.c"}]
