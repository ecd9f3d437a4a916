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
    """The figure as a small PNG (a palette of 128 colours is ample for plots)."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", metadata={"Software": None})
    Image.open(raw).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


Output = tuple[dict[str, Any], dict[str, Any]]  # what one output stores: representations, and what is said of them

# JupyterLab shows of an output the richest representation alone, and of a widget whose kernel is gone an error. So the still
# picture, one line, and the widget are outputs of their own; the line brings the style that hides whichever is not wanted.
_OUTPUT = ".jp-OutputArea-child"
_HIDDEN = (
    f"{_OUTPUT}:has(+ {_OUTPUT} .physlm-alive)",
    f"{_OUTPUT}:has(+ {_OUTPUT} + {_OUTPUT} .physlm-alive.physlm-pictured)",
    f"{_OUTPUT}:has(.physlm-still) + {_OUTPUT}:not(:has(.jupyter-widgets *))",
)
STYLE = f"<style>{','.join(_HIDDEN)}{{display:none}}</style>"
MOVES = "A still picture: run this cell, and the controls move it."


def line_above(markup: str) -> str:
    """What is read above a widget that cannot live, as HTML."""
    return f'{STYLE}<div class="physlm-still" style="color:#6b7280">{markup}</div>'


def widget_output(view: widgets.DOMWidget, pictured: bool = False) -> Output:
    """The output that holds a widget and nothing else. pictured: it stands below a still picture, and not only below a line."""
    view.add_class("physlm-alive")
    if pictured:
        view.add_class("physlm-pictured")
    return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": view.model_id}, "text/plain": ""}, {}


class Alive(ABC):
    """Something that moves, shown below what is seen in its place wherever it cannot live: in a notebook that is opened again,
    on a code host, in exported HTML."""

    view: widgets.Box

    @abstractmethod
    def line(self) -> Output:
        """One line on what would move, with `line_above`."""

    def picture(self) -> Output | None:
        """The still picture, if there is one from the start."""
        return None

    def outputs(self) -> list[Output]:
        """All that is stored: the picture, the line, the widget."""
        picture = self.picture()
        return [*filter(None, [picture]), self.line(), widget_output(self.view, picture is not None)]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        outputs = self.outputs()
        for data, metadata in outputs[:-2]:
            display(data, metadata=metadata, raw=True)
        self._said = display(outputs[-2][0], raw=True, display_id=True)
        display(outputs[-1][0], raw=True)

    def renew_line(self) -> None:
        """What is stored of it is what it has come to."""
        said = getattr(self, "_said", None)
        if said is not None and someone_is_there():  # a program wants the same words each time
            said.update(self.line()[0], raw=True)


class Picture:
    """A figure that displays as a PNG; the last expression of a cell is enough."""

    def __init__(self, figure: Figure | bytes, alt: str) -> None:
        self.data, self.alt = figure if isinstance(figure, bytes) else png(figure), alt

    def _repr_mimebundle_(self, **_: Any) -> Output:
        return {"image/png": base64.b64encode(self.data).decode(), "text/plain": self.alt}, {
            "image/png": {"alt": self.alt}
        }


def as_html(piece: Any) -> str:
    """A displayable piece as HTML: its own HTML, its picture, or its text."""
    if hasattr(piece, "_repr_html_"):
        return str(piece._repr_html_())
    bundle = piece._repr_mimebundle_() if hasattr(piece, "_repr_mimebundle_") else {"text/plain": str(piece)}
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    if "text/html" in bundle:
        return str(bundle["text/html"])
    if "image/png" in bundle:
        alt = escaped(bundle["text/plain"])
        return f'<img src="data:image/png;base64,{bundle["image/png"]}" alt="{alt}" style="max-width:100%">'
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
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", object_fit="contain"))
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

    def picture(self) -> Output:
        return Picture(bytes(self.image.value), self.alt)._repr_mimebundle_()

    def line(self) -> Output:
        return {"text/html": line_above(MOVES), "text/plain": MOVES}, {}

    def _repr_mimebundle_(self, **_: Any) -> Output:
        return self.picture()


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
        return {"text/html": "".join(self.still) + (line_above(MOVES) if self.view else ""), "text/plain": text}
