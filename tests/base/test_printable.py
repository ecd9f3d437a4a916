"""Text from outside steers neither a terminal nor a page."""

from __future__ import annotations

import pytest

from physlm_lite.base.printable import escaped, failure, printable

HOSTILE = "<script>alert('x')</script> \x1b[2J\x07 \u202etxt \ud800"


def test_control_characters_are_spelled() -> None:
    assert printable(HOSTILE) == r"<script>alert('x')</script> \x1b[2J\x07 \u202etxt \ud800"


@pytest.mark.parametrize("text", ["ReLU² · Σ → 1 %", "two\nlines\tand a tab", "a\u00a0fixed space", "中文"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) == text


def test_html_shows_the_text_and_does_nothing_else() -> None:
    assert escaped(HOSTILE) == r"&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; \x1b[2J\x07 \u202etxt \ud800"
    assert failure(ValueError("a < b")) == "ValueError: a &lt; b"
