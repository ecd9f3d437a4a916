"""A verdict in words: what the bar was, by how much it was met or missed on either clock, and what the picture still shows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from itertools import combinations
from statistics import fmean, median
from typing import Any

from ..claims import Outcome
from ..claims.rules import (
    CONTRADICTED,
    HOLDS,
    NOT_RUN,
    Ahead,
    AtLeast,
    Beats,
    Climbs,
    Gains,
    Level,
    Noise,
    Rule,
    Shrinks,
    Stops,
)
from ..claims.statistics import LUCK, Comparison
from ..training import Record

Records = Mapping[str, Sequence[Record]]
Label = Callable[[str], str]  # the name of a score, in words


def sentences(outcome: Outcome) -> list[str]:
    """One for each rule of a claim that was judged; otherwise one that says why it was not."""
    verdict, in_time = outcome.verdict, outcome.verdict_in_time
    if verdict.word == NOT_RUN:
        seeds = {side: len(runs) for side, runs in outcome.records.items()}
        if not any(seeds.values()):
            return ["Not run yet at this scale."]
        if all(count == 1 for count in seeds.values()):
            return ["One seed of each side: a lead, not a verdict."]
        few = ", ".join(f"{count} of {side}" for side, count in seeds.items())
        return [
            f"Not judged yet: {len(outcome.experiment.seeds)} seeds of each side are asked for, recorded are {few}."
        ]
    if outcome.protocol == 1:
        asked = "; ".join(
            re.split("; in direction|; contradicted|, else", text)[0] for text in outcome.experiment.rule_texts
        )
        return [f"By the first protocol, three seeds which chose the rates, too: {asked}. Found: {verdict.reason}."]
    rules = outcome.experiment.rules
    found, timed = _apart(rules, verdict.comparisons), _apart(rules, in_time.comparisons)
    if found is None:
        return [f"{verdict.reason}."]
    later = {**outcome.records, **{side: outcome.in_time.get(side, ()) for side in outcome.slower}}
    said = []
    for number, (rule, steps) in enumerate(zip(rules, found, strict=True)):
        text = f"The bar: {bar(rule, lambda name: outcome.experiment.metric(name).label)}. "
        text += f"Equal steps: {reached(rule, steps, outcome.records)}; "
        text += f"equal seconds: {reached(rule, timed[number], later) if timed else 'not measured yet'}."
        said.append(text)
    if verdict.word != HOLDS and (found_ahead := _ahead(outcome)) is not None:
        one, high, other, low = found_ahead
        said[-1] += f" In the picture {one} is ahead of {other} in the mean, {_short(high)} against {_short(low)}."
    return said


def _apart(rules: Sequence[Rule], found: Sequence[Comparison]) -> list[Sequence[Comparison]] | None:
    """The comparisons of each rule; None if some rule could not compare."""
    counts = [len(list(combinations(rule.compared, 2))) if isinstance(rule, Noise) else 1 for rule in rules]
    if sum(counts) != len(found):
        return None
    ends = [sum(counts[: number + 1]) for number in range(len(counts))]
    return [found[end - count : end] for end, count in zip(ends, counts, strict=True)]


def disagreement(outcomes: Sequence[Outcome]) -> str:
    """One sentence where the scales of a claim end in different words, or put another side ahead; else ""."""
    judged = [outcome for outcome in outcomes if outcome.verdict.word != NOT_RUN]
    if len({outcome.claim.id for outcome in judged}) != 1:
        return ""
    ahead = [_ahead(outcome) for outcome in judged]
    leaders = [found and found[0] for found in ahead]
    if len({outcome.verdict.word for outcome in judged}) > 1:
        said = [outcome.verdict.word for outcome in judged]
    elif len(set(leaders)) > 1 and None not in leaders:
        said = [f"{leader} ahead in the mean" for leader in leaders]
    else:
        return ""
    steps = [f"{outcome.experiment.training.steps:,} steps" for outcome in judged]
    each = ", ".join(f"{word} at {o.scale} ({count})" for word, o, count in zip(said, judged, steps, strict=True))
    return (
        f"The scales disagree: {each}. The longer training weighs more; what else differs, “Simplified or full” says."
    )


def _ahead(outcome: Outcome) -> tuple[str, float, str, float] | None:
    """Of the first rule about two sides: which is ahead in the mean, with its score, and the other with its own."""
    rules = outcome.experiment.rules
    rule: Any = next((rule for rule in rules if hasattr(rule, "better") and hasattr(rule, "metric")), None)
    if rule is None:
        return None
    metric = outcome.experiment.metric(rule.metric)
    means = {
        side: fmean(metric.of(run.final) for run in runs)
        for side in rule.sides()
        if (runs := [run for run in outcome.records[side] if run.status == "finished"])
    }
    if len(means) < 2:
        return None
    (one, high), (other, low) = sorted(means.items(), key=lambda pair: -metric.merit(pair[1]))
    return one, high, other, low


# -- the bar of each kind of rule --------------------------------------------------------------------------------------


@singledispatch
def bar(rule: Rule, label: Label) -> str:
    """What had to be seen, in few words."""
    raise TypeError(f"there are no words for the rule {type(rule).__name__}")


@singledispatch
def reached(rule: Rule, found: Sequence[Comparison], records: Records) -> str:
    """What was seen, and by how much that clears the bar or misses it."""
    raise TypeError(f"there are no words for the rule {type(rule).__name__}")


@bar.register
def _(rule: Ahead, label: Label) -> str:
    margin = f"by {rule.by:g}" if rule.factor is None else f"{rule.factor:g} times"
    return f"{rule.better} better than {rule.worse} {margin} in {label(rule.metric)}, everywhere in the 95 % interval"


@reached.register
def _(rule: Ahead, found: Sequence[Comparison], records: Records) -> str:
    least = rule.by if rule.factor is None else rule.factor
    return _interval(found[0], lambda low, high: low - least)


@bar.register
def _(rule: Level, label: Label) -> str:
    return f"{rule.better} and {rule.worse} within {rule.margin:g} in {label(rule.metric)}, in the whole 95 % interval"


@reached.register
def _(rule: Level, found: Sequence[Comparison], records: Records) -> str:
    return _interval(found[0], lambda low, high: rule.margin - max(abs(low), abs(high)), test=False)


@bar.register
def _(rule: AtLeast, label: Label) -> str:
    return f"{rule.better} nowhere in the 95 % interval {rule.margin:g} or more behind {rule.worse} in {label(rule.metric)}"


@reached.register
def _(rule: AtLeast, found: Sequence[Comparison], records: Records) -> str:
    return _interval(found[0], lambda low, high: low + rule.margin, test=False)


@bar.register
def _(rule: Gains, label: Label) -> str:
    return (
        f"{rule.part} has {rule.share:.0%} of what {rule.whole} gains over {rule.base} in {label(rule.metric)}, or more"
    )


@bar.register
def _(rule: Shrinks, label: Label) -> str:
    return f"{rule.small[0]} gains more over {rule.small[1]} than {rule.large[0]} over {rule.large[1]} ({label(rule.metric)})"


@reached.register(Gains)
@reached.register(Shrinks)
def _(rule: Gains | Shrinks, found: Sequence[Comparison], records: Records) -> str:
    return _interval(found[0], lambda low, high: low)


@bar.register
def _(rule: Beats, label: Label) -> str:
    return (
        f"every seed of {rule.better} at {rule.at_least:g} or more and every seed of {rule.worse} at {rule.at_most:g} or less in "
        f"{label(rule.metric)}"
    )


@reached.register
def _(rule: Beats, found: Sequence[Comparison], records: Records) -> str:
    high, low = ([record.score(rule.metric) for record in records[side]] for side in rule.sides())
    room = min(min(high) - rule.at_least, rule.at_most - max(low))
    return f"lowest {_short(min(high))}, highest of {rule.worse} {_short(max(low))}, {_by(room)}"


@bar.register
def _(rule: Stops, label: Label) -> str:
    return (
        f"every seed of {rule.side} at {rule.at_least:g} or more in {label(rule.learnt)} and at {rule.at_most:g} or less in "
        f"{label(rule.metric)}"
    )


@reached.register
def _(rule: Stops, found: Sequence[Comparison], records: Records) -> str:
    easy, hard = ([record.score(name) for record in records[rule.side]] for name in (rule.learnt, rule.metric))
    room = min(min(easy) - rule.at_least, rule.at_most - max(hard))
    return f"lowest {_short(min(easy))}, highest of what is hard {_short(max(hard))}, {_by(room)}"


@bar.register
def _(rule: Climbs, label: Label) -> str:
    rungs = f"1 to {rule.hops} hops" if rule.hops > 1 else "one hop"
    return (
        f"{rule.better} learns {rungs} on most seeds, {rule.factor:g} times sooner than {rule.worse}, with p ≤ {LUCK:g}"
    )


@reached.register
def _(rule: Climbs, found: Sequence[Comparison], records: Records) -> str:
    p = found[0].p
    if found[0].difference is not None:
        return f"{_short(found[0].difference)} times sooner, p = {p:.3f}"
    got = {
        side: sum(math.isfinite(rule.steps(record)) for record in records[side])
        for side in rule.sides()
        if records[side]
    }
    most = " (the median never)" * (
        math.isinf(median(map(rule.steps, records[rule.better]))) if records[rule.better] else False
    )
    seeds = ", ".join(
        f"{count} of {len(records[side])} seeds of {side}{most * (side == rule.better)}" for side, count in got.items()
    )
    return f"{seeds} get there, p = {p:.3f}" + f", where {LUCK:g} was asked" * (p > LUCK)


@bar.register
def _(rule: Noise, label: Label) -> str:
    pairs = f"in every pair of {', '.join(rule.compared)} the better side wins"
    word = "more" if rule.settled else "less"
    return f"{pairs} {word} than {rule.enough:.0%} of the contests in {label(rule.metric)}, in the whole interval"


@reached.register
def _(rule: Noise, found: Sequence[Comparison], records: Records) -> str:
    def room(one: Comparison) -> float:
        low, high = one.interval or (0.0, 1.0)
        return low - rule.enough if rule.settled else rule.enough - high

    worst = min(found, key=room)
    low, high = worst.interval or (0.0, 1.0)
    return (
        f"in the pair that decides, {worst.better} against {worst.worse}, {worst.difference or 0:.0%} [{low:.0%}, {high:.0%}], "
        f"{_by(room(worst), share=True)}"
    )


# -- numbers -----------------------------------------------------------------------------------------------------------


def _interval(found: Comparison, room: Callable[[float, float], float], test: bool = True) -> str:
    """A difference with its interval, and how far this is from the bar (below 0: missed)."""
    if found.interval is None or found.difference is None:
        return f"a run diverged, so there is no interval; p = {found.p:.3f}"
    low, high = found.interval
    times = " times" * found.ratio
    said = f"{_short(found.difference)}{times} [{_short(low)}, {_short(high)}], {_by(room(low, high))}"
    return said + f", and p = {found.p:.3f} where {LUCK:g} was asked" * (test and found.p > LUCK)


def _by(room: float, share: bool = False) -> str:
    size = f"{100 * abs(room):.0f} points" if share else _short(abs(room))
    return f"cleared by {size}" if room >= 0 else f"missed by {size}"


def _short(number: float) -> str:
    """Two digits that count."""
    if abs(number) >= 1000:
        return "more than 1,000" if number > 0 else "less than −1,000"
    return f"{number:.2g}".replace("-", "−") if abs(number) < 10 else f"{number:.0f}".replace("-", "−")


def colour_of(word: str) -> str:
    """A quiet mark of the verdict: green, grey or red."""
    return {HOLDS: "#2f7d4f", CONTRADICTED: "#b23a48"}.get(word, "#6b7280")
