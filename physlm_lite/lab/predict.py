"""Predict first: a question that is answered before any result is shown, and scored at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from ..base.printable import escaped
from .page import Block
from .show import Alive, Output, still

LOCK, UNLOCK = "Lock my guess", "Unlock my guess"


class Prediction(Alive):
    """A question with a slider (`low`, `high`, `step`) or a choice (`options`), and a button that locks the answer.

    `score` compares the answer with the result. What was moved or locked is an answer; a slider left alone is none.
    """

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
        layout = widgets.Layout(width="max-content" if options else "28em")
        value = (low + high) / 2 if start is None else start
        self.control: Any = (
            widgets.RadioButtons(options=list(options), value=None, layout=layout)
            if options
            else widgets.FloatSlider(value=value, min=low, max=high, step=step, layout=layout)
        )
        self.lock_button = widgets.Button(description=LOCK, icon="lock", disabled=self.control.value is None)
        self.lock_button.on_click(lambda _: self.lock(not self.locked))
        self.control.observe(self._touch, "value")
        asked = widgets.HTML(f"<b>Predict first.</b> {escaped(question)}")
        self.view = widgets.VBox([asked, self.control, self.lock_button])

    @property
    def locked(self) -> bool:
        """Was the answer locked?"""
        return bool(self.control.disabled)

    def lock(self, locked: bool = True) -> None:
        """Lock the answer, so that it cannot be moved by accident, or unlock it."""
        self.control.disabled = locked
        self.touched = self.touched or locked
        self.lock_button.description, self.lock_button.icon = (UNLOCK, "unlock") if locked else (LOCK, "lock")

    def _touch(self, _: Any) -> None:
        self.touched = True
        self.lock_button.disabled = False

    def score(self, truth: float | str, explanation: str = "") -> Block:
        """One sentence on how close the prediction was to what came out."""
        guess = self.control.value
        if not self.touched:
            shown = truth if isinstance(truth, str) else f"{truth:.2f}"
            said = f"You made no prediction; the answer is {shown}."
        elif isinstance(truth, str):
            said = f"Right: {truth}." if guess == truth else f"You said “{guess}”; it is “{truth}”."
        else:
            gap = abs(float(guess) - truth)
            word = "Very close" if gap <= 0.1 else "Not far" if gap <= 0.25 else "A surprise"
            said = f"{word}: you said {guess:.2f}, it came out as {truth:.2f}."
        said += f" {explanation}" if explanation else ""
        return Block(f'<div style="border-left:4px solid #4c6a92;padding:6px 12px">{escaped(said)}</div>', said)

    def still_output(self) -> Output:
        asked = f"<b>Predict first.</b> {escaped(self.question)} <i>Run this cell to lock an answer.</i>"
        return {"text/html": still("", asked), "text/plain": f"Predict first. {self.question}"}
