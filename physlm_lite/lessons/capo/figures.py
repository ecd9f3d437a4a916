"""Pictures and widgets of the Capo lesson: a person and what is written about them, bits, and the room in a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from math import log, log2
from statistics import fmean
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...base.strict import choose
from ...claims import Outcome
from ...lab.controls import menu, slider, stops
from ...lab.page import Block, table
from ...lab.plots import BLUE, GREY, RED, chip, new_figure, note
from ...lab.show import Interactive
from ...tasks.capo import VARIANTS, Capo, Measure, max_bits

NAME, VALUE, NOTHING = "#cfe0fb", "#ffe99a", "none"  # backgrounds of the tokens that are knowledge, and of the others
BITS_AT = {100: 1.0, 1000: 2.0}  # bits per parameter after so many exposures (Part 3.3, results 1 and 4)
ENCYCLOPEDIA = 14e9  # bits: 7 billion parameters at 2 bits hold English Wikipedia and textbooks (Part 3.3's estimate)
LINE = 112  # characters in a line of text across a figure
MARGIN = 2  # on both sides of it
CHARACTER = 0.08  # inches: 8 pixels at 100 dots per inch, the hinted advance of the monospaced font at 10 points

_TOY: dict[str, Any] = {"names": (24, 24, 24), "values": 32}
_NAMED = "bioS(N)", "bioS single", "bioS single+permute5", "bioS single+fullname", "bioS multi5", "bioS multi5+permute"
INSPECTED: Mapping[str, Mapping[str, Any]] = {
    **{name: VARIANTS[name] for name in _NAMED},
    "toy: short sentences": {"format": "short", **_TOY},
    "toy: pairs": {"format": "pairs", **_TOY},
}


# -- a person and their biographies ------------------------------------------------------------------------------------


def biography_pieces(task: Capo, measure: Measure, row: int = 0) -> list[tuple[str, str]]:
    """The text of a row, piece by piece, each with the colour of its kind: name, value, or neither."""
    tokens, part = measure.batch.tokens[row].tolist(), measure.part[row].tolist()
    length = int((measure.batch.document[row] == 0).sum())
    kinds = [NOTHING if p == 0 else NAME if p == 1 else VALUE for p in part]
    return [(task.decode([tokens[i]]), kinds[i]) for i in range(1, length)]


def text_lines(pieces: Sequence[tuple[str, str]], width: int = LINE) -> list[list[tuple[int, str, str]]]:
    """Pieces set in lines: (column, text, colour), neighbours of one kind joined. Lines break before spaces only."""
    text = "".join(piece for piece, _ in pieces).lstrip()
    kinds = [kind for piece, kind in pieces for _ in piece][-len(text) :]
    lines, begin = [], 0
    for line in wrap(text, width, break_long_words=False, break_on_hyphens=False):
        begin = text.index(line, begin)
        runs = [list(run) for _, run in groupby(range(begin, begin + len(line)), kinds.__getitem__)]
        starts = [run[0] + (text[run[0]] == " ") for run in runs]  # the space before a box stays outside it
        lines.append([(i - begin, text[i : run[-1] + 1], kinds[i]) for i, run in zip(starts, runs, strict=True)])
    return lines


def different_texts(task: Capo, person: int, exposures: int = 12) -> int:
    """How many different biographies of a person occur in that many exposures."""
    return len({tuple(task.measure_batch([person], seed).batch.tokens[0].tolist()) for seed in range(exposures)})


_write = partial(chip, edge="none", shape="square,pad=0.12", ha="left", family="monospace", fontsize=10)


def text_figure(height: float) -> tuple[Figure, Axes]:
    """An empty sheet whose horizontal unit is the width of one character."""
    columns = LINE + 2 * MARGIN
    figure, (axis,) = new_figure(1, width=columns * CHARACTER + 0.083, height=height)  # constrained layout's own margin
    axis.axis("off")
    axis.set_xlim(-MARGIN, LINE + MARGIN)
    return figure, axis


def capo_figure(task: Capo, person: int = 0, exposure: int = 0) -> Figure:
    """A person's facts as a card and, below it, their biography at one exposure, knowledge coloured."""
    someone = task.persons[person]
    lines = text_lines(biography_pieces(task, task.measure_batch([person], exposure)))
    rows = len(lines) + 9.6
    figure, axis = text_figure(0.235 * rows)
    axis.set_ylim(rows, 0)
    axis.text(0, 1, someone.name, fontsize=13, fontweight="bold", va="center")
    axis.text(0, 2.1, f"person {person} of {task.people:,}", fontsize=9.5, color=GREY, va="center")
    for i, (attribute, value) in enumerate(someone.values.items()):
        text, ink = (value, "black") if attribute in task.parts else (f"{value} (follows from the employer)", GREY)
        axis.text(1, 3.4 + i, attribute.replace("_", " "), fontsize=10, color=GREY, va="center")
        axis.text(17, 3.4 + i, text, fontsize=10.5, color=ink, va="center")
    legend = {
        "name": (NAME, "who there is"),
        "value": (VALUE, "a fact to know"),
        "other": (NOTHING, "the words around"),
    }
    for i, (word, (kind, meaning)) in enumerate(legend.items()):
        _write(axis, word, (76, 3.4 + i), kind)
        axis.text(83, 3.4 + i, meaning, fontsize=10, color=GREY, va="center")
    found = different_texts(task, person)
    axis.text(76, 6.9, f"12 exposures show {found} text{'s' * (found != 1)}", fontsize=10.5, va="center")
    axis.plot([0, LINE], [9.4, 9.4], color="#d9dde3", linewidth=1)
    for number, line in enumerate(lines):
        for column, text, kind in line:
            _write(axis, text, (column, 10.2 + number), kind)
    return figure


def capo_inspector(people: int = 1000, variants: Mapping[str, Mapping[str, Any]] = INSPECTED) -> Interactive:
    """Leaf through the people, meet one of them again at other exposures, and switch between the papers' data sets."""
    task = cache(lambda variant: Capo(people, **choose("variant", variant, variants)))
    controls = {
        "variant": menu("data set", variants),
        "person": slider("person", 7, 0, people - 1),
        "exposure": slider("exposure", 0, 0, 11),
    }
    return Interactive(
        lambda variant, person, exposure: capo_figure(task(variant), person, exposure),
        controls,
        "Capo inspector: a person's six facts, and a biography that states them",
    )


# -- bits --------------------------------------------------------------------------------------------------------------


def pool_sizes(task: Capo) -> dict[str, int]:
    """How many values there are to choose from, for each part of knowledge but the name."""
    pools = task.persons.pools
    return {part: 2 if part == "gender" else pools.size(part) for part in task.parts[2:]}


def part_bits(task: Capo) -> dict[str, float]:
    """Bits of each part of knowledge about one person: the name (as a member of a set), then each value."""
    return {"name": log2(task.N0 / task.people), **{part: log2(size) for part, size in pool_sizes(task).items()}}


def bits_figure(task: Capo) -> Figure:
    """A bar for each part of knowledge; hatched, what the names would weigh if the people stood in a fixed order."""
    bits, labels = part_bits(task), {part: f"{size:,} to choose from" for part, size in pool_sizes(task).items()}
    labels["name"] = f"a set of {task.people:,} out of {task.N0:,}"
    if "company_city" not in bits:
        bits["company_city"], labels["company_city"] = 0.0, "the employer gives it away"
    figure, (axis,) = new_figure(1, width=9.2, height=3.5)
    for place, (part, value) in enumerate(bits.items()):
        axis.barh(place, value, color=NAME if part == "name" else VALUE, edgecolor=GREY, linewidth=0.8)
        end = value
        if part == "name":
            end = log2(task.N0)
            axis.barh(place, end - value, left=value, color="white", edgecolor="#9aa3af", hatch="///", linewidth=0.8)
        note(axis, f"{value:.1f}   {labels[part]}", (end, place), (6, 0), ha="left", va="center", fontsize=11)
    axis.set_yticks(range(len(bits)), [part.replace("_", " ") for part in bits])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.6 * max(log2(task.N0), *bits.values()))
    axis.set_xlabel("bits (hatched: the order of the people, which nobody has to know)")
    values = sum(bits.values()) - bits["name"]
    axis.set_title(f"one of {task.people:,} people: {bits['name']:.1f} bits of name + {values:.1f} bits of values")
    return figure


def parts_table(outcome: Outcome) -> Block:
    """Where the bits are: per person, in the names and in the values, with what there is to know."""
    task = outcome.experiment.made_task
    assert isinstance(task, Capo)
    known = ("all that can be known", f"{log2(task.N0 / task.people):.1f}", f"{log2(task.S0):.1f}", "", "")
    rows: list[tuple[str, ...]] = [known]
    for side, records in outcome.records.items():
        p1, p2 = ([r.final[key] for r in records if key in r.final] for key in ("name_loss", "value_loss"))
        if p1:
            bits = (log2(task.N0) - fmean(p1) / log(2), log2(task.S0) - fmean(p2) / log(2))
            losses = (", ".join(f"{x:.2f}" for x in loss) for loss in (p1, p2))
            rows.append((side, *(f"{held:.1f}" for held in bits), *losses))
    measured = ("p1: name loss, nats", "p2: value loss, nats (one number a seed)")
    return table(("side", "bits of a name", "bits of the values", *measured), rows)


# -- what a kernel of four sees ----------------------------------------------------------------------------------------


def _first_tokens(measure: Measure, row: int) -> list[int]:
    """Where each attribute's value begins (the pronoun is left out)."""
    part = measure.part[row].tolist()
    facts = [i for i, name in enumerate(measure.parts) if i > 1 and name != "gender"]
    return sorted(part.index(i) for i in facts)


def share_in_window(task: Capo, kernel: int = 4, people: int = 200) -> float:
    """Share of the values in whose prediction a Canon layer of this kernel mixes in another attribute's value.

    The token before the value is the one that predicts it; a first Canon layer gives it that token and the kernel - 1
    before it.
    """
    measure = task.measure_batch(range(min(people, task.people)))
    gender = measure.parts.index("gender") if "gender" in measure.parts else -1
    firsts = [(part, begin) for row, part in enumerate(measure.part.tolist()) for begin in _first_tokens(measure, row)]
    return fmean(any(p > 1 and p != gender for p in part[max(0, begin - kernel) : begin]) for part, begin in firsts)


def window_figure(tasks: Mapping[str, Capo], person: int = 7, kernel: int = 4, shown: int = 14) -> Figure:
    """For each format, the tokens before one value; framed, those that a Canon layer mixes where the value is predicted."""
    figure, axis = text_figure(0.1 + 0.85 * len(tasks))
    axis.set_ylim(len(tasks) - 0.35, -0.35)
    for place, (title, task) in enumerate(tasks.items()):
        measure = task.measure_batch([person])
        begin = _first_tokens(measure, 0)[2]
        part = measure.part[0].tolist()
        words = [task.decode([token]).strip() for token in measure.batch.tokens[0, : begin + 1].tolist()]
        widths = [len(word) + 2 for word in words]
        fitting = int((np.cumsum(widths[::-1]) < LINE - 16).sum())
        first = begin + 1 - min(shown + 1, begin, fitting)
        x = dict(enumerate(np.cumsum([1, *widths[first:begin]]), first))
        x[begin] += 1
        share = share_in_window(task, kernel)
        heading = f"{title}: another value in the window in {share:.0%} of the predictions"
        axis.text(0, place - 0.15, heading, fontsize=10.5, fontweight="bold", va="center")
        for i in range(first, begin):
            kind = NAME if part[i] == 1 else VALUE if part[i] > 1 else "#f2f2f2"
            _write(axis, words[i], (x[i], place + 0.3), kind)
        _write(axis, words[begin], (x[begin], place + 0.3), "white", color=RED)
        left, right = x.get(begin - kernel, 0) - 0.7, x[begin] - 2.3
        axis.add_patch(Rectangle((left, place + 0.06), right - left, 0.48, fill=False, edgecolor=RED, linewidth=1.8))
        end = x[begin] + len(words[begin]) + 1.5
        axis.text(end, place + 0.3, "← to predict", fontsize=9.5, color=RED, va="center")
    return figure


# -- how much room there is --------------------------------------------------------------------------------------------


def stored_bits(people: int, parameters: float, exposures: int = 1000) -> tuple[float, float]:
    """(bits there are to know about that many people of bioS, bits a model of this size would hold of them).

    The second is the smaller of the first and `BITS_AT[exposures]` times the parameters.
    """
    task = Capo(1)
    if not 1 <= people <= task.N0:
        raise ValueError(f"people must be 1 to {task.N0:,}, the number of full names, not {people:,}")
    if exposures not in BITS_AT:
        measured = ", ".join(map(str, BITS_AT))
        raise ValueError(f"exposures must be one of {measured}, where the paper measured, not {exposures}")
    known = max_bits(people, task.N0, task.S0)
    return known, min(known, BITS_AT[exposures] * parameters)


def capacity_figure(people: int = 100_000, parameters: int = 10_000_000, exposures: int = 1000) -> Figure:
    """Bits over parameters: what there is to know (flat), what a model can hold (rising), and where they meet."""
    known, stored = stored_bits(people, parameters, exposures)
    rate = BITS_AT[exposures]
    x = np.geomspace(1e5, 1e11, 61)
    figure, (axis,) = new_figure(1, width=10.4, height=4.2)
    for count, line in ((100, "--"), (1000, "-")):
        shade, width = (BLUE, 2.2) if count == exposures else ("#b8c2d0", 1.4)
        label = f"{BITS_AT[count]:g} bit{'s' * (BITS_AT[count] != 1)} per parameter ({count:,} exposures)"
        axis.plot(x, BITS_AT[count] * x, line, color=shade, linewidth=width, label=label)
    axis.axhline(known, color=RED, linewidth=1.8, label=f"all about {people:,} people")
    axis.axhline(ENCYCLOPEDIA, color=GREY, linestyle=":", linewidth=1.4)
    estimate = "English Wikipedia and textbooks (estimate of Part 3.3)"
    axis.text(1.2e5, 1.15 * ENCYCLOPEDIA, estimate, fontsize=9, color=GREY)
    room = f"room for that: {known / rate:,.0f} parameters"
    axis.plot(known / rate, known, "D", color=RED, markersize=8, label=room)
    axis.plot(parameters, stored, "o", color="black", markersize=9, label=f"a model of {parameters:,} parameters")
    axis.set(xscale="log", yscale="log")
    axis.minorticks_off()
    axis.set(xlim=(1e5, 1e11), ylim=(1e5, 3e11), xlabel="parameters", ylabel="bits")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9.5)
    limit = "the data, there is nothing more to know" if stored == known else "the model, it is full"
    axis.set_title(f"{stored / parameters:.2f} bits per parameter. The limit: {limit}", fontsize=11.5)
    return figure


def capacity_explorer() -> Interactive:
    """How many people fit into a model, and how large a model some people need."""
    people = (10_000, 50_000, 100_000, 500_000, 1_000_000, 2_000_000, 10_000_000, 100_000_000)
    sizes = [size * 10**zeros for zeros in (5, 6, 7) for size in (3, 10)] + [10**9, 7 * 10**9, 70 * 10**9]
    controls = {
        "people": stops("people", people, 100_000),
        "parameters": stops("parameters", sizes, 1_000_000),
        "exposures": menu("exposures", BITS_AT, 1000),
    }

    def sentence(people: int, parameters: int, exposures: int) -> str:
        known, stored = stored_bits(people, parameters, exposures)
        needed = known / BITS_AT[exposures]
        return (
            f"<p>{people:,} people are {known:,.0f} bits ({known / people:.1f} each). A model of {parameters:,} parameters "
            f"holds about {stored / known:.0%} of them; <b>{needed:,.0f} parameters</b> would hold all.</p>"
        )

    alt = "What-if: bits to know and bits that fit, over the number of parameters"
    return Interactive(capacity_figure, controls, alt, extra=sentence)
