"""A page that trains the Canon effect in a browser tab (Part 4.1, section 4): one file, no network, nothing to install.

Its sources are in `source/`; `build` joins them, and `index.html` is what it made. A notebook shows it with `Frame`.
"""

from __future__ import annotations

import html
import shutil
from pathlib import Path

PAGE = Path(__file__).with_name("index.html")


def write_page(path: Path, replace: bool = False) -> None:
    """Write the page to `path`, whole or not at all; `StorageError` if something stands there already."""
    from ..base.files import write_whole  # brings PyTorch, which a notebook's first cell can do without

    write_whole(path, lambda temporary: shutil.copyfile(PAGE, temporary), replace=replace)


class Frame:
    """The page inside a notebook's output. It lives in the reader's browser: no kernel is asked, and exported HTML keeps it.

    height: in pixels.
    """

    def __init__(self, height: int = 860) -> None:
        self.height = height

    def _repr_html_(self) -> str:
        page = html.escape(PAGE.read_text(encoding="utf-8"))
        style = f"width:100%;height:{self.height}px;border:1px solid #d8dbe3;border-radius:8px"
        return f'<iframe title="The Canon effect, live in this tab" style="{style}" srcdoc="{page}"></iframe>'
