"""Result 4: the parts of a Canon layer, one by one, on the task that tells them apart most finely (Part 4.1, section 5.3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Matches
from ..settings import lano
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

CUMULATIVE = Claim(
    id="R4-cumulative",
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

RESIDUAL = Claim(
    id="R4-residual",
    title="The residual is essential",
    source="Part 4.1, section 5.3, result 4, figure 10",
    statement="Canon layers that add the mixture to the token learn better than ones that put it in the token's place.",
    paper=rows(CFG3K, PAPER, "Canon-ABCD"),
    experiments=lano.variants(
        (ROPE, CANON_ABCD, NO_RESIDUAL), Ahead("kl", "Canon-ABCD", "Canon-ABCD, no residual", factor=1.1), laptop=True
    ),
)

PRIMERS = Claim(
    id="R4-Primer",
    title="A convolution on queries, keys and values without a residual",
    source="Part 4.1, section 5.3, result 4, figure 28",
    statement="Primer's attention, which is Canon-B without the residual, does worse on Lano than no Canon layer at all.",
    paper=rows(CFG3K, PAPER, "RoPE", "Primer"),
    experiments=lano.variants((ROPE, CANON_B, PRIMER), Ahead("kl", "RoPE", "Primer", factor=1.1)),
)

ACTIVATION = Claim(
    id="R4-activation",
    title="An activation brings nothing",
    source="Part 4.1, section 5.3, result 4, figure 10",
    statement="Canon layers need no non-linearity: with silu after the convolution they do no better.",
    paper=rows(CFG3K, PAPER, "Canon-ABCD"),
    experiments=lano.variants((CANON_ABCD, SILU), Matches("kl", "Canon-ABCD", "Canon-ABCD, silu", margin=0.005)),
)

CLAIMS = (EACH, CUMULATIVE, RESIDUAL, PRIMERS, ACTIVATION)
