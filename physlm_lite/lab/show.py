"""Putting figures and widgets on a page, so that a saved notebook still shows a picture where the widget was."""

from __future__ import annotations

import base64
import io
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


def live(view: widgets.Widget, text: str, **more: str) -> dict[str, Any]:
    """What a notebook stores of a widget: the widget, and what readers without a kernel see in its place."""
    model = {"version_major": 2, "version_minor": 0, "model_id": view.model_id}
    return {WIDGET_VIEW: model, "text/plain": text, **more}


class Picture:
    """A figure that displays as a PNG; the last expression of a cell is enough."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self.data, self.alt = png(figure), alt

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"image/png": base64.b64encode(self.data).decode(), "text/plain": self.alt}


def as_html(piece: Any) -> str:
    """A displayable piece as HTML: its own HTML, its picture, or its text."""
    if hasattr(piece, "_repr_html_"):
        return str(piece._repr_html_())
    bundle = piece._repr_mimebundle_() if hasattr(piece, "_repr_mimebundle_") else {"text/plain": str(piece)}
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


class Interactive:
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

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return live(self.view, self.alt, **{"image/png": base64.b64encode(self.image.value).decode()})


class Page:
    """Pieces one below the other, as one output; those with controls stay alive in `view`."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        self.pieces = list(pieces)
        self.still = [f"<div style='margin:6px 0'>{as_html(piece)}</div>" for piece in self.pieces]
        self.view: widgets.VBox | None = None
        if any(isinstance(piece, Interactive) for piece in self.pieces):
            both = zip(self.pieces, self.still, strict=True)
            self.view = widgets.VBox([p.view if isinstance(p, Interactive) else widgets.HTML(html) for p, html in both])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        page = {"text/html": "".join(self.still)}
        text = "\n".join(getattr(piece, "alt", "") for piece in self.pieces)
        return page if self.view is None else live(self.view, text, **page)
