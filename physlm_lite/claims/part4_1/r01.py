"""Result 1: Canon layers let information flow between neighbours (Part 4.1, section 4)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..rules import Ahead, Beats
from ..settings import copying, lano
from ..sides import CANON_ABCD, FROZEN, ROPE, ROPE_BROAD, ROPE_CANON, ROPE_FROZEN, ROPE_TWICE

SIDES = (ROPE, ROPE_CANON, ROPE_FROZEN)
COPIES = (
    Beats("accuracy", "RoPE + Canon", "RoPE", at_least=0.99, at_most=0.30),
    Beats("accuracy", "RoPE + frozen Canon", "RoPE", at_least=0.90, at_most=0.30),
)
COPYING = Claim(
    id="R1",
    title="Copying needs a local step",
    source="Part 4.1, section 4, result 1, figure 5",
    statement="One layer with Canon copies a random sequence; one plain layer of the same width does not. Canon layers "
    "whose taps stay at their random start do it too, only later.",
    paper=rows(
        "copy 500 symbols, 1 layer, width 16, 1,500 steps",
        {"RoPE": "0 %", "RoPE + Canon": "100 %", "RoPE + frozen Canon": "96 %"},
    ),
    experiments={
        "toy": copying.TOY.compare(SIDES, *COPIES),
        "laptop": copying.LAPTOP.compare(SIDES, *COPIES),
        "gpu": copying.GPU.compare(SIDES, *COPIES),
        "paper": copying.PAPER.compare(SIDES, *COPIES),
    },
)

STILL = Claim(
    id="R1-frozen",
    title="Taps that are never trained",
    source="Part 4.1, section 4, result 1, figure 24",
    statement="Canon layers whose taps stay at their random start give most of the gain.",
    paper=rows("cfg3k; four model sizes; a quarter of RoPE", {"frozen Canon-ABCD": "67.4, 79.4, 77.1, 84.4 %"}),
    experiments=lano.variants((ROPE, CANON_ABCD, FROZEN), Ahead("kl", "frozen Canon-ABCD", "RoPE", factor=1.5)),
)

SPENT = "copy 500 symbols, RoPE without Canon layers, up to 50,000 steps"
TWO_LAYERS = Claim(
    id="R1-two-layers",
    title="Two plain layers copy, too",
    source="Part 4.1, section 4, result 1, figure 5",
    statement="What one plain layer cannot do, two can: the first one spends itself on the local step.",
    paper=rows(
        SPENT, {"RoPE": "1 layer of width 16: 0 %", "RoPE, 2 layers": "2 layers of width 16: 100 % from 1,500 steps"}
    ),
    experiments={
        "toy": copying.LONGER.compare(
            (ROPE, ROPE_TWICE, ROPE_CANON), Beats("accuracy", "RoPE, 2 layers", "RoPE", at_least=0.9, at_most=0.30)
        )
    },
    first={},
)
WIDE = Claim(
    id="R1-wide",
    title="One plain layer copies if it is wide enough",
    source="Part 4.1, section 4, result 1, figure 5",
    statement="A single plain layer needs about eight times the width of one with Canon to copy.",
    paper=rows(SPENT, {"RoPE": "width 16 to 64: 0 %", "RoPE, width 128": "100 % from 5,000 steps"}),
    experiments={
        "toy": copying.LONGER.compare(
            (ROPE, ROPE_BROAD, ROPE_CANON), Beats("accuracy", "RoPE, width 128", "RoPE", at_least=0.9, at_most=0.30)
        )
    },
    first={},
)

CLAIMS = (COPYING, TWO_LAYERS, WIDE, STILL)
