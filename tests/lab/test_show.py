"""What a reader touches: an error in a callback is shown and kept, and a prediction is scored."""

from __future__ import annotations

import ipywidgets as widgets
from matplotlib.figure import Figure

from physlm_lite.lab import CheckResult, Interactive, Prediction
from physlm_lite.lab.page import table
from physlm_lite.lab.show import WIDGET_VIEW, as_html


def test_a_failing_callback_is_shown_and_kept() -> None:
    def draw(x: int) -> Figure:
        if x == 2:
            raise RuntimeError("no such picture")
        return Figure()

    explorer = Interactive(draw, {"x": widgets.IntSlider(value=1, min=1, max=3)}, "a test")
    explorer.controls["x"].value = 2
    assert "no such picture" in explorer.text.value
    assert len(explorer.errors) == 1


def test_the_display_carries_the_widget_and_a_still_picture() -> None:
    explorer = Interactive(lambda x: Figure(), {"x": widgets.IntSlider(value=1, min=1, max=3)}, "what is seen")
    seen, widget = explorer.outputs()
    assert "base64,iVBOR" in seen["text/html"] and 'alt="what is seen"' in seen["text/html"]
    assert "A still picture" in seen["text/html"]
    assert WIDGET_VIEW in widget and "text/html" not in widget


def test_a_prediction_is_scored() -> None:
    silent = Prediction("how much?")
    assert "no prediction" in silent.score(0.3).text
    slider = Prediction("how much?", start=0.5)
    slider.control.set_state({"value": 0.35})
    assert "Very close" in slider.score(0.3).text
    assert "surprise" in slider.score(0.9).text
    left_alone = Prediction("how much?", start=0.5)
    left_alone.lock_button.click()
    assert left_alone.control.disabled
    assert "you said 0.50" in left_alone.score(0.3).text
    left_alone.lock_button.click()
    assert not left_alone.control.disabled
    choice = Prediction("which?", options=("left", "right"))
    assert choice.lock_button.disabled  # there is nothing to lock yet
    choice.control.value = "left"
    assert not choice.lock_button.disabled
    assert "Right" in choice.score("left").text
    assert "“right”" in choice.score("right").text


HOSTILE = "<img src=x onerror=alert(1)> \x1b[2J"


def test_what_an_error_says_is_shown_and_not_carried_out() -> None:
    def draw(x: int) -> Figure:
        if x == 2:
            raise RuntimeError(HOSTILE)
        return Figure()

    explorer = Interactive(draw, {"x": widgets.IntSlider(value=1, min=1, max=3)}, "a test")
    explorer.controls["x"].value = 2
    shown = {
        "a widget": explorer.text.value,
        "a table": table(("side",), [(HOSTILE,)]).markup,
        "a check": CheckResult("failed", HOSTILE)._repr_html_(),
        "a prediction": Prediction("which?", options=("left", HOSTILE)).score(HOSTILE).markup,
        "an answer without HTML": as_html(HOSTILE),
    }
    for where, text in shown.items():
        assert "<img" not in text and "\x1b" not in text, where
        assert "&lt;img src=x" in text, where
    assert "\x1b" not in str(CheckResult("failed", HOSTILE)) + table(("side",), [(HOSTILE,)]).text
