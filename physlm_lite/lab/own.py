"""A layer that a reader wrote, trained in place of Canon and judged as the ledger judges. It lives in the notebook's kernel.

Its runs are named by the reader's code, so that their records stand beside those of the kit and are found again.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from ..claims import Claim, Outcome, nearest_scale, recorded
from ..claims.replicate import rates_known
from ..models import Canon, LanguageModel
from ..training import Progress, Record, Run, Store, runs_folder, train
from .background import Background
from .live import A_LEAD
from .show import someone_is_there

Make = Callable[[int], Any]  # channels -> a module from [batch, position, channels] to the same
YOURS = "your layer"
PLAIN = int | float | str | bool | tuple | None


class Own(Background[Outcome]):
    """A claim with the reader's layer in the place of one of its sides, against another.

    make: from a number of channels to a module, which takes and returns [batch, position, channels]; it stands at every place
    where `stands_for` has a Canon layer, and is trained at that side's learning rate. A reader waits for the first seed; a
    button offers the others. Nothing is trained as long as `make` returns `...`, or a module that looks ahead.
    """

    def __init__(
        self,
        claim: Claim,
        make: Make,
        stands_for: str = "RoPE + Canon",
        against: str = "RoPE",
        all_seeds: bool | None = None,
    ) -> None:
        self.claim, self.make, self.scale = claim, make, nearest_scale(claim)
        self.experiment = with_yours(claim, self.scale, stands_for, against)
        self.store = Store(runs_folder())
        self.rate = rates_known(claim, self.scale, self.store)[stands_for][0]
        self.against = against
        self.all_seeds = not someone_is_there() if all_seeds is None else all_seeds
        steps = self.experiment.training.steps
        super().__init__(f"your layer in {claim.id} at {self.scale} scale, {steps:,} steps a seed", steps)
        self.more_button = widgets.Button(icon="plus", layout=widgets.Layout(width="auto", display="none"))
        self.more_button.on_click(lambda _: self.go_on_with_the_other_seeds())
        self.view.children = (*self.view.children, self.more_button)

    def runs(self) -> list[Run]:
        """The runs that are asked for, a seed each."""
        code, seeds = code_of(self.make), self.experiment.seeds
        return [
            self.experiment.run(YOURS, self.rate, seed).but(code=code)
            for seed in (seeds if self.all_seeds else seeds[:1])
        ]

    def go_on_with_the_other_seeds(self) -> None:
        """After the first seed, carry out the others."""
        self.all_seeds = True
        self.more_button.layout.display = "none"
        self.start()

    def carry_out(self) -> tuple[str, bool]:
        if (problem := problem_of(self.make)) is not None:
            return problem, False
        runs = self.runs()
        mine: list[Record] = []
        self.bar.max = sum(run.training.steps for run in runs)

        def report(progress: Progress) -> None:
            self.bar.value = len(mine) * run.training.steps + progress.step

        for run in runs:
            record = train(
                run,
                store=self.store,
                progress=report,
                stop=self._stop.is_set,
                device="cpu",
                model=lambda run=run: model_with(self.make, run),  # type: ignore[misc]
            )
            if record.status == "stopped":
                return "stopped after {seconds}; what was learnt is kept, and “Go on” continues from here", False
            mine.append(record)
        theirs = recorded(self.claim, self.scale).records[self.against]
        self.outcome = Outcome(
            self.claim,
            self.scale,
            {YOURS: self.rate},
            {self.against: list(theirs)[: len(mine)], YOURS: mine},
            tried=self.experiment,
        )
        left = len(self.experiment.seeds) - len(mine)
        if left:
            self.more_button.description, self.more_button.layout.display = f"The other {left} seeds", ""
        self.go_button.layout.display = "none"
        said = f"Verdict: <b>{self.outcome.verdict.word}</b>" if not left else f"<b>{A_LEAD}</b>"
        return f"done in {{seconds}}; your code is {runs[0].code_name}. {said}", True


def with_yours(claim: Claim, scale: str, stands_for: str, against: str) -> Any:
    """The claim's experiment, with the rules about these two sides, the first under the name of the reader's layer."""
    experiment = claim.experiment(scale)
    rules: list[Any] = [rule for rule in experiment.rules if set(rule.sides()) == {stands_for, against}]
    if not rules:
        raise ValueError(f"{claim.id} has no rule about {stands_for} and {against}")
    return dataclasses.replace(
        experiment,
        sides={against: experiment.sides[against], YOURS: experiment.sides[stands_for]},
        rules=[dataclasses.replace(rule, better=YOURS, worse=against) for rule in rules],
        step_times={},
        tuned_on=None,
    )


class _InPlace(nn.Module):
    """A reader's module where the model calls a Canon layer."""

    kernel = 1  # of inputs to be kept for decoding, of which nothing is known here

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        return self.layer(x)


def model_with(make: Make, run: Run) -> LanguageModel:
    """The run's model with the reader's module in place of every Canon layer; its start, too, depends on the seed alone."""
    model = LanguageModel(run.model_config, seed=run.seed)
    places = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        for parent, name, child in places:
            if isinstance(child, Canon):
                setattr(parent, name, _InPlace(make(child.width)))
    return model


def problem_of(make: Make, channels: int = 6, positions: int = 9) -> str | None:
    """What keeps a layer from being trained, in a sentence; None if nothing does."""
    layer = make(channels)
    if layer is Ellipsis or layer is None:
        return "not attempted yet: replace the ... and run this cell again"
    if not isinstance(layer, nn.Module):
        return f"expected a torch.nn.Module, got {type(layer).__name__}"
    x = torch.randn(2, positions, channels, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        return f"expected [batch, position, channels] = {tuple(x.shape)} from your layer, got {got}"
    if not bool(torch.isfinite(y).all()):
        return "your layer returns numbers that are not finite"
    for place in range(1, positions):
        changed = x.clone()
        changed[:, place:] += 1
        if not torch.allclose(layer(changed)[:, :place], y[:, :place], atol=1e-6):
            return (
                f"your layer looks ahead: a change at position {place} moves what comes out before it, so that the model could "
                "read the answer instead of learning it"
            )
    return None


# -- what names it -----------------------------------------------------------------------------------------------------


def code_of(thing: Any) -> str:
    """The code of a function or class, and of whatever it uses that was defined beside it; comments and layout do not count.

    ValueError in a sentence if that cannot be read.
    """
    found: dict[str, str] = {}
    ahead = [thing]
    while ahead:
        one = ahead.pop(0)
        if one.__qualname__ in found:
            continue
        tree = _tree(one)
        found[one.__qualname__] = ast.unparse(tree)
        beside = vars(sys.modules[one.__module__])
        for name in sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}):
            used = beside.get(name)
            if (inspect.isfunction(used) or inspect.isclass(used)) and used.__module__ == one.__module__:
                ahead.append(used)
            elif name in beside and isinstance(used, PLAIN) and not name.startswith("_"):
                found[name] = f"{name} = {used!r}"
    return "\n".join(found.values())


def _tree(thing: Any) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError, SyntaxError):
        pass  # a class that was defined in a notebook: look where its functions stand
    for function in filter(inspect.isfunction, vars(thing).values() if inspect.isclass(thing) else ()):
        try:
            cell = ast.parse("".join(linecache.getlines(function.__code__.co_filename)))
        except SyntaxError:
            continue
        for node in ast.walk(cell):
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                return node
    name = getattr(thing, "__name__", type(thing).__name__)
    raise ValueError(f"the code of {name} cannot be read; define it with def or class in a cell of its own")
