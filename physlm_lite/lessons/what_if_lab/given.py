"""The part of the lab that gives things away: what it costs at a published size, files, and the line that restores it all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets

from ...base.printable import escaped, failure
from ...lab.page import table
from .compare import Row
from .export import FOLDER, as_csv, as_python, write, write_claim, write_commands
from .price import SIZES, cost_at
from .trial import Trial

AUTO = {"width": "auto"}


class Costs:
    """What the architecture would cost at 1B and 8B, by the planner; counted in a thread, since it takes some seconds."""

    def __init__(self, trial: Callable[[], Trial]) -> None:
        self.trial, self.threads = trial, list[threading.Thread]()
        self.buttons = [widgets.Button(description=f"at {size}", layout=widgets.Layout(**AUTO)) for size in SIZES]
        for button, size in zip(self.buttons, SIZES, strict=True):
            button.on_click(lambda _, size=size: self.ask(size))
        self.text = widgets.HTML()
        asked = widgets.HTML("<b>What would this cost</b>")
        self.view = widgets.VBox([widgets.HBox([asked, *self.buttons]), self.text])

    def ask(self, size: str) -> None:
        self.text.value = f"counting the memory of a model of {size} ..."
        thread = threading.Thread(target=self._answer, args=(self.trial(), size), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _answer(self, trial: Trial, size: str) -> None:
        try:
            found = cost_at(trial, size)
        except Exception as error:  # the planner's own sentence; a thread has nobody else to tell
            self.text.value = f"At {size}: {escaped(error)}" if isinstance(error, ValueError) else failure(error)
            return
        rows = [
            ("architecture", f"{trial.name}, with the published widths, text and steps of {size}"),
            ("parameters", f"{found['parameters']:,}"),
            ("operations", f"{found['flops']['model']:.2e} for {found['tokens']:,} tokens"),
            (
                "GPU-hours",
                f"{found['gpu_hours']:,.0f} on {found['gpus']} {found['gpu']}s: {found['hours'] / 24:,.1f} days",
            ),
            ("memory of each", f"{found['memory_per_gpu']['total'] / 1e9:,.0f} GB"),
        ]
        self.text.value = table((f"at {size}", "by the planner (physlm plan)"), rows).markup


class Given:
    """Files beside the notebook, and the line that restores the controls.

    trial: that of the controls. chosen: the ticked rows with their trials. picture: the present one. restored: called with the
    trial of a line that somebody gave.
    """

    def __init__(
        self,
        trial: Callable[[], Trial],
        chosen: Callable[[], Sequence[Row]],
        picture: Callable[[], bytes],
        restored: Callable[[Trial], None],
        folder: Path = FOLDER,
    ) -> None:
        self.trial, self.chosen, self.picture, self.restored, self.folder = trial, chosen, picture, restored, folder
        kinds = {
            "Python": ("the exact program of what the controls say", self.python),
            "Command": ("files and commands of what the controls say", self.command),
            "CSV": ("every evaluation of the ticked lines", self.csv),
            "PNG": ("the picture", self.png),
            "Claim file": ("that the first ticked line is ahead of the second, for physlm replicate", self.claim),
        }
        self.buttons = {}
        for name, (about, make) in kinds.items():
            self.buttons[name] = widgets.Button(description=name, tooltip=about, layout=widgets.Layout(**AUTO))
            self.buttons[name].on_click(lambda _, make=make: self._give(make))
        self.said = widgets.HTML()
        self.text = widgets.Textarea(layout=widgets.Layout(width="100%", height="11em", display="none"), disabled=False)
        self.text.add_class("physlm-given")
        self.line = widgets.Text(
            continuous_update=False,
            placeholder="paste a line of the lab here",
            layout=widgets.Layout(flex="1 1 auto", width="auto", min_width="20em"),
        )
        self.line.add_class("physlm-line")
        self.restore_button = widgets.Button(
            description="Restore", tooltip="set the controls to this line", layout=widgets.Layout(**AUTO)
        )
        self.restore_button.on_click(lambda _: self.restore())
        self.answer = widgets.HTML()
        take = widgets.HBox(
            [widgets.HTML("<b>Take it away</b>"), *self.buttons.values()], layout=widgets.Layout(flex_flow="row wrap")
        )
        again = widgets.HBox([widgets.HTML("<b>This line restores the controls</b>"), self.line, self.restore_button])
        self.view = widgets.VBox([take, self.said, self.text, again, self.answer])

    def show(self, trial: Trial) -> None:
        """Show the line of a trial."""
        self.line.value, self.answer.value = trial.to_text(), ""

    def restore(self) -> None:
        """Set the controls to what the line says; a wrong one gets a sentence, and nothing is lost."""
        try:
            trial = Trial.from_text(self.line.value)
        except ValueError as error:
            self.answer.value = f'<span role="alert">{escaped(error)}</span>'
            return
        self.restored(trial)
        self.answer.value = "restored"

    def _give(self, make: Callable[[], tuple[str, str]]) -> None:
        try:
            said, text = make()
        except (ValueError, OSError) as error:
            said, text = str(error), ""
        self.said.value, self.text.value = escaped(said), text
        self.text.layout.display = "" if text else "none"

    def python(self) -> tuple[str, str]:
        text = as_python(self.trial())
        path = write(self.folder / f"{self.trial().runs[0].hash}.py", text)
        return f"written: {path}", text

    def command(self) -> tuple[str, str]:
        commands, paths = write_commands(self.trial(), self.folder)
        return f"written: {', '.join(map(str, paths))}; in the folder of this notebook:", commands

    def csv(self) -> tuple[str, str]:
        rows = self.chosen()
        if not rows:
            raise ValueError("tick a line with records first")
        text = as_csv(rows)
        path = write(self.folder / "curves.csv", text)
        return f"written: {path} ({text.count(chr(10)) - 1:,} lines)", "\n".join(text.splitlines()[:12])

    def png(self) -> tuple[str, str]:
        from ...base.files import write_whole

        path, data = self.folder / "curves.png", self.picture()
        write_whole(path, lambda temporary: temporary.write_bytes(data))
        return f"written: {path}", ""

    def claim(self) -> tuple[str, str]:
        rows = self.chosen()
        trials = [row.trial for row in rows if row.trial is not None]
        if len(rows) != 2 or len(trials) != 2:
            raise ValueError(
                "a claim file compares two lines of your own: tick two of them, first the one that should be ahead"
            )
        command, path = write_claim(trials[0], trials[1], trials[0].metric.name, self.folder)
        return (
            f"written: {path}; in the folder of this notebook, it is judged by",
            f"{command}\n\n# {path.name}\n{path.read_text('utf-8')}",
        )
