"""Notebook 07: parse trees, span tables, models that only count, and toys to turn a grammar over in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from ...base.printable import escaped
from ...claims import Outcome
from ...lab.controls import menu, slider
from ...lab.frame import Touch
from ...lab.plots import BLUE, FAINT, GREEN, GREY, RED, chart, chip, new_figure, note, palette
from ...lab.show import Interactive, Picture
from ...tasks import parsing_naive
from ...tasks.draws import address, below, bits, unit
from ...tasks.grammar import PUBLISHED, Derivation, Grammar
from ...tasks.lano import Lano
from ...tasks.parsing import kl_to_truth, next_symbol, next_symbols, parse_counts, recognise

Sentence = tuple[int, ...]
Tree = tuple[int, tuple["Tree", ...]]  # a symbol and its children
NextSymbols = Callable[[Sequence[ArrayLike]], list[NDArray[np.float64]]]  # texts to rows, like `parsing.next_symbols`

HERE = Path(__file__).parent
TINTS = ("#cfe0f3", "#f9dcc4", "#d3ead2", "#e6d6ee", "#f4e9b8", "#d5e8e8")
INK = "#333333"


# -- trees -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """A symbol of a derivation tree at its level (0: the root), above the tokens start..end-1; parent: its place there."""

    level: int
    symbol: int
    start: int
    end: int
    parent: int = field(compare=False)

    @property
    def middle(self) -> float:
        return (self.start + self.end - 1) / 2


def tree_nodes(derivation: Derivation) -> list[list[Node]]:
    """The nodes of a tree, level by level, with their spans."""
    _, ordinals = derivation.ancestors()
    levels = []
    for level, symbols in enumerate(derivation.symbols):
        places = range(len(symbols))
        start, end = (np.searchsorted(ordinals[level], places, side).tolist() for side in ("left", "right"))
        above = ordinals[max(level - 1, 0)]
        levels.append([Node(level, symbols[i], start[i], end[i], int(above[start[i]])) for i in places])
    return levels


def parse_trees(grammar: Grammar, sentence: Sequence[int]) -> list[Derivation]:
    """Every parse tree of a short sentence, in the order of the rules. (`parsing.parse_counts` counts them without.)"""

    @cache
    def trees(symbol: int, text: Sentence) -> list[Tree]:
        if symbol <= grammar.terminals:
            return [(symbol, ())] if text == (symbol,) else []
        return [(symbol, parts) for rule in grammar.rules[symbol] for parts in together(rule, text)]

    def together(rule: Sentence, text: Sentence) -> list[tuple[Tree, ...]]:
        if not rule:
            return [] if text else [()]
        cuts = [k for k in range(1, len(text) + 1) if trees(rule[0], text[:k])]
        return [
            (tree, *rest) for k in cuts for rest in together(rule[1:], text[k:]) for tree in trees(rule[0], text[:k])
        ]

    found = []
    for root in trees(grammar.root, tuple(map(int, sentence))):
        levels = [[root]]
        while levels[-1][0][1]:
            levels.append([child for node in levels[-1] for child in node[1]])
        symbols = tuple(tuple(symbol for symbol, _ in level) for level in levels)
        children = tuple(tuple(len(below) for _, below in level) for level in levels[:-1])
        found.append(Derivation(symbols, children))
    return found


# -- pictures ----------------------------------------------------------------------------------------------------------


def _tint(grammar: Grammar, symbol: int) -> str:
    level = next(level for level in grammar.levels if symbol in level)
    return TINTS[level.index(symbol) % len(TINTS)]


_draw_symbol = partial(chip, width=0.8, shape="round,pad=0.25", color=INK, fontsize=10.5)


def rules_figure(grammar: Grammar) -> Figure:
    """The rules of a small grammar, a column for each level: every alternative of a symbol is equally likely."""
    levels = grammar.levels[:-1]
    texts = {s: "   |   ".join(" ".join(map(str, rule)) for rule in rules) for s, rules in grammar.rules.items()}
    rows = max(map(len, levels))
    widths = [7 + max(len(texts[symbol]) for symbol in level) for level in levels]
    figure, axes = new_figure(len(levels), width=10.5, height=0.5 + 0.45 * rows, width_ratios=widths)
    for depth, (axis, level, width) in enumerate(zip(axes, levels, widths, strict=True)):
        axis.axis("off")
        axis.set(xlim=(0, width), ylim=(0.4 - rows, 0.6))
        axis.set_title("the root" if not depth else f"level {depth}", loc="left")
        for row, symbol in enumerate(level):
            _draw_symbol(axis, str(symbol), (1.7, -row), _tint(grammar, symbol))
            axis.text(4.3, -row, f"→  {texts[symbol]}", ha="left", va="center", fontsize=10.5)
    return figure


def draw_tree(
    axis: Axes, grammar: Grammar, derivation: Derivation, position: int | None = None, marked: Collection[Node] = ()
) -> None:
    """A parse tree, the tokens at height 0. position: show what is finished, begun and to come after so many tokens.

    marked: nodes to stand out.
    """
    levels = tree_nodes(derivation)
    depth, n = len(levels) - 1, len(derivation.sentence)
    for level in levels[1:]:
        for node in level:
            above, height = levels[node.level - 1][node.parent], depth - node.level
            axis.plot([above.middle, node.middle], [height + 1, height], color="#b6bcc6", linewidth=1, zorder=0)
    for node in (node for level in levels for node in level):
        face, edge, ink, width = _tint(grammar, node.symbol), GREY, INK, 0.8
        if position is not None and node.start >= position:
            face, edge, ink = "#f6f7f9", "#d3d7dd", FAINT
        elif position is not None and node.end > position:
            face, edge, width = "white", RED, 2.0
        if node in marked:
            edge, width = RED, 2.0
        at, size = (node.middle, depth - node.level), 10.5 if n <= 20 else 9.5
        _draw_symbol(axis, str(node.symbol), at, face, edge, width=width, color=ink, fontsize=size)
    axis.axis("off")
    axis.set(xlim=(-0.8, n - 0.2), ylim=(-0.5, depth + 0.45))


def ambiguity_figure(grammar: Grammar, sentence: Sequence[int], shown: int = 2) -> Figure:
    """The first parse trees of a sentence side by side; in red, the symbols that not all of these trees have."""
    trees = parse_trees(grammar, sentence)[:shown]
    if not trees:
        text = " ".join(map(str, sentence))
        raise ValueError(f"{text} is not a sentence of this grammar; take one from Lano.sentences")
    sets = [{node for level in tree_nodes(tree) for node in level} for tree in trees]
    common = set.intersection(*sets)
    figure, axes = new_figure(len(trees), width=min(10.5, 5.2 * len(trees)), height=0.9 + 0.62 * grammar.depth)
    for number, (axis, tree, nodes) in enumerate(zip(axes, trees, sets, strict=True), 1):
        draw_tree(axis, grammar, tree, marked=nodes - common)
        axis.set_title(f"tree {number}: probability 1 in {2 ** tree.bits(grammar):,.0f}")
    return figure


def position_figure(grammar: Grammar, derivation: Derivation, position: int) -> Figure:
    """A sentence after `position` tokens: its tree, the true distribution at every place, and the one here as bars."""
    sentence, n = derivation.sentence, len(derivation.sentence)
    position = min(position, n)
    truth = next_symbol(grammar, sentence)
    count = parse_counts(grammar, [sentence])[0]
    names = ["end", *grammar.names]
    figure, (axis, bars) = new_figure(2, width=10.5, height=4.6, width_ratios=(3.4, 1))
    draw_tree(axis, grammar, derivation, position)
    height, top = 0.42, -0.95
    bottom = top - height * len(names)
    edges = np.linspace(top, bottom, len(names) + 1)
    axis.pcolormesh(np.arange(n + 2) - 0.5, edges, truth.T, cmap="Blues", vmin=0, vmax=1.15)
    for name, y in zip(names, (edges[:-1] + edges[1:]) / 2, strict=True):
        axis.text(-0.7, y, name, ha="right", va="center", fontsize=9.5)
    axis.add_patch(Rectangle((position - 0.5, bottom), 1, len(names) * height, fill=False, edgecolor=RED, linewidth=2))
    caption = "dark: likely as the next symbol, given the tokens to the left"
    axis.text(n / 2 - 0.5, bottom - 0.2, caption, ha="center", va="top", fontsize=9.5, color="#555")
    axis.set(xlim=(-1.9, n + 0.6), ylim=(bottom - 0.65, grammar.depth + 0.45))
    axis.set_title(
        f"{n} tokens, {count} parse tree{'s' * (count != 1)} · tinted: finished, red: begun, grey: to come", fontsize=11
    )
    actual = sentence[position] if position < n else 0
    shades = [RED if s == actual else BLUE for s in range(len(names))]
    drawn = bars.barh(range(len(names)), truth[position], color=shades, height=0.6)
    bars.bar_label(drawn, fmt="%.2f", padding=3, fontsize=10)
    bars.set_yticks(range(len(names)), names)
    bars.invert_yaxis()
    bars.set_xlim(0, 1.28)
    bars.set_xticks([0, 0.5, 1])
    bars.set_xlabel("true probability")
    bars.set_title(f"after {position} token{'s' * (position != 1)}\n(red: what came)", fontsize=11)
    return figure


def walk_data(grammar: Grammar, derivations: Sequence[Derivation]) -> dict[str, Any]:
    """What a walk along sentences looks up: every node of their trees, and the exact distribution at every place."""
    sentences = [
        {
            "tokens": list(map(int, derivation.sentence)),
            "nodes": [
                [node.level, int(node.symbol), node.start, node.end, grammar.levels[node.level].index(node.symbol) % 6]
                for level in tree_nodes(derivation)
                for node in level
            ],
            "next": truth.round(6).tolist(),
        }
        for derivation, truth in zip(derivations, next_symbols(grammar, [d.sentence for d in derivations]), strict=True)
    ]
    counts = [sum(share > 0 for share in row) for sentence in sentences for row in sentence["next"]]
    goals = [
        {"said": "Find a place where only one symbol can come next.", "many": 1},
        {"said": f"Find one where {max(counts)} can come (the end counts).", "many": max(counts)},
    ]
    return {"names": ["end", *grammar.names], "sentences": sentences, "goals": goals}


def lano_walk(task: Lano, seed: int = 0, sentences: int = 6, longest: int = 17) -> Touch:
    """Walk along a sentence: what of its tree is finished and open, and what the grammar says may come next."""
    drawn = task.derivations(seed, 0, 40 * sentences, "test")
    derivations = [d for d in drawn if len(d.sentence) <= longest][:sentences]
    if not derivations:
        raise ValueError(
            f"no sentence of at most {longest} tokens among {40 * sentences}; take a symbol further down as the "
            "root, or a larger `longest`"
        )
    read = min(5, len(derivations[0].sentence))
    still = position_figure(task.language, derivations[0], read)
    alt = f"A parse tree and the true distribution of the next symbol after {read} tokens"
    data = {**walk_data(task.language, derivations), "sentence": 0, "read": read}
    return Touch(HERE / "tree.js", data, "A walk along a sentence", Picture(still, alt), 560)


def span_figure(grammar: Grammar, sentence: Sequence[int]) -> Figure:
    """The span table of a short sentence as a pyramid: which symbols derive which run of tokens.

    A cell stands above the middle of its run, as high as the run is long. Coloured symbols are in the sentence's first parse
    tree, grey ones are true of their run and lead nowhere.
    """
    text = tuple(map(int, sentence))
    n, chart = len(text), parsing_naive.inside(grammar, text, lambda rules: 1)
    trees = parse_trees(grammar, text)
    used = {(node.symbol, node.start, node.end) for level in tree_nodes(trees[0]) for node in level} if trees else set()
    figure, (axis,) = new_figure(1, width=min(10.0, 1.4 + 0.85 * n), height=0.9 + 0.5 * n)
    for i in range(n):
        for j in range(i + 1, n + 1):
            x, y = (i + j - 1) / 2, j - i
            symbols = [symbol for symbol in sorted(chart) if chart[symbol][i].get(j)]
            if not symbols:
                axis.plot(x, y, "o", color="#d9dde3", markersize=4)
            for k, symbol in enumerate(symbols):
                place, live = (x + 0.34 * (k - (len(symbols) - 1) / 2), y), (symbol, i, j) in used
                face, edge, ink = (_tint(grammar, symbol), INK, INK) if live else ("#f3f4f6", "#c4c9d1", GREY)
                _draw_symbol(axis, str(symbol), place, face, edge, width=1.4 if live else 0.8, color=ink)
    axis.set(xlim=(-0.7, n - 0.3), ylim=(0.4, n + 0.6))
    axis.set_yticks(range(1, n + 1))
    axis.set_xticks(range(n), [f"{i}" for i in range(n)])
    axis.set(xlabel="place in the sentence", ylabel="tokens in the run", title="what derives what")
    return figure


# -- what the neighbours tell ------------------------------------------------------------------------------------------


def neighbour_accuracy(task: Lano, most: int, sentences: int = 4000) -> NDArray[np.float64]:
    """How often the best guess from a token and its neighbours is right about the symbols above the token.

    [most + 1, depth + 1] shares: for 0, 1, ..., `most` neighbours on each side; the root first and the token itself last. The
    guess is learnt by counting on training sentences and scored on a quarter as many test sentences; a window never seen is
    guessed from the next smaller one.
    """

    def windows_and_symbols(split: str, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        derivations = task.derivations(0, 0, count, split)
        runs = [np.lib.stride_tricks.sliding_window_view(np.pad(d.sentence, most), 2 * most + 1) for d in derivations]
        return np.concatenate(runs), np.concatenate([d.ancestors()[0] for d in derivations], 1)

    seen, symbols = windows_and_symbols("train", sentences)
    asked, wanted = windows_and_symbols("test", sentences // 4)
    share = np.zeros((most + 1, len(wanted)))
    for level, (true, target) in enumerate(zip(symbols, wanted, strict=True)):
        votes = np.zeros((len(asked), max(task.language.rules) + 1))
        for width in range(most + 1):
            place = slice(most - width, most + width + 1)
            code = np.concatenate([seen, asked])[:, place] @ (task.language.terminals + 1) ** np.arange(2 * width + 1)
            kinds, number = np.unique(code, return_inverse=True)
            counts = np.zeros((len(kinds), votes.shape[1]))
            np.add.at(counts, (number[: len(seen)], true), 1.0)
            votes = counts[number[len(seen) :]] + 1e-3 * votes / np.maximum(votes.sum(1, keepdims=True), 1)
            share[width, level] = (votes.argmax(1) == target).mean()
    return share


def neighbours_figure(task: Lano, most: int = 4) -> Figure:
    """`neighbour_accuracy` for the levels between root and tokens, over the number of neighbours."""
    accuracy = neighbour_accuracy(task, most)
    figure, (axis,) = new_figure(1, width=7.5, height=3.4)
    depth, shades = task.language.depth, (BLUE, RED, GREEN, "#edae49")
    for level, shade in zip(range(depth - 1, 0, -1), shades, strict=False):
        label = f"{depth - level} above the token ({', '.join(map(str, task.language.levels[level]))})"
        axis.plot(range(most + 1), 100 * accuracy[:, level], "o-", color=shade, linewidth=2, label=label)
    axis.set_xticks(range(most + 1))
    axis.set(xlabel="neighbours seen on each side, tokens", ylabel="right guesses, %", ylim=(30, 103))
    axis.legend(fontsize=10, loc="lower right")
    axis.set_title("which symbol stands above this token?")
    return figure


# -- models that only count --------------------------------------------------------------------------------------------


class Counting:
    """A model without a network: P(next symbol | the last `width` tokens), by counting on training sentences.

    Like `parsing.next_symbols` it maps texts to rows [n + 1, S + 1], column 0 for the end.
    """

    def __init__(self, task: Lano, width: int, sentences: int = 20_000) -> None:
        self.width, self.base = width, task.language.terminals + 1
        self.counts = np.full((self.base**width, self.base), 1e-3)
        texts = task.sentences(0, 0, sentences)
        # all texts behind each other, with the start between them: no window of one reaches into the next
        between = np.zeros(width, np.int64)
        flat = self._contexts(np.concatenate([part for text in texts for part in (text, between)]))
        sizes = np.array([len(text) for text in texts])
        first = np.cumsum(sizes + width) - (sizes + width) - (np.cumsum(sizes + 1) - (sizes + 1))
        places = np.repeat(first, sizes + 1) + np.arange((sizes + 1).sum())
        np.add.at(self.counts, (flat[places], np.concatenate([np.append(text, 0) for text in texts])), 1.0)

    def _contexts(self, text: NDArray[np.int64]) -> NDArray[np.int64]:
        padded = np.pad(text, (self.width, 0))  # 0: before the start
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.width)
        return windows @ self.base ** np.arange(self.width)

    def __call__(self, texts: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
        rows = [self.counts[self._contexts(np.asarray(text, np.int64))] for text in texts]
        return [row / row.sum(1, keepdims=True) for row in rows]


def write(model: NextSymbols, count: int, longest: int, seed: int = 0, greedy: bool = False) -> list[Sentence]:
    """`count` texts written symbol by symbol at temperature 1 (or greedily) until the end symbol.

    A text that has not ended after `longest` symbols has one symbol more than that, so it cannot be taken for a sentence.
    """
    key, going, texts = address(seed, np.arange(count)), np.arange(count), np.zeros((count, longest + 1), np.int64)
    for position in range(longest + 1):
        if not len(going):
            break
        rows = np.stack([row[-1] for row in model(list(texts[going, :position]))])
        level = unit(bits(key[going], 0, position))
        cumulated = rows.cumsum(1)
        chosen = rows.argmax(1) if greedy else (cumulated <= level[:, None] * cumulated[:, -1:]).sum(1)
        texts[going, position] = chosen
        going = going[chosen > 0]
    return [tuple(text[text > 0].tolist()) for text in texts]


def two_scores(model: NextSymbols, task: Lano, sentences: int = 200, seed: int = 0) -> tuple[float, float]:
    """(KL to the truth on fresh sentences, in nats; share of as many texts, written by the model, that are valid)."""
    fresh = task.sentences(seed, 0, sentences, "test")
    truth, own = next_symbols(task.language, fresh), model(fresh)
    kl = float(np.mean([kl_to_truth(p, q) for p, q in zip(truth, own, strict=True)]))
    return kl, float(recognise(task.language, write(model, sentences, task.language.longest, seed)).mean())


@lru_cache(maxsize=4)
def counting_scores(task: Lano, widths: Sequence[int] = (0, 1, 2, 3, 4, 6, 8)) -> dict[int, tuple[float, float]]:
    """`two_scores` of counting models that look at the last 0, 1, 2, ... tokens."""
    return {width: two_scores(Counting(task, width), task) for width in widths}


def two_scores_figure(source: Lano | Outcome) -> Figure:
    """Distance to the truth against valid sentences: the counting models, the grammar itself, and an outcome's models."""
    outcome = None if isinstance(source, Lano) else source
    task = source if isinstance(source, Lano) else Lano(**source.experiment.task_options)
    task = replace(task, context=None)  # sentences are counted, however a model reads them
    figure, (axis,) = new_figure(1, width=7.8, height=3.9)
    scores = counting_scores(task)
    kl, valid = zip(*scores.values(), strict=True)
    axis.plot(kl, valid, "s--", color=FAINT, linewidth=1, markersize=5, label="counting, last k tokens")
    for width, (x, y) in scores.items():
        note(axis, f"k = {width}", (x, y), (0, 8), color=GREY)
    runs = [(side, run.final) for side, found in (outcome.records if outcome else {}).items() for run in found]
    rows = [(side, final["kl"], final["accuracy"]) for side, final in runs if "kl" in final]
    shades = palette(dict.fromkeys(side for side, *_ in rows))
    chart("scatterplot", axis, rows, "kl", "valid", shades, s=64)
    for side, shade in shades.items():
        axis.plot([], [], "o", color=shade, label=f"{side}, one dot a seed")
    axis.plot(0, 1, "*", color="#2d7d46", markersize=15, label="the grammar itself", clip_on=False, zorder=5)
    axis.set(xlim=(-0.01, None), ylim=(-0.04, 1.1), xlabel="KL to the true next-symbol distribution, nats")
    axis.set(ylabel="share of valid sentences", title="two scores of the same models")
    axis.legend(fontsize=9.5)
    return figure


# -- corruption, and the explorer --------------------------------------------------------------------------------------


def corrupted(grammar: Grammar, sentences: Sequence[ArrayLike], seed: int = 0) -> list[Sentence]:
    """The sentences with one token each, at a random place, replaced by another terminal at random."""
    result = []
    for number, sentence in enumerate(sentences):
        text, key = np.array(sentence, np.int64), address(seed, number)
        place, shift = int(below(bits(key, 0, 0), len(text))[0]), int(below(bits(key, 0, 1), grammar.terminals - 1)[0])
        text[place] = (text[place] + shift) % grammar.terminals + 1
        result.append(tuple(text.tolist()))
    return result


class Sampled(NamedTuple):
    """Shares measured on sampled sentences of a grammar.

    choices: of the places at which 1, 2, 3, more symbols are possible next. ambiguous: of the sentences with several parse
    trees. surviving: of those that one random substitution leaves valid.
    """

    choices: tuple[float, float, float, float]
    ambiguous: float
    surviving: float


@lru_cache(maxsize=64)
def sampled(grammar: Grammar, sentences: int = 120) -> Sampled:
    """Measure a grammar on so many sentences (the possible next symbols on a fifth of them)."""
    sample = Lano(grammar.to_text(), context=None).sentences(0, 0, sentences, "test")
    rows = np.concatenate(next_symbols(grammar, sample[: max(1, sentences // 5)]))
    possible = np.bincount((rows > 0).sum(1).clip(max=4), minlength=5)[1:]
    return Sampled(
        choices=tuple((possible / possible.sum()).tolist()),
        ambiguous=float((np.array(parse_counts(grammar, sample), dtype=float) > 1).mean()),
        surviving=float(recognise(grammar, corrupted(grammar, sample)).mean()),
    )


NUMBERS: Mapping[str, Callable[[Grammar], str]] = {
    "levels of rules": lambda g: str(g.depth),
    "rules": lambda g: str(sum(map(len, g.rules.values()))),
    "mean length": lambda g: f"{g.mean_length:,.0f}",
    "bits per tree": lambda g: f"{g.derivation_entropy:,.0f}",
    "nats per token": lambda g: f"{g.entropy_per_token:.3f}",
    "ambiguous": lambda g: f"{100 * sampled(g).ambiguous:.0f} %",
    "survives a typo": lambda g: f"{100 * sampled(g).surviving:.0f} %",
}


def grammar_figure(grammar: Grammar, name: str, reference: str = "cfg3f") -> Figure:
    """A grammar beside a published one: lengths, how many symbols may come next, and the numbers that matter."""
    both = {name: grammar} if name == reference else {reference: Grammar.published(reference), name: grammar}
    shades = {reference: FAINT, name: RED}
    figure, (lengths, choices, text) = new_figure(3, width=10.5, height=3.6, width_ratios=(1.15, 0.85, 1.15))
    for label, g in both.items():
        p = g.length_distribution
        width = max(1, len(p) // 60)
        binned = np.add.reduceat(p, np.arange(0, len(p), width))
        edges = np.arange(len(binned) + 1) * width
        lengths.stairs(100 * binned / width, edges, color=shades[label], fill=True, alpha=0.45, label=label)
    spread = max(g.mean_length + 3.5 * g.sd_length for g in both.values())
    lengths.set(xlim=(0, spread), xlabel="tokens in a sentence", ylabel="probability per length, %", title="how long")
    lengths.legend(fontsize=10)
    last = "4" if max(g.terminals for g in both.values()) < 4 else "4 or more"
    shares = [
        (label, count, 100 * share)
        for label, g in both.items()
        for count, share in zip(("1", "2", "3", last), sampled(g).choices, strict=True)
    ]
    chart("barplot", choices, shares, "count", "share", shades)
    choices.set(xlabel="symbols that can come next", ylabel="of all places, %", title="how certain")
    text.axis("off")
    look: dict[str, Any] = {"fontsize": 11, "transform": text.transAxes}
    column: dict[str, Any] = {"va": "top", "linespacing": 2.25, **look}
    text.text(0, 0.9, "\n".join(NUMBERS), color="#555", **column)
    for x, (label, g) in zip((0.74, 1.0), both.items(), strict=False):
        text.text(x, 0.95, label, ha="right", fontweight="bold", color=shades[label], **look)
        text.text(x, 0.9, "\n".join(number(g) for number in NUMBERS.values()), ha="right", **column)
    text.text(0, 0, "the shares of 120 sampled sentences", fontsize=9, color=FAINT, transform=text.transAxes)
    return figure


def grammar_explorer(start: str = "cfg3k") -> Interactive:
    """Take a published grammar or draw a new one, and see what makes it long, uncertain or ambiguous."""
    controls = {
        "name": menu("grammar", [*PUBLISHED, ("a new one", "new")], start),
        "seed": slider("new: which draw", 0, 0, 9),
        "levels": slider("new: levels", 6, 3, 6),
        "rules": slider("new: rules a symbol", 3, 1, 4),
    }

    def chosen(name: str, seed: int, levels: int, rules: int) -> Grammar:
        if name != "new":
            return Grammar.published(name)
        return Grammar.random(seed, levels=(1, *[3] * levels), degree=(rules, rules))

    def draw(**choice: Any) -> Figure:
        return grammar_figure(chosen(**choice), choice["name"])

    def rules_text(**choice: Any) -> str:
        lines = chosen(**choice).to_text().splitlines()
        shown = lines if len(lines) <= 40 else [*lines[:24], f"... and {len(lines) - 24} more lines"]
        return f"<details><summary>the rules</summary><pre>{escaped(chr(10).join(shown))}</pre></details>"

    return Interactive(
        draw, controls, "Grammar explorer: lengths, certainty and numbers of a grammar beside cfg3f", extra=rules_text
    )
