"""Results 10 and 11: a fair comparison, with Canon layers everywhere; why linear models err (Part 4.1, section 7.2)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, AtLeast, Beats, Climbs
from ..settings import brevo, capo, copying, depo, lano, mano
from ..sides import FAMILIES, NOPE_CANON, QUARTER, ROPE_CANON
from .linear import START

SOURCE = "Part 4.1, section 7.2, result 10, figure 14"
GLA, MAMBA2, GDN = LINEAR = tuple(family[3] for family in FAMILIES.values())
NAMES = [side.label for side in LINEAR]
N225 = "Depo1, N = 225, K = 8; k = 8; four model sizes"
HOPS = {
    "NoPE + Canon": "99, 99, 99, 100 %",
    "RoPE + Canon": "97, 92, 73, 94 %",
    "GLA + AbCD": "7, 8, 44, 39 %",
    "Mamba2 + AbCD": "9, 12, 6, 28 %",
    "GDN + AbCD": "26, 47, 28, 52 %",
}

DEPTH = Claim(
    id="R10-depth",
    title="Fairly compared, Transformers reason deeper than linear models",
    source=SOURCE,
    statement="With Canon layers everywhere, linear models follow half as many hops as Transformers, or fewer.",
    paper=rows(N225, HOPS),
    experiments={
        "toy": depo.RINGS.but(simplified=f"{depo.RINGS.simplified}; {START}").compare(
            (NOPE_CANON, ROPE_CANON, *LINEAR), *(Climbs("NoPE + Canon", name, 2, factor=1.5) for name in NAMES)
        )
    },
    first={},
)

BREADTH = Claim(
    id="R10-breadth",
    title="Fairly compared, GDN reasons at least as broadly as Transformers, Mamba2 less",
    source=SOURCE,
    statement="With Canon layers everywhere, the gated delta net is at least level with NoPE on Brevo, and Mamba2 is behind it.",
    paper=rows(
        "Brevo1, N = 110; four model sizes",
        {"NoPE + Canon": "42.0, 75.3, 58.2, 84.9 %", "GDN + AbCD": "83.1, 89.6, 80.3, 88.3 %"},
    ),
    experiments=brevo.variants(
        (NOPE_CANON, *LINEAR),
        lambda metric: (
            AtLeast(metric, "GDN + AbCD", "NoPE + Canon", margin=0.05),
            Ahead(metric, "NoPE + Canon", "Mamba2 + AbCD", by=0.05),
        ),
        note=START,
    ),
    first={},
)

# Hidden widths that give every side as many parameters, within one in two hundred.
CAPACITY = Claim(
    id="R10-capacity",
    title="Fairly compared, linear models store more",
    source=SOURCE,
    statement="With Canon layers everywhere, linear models hold about 40 % more bits per parameter than Transformers.",
    paper=rows(
        "bioS(N), 100 exposures; Pareto front over model sizes",
        {name: "about 1.4 times NoPE + Canon" for name in NAMES},
    ),
    experiments={
        "toy": capo.TOY.but(simplified=f"{capo.TOY.simplified}; {START}").compare(
            (NOPE_CANON.but(hidden=48), GLA.but(hidden=42), MAMBA2.but(hidden=14), GDN.but(hidden=37)),
            *(Ahead("bits_per_parameter", name, "NoPE + Canon", factor=1.1) for name in NAMES),
        )
    },
    first={},
)

MANIPULATION = Claim(
    id="R10-manipulation",
    title="Fairly compared, GDN and Mamba2 work as well with stored facts as RoPE, GLA and NoPE less",
    source=SOURCE,
    statement="With Canon layers everywhere, GDN and Mamba2 are at least level with RoPE on Mano; NoPE and GLA are behind.",
    paper=rows(
        "Mano, L = 16; four model sizes",
        {
            "RoPE + Canon": "63.7, 82.8, 91.4, 83.0 %",
            "NoPE + Canon": "53.7, 55.5, 89.4, 94.3 %",
            "Mamba2 + AbCD": "96.1, 83.1, 96.6, 99.0 %",
        },
    ),
    experiments=mano.variants(
        (ROPE_CANON, NOPE_CANON, *LINEAR),
        lambda metric: (
            AtLeast(metric, "GDN + AbCD", "RoPE + Canon", margin=0.03),
            AtLeast(metric, "Mamba2 + AbCD", "RoPE + Canon", margin=0.03),
            Ahead(metric, "RoPE + Canon", "NoPE + Canon"),
            Ahead(metric, "RoPE + Canon", "GLA + AbCD"),
        ),
        note=START,
    ),
    first={},
)

OTHERS = ("NoPE + Canon", *NAMES)
CFG3K = "Lano, cfg3k; four model sizes"
GRAMMAR = {"1/4 RoPE + Canon": "66.0, 77.9, 76.1, 78.9 %", "NoPE + Canon": "33.5, 51.0, 37.2, 53.1 %"}
STRUCTURE = Claim(
    id="R10-structure",
    again="R10-brackets",
    title="Fairly compared, a little RoPE learns grammar best",
    source=SOURCE,
    statement="With Canon layers everywhere, a quarter of RoPE comes closer to the true distribution of Lano than NoPE and the "
    "linear models.",
    paper=rows(CFG3K, GRAMMAR),
    experiments=lano.variants(
        (QUARTER, NOPE_CANON, *LINEAR),
        *(Ahead("kl", "1/4 RoPE + Canon", other, factor=1.1) for other in OTHERS),
        note=START,
    ),
    first={},
)
STRUCTURE_BRACKETS = Claim(
    id="R10-brackets",
    again="R10-structure",
    title="The same where no table of n-grams is better",
    source=SOURCE,
    statement=f"{STRUCTURE.statement} Judged on nested brackets of three kinds.",
    paper=STRUCTURE.paper,
    experiments={
        "toy": lano.BRACKETS.but(simplified=f"{lano.BRACKETS.simplified}; {START}").compare(
            (QUARTER, NOPE_CANON, *LINEAR), *(Ahead("kl", "1/4 RoPE + Canon", other, factor=1.1) for other in OTHERS)
        )
    },
    first={},
)

# -- result 11: not for want of memory ---------------------------------------------------------------------------------

RECALLED = rows(
    "1.3B parameters, 100B tokens; a year of birth among five sentences, 4,000 tokens back",
    {"RoPE + Canon": "91.3 %", "NoPE + Canon": "99.4 %", "GLA + AbCD": "50.6 %"},
)
RECALL = Claim(
    id="R11-recall",
    title="Fairly compared, Transformers recall better than linear models",
    source="Part 4.1, sections 7.2 and 8, result 11, figures 15 and 16",
    statement="Even with Canon layers everywhere, linear models make mistakes in writing to and reading from their state, which "
    "Transformers do not: they recall less of a sequence.",
    paper=RECALLED,
    experiments={
        "toy": copying.FAR.but(simplified=f"{copying.FAR.simplified}; {START}").compare(
            (ROPE_CANON, NOPE_CANON, *LINEAR), *(Ahead("accuracy", "NoPE + Canon", name, by=0.05) for name in NAMES)
        )
    },
    first={},
)
MEMORY = Claim(
    id="R11-memory",
    title="Not for want of memory",
    source="Part 4.1, section 7.2, result 11, figures 15 and 20",
    statement="The state of a linear model is large enough: half as long a sequence it copies as a Transformer does, once it has "
    "been trained for longer.",
    paper=rows("Depo2, N = 75, K = 1; one layer", {"Mamba2 + AbCD": "solved: 100 %"}),
    experiments={
        "toy": copying.LONGER.but(simplified=f"{copying.LONGER.simplified}; {START}").compare(
            (ROPE_CANON, *LINEAR), *(AtLeast("accuracy", name, "RoPE + Canon", margin=0.05) for name in NAMES)
        )
    },
    first={},
)
FIRST_HOP = Claim(
    id="R11-first-hop",
    title="Linear models do not get one hop quite right",
    source="Part 4.1, section 7.2, result 11, figures 15 and 20",
    statement="Transformers with Canon layers answer one hop without mistakes; linear models do not reach 99 % even there, and "
    "mistakes multiply along the hops.",
    paper=rows("Depo2, K = 4; k = 1; curves", {"NoPE + Canon": "100 %", **{name: "below 99 %" for name in NAMES}}),
    experiments={
        "toy": depo.RINGS.but(simplified=f"{depo.RINGS.simplified}; {START}").compare(
            (NOPE_CANON, *LINEAR),
            *(Beats("accuracy_k.1", "NoPE + Canon", name, at_least=0.99, at_most=0.99) for name in NAMES),
        )
    },
    first={},
)

CLAIMS = (DEPTH, BREADTH, CAPACITY, MANIPULATION, STRUCTURE, STRUCTURE_BRACKETS, RECALL, MEMORY, FIRST_HOP)
