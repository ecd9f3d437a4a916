"""What others found about Canon layers, tried by the same rules as the paper's own claims.

Sources: a university lab's fork of the release (Kirill456Z/PhysicsLM4, June 2026: eight synthetic tasks, 3 to 100 million
parameters, five to eight seeds, permutation tests) and marin-community/marin (issues 7585 and 8377, 2026: text, widths 512 to
1,024, one seed).
"""

from __future__ import annotations

from .claim import Claim, rows
from .rules import Ahead, AtLeast, Gains, Level, Noise, Shrinks
from .settings import copying, depo, lano, text
from .sides import (
    CANON_ABCD,
    CANON_AC,
    CANON_BROAD,
    CANON_DEEP,
    CANON_LAST,
    CANON_NARROW,
    FAMILIES,
    INKLING,
    KERNEL_1,
    KERNEL_2,
    KERNEL_6,
    MEAN_START,
    MIMETIC,
    ROPE,
    ROPE_BROAD,
    ROPE_CANON,
    ROPE_DEEP,
    ROPE_NARROW,
    ZERO_START,
)

FORK = "Others: a fork of the release, 2026"
MARIN = "Others: marin-community/marin, 2026"
LOSS = "text loss, 30 million parameters"

WIDTH = Claim(
    id="O-width",
    title="The gap shrinks with width",
    source=FORK,
    statement="The advantage of Canon layers becomes smaller as the model becomes larger.",
    paper=rows(
        "loss on eight tasks, RoPE minus RoPE + Canon",
        {
            "RoPE + Canon, width 32": "3M parameters: .090",
            "RoPE + Canon": "10M: .048, 30M: .015",
            "RoPE + Canon, width 128": "100M: .023",
        },
    ),
    experiments={
        "toy": lano.TOY.compare(
            (ROPE_NARROW, CANON_NARROW, ROPE, ROPE_CANON, ROPE_BROAD, CANON_BROAD),
            Shrinks("kl", (CANON_NARROW.label, ROPE_NARROW.label), (CANON_BROAD.label, ROPE_BROAD.label)),
        )
    },
    first={},
)
DEPTH = Claim(
    id="O-depth",
    title="The gap shrinks with depth",
    source=FORK,
    statement="Deeper plain models catch up with Canon layers, or overtake them.",
    paper=rows(
        "loss on eight tasks, 30 million parameters",
        {
            "RoPE": "10 layers: .142",
            "RoPE + Canon": "8 layers: .146",
            "RoPE, 6 layers": "16 layers: .129",
            "RoPE + Canon, 6 layers": "16 layers: .163",
        },
    ),
    experiments={
        "toy": lano.TOY.compare(
            (ROPE, ROPE_CANON, ROPE_DEEP, CANON_DEEP),
            Shrinks("kl", (ROPE_CANON.label, ROPE.label), (CANON_DEEP.label, ROPE_DEEP.label)),
        )
    },
    first={},
)
HALF = Claim(
    id="O-AC",
    title="A and C are as good as all four, on text",
    source=FORK,
    statement="On text, Canon-AC reaches the loss of Canon-ABCD.",
    paper=rows(LOSS, {"RoPE": ".793", "Canon-AC": ".782", "Canon-ABCD": ".781"}),
    experiments={
        "toy": text.TOY.compare(
            (ROPE, CANON_AC, CANON_ABCD), Level("loss_held_out", "Canon-AC", "Canon-ABCD", margin=0.02)
        )
    },
    first={},
)
ONE_TAP = Claim(
    id="O-kernel-1",
    title="A kernel of one brings nothing",
    source=FORK,
    statement="With a kernel of one, which scales each token and mixes none, nothing is gained: it is the neighbours that help.",
    paper=rows(LOSS, {"RoPE": ".793", "Canon-ABCD, kernel 1": ".797"}),
    experiments={"toy": lano.TOY.compare((ROPE, KERNEL_1), AtLeast("kl", "RoPE", "Canon-ABCD, kernel 1", margin=0.02))},
    first={},
)
TWO_TAPS = Claim(
    id="O-kernel-2",
    title="One neighbour gives most of it",
    source=MARIN,
    statement="With a kernel of two, Canon layers keep most of what they bring with four.",
    paper=rows(
        "compute saved at equal tokens, widths 512 to 1,024",
        {"Canon-ABCD, kernel 2": "1.133 times", "Canon-ABCD": "1.186 times"},
    ),
    experiments={
        "toy": lano.TOY.compare(
            (ROPE, KERNEL_2, CANON_ABCD), Gains("kl", "Canon-ABCD, kernel 2", "Canon-ABCD", "RoPE", share=0.5)
        )
    },
    first={},
)
SIX_TAPS = Claim(
    id="O-kernel-6",
    title="Six taps are better than four",
    source=FORK,
    statement="A longer kernel than the paper's is better still.",
    paper=rows(LOSS, {"Canon-ABCD": ".781", "Canon-ABCD, kernel 6": ".778"}),
    experiments={
        "toy": lano.TOY.compare((CANON_ABCD, KERNEL_6), Ahead("kl", "Canon-ABCD, kernel 6", "Canon-ABCD", factor=1.05))
    },
    first={},
)
ELSEWHERE = Claim(
    id="O-places",
    title="At keys, values and outputs it works as well",
    source="Others: Inkling (Thinking Machines) and marin-community/marin, 2026",
    statement="Short convolutions on keys, values, and on what attention and feed-forward layer write, those of a production "
    "model, bring most of what Canon layers at A, B, C and D bring.",
    paper=rows("compute saved at equal tokens, widths 512 to 1,024", {"Canon-KVOM": "1.186 times"}),
    experiments={
        "toy": lano.TOY.compare((ROPE, INKLING, CANON_ABCD), Gains("kl", "Canon-KVOM", "Canon-ABCD", "RoPE", share=0.5))
    },
    first={},
    again="O-places-depth",
)
ELSEWHERE_DEPTH = Claim(
    id="O-places-depth",
    title="At keys, values and outputs it follows hops as well",
    source=ELSEWHERE.source,
    statement=f"{ELSEWHERE.statement} Judged on Depo, against none.",
    paper=ELSEWHERE.paper,
    experiments={"toy": depo.TOY.compare((ROPE, INKLING), Ahead("accuracy_k.1", "Canon-KVOM", "RoPE", by=0.15))},
    first={},
    again="O-places",
)
LAST = Claim(
    id="O-last",
    title="In the last layer only, Canon brings nothing",
    source=FORK,
    statement="Canon layers in the last layer alone are no better than none.",
    paper=rows(LOSS, {"RoPE": ".793", "Canon in the last layer": ".799"}),
    experiments={
        "toy": lano.TOY.compare((ROPE, CANON_LAST), AtLeast("kl", "RoPE", "Canon in the last layer", margin=0.02))
    },
    first={},
)
ZERO = Claim(
    id="O-zero",
    title="Canon layers may start from nothing",
    source=FORK,
    statement="Taps that start from zero, so that the model begins without Canon, still end ahead of none.",
    paper=rows("text loss, 30 million parameters, plain .793", {"Canon-ABCD from zero": "below .793"}),
    experiments={
        "toy": lano.TOY.compare((ROPE, ZERO_START, CANON_ABCD), Ahead("kl", "Canon-ABCD from zero", "RoPE", factor=1.1))
    },
    first={},
)
MEAN = Claim(
    id="O-mean",
    title="Canon layers may start from a mean",
    source=FORK,
    statement="Taps that start alike, as the mean of a token and its neighbours, end ahead of none, too.",
    paper=rows(LOSS, {"RoPE": ".793", "Canon-ABCD from a mean": ".779"}),
    experiments={"toy": lano.TOY.compare((ROPE, MEAN_START), Ahead("kl", MEAN_START.label, "RoPE", factor=1.1))},
    first={},
)
MIMIC = Claim(
    id="O-mimetic",
    title="A mimetic start teaches Mamba2 to copy",
    source="Others: Trockman et al., Mimetic Initialization Helps State Space Models Learn to Recall, 2024",
    statement="Mamba2 that starts like attention without a softmax learns to copy sooner.",
    paper=rows("copying and recall", {MIMETIC.label: "“substantially easier”, it says, than from the usual start"}),
    experiments={
        "toy": copying.FAR.compare(
            (FAMILIES["Mamba2"][1], MIMETIC), Ahead("accuracy", MIMETIC.label, "Mamba2 + b", by=0.05)
        )
    },
    first={},
    again="R7-mimetic",
)
LUCK = Claim(
    id="O-seeds",
    title="On Depo, one seed is not enough",
    source=FORK,
    statement="Depo varies so much between seeds that a single one of each side gives the right sign only two times in three.",
    paper=rows(
        "Depo, deviation between seeds",
        {"RoPE": ".21 to .29", "RoPE + Canon": ".21 to .29; one seed a side has the right sign 67 % of the time"},
    ),
    experiments={"toy": depo.TOY.compare((ROPE, ROPE_CANON), Noise("accuracy_k.1", ("RoPE", "RoPE + Canon")))},
    first={},
)

CLAIMS = (WIDTH, DEPTH, HALF, ONE_TAP, TWO_TAPS, SIX_TAPS, ELSEWHERE, ELSEWHERE_DEPTH, LAST, ZERO, MEAN, MIMIC, LUCK)
