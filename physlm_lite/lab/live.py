"""A live experiment in a notebook: training in the background, curves as it goes, and a stop button that works."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..base.printable import escaped, failure
from ..claims import Claim, Outcome, replicate, scale_of
from ..claims.replicate import planned
from ..training import Progress, Store
from .announcement import announcement
from .plots import draw_lines, name_lines, new_figure, palette
from .show import WIDGET_VIEW, as_html, png, someone_is_there

REDRAW_SECONDS = 1.5
Report = Callable[[Outcome], Iterable[Any]]


class Live:
    """The sides of a claim, trained here and now at the dial's scale.

    Showing it starts the training in the background and returns at once. `result()` waits and gives the outcome. "Stop"
    ends it at the next step and keeps everything learnt so far; "Go on" continues from exactly there. Two runs are trained
    at a time, each on one thread.
    """

    def __init__(self, claim: Claim, scale: str | None = None, workers: int = 2) -> None:
        self.claim, self.scale, self.workers = claim, scale_of(scale), workers
        self.experiment = claim.experiment(self.scale)
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        self._curves: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        self._steps: dict[str, int] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="physlm-")
        self._store = Store(Path(self._scratch.name))
        self._stop, self._lock, self._drawn = threading.Event(), threading.Lock(), 0.0
        self._thread: threading.Thread | None = None
        self._reports: list[tuple[Report, Any]] = []
        runs = planned(claim, self.scale, self._store)
        self._total = sum(run.training.steps for run in runs)
        self.announcement = announcement(claim, self.scale, runs, workers)
        self.text = widgets.HTML(f"<b>{escaped(self.announcement)}</b>")
        self.bar = widgets.IntProgress(max=self._total, layout=widgets.Layout(width="24em"))
        self.stop_button = widgets.Button(
            description="Stop",
            icon="stop",
            button_style="warning",
            tooltip="stop after this step and keep what was learnt",
        )
        self.go_button = widgets.Button(description="Go on", icon="play", disabled=True)
        self.stop_button.on_click(lambda _: self.stop())
        self.go_button.on_click(lambda _: self.start())
        self.image = widgets.Image(format="png", value=png(self.figure()))
        self.view = widgets.VBox([self.text, widgets.HBox([self.bar, self.stop_button, self.go_button]), self.image])

    # -- control -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or go on after a stop."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self.stop_button.disabled, self.go_button.disabled = False, True
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"live-{self.claim.id}")
        self._thread.start()

    def stop(self) -> None:
        """Stop after the present step; what was learnt is kept."""
        self._stop.set()

    def result(self) -> Outcome:
        """Wait for the end (or for a stop) and return the outcome; interrupting the kernel is a stop, too."""
        self.start_once()
        assert self._thread is not None
        try:
            while self._thread.is_alive():
                self._thread.join(0.1)
        except KeyboardInterrupt:
            self.stop()
            self._thread.join()
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome

    def when_done(self, report: Report) -> Report:
        """A decorator: show the pieces that `report(outcome)` returns, at this place of the page, once training has ended.

        The cell returns at once, so that the kernel stays free to hear the stop button. Where a program runs the notebook,
        it waits instead.
        """
        from IPython.display import HTML, display

        self.start_once()
        if not someone_is_there():
            for piece in report(self.result()):
                display(piece)
            return report
        handle = display(HTML("<i>the result appears here when the training has ended</i>"), display_id=True)
        with self._lock:
            self._reports.append((report, handle))
        if self._thread is not None and not self._thread.is_alive():
            self._show_reports()
        return report

    def _show_reports(self) -> None:
        from IPython.display import HTML

        with self._lock:
            reports, self._reports = self._reports, []
        for report, handle in reports:
            try:
                assert self.outcome is not None
                page = "".join(f"<div style='margin:6px 0'>{as_html(piece)}</div>" for piece in report(self.outcome))
            except Exception as error:  # the reader's own function, in a thread that has nobody else to tell
                page = f"<b>the report failed:</b> {failure(error)}"
            handle.update(HTML(page))

    def start_once(self) -> None:
        if self._thread is None:
            self.start()

    # -- work ----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        begin = time.perf_counter()
        try:
            self.outcome = replicate(
                self.claim,
                self.scale,
                store=self._store,
                progress=self._report,
                stop=self._stop.is_set,
                workers=self.workers,
            )
        except Exception as error:  # shown here and raised again by result(): a thread has nobody else to tell
            self.error = error
            self.text.value = f"<b>stopped by an error:</b> {failure(error)}"
            return
        self._redraw()
        seconds = time.perf_counter() - begin
        stopped = self._stop.is_set()
        if not stopped:
            self._show_reports()
        self.stop_button.disabled, self.go_button.disabled = True, not stopped
        self.text.value = (
            f"stopped after {seconds:.0f} s; everything learnt so far is kept, and “Go on” continues from here"
            if stopped
            else f"finished in {seconds:.0f} s. Verdict: <b>{self.outcome.verdict.word}</b>"
        )

    def _report(self, side: str, progress: Progress) -> None:
        with self._lock:
            self._steps[progress.run.hash] = progress.step
            if progress.scores is not None:
                self._curves[side, progress.run.seed].append({"step": progress.step, **progress.scores})
                if time.perf_counter() - self._drawn > REDRAW_SECONDS:
                    self._redraw()
            if progress.step % 10 == 0:
                self.bar.value = sum(self._steps.values())

    def _redraw(self) -> None:
        self.bar.value = sum(self._steps.values())
        self.image.value = png(self.figure())
        self._drawn = time.perf_counter()

    def figure(self) -> Figure:
        """The curves so far, a panel for each score."""
        curves = dict(self._curves)
        metrics = self.experiment.panels
        figure, axes = new_figure(len(metrics), width=4.2 * max(len(metrics), 1.6), height=3.0)
        for axis, metric in zip(axes, metrics, strict=True):
            lines: dict[str, list[list[tuple[float, float]]]] = {side: [] for side in self.experiment.sides}
            for (side, _), tests in curves.items():
                lines[side].append([(test["step"], metric.of(test)) for test in list(tests)])
            draw_lines(axis, lines, metric.share, mean=False)
            axis.set(xlim=(0, self.experiment.training.steps * 1.03), title=metric.label)
        axes[0].set_ylabel("accuracy, one line a seed" if metrics[0].share else "one line a seed")
        name_lines(axes[0], palette(self.experiment.sides), loc="upper left")
        return figure

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        self.start_once()
        return {
            WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id},
            "text/plain": self.announcement,
        }
