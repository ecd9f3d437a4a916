"""Result 4: the parts of a Canon layer, one by one, on grammar and on tasks of another kind (Part 4.1, section 5.3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Gains, Level
from ..settings import brevo, depo, lano
from ..sides import CANON_A, CANON_ABCD, CANON_AC, CANON_B, CANON_C, CANON_D, NO_RESIDUAL, PRIMER, ROPE, SILU

CFG3K = "cfg3k; four model sizes"
PAPER = {
    "RoPE": "64.0, 75.1, 60.0, 79.1 %",
    "Canon-B": "65.9, 84.0, 78.0, 89.8 %",
    "Canon-AC": "73.5, 86.3, 80.6, 86.3 %",
    "Canon-ABCD": "75.2, 87.1, 83.0, 86.7 %",
    "Primer": "40.4, 50.5, 40.0, 53.0 %",
}

EACH = Claim(
    id="R4-each",
    again="R4-each-breadth",
    title="Every single position helps",
    source="Part 4.1, section 5.3, result 4, figures 10 and 27",
    statement="A Canon layer helps wherever it is put; it need not touch attention, and it need not touch the feed-forward "
    "layer.",
    paper=rows(CFG3K, PAPER, "RoPE", "Canon-B"),
    experiments=lano.variants(
        (ROPE, CANON_A, CANON_B, CANON_C, CANON_D),
        *(Ahead("kl", side, "RoPE", factor=1.1) for side in ("Canon-A", "Canon-B", "Canon-C", "Canon-D")),
    ),
)

SINGLE = (ROPE, CANON_A, CANON_B, CANON_C, CANON_D)
N90 = "Brevo1, N = 90; four model sizes"
ON_BREVO = {
    "RoPE": "32.6, 64.5, 44.5, 63.1 %",
    "Canon-B": "26.1, 57.8, 50.7, 57.2 %",
    "Canon-AC": "53.6, 72.5, 58.8, 76.8 %",
    "Canon-ABCD": "51.3, 72.4, 69.9, 75.7 %",
}
K8 = "Depo1, N = 225, K = 8; k = 8; four model sizes"
ON_DEPO = {"RoPE": "0, 1, 1, 0 %", "Canon-B": "51, 51, 13, 25 %", "Primer": "63, 93, 61, 98 %"}


def _again(claim: Claim, task: str) -> str:
    return f"{claim.statement} Judged on {task}."


EACH_BREADTH = Claim(
    id="R4-each-breadth",
    again="R4-each",
    title="Every single position helps to reason broadly",
    source=EACH.source,
    statement=_again(EACH, "Brevo"),
    paper=rows(N90, ON_BREVO, "RoPE", "Canon-B"),
    experiments=brevo.variants(
        SINGLE, lambda metric: (Ahead(metric, side.label, "RoPE", by=0.1) for side in SINGLE[1:])
    ),
    first={},
)

EACH_DEPTH = Claim(
    id="R4-each-depth",
    again="R4-each-breadth",
    title="Every single position helps to follow hops",
    source=EACH.source,
    statement=_again(EACH, "Depo"),
    paper=rows(K8, ON_DEPO, "RoPE", "Canon-B"),
    experiments={
        "toy": depo.TOY.compare(SINGLE, *(Ahead("accuracy_k.1", side.label, "RoPE", by=0.15) for side in SINGLE[1:])),
        "gpu": depo.GPU.compare(SINGLE, *(Ahead("accuracy_k.4", side.label, "RoPE", by=0.15) for side in SINGLE[1:])),
        "paper": depo.PAPER.compare(
            SINGLE, *(Ahead("accuracy_k.8", side.label, "RoPE", by=0.15) for side in SINGLE[1:])
        ),
    },
    first={},
)

CUMULATIVE = Claim(
    id="R4-cumulative",
    again="R4-cumulative-breadth",
    title="More positions add up",
    source="Part 4.1, section 5.3, result 4, figures 10 and 27",
    statement="Canon layers at A, B, C and D help cumulatively: A alone is ahead of none, A and C of A, all four of these.",
    paper=rows(CFG3K, PAPER, "RoPE", "Canon-AC", "Canon-ABCD"),
    experiments=lano.variants(
        (ROPE, CANON_A, CANON_AC, CANON_ABCD),
        Ahead("kl", "Canon-A", "RoPE", factor=1.1),
        Ahead("kl", "Canon-AC", "Canon-A", factor=1.1),
        Ahead("kl", "Canon-ABCD", "Canon-AC", factor=1.1),
        laptop=True,
    ),
)

CUMULATIVE_BREADTH = Claim(
    id="R4-cumulative-breadth",
    again="R4-cumulative",
    title="More positions add up, on graphs",
    source=CUMULATIVE.source,
    statement=_again(CUMULATIVE, "Brevo"),
    paper=rows(N90, ON_BREVO, "RoPE", "Canon-AC", "Canon-ABCD"),
    experiments=brevo.variants(
        (ROPE, CANON_A, CANON_AC, CANON_ABCD),
        lambda metric: (
            Ahead(metric, "Canon-A", "RoPE", by=0.05),
            Ahead(metric, "Canon-AC", "Canon-A", by=0.05),
            Ahead(metric, "Canon-ABCD", "Canon-AC", by=0.05),
        ),
    ),
    first={},
)

HALF = Claim(
    id="R4-half",
    again="R4-half-breadth",
    title="A and C give most of it",
    source=CUMULATIVE.source,
    statement="Canon layers at A and C, which cost half as much time, bring most of what all four bring.",
    paper=rows(CFG3K, PAPER, "RoPE", "Canon-AC", "Canon-ABCD"),
    experiments=lano.variants((ROPE, CANON_AC, CANON_ABCD), Gains("kl", "Canon-AC", "Canon-ABCD", "RoPE", share=0.5)),
    first={},
)

HALF_BREADTH = Claim(
    id="R4-half-breadth",
    again="R4-half",
    title="A and C give most of it, on graphs",
    source=CUMULATIVE.source,
    statement=_again(HALF, "Brevo"),
    paper=rows(N90, ON_BREVO, "RoPE", "Canon-AC", "Canon-ABCD"),
    experiments=brevo.variants(
        (ROPE, CANON_AC, CANON_ABCD), lambda metric: (Gains(metric, "Canon-AC", "Canon-ABCD", "RoPE", share=0.5),)
    ),
    first={},
)

RESIDUAL = Claim(
    id="R4-residual",
    again="R4-residual-deep",
    title="The residual is essential",
    source="Part 4.1, section 5.3, result 4, figure 10",
    statement="Canon layers that add the mixture to the token learn better than ones that put it in the token's place.",
    paper=rows(CFG3K, PAPER, "Canon-ABCD"),
    experiments=lano.variants(
        (ROPE, CANON_ABCD, NO_RESIDUAL), Ahead("kl", "Canon-ABCD", "Canon-ABCD, no residual", factor=1.1), laptop=True
    ),
)

KEEPS = Ahead("kl", "Canon-ABCD", "Canon-ABCD, no residual", factor=1.1)
RESIDUAL_DEEP = Claim(
    id="R4-residual-deep",
    again="R4-residual",
    title="The residual is essential, in six layers",
    source=RESIDUAL.source,
    statement=f"{RESIDUAL.statement} Judged in a deeper model, in which every side is beyond n-grams.",
    paper=RESIDUAL.paper,
    experiments={"toy": lano.DEEP.compare((CANON_ABCD, NO_RESIDUAL), KEEPS)},
    first={},
)

RESIDUAL_BREADTH = Claim(
    id="R4-residual-breadth",
    again="R4-residual-deep",
    title="The residual is essential, on graphs",
    source=RESIDUAL.source,
    statement=_again(RESIDUAL, "Brevo"),
    paper=rows(N90, ON_BREVO, "Canon-ABCD"),
    experiments=brevo.variants(
        (ROPE, CANON_ABCD, NO_RESIDUAL),
        lambda metric: (Ahead(metric, "Canon-ABCD", "Canon-ABCD, no residual", by=0.1),),
    ),
    first={},
)

PRIMERS = Claim(
    id="R4-Primer",
    again="R4-Primer-brackets",
    title="A convolution on queries, keys and values without a residual",
    source="Part 4.1, section 5.3, result 4, figure 28",
    statement="Primer's attention, which is Canon-B without the residual, does worse on Lano than no Canon layer at all.",
    paper=rows(CFG3K, PAPER, "RoPE", "Primer"),
    experiments=lano.variants((ROPE, CANON_B, PRIMER), Ahead("kl", "RoPE", "Primer", factor=1.1)),
)

PRIMER_STRUCTURE = Claim(
    id="R4-Primer-brackets",
    again="R4-Primer",
    title="Primer's convolution hurts where n-grams do not help",
    source=PRIMERS.source,
    statement=_again(PRIMERS, "nested brackets, where every side can be better than n-grams"),
    paper=PRIMERS.paper,
    experiments={"toy": lano.BRACKETS.compare((ROPE, PRIMER), Ahead("kl", "RoPE", "Primer", factor=1.1))},
    first={},
)

PRIMER_DEPTH = Claim(
    id="R4-Primer-depth",
    title="Primer's convolution helps to follow hops",
    source=PRIMERS.source,
    statement="Canon-B without its residual, which hurts on Lano, still helps far beyond none on Depo.",
    paper=rows(K8, ON_DEPO, "RoPE", "Primer"),
    experiments={
        "toy": depo.TOY.compare((ROPE, PRIMER), Ahead("accuracy_k.1", "Primer", "RoPE", by=0.15)),
        "gpu": depo.GPU.compare((ROPE, PRIMER), Ahead("accuracy_k.4", "Primer", "RoPE", by=0.15)),
        "paper": depo.PAPER.compare((ROPE, PRIMER), Ahead("accuracy_k.8", "Primer", "RoPE", by=0.15)),
    },
    first={},
)

ACTIVATION = Claim(
    id="R4-activation",
    again="R4-activation-breadth",
    title="An activation brings nothing",
    source="Part 4.1, section 5.3, result 4, figure 10",
    statement="Canon layers need no non-linearity: with silu after the convolution they do no better.",
    paper=rows(CFG3K, PAPER, "Canon-ABCD"),
    experiments=lano.variants((CANON_ABCD, SILU), Level("kl", "Canon-ABCD", "Canon-ABCD, silu", margin=0.005)),
)

ACTIVATION_BREADTH = Claim(
    id="R4-activation-breadth",
    again="R4-activation",
    title="An activation brings nothing, on graphs",
    source=ACTIVATION.source,
    statement=_again(ACTIVATION, "Brevo"),
    paper=rows(N90, ON_BREVO, "Canon-ABCD"),
    experiments=brevo.variants(
        (CANON_ABCD, SILU), lambda metric: (Level(metric, "Canon-ABCD", "Canon-ABCD, silu", margin=0.1),)
    ),
    first={},
)

CLAIMS = (
    *(EACH, EACH_BREADTH, EACH_DEPTH),
    *(CUMULATIVE, CUMULATIVE_BREADTH, HALF, HALF_BREADTH),
    *(RESIDUAL, RESIDUAL_DEEP, RESIDUAL_BREADTH),
    *(PRIMERS, PRIMER_STRUCTURE, PRIMER_DEPTH),
    *(ACTIVATION, ACTIVATION_BREADTH),
)
