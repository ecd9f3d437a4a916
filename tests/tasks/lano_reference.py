"""What the tests of grammars, parsing and Lano share: the papers' tables, small random grammars, and their whole languages."""

import random
from fractions import Fraction
from typing import NamedTuple

from hypothesis import strategies as st

from physlm_lite.tasks.grammar import Grammar


class Published(NamedTuple):
    """Facts about a published grammar."""

    sizes: tuple  # symbols per level
    root: int
    rules: tuple  # of two symbols, of three symbols
    degree: tuple  # fewest and most rules of a symbol
    mean: float
    sd: float
    quantiles: tuple  # of the length, at 5, 25, 50, 75, 95, 99.9%
    lengths: tuple  # the shortest and the longest sentence
    entropy: float  # bits per derivation
    per_token: float  # nats per token, an upper bound
    measured: float  # nats per token, from few samples


SIX_LEVELS = (1, 3, 3, 3, 3, 3, 3)
SEVEN_LEVELS = (1, 3, 3, 3, 3, 3, 3, 3)
TABLE = {
    "cfg3b": Published(
        SIX_LEVELS,
        22,
        (11, 21),
        (2, 2),
        275.62,
        41.71,
        (198, 251, 277, 307, 341, 370),
        (138, 432),
        169.2,
        0.4241,
        0.4227,
    ),
    "cfg3i": Published(
        SIX_LEVELS,
        22,
        (15, 17),
        (2, 2),
        308.09,
        45.97,
        (235, 274, 307, 341, 386, 434),
        (114, 564),
        186.9,
        0.4192,
        0.4133,
    ),
    "cfg3h": Published(
        SIX_LEVELS,
        22,
        (20, 19),
        (2, 3),
        236.38,
        41.50,
        (173, 201, 237, 270, 301, 339),
        (97, 459),
        204.8,
        0.5979,
        0.5980,
    ),
    "cfg3g": Published(
        SIX_LEVELS,
        22,
        (25, 23),
        (3, 3),
        252.43,
        53.01,
        (166, 212, 255, 291, 338, 400),
        (80, 729),
        269.9,
        0.7382,
        0.7316,
    ),
    "cfg3f": Published(
        SIX_LEVELS,
        22,
        (26, 28),
        (3, 4),
        249.86,
        69.38,
        (148, 191, 248, 303, 365, 444),
        (64, 729),
        268.7,
        0.7423,
        0.7398,
    ),
    "cfg3e1": Published(
        (1, 3, 9, 27, 81, 27, 9),
        160,
        (234, 210),
        (3, 3),
        198.58,
        46.81,
        (132, 158, 195, 237, 276, 320),
        (66, 557),
        216.0,
        0.7501,
        0.7482,
    ),
    "cfg3e2": Published(
        (1, 3, 9, 27, 27, 9, 4),
        83,
        (114, 114),
        (3, 3),
        246.36,
        55.90,
        (158, 195, 253, 287, 334, 397),
        (82, 645),
        256.3,
        0.7183,
        0.7156,
    ),
    "cfg3j": Published(
        SEVEN_LEVELS,
        25,
        (30, 27),
        (3, 3),
        543.93,
        133.60,
        (359, 445, 518, 636, 792, 920),
        (128, 2052),
        618.6,
        0.7868,
        0.7844,
    ),
    "cfg3k": Published(
        SEVEN_LEVELS,
        25,
        (33, 35),
        (3, 4),
        516.31,
        91.06,
        (377, 448, 512, 578, 676, 796),
        (132, 1458),
        608.3,
        0.8151,
        0.8133,
    ),
}

VECTORS = {  # drawn by random.Random(7711): length, first tokens, CRC-32, -log2 P, number of parse trees
    "cfg3b": (278, "2 1 3 1 3 1 2 3 1 2 3 1 2 1 3 2", 0xFEFFA550, 170.0000, 1),
    "cfg3i": (351, "1 2 1 1 3 1 1 3 1 2 2 3 1 3 1 2", 0xD1218A3B, 205.4150, 3),
    "cfg3h": (247, "1 2 3 1 3 1 2 3 2 1 3 3 2 1 3 1", 0x565AFA1E, 210.0060, 1),
    "cfg3g": (275, "2 2 1 1 1 1 2 1 2 2 3 3 1 1 3 3", 0x46A270E4, 290.4811, 4),
    "cfg3f": (305, "3 3 3 3 1 1 2 1 3 1 2 3 2 2 1 2", 0xCF32F537, 320.9895, 1),
    "cfg3e1": (193, "8 6 4 7 2 6 4 3 1 7 5 4 7 7 7 8", 0x9B2ED69D, 220.3098, 1),
    "cfg3e2": (194, "2 1 4 1 1 2 2 2 1 3 2 2 1 4 1 4", 0x7A0AD515, 209.2151, 1),
    "cfg3j": (682, "1 3 2 3 2 3 3 2 3 1 3 2 3 2 1 1", 0x6E0771C3, 778.2166, 1),
    "cfg3k": (625, "1 3 1 1 3 1 2 1 3 1 1 1 2 2 1 1", 0xFFCA06A8, 746.7669, 1),
}


def sample_mersenne(grammar, seed=7711):
    """A sentence as Python's Mersenne Twister draws it: depth first, one randint per non-terminal, before its children."""
    source, sentence = random.Random(seed), []

    def expand(symbol):
        if symbol <= grammar.terminals:
            sentence.append(symbol)
        else:
            rules = grammar.rules[symbol]
            for child in rules[source.randint(0, len(rules) - 1)]:
                expand(child)

    expand(grammar.root)
    return sentence


@st.composite
def small_grammars(draw):
    """Up to three levels of rules of one to three symbols, a few of them shared between symbols; some symbols unused."""
    sizes = [1, *(draw(st.integers(1, 2)) for _ in range(draw(st.integers(0, 2)))), draw(st.integers(1, 3))]
    below, free, rules = list(range(1, sizes[-1] + 1)), sizes[-1] + 4, {}
    for size in reversed(sizes[:-1]):
        symbols = list(range(free, free + size))
        rule = st.lists(st.sampled_from(below), min_size=1, max_size=3).map(tuple)
        for symbol in symbols:
            rules[symbol] = tuple(draw(st.lists(rule, min_size=1, max_size=3 if size == 1 else 2, unique=True)))
        below, free = symbols, free + size
    return Grammar(below[0], sizes[-1], rules)


class Count(NamedTuple):
    probability: Fraction
    trees: int
    best: Fraction  # the probability of the most probable tree


def language(grammar):
    """All sentences of a small grammar, by writing out every derivation."""
    known = {
        terminal: {(terminal,): Count(Fraction(1), 1, Fraction(1))} for terminal in range(1, grammar.terminals + 1)
    }
    for level in reversed(grammar.levels[:-1]):
        for symbol in level:
            total = {}
            for rule in grammar.rules[symbol]:
                texts = {(): Count(Fraction(1), 1, Fraction(1))}
                for child in rule:
                    longer = {}
                    for text, a in texts.items():
                        for more, b in known[child].items():
                            add(
                                longer,
                                text + more,
                                Count(a.probability * b.probability, a.trees * b.trees, a.best * b.best),
                            )
                    texts = longer
                for text, count in texts.items():
                    share = len(grammar.rules[symbol])
                    add(total, text, Count(count.probability / share, count.trees, count.best / share))
            known[symbol] = total
    return known[grammar.root]


def add(counts, text, more):
    old = counts.get(text, Count(Fraction(0), 0, Fraction(0)))
    counts[text] = Count(old.probability + more.probability, old.trees + more.trees, max(old.best, more.best))
