"""Result 0: real text at academic scale is noise, a playground of clean tasks is not (Part 4.1, sections 1 to 3)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..first_protocol import as_it_was
from ..rules import Ahead, Noise
from ..settings import brevo, lano, mano, text
from ..sides import FAMILIES, GLA, NOPE_CANON, ROPE, ROPE_CANON
from .linear import START, on_depo, on_lano

SIDES = (ROPE, NOPE_CANON, ROPE_CANON)
THREE = tuple(side.label for side in SIDES)
UNSETTLED, SETTLED = (Noise("accuracy", THREE, settled) for settled in (False, True))

TEXT_TOY = text.TOY.compare(SIDES, UNSETTLED)
DOCUMENTATION = text.DOCUMENTATION.compare(SIDES, UNSETTLED)
NOISE = Claim(
    id="R0-text",
    title="Real text: close rankings are a matter of seeds",
    source="Part 4.1, section 1, result 0, figures 1 and 21",
    statement="Benchmarks of models pretrained on real text at academic scale differ between seeds as much as between similar "
    "architectures, so which of them ranks first is a matter of luck.",
    paper=rows(
        "1.3B parameters, 100B tokens, benchmark accuracy",
        {"two seeds": "2 to 4 points apart", "two architectures": "1 to 2 points apart"},
    ),
    experiments={"toy": TEXT_TOY, "laptop": text.LAPTOP.compare(SIDES, UNSETTLED, tuned_on=TEXT_TOY)},
    first={
        "toy": as_it_was(DOCUMENTATION),
        "laptop": as_it_was(text.DOCUMENTATION_LAPTOP.compare(SIDES, UNSETTLED, tuned_on=DOCUMENTATION)),
    },
)

LANO_TOY = lano.TOY.compare(SIDES, SETTLED)
CLEAN = Claim(
    id="R0-playground",
    title="A clean task: the architecture decides",
    source="Part 4.1, sections 2 and 3, result 0, figures 2 to 4",
    statement="A synthetic task of graded difficulty separates the same architectures on every seed, with the same budget.",
    paper=rows(
        "Depo, Brevo, Mano, Lano, Capo; four model sizes", {"four base architectures": "gaps of 10 to 90 points"}
    ),
    experiments={"toy": LANO_TOY, "laptop": lano.LAPTOP.compare(SIDES, SETTLED, tuned_on=LANO_TOY)},
)

# -- four architectures as their authors left them: Mamba2 and GDN with their convolution, GLA without -------------------

MAMBA2, GDN = FAMILIES["Mamba2"][1], FAMILIES["GDN"][1]
FOUR = (ROPE, GLA, MAMBA2, GDN)
FIGURE_4 = "Part 4.1, section 3, result 0, figure 4"


BEST_DEPTH = Claim(
    id="R0-depth",
    title="Of four base architectures, RoPE follows hops best",
    source=FIGURE_4,
    statement="On Depo, a Transformer with RoPE is ahead of GLA, Mamba2 and GDN as their authors built them.",
    **(
        on_depo(FOUR, (ROPE, GLA), (ROPE, MAMBA2), (ROPE, GDN), by=0.1)
        | {
            "paper": rows(
                "Depo1, N = 225, K = 4; k = 4; four model sizes",
                {
                    "RoPE": "97, 99, 96, 93 %",
                    "GLA, no convolution": "7, 2, 14, 19 %",
                    "Mamba2 + b": "12, 29, 24, 43 %",
                    "GDN + b": "85, 85, 22, 32 %",
                },
            )
        }
    ),
    first={},
)
BEST_STRUCTURE = Claim(
    id="R0-structure",
    title="Of four base architectures, RoPE learns grammar best",
    source=FIGURE_4,
    statement="On Lano, a Transformer with RoPE is ahead of GLA, Mamba2 and GDN as their authors built them.",
    **(
        on_lano(FOUR, *(Ahead("kl", "RoPE", other.label, factor=1.1) for other in FOUR[1:]))
        | {
            "paper": rows(
                "Lano, cfg3f; four model sizes",
                {
                    "RoPE": "91.1, 96.3, 93.4, 97.6 %",
                    "GLA, no convolution": "37.5, 61.1, 41.8, 54.9 %",
                    "Mamba2 + b": "83.8, 92.2, 86.8, 92.2 %",
                    "GDN + b": "83.4, 93.8, 91.5, 94.4 %",
                },
            )
        }
    ),
    first={},
)
BEST_BREADTH = Claim(
    id="R0-breadth",
    title="Of four base architectures, GDN reasons most broadly",
    source=FIGURE_4,
    statement="On Brevo, the gated delta net with its convolution is ahead of RoPE, and GLA without one is last.",
    paper=rows(
        "Brevo1, N = 70; four model sizes",
        {
            "RoPE": "45.6, 76.9, 79.8, 88.5 %",
            "GLA, no convolution": "33.7, 36.5, 46.1, 42.2 %",
            "GDN + b": "92.5, 94.9, 96.2, 96.7 %",
        },
    ),
    experiments=brevo.variants(
        (ROPE, GLA, GDN),
        lambda metric: (Ahead(metric, "GDN + b", "RoPE", by=0.1), Ahead(metric, "RoPE", GLA.label)),
        note=START,
    ),
    first={},
)
BEST_MANIPULATION = Claim(
    id="R0-manipulation",
    title="Of four base architectures, Mamba2 and GDN work best with stored facts",
    source=FIGURE_4,
    statement="On Mano, Mamba2 and GDN with their convolutions are ahead of RoPE, which is ahead of GLA at most sizes.",
    paper=rows(
        "Mano, L = 10; four model sizes",
        {
            "RoPE": "59.4, 75.5, 84.5, 85.2 %",
            "Mamba2 + b": "96.5, 95.1, 95.2, 95.7 %",
            "GDN + b": "93.6, 97.9, 91.6, 89.8 %",
        },
    ),
    experiments=mano.variants(
        (ROPE, MAMBA2, GDN),
        lambda metric: (Ahead(metric, "Mamba2 + b", "RoPE", by=0.05), Ahead(metric, "GDN + b", "RoPE", by=0.05)),
        note=START,
    ),
    first={},
)

CLAIMS = (NOISE, CLEAN, BEST_DEPTH, BEST_BREADTH, BEST_MANIPULATION, BEST_STRUCTURE)
