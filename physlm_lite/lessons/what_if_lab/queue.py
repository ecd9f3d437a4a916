"""The runs of the lab: handed to the run manager, followed, stopped, gone on with, and found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from ...base.printable import on_one_line
from ...lab.background import Background, manager_of
from ...training import Record, Run, runs_folder
from ...training.manager import Handle, Manager
from .compare import Row
from .price import known, pace
from .trial import Trial
from .tried import Entry, Tried

LOOK = 0.2  # seconds between two looks
TELL = 1.5  # seconds between two reports of what has been learnt meanwhile


class Queue(Background[Sequence[Record]]):
    """All that was tried: whatever is not stopped by hand and has no record yet is carried out, two runs at a time.

    told: is called, from a thread of its own, when something is new. What the shipped ledger has recorded is not repeated.
    """

    def __init__(self, tried: Tried, told: Callable[[], None], manager: Manager | None = None) -> None:
        self.tried, self.told = tried, told
        self.manager = manager or manager_of(runs_folder().absolute())
        self.store = known()
        self.handles: dict[str, Handle] = {}
        self.failures: dict[str, str] = {}
        self._learnt: set[str] = set()
        self._turn, self._at_it = threading.Lock(), False
        super().__init__("nothing is waiting", 1)
        self.stop_button.disabled, self.go_button.disabled = True, not self.entries_stopped()
        self.text.value = "" if self.go_button.disabled else "stopped earlier; “Go on” continues from there"

    # -- what is asked -------------------------------------------------------------------------------------------------

    def add(self, trial: Trial, guess: float | None) -> None:
        """Carry out a trial as well."""
        self.tried.put(trial, stopped=False, **({} if guess is None else {"guess": guess}))
        for run in trial.runs:
            self.failures.pop(run.hash, None)
        self.begin()

    def begin(self) -> None:
        """Begin, if something is left to do and nobody is at it."""
        with self._turn:
            if not self.left() or self._at_it:
                return
            self._at_it, self.error = True, None
            if self._thread is not None:
                self._thread.join()  # it has nothing left to do
            self.start()

    def stop(self) -> None:
        """Stop everything after the present step; all that was learnt is kept, and a new kernel does not go on by itself."""
        for entry in self.waiting():
            self.tried.put(entry.trial, stopped=True)
        super().stop()

    def go_on(self) -> None:
        """Take up what was stopped."""
        for entry in [entry for entry in self.tried.entries if entry.stopped]:
            self.tried.put(entry.trial, stopped=False)
        self.failures.clear()
        self.begin()

    def drop(self, trial: Trial) -> None:
        """Take a trial out, and stop what only it asks for."""
        self.tried.drop(trial)
        wanted = {run.hash for entry in self.tried.entries for run in entry.trial.runs}
        for run in trial.runs:
            if run.hash not in wanted and (handle := self.handles.pop(run.hash, None)) is not None:
                handle.stop()

    def waiting(self) -> list[Entry]:
        """The trials that are not stopped and lack a record."""
        return [entry for entry in self.tried.entries if not entry.stopped and any(map(self._lacks, entry.trial.runs))]

    def left(self) -> list[Run]:
        """The runs to be carried out."""
        runs = {run.hash: run for entry in self.waiting() for run in entry.trial.runs if self._lacks(run)}
        return list(runs.values())

    def _lacks(self, run: Run) -> bool:
        return run.hash not in self.failures and self.store.find(run) is None

    def _work(self) -> None:
        """Until nothing is left: a trial may be added while the last one ends, or while all is being stopped."""
        while True:
            super()._work()
            with self._turn:
                if self.error is not None or not self.left():
                    self._at_it = False
                    break
            self._stop.clear()
            self.stop_button.disabled, self.go_button.disabled = False, True
        self.go_button.disabled = not self.entries_stopped()
        self.told()

    # -- carrying it out -----------------------------------------------------------------------------------------------

    def carry_out(self) -> tuple[str, bool]:
        said = 0.0
        self.told()
        while (left := self.left()) and not self._stop.is_set():
            for run in left:
                handle = self.handles.get(run.hash)
                if handle is not None and handle.state == "failed":
                    self._remember_failure(handle)
                elif handle is None or handle.state == "stopped":
                    self.handles[run.hash] = self.manager.ask(run, self.store)
            self._follow(left)
            said += LOOK
            if said >= TELL:
                said = 0.0
                self.told()
            self._stop.wait(LOOK)
        self._stop_unwanted()
        for handle in list(self.handles.values()):
            record = self.record(handle.run)
            if record is not None and record.id not in self._learnt:
                self._learnt.add(record.id)
                pace().learn(record)  # so that the next one is foreseen better
        self.outcome = self.records()
        self.told()
        if self.entries_stopped():
            return "stopped after {seconds}; what was learnt is kept, and “Go on” continues from here", False
        self.bar.value = self.bar.max
        failed = f"; {len(self.failures)} failed, see the table" if self.failures else ""
        return f"all that was asked for is recorded{failed}", True

    def _stop_unwanted(self) -> None:
        """Whatever is under way and was stopped, or taken out, ends after its present step."""
        wanted = {run.hash for run in self.left()}
        handles = [h for name, h in list(self.handles.items()) if name not in wanted and not h.wait(0)]
        for handle in handles:
            handle.stop()
        while not all(handle.wait(0.1) for handle in handles):
            pass

    def entries_stopped(self) -> bool:
        """Is something stopped that lacks a record?"""
        return any(entry.stopped and any(map(self._lacks, entry.trial.runs)) for entry in self.tried.entries)

    def _follow(self, left: Sequence[Run]) -> None:
        """See how far everything is, and say it."""
        handles = [handle for run in left if (handle := self.handles.get(run.hash)) is not None]
        self.bar.max = max(1, sum(run.training.steps for run in left))
        self.bar.value = sum(handle.step for handle in handles)
        running = sum(handle.state in ("running", "elsewhere") for handle in handles)
        told = f"{running} running, {len(left) - running} waiting"
        self.text.value = f"<b>{told}</b>; {in_words(self.seconds_left(left))} to go"

    def _remember_failure(self, handle: Handle) -> None:
        """What went wrong in another process is shown in the table; the other runs go on."""
        del self.handles[handle.run.hash]
        try:
            handle.result(0)
        except Exception as error:  # whatever it was
            self.failures[handle.run.hash] = on_one_line(error, 300)

    def seconds_left(self, left: Sequence[Run]) -> float:
        """About how long it takes until all of these are done."""
        each = []
        for run in left:
            handle = self.handles.get(run.hash)
            if handle is not None and handle.step > 0 and handle.seconds > 0:
                each.append((run.training.steps - handle.step) * handle.seconds / handle.step)
            else:
                each.append(pace().foreseen(run))
        return max(max(each, default=0.0), sum(each) / self.manager.workers)

    # -- what there is -------------------------------------------------------------------------------------------------

    def record(self, run: Run) -> Record | None:
        return self.store.find(run)

    def curve(self, run: Run) -> list[dict[str, Any]]:
        """The evaluations so far, of a run that is recorded or under way."""
        record, handle = self.record(run), self.handles.get(run.hash)
        return record.curve if record is not None else handle.curve if handle is not None else []

    def records(self) -> list[Record]:
        found = [self.record(run) for entry in self.tried.entries for run in entry.trial.runs]
        return [record for record in found if record is not None]

    def rows(self) -> list[Row]:
        """What is recorded of each trial, a row for each rate; two trials of one name are told apart by their settings."""
        rows = []
        for entry in self.tried.entries:
            trial = entry.trial
            for rate in trial.rates:
                records = [self.record(run) for run in trial.runs if run.training.learning_rate == rate]
                known = tuple(record for record in records if record is not None)
                if known:
                    rows.append(Row(self.name_of(trial, rate), known, trial))
        return rows

    def name_of(self, trial: Trial, rate: float) -> str:
        """What a line of the table is called."""
        return f"{trial.name} ({trial.setting})" + (f", rate {rate:g}" if len(trial.rates) > 1 else "")

    def state(self, entry: Entry) -> str:
        """How a trial stands, in words."""
        runs = entry.trial.runs
        if failed := [self.failures[run.hash] for run in runs if run.hash in self.failures]:
            return f"failed: {failed[0]}"
        known = sum(self.record(run) is not None for run in runs)
        if known == len(runs):
            return "done"
        said = f"{known} of {len(runs)} runs done"
        if entry.stopped:
            return f"stopped, {said}"
        steps = [(h.step, run.training.steps) for run in runs if (h := self.handles.get(run.hash)) and h.step]
        under_way = [f"step {step:,} of {all_steps:,}" for step, all_steps in steps if step < all_steps]
        return f"{said}; {under_way[0]}" if under_way else f"{said}; waiting"


def in_words(seconds: float) -> str:
    """So long, about."""
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:,.0f} min"
