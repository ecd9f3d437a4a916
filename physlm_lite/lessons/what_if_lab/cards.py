"""Questions to start from: a click fills the lab with a side of a claim, at its best recorded rate. Where the records stand is
asked of the ledger each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...claims import Outcome, claim, recorded
from ...claims.experiment import Setting
from ...claims.rules import NOT_RUN
from ...claims.settings import small_settings
from ...lab.verdicts import sentences
from .price import known
from .trial import Trial


@dataclass(frozen=True)
class Card:
    """A question, and the side of a claim that it is about; `changes` are options on top of it, by dotted names.

    expect: what to look for, before any number. claim: that of the side, whose verdict is shown unless `about` says that it
    answers another question.
    """

    question: str
    expect: str
    claim: str
    side: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""

    @property
    def outcome(self) -> Outcome:
        """What the records say of its claim."""
        return recorded(claim(self.claim), "toy", known())

    @property
    def trial(self) -> Trial:
        """What fills the controls."""
        experiment, outcome = claim(self.claim).experiment("toy"), self.outcome
        trial = of_side(experiment, experiment.sides[self.side], outcome.rates.get(self.side))
        for path, value in self.changes.items():
            trial = trial.but(path, value)
        return trial

    def stands(self) -> str:
        """Where the records stand, in sentences of the ledger."""
        if self.about:
            return f"{self.about} The nearest claim is {self.claim}; its runs are drawn below, faint."
        outcome = self.outcome
        seeds = {side: len(records) for side, records in outcome.records.items()}
        if outcome.verdict.word == NOT_RUN:
            counted = ", ".join(f"{side} {count}" for side, count in seeds.items())
            return f"{self.claim}, “{outcome.claim.title}”: not judged yet (seeds recorded: {counted})."
        return f"{self.claim}, “{outcome.claim.title}”: {outcome.verdict.word}. {' '.join(sentences(outcome))}"


def of_side(setting: Setting, side: Mapping[str, Any], rate: float | None = None) -> Trial:
    """The trial of a side of an experiment, at a rate (None: in the middle of the grid)."""
    base = small_settings()[setting.name]
    training = {
        name: value for name, value in vars(setting.training).items() if value != getattr(base.training, name, ...)
    }
    changes = {name: value for name, value in training.items() if name in base.training.__dataclass_fields__}
    changes.pop("learning_rate", None)
    rates = () if rate is None else (rate,)
    return Trial(setting.name, dict(setting.task_options), {**setting.model, **side}, changes, rates=rates)


CARDS: tuple[Card, ...] = (
    Card(
        "What if Canon looks five back?",
        "Four taps reach three tokens back. Two more reach farther, at a price: does the grammar need it?",
        "O-kernel-6",
        "Canon-ABCD, kernel 6",
    ),
    Card(
        "What if only the last layer has it?",
        "If Canon only helps attention to find its pairs, the last layer comes too late. If it helps to mix, anywhere will do.",
        "O-last",
        "Canon in the last layer",
    ),
    Card(
        "What if the taps are never trained?",
        "Random taps already give each lag a signature of its own. How much of the gain is left?",
        "R1-frozen",
        "frozen Canon-ABCD",
    ),
    Card(
        "What if the token itself is lost in the mixture?",
        "Without the residual every branch reads a blur at the start. Training can repair it, if it has the time.",
        "R4-residual",
        "Canon-ABCD, no residual",
    ),
    Card(
        "What if Canon starts from nothing?",
        "Taps of zero make the first model a plain one. It loses nothing at the start, and must learn to look back.",
        "O-zero",
        "Canon-ABCD from zero",
    ),
    Card(
        "What if it stands at keys, values and outputs?",
        "Other builders chose other places. The same taps, elsewhere: the place may matter less than that it is there.",
        "O-places",
        "Canon-KVOM",
    ),
    Card(
        "What if there are no positions at all?",
        "Causality and three neighbours may be all the order that a model needs.",
        "R3-NoPE",
        "NoPE + Canon",
    ),
    Card(
        "What if the text gets longer after training?",
        "Rotations beyond the trained length are new to the model. The score four times as far says whether it cares.",
        "R12-beyond",
        "RoPE + Canon",
    ),
    Card(
        "What if the rings get longer?",
        "More nodes make every hop harder to find. Watch one hop first, then two.",
        "R2-rungs",
        "RoPE + Canon",
        {"task.V": 16, "task.N": 12},
        about="Nobody has recorded rings of 12.",
    ),
    Card(
        "What if the optimiser is Muon?",
        "Muon turns the matrices of the layers; taps and embeddings stay with AdamW. Steps are slower, and may be worth more.",
        "R2-rungs",
        "RoPE + Canon",
        {"training.optimizer": "muon"},
        about="No claim tries Muon.",
    ),
    Card(
        "What if attention is a linear recurrence?",
        "Gated linear attention forgets as it goes. Canon layers give it back its nearest past.",
        "R6-Canon",
        "GLA + AbCD",
    ),
    Card(
        "What if Mamba2 loses its convolution?",
        "Its authors put a short convolution inside. How much of what Mamba2 can do is that one?",
        "R7-convolution",
        "Mamba2, no convolution",
    ),
    Card(
        "What if the feed-forward layer is a plain one?",
        "No gate, a squared ReLU: as many parameters in two matrices instead of three.",
        "R5-ReLU2",
        "standard, ReLU²",
    ),
    Card(
        "What if experts share the tokens?",
        "Facts that a token meets in one expert are unknown to the others. Count what each parameter stores.",
        "R5-experts",
        "experts",
    ),
    Card(
        "What if the model is deeper instead?",
        "More layers give attention more turns to find its neighbours. At which depth is Canon no longer ahead?",
        "O-depth",
        "RoPE, 6 layers",
    ),
)
