"""Result 12: real text at academic scale (Part 4.1, section 8 and appendix E).

Not tried, because it cannot be decided at this size: the benchmarks of language models (LAMBADA, HellaSwag, FDA and others), which
models of 25,000 parameters answer by chance; and "S-NIAH" and "Babilong", whose questions are sentences that only a model of real
text understands. That benchmarks are noisy is R0-text.
"""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, AtLeast, Stops
from ..settings import births, text
from ..sides import FAMILIES, NOPE, NOPE_CANON, ROPE, ROPE_CANON
from .linear import START

SECTION_8 = "Part 4.1, section 8, result 12, figure 16"
ONE_HOP = "1.3B parameters, 100B tokens of SlimPajama; a year among five sentences and {} tokens of Wikipedia"
WITHIN = rows(
    ONE_HOP.format("4,000"),
    {"RoPE": "73 to 87 % (8 seeds)", "RoPE + Canon": "91.3 %", "NoPE": "98.6 %", "NoPE + Canon": "99.4 %"},
)
NEEDLE = Claim(
    id="R12-needle",
    title="Canon layers help to find a year in a text",
    source=SECTION_8,
    statement="With Canon layers, a model finds a year of birth that is hidden in a text more often, with RoPE and without.",
    paper=WITHIN,
    experiments={
        "toy": births.TOY.compare(
            (ROPE, ROPE_CANON, NOPE, NOPE_CANON),
            Ahead("accuracy", "RoPE + Canon", "RoPE", by=0.1),
            Ahead("accuracy", "NoPE + Canon", "NoPE", by=0.1),
        )
    },
    first={},
)

QUARTER = births.QUARTER
BEYOND = Claim(
    id="R12-beyond",
    title="The less RoPE, the farther beyond the trained length",
    source=SECTION_8,
    statement="With Canon layers and a quarter of RoPE, or none, a year is still found in texts longer than any of the training, "
    "where a model with all of RoPE fails.",
    paper=rows(
        ONE_HOP.format("5,000") + ", trained on 4,096",
        {"RoPE + Canon": "7.0 %", QUARTER.label: "60.8 and 80.6 % (two layouts)", "NoPE + Canon": "88.9 %"},
    ),
    experiments={
        "toy": births.TOY.compare(
            (ROPE_CANON, QUARTER, NOPE_CANON),
            Ahead("accuracy_far.4", QUARTER.label, "RoPE + Canon", by=0.05),
            Ahead("accuracy_far.4", "NoPE + Canon", "RoPE + Canon", by=0.05),
        )
    },
    first={},
)
