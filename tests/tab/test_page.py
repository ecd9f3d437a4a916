"""The page that trains in a browser tab: what its sources and its build promise. tests/browser/test_tab.py runs it."""

import gzip
import json
import re
from html import unescape
from pathlib import Path

import pytest

from physlm_lite import cli
from physlm_lite.tab import PAGE, Frame
from physlm_lite.tab.build import SOURCE, page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_built_page_is_what_a_rebuild_gives():
    assert PAGE.read_text(encoding="utf-8") == page(), "build it anew: make tab"
    assert (DOCS / "index.html").read_bytes() == PAGE.read_bytes()


def test_the_page_is_small_and_its_sources_can_be_read():
    built = PAGE.read_bytes()
    assert len(built) <= 60 * 1024
    assert len(gzip.compress(built, 9, mtime=0)) <= 20 * 1024
    lines = [line for path in SOURCE.glob("*.js") for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) <= 900
    assert max(map(len, lines)) <= 120


def test_the_page_names_no_address_that_a_browser_would_ask():
    asked = re.findall(
        r"""(?:src|href|url|fetch|import)\s*[=(]\s*["']?([^"'\s>)]+)""", PAGE.read_text(encoding="utf-8")
    )
    assert asked == ["data:,"]  # the icon, which is empty


def test_settings_and_bars_are_those_of_the_claims():
    kit = json.loads(re.search(r'<script id="kit"[^>]*>(.*?)</script>', PAGE.read_text(encoding="utf-8"))[1])
    assert kit["copy"]["task"] == ["copy", {"n": 24, "shortest": 8}]
    assert kit["copy"]["rule"] == {"at_least": 0.99, "at_most": 0.3}
    assert kit["depo"]["rule"] == {"factor": 2.0, "accuracy": 0.75}
    assert kit["depo"]["guess"] == round(1 / 7, 3)
    for about in kit.values():
        assert [len(side) for side in about["curves"]] == [5, 5]  # five seeds a side


def test_a_notebook_holds_the_whole_page():
    (inside,) = re.findall(r'srcdoc="([^"]*)"', Frame(height=500)._repr_html_())
    assert unescape(inside) == PAGE.read_text(encoding="utf-8")


def test_the_verb_writes_the_page_and_keeps_what_stands_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["tab"]) == 0
    assert (tmp_path / "canon_effect.html").read_bytes() == PAGE.read_bytes()
    (tmp_path / "mine.html").write_text("mine")
    assert cli.main(["tab", "mine.html"]) == 2
    assert "it exists already" in capsys.readouterr().err
    assert (tmp_path / "mine.html").read_text() == "mine"
    assert cli.main(["tab", "mine.html", "--force"]) == 0
    assert (tmp_path / "mine.html").read_bytes() == PAGE.read_bytes()


@pytest.mark.parametrize(("found", "code"), [(True, 0), (False, 2)])
def test_the_verb_opens_the_page_where_there_is_a_browser(tmp_path, capsys, monkeypatch, found, code):
    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or found)
    assert cli.main(["tab", "--open"]) == code
    assert opened == [PAGE.as_uri()]
    assert list(tmp_path.iterdir()) == []
    assert ("no browser" in capsys.readouterr().err) is not found
