"""A page of ours in a frame of its own: what one ES module draws in the browser from data, without kernel and network.

`frame.js` holds what all modules stand on, `frame.css` how they look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from ..base.printable import escaped

# Nothing but what stands in the file: a browser that keeps to this asks no other machine for anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_HERE = Path(__file__).parent


@cache
def read(path: str | Path) -> str:
    """The text of a file, which is looked for beside this one."""
    return (_HERE / path).read_text(encoding="utf-8")


def whole_page(title: str, data: Mapping[str, Any], module: str, style: str = "") -> str:
    """One self-contained page. The module finds `data`, and the element with the id "page" to draw into."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{read('frame.css')}{style}</style>\n</head>\n<body>\n"
        '<div id="page"><noscript>This page draws its figures in the browser and needs JavaScript.</noscript></div>\n'
        f'<script id="data" type="application/json">{text}</script>\n'
        "<script type=\"module\">\nconst data = JSON.parse(document.getElementById('data').textContent);\n"
        f"{module}</script>\n</body>\n</html>\n"
    )


def framed(page: str, title: str, height: int) -> str:
    """A whole page in a frame, for a notebook."""
    inside = page.replace("&", "&amp;").replace('"', "&quot;")
    return f'<iframe title="{escaped(title)}" style="width:100%;height:{height}px;border:0" srcdoc="{inside}"></iframe>'


class Shown(Protocol):
    """A picture as `show.Picture` makes it."""

    alt: str

    def _repr_mimebundle_(self) -> dict[str, Any]: ...


# A code host and a notebook that is not trusted take the frame away, and the style, too: then the still picture is seen.
_UNFRAMED = "<style>.physlm-touch:has(iframe) > .physlm-unframed{display:none}</style>"
FOLLOWS = "A still picture: in a browser that shows this notebook or its HTML page whole, it follows the finger."


class Touch:
    """A picture that follows the finger, in the browser.

    script: a JavaScript file that defines `view(data, width, memory)`, which returns an element; `memory` is an object that
    it keeps when the page is drawn anew for another width. It stands on the functions of frame.js. data: what it draws,
    JSON-ready. title: what is seen, for those who do not see it. still: for viewers that have no frames. height: in pixels,
    until the page has said how high it is.
    """

    def __init__(self, script: Path, data: Mapping[str, Any], title: str, still: Shown, height: int = 600) -> None:
        self.script, self.data, self.title, self.still, self.height = script, data, title, still, height

    def page(self) -> str:
        """The page in the frame."""
        start = "mount(view, data, document.getElementById('page'));\n"
        return whole_page(self.title, self.data, f"{read('frame.js')}\n{read(self.script)}\n{start}")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        frame = framed(self.page(), self.title, self.height)
        unframed = f"{self.still._repr_mimebundle_()['text/html']}<div style='color:#6b7280'>{FOLLOWS}</div>"
        markup = f'{_UNFRAMED}<div class="physlm-touch">{frame}<div class="physlm-unframed">{unframed}</div></div>'
        return {"text/html": markup, "text/plain": f"{self.title}. {self.still.alt}. {FOLLOWS}"}
