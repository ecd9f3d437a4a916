"""Hand-ins of every kind, made from the notebooks' own exercises: the checker tells them apart, and none does any harm."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import jupytext
import numpy as np
import pytest
import skip_reasons
import torch

from physlm_lite.classroom import reports
from physlm_lite.classroom.answers import Foreign, decoded, encoded
from physlm_lite.classroom.checker import Checker, Limits, Report, Said
from physlm_lite.classroom.confine import EVERYTHING
from physlm_lite.classroom.hand_in import cells_of, needed
from physlm_lite.classroom.watch import ANSWERS
from physlm_lite.cli import main

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {path.stem.partition("_")[2]: path for path in sorted((ROOT / "notebooks" / "source").glob("*.py"))}
START = "from physlm_lite.lessons.start_here import check\n"
PATIENT = Limits(exercise=60.0, other=60.0, memory=600_000_000)
IMPATIENT = replace(PATIENT, exercise=2.0)  # for what never ends


def lesson(name: str) -> ModuleType:
    return importlib.import_module(f"physlm_lite.lessons.{name}")


def write(path: Path, *cells: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "x"}, *content]}), encoding="utf-8")
    return path


# -- the corpus --------------------------------------------------------------------------------------------------------


def solved(name: str) -> list[str]:
    """The cells of a lesson's source, which has the solutions in it."""
    return [cell.source for cell in jupytext.read(SOURCES[name], fmt="py:percent").cells if cell.cell_type == "code"]


def mistaken(name: str, nth: int) -> tuple[list[str], dict[str, str]]:
    """A hand-in that makes the n-th usual mistake in each exercise, and their names.

    Its first cell is the lesson's file of exercises as if the learner had typed it: the answers of the kit are closed.
    """
    text = Path(lesson(f"{name}.exercises").__file__ or "").read_text(encoding="utf-8")
    text = re.sub(r"^from \.\.\.", "from physlm_lite.", text, flags=re.MULTILINE)
    text = re.sub(r"^from \.(\w+)", rf"from physlm_lite.lessons.{name}.\1", text, flags=re.MULTILINE)
    cells = [
        re.sub(r"^check = Check\(", "known = Check(", text, flags=re.MULTILINE),
        f"from physlm_lite.lessons.{name} import check",
    ]
    wanted = {}
    for exercise, of in lesson(name).check.exercises.items():
        labels = [*of.hints]
        wanted[exercise] = label = labels[nth % len(labels)]
        call = f"known.exercises[{exercise!r}].wrong[{label!r}](*arguments)"
        cells.append(f'def mine(*arguments):\n    return {call}\n\n\ncheck("{exercise}", mine)')
    return cells, wanted


def attempt(body: str) -> list[str]:
    """A hand-in of notebook 00 with this body in its first exercise, and a second exercise that is right."""
    right = next(cell for cell in solved("start_here") if 'check("verdict"' in cell)
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return [f'{START}\n\ndef best_rate(scores):\n{lines}\n\n\ncheck("best_rate", best_rate)', right]


# fmt: off
HARMLESS: Mapping[str, tuple[str, str, str]] = {  # body, status, a part of what is said
    "stub": ("return ...", "open", ""),
    "pass": ("pass", "open", ""),
    "none": ("max(scores)", "wrong", "returns nothing"),
    "raises": (
        "x = 1\nreturn scores['none']",
        "crashed",
        "KeyError: 'none', in line 3 of the function: return scores['none']",
    ),
    "typo": ("return maximum(scores)", "crashed", "NameError: name 'maximum' is not defined"),
    "exits": ("raise SystemExit", "crashed", "SystemExit"),
    "other": ("return 17.0", "wrong", "expected 0.004, got 17"),
    "text": ("return 'left'", "wrong", "got 'left'"),
    "class": ("class A:\n    __eq__ = lambda a, b: True\n    __hash__ = None\nreturn A()", "wrong", "got <A>"),
    "endless": (
        "while True:\n    try:\n        pass\n    except BaseException:\n        pass",
        "slow",
        "does a loop never end?",
    ),
    "deep": ("return best_rate(scores)", "crashed", "RecursionError"),
    "asks": ("return input()", "crashed", "EOFError"),
}
HOSTILE: Mapping[str, tuple[str, str]] = {  # body, what is said
    "writes": ("open(OUTSIDE, 'w').write('x')", "tried to write"),
    "writes_by_number": ("import os\nos.close(os.open(OUTSIDE, os.O_CREAT | os.O_WRONLY))", "tried to write"),
    "writes_in_c": ("import torch\ntorch.save(torch.ones(1), OUTSIDE)", "Permission denied"),
    "removes": ("import os\nos.remove(MINE)", "tried to change"),
    "opens_to_all": ("import os\nos.chmod(MINE, 0o777)", "tried to change"),
    "fills": ("with open('big', 'wb') as file:\n    while True:\n        file.write(bytes(10**6))", "File too large"),
    "forks": ("import os\nwhile True:\n    os.fork()", "another program or process"),
    "forks_below": ("import _posixsubprocess as p\np.fork_exec([b'true'], [b'/bin/true'], True, (), None, None, -1, -1, "
                    "-1, -1, -1, -1, 8, 9, True, False, -1, None, None, None, -1, None, False)", "not permitted"),
    "runs": ("import subprocess\nsubprocess.run(['true'])", "another program or process"),
    "shell": ("import os\nos.system('true')", "another program or process"),
    "eats": ("return bytearray(10**11)", "of memory"),
    "eats_tensors": ("import torch\nreturn torch.zeros(10**11)", "of memory"),
    "threads": ("import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()", "of memory"),
    "prints": ("for _ in range(1000):\n    print('x' * 10**6)", "printed too much"),
    "imports_answers": ("from physlm_lite.lessons.start_here.exercises import best_rate as b\nreturn b(scores)", ANSWERS),
    "asks_check": ("return check.exercises['best_rate'].reference(scores)", ANSWERS),
    "opens_answers": ("import physlm_lite.lessons as l\nreturn open(l.__path__[0] + '/start_here/exercises.py').read()",
                      ANSWERS),
    "reads_theirs": ("return open(MINE).read()", ANSWERS),
    "kills": ("import os\nos.kill(os.getppid(), 9)", "signal another process"),
    "kills_in_c": ("import ctypes\nctypes.CDLL(None).kill(-1, 9)", "reach behind Python"),
    "ends": ("import os\nos._exit(0)", "ended its process"),
    "calls_home": ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')", "the network"),
    "looks_around": ("import gc\nreturn gc.get_objects()", "reach behind Python"),
}
# fmt: on
BELOW_PYTHON = ("writes_in_c", "forks_below")  # only the kernel sees these
ENDLESS = ("endless", "sleeps")
FORGED = (  # lines of its own among those that its process tells
    b'{"exercise": "best_rate", "answers": [0.004], "ended": "", "said": ""}',
    b'{"failed": 99, "said": "x"}',
    b'{"cell": -7, "checks": [1]}',
    b'{"begin": "best_rate"}',
    b'{"exercise": {}}',
    b'{"guarded": []}',
    b"[[[[",
    b"3",
)
FORGES = f"""import os
for n in range(3, 30):
    for text in {FORGED}:
        try:
            os.write(n, text + b"\\n")
        except OSError:
            pass
os._exit(0)"""


def cases() -> dict[str, tuple[str, str, str]]:
    """By name: the body of an attempt, the status that it gets, and a part of what is said."""
    found = {**HARMLESS, "sleeps": ("import time\ntime.sleep(1e6)", "slow", "stopped after")}
    if os.name == "posix":
        found |= {name: (body, "stopped", said) for name, (body, said) in HOSTILE.items()}
        found["forges"] = (FORGES, "wrong", "cannot be compared")
    return found


def corpus(folder: Path, day: int | None) -> Iterator[tuple[Path, Mapping[str, tuple[str, str]]]]:
    """Hand-ins, and what is to be said of their exercises: status, and the mistake or a part of the sentence.

    All of them, or the share of a day.
    """
    names, every = sorted(SOURCES), cases()
    if day is not None:
        names = names[day % 9 :: 9]
        every = {name: every[name] for name in [*sorted({*every} - {*ENDLESS})[day % 3 :: 3], ENDLESS[day % 2]]}
    for name in names:
        exercises = lesson(name).check.exercises
        yield write(folder / name / "right.ipynb", *solved(name)), dict.fromkeys(exercises, ("right", ""))
        stub = ROOT / "notebooks" / f"{SOURCES[name].stem}.ipynb"
        yield write(folder / name / "open.ipynb", *cells_of(stub)), dict.fromkeys(exercises, ("open", ""))
        for nth in range(max(len(of.hints) for of in exercises.values()) if day is None else 1):
            cells, wanted = mistaken(name, nth + (day or 0))
            yield write(folder / name / f"mistake{nth}.ipynb", *cells), {e: ("mistake", m) for e, m in wanted.items()}
    named = {"OUTSIDE": repr(str(folder.parent / "outside")), "MINE": repr(str(folder.parent / "theirs" / "mine.txt"))}
    for case, (body, status, said) in every.items():
        for word, value in named.items():
            body = body.replace(word, value)
        others = {"verdict": ("right", ""), "extra_parameters": ("open", "not in this notebook")}
        yield write(folder / "one" / f"{case}.ipynb", *attempt(body)), {"best_rate": (status, said), **others}


def told(report: Report) -> dict[str, Said]:
    assert not report.problem, report
    return {said.exercise: said for said in report.exercises}


@pytest.mark.slow
def test_every_kind_of_hand_in_is_told_from_the_others(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    day = request.config.option.sample
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "mine.txt").write_text("a teacher's own")
    (theirs / "mine.txt").chmod(0o640)
    found: list[Report] = []
    with Checker(PATIENT, secret=[theirs]) as checker:
        for path, wanted in corpus(tmp_path / "class", day):
            if path.stem in BELOW_PYTHON and found[0].guarded != EVERYTHING:
                continue
            checker.limits = IMPATIENT if path.stem in ENDLESS else PATIENT
            report = checker.check(path, str(path.relative_to(tmp_path)))
            said = told(report)
            assert said.keys() >= wanted.keys(), report
            for exercise, (status, what) in wanted.items():
                one = said[exercise]
                assert one.status == status and (what == one.mistake if status == "mistake" else what in one.said), one
            found.append(report)
        for text, what in BROKEN.items():
            path = tmp_path / "broken.ipynb"
            path.write_bytes(text)
            assert what in checker.check(path).problem
        assert "it is no file" in checker.check(tmp_path).problem
        # a cell that has to be stopped as a whole takes no other exercise with it
        checker.limits = replace(IMPATIENT, other=2.0)
        hanging = attempt("return 1")
        hanging[0] += "\n\nimport time\n\ntime.sleep(1e6)\ncheck('best_rate', best_rate)"
        hanging[0] = hanging[0].replace('check("best_rate", best_rate)', "")
        stuck = told(checker.check(write(tmp_path / "stuck.ipynb", *hanging)))
        assert (stuck["best_rate"].status, stuck["verdict"].status) == ("slow", "right")
        checker.limits = PATIENT
        # the notebook's other cells, and what IPython understands
        last = checker.check(write(tmp_path / "cells.ipynb", *CELLS)).exercises
        assert [said.status for said in last] == ["right", "right", "crashed"]
    assert not (tmp_path / "outside").exists() and (theirs / "mine.txt").read_text() == "a teacher's own"
    assert (theirs / "mine.txt").stat().st_mode & 0o777 == 0o640
    table = reports.class_table(found)
    assert "mistakes, the most common first" in table
    lines = list(csv.DictReader(io.StringIO(reports.to_csv(found))))
    assert len(lines) == sum(len(report.exercises) for report in found)
    assert day is not None or (len(found) >= 60 and {line["status"] for line in lines} == {*reports.SIGNS})
    assert bool(reports.guards(found)) == any(report.guarded != EVERYTHING for report in found)
    if found[0].guarded != EVERYTHING:
        pytest.skip(skip_reasons.NO_LANDLOCK)


BROKEN = {
    b"": "its JSON is broken",
    b"{": "its JSON is broken",
    b'{"cells": 3}': "it has no cells",
    b"[]": "it has no cells",
    b'{"cells": [3]}': "one of its cells is none",
    b'{"cells": [{"cell_type": "code", "source": [1]}]}': "the source of a cell is no text",
    b"\xff\xfe": "it is no text in UTF-8",
    b"[" * 100_000: "it is nested too deeply",
    b'{"cells": []}': "no exercise of this kit is in it",
}
CELLS = [
    "%matplotlib inline\nfrom statistics import fmean\n!echo nothing is run",
    "BARS = [0.75]\nBARS.append(0.25)",
    "raise ValueError('a picture that fails')",
    "while True:\n    pass  # nothing needs it",
    "live = Live(depth)",
    "def mean_of(scores, rate):\n    return fmean(scores[rate])",
    f"{START}?fmean\n\ndef best(scores):\n    return max(scores, key=lambda rate: mean_of(scores, rate))",
    'check("best_rate", best)',
    "def mine(canon, plain):\n    if min(canon) >= BARS[0] and max(plain) <= BARS[1]:\n        return 'holds'\n"
    "    return 'direction' if min(canon) > max(plain) else 'not shown'\n\n\ncheck('verdict', mine)",
    'def extra(config)\n    return 1\n\n\ncheck("extra_parameters", extra)',
]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_without_a_child_for_each_it_is_the_same(tmp_path: Path) -> None:
    """As on systems where a process with PyTorch in it had better not fork; and where Python lies beside the hand-ins."""
    body = "from physlm_lite.lessons.depo import figures\nif scores:\n    return best_rate2(scores)"
    helper = "def best_rate2(scores):\n    import os\n    os._exit(0)"
    with Checker(PATIENT, secret=[Path("/")], forks=False) as checker:
        said = told(checker.check(write(tmp_path / "00.ipynb", helper, *attempt(body))))
    assert (said["best_rate"].status, said["verdict"].status) == ("stopped", "right"), said


def test_only_what_the_exercises_need_is_carried_out() -> None:
    kept, broken = needed(CELLS)
    assert [statement.cell for statement in kept] == [1, 2, 2, 6, 7, 7, 8, 9, 9]
    assert [*broken] == [10]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_the_command_prints_a_report_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "class" / "ada" / "00.ipynb", *solved("start_here"))
    write(tmp_path / "class" / ".ipynb_checkpoints" / "00.ipynb", "1")
    lucky = "return max(scores, key=lambda rate: max(scores[rate]))"
    bob = write(tmp_path / "class" / "bob" / "00.ipynb", *attempt(lucky))
    assert main(["check", str(tmp_path / "class"), str(bob), "--csv", str(tmp_path / "out.csv")]) == 1
    out = re.sub(" +", " ", capsys.readouterr().out)
    assert "ada/00.ipynb ✓✓✓ 3 of 3 right" in out
    assert "2 × the luckiest seed (best_rate)" in out
    assert (tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()[1] == "ada/00.ipynb,best_rate,right,,"
    for arguments, what in ((["gone"], "there is no gone"), ([str(bob), "--seconds", "0"], "--seconds must be")):
        assert main(["check", *arguments]) == 2 and what in capsys.readouterr().err


def test_answers_come_through_unchanged_and_nothing_else_does() -> None:
    answers = [1, -(10**30), 0.5, float("inf"), "x", True, None, (1, [2, {3}]), {1e-3: frozenset({(1, 2)})}, 1j]
    assert decoded(json.loads(json.dumps(encoded(answers)))) == answers
    for array in (torch.arange(6.0).reshape(2, 3), torch.ones(0, 2, dtype=torch.bool), np.arange(3) * 1j):
        back = decoded(json.loads(json.dumps(encoded(array))))
        assert (
            type(back) is type(array)
            and back.shape == array.shape
            and (back == array).all()
            and back.dtype == array.dtype
        )
    for foreign in (object(), lambda: 1, np.array([object()]), 10**10_000, float):
        assert isinstance(decoded(encoded(foreign)), Foreign)
    for wrong in (
        {"list": 1},
        {"object": []},
        {"list": [], "set": []},
        {"array": ["|O", [1], "AAAA"]},
        {"array": ["<f8", [9], "AA=="]},
    ):
        with pytest.raises(ValueError):
            decoded(wrong)


def test_a_formula_in_a_table_is_text() -> None:
    report = Report("=cmd()", (Said("best_rate", "mistake", "-1", "@sum"),))
    assert reports.to_csv([report]).splitlines()[1] == "'=cmd(),best_rate,mistake,'@sum,'-1"
