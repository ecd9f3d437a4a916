"""How Sphinx makes the book. `book/build.py` puts the sources together and calls it."""

from __future__ import annotations

import re

from physlm_lite import __version__

project, author, release = "physlm-lite", "The physlm-lite authors", __version__
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "physlm-lite"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_extra_path = ["_extra"]
html_show_sourcelink = False

# The notebooks are stored with their outputs. Formulas are HTML, so that no page asks a server for fonts or scripts.
nb_execution_mode = "off"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!physlm_lite\.).*"),
    (r"py:.*", r"physlm_lite\..*\.(T|Result)"),
]  # others' and variables
suppress_warnings = ["ref.python"]  # two stations may each have a `Share`


def _literal(match: re.Match[str]) -> str:
    """Code, as it was before its marks were escaped; what follows at once is parted from it."""
    code = re.sub(r"\\(.)", r"\1", match[1])
    return f"``{code}``" + (f"\\ {match[2]}" if match[2] else "")


def as_rst(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Our docstrings are plain text with `code` in backticks, one or two; what is indented stays as it is."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    found: list[str] = []
    for paragraph in paragraphs:
        text = paragraph.splitlines()
        if any(line.startswith((" ", ">>>")) for line in text):
            found += [".. code-block:: text", "", *(f"   {line}" for line in text), ""]
            continue
        plain = re.sub(r"([*_|\\])", r"\\\1", " ".join(text).replace("``", "`").replace("`", "\0"))
        found += [re.sub("\0([^\0]+)\0(\\w?)", _literal, plain).replace("\0", "\\`"), ""]
    lines[:] = found


def without_ranges(
    app: object, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A value's bounds stand in the code; in a signature they would hide the rest. And a default must be Python."""
    bounds = r"~?typing\.Annotated\[([^,\]]+), [^\]]*?\)\]"
    return signature and re.sub(bounds, r"\1", signature.replace("<factory>", "...")), returns


def setup(app: object) -> None:
    app.connect("autodoc-process-signature", without_ranges)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", as_rst)  # type: ignore[attr-defined]
