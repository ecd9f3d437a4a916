"""Text from outside steers neither a terminal nor a page."""

from __future__ import annotations

import pytest

from physlm_lite.base.printable import escaped, failure, on_one_line, printable

HOSTILE = "<script>alert('x')</script> \x1b[2J\x07 \u202etxt \ud800"


def test_control_characters_are_spelled() -> None:
    assert printable(HOSTILE) == r"<script>alert('x')</script> \x1b[2J\x07 \u202etxt \ud800"


@pytest.mark.parametrize("text", ["ReLU² · Σ → 1 %", "two\nlines\tand a tab", "a\u00a0fixed space", "中文"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) == text


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert on_one_line("two\r\nlines\t\u2028" + HOSTILE).startswith(r"two\r\nlines\t\u2028<script>")
    assert on_one_line("ReLU² · Σ → 1 %") == "ReLU² · Σ → 1 %"
    long = on_one_line(f"unknown name '{'a' * 10**6}'; did you mean 'b'?")
    assert len(long) == 1000 and long.startswith("unknown name 'aaa") and long.endswith("aaa'; did you mean 'b'?")
    assert " ... " in long and len(on_one_line("\x1b" * 10**5)) == 1000


def test_html_shows_the_text_and_does_nothing_else() -> None:
    assert escaped(HOSTILE) == r"&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; \x1b[2J\x07 \u202etxt \ud800"
    assert failure(ValueError("a < b")) == "ValueError: a &lt; b"
