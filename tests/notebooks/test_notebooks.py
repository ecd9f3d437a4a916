"""The stored notebooks are what their sources say, and every one of them runs in a fresh kernel."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbconvert import HTMLExporter

from physlm_lite.lab import show

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("notebook_build", ROOT / "notebooks" / "build.py")
assert _spec is not None and _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
sys.modules["notebook_build"] = build
_spec.loader.exec_module(build)

SOURCES = build.sources()
NAMES = [path.stem for path in SOURCES]


def stored(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", 4)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_stored_notebook_is_its_source_cell_by_cell(source: Path) -> None:
    fresh, kept = build.from_source(source), stored(source)
    assert [(c.id, c.cell_type, c.source) for c in kept.cells] == [(c.id, c.cell_type, c.source) for c in fresh.cells]
    assert kept.metadata["physlm"]["fingerprint"] == build.fingerprint(source), "run `make notebooks`"


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_stored_notebook_shows_its_figures_and_nothing_private(source: Path) -> None:
    notebook = stored(source)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [build.PICTURE.findall(output.get("data", {}).get("text/html", "")) for output in outputs]
    pictures = [picture for page in pages for picture in page]
    assert len(pictures) >= 2
    plain = [[output.data["image/png"]] if "image/png" in output.get("data", {}) else [] for output in outputs]
    assert any(plain) and plain == [page if len(page) == 1 else [] for page in pages]
    assert max(map(len, pictures)) < 200_000, "a figure should be a small PNG"
    assert not any(output.output_type == "error" for output in outputs)
    assert "widgets" not in notebook.metadata
    assert not any(build.WIDGET_VIEW in output.get("data", {}) for output in outputs)
    text = (ROOT / "notebooks" / f"{source.stem}.ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|work|Users)/", text), "a path of somebody's machine"


PAGE = 930  # pixels: the width of an output in JupyterLab, in a window of 1280 with the file browser open
LETTERS_PX = 11
LINE = 110  # letters of printed text that fit into this width


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_letters_in_pictures_can_be_read_and_printed_lines_fit(source: Path) -> None:
    from PIL import Image

    for cell in stored(source).cells:
        for output in cell.get("outputs", ()):
            page = output.get("data", {}).get("text/html", "")
            for picture in build.PICTURE.findall(page):
                image = Image.open(io.BytesIO(base64.b64decode(picture)))
                letters = float(image.text[show.LETTERS]) * min(1, PAGE / image.width)
                assert letters >= LETTERS_PX, (cell.source, image.size, letters)
            for line in output.get("text", "").splitlines():
                assert len(line) <= LINE, (cell.source, line)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_notebook_has_the_shape_of_a_lesson(source: Path) -> None:
    notebook = build.from_source(source)
    text = "\n".join(cell.source for cell in notebook.cells)
    live = ("scale_table(", "Live(", "ledger_row(")
    elsewhere = ("PublishedCurves(", "published_rows(")  # where nobody here can run what the claims are about
    kind = elsewhere if "published_claim(" in text else live
    of_a_claim = (
        (*kind, "claim_card(", "Simplified or full") if source.stem[2] == "_" and source.stem < "90" else ()
    )  # 02b is a page of exercises; from 90 on the claims are the reader's
    for part in (*of_a_claim, "Prediction(", "## Exercises"):
        assert part in text, part
    assert not of_a_claim or text.index("Prediction(") < text.index("claim_card("), (
        "the answer stands before the question"
    )
    checks = re.findall(r'^check\("(\w+)"', text, flags=re.MULTILINE)
    assert len(checks) >= 3
    trained = len(re.findall(r"^\w+ = Own\(", text, flags=re.MULTILINE))  # judged by a claim's rule instead of a check
    exercises = len(checks) + trained
    assert text.count("<summary>Hint</summary>") == text.count("<summary>Solution</summary>") == exercises


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_printed_solutions_pass_their_checks(source: Path) -> None:
    """The folded solutions in the text are real code: run each and check it."""
    check = importlib.import_module(f"physlm_lite.lessons.{source.stem.partition('_')[2]}").check
    notebook = build.from_source(source)
    text = "\n".join(cell.source for cell in notebook.cells)
    names = re.findall(r'^check\("(\w+)"', text, flags=re.MULTILINE)
    solutions = re.findall(r"<summary>Solution</summary>\s*```python\n(.*?)```", text, flags=re.DOTALL)
    trained = len(
        re.findall(r"^\w+ = Own\(", text, flags=re.MULTILINE)
    )  # they come last; tests/lab/test_own.py looks at them
    assert len(solutions) == len(names) + trained
    for name, code in zip(names, solutions, strict=False):
        scope = {"np": np, "torch": torch, "F": torch.nn.functional}
        exec(code, scope)
        defined = re.findall(r"^def (\w+)", code, flags=re.MULTILINE)
        assert check(name, scope[defined[-1]]).status == "passed", name


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_no_solution_stands_where_the_reader_is_to_write(source: Path) -> None:
    cells = [
        cell.source for cell in build.from_source(source).cells if re.search("^check\\(", cell.source, re.MULTILINE)
    ]
    assert all("    return ...\n" in cell and "# solution" not in cell for cell in cells)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_an_exported_page_needs_no_network_for_its_formulas_and_has_a_text_for_every_picture(
    source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = stored(source)
    for cell in notebook.cells:
        if (
            cell.cell_type == "markdown"
        ):  # formulas are HTML: TeX would want MathJax, which exported pages load from the network
            assert "$" not in re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.DOTALL), cell.source
    html, _ = HTMLExporter().from_notebook_node(notebook)
    assert "No description has been provided" not in html and "Alternative text is missing" not in caplog.text
    assert not re.search(r"<(?:img|link)[^>]+(?:src|href)=.https?:", html)


def test_a_word_of_the_glossary_is_explained_once_and_only_in_running_text() -> None:
    cells = [
        nbformat.v4.new_markdown_cell(text)
        for text in (
            "# Hops\n\n| hops | x |\n`hop` [two hops](03_depo.ipynb)\n\nHops are steps. One hop more, a hop-count.",
            "In nats: a tap, taps, and KL. <b>KL</b>",
        )
    ]
    build.with_tooltips(cells)
    first, second = (cell.source for cell in cells)
    assert first.count("<abbr") == 1 and ">Hops</abbr> are steps" in first
    assert [word for word in ("nats", "tap", "KL") if f">{word}</abbr>" in second] == ["nats", "tap", "KL"]
    assert second.count("<abbr") == 3
    meanings = build.glossary()
    assert meanings["hop"] == meanings["hops"] and len(set(meanings.values())) > 30
    assert sorted(meanings, key=str.lower) == list(meanings), "the glossary is in the order of the alphabet"


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_tooltips_change_no_word(source: Path) -> None:
    text = "\n".join(cell.source for cell in build.from_source(source).cells)
    explained = re.findall(r'<abbr title="([^"]*)">', text)
    assert 3 <= len(explained) == len(set(explained))
    plain = re.sub(r"</?abbr[^>]*>", "", text)
    assert "abbr" not in plain and "```<" not in plain


SOLVED = '''import math


def area(radius):
    """Of a disc."""
    # solution: A remark
    # of two lines.
    square = radius**2
    return math.pi * square


check("area", area)'''


def test_every_notebook_leads_to_the_next_and_says_what_it_takes() -> None:
    for before, path, after in zip([None, *SOURCES], SOURCES, [*SOURCES[1:], None], strict=False):
        cells = build.from_source(path).cells
        head, tail = cells[0].source, cells[-1].source
        exercises = re.findall(r"^# \*\*\d+ · .*\*\* \((\d+) minutes", path.read_text(encoding="utf-8"), flags=re.M)
        assert f"minutes, and {sum(map(int, exercises))} for the exercises" in head
        for neighbour, where in ((before, [head]), (after, [head, tail])):
            assert neighbour is None or all(f"]({neighbour.stem}.ipynb)" in text for text in where)


def test_every_notebook_opens_in_binder_and_colab_as_soon_as_the_kit_has_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert build.repository() is None, "then rebuild the notebooks, and turn this test round"
    monkeypatch.setattr(build, "repository", lambda: "https://github.com/somebody/kit")
    before = [path for path in SOURCES if path.stem < "02c"]
    for path in before:
        notebook = build.from_source(path)
        head = notebook.cells[0].source
        assert f"(https://mybinder.org/v2/gh/somebody/kit/main?urlpath=lab/tree/notebooks/{path.stem}.ipynb)" in head
        assert f"(https://colab.research.google.com/github/somebody/kit/blob/main/notebooks/{path.stem}.ipynb)" in head
        command = re.search(r"`%pip install -q (.*)`", head)
        assert command is not None and "git+https://github.com/somebody/kit" in command[1]
        assert "torch" not in command[1] and "--upgrade" not in command[1], "Colab keeps its own"
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        assert code == [cell.source for cell in stored(path).cells if cell.cell_type == "code"], (
            "no need to run it again"
        )


def test_an_address_that_binder_cannot_open_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nurls = {Repository = "https://example.org/kit"}\n')
    monkeypatch.setattr(build, "HERE", tmp_path / "notebooks")
    with pytest.raises(ValueError, match="Binder and Colab open"):
        build.repository()


def test_a_header_without_its_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "00_lost.py"
    path.write_text("# %% [markdown]\n# # 00 · Lost\n", encoding="utf-8")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    with pytest.raises(ValueError, match=r"00_lost.py: the header says"):
        build.from_source(path)


def test_a_solved_cell_becomes_a_stub_and_a_folded_solution() -> None:
    stub, folded = build.stub_and_solution(SOLVED)
    assert stub == ('import math\n\n\ndef area(radius):\n    """Of a disc."""\n    return ...\n\n\ncheck("area", area)')
    assert folded == (
        "<details><summary>Solution</summary>\n\n```python\ndef area(radius):\n    square = radius**2\n"
        "    return math.pi * square\n```\nA remark\nof two lines.\n</details>\n\n"
    )
    assert build.stub_and_solution(stub) == (stub, "")


def test_a_solution_has_a_function_around_it_and_a_text_below_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside a function"):
        build.stub_and_solution("if True:\n    # solution\n    pass")
    path = tmp_path / "77_lost.py"
    for below in ("", "# %%\n1 + 1\n"):
        path.write_text(f"# %%\n{SOLVED}\n\n{below}", encoding="utf-8")
        with pytest.raises(ValueError, match=r"77_lost\.py: a cell of text must follow"):
            build.from_source(path)


@pytest.mark.sampled(3)
@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_the_notebook_runs_from_a_fresh_kernel(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSLM_SCALE", "smoke")
    notebook = build.execute(build.from_source(source), scale="smoke", timeout=300)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    opened = [
        output for cell in code for output in cell.outputs if "is not attempted yet" in str(output.get("data", {}))
    ]
    assert len(opened) >= 3, "the exercises should be open in a fresh notebook"


def test_errors_inside_widgets_are_found() -> None:
    model = {"state": {"outputs": [{"output_type": "error", "ename": "ValueError", "evalue": "x"}]}}
    shown = {"state": {"value": "<b>could not draw this:</b> ValueError: y"}}
    notebook = nbformat.v4.new_notebook()
    assert build.widget_errors(notebook) == []
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": model, "b": shown}}}
    assert len(build.widget_errors(notebook)) == 2


def test_an_error_in_a_cell_stops_the_build() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")], metadata=dict(build.KERNEL))
    with pytest.raises(Exception, match="ZeroDivisionError"):
        build.execute(notebook, scale="smoke", timeout=60)


def test_an_unknown_notebook_is_refused() -> None:
    with pytest.raises(SystemExit, match="no notebook begins with '77'"):
        build.sources(["77"])
