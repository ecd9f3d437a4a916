"""Small models of a lesson: trained apart, stopped and gone on with, and shown once they are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from IPython.display import HTML

from physlm_lite.lab import Interactive, Trained, new_figure
from physlm_lite.lab import background as module
from physlm_lite.lab.show import MOVES, WIDGET_VIEW, Page, widget_output
from physlm_lite.training import Run, Store, Training
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def manager(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with Manager(Store(runs), workers=1) as manager:
        monkeypatch.setattr(module, "manager_of", lambda folder: manager)
        yield manager


def small(steps: int, seed: int = 0) -> Run:
    training = Training(steps=steps, batch=2, warmup=3, evaluations=1, evaluation_rows=4)
    return Run("copy", {"n": 6}, {"width": 8, "layers": 1, "heads": 1}, training, seed)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def test_models_are_trained_apart_stopped_gone_on_with_and_known_from_then_on() -> None:
    runs = small(1500), small(40, seed=1)
    models = Trained(*runs)
    assert models.announcement == "2 small models, 1,540 steps of training"
    seen, alive = models.outputs()  # showing it starts it
    assert "2 small models" in seen["text/html"] and WIDGET_VIEW in alive
    until(lambda: models.bar.value > 3)
    models.stop_button.click()
    until(lambda: not models.go_button.disabled)
    assert "stopped after" in models.text.value and models.outcome is None and models.bar.value < 1540
    models.go_button.click()
    assert [record.run for _, record in models.result()] == list(runs)
    assert models.text.value.startswith("trained in") and models.bar.value == 1540
    again = Trained(*runs)  # the cell, run again
    assert again.result()[0][1] == models.result()[0][1]
    assert again.text.value == "trained earlier, and kept"


def test_where_a_program_runs_the_notebook_the_report_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    models, seen = Trained(small(40)), []

    @models.when_done
    def look(trained: Any) -> list[Any]:
        seen.extend(trained)
        return ["a piece"]

    assert len(seen) == 1 and "a piece" in capsys.readouterr().out


def test_a_report_is_one_output_whose_sliders_stay_alive() -> None:
    explorer = Interactive(lambda n: new_figure(1)[0], {"n": widgets.IntSlider(1, 1, 3)}, "a picture")
    still, alive = Page([HTML("<b>bold</b>"), "plain"]), Page([HTML("<b>bold</b>"), explorer])
    shown = still._repr_mimebundle_()
    assert still.view is None and MOVES not in shown["text/html"]
    assert "<b>bold</b>" in shown["text/html"] and "plain" in shown["text/html"]
    shown = alive._repr_mimebundle_()
    assert alive.view is not None and alive.view.children[1] is explorer.view
    assert widget_output(alive.view)[WIDGET_VIEW]["model_id"] == alive.view.model_id
    assert "data:image/png" in shown["text/html"] and MOVES in shown["text/html"]  # for readers without a kernel
