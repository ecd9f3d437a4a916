"""Result 12: real text at academic scale (Part 4.1, section 8 and appendix E).

What cannot be decided at this size is not tried: benchmarks of language models (LAMBADA, HellaSwag, FDA and others), which a
model of 35,000 parameters answers by chance, and S-NIAH and Babilong, whose questions only a model of much text understands.
How noisy a benchmark is, is R0-text.
"""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, AtLeast, Stops
from ..settings import births, text
from ..sides import FAMILIES, NOPE, NOPE_CANON, ROPE, ROPE_CANON
from .linear import START, YEARS

SECTION = "Part 4.1, section 8, result 12, figure 16"
ONE_HOP = "1.3B parameters, 100B tokens of SlimPajama; a year among five sentences and {} tokens of Wikipedia"
WITHIN = {"RoPE": "73 to 87 % (8 seeds)", "RoPE + Canon": "91.3 %", "NoPE": "98.6 %", "NoPE + Canon": "99.4 %"}
NEEDLE, NEEDLE_NOPE = (
    Claim(
        id=name,
        title=f"Canon layers help to find a year in a text, {positions}",
        source=SECTION,
        statement=f"{plain.label} with Canon layers finds a year of birth that is hidden in a text more often than without.",
        paper=rows(ONE_HOP.format("4,000"), WITHIN, plain.label, canon.label),
        experiments={
            "toy": births.TOY.compare((plain, canon), Ahead("accuracy", canon.label, plain.label, by=0.1)),
        },
        first={},
    )
    for name, positions, plain, canon in (
        ("R12-needle", "with RoPE", ROPE, ROPE_CANON),
        ("R12-needle-NoPE", "without positions", NOPE, NOPE_CANON),
    )
)

QUARTER = births.QUARTER
BEYOND = Claim(
    id="R12-beyond",
    title="The less RoPE, the farther beyond the trained length",
    source=SECTION,
    statement="With Canon layers and a quarter of RoPE, or none, a year is still found in texts longer than any of the training, "
    "where a model with all of RoPE finds fewer.",
    paper=rows(
        f"{ONE_HOP.format('5,000')}; trained on windows of 4,096",
        {"RoPE + Canon": "7.0 %", QUARTER.label: "60.8 and 80.6 % (two layouts)", "NoPE + Canon": "88.9 %"},
    ),
    experiments={
        "toy": births.TOY.compare(
            (ROPE_CANON, QUARTER, NOPE_CANON),
            *(Ahead("accuracy_far.4", side.label, "RoPE + Canon", by=0.05) for side in (QUARTER, NOPE_CANON)),
        )
    },
    first={},
)

TWO_HOPS, TWO_HOPS_TAUGHT = (
    Claim(
        id=name,
        again=again,
        title=title,
        source=SECTION,
        statement="A model that finds a year which the text states does not find it for somebody who is said to be as old as a "
        f"person whose year is stated{asked}.",
        paper=rows(
            "1.3B parameters, 100B tokens; three years and three links, no other text; guessing: 33 %",
            dict.fromkeys(
                ("RoPE + Canon", "NoPE + Canon"), "28.9 to 36.1 % (all models), where one hop is 98.9 to 99.3 %"
            ),
        ),
        experiments={
            "toy": setting.compare(
                (ROPE_CANON, NOPE_CANON),
                *(Stops("accuracy_k.2", side.label, "accuracy_k.1") for side in (ROPE_CANON, NOPE_CANON)),
            )
        },
        first={},
    )
    for name, again, title, asked, setting in (
        ("R12-two-hops", "R12-two-hops-taught", "One hop is found, two are not", "", births.HOPS),
        (
            "R12-two-hops-taught",
            "R12-two-hops",
            "Nor if it is taught",
            ", even if half of the questions in training are of this kind",
            births.HOPS_TAUGHT,
        ),
    )
)

LINEAR = tuple(
    family[3].but(hidden=hidden) for family, hidden in zip(FAMILIES.values(), (80, 64, 64), strict=True)
)  # the proportions of the families, at half of their width
RETRIEVAL = Claim(
    id="R12-linear",
    title="Linear models find fewer",
    source=SECTION,
    statement="Linear models, even with Canon layers, find fewer years than a Transformer with them, in short texts, too.",
    paper=rows(
        "1.3B parameters, 100B tokens; a year among five sentences, no other text",
        {"NoPE + Canon": "99.3 %", **{side.label: YEARS[side.label] for side in LINEAR}},
    ),
    experiments={
        "toy": births.TOY.but(simplified=f"{births.TOY.simplified}; {START}").compare(
            (NOPE_CANON, *LINEAR), *(Ahead("accuracy", "NoPE + Canon", side.label, by=0.05) for side in LINEAR)
        )
    },
    first={},
)

FIVE = text.TOY.but(seeds=text.TOY.seeds[:5])
PERPLEXITY = "1.3B parameters, 100B tokens of SlimPajama; perplexity on WikiText"
LEVEL = Claim(
    id="R12-NoPE",
    title="On text, Canon brings NoPE to the level of RoPE",
    source=SECTION,
    statement="Without positions a model predicts text worse than with RoPE; with Canon layers it does not.",
    paper=rows(PERPLEXITY, {"RoPE": "15.7 to 15.8 (8 seeds)", "NoPE": "18.1", "NoPE + Canon": "15.6"}),
    experiments={
        "toy": FIVE.compare(
            (ROPE, NOPE, NOPE_CANON),
            AtLeast("loss_held_out", "NoPE + Canon", "RoPE", margin=0.02),
            Ahead("loss_held_out", "RoPE", "NoPE"),
        )
    },
    first={},
)

CLAIMS = (NEEDLE, NEEDLE_NOPE, BEYOND, TWO_HOPS, TWO_HOPS_TAUGHT, RETRIEVAL, LEVEL)
