"""Notebook 12: the step size of Mamba2, writing twice under one key, and the three linear families side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ...base.strict import choose
from ...claims import Outcome
from ...claims.sides import FAMILIES, VARIANTS
from ...lab.controls import menu, slider
from ...lab.frame import Touch
from ...lab.plots import BLUE, FAINT, RED, arrow, draw_dots, heat_row, new_figure, note, scores_of
from ...lab.rows import sides_of
from ...lab.show import Interactive, Picture
from ...models import Context, Mamba2
from ...models.gated_delta import delta_naive
from ...models.gla import gla_naive
from ...tasks import Lano
from ...training import Record

HERE = Path(__file__).parent
STARTS = (0.001, 0.1)  # between these the step sizes of Mamba2 begin
WORDS = tuple("the cat that chased the mouse fell asleep".split())
RULES = {"adding": BLUE, "correcting": RED}

# -- Mamba2: one number decides twice ----------------------------------------------------------------------------------


def step_figure(rates: Sequence[float] = (1, 4, 16)) -> Figure:
    """What a step size keeps of the old, for heads of several rates; and what is kept against what is written."""
    steps = np.geomspace(3e-4, 4, 200)
    figure, (left, right) = new_figure(2, width=9.5, height=3.5)
    for rate, shade in zip(rates, ("#2f8f63", BLUE, RED), strict=False):
        left.plot(steps, 100 * np.exp(-rate * steps), color=shade, linewidth=2.2, label=f"rate {rate:g}")
        right.plot(100 * np.exp(-rate * steps), steps, color=shade, linewidth=2.2)
    left.axvspan(*STARTS, color="#eef1f6", zorder=0)
    left.text(math.sqrt(STARTS[0] * STARTS[1]), 4, "heads\nbegin here", ha="center", fontsize=9, color="#6b7280")
    left.set(xscale="log", xlabel="step size d of a token", ylabel="kept of the state, %", ylim=(0, 105))
    left.legend(loc="lower left", fontsize=9, bbox_to_anchor=(0, 0.2))
    left.set_title("it decays: exp(-rate · d)")
    right.set(ylim=(0, 1.5), xlim=(0, 102), xlabel="kept of the state, %", ylabel="factor of what is written, d")
    right.set_title("it scales what is written, too")
    return figure


def remaining(steps: Sequence[float], rate: float) -> NDArray[np.float64]:
    """What is left of each token in the state after the last one: its step size, times all decays that followed."""
    sizes = np.asarray(steps, dtype=np.float64)
    after = sizes.sum() - sizes.cumsum()
    return sizes * np.exp(-rate * after)


def remaining_figure(steps: Sequence[float], rate: float) -> Figure:
    """Above, the step size of each token; below, what is left of it at the end of the sentence."""
    left = remaining(steps, rate)
    figure, (first, second) = new_figure(2, width=9.5, height=3.3)
    places = range(len(WORDS))
    first.bar(places, steps, color=FAINT, width=0.65)
    first.set(ylabel="step size d", ylim=(0, max(1.0, 1.15 * max(steps))), title="while reading")
    second.bar(places, left, color=RED, width=0.65)
    second.set(ylim=(0, max(1.15 * float(left.max()), 1e-3)), ylabel="factor in the state")
    second.set_title(f"after “{WORDS[-1]}”, in a head of rate {rate:g}")
    for axis in (first, second):
        axis.set_xticks(places, WORDS, rotation=40, ha="right")
    return figure


def step_explorer() -> Interactive:
    """Give one word a step size of its own, and see what is left of each at the end."""
    controls = {
        "word": menu("a word", [(f"{i + 1}. {word}", i) for i, word in enumerate(WORDS)], 3),
        "own": slider("its step size", 1.0, 0.0, 3.0, 0.05),
        "others": slider("step size of the others", 0.1, 0.0, 1.0, 0.05),
        "rate": slider("rate of the head", 2.0, 0.5, 8.0, 0.5),
    }

    def draw(word: int, own: float, others: float, rate: float) -> Figure:
        return remaining_figure([own if place == word else others for place in range(len(WORDS))], rate)

    return Interactive(draw, controls, "Step sizes of the words of a sentence, and what is left of each at its end")


@torch.no_grad()
def key_reach(mixer: Mamba2, positions: int = 8, seed: int = 0) -> Tensor:
    """[target, source]: how far the key of a token moves, as a share of its length, when another input is drawn anew."""
    x, anew = torch.randn(2, positions, mixer.config.width, generator=torch.Generator().manual_seed(seed))
    changed = torch.eye(positions + 1, positions).bool()[..., None]  # nothing in the last text
    key = mixer.parts(torch.where(changed, anew, x), Context())[2]
    return ((key[:-1] - key[-1]).norm(dim=-1) / key[-1].norm(dim=-1)).T


def reach_figure(mixers: Mapping[str, Mamba2]) -> Figure:
    """`key_reach` of several mixers, side by side."""
    reach, size = {name: key_reach(mixer) for name, mixer in mixers.items()}, (4.6 * len(mixers), 3.9)
    return heat_row(reach, WORDS, size, "the input that is changed", "the key that moves", numbers=".1f")


# -- the delta rule ----------------------------------------------------------------------------------------------------


def stored(rule: str, keys: Tensor, values: Tensor, share: float = 1.0, decay: float = 1.0, times: int = 1) -> Tensor:
    """The state [key, value] after writing all pairs in order, `times` times over; keys [pair, K], values [pair, V].

    rule: "adding" (gated linear attention with one decay for all channels) or "correcting" (the gated delta net).
    """
    choose("rule", rule, RULES)
    keys, values = (z.repeat(times, 1)[None, :, None] for z in (keys, values))
    gates = keys.new_full(keys.shape[:3], math.log(decay))
    if rule == "adding":
        return gla_naive(keys, keys, share * values, gates[..., None].expand_as(keys))[1][0, 0]
    return delta_naive(keys, keys, values, gates, torch.full_like(gates, share))[1][0, 0]


def _pair(degrees: float) -> tuple[Tensor, Tensor]:
    """Two keys of length 1 at an angle, and two values at a right angle."""
    angle = math.radians(degrees)
    return torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]]), torch.eye(2)


def errors(rule: str, degrees: float, share: float = 1.0, decay: float = 1.0, times: int = 1) -> list[float]:
    """Two values of length 1 under two keys at an angle: how far what is read lies from the older and the newer one."""
    keys, values = _pair(degrees)
    return (keys @ stored(rule, keys, values, share, decay, times) - values).norm(dim=1).tolist()


def _values_axis(axis: Axes, title: str) -> None:
    axis.set(aspect="equal", xlim=(-0.35, 1.55), ylim=(-0.35, 1.4))
    axis.axhline(0, color="#d9dde3", linewidth=1, zorder=0)
    axis.axvline(0, color="#d9dde3", linewidth=1, zorder=0)
    for x, y, name, up in ((1, 0, "older value", -21), (0, 1, "newer value", 12)):
        axis.plot(x, y, "o", color="white", markeredgecolor="#333", markersize=15, zorder=1)
        note(axis, name, (x, y), (0, up))
    axis.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xlabel="value channel 1", title=title)


def rewrite_figure(shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0)) -> Figure:
    """Two values under one key: what is read with it afterwards, for both rules and several shares of the second write."""
    figure, axes = new_figure(2, width=9.0, height=3.9)
    key, (older, newer) = torch.tensor([[1.0, 0.0]]), torch.eye(2)
    for axis, rule in zip(axes, RULES, strict=True):
        _values_axis(axis, rule)
        first = stored(rule, key, older[None])
        second = newer if rule == "adding" else newer - first.T @ key[0]
        path = [older] + [(key @ (first + stored(rule, key, second[None], share)))[0] for share in shares]
        axis.plot(*torch.stack(path).T, "o-", color=RULES[rule], linewidth=2, markersize=7)
        for share, read in zip(shares, path[1:], strict=True):
            note(axis, f"b = {share:g}", tuple(read.tolist()), (13, -3), ha="left", color=RULES[rule])
    axes[0].set_ylabel("value channel 2")
    return figure


def similar_figure(degrees: float = 50, times: int = 8) -> Figure:
    """Left: the error of both values against the similarity of their keys. Right: the same, writing again and again."""
    figure, (left, right) = new_figure(2, width=9.5, height=3.6)
    angles = np.linspace(0, 90, 31)
    similarity = np.cos(np.radians(angles))
    again = range(1, times + 1)
    for rule, shade in RULES.items():
        look: dict[str, Any] = {"color": shade, "linewidth": 2}
        older, newer = zip(*(errors(rule, angle) for angle in angles), strict=True)
        both = np.allclose(older, newer)
        left.plot(similarity, older, label=f"{rule}, {'both values' if both else 'older value'}", **look)
        if not both:
            left.plot(similarity, newer, "--", label=f"{rule}, newer value", **look)
        right.plot(again, [max(errors(rule, degrees, times=n)) for n in again], "o-", label=rule, **look)
    left.set(xlabel="similarity of the two keys (cosine)", ylabel="error of what is read", ylim=(-0.04, 1.6))
    left.legend(fontsize=9, loc="upper left")
    left.set_title("written once")
    right.set(xlabel="times that both are written", ylabel="the larger error", ylim=(0, 4))
    right.legend(fontsize=9, loc="upper right")
    right.set_title(f"written again (cosine {math.cos(math.radians(degrees)):.2f})")
    return figure


def pair_figure(degrees: float, share: float = 1.0, decay: float = 1.0, times: int = 1) -> Figure:
    """Two keys at an angle, and for each rule what is read with them after both pairs were written `times` times over."""
    keys, values = _pair(degrees)
    figure, axes = new_figure(3, width=10.4, height=3.9)
    axes[0].set_aspect("equal")
    looks = ("older key", FAINT, 0.18), ("newer key", "#333", 0.0)
    for (x, y), (name, shade, down) in zip(keys.tolist(), looks, strict=True):
        arrow(axes[0], (0, 0), (x, y), shade, 2.5)
        axes[0].text(1.12 * x, 1.12 * y - down, name, color=shade, ha="center", va="center", fontsize=9)
    axes[0].set(xlim=(-1.5, 1.5), ylim=(-0.6, 1.4), title="two keys of length 1", xlabel="key channel 1")
    for axis, rule in zip(axes[1:], RULES, strict=True):
        _values_axis(axis, rule)
        read = keys @ stored(rule, keys, values, share, decay, times)
        for ends, marker in zip(torch.stack([values, read], 2), "os", strict=True):
            axis.plot(*ends, f"{marker}:", color=RULES[rule], linewidth=1.2, markersize=9, markevery=[1])
    figure.suptitle("● read with the older key     ■ read with the newer key", fontsize=11)
    return figure


def delta_state() -> Touch:
    """Two pairs written in turns by both rules: turn a key, change share and decay, and walk along the tokens."""
    data = {"degrees": 60, "share": 1.0, "decay": 1.0, "step": 2, "tokens": 8}
    still = Picture(pair_figure(60), "Two keys at 60°, and what is read with each after both rules have written once")
    return Touch(HERE / "delta.js", data, "The state of the delta rule, token by token", still, 560)


def solve_figure(matrices: Mapping[str, Tensor]) -> Figure:
    """Square matrices with their numbers, one panel each: how the tokens of a chunk depend on each other."""
    names = [str(t + 1) for t in range(len(next(iter(matrices.values()))))]
    numbers = ".1f" if len(names) > 6 else ".2f"
    return heat_row(matrices, names, (3.3 * len(matrices), 4.0), "token s", "token t", numbers=numbers)


# -- three families, four variants -------------------------------------------------------------------------------------


def family_records(outcomes: Sequence[Outcome], task: str = "lano") -> dict[str, list[Record]]:
    """The records of each side of the three families, gathered from several claims on one task at one scale."""
    sides = sides_of([outcome for outcome in outcomes if outcome.experiment.task == task])
    found = {name: records for name, records in sides.items() if records}
    if len({record.run.training.steps for records in found.values() for record in records}) > 1:
        raise ValueError("these outcomes have different numbers of steps; compare claims of one scale")
    return found


def families_figure(outcomes: Sequence[Outcome]) -> Figure:
    """GLA, Mamba2 and the delta net, each without convolution, with b, ACD and AbCD; equal steps, seconds under the bars."""
    records, metric = family_records(outcomes), Lano().metrics["kl"]
    figure, axes = new_figure(len(FAMILIES), width=10.5, height=3.9, sharey=True)
    scores, first = scores_of(records, metric), next(iter(VARIANTS))
    for axis, family in zip(axes, FAMILIES, strict=True):
        groups = {}
        for variant, side in zip(VARIANTS, FAMILIES[family], strict=True):
            if runs := records.get(side.label):
                name = "none" if variant == first else variant
                groups[f"{name}\n{fmean(record.seconds for record in runs):.0f} s"] = {side.label: scores[side.label]}
        draw_dots(axis, groups, share=metric.share)
        axis.set_xlim(-0.6, len(VARIANTS) - 0.4)
        axis.set_title(family, color=side.colour)
    axes[0].set_ylabel(f"{metric.label},\none dot a seed")
    axes[0].set_ylim(0, 1.2 * max(chain(*scores.values()), default=1.0))
    what = "nothing recorded yet"
    if everyone := list(chain(*records.values())):
        seeds = max(map(len, records.values()))
        what = f"{everyone[0].run.training.steps} steps each, {seeds} seeds; seconds of training below"
    scale = outcomes[0].scale if outcomes else "no"
    figure.suptitle(f"convolutions in linear models on Lano, {scale} scale: {what}", fontsize=11)
    return figure
