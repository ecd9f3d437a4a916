"""Needles: one short fact in a long text, and a question for it (the "single needle" tests of the RULER benchmark).

These are the tests S-NIAH-1 to -3 of Part 4.1's figure 23, in our own words. The first has a text of one repeated phrase
and is easy even for models of a fixed memory, because all that is new in the text is the needle; the third asks for 36
characters, each of which must be right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

from ..base.strict import Fraction
from ..tasks.draws import U64
from .filler import Filler, WithFiller
from .probe import Dice, Probe, probe_key

# Streams of draws.
KEY, VALUE, DEPTH = range(3)

KINDS = {"S-NIAH-1": ("noise", "number"), "S-NIAH-2": ("text", "number"), "S-NIAH-3": ("text", "code")}
NOISE = ("The river is wide.", "The road is dry.", "The day is long.", "Off we go.", "And then we rest.")
ADJECTIVES = (
    "amber brave calm damp early faint gentle hollow icy jolly keen lively mellow narrow old pale quiet rapid "
    "silent tall upper vivid warm young"
).split()
NOUNS = (
    "anchor bridge candle desert engine forest glacier harbour island jacket kettle ladder meadow needle orchard "
    "pillow quarry ribbon saddle tunnel umbrella valley window yard"
).split()


@dataclass(frozen=True)
class Needle(WithFiller):
    """One needle: the secret number, or code, of something with a name of two words.

    kind: "S-NIAH-1" (noise, a number of seven digits), "S-NIAH-2" (real text, a number) or "S-NIAH-3" (real text, a code
    of 32 hexadecimal digits in the form of a UUID). depth: where the needle lies, from 0 (first sentence) to 1 (last one);
    None draws a place uniformly. Scored by whether the output holds the value.

    >>> print(Needle(filler_tokens=14, depth=0.5).sample(seed=0, index=0).prompt)
    Somewhere in this text a secret number is given; remember it, because you will be asked for it.
    The river is wide. The road is dry. The secret number of the icy kettle is 1415327. The day is long.
    What is the secret number of the icy kettle? According to the text, the secret number of the icy kettle is
    """

    kind: Literal["S-NIAH-1", "S-NIAH-2", "S-NIAH-3"] = "S-NIAH-1"
    depth: Fraction | None = None

    new_tokens = 64  # a code is up to 36 tokens, and a model may say a few words before it

    @cached_property
    def _noise(self) -> Filler:
        """Enough repetitions: each sentence has a token at least."""
        return Filler(NOISE * (self.filler_tokens // len(NOISE) + 1), "noise")

    def passage(self, key: U64, keep: Callable[[str], bool] | None = None) -> list[str]:
        """The filler: the repeated phrase, or real text."""
        if KINDS[self.kind][0] == "noise":
            return self._noise.passage(0, self.filler_tokens, self.tokenize, keep)
        return super().passage(key, keep)

    def sample(self, seed: int, index: int) -> Probe:
        """Probe number `index`. `meta`: key, place (the needle's sentence number), and facts of the filler."""
        key = probe_key(seed, index)
        value_kind = KINDS[self.kind][1]
        dice, drawn = Dice(key, KEY), Dice(key, VALUE)
        name = f"{dice.choose(ADJECTIVES)} {dice.choose(NOUNS)}"
        number = value_kind == "number"
        value = 1_000_000 + drawn.below(9_000_000) if number else UUID(int=drawn.bits() << 64 | drawn.bits(), version=4)
        passage = self.passage(key)
        place = Dice(key, DEPTH).below(len(passage) + 1) if self.depth is None else round(self.depth * len(passage))
        text = " ".join([*passage[:place], f"The secret {value_kind} of the {name} is {value}.", *passage[place:]])
        question = f"What is the secret {value_kind} of the {name}?"
        return Probe(
            prompt=f"Somewhere in this text a secret {value_kind} is given; remember it, because you will be asked for it."
            f"\n{text}\n{question} According to the text, the secret {value_kind} of the {name} is",
            answer=str(value),
            question=question,
            context=text,
            meta={"key": name, "place": place, **self.filler_facts(passage)},
        )

    def right(self, output: str, probe: Probe) -> bool:
        """Does the output hold the value, in either case of its letters?"""
        return probe.answer.lower() in output.lower()
