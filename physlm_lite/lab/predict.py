"""Predict first: a question that is answered before any result is shown, and scored at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..base.printable import escaped
from .show import WIDGET_VIEW


class Prediction:
    """A question with a slider (`low`, `high`, `step`) or a choice (`options`); `score` compares it with the result."""

    def __init__(
        self,
        question: str,
        *,
        options: Sequence[str] = (),
        low: float = 0.0,
        high: float = 1.0,
        step: float = 0.05,
        start: float | None = None,
    ) -> None:
        self.question = question
        self.touched = False
        if options:
            self.control: Any = widgets.RadioButtons(
                options=list(options), value=None, layout=widgets.Layout(width="max-content")
            )
        else:
            self.control = widgets.FloatSlider(
                value=(low + high) / 2 if start is None else start,
                min=low,
                max=high,
                step=step,
                layout=widgets.Layout(width="28em"),
            )
        self.control.observe(self._touch, "value")
        self.view = widgets.VBox([widgets.HTML(f"<b>Predict first.</b> {escaped(question)}"), self.control])

    def _touch(self, _: Any) -> None:
        self.touched = True

    def score(self, truth: float | str, explanation: str = "") -> Score:
        """How close the prediction was to what came out."""
        tail = f" {explanation}" if explanation else ""
        if not self.touched:
            shown = truth if isinstance(truth, str) else f"{truth:.2f}"
            return Score(f"You made no prediction; the answer is {shown}.{tail}")
        guess = self.control.value
        if isinstance(truth, str):
            return Score((f"Right: {truth}." if guess == truth else f"You said “{guess}”; it is “{truth}”.") + tail)
        gap = abs(float(guess) - truth)
        word = "Very close" if gap <= 0.1 else "Not far" if gap <= 0.25 else "A surprise"
        return Score(f"{word}: you said {guess:.2f}, it came out as {truth:.2f}.{tail}")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id},
            "text/plain": f"Predict first. {self.question}",
        }


class Score:
    """The sentence that a prediction earns."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        return f'<div style="border-left:4px solid #4c6a92;padding:6px 12px">{escaped(self.message)}</div>'
