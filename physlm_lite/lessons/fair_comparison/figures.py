"""Notebook 13: what one matrix can hold and what a rule of writing makes of it, mistakes along hops, and the board of skills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from ...base.strict import choose
from ...claims import Outcome
from ...claims.sides import COLOURS
from ...claims.statistics import LUCK, permutation_p
from ...lab.controls import slider
from ...lab.plots import GREY, RED, heat, judged_metric, name_lines, new_figure, note
from ...lab.show import Interactive
from ...models import DecodingState, LanguageModel
from ...models.gated_delta import delta_naive
from ...models.gla import gla_naive
from ...tasks import Metric

# -- one matrix, many pairs --------------------------------------------------------------------------------------------

RULES = {"adding": "#5b7db1", "correcting": "#d1495b", "the best matrix": "#2f8f63"}
SETS = 24  # of pairs, over which a mean is taken


def pairs_of(pairs: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Keys and values [pair, width] of length 1, in directions drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, pairs, width, generator=generator, dtype=torch.float64)
    return F.normalize(keys, dim=1), F.normalize(values, dim=1)


def memory(rule: str, keys: Tensor, values: Tensor, share: float = 1.0) -> Tensor:
    """One matrix [key, value] that holds all pairs.

    rule: "adding" writes every pair once (gated linear attention without decay); "correcting" writes a share of what is still
    wrong (the delta net); "the best matrix" is that of least squares, which no rule that sees a pair once can beat.
    """
    choose("rule", rule, RULES)
    if rule == "the best matrix":
        return torch.linalg.lstsq(keys, values, driver="gelsd").solution
    k, v = (z[None, :, None] for z in (keys, values))
    gates = keys.new_zeros(k.shape[:3])
    if rule == "adding":
        return gla_naive(k, k, v, gates[..., None].expand_as(k))[1][0, 0]
    return delta_naive(k, k, v, gates, torch.full_like(gates, share))[1][0, 0]


def found(rule: str, keys: Tensor, values: Tensor, share: float = 1.0) -> Tensor:
    """[asked, stored]: how much what is read with each key resembles every stored value (1: it is that value)."""
    return keys @ memory(rule, keys, values, share) @ values.T


def right(resembling: Tensor) -> float:
    """Share of the keys whose own value is the one that what they read resembles most."""
    return float((resembling.argmax(1) == torch.arange(len(resembling))).double().mean())


def pairs_figure(pairs: int = 24, width: int = 16, share: float = 1.0, seed: int = 0) -> Figure:
    """What every key finds in the matrix that each rule makes of the same pairs."""
    keys, values = pairs_of(pairs, width, seed)
    figure, axes = new_figure(3, width=10.0, height=3.9, sharey=True)
    none = [""] * pairs
    for axis, rule in zip(axes, RULES, strict=True):
        resembling = found(rule, keys, values, share)
        heat(axis, resembling.numpy(), none, none, high=1.0, cmap="RdBu_r", vmin=-1.0)
        axis.set(xlabel="stored value", title=f"{rule}: {right(resembling):.0%} right")
    axes[0].set_ylabel("key that is asked")
    return figure


def pairs_explorer() -> Interactive:
    """How many pairs, how wide the keys, how much of the difference is written: what is found then."""
    controls = {
        "pairs": slider("pairs", 24, 2, 48),
        "width": slider("width of a key", 16, 4, 48, 4),
        "share": slider("share written (correcting)", 1.0, 0.1, 1.0, 0.05),
    }
    return Interactive(
        pairs_figure,
        controls,
        "What every key finds in one matrix, for adding, correcting, and the best matrix there is",
    )


def crowd_figure(width: int = 16, most: int = 32) -> Figure:
    """Right answers and errors against the number of pairs, for the three ways to fill a matrix."""
    counts = range(2, most + 1, 2)
    figure, (answers, errors) = new_figure(2, width=9.5, height=3.6)
    for rule, shade in RULES.items():
        share_right, wrong = [], []
        for pairs in counts:
            sets = [pairs_of(pairs, width, seed) for seed in range(SETS)]
            share_right.append(fmean(right(found(rule, *one)) for one in sets))
            wrong.append(fmean(_error(rule, *one) for one in sets))
        answers.plot(counts, share_right, color=shade, linewidth=2.2)
        errors.plot(counts, wrong, color=shade, linewidth=2.2)
    answers.axhline(0.99, color=GREY, linestyle=":", linewidth=1.2)
    note(answers, "99 %", (most, 0.99), (0, -12), ha="right", color=GREY)
    for axis in (answers, errors):
        axis.axvline(width, color=GREY, linestyle="--", linewidth=1.2)
        axis.set(xlabel="pairs in the matrix", xlim=(2, most))
    text = f"{width} pairs: as many\nas a key is wide"
    note(errors, text, (width, 1), (-6, -4), xycoords=errors.get_xaxis_transform(), ha="right", va="top", color=GREY)
    answers.set(ylim=(0, 1.04), ylabel="keys that find their value")
    errors.set(ylim=(0, None), ylabel="error of what is read")
    name_lines(figure, RULES)
    return figure


def _error(rule: str, keys: Tensor, values: Tensor) -> float:
    return float((keys @ memory(rule, keys, values) - values).norm(dim=1).mean())


# -- how much is kept, and of how much ---------------------------------------------------------------------------------


@torch.no_grad()
def numbers_kept(model: LanguageModel, tokens: int) -> int:
    """How many numbers the model holds after reading a text of this length, to go on from there."""
    state = DecodingState()
    text = torch.ones(1, tokens, dtype=torch.long)
    model.eval()(text, state=state)

    def size(kept: Any) -> int:
        return sum(map(size, kept)) if isinstance(kept, tuple) else kept.numel()

    return sum(size(kept) for layer in state.layers for kept in layer.values())


# -- mistakes along hops -----------------------------------------------------------------------------------------------

# Depo1, N = 225, K = 8, Canon layers everywhere, four model sizes: accuracy at k = 4 and at k = 8 (Part 4.1, figure 14).
HOPS = {
    "GLA + AbCD": ((53, 7), (39, 8), (87, 44), (86, 39)),
    "Mamba2 + AbCD": ((50, 9), (49, 12), (37, 6), (76, 28)),
    "GDN + AbCD": ((72, 26), (84, 47), (71, 28), (85, 52)),
    "RoPE + Canon": ((100, 97), (100, 92), (89, 73), (100, 94)),
}


def hops_figure(first_hop: float = 0.95) -> Figure:
    """Left: accuracy along the hops if every hop is right as often. Right: the published scores at four and at eight hops."""
    figure, (chain, pairs) = new_figure(2, width=9.8, height=4.0)
    hops = np.arange(1, 17)
    for p, shade in ((0.999, "#1f7a52"), (0.99, "#3fa372"), (first_hop, RED)):
        chain.plot(hops, p**hops, "o-", color=shade, markersize=4, linewidth=2)
        note(chain, f"{p:.1%} a hop", (16, p**16), (4, 0), ha="left", va="center", color=shade)
    chain.set(
        xlabel="hops", ylabel="right after all of them", ylim=(0, 1.04), xlim=(0.5, 21.5), xticks=[1, 4, 8, 12, 16]
    )
    chain.set_title("if mistakes multiply")
    at = np.linspace(0, 1, 50)
    pairs.plot(at, at**2, color=GREY, linestyle="--", linewidth=1.4)
    note(pairs, "they multiply", (0.5, 0.25), (-8, 10), ha="right", color=GREY)
    for side, points in HOPS.items():
        x, y = (np.array(scores) / 100 for scores in zip(*points, strict=True))
        pairs.plot(x, y, "o", color=COLOURS[side], markersize=8, markeredgecolor="white", label=side)
    pairs.set(xlabel="4 hops", ylabel="8 hops", xlim=(0, 1.03), ylim=(0, 1.03), title="published: 8 hops against 4")
    pairs.legend(fontsize=10, frameon=False, loc="upper left")
    return figure


def hops_explorer() -> Interactive:
    """The curve of one model whose hops are right so often."""
    return Interactive(
        hops_figure,
        {"first_hop": slider("right at one hop", 0.95, 0.8, 0.995, 0.005)},
        "Accuracy along hops if mistakes multiply, and published scores at eight hops against four",
    )


# -- the board ---------------------------------------------------------------------------------------------------------

MODELS = ("RoPE + Canon", "1/4 RoPE + Canon", "NoPE + Canon", "GLA + AbCD", "Mamba2 + AbCD", "GDN + AbCD")
# Result 10's ranking, best first; those in one group are called alike (Part 4.1, section 7.2, figure 14).
PAPER = {
    "depth": (("1/4 RoPE + Canon", "NoPE + Canon"), ("GLA + AbCD", "Mamba2 + AbCD", "GDN + AbCD")),
    "breadth": (("GDN + AbCD",), ("1/4 RoPE + Canon", "NoPE + Canon", "GLA + AbCD"), ("Mamba2 + AbCD",)),
    "capacity": (("GLA + AbCD", "Mamba2 + AbCD", "GDN + AbCD"), ("1/4 RoPE + Canon", "NoPE + Canon")),
    "manipulation": (("1/4 RoPE + Canon", "Mamba2 + AbCD", "GDN + AbCD"), ("NoPE + Canon", "GLA + AbCD")),
    "structure": (("1/4 RoPE + Canon",), ("NoPE + Canon", "GLA + AbCD", "Mamba2 + AbCD", "GDN + AbCD")),
}


def places(scores: Mapping[str, Sequence[float]], metric: Metric) -> dict[str, int]:
    """The place of every side, 1 the best: a side takes the place of the one that leads its group, as long as chance alone
    would put it so far behind in one case of twenty or more (exact permutation test)."""
    merits = {side: [metric.merit(score) for score in values] for side, values in scores.items() if values}
    order = sorted(merits, key=lambda side: -fmean(merits[side]))
    placed: dict[str, int] = {}
    leader = ""
    for count, side in enumerate(order, start=1):
        if not leader or permutation_p(merits[leader], merits[side]) <= LUCK:
            leader = side
            placed[side] = count
        else:
            placed[side] = placed[leader]
    return placed


def board_figure(outcomes: Mapping[str, Outcome]) -> Figure:
    """A column for each skill, a row for each model: left the paper's places, right ours with the mean score.

    A cell stays grey where nothing is recorded or nothing was tried.
    """
    figure, (paper, ours) = new_figure(2, width=10.6, height=4.2, width_ratios=(1, 1.25))
    told = {skill: _paper_places(groups) for skill, groups in PAPER.items()}
    _draw_places(paper, told, {skill: {side: str(place) for side, place in row.items()} for skill, row in told.items()})
    paper.set_title("the paper")
    placed: dict[str, dict[str, int]] = {}
    texts: dict[str, dict[str, str]] = {}
    for skill, outcome in outcomes.items():
        metric = judged_metric(outcome)
        whole = outcome.records if outcome.records and all(outcome.records.values()) else {}
        scores = {side: [run.score(metric.name) for run in runs] for side, runs in whole.items()}
        scores = {_model(side): values for side, values in scores.items()}
        placed[skill] = places(scores, metric)
        texts[skill] = {side: f"{placed[skill][side]}\n{fmean(values):.2g}" for side, values in scores.items()}
    _draw_places(ours, placed, texts)
    ours.set_yticklabels([])
    ours.set_title("here, at toy scale (place, mean score)")
    return figure


def _model(side: str) -> str:
    return next((name for name in MODELS if side == name or side.startswith(f"{name},")), side)


def _paper_places(groups: Sequence[Sequence[str]]) -> dict[str, int]:
    placed: dict[str, int] = {}
    before = 0
    for group in groups:
        placed |= dict.fromkeys(group, before + 1)
        before += len(group)
    return placed


def _draw_places(axis: Any, placed: Mapping[str, Mapping[str, int]], texts: Mapping[str, Mapping[str, str]]) -> None:
    cells = [[placed[skill].get(side, np.nan) for skill in placed] for side in MODELS]
    said = np.array([[texts[skill].get(side, "") for skill in placed] for side in MODELS])
    look: dict[str, Any] = {"cmap": "YlGn_r", "vmin": 0, "vmax": 7, "square": False, "linewidths": 1.5}
    axis.set_facecolor("#eceff1")
    heat(axis, np.array(cells, float), MODELS, list(placed), high=7, annot=said, annot_kws={"fontsize": 11}, **look)
    axis.tick_params(labelsize=11)
