"""A live experiment in a notebook: training in the background, curves as it goes, and a stop button that works."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from ..base.files import temporary_folder
from ..claims import Claim, Outcome, recorded, replicate, scale_of
from ..claims.reach import nearest_scale, why_not
from ..claims.replicate import planned
from ..claims.rules import NOT_RUN
from ..training import Anew, Progress, Run, Store, runs_folder
from .announcement import announcement
from .background import Background, manager_of
from .plots import draw_lines, name_lines, new_figure, palette
from .show import Picture, as_html, png

REDRAW_SECONDS = 1.5
A_LEAD = "One seed of each side: a lead, not a verdict"


class Live(Background[Outcome]):
    """The sides of a claim, trained here and now at the dial's scale.

    Showing it starts the training and returns at once; the runs are carried out in processes of their own, two at a time, and
    their records are this user's. So what is recorded is shown at once, with a button to run it again; what another cell,
    notebook or terminal is at is shared; and what a stop, or the end of the kernel, cut short goes on when the cell is run
    again. `result()` waits and gives the outcome. "Stop" ends it at the next step, "Go on" continues from exactly there.

    A reader waits for one seed of each side, which is a lead and not a verdict; a button then offers the others. Where
    `all_seeds` says so, all are carried out at once.
    """

    def __init__(self, claim: Claim, scale: str | None = None, workers: int = 2, all_seeds: bool = False) -> None:
        self.claim, self.workers = claim, workers
        self.scale = nearest_scale(claim) if scale is None else scale_of(scale)
        self.experiment = claim.experiment(self.scale)
        self.all_seeds = all_seeds
        self._curves: dict[tuple[str, str], Sequence[dict[str, Any]]] = {}
        self._steps: dict[str, int] = {}
        self._manager = manager_of(runs_folder().absolute(), workers)
        self._store: Store = self._manager.store
        self._anew, self._ran, self._drawn = ExitStack(), False, 0.0
        self._recall()
        if len(self.experiment.seeds) == 1 or not self._missing(all_seeds=True):
            self.all_seeds = True  # there are no others to wait for
        dial = scale_of()
        other = scale is None and dial != self.scale
        instead = f"{why_not(claim, dial)}; the nearest scale is {self.scale}. " if other else ""
        super().__init__(instead + self._cost(), self._whole())
        self.more_button = widgets.Button(icon="plus", layout=widgets.Layout(width="auto", display="none"))
        self.more_button.on_click(lambda _: self.go_on_with_the_other_seeds())
        self.image = widgets.Image(format="png", value=png(self.figure()))
        self.view.children = (*self.view.children, self.more_button, self.image)

    def go_on(self) -> None:
        """Start again after a stop; where all is recorded, run it again."""
        if self._missing(self.all_seeds):
            self.start()
        else:
            self.run_again()

    def go_on_with_the_other_seeds(self) -> None:
        """After the first seed, carry out the others."""
        self.all_seeds = True
        self.announcement, self.bar.max = self._cost(), self._whole()
        self.start()

    def start(self) -> None:
        self.more_button.layout.display = "none"
        super().start()

    def run_again(self) -> None:
        """Carry out all runs anew; each record is replaced as soon as the new one is whole."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._store = Anew(self._manager.store, self._anew.enter_context(temporary_folder(runs_folder())))
        self._curves, self._steps = {}, {}
        self.bar.max = self._whole()
        self.start()

    def _work(self) -> None:
        super()._work()
        left = len(self.experiment.seeds) - 1
        if not self._missing(self.all_seeds) and not self.all_seeds:
            self.more_button.description = f"The other {left} seeds" if left > 1 else "The other seed"
            self.more_button.layout.display = ""

    def carry_out(self) -> tuple[str, bool]:
        ways: dict[str, Any] = {"progress": self._report, "stop": self._stop.is_set, "manager": self._manager}
        self.outcome = replicate(self.claim, self.scale, store=self._store, seeds=self._seeds(self.all_seeds), **ways)
        stopped, judged = bool(self._missing(self.all_seeds)), self.all_seeds
        whole = recorded(self.claim, self.scale, self._store)  # which may know of more seeds than were asked for
        if whole.protocol == self.experiment.format and whole.verdict.word != NOT_RUN:
            self.outcome, judged = whole, True
        if not stopped:
            self._store = self._manager.store
            self._anew.close()
            self._recall()
        self.go_button.description = "Go on" if stopped else "Run again"
        if stopped:
            return "stopped after {seconds}; everything learnt so far is kept, and “Go on” continues from here", False
        how = "finished in {seconds}" if self._ran else "recorded already, so that nothing had to be run"
        said = f"Verdict: <b>{self.outcome.verdict.word}</b>" if judged else f"<b>{A_LEAD}</b>"
        return f"{how}. {said}", True

    def _seeds(self, all_seeds: bool) -> Sequence[int] | None:
        """Those that are asked for; None: all of the experiment."""
        return None if all_seeds else self.experiment.seeds[:1]

    def _missing(self, all_seeds: bool) -> list[Run]:
        """What is left to run."""
        return planned(self.claim, self.scale, self._store, seeds=self._seeds(all_seeds))

    def _cost(self) -> str:
        """What is said before it begins."""
        if not (runs := self._missing(self.all_seeds)):
            known = "all runs are" if self.all_seeds else "one seed of each side is"
            return f"{self.claim.id} at {self.scale} scale: {known} recorded already"
        said = announcement(self.claim, self.scale, runs, self.workers)
        return said if self.all_seeds else f"{said}, for one seed of each side"

    def _whole(self) -> int:
        """The steps of what is recorded and of what is left."""
        return sum(run.training.steps for run in self._missing(self.all_seeds)) + sum(self._steps.values())

    def _recall(self) -> None:
        """The curves that are recorded already."""
        outcome = recorded(self.claim, self.scale, self._store)
        for side, records in outcome.records.items() if outcome.protocol == self.experiment.format else ():
            for record in records:
                self._curves[side, record.id], self._steps[record.id] = record.curve, record.final.get("step", 0)

    def _report(self, side: str, progress: Progress) -> None:
        with self._lock:
            self._ran, self._steps[progress.run.hash] = True, progress.step
            self.bar.value = sum(self._steps.values())
            if progress.scores is not None:
                self._curves[side, progress.run.hash] = list(progress.curve)
                if time.perf_counter() - self._drawn > REDRAW_SECONDS:
                    self.bring_up_to_date()

    def bring_up_to_date(self) -> None:
        self.bar.value = sum(self._steps.values())
        self.image.value = png(self.figure())
        self._drawn = time.perf_counter()

    def still_picture(self) -> str:
        alt = f"The curves so far of {self.claim.id} at {self.scale} scale"
        return as_html(Picture(bytes(self.image.value), alt)) if self._curves else ""

    def figure(self) -> Figure:
        """The curves so far, a panel for each score."""
        curves = [(side, list(tests)) for (side, _), tests in list(self._curves.items())]
        metrics = self.experiment.panels
        figure, axes = new_figure(len(metrics), width=4.2 * max(len(metrics), 1.6), height=3.0)
        for axis, metric in zip(axes, metrics, strict=True):
            lines = {
                side: [[(test["step"], metric.of(test)) for test in tests] for name, tests in curves if name == side]
                for side in self.experiment.sides
            }
            draw_lines(axis, lines, metric.share, mean=False)
            axis.set(xlim=(0, self.experiment.training.steps * 1.03), title=metric.label)
        axes[0].set_ylabel("accuracy, one line a seed" if metrics[0].share else "one line a seed")
        name_lines(figure, palette(self.experiment.sides))
        return figure
