"""A class trains one pair each, another seed everywhere, and pastes a line; together the lines are a sample.

A line names the claim, the learner's number, and each side's score: `#7 R2-depth toy | RoPE 0.152 | RoPE + Canon 0.881`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from ...claims import Claim, Outcome
from ...lab.plots import GREY, chart, dot_table, judged_metric, new_figure, note, palette
from .exercises import ahead_by_luck

LINE = re.compile(r"#(\d{1,3}) ([\w-]+) (\w+) \| (.+?) (-?\d+\.\d+) \| (.+?) (-?\d+\.\d+)\s*$")
FIRST_SEED = 1000  # of a class, far from those of the records


def for_learner(claim: Claim, number: int) -> Claim:
    """The claim with a seed that is this learner's alone, at every scale; number: on the class list, from 1 to 999."""
    if not isinstance(number, int) or not 1 <= number <= 999:
        raise ValueError(f"your number on the class list is from 1 to 999, not {number!r}")
    own = {
        scale: dataclasses.replace(claim.experiment(scale), seeds=(FIRST_SEED + number,)) for scale in claim.experiments
    }
    return dataclasses.replace(claim, experiments=own)


def class_lines(outcome: Outcome) -> list[str]:
    """A line for each seed of an outcome, to be pasted; a recorded seed stands under its own number."""
    metric, sides = judged_metric(outcome), list(outcome.records)[:2]
    lines = []
    for pair in zip(*(outcome.records[side] for side in sides), strict=False):
        if any(record.status != "finished" for record in pair):
            continue
        seed = pair[0].run.seed
        number = seed - FIRST_SEED if seed > FIRST_SEED else seed
        scores = " | ".join(f"{side} {record.score(metric.name):.3f}" for side, record in zip(sides, pair, strict=True))
        lines.append(f"#{number} {outcome.claim.id} {outcome.scale} | {scores}")
    return lines


@dataclass(frozen=True)
class Pasted:
    """What the lines of a class say: for each number, the scores of both sides; and the lines that say nothing."""

    what: str
    sides: tuple[str, str]
    scores: dict[int, tuple[float, float]]
    left_out: tuple[str, ...]

    @property
    def ahead(self) -> int:
        """For how many the second side is ahead."""
        return sum(b > a for a, b in self.scores.values())

    def sentence(self) -> str:
        """What the class found, and how likely that is by luck."""
        count = len(self.scores)
        luck = ahead_by_luck(count, self.ahead)
        said = f"{self.sides[1]} is ahead for {self.ahead} of {count}; a coin would do that {luck:.2g} of the time."
        out = f" {len(self.left_out)} lines were left out." if self.left_out else ""
        return said + out


def pasted(text: str) -> Pasted:
    """Read what a class pasted: a line anywhere in a message counts, the last one of a number, and only one experiment.

    ValueError where no line can be read.
    """
    found: dict[int, tuple[str, tuple[str, str], tuple[float, float]]] = {}
    left_out = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = LINE.search(line)
        if match is None:
            left_out.append(line)
            continue
        number, claim, scale, one, a, other, b = match.groups()
        found[int(number)] = (f"{claim} at {scale} scale", (one, other), (float(a), float(b)))
    if not found:
        raise ValueError(
            "no line of a class is in this text; one looks like #7 R2-depth toy | RoPE 0.152 | RoPE + Canon 0.881"
        )
    kinds = [(what, sides) for what, sides, _ in found.values()]
    (what, sides) = max(kinds, key=kinds.count)  # somebody ran another experiment
    scores = {number: each[2] for number, each in sorted(found.items()) if each[:2] == (what, sides)}
    others = [f"#{number}: {each[0]}" for number, each in sorted(found.items()) if each[:2] != (what, sides)]
    return Pasted(what, sides, scores, (*left_out, *others))


def class_figure(text: str) -> Figure:
    """Every learner a dot on each side, and the differences in order: how many are ahead, and by how much."""
    found = pasted(text)
    figure, (left, right) = new_figure(2, width=10.0, height=3.9, width_ratios=(1.25, 1))
    shades = palette(found.sides)
    data = dot_table({"": {side: [pair[i] for pair in found.scores.values()] for i, side in enumerate(found.sides)}})
    dots: dict[str, Any] = {"size": 6, "linewidth": 0.6, "edgecolor": "white", "warn_thresh": 1}
    chart("swarmplot", left, data, "score", "side", shades, order=list(found.sides), **dots)
    left.set(title="every learner a dot on each side", xlabel="score", ylabel="")
    if all(0 <= score <= 1 for pair in found.scores.values() for score in pair):
        left.set_xlim(-0.02, 1.02)
    gains = sorted((b - a, number) for number, (a, b) in found.scores.items())
    for place, (gain, number) in enumerate(gains):
        shade = shades[found.sides[1] if gain > 0 else found.sides[0]]
        right.plot([0, gain], [place, place], color=shade, linewidth=2.4, solid_capstyle="round")
        if len(gains) <= 12:
            note(right, f"#{number}", (max(gain, 0), place), (6, 0), ha="left", va="center", color=GREY)
    right.axvline(0, color="#555", linewidth=1)
    right.set_yticks([])
    right.margins(x=0.12)
    right.set(title="how far ahead, learner by learner")
    figure.suptitle(
        f"{found.what}: {len(gains)} learners, {found.ahead} of them see {found.sides[1]} ahead", fontsize=11
    )
    return figure
