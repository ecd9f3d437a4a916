"""Why a playground: how noisy a benchmark is, what the seeds of two experiments say, and the five tasks at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import combinations, product
from math import sqrt
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...base.printable import escaped
from ...claims import Noise, Outcome
from ...claims.first_protocol import Ranks
from ...lab.controls import slider, stops
from ...lab.page import Block, table
from ...lab.plots import BLUE, GREEN, GREY, RED, colour, new_figure, note
from ...lab.show import Interactive
from ...tasks import Depo, Task, html_view, text_view
from ...tasks.brevo import Brevo
from ...tasks.capo import Capo
from ...tasks.lano import Lano
from ...tasks.mano import Mano
from ...tasks.text import CHARACTERS, Text

BOTH_SIDES = 1.96  # standard errors to either side that hold 95 % of all measurements
TRIALS = 20_000

Order = tuple[str, ...]


# -- the text task -----------------------------------------------------------------------------------------------------


def readable(tokens: Sequence[int]) -> str:
    """Characters as text, with the ends of lines and of documents shown by signs."""
    signs = {"\n": "↵\n", "<end>": "<end>\n", "<pad>": ""}
    return "".join(signs.get(CHARACTERS[t], CHARACTERS[t]) for t in tokens)


def question_card(task: Text, seed: int = 0, row: int = 0) -> Block:
    """One multiple-choice question: the text shown, the continuations, and the true one behind a fold."""
    windows, true = task.questions(seed, range(row, row + 1))
    shown = readable(windows[0, 0, : -task.answer].tolist())
    answers = [readable(w[-task.answer :].tolist()).replace("\n", "") for w in windows[0]]
    letters = [chr(ord("A") + i) for i in range(task.choices)]
    right = letters[int(true[0])]
    style = "background:#f2f4f8;border-radius:4px;padding:6px 10px;margin:2px 0;white-space:pre-wrap"
    choices = list(zip(letters, answers, strict=True))
    lines = "".join(f"<div>{letter} &nbsp;<code>{escaped(a)}</code></div>" for letter, a in choices)
    fold = f"<details><summary>How does it go on?</summary>{right}</details>"
    text = "\n".join([shown, *(f"  {letter}  {a}" for letter, a in choices), f"({right} is true)"])
    return Block(f'<pre style="{style}">{escaped(shown)} …</pre>{lines}{fold}', text)


# -- how noisy a benchmark is ------------------------------------------------------------------------------------------


def standard_error(accuracy: float, questions: int) -> float:
    """By how much the score on so many independent questions is off, typically."""
    return sqrt(accuracy * (1 - accuracy) / questions)


def wrong_probability(gap: float, questions: int, seeds: int = 1, spread: float = 0.0, accuracy: float = 0.5) -> float:
    """The chance that the worse of two models comes out ahead (normal approximation).

    gap: between their true accuracies, which lie on both sides of `accuracy`. Each model is trained `seeds` times and the
    mean score counts. A run's own accuracy deviates by `spread` (a standard deviation), and it answers `questions`
    questions of its own.
    """
    errors = (standard_error(accuracy + side * gap / 2, questions) for side in (-1, 1))
    variance = sum(error**2 + spread**2 for error in errors) / seeds
    return NormalDist().cdf(-gap / sqrt(variance)) if variance else 0.0


def simulated_gaps(
    gap: float, questions: int, seeds: int = 1, spread: float = 0.0, accuracy: float = 0.5
) -> NDArray[np.float64]:
    """[TRIALS]: the measured gap, better minus worse, each time both models are trained and tested anew."""
    dice = np.random.default_rng(0)
    means = []
    for side in (-1, 1):
        own = accuracy + side * gap / 2 + spread * dice.standard_normal((TRIALS, seeds))
        means.append(dice.binomial(questions, own.clip(0, 1)).mean(1) / questions)
    measured: NDArray[np.float64] = means[1] - means[0]
    return measured


def wrong_share(measured: NDArray[np.float64]) -> float:
    """Share of measured gaps that point the wrong way; a tie is half wrong."""
    return float((measured < 0).mean() + (measured == 0).mean() / 2)


BENCHMARKS = {"Winogrande": 1267, "PIQA": 1838, "BoolQ": 3270, "LAMBADA": 5153, "HellaSwag": 10_042}  # questions


def error_figure(better: float = 0.61, worse: float = 0.60) -> Figure:
    """Where the scores of two models will lie, by the number of questions; the sizes of known benchmarks on top."""
    questions = np.array([100, 300, 1000, 3000, 10_000, 30_000, 100_000])
    figure, (axis,) = new_figure(1, width=9, height=4.0)
    for share, shift, face, name in ((better, 1.06, RED, "better"), (worse, 0.94, BLUE, "worse")):
        bars = [100 * BOTH_SIDES * standard_error(share, int(n)) for n in questions]
        label = f"the {name} model: {share:.0%}"
        axis.errorbar(questions * shift, [100 * share] * len(bars), bars, fmt="o", color=face, capsize=4, label=label)
    axis.set_xscale("log")
    axis.set_xticks(questions, [f"{n:,}" for n in questions])
    axis.minorticks_off()
    axis.set_yticks(range(50, 71, 5))
    axis.set(xlabel="questions in the benchmark", ylabel="score, %  (bars: 95 % of all scores)")
    axis.legend()
    top = axis.secondary_xaxis("top")
    top.set_xticks(list(BENCHMARKS.values()), list(BENCHMARKS), rotation=40, ha="left", fontsize=9)
    top.minorticks_off()
    top.spines["top"].set_visible(False)
    return figure


def ranking_figure(gap: float, questions: int, spread: float, seeds: int) -> Figure:
    """Left: the gaps that would be measured, the wrong ones red. Right: the chance of a wrong ranking by seeds."""
    measured = simulated_gaps(gap, questions, seeds, spread)
    wrong = wrong_share(measured)
    figure, (left, right) = new_figure(2, width=10.5, height=3.9)
    bound = max(0.02, 4 * float(measured.std())) + gap
    unit = 1 / (questions * seeds)  # scores are multiples of it, so bars must hold equally many of them
    step = unit * (2 * round(bound / 80 / unit) + 1)
    middle = step * np.arange(-round(bound / step), round(bound / step) + 1)  # the middle bar is the tie
    counts, _ = np.histogram(measured, bins=np.append(middle - step / 2, middle[-1] + step / 2))
    faces = [RED if m < -step / 2 else "#e8a0a8" if m < step / 2 else "#c5cedb" for m in middle]
    left.bar(100 * middle, counts, width=100 * step, color=faces)
    left.axvline(100 * gap, color="#333", linestyle=":", linewidth=1.5)
    note(left, "true gap", (100 * gap, 1.2 * counts.max()), (5, -12), ha="left")
    left.set_yticks([])
    left.set(ylim=(0, 1.2 * counts.max()), xlabel="measured gap, points (red: the worse model wins)")
    left.set_title(f"wrong ranking: {wrong:.1%} of {len(measured):,} trials")
    many = np.arange(1, 11)
    right.plot(many, [100 * wrong_probability(gap, questions, int(m), spread) for m in many], "o-", color=BLUE)
    right.plot(seeds, 100 * wrong, "o", color=RED, markersize=13, fillstyle="none", markeredgewidth=2)
    right.axhline(5, color="#555", linestyle=":", linewidth=1)
    note(right, "1 in 20", (10.2, 5), (0, 4), ha="right", color=GREY)
    right.set_xticks(many)
    right.set(ylim=(0, 55), xlabel="seeds of each model", ylabel="wrong ranking, %")
    right.set_title("line: formula, ring: the trials on the left")
    return figure


def ranking_explorer() -> Interactive:
    """Set the true gap, the benchmark, the spread between seeds and their number: how often does the worse model win?"""
    points = [(f"{p / 2:g}", p / 200) for p in range(11)]
    controls = {
        "gap": stops("true gap, points", points, 0.01),
        "questions": stops("questions", (100, 300, 1000, 3000, 10_000, 30_000), 1000),
        "spread": stops("spread of seeds, points", points[:7], 0.01),
        "seeds": slider("seeds", 1, 1, 10),
    }
    return Interactive(ranking_figure, controls, "Ranking explorer: measured gaps, and the chance of a wrong ranking")


# -- contests ----------------------------------------------------------------------------------------------------------


def ranks_of(outcome: Outcome) -> Ranks | Noise:
    """The rule that ranks the sides. Raises ValueError if the experiment has none."""
    for rule in outcome.experiment.rules:
        if isinstance(rule, Ranks | Noise):
            return rule
    raise ValueError(f"{outcome.claim.id} does not rank its sides; expected a claim such as R0-text or R0-playground")


def contests(outcome: Outcome) -> Counter[Order]:
    """How often each order occurs, best side first, when one seed of each side meets; empty while a side has no runs."""
    rule = ranks_of(outcome)
    scores = [[(r.score(rule.metric), side) for r in outcome.records[side]] for side in rule.compared]
    return Counter(tuple(side for _, side in sorted(contest, reverse=True)) for contest in product(*scores))


def commonest_share(outcome: Outcome) -> float | None:
    """Share of the contests that end in the most common order; None if there are none."""
    orders = contests(outcome)
    return max(orders.values()) / orders.total() if orders else None


def contest_table(*outcomes: Outcome) -> Block:
    """Every order that occurred and how many contests ended in it."""
    rows = []
    for outcome in outcomes:
        orders = contests(outcome)
        for order, count in orders.most_common():
            share = f"{count / orders.total():.0%}"
            rows.append((outcome.claim.id, outcome.scale, " > ".join(order), f"{count} of {orders.total()}", share))
        if not orders:
            rows.append((outcome.claim.id, outcome.scale, "no records yet", "-", "-"))
    return table(("claim", "scale", "order, best first", "contests", "share"), rows)


def pair_table(*outcomes: Outcome) -> Block:
    """Two sides at a time: how many pairs of seeds the better one wins (a tie is half a win), and the gap of the means."""
    rows = []
    for outcome in outcomes:
        metric = outcome.experiment.metric(ranks_of(outcome).metric)
        scores = {side: [r.score(metric.name) for r in outcome.records[side]] for side in ranks_of(outcome).compared}
        for pair in combinations((side for side in scores if scores[side]), 2):
            better, worse = sorted(pair, key=lambda side: metric.merit(fmean(scores[side])), reverse=True)
            meetings = list(product(scores[better], scores[worse]))
            wins = sum((metric.merit(a) > metric.merit(b)) + (a == b) / 2 for a, b in meetings)
            gap = fmean(scores[better]) - fmean(scores[worse])
            shown = f"{100 * gap:.1f} points" if metric.share else f"{gap:.3g}"
            rows.append((outcome.claim.id, outcome.scale, f"{better} > {worse}", f"{wins:g} of {len(meetings)}", shown))
    head = ("claim", "scale", "better by the means", "pairs of seeds won", "gap of the means")
    return table(head, rows or [("no records yet", *"----")])


def contest_figure(*outcomes: Outcome) -> Figure:
    """A panel an experiment: every seed a dot with the error of its own questions, a line at the mean of each side."""
    figure, axes = new_figure(len(outcomes), width=max(5.4, 5.1 * len(outcomes)), height=3.8)
    for axis, outcome in zip(axes, outcomes, strict=True):
        sides, metric = ranks_of(outcome).compared, outcome.experiment.metric(ranks_of(outcome).metric)
        for place, side in enumerate(sides):
            runs, shade = outcome.records[side], colour(side)
            for number, run in enumerate(runs):
                x = place + 0.14 * (number - (len(runs) - 1) / 2)
                error = BOTH_SIDES * (metric.error_of(run.final) or 0.0)
                axis.errorbar(x, run.score(metric.name), error, fmt="o", color=shade, capsize=3)
            if runs:
                mean = fmean(r.score(metric.name) for r in runs)
                axis.plot([place - 0.3, place + 0.3], [mean, mean], color=shade, linewidth=2.4, alpha=0.5)
        axis.set_xticks(range(len(sides)), [side.replace(" + ", "\n+ ") for side in sides])
        axis.set(xlim=(-0.6, len(sides) - 0.4), ylabel=metric.label)
        seeds = max(len(outcome.records[side]) for side in sides)
        if not seeds:
            axis.text(0.5, 0.5, "no records yet", transform=axis.transAxes, ha="center", color=GREY)
        axis.set_title(f"{outcome.claim.id}, {outcome.scale}, {seeds} seeds", fontsize=11)
    figure.supxlabel("one dot a seed; bars: 95 % interval from the number of its test questions", fontsize=9.5)
    return figure


def noise_table(*outcomes: Outcome) -> Block:
    """For each score: the gap between the best and the worst side, the spread between seeds, and how they compare."""
    rows = []
    for outcome in outcomes:
        sides = [[r for r in runs if r.status == "finished"] for runs in outcome.records.values()]
        if not all(len(runs) > 1 for runs in sides):
            continue
        for metric in outcome.experiment.panels:
            scores = [[r.score(metric.name) for r in runs] for runs in sides]
            means = [fmean(s) for s in scores]
            gap, spread = max(means) - min(means), sqrt(fmean(stdev(s) ** 2 for s in scores))
            errors = [e for runs in sides for r in runs if (e := metric.error_of(r.final)) is not None]
            unit = " points" if metric.share else ""
            numbers = [f"{x * (100 if unit else 1):.3g}{unit}" for x in (gap, spread, fmean(errors) if errors else 0.0)]
            ratio = f"{gap / spread:.1f}" if spread else "-"
            error = numbers[2] if errors else "-"
            rows.append((outcome.claim.id, outcome.scale, metric.label, *numbers[:2], ratio, error))
    columns = ("gap: best - worst side", "spread between seeds", "gap / spread", "error of one run's test")
    return table(("claim", "scale", "score", *columns), rows or [("no records yet", *"------")])


# -- what is published -------------------------------------------------------------------------------------------------

# Name, WikiText perplexity, FDA accuracy in %: 1.3B parameters, 100B tokens of SlimPajama (Part 4.1, figure 16).
PUBLISHED_TEXT: tuple[tuple[str, float, float], ...] = (
    ("RoPE (8 seeds)", 15.75, 78.75),
    ("RoPE + Canon", 15.4, 78.6),
    ("NoPE", 18.1, 78.6),
    ("NoPE + Canon", 15.6, 77.7),
    ("GLA", 17.1, 58.5),
    ("GLA + conv", 15.3, 61.6),
    ("GLA + Canon", 15.2, 66.1),
    ("Mamba2, no conv", 18.6, 48.2),
    ("Mamba2", 15.5, 56.4),
    ("GDN, no conv", 14.4, 65.0),
    ("GDN", 14.8, 60.2),
)
RANGE_OF_SEEDS = (15.7, 15.8, 76.0, 81.5)  # the 8 seeds of RoPE: perplexity, then FDA
_ABOVE = (0, 8)  # where a label stands beside its dot, in points
_PLACES = {"RoPE (8 seeds)": (-10, 10), "RoPE + Canon": (8, 4), "NoPE + Canon": (7, -14), "GLA + conv": (-8, -4)}


def proxy_figure() -> Figure:
    """Published models: how well they predict text, and how well they find a fact in it."""
    figure, (axis,) = new_figure(1, width=8.6, height=4.2)
    for name, perplexity, found in PUBLISHED_TEXT:
        face = RED if "PE" in name else GREEN
        axis.plot(perplexity, found, "o", color=face, markersize=7)
        x, y = _PLACES.get(name, _ABOVE)
        side = "left" if x > 0 else "right" if x < 0 else "center"
        note(axis, name, (perplexity, found), (x, y), ha=side, fontsize=9.5, color=face)
    low, high, worst, best = RANGE_OF_SEEDS
    axis.errorbar((low + high) / 2, (worst + best) / 2, (best - worst) / 2, (high - low) / 2, color=RED, capsize=3)
    axis.set(xlim=(19.2, 13.9), ylim=(45, 86), xlabel="WikiText perplexity (better to the right)")
    axis.set(ylabel="FDA: facts found, %", title="red: Transformers, green: linear models")
    return figure


# Part 4.1, figure 4: four model sizes, 8 layers of width 512 first.
BASE_MODELS = ("Llama (RoPE)", "GLA", "Mamba2 (mlp)", "GDN")
PUBLISHED_BASE: tuple[tuple[str, ...], ...] = (
    ("Depo1, N = 225, 4 hops", "97 99 96 93", "7 2 14 19", "12 29 24 43", "85 85 22 32"),
    ("Brevo1, N = 70", "46 77 80 89", "34 37 46 42", "4 80 50 72", "93 95 96 97"),
    ("Brevo2, N = 30", "69 90 84 96", "3 46 22 33", "51 96 68 3", "97 99 99 99"),
    ("Mano, L = 10", "59 76 85 85", "60 56 76 56", "97 95 95 96", "94 98 92 90"),
    ("Lano, cfg3f", "91 96 93 98", "38 61 42 55", "84 92 87 92", "83 94 92 94"),
)


def base_table() -> Block:
    """What the paper's playground says about four base architectures, in percent, four model sizes in a cell."""
    return table(("task", *BASE_MODELS), PUBLISHED_BASE)


# -- the five tasks ----------------------------------------------------------------------------------------------------


class TaskCard(NamedTuple):
    """One task of the playground at a glance, with a setting small enough to be read."""

    name: str
    isolates: str
    published: str
    guessing: str
    score: str
    small: Task


@cache
def task_cards() -> tuple[TaskCard, ...]:
    """The five tasks, in the paper's order (Part 4.1, section 2 and appendix A)."""
    zero = Mano(L=10, every_length=True).floor(10)
    return (
        TaskCard(
            "Depo",
            "reasoning depth: who stands k steps further in a hidden ring?",
            "rings of 225 to 375 names, up to 8 hops; of 75 to 125 long names, up to 16 hops",
            "1 in n - 1",
            "answers right at once, at the most hops and at half as many",
            Depo(N=5, K=2, V=9, longest=1, queries=2, sizes="fixed"),
        ),
        TaskCard(
            "Brevo",
            "reasoning breadth: everything that a vertex depends on, in a valid order",
            "graphs of 70 to 110 vertices; of 30 to 50 with long names",
            "about 0",
            "whole answers that are valid, all or nothing",
            Brevo(N=6, sizes="fixed"),
        ),
        TaskCard(
            "Capo",
            "knowledge capacity: facts about people, kept in the weights",
            "50,000 to 2 million biographies, each seen 100 times",
            "0 bits",
            "bits per parameter",
            Capo(people=50, format="pairs", names=(8, 8, 8), values=8),
        ),
        TaskCard(
            "Mano",
            "knowledge manipulation: arithmetic modulo 23, worked out in the head",
            "10, 13 or 16 operations",
            f"1 in 23; always answering 0: {zero:.1%}",
            "answers right at once, at the greatest length",
            Mano(L=3, markers="plain", sizes="fixed"),
        ),
        TaskCard(
            "Lano",
            "hierarchical structure: write sentences of an ambiguous grammar",
            "grammars cfg3f, cfg3j and cfg3k, sentences of hundreds of symbols",
            "about 0",
            "sentences, written freely, that the grammar allows; distance to the true distribution",
            Lano("cfg3f", root=14, context=None),
        ),
    )


def task_gallery() -> Block:
    """One row of each task as a model reads it, yellow where it carries loss, with what the task isolates."""
    pages, texts = [], []
    for card in task_cards():
        batch = card.small.batch(seed=0, step=0, rows=1)
        head = f'<div style="margin:10px 0 2px"><b>{card.name}</b> · {escaped(card.isolates)}</div>'
        pages.append(head + html_view(card.small, batch))
        texts.append(f"{card.name}: {card.isolates}\n{text_view(card.small, batch)}")
    return Block("".join(pages), "\n\n".join(texts))


def task_table() -> Block:
    """The published sizes, the score, and what guessing would get, for each task."""
    head = ("task", "published sizes", "score", "guessing", "notebook")
    rows = [(c.name, c.published, c.score, c.guessing, f"{n:02}") for n, c in enumerate(task_cards(), 3)]
    return table(head, rows)
