"""A frame of ours: it asks nobody for anything, and whoever does not show it shows the still picture."""

from __future__ import annotations

import html as markup
import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import physlm_lite
from physlm_lite.lab import Picture
from physlm_lite.lab.frame import FOLLOWS, Touch

SCRIPTS = sorted((Path(physlm_lite.__file__).parent / "lessons").glob("*/*.js"))
HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_a_frame_holds_its_page_and_beside_it_what_is_seen_without() -> None:
    touch = Touch(SCRIPTS[0], {"said": HOSTILE}, 'a "title"', Picture(Figure(), "what is seen"))
    page = touch.page()
    assert "default-src 'none'" in page and HOSTILE not in page
    text = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1)
    assert json.loads(text) == {"said": HOSTILE}
    bundle = touch._repr_mimebundle_()
    before, still = bundle["text/html"].split("</iframe>")
    assert markup.unescape(re.search(r'srcdoc="([^"]*)"', before).group(1)) == page
    assert 'alt="what is seen"' in still and FOLLOWS in still
    assert bundle["text/plain"] == f'a "title". what is seen. {FOLLOWS}'


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_module_is_small_and_reaches_for_nothing(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text) < 12_000 and "\nfunction view(data, width, memory) {" in text
    assert re.findall(r"^\s*import\b|import\(|fetch\(|XMLHttpRequest|innerHTML|eval\(|https?:", text, re.M) == []
