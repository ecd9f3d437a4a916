"""The claims of Part 4.2, judged on the numbers that its release publishes. None of these runs is ours."""

from __future__ import annotations

from .claim import rows
from .published import AWAKE, GainsMore, NotBehind, Published, WhateverRate, Wins, Within

TABLES, READING = "Part 4.2, result tables", "Part 4.2, result tables and the reading in its README"
ROTATION = "the Canon runs also rotate a quarter of each head's coordinates, the others all: two things differ at once"
CONVOLUTION = "the runs without Canon have the short convolution of their mixer, so Canon is compared with that"
CONTEXT = "the linear models were trained in other windows and batches than the Transformers"
LLAMA, GLA, GDN, MAMBA2 = (
    ("LlamaCanon", "Llama"),
    ("GLA5Canon", "GLA5conv"),
    ("GDN2Canon", "GDN2conv"),
    ("Mamba2Canon", "Mamba2conv"),
)
LINEAR = (*GLA, *GDN, *MAMBA2)

CLAIMS = (
    Published(
        "P42-wins",
        "With Canon layers, the Transformer wins every pair",
        TABLES,
        "In all eight pairs of Transformers from 1B to 8B the one with Canon layers is ahead in the average of 13 benchmarks.",
        [Wins("average of 13", *LLAMA)],
        ROTATION,
        rows("8B, 1T, best of two rates", {"LlamaCanon": "67.7", "Llama": "66.9"}),
    ),
    Published(
        "P42-MMLU",
        "Canon layers bring about two points of MMLU",
        TABLES,
        "In all eight pairs of Transformers Canon layers raise MMLU, by about two points.",
        [Wins("MMLU", *LLAMA, about=(1.5, 2.5))],
        ROTATION,
        rows("8B, 1T, best of two rates", {"LlamaCanon": "62.4", "Llama": "60.6"}),
    ),
    Published(
        "P42-earlier",
        "With Canon layers MMLU leaves the guess earlier",
        "our reading of Part 4.2's benchmark curves",
        "In all eight pairs of Transformers the one with Canon layers passes 30 % of MMLU on fewer tokens.",
        [Wins(AWAKE, *LLAMA)],
        f"{ROTATION}; the bar of 30 % is ours, and checkpoints are evaluated every 13 to 34 billion tokens",
    ),
    Published(
        "P42-rates",
        "The gain does not depend on the learning rate",
        "our reading of Part 4.2's result tables",
        "In every size the Transformer with Canon layers at its worse learning rate is ahead of the one without at its better.",
        [WhateverRate("average of 13", *LLAMA)],
        ROTATION,
    ),
    Published(
        "P42-window",
        "Near the end of the window Canon layers retrieve what the plain Transformer loses",
        TABLES,
        "Asked for a birth year that stands somewhere in 4,000 tokens, of a window of 4,096, the Transformer with Canon layers "
        "answers more often in all eight pairs. This is the clearest effect at this scale.",
        [Wins("1-hop-4k", *LLAMA)],
        ROTATION,
        rows("1B, 1T, best of two rates", {"LlamaCanon": "93.1", "Llama": "39.8"}),
    ),
    Published(
        "P42-beyond",
        "Beyond its window it goes on for half as long again",
        READING,
        "The Transformer with Canon layers still answers up to about 6,000 tokens, half more than it was trained on.",
        [Wins("1-hop-5k", *LLAMA), Within("1-hop-6k", LLAMA[:1], 50, 100)],
        f"{ROTATION}; the bar of one half at 6,000 tokens is ours",
        rows("1B, 1T, 6,000 tokens, best of two rates", {"LlamaCanon": "7.6", "Llama": "0.1"}),
    ),
    Published(
        "P42-Babilong",
        "Canon layers help to find facts among noise",
        TABLES,
        "In all eight pairs of Transformers Canon layers raise the average of 20 Babilong scores.",
        [Wins("Babilong average", *LLAMA)],
        ROTATION,
        rows("1B, 1T, best of two rates", {"LlamaCanon": "45.3", "Llama": "36.0"}),
    ),
    Published(
        "P42-two-hops",
        "Two hops stay a guess up to 3B",
        READING,
        "Asked for the birth year of somebody born in the same year as somebody else, no model up to 3B does better than to "
        "guess one of the three years that are named.",
        [Within("2-hop-0k", (*LLAMA, *LINEAR), 100 / 3 - 5, 100 / 3 + 5, ("1B", "3B"))],
        "a guess is right one time in three; the margin of five points is ours",
    ),
    Published(
        "P42-GLA",
        "Canon layers help gated linear attention",
        READING,
        "With Canon layers GLA is ahead in the average of 13 benchmarks in all eight pairs.",
        [Wins("average of 13", *GLA)],
        CONVOLUTION,
        rows("1B, 1T, best of three rates", {"GLA5Canon": "59.7", "GLA5conv": "56.9"}),
    ),
    Published(
        "P42-GDN",
        "Canon layers help the gated delta net",
        READING,
        "With Canon layers GDN is ahead in the average of 13 benchmarks in all eight pairs.",
        [Wins("average of 13", *GDN)],
        CONVOLUTION,
        rows("1B, 1T, best of three rates", {"GDN2Canon": "59.4", "GDN2conv": "58.0"}),
    ),
    Published(
        "P42-Mamba2",
        "Mamba2 gains least",
        READING,
        "Canon layers bring GLA and GDN more than they bring Mamba2, in the average of 13 benchmarks.",
        [
            GainsMore("average of 13", better, "Mamba2Canon", without=without, worse_without="Mamba2conv")
            for better, without in (GLA, GDN)
        ],
        CONVOLUTION,
    ),
    Published(
        "P42-level",
        "With Canon layers, GLA is level with GDN",
        READING,
        "Up to 8B the simple gated linear attention with Canon layers is as good as the gated delta net with them.",
        [NotBehind("average of 13", "GLA5Canon", "GDN2Canon", either_way=True)],
        "the margin of one point is ours",
    ),
    Published(
        "P42-averages",
        "On averages of benchmarks linear models keep up",
        READING,
        "In the average of 13 benchmarks the gated delta net with Canon layers is not behind the Transformer with them.",
        [NotBehind("average of 13", "GDN2Canon", "LlamaCanon")],
        f"{CONTEXT}; the margin of one point is ours",
    ),
    Published(
        "P42-retrieval",
        "And fall behind as soon as something must be found",
        READING,
        "Asked for a birth year in 2,000 tokens, every linear model with Canon layers is behind the Transformer without them.",
        [Wins("1-hop-2k", "Llama", side) for side in ("GLA5Canon", "GDN2Canon", "Mamba2Canon")],
        CONTEXT,
        rows("8B, 1T, best of two rates", {"Llama": "97.4", "GDN2Canon": "68.2"}),
    ),
)
