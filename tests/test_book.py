"""The book is built from the notebooks as they are stored, asks nobody for anything, and has no broken link."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import skip_reasons

ROOT = Path(__file__).parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"book_{name}", ROOT / "book" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


book, conf = load("build"), load("conf")


def test_links_lead_to_pages_of_the_book() -> None:
    text = (
        "[![A page](../docs/tab_question.png)](../docs/index.html), [the page](../docs/index.html), "
        "[03 · Depo](03_depo.ipynb), [04 · Brevo](04_brevo.ipynb)"
    )
    page = book.as_page(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)]), {"03_depo.ipynb"})
    assert page.cells[0].source == (
        '<a href="../tab.html"><img src="../_static/tab_question.png" alt="A page"></a>, <a href="../tab.html">the page</a>, '
        "[03 · Depo](03_depo.ipynb), 04 · Brevo"
    )


def test_docstrings_are_plain_text_with_code_in_backticks() -> None:
    lines = ["A `kernel`-wide *sum*, x_ too; ``a*b``s.", "Second line.", "", "    indented | text", "", "lone ` mark"]
    conf.as_rst(None, "function", "name", None, None, lines)
    assert lines[0] == "A ``kernel``-wide \\*sum\\*, x\\_ too; ``a*b``\\ s. Second line."
    assert ".. code-block:: text" in lines and "       indented | text" in lines and "lone \\` mark" in lines


def test_a_signature_shows_types_and_no_bounds() -> None:
    told = "(width: ~typing.Annotated[int, ~physlm_lite.base.strict.Range(least=1, most=None)], more: ~pathlib.Path = <factory>)"
    assert conf.without_ranges(None, "class", "", None, None, told, None) == (
        "(width: int, more: ~pathlib.Path = ...)",
        None,
    )


def test_every_station_of_the_library_has_its_page() -> None:
    pages = book.api_pages(book.STATIONS)
    assert set(pages) == {*book.STATIONS, "index"}
    assert ".. automodule:: physlm_lite.models.canon\n" in pages["models"]
    folders = {path.parent.name for path in (ROOT / "physlm_lite").glob("*/__init__.py")}
    assert folders - set(book.STATIONS) == {"bench", "cli", "lessons", "tab"}


def test_an_unknown_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no notebook begins with 77"):
        book.gather(tmp_path, ["77"])


def test_what_builds_it_is_declared() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {re.split("[>=]", line)[0] for line in extras["book"]} == {"sphinx", "myst-nb", conf.html_theme}
    assert any("book" in line for line in extras["dev"] if line.startswith("physlm_lite["))


@pytest.mark.slow
def test_two_lessons_and_a_station_become_a_site_that_needs_no_network(tmp_path: Path) -> None:
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None:
        pytest.skip(skip_reasons.NO_SPHINX)
    assert book.build(tmp_path / "site", ["02"], ["base"]) == 0, "Sphinx warned of something"
    pages = {str(path.relative_to(tmp_path / "site")): path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    lesson = pages["notebooks/02_canon_layer.html"]
    assert {"index.html", "tab.html", "ledger.html", "search.html", "notebooks/glossary.html", "api/base.html"} <= set(
        pages
    )
    assert 'rel="next"' in lesson and 'href="02b_broken_canon.html"' in lesson
    assert "data:image/png;base64" in lesson or 'src="../_images/' in lesson
    for name, page in pages.items():
        assert not re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=.https?:", page), name
    index = (tmp_path / "site" / "searchindex.js").read_text()
    assert "glossari" in index and "canon" in index
