"""Notebook 14: years hidden in text, noise beside differences, loss and retrieval beyond the trained length, and where a model
looks for what it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ...base.files import write_whole
from ...base.printable import escaped
from ...claims.settings import births, text
from ...claims.sides import NOPE, NOPE_CANON, QUARTER, ROPE, ROPE_CANON, Side
from ...data.documents import Hub, documents, parts_of
from ...lab.controls import menu, slider, stops
from ...lab.mixing import mixing_maps
from ...lab.page import Block
from ...lab.plots import FAINT, GREY, colour, folded, name_lines, new_figure, note, palette
from ...lab.show import Interactive
from ...models import LanguageModel
from ...tasks import Births, Text
from ...tasks.births import BORN, FAR, LINKED, SENTENCE
from ...tasks.text import KJV, PYTHON
from ...training import Record, Run, runs_folder

SIDES: dict[str, Side] = {side.label: side for side in (ROPE, ROPE_CANON, births.QUARTER, NOPE, NOPE_CANON)}
LENGTHS = (1, *FAR)  # times the trained one
LOOKS = {
    "the right sentence": "#d1495b",
    "other sentences": "#e8a0a8",
    "the question": "#edae49",
    "the text": "#c5cedb",
}
AFTER = 3  # a Canon layer carries what a token says to so many tokens after it


def births_runs(steps: int, sides: Sequence[str] = tuple(SIDES), seed: int = 0, **task: Any) -> dict[str, Run]:
    """A run of each side on hidden years, as in the claims but with a budget and a seed of the lesson's own."""
    setting = births.TOY
    options = {**setting.task_options, **task}
    return {
        side: Run("births", options, {**setting.model, **SIDES[side].options}, setting.training, seed).but(
            steps=steps, learning_rate=births.RATE, evaluations=min(steps, setting.training.evaluations)
        )
        for side in sides
    }


def text_runs(steps: int, sides: Sequence[str] = tuple(SIDES), seed: int = 0, **task: Any) -> dict[str, Run]:
    """A run of each side on plain text, with loss on every character."""
    options = {**text.TOY.task_options, **task}
    sides_of_text = {**SIDES, QUARTER.label: QUARTER}  # heads are twice as wide here
    return {
        side: Run("text", options, {**text.TOY.model, **sides_of_text[side].options}, text.TOY.training, seed).but(
            steps=steps, learning_rate=4e-3, evaluations=1
        )
        for side in sides
    }


CHARACTERS = 4_000_000  # of a data set of the Hub: about as many as the King James Bible has


def corpus_of(name: str, folder: Path | None = None) -> str:
    """What the tasks take as their corpus: "kjv", "python", a text file or a folder as they are; any other name is a data set
    of the Hub, whose first four million characters are fetched once and kept in a file.

    Raises ValueError for a data set that is not to be had.
    """
    if name in (KJV, PYTHON) or Path(name).expanduser().exists():
        return name
    file = (folder or runs_folder().parent / "texts") / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.txt"
    if not file.exists():
        hub, taken, size = Hub(name), [], 0
        for document in chain.from_iterable(documents(part, hub=hub) for part in parts_of([], hub)):
            taken.append(document.strip())
            size += len(document)
            if size >= CHARACTERS:
                break
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda place: place.write_text("\n\n".join(taken)[:CHARACTERS], encoding="utf-8"))
    return str(file)


# -- what is read ------------------------------------------------------------------------------------------------------

FACT, RIGHT, ASKED = "#e3ecfb", "#f7d4d9", "#ffe99a"


def hidden_card(task: Births, row: int = 0, split: str = "test") -> Block:
    """A row as it is read: sentences in blue, those that the first question needs in red, questions in yellow."""
    tokens = task.batch(0, 0, range(row, row + 1), split).tokens[0].tolist()
    names = [task.vocabulary[token] for token in tokens]
    needed, first = set(chain_of(names)), first_question(names)
    pieces, plain, place = [], [], 0
    while place < len(names):
        if names[min(place + 1, len(names) - 1)] in (BORN, LINKED):
            name, word, other = names[place : place + SENTENCE]
            shade = ASKED if place >= first else RIGHT if place in needed else FACT
            said = f"{name} {'was born in' if word == BORN else 'is as old as'} {other}."
            pieces.append(
                f'<span style="background:{shade};color:#1a1a1a;border-radius:3px;padding:1px 4px">{said}</span> '
            )
            plain.append(f" [{said}] ")
            place += SENTENCE
            continue
        pieces.append({"␣": " ", "↵": "<br>"}.get(names[place]) or escaped(names[place]))
        plain.append({"␣": " ", "↵": "\n"}.get(names[place], names[place]))
        place += 1
    return Block(f'<div style="line-height:1.9;max-width:52em">{"".join(pieces)}</div>', "".join(plain))


def first_question(names: Sequence[str]) -> int:
    """The place of the first question: all that follows are questions."""
    first = len(names)
    while first >= SENTENCE and names[first - 2] == BORN:
        first -= SENTENCE
    return first


def chain_of(names: Sequence[str]) -> list[int]:
    """The places of the sentences that lead from the first question to its year, the last one has it."""
    first = first_question(names)
    told = {names[i - 1]: i - 1 for i, name in enumerate(names[:first]) if name in (BORN, LINKED)}
    places, name = [], names[first]
    while name in told:
        places.append(told[name])
        name = names[told[name] + 2]
    return places


# -- noise beside differences ------------------------------------------------------------------------------------------

# Part 4.1, figures 16 and 21: 1.3B parameters, 100B tokens of SlimPajama, in percent. Of RoPE the smallest and the largest of
# eight seeds; of a quarter of RoPE two layouts.
_SIDES = ("RoPE", "RoPE + Canon", QUARTER.label, "NoPE", "NoPE + Canon")
PUBLISHED: dict[str, dict[str, tuple[float, ...]]] = {
    "LAMBADA": dict(zip(_SIDES, ((50.7, 55.0), (52.0,), (51.4, 51.7), (43.8,), (48.8,)), strict=True)),
    "FDA": dict(zip(_SIDES, ((76.0, 81.5), (78.6,), (78.6, 80.1), (78.6,), (77.7,)), strict=True)),
    "1-hop-4k": dict(zip(_SIDES, ((73.0, 87.0), (91.3,), (95.3, 99.6), (98.6,), (99.4,)), strict=True)),
}
# "1-hop": a year among five sentences and so many thousand tokens of Wikipedia; the models read windows of 4,096. Of the eight
# seeds of RoPE the middle of their range, of a quarter the layout that finds more.
FARTHER: dict[str, tuple[float, ...]] = {
    "RoPE": (98.4, 80.0, 9.5, 0.4),
    "RoPE + Canon": (98.9, 91.3, 7.0, 1.2),
    QUARTER.label: (99.2, 99.6, 80.6, 35.8),
    "NoPE": (98.8, 98.6, 66.8, 1.7),
    "NoPE + Canon": (99.3, 99.4, 88.9, 10.1),
}
THOUSANDS = (0, 4, 5, 6)


def noise_figure() -> Figure:
    """Three published scores: eight seeds of one architecture as a band, one dot for each of the others."""
    figure, axes = new_figure(3, width=9.9, height=3.5)
    for axis, (score, values) in zip(axes, PUBLISHED.items(), strict=True):
        low, high = values["RoPE"]
        axis.axhspan(low, high, color=colour("RoPE"), alpha=0.2, linewidth=0)
        note(
            axis,
            "8 seeds of RoPE",
            (0.02, high),
            (0, 3),
            xycoords=axis.get_yaxis_transform(),
            ha="left",
            color=colour("RoPE"),
        )
        others = [side for side in values if side != "RoPE"]
        for place, side in enumerate(others):
            axis.plot([place] * len(values[side]), values[side], "o", color=colour(side), markersize=8)
        axis.set_xticks(range(len(others)), [folded(side) for side in others], fontsize=9)
        axis.set(xlim=(-0.6, len(others) - 0.4), title=score)
    axes[0].set_ylabel("percent")
    return figure


def farther_figure() -> Figure:
    """Published: one hop against the length of the text, within the trained window and beyond."""
    figure, (axis,) = new_figure(1, width=7.4, height=3.7)
    for side, values in FARTHER.items():
        axis.plot(THOUSANDS, values, "o-", color=colour(side), linewidth=2, markersize=6)
    axis.axvspan(0, 4.096, color=FAINT, alpha=0.15, linewidth=0)
    note(axis, "trained on windows up to here", (4.05, 4), ha="right", color=GREY)
    axis.set(xlabel="thousand tokens between the sentences", ylabel="years found, %", ylim=(0, 104), xlim=(0, 6.3))
    name_lines(figure, palette(FARTHER), loc="outside right center", ncols=1)
    return figure


# -- beyond the trained length -----------------------------------------------------------------------------------------


@torch.no_grad()
def loss_by_place(model: LanguageModel, task: Text, times: int = 4, rows: int = 128) -> NDArray[np.float64]:
    """[place] nats per character of held-out text in windows of `times` the trained length, averaged over rows."""
    longer = Text(task.corpus, times * task.context, task.answer, task.choices, task.corpus_hash)
    vars(longer)["stream"] = task.stream  # it is read once
    tokens, found = longer.batch(0, 0, rows, "test").tokens, []
    for part in tokens.split(16):
        logits = model(part[:, :-1]).float()
        found.append(F.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none").double())
    nats: NDArray[np.float64] = torch.cat(found).mean(0).numpy()
    return nats


def loss_figure(curves: Mapping[str, NDArray[np.float64]], trained: int, bin_: int = 16) -> Figure:
    """Nats per character by place, in bins; grey where the model was trained."""
    figure, (axis,) = new_figure(1, width=8.2, height=3.6)
    ends = {}
    for side, nats in curves.items():
        bins = [nats[begin : begin + bin_].mean() for begin in range(0, len(nats), bin_)]
        places = [begin + min(bin_, len(nats) - begin) / 2 for begin in range(0, len(nats), bin_)]
        axis.plot(places, bins, color=colour(side), linewidth=2)
        ends[side] = bins[-1]
    axis.axvspan(0, trained, color=FAINT, alpha=0.15, linewidth=0)
    axis.set(
        xlabel="place of the character in its window (grey: lengths seen in training)", ylabel="nats per character"
    )
    axis.set_xlim(0, max(map(len, curves.values()), default=trained) + 1)
    name_lines(figure, palette(curves), loc="outside right center", ncols=1)
    return figure


def beyond_figure(records: Mapping[str, Sequence[Record]]) -> Figure:
    """Years found at one, two and four times the trained length: a line a seed, and what guessing finds."""
    figure, (axis,) = new_figure(1, width=7.8, height=3.7)
    guess, context = 0.0, 0
    for side, runs in records.items():
        for run in runs:
            guess, context = run.metric("accuracy").chance or 0.0, run.run.task_options["context"]
            axis.plot(range(3), found_at(run), "o-", color=colour(side), linewidth=1.8, markersize=6, alpha=0.9)
    axis.axhline(guess, color=GREY, linestyle=":", linewidth=1.3)
    note(axis, "naming any year", (2.12, guess), (0, 4), ha="right", color=GREY)
    axis.set_xticks(range(3), [f"{times * context:,}" + " (trained)" * (times == 1) for times in LENGTHS])
    axis.set(xlim=(-0.15, 2.15), ylim=(0, 1.04), xlabel="tokens in the window", ylabel="years found")
    name_lines(figure, palette(records), loc="outside right center", ncols=1)
    return figure


def found_at(record: Record) -> list[float]:
    """Years found at one, two and four times the trained length."""
    return [record.score("accuracy"), *(record.score(f"accuracy_far.{times}") for times in FAR)]


def hops_figure(records: Mapping[str, Record]) -> Figure:
    """Years found by one hop and by two, for each side."""
    figure, (axis,) = new_figure(1, width=1.6 + 2.2 * len(records), height=3.6)
    looks: dict[int, dict[str, Any]] = {1: {}, 2: {"alpha": 0.45, "hatch": "//"}}
    for place, (side, record) in enumerate(records.items()):
        for hop, look in looks.items():
            found = record.score(f"accuracy_k.{hop}")
            bars = axis.bar(place + 0.2 * (2 * hop - 3), found, 0.36, color=colour(side), edgecolor="white", **look)
            axis.bar_label(bars, [f"{found:.2f}"], padding=2, fontsize=10)
        axis.axhline(record.metric("accuracy").chance or 0.0, color=GREY, linestyle=":", linewidth=1.3)
    axis.set_xticks(range(len(records)), [folded(side) for side in records])
    axis.set(ylabel="years found", ylim=(0, 1.1), title="full: one hop; hatched: two\ndotted: naming any year")
    axis.title.set_fontsize(11)
    return figure


# -- where it looks ----------------------------------------------------------------------------------------------------


class Gaze(NamedTuple):
    """What the two tokens of the question attend to, before the answer. weights: [look, place], where a look is a head of a layer
    and one of the two tokens (see `look_named`); parts: {part of the row: [look]}."""

    names: list[str]
    weights: Tensor
    parts: dict[str, Tensor]


def gaze(model: LanguageModel, task: Births, row: int = 0) -> Gaze:
    """The attention of the name that is asked about and of the word behind it, summed over the parts of the row."""
    tokens = task.batch(0, 0, range(row, row + 1), "test").tokens[0]
    names = [task.vocabulary[token] for token in tokens.tolist()]
    weights = torch.cat([layer[:, -2:].flatten(0, 1) for layer in mixing_maps(model, tokens[:-1])])
    first, right = first_question(names), chain_of(names)[-1]
    part = torch.full((len(names) - 1,), 3)
    for place, name in enumerate(names[:first]):
        if name in (BORN, LINKED):
            part[place - 1 : place + 2 + AFTER] = 1
    part[right : right + SENTENCE + AFTER] = 0
    part[first:] = 2
    return Gaze(names, weights, {name: weights[:, part == number].sum(1) for number, name in enumerate(LOOKS)})


def best_look(model: LanguageModel, task: Births, rows: int = 12) -> int:
    """The look that rests most on the right sentence at the trained length."""
    found = torch.stack([gaze(model, task, row).parts["the right sentence"] for row in range(rows)])
    return int(found.mean(0).argmax())


def look_named(model: LanguageModel, look: int) -> str:
    """Where a look is at home."""
    head, word = divmod(look, 2)
    return f"layer {1 + head // model.config.heads}, from the {'word' if word else 'name'}"


def looks_figure(models: Mapping[str, LanguageModel], task: Births, rows: int = 12) -> Figure:
    """What the best look of each model rests on when a year is asked for, at one, two and four times the trained length."""
    figure, axes = new_figure(len(models), width=3.1 * len(models), height=3.7, sharey=True)
    tasks = [task.longer(times) for times in LENGTHS]
    for axis, (side, model) in zip(axes, models.items(), strict=True):
        look = best_look(model, task, rows)
        for place, longer in enumerate(tasks):
            seen = [gaze(model, longer, row).parts for row in range(rows)]
            bottom = 0.0
            for part, shade in LOOKS.items():
                share = float(np.mean([float(parts[part][look]) for parts in seen]))
                axis.bar(place, share, 0.7, bottom=bottom, color=shade)
                if share > 0.08:
                    note(axis, f"{share:.2f}", (place, bottom + share / 2), (0, -4))
                bottom += share
        axis.set_xticks(range(len(tasks)), [f"{longer.context:,}" for longer in tasks])
        axis.set_title(f"{side}\n({look_named(model, look)})", fontsize=11)
    axes[0].set_ylabel("share of the attention")
    axes[len(axes) // 2].set_xlabel("tokens in the window")
    name_lines(figure, LOOKS, loc="outside lower center", ncols=4)
    return figure


def gaze_figure(model: LanguageModel, task: Births, side: str, times: int = 1, row: int = 0) -> Figure:
    """The best look of a model along one row; sentences are shaded, the right one red."""
    longer, look = task.longer(times), best_look(model, task, 6)
    seen = gaze(model, longer, row)
    weights, first = seen.weights[look].numpy(), first_question(seen.names)
    figure, (axis,) = new_figure(1, width=9.0, height=3.1)
    for place, name in enumerate(seen.names[:first]):
        if name in (BORN, LINKED):
            right = place - 1 == chain_of(seen.names)[-1]
            shade = LOOKS["the right sentence"] if right else LOOKS["other sentences"]
            axis.axvspan(place - 1.5, place + 1.5, color=shade, alpha=0.35, linewidth=0)
    axis.bar(np.arange(len(weights)), weights, 1.0, color="#2e4057")
    with torch.no_grad():
        logits = model(longer.batch(0, 0, range(row, row + 1), "test").tokens[:, :-1])[0, -1].float()
    said, sure = longer.vocabulary[int(logits.argmax())], float(logits.softmax(-1).max())
    axis.set(xlim=(-1, len(weights)), ylim=(0, min(1.04, max(0.05, 1.1 * float(weights.max())))))
    axis.set(xlabel="place in the row (red: the right sentence)", ylabel=f"attention\n({look_named(model, look)})")
    wanted = seen.names[-1]
    axis.set_title(
        f"{side}: asked for {seen.names[first]}, it says {said} ({sure:.0%}); right is {wanted}", fontsize=11
    )
    return figure


def gaze_explorer(models: Mapping[str, LanguageModel], task: Births) -> Interactive:
    """Choose a model, a length and a row: where the head that finds years looks, and what the model says."""

    def draw(side: str, times: int, row: int) -> Figure:
        return gaze_figure(models[side], task, side, times, row)

    controls = {
        "side": menu("model", list(models)),
        "times": stops("times the length", LENGTHS, LENGTHS[-1]),
        "row": slider("row", 0, 0, 29),
    }
    return Interactive(draw, controls, "Where the question looks, along a row")
