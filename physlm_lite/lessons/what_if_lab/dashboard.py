"""The what-if lab itself: controls, what they will take, a guess, the runs, their curves, and the table."""

from __future__ import annotations

import threading
from pathlib import Path

import ipywidgets as widgets

from ...base.printable import escaped, failure
from ...claims import claim
from ...lab.page import claim_card, stacked
from ...lab.predict import Prediction
from ...lab.show import Alive, Output, Picture, as_html, png, someone_is_there, still
from ...tasks import Metric
from ...training.manager import Manager
from .cards import CARDS, Card
from .compare import Row, judge, sentence
from .export import FOLDER
from .figures import Line as Drawn
from .figures import curves_picture
from .given import Costs, Given
from .nearest import nearest
from .panel import STYLE, Panel
from .price import Price, price
from .queue import Queue
from .table import Shown, Table
from .trial import Trial
from .tried import Tried
from .words import (
    described,
    fresh,
    judged_text,
    key_of,
    price_line,
    question,
    rate_of,
    recorded_line,
    score_menu,
    scored,
    told,
)

AFTER = 0.12  # seconds without a click, after which the picture is drawn
DRAWN = 4  # of one's own lines, where none is ticked


class WhatIf(Alive):
    """The dashboard. What was asked for before, in this kernel or another, is found again and goes on, unless it was stopped.

    trial: what it begins with. folder: of what it gives away. at_once: draw before a click returns, as a program wants it.
    """

    def __init__(
        self,
        trial: Trial | None = None,
        folder: Path = FOLDER,
        manager: Manager | None = None,
        at_once: bool | None = None,
    ) -> None:
        self.at_once = not someone_is_there() if at_once is None else at_once
        self.errors: list[Exception] = []
        self.card: Card | None = None
        self._timer: threading.Timer | None = None
        self._painting, self._timing = threading.RLock(), threading.Lock()  # a click never waits for a picture
        self.tried = Tried()
        self.queue = Queue(self.tried, self.soon, manager)
        self.told = widgets.HTML()
        self.panel = Panel(trial or CARDS[0].trial, self.turned, self._questions())
        self.price_text, self.problem = widgets.HTML(), widgets.HTML()
        self.guess_box = widgets.VBox()
        self.run_button = widgets.Button(description="Run", icon="play", button_style="success", disabled=True)
        about = "for those who know already what they are looking for"
        self.plain_button = widgets.Button(
            description="Run without a guess", tooltip=about, layout=widgets.Layout(width="auto")
        )
        self.run_button.on_click(lambda _: self.run())
        self.plain_button.on_click(lambda _: self.run(guess=False))
        self.image, self.png = widgets.HTML(), b""
        scores = score_menu(self.panel.trial)
        self.score = widgets.Dropdown(description="score", options=scores, layout=widgets.Layout(width="24em"))
        self.score.observe(lambda _: self.soon(), "value")
        self.table = Table(self.soon, self.panel.set, self.drop)
        self.judged, self.paper = widgets.HTML(), widgets.HTML()
        self.more_button = widgets.Button(
            icon="plus", layout=widgets.Layout(width="auto", align_self="flex-start", display="none")
        )
        self.more_button.on_click(lambda _: self.run_more())
        self.costs = Costs(self.subject)
        self.given = Given(lambda: self.panel.trial, self.chosen, lambda: self.png, self.panel.set, folder)
        self.prediction = self._ask(self.panel.trial)
        running = widgets.HBox([self.run_button, self.plain_button])
        self.view = widgets.VBox(
            [
                widgets.HTML(STYLE),
                self.panel.view,
                self.price_text,
                self.guess_box,
                running,
                self.queue.view,
                self.problem,
                self.score,
                self.image,
                self.table.view,
                self.judged,
                self.more_button,
                self.paper,
                self.costs.view,
                self.given.view,
            ]
        )
        self._more: tuple[int, list[tuple[Trial, float]]] = (0, [])
        self.turned(self.panel.trial)

    # -- what the reader does ------------------------------------------------------------------------------------------

    def turned(self, trial: Trial) -> None:
        """The controls say something else: what it will take is said at once, the picture follows."""
        found = price(trial)
        self.price_text.value = price_line(found)
        self.given.show(trial)
        if self.prediction.locked or self.prediction.question != question(trial):
            self.prediction = self._ask(trial)
        self._allow(found)
        if self.score.options != (scores := score_menu(trial)):
            self.score.options = scores
        self.soon()

    def take(self, card: Card) -> None:
        """A question was clicked: it fills the controls."""
        self.card = card
        before = self.panel.trial
        self.panel.set(card.trial)
        if self.panel.trial == before:
            self.soon()

    def run(self, guess: bool = True) -> None:
        """Carry out what the controls say."""
        trial = self.panel.trial
        self.queue.add(trial, float(self.prediction.control.value) if guess else None)
        self.prediction = self._ask(trial)
        self._allow(price(trial))
        self.soon()

    def run_more(self) -> None:
        """As many seeds more of both ticked lines as the rule asks for."""
        more, lines = self._more
        self.table.keys = []
        for trial, rate in lines:
            larger = trial.but("rates", (rate,)).but("seeds", (*trial.seeds, *fresh(trial.seeds, more)))
            guess = next((entry.guess for entry in self.tried.entries if entry.trial == trial), None)
            if len(trial.rates) == 1:
                self.tried.drop(trial)  # the larger one takes its place
            self.queue.add(larger, guess)
            self.table.keys.append(key_of(larger, rate))
        self.soon()

    def drop(self, trial: Trial) -> None:
        """Take a trial out of the table."""
        self.queue.drop(trial)
        self.soon()

    def subject(self) -> Trial:
        """What the questions below the table are about: the first ticked line of one's own, else what the controls say."""
        ticked = [one.trial for one in self.table.chosen if one.trial is not None]
        return ticked[0] if ticked else self.panel.trial

    def chosen(self) -> list[Row]:
        return [one.row for one in self.table.chosen if one.row is not None]

    @property
    def metric(self) -> Metric:
        """The score that is drawn and compared by."""
        trial = self.panel.trial
        return trial.made_task.metrics.get(self.score.value, trial.metric)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def soon(self) -> None:
        """Bring picture and table up to date, once the hand rests."""
        if self.at_once:
            self.paint()
            return
        with self._timing:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(AFTER, self.paint)
            self._timer.daemon = True
            self._timer.start()

    def paint(self) -> None:
        """Draw everything that takes longer than a click may."""
        with self._painting:
            try:
                self._paint()
                self.problem.value = escaped(self.tried.problem)
            except Exception as error:  # of a thread, which has nobody else to tell
                self.errors.append(error)
                self.problem.value = f"<b>could not draw this:</b> {failure(error)}"

    def _paint(self) -> None:
        trial, metric = self.panel.trial, self.metric
        near = nearest(trial.runs[0], metric)
        self.table.show([*self._own_lines(), *(recorded_line(side, apart) for side, apart in near)], metric)
        lines = [
            *self._drawn(trial),
            *(Drawn(side.name, [r.curve for r in side.records], side.side) for side, _ in near),
        ]
        guesses = [
            entry.guess for entry in self.tried.entries if entry.trial == trial and metric.name == trial.metric.name
        ]
        guess = guesses[0] if guesses else None
        self.png = png(curves_picture(lines, metric, trial.budget.steps, guess))
        self.image.value = as_html(Picture(self.png, described(lines, metric)))
        self._compare()
        self.told.value = "" if self.card is None else told(self.card).markup

    def _own_lines(self) -> list[Shown]:
        rows = {key_of(row.trial, rate_of(row)): row for row in self.queue.rows() if row.trial is not None}
        found = []
        for entry in reversed(self.tried.entries):
            for rate in entry.trial.rates:
                key = key_of(entry.trial, rate)
                row = rows.get(key)
                name = row.name if row is not None else self.queue.name_of(entry.trial, rate)
                found.append(Shown(key, name, self.queue.state(entry), row, entry.trial, scored(entry, row)))
        return found

    def _drawn(self, trial: Trial) -> list[Drawn]:
        """The curves of one's own lines: the ticked ones, those under way, and that of the controls; else the last few."""
        entries = [entry for entry in self.tried.entries if entry.trial.base.task == trial.base.task]
        asked = [
            (entry, rate)
            for entry in entries
            for rate in entry.trial.rates
            if key_of(entry.trial, rate) in self.table.keys or entry.trial == trial or self.queue.state(entry) != "done"
        ] or [(entry, rate) for entry in entries for rate in entry.trial.rates][-DRAWN:]
        return [
            Drawn(
                self.queue.name_of(entry.trial, rate),
                [self.queue.curve(run) for run in entry.trial.runs if run.training.learning_rate == rate],
            )
            for entry, rate in asked
        ]

    def _compare(self) -> None:
        """The rule's word on the first two ticked lines, and the paper's numbers of ticked claims."""
        chosen, metric = self.table.chosen, self.metric
        self._more = (0, [])
        named = dict.fromkeys(one.row.claim for one in chosen if one.row is not None and one.row.claim)
        self.paper.value = stacked(*(claim_card(claim(name)) for name in named)).markup
        if len(chosen) < 2:
            self.judged.value = (
                "<i>Tick two lines, first the one that should be ahead, and the ledger's rule says whether it is.</i>"
            )
        else:
            ours, theirs = (one.row for one in chosen[:2])
            assert ours is not None and theirs is not None
            try:
                found = judge(ours, theirs, metric.name)
            except ValueError as error:
                self.judged.value = escaped(error)
            else:
                self.judged.value = judged_text(ours, theirs, found, sentence(ours, theirs, metric, found)).markup
                own = [(row.trial, rate_of(row)) for row in (ours, theirs) if row.trial is not None]
                if found.more and len(own) == 2:
                    self._more = found.more, own
        more = self._more[0]
        self.more_button.description = f"Run {more} more seeds of each" if more > 1 else "Run one more seed of each"
        self.more_button.layout.display = "" if more else "none"

    def _questions(self) -> widgets.Widget:
        buttons = []
        for card in CARDS:
            button = widgets.Button(description=card.question, tooltip=card.expect, layout=widgets.Layout(width="auto"))
            button.on_click(lambda _, card=card: self.take(card))
            button.add_class("physlm-question")
            buttons.append(button)
        grid = widgets.GridBox(
            buttons, layout=widgets.Layout(grid_template_columns="repeat(auto-fill, minmax(27em, 1fr))", grid_gap="2px")
        )
        return widgets.VBox([grid, self.told])

    def _ask(self, trial: Trial) -> Prediction:
        """A new question about the score of a trial."""
        made = Prediction(question(trial))
        made.lock_button.on_click(lambda _: self._allow(price(self.panel.trial)))
        self.guess_box.children = (made.view,)
        return made

    def _allow(self, found: Price) -> None:
        """A run begins after a guess, and only where it fits."""
        self.run_button.disabled = bool(found.refusal) or not self.prediction.locked
        self.plain_button.disabled = bool(found.refusal)
        self.run_button.tooltip = found.refusal or ("" if self.prediction.locked else "lock a guess first")

    # -- on the page ---------------------------------------------------------------------------------------------------

    def outputs(self) -> list[Output]:
        self.queue.begin()
        return super().outputs()

    def still_output(self) -> Output:
        self.paint()
        trial = self.panel.trial
        said = f"<b>{escaped(trial.name)}</b> ({escaped(trial.setting)}){self.price_text.value}{self.image.value}"
        line = "A still picture: run this cell, and the controls, the runs and the table come alive."
        return {"text/html": still(said, line), "text/plain": f"{trial.name} ({trial.setting}). {line}"}
