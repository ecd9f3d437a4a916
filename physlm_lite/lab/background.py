"""The runs of a notebook: in processes of their own, so that its kernel stays free."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import ipywidgets as widgets

from ..base.printable import escaped, failure
from ..models import LanguageModel
from ..training import Record, Run, Store, runs_folder
from ..training.manager import Manager
from .show import Alive, Output, Page, someone_is_there, still, widget_output

Result = TypeVar("Result")
Models = Sequence[tuple[LanguageModel, Record]]


@cache
def manager_of(folder: Path, workers: int = 2) -> Manager:
    """One for all cells of this kernel, which share its warm workers."""
    return Manager(Store(folder), workers)


class Background(Alive, Generic[Result]):
    """Something that takes a while, with a text, a bar, "Stop" and "Go on", and what is shown once it has ended.

    Showing it starts it and returns at once. `result()` waits. `steps`: what the bar counts up to.
    """

    def __init__(self, announcement: str, steps: int) -> None:
        self.announcement = announcement
        self.outcome: Result | None = None
        self.error: Exception | None = None
        self.text = widgets.HTML(f"<b>{escaped(announcement)}</b>")
        self.bar = widgets.IntProgress(max=steps, layout=widgets.Layout(width="24em"))
        tip = "stop after this step and keep what was learnt"
        self.stop_button = widgets.Button(description="Stop", icon="stop", button_style="warning", tooltip=tip)
        self.go_button = widgets.Button(description="Go on", icon="play", disabled=True)
        self.stop_button.on_click(lambda _: self.stop())
        self.go_button.on_click(lambda _: self.go_on())
        self.view = widgets.VBox([self.text, widgets.HBox([self.bar, self.stop_button, self.go_button])])
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._reports: list[tuple[Callable[[Result], Iterable[Any]], Any, Any]] = []

    # -- what it is ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def carry_out(self) -> tuple[str, bool]:
        """Do it, in a thread of its own, until it is done or `_stop` is set; what to say at the end, and whether it is done."""

    def bring_up_to_date(self) -> None:
        """Draw the last state, if there is something to draw."""

    def go_on(self) -> None:
        """What "Go on" does."""
        self.start()

    # -- control -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or go on after a stop."""
        if self._thread is not None and self._thread.is_alive():
            if self.go_button.disabled:
                return
            self._thread.join()  # it has nothing left to do
        self._stop.clear()
        self.text.value = f"<b>{escaped(self.announcement)}</b>"
        self.stop_button.disabled, self.go_button.disabled = False, True
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"background-{self.announcement[:20]}")
        self._thread.start()

    def start_once(self) -> None:
        if self._thread is None:
            self.start()

    def stop(self) -> None:
        """Stop after the present step; what was learnt is kept."""
        self._stop.set()
        self.stop_button.disabled = True

    def result(self) -> Result:
        """Wait for the end (or for a stop) and return the outcome; interrupting the kernel is a stop, too."""
        self.wait()
        assert self.outcome is not None
        return self.outcome

    def wait(self) -> None:
        """Wait for the end (or for a stop), and raise what went wrong."""
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

    def _work(self) -> None:
        begin = time.perf_counter()
        try:
            said, done = self.carry_out()
        except Exception as error:  # shown here and raised again by result(): a thread has nobody else to tell
            self.error = error
            self.text.value = f"<b>stopped by an error:</b> {failure(error)}"
            self.renew_still()
            return
        seconds = time.perf_counter() - begin
        self.stop_button.disabled = True
        self.text.value = said.format(seconds=f"{seconds:.0f} s")
        self.bring_up_to_date()  # after the words: pictures take a while
        self.renew_still()
        if done:
            self._show_reports()
        self.go_button.disabled = False

    # -- what is shown at the end --------------------------------------------------------------------------------------

    def when_done(self, report: Callable[[Result], Iterable[Any]]) -> Callable[[Result], Iterable[Any]]:
        """A decorator: show the pieces that `report(outcome)` returns, at this place of the page, once all has ended.

        The cell returns at once, so that the kernel stays free to hear the stop button. Where a program runs the notebook,
        it waits instead.
        """
        from IPython.display import HTML, display

        self.start_once()
        if not someone_is_there():
            self.wait()
            for piece in report(self.outcome) if self.outcome is not None else ():
                display(piece)
            return report
        waiting = HTML("<i>the result appears here when the training has ended</i>")
        seen, alive = (display(piece, display_id=True) for piece in (waiting, HTML("")))
        with self._lock:
            self._reports.append((report, seen, alive))
        if self._thread is not None and not self._thread.is_alive():
            self._show_reports()
        return report

    def _show_reports(self) -> None:
        from IPython.display import HTML

        with self._lock:
            reports = list(self._reports)
        for report, seen, alive in reports:
            try:
                assert self.outcome is not None
                page = Page(report(self.outcome))
            except Exception as error:  # the reader's own function, in a thread that has nobody else to tell
                seen.update(HTML(f"<b>the report failed:</b> {failure(error)}"))
                continue
            seen.update(page)
            alive.update(HTML("") if page.view is None else widget_output(page.view), raw=page.view is not None)

    def still_picture(self) -> str:
        """What it has come to, as HTML ("" if there is nothing to see)."""
        return ""

    def still_output(self) -> Output:
        said = (
            self.text.value
            if self._thread is not None and someone_is_there()
            else f"<b>{escaped(self.announcement)}</b>"
        )
        said += ". Run this cell: what is recorded is shown at once, and what was stopped goes on."
        return {"text/html": still(self.still_picture(), said), "text/plain": self.announcement}

    def outputs(self) -> list[Output]:
        self.start_once()
        return super().outputs()


class Trained(Background[Models]):
    """The models of runs, with their records: trained once, and kept with what this user has recorded.

    They are shown by a function under `when_done`. "Stop" ends it at the next step, "Go on" continues from exactly there, and
    so does the cell when it is run again.
    """

    def __init__(self, *runs: Run) -> None:
        self.runs, steps = runs, sum(run.training.steps for run in runs)
        super().__init__(f"{len(runs)} small model{'s' * (len(runs) > 1)}, {steps:,} steps of training", steps)
        self._manager = manager_of(runs_folder().absolute())

    def carry_out(self) -> tuple[str, bool]:
        handles = [self._manager.ask(run, weights=True) for run in self.runs]
        known = all(handle.wait(0) for handle in handles)
        while not all(handle.wait(0.1) for handle in handles):
            self.bar.value = sum(handle.step for handle in handles)
            if self._stop.is_set():
                for handle in handles:
                    handle.stop()
        self.bar.value = sum(handle.step for handle in handles)
        if any(handle.result() is None for handle in handles):
            return "stopped after {seconds}; what was learnt is kept, and “Go on” continues from here", False
        self.outcome = self._manager.models(self.runs)
        self.go_button.layout.display = "none"
        return "trained earlier, and kept" if known else "trained in {seconds}", True
