"""Putting figures and widgets on a page, so that a saved notebook still shows a picture where the widget was."""

from __future__ import annotations

import base64
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..base.printable import escaped, failure
from .controls import align

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def png(figure: Figure) -> bytes:
    """The figure as a small PNG (a palette of 128 colours is ample for plots). It says how high its smallest letters are."""
    from PIL import Image, PngImagePlugin

    raw, small, said = io.BytesIO(), io.BytesIO(), PngImagePlugin.PngInfo()
    figure.savefig(raw, format="png", metadata={"Software": None})
    said.add_text(LETTERS, f"{smallest_letters(figure):.1f}")
    picture = Image.open(raw).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(small, "PNG", optimize=True, pnginfo=said)
    return small.getvalue()


LETTERS = "smallest letters"  # in pixels of the picture; a test reads it where the picture is stored


def smallest_letters(figure: Figure) -> float:
    """The size of the smallest letters that are drawn, in pixels."""
    from matplotlib.text import Text

    drawn = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return min((float(text.get_fontsize()) for text in drawn), default=99.0) * figure.dpi / 72


Output = dict[str, Any]  # the representations that one output stores

# JupyterLab shows of an output the richest representation alone, and of a widget whose kernel is gone an error. So the widget
# is an output of its own, below what is seen in its place; and that brings the style which hides whichever is not wanted.
_OUTPUT = ".jp-OutputArea-child"
_HIDDEN = (
    f"{_OUTPUT}:has(+ {_OUTPUT} .physlm-alive)",
    f"{_OUTPUT}:has(.physlm-still) + {_OUTPUT}:not(:has(.jupyter-widgets *))",
)
STYLE = f"<style>{','.join(_HIDDEN)}{{display:none}}</style>"
MOVES = "A still picture: run this cell, and the controls move it."


def still(markup: str, line: str) -> str:
    """What is seen in the place of a widget that cannot live, as HTML: a picture, and a line on what would move."""
    return f'{STYLE}{markup}<div class="physlm-still" style="color:#6b7280">{line}</div>'


def widget_output(view: widgets.DOMWidget) -> Output:
    """The output that holds a widget and nothing else."""
    view.add_class("physlm-alive")
    return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": view.model_id}, "text/plain": ""}


class Alive(ABC):
    """Something that moves, shown below what is seen in its place wherever it cannot live: in a notebook that is opened again,
    on a code host, in exported HTML."""

    view: widgets.Box
    _shown: Any = None

    @abstractmethod
    def still_output(self) -> Output:
        """What is seen in its place, made by `still`."""

    def outputs(self) -> list[Output]:
        """All that is stored."""
        return [self.still_output(), widget_output(self.view)]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        first, alive = self.outputs()
        self._shown = display(first, raw=True, display_id=True)
        display(alive, raw=True)

    def renew_still(self) -> None:
        """What is stored of it is what it has come to."""
        if self._shown is not None and someone_is_there():  # a program wants the same words each time
            self._shown.update(self.still_output(), raw=True)


class Picture:
    """A figure that displays as a PNG; the last expression of a cell is enough.

    It is an image of HTML, because the text that says what is seen (`alt`) gets lost on the way of any other.
    """

    def __init__(self, figure: Figure | bytes, alt: str) -> None:
        self.data, self.alt = figure if isinstance(figure, bytes) else png(figure), alt

    def _repr_mimebundle_(self, **_: Any) -> Output:
        source = f"data:image/png;base64,{base64.b64encode(self.data).decode()}"
        markup = f'<img src="{source}" alt="{escaped(self.alt)}" style="max-width:100%;height:auto">'
        return {"text/html": markup, "text/plain": self.alt}


def as_html(piece: Any) -> str:
    """A displayable piece as HTML: its own HTML, its picture, or its text."""
    if hasattr(piece, "_repr_html_"):
        return str(piece._repr_html_())
    bundle = piece._repr_mimebundle_() if hasattr(piece, "_repr_mimebundle_") else {"text/plain": str(piece)}
    if "text/html" in bundle:
        return str(bundle["text/html"])
    return f"<pre>{escaped(bundle['text/plain'])}</pre>"


def someone_is_there() -> bool:
    """Is a person at this notebook? A kernel that was told that nobody can answer questions is run by a program."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))


class Interactive(Alive):
    """Controls over a picture. `draw(**values)` returns a figure; each change of a control draws it anew.

    The display carries the live widget and, for readers without a kernel, the first picture. An error in `draw` is shown in
    place of the picture and kept in `errors`, so that a test can be strict about it.
    """

    def __init__(
        self,
        draw: Callable[..., Figure],
        controls: Mapping[str, widgets.ValueWidget],
        alt: str,
        extra: Callable[..., str] | None = None,
    ) -> None:
        self.draw, self.controls, self.alt, self.extra = draw, dict(controls), alt, extra
        self.errors: list[Exception] = []
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.image.add_class("physlm-picture")
        self.text = widgets.HTML()
        align(self.controls.values())
        self.view = widgets.VBox([*self.controls.values(), self.image, self.text])
        for control in self.controls.values():
            control.observe(self.update, "value")
        self.update()

    def update(self, _: Any = None) -> None:
        values = {name: control.value for name, control in self.controls.items()}
        try:
            self.image.value = png(self.draw(**values))
            self.text.value = self.extra(**values) if self.extra is not None else ""
        except Exception as error:  # a widget callback has nobody above it to report to
            self.errors.append(error)
            self.text.value = f"<b>could not draw this:</b> {failure(error)}"

    def still_output(self) -> Output:
        return {"text/html": still(as_html(self), MOVES), "text/plain": f"{self.alt}. {MOVES}"}

    def _repr_mimebundle_(self, **_: Any) -> Output:
        return Picture(bytes(self.image.value), self.alt)._repr_mimebundle_()


class Page:
    """Pieces one below the other, as one output; those with controls stay alive in `view`, which is an output of its own."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self.pieces = list(pieces)
        self.still = [f"<div style='margin:6px 0'>{as_html(piece)}</div>" for piece in self.pieces]
        self.view: widgets.VBox | None = None
        if any(isinstance(piece, Interactive) for piece in self.pieces):
            both = zip(self.pieces, self.still, strict=True)
            self.view = widgets.VBox([p.view if isinstance(p, Interactive) else widgets.HTML(html) for p, html in both])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        text = "\n".join(getattr(piece, "alt", "") for piece in self.pieces)
        markup = "".join(self.still)
        return {"text/html": markup if self.view is None else still(markup, MOVES), "text/plain": text}
