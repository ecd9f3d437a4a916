"""Text from outside, from files, records and exceptions, on its way to a terminal or a page."""

from __future__ import annotations

import html
import unicodedata


def printable(text: object) -> str:
    r"""The text with its control characters spelled, so that it cannot steer a terminal; line ends and tabs stay.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return "".join(
        c if c in "\n\t" or unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def on_one_line(text: object, most: int = 1000) -> str:
    r"""One line of at most `most` characters: a message may quote a whole file, so what is too much is cut out inside.

    >>> on_one_line("no\nsuch\x1b[2Jfile")
    'no\\nsuch\\x1b[2Jfile'
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[5 - most // 2 :]}"


def escaped(text: object) -> str:
    """The text as HTML that shows it and does nothing else.

    >>> escaped("<b>1 & 2")
    '&lt;b&gt;1 &amp; 2'
    """
    return html.escape(printable(text))


def failure(error: BaseException) -> str:
    """An exception as HTML: its class and what it says."""
    return f"{type(error).__name__}: {escaped(error)}"
