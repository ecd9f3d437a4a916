"""Result 9: what Canon layers do to linear models in general (Part 4.1, section 7.1)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..sides import FAMILIES, ROPE, ROPE_CANON
from .linear import CFG3F, LANO, at_least, on_copying, on_lano

SOURCE = "Part 4.1, section 7.1, result 9, figure 14"
PLAIN, OWN, OUTSIDE, BOTH = zip(*FAMILIES.values(), strict=True)

MOVED = list(zip(OUTSIDE, OWN, strict=True))
UNIVERSAL = Claim(
    id="R9-universal",
    again="R9-universal-recall",
    title="Outside the recurrence, Canon does what the convolutions inside do",
    source=SOURCE,
    statement="Whatever the family, Canon-ACD around the mixer is at least level with the authors' own convolution inside it.",
    **on_lano((*OWN, *OUTSIDE), *at_least("kl", MOVED, margin=0.01)),
    first={},
)
UNIVERSAL_RECALL = Claim(
    id="R9-universal-recall",
    again="R9-universal",
    title="The same on recall",
    source=SOURCE,
    statement=f"{UNIVERSAL.statement} Judged on copying.",
    **on_copying((*OWN, *OUTSIDE), *at_least("accuracy", MOVED, margin=0.05)),
    first={},
)

ADDED = [(ROPE_CANON, ROPE), *zip(BOTH, OWN, strict=True)]
ROBUST = Claim(
    id="R9-robust",
    again="R9-robust-recall",
    title="Canon layers never hurt",
    source=SOURCE,
    statement="With their residual, Canon layers on top of whatever a model has are never worse than without.",
    **(
        on_lano((ROPE, ROPE_CANON, *OWN, *BOTH), *at_least("kl", ADDED, margin=0.01))
        | {
            "paper": rows(
                CFG3F,
                {"RoPE": "91.1, 96.3, 93.4, 97.6 %", "RoPE + Canon": "96.6, 98.0, 97.2, 98.3 %", **LANO},
                *(side.label for side in (ROPE, ROPE_CANON, *OWN, *BOTH)),
            )
        }
    ),
    first={},
)
ROBUST_RECALL = Claim(
    id="R9-robust-recall",
    again="R9-robust",
    title="Nor on recall",
    source=SOURCE,
    statement=f"{ROBUST.statement} Judged on copying.",
    **on_copying((ROPE, ROPE_CANON, *OWN, *BOTH), *at_least("accuracy", ADDED, margin=0.05)),
    first={},
)

GLA_ALL = BOTH[0]
SUFFICIENT = Claim(
    id="R9-sufficient",
    again="R9-sufficient-recall",
    title="GLA with Canon layers reaches Mamba2 and GDN",
    source=SOURCE,
    statement="Simple gated linear attention with Canon layers has nearly all that Mamba2 and the gated delta net add to it.",
    **on_lano((GLA_ALL, *OWN[1:]), *at_least("kl", [(GLA_ALL, other) for other in OWN[1:]], margin=0.01)),
    first={},
)
SUFFICIENT_RECALL = Claim(
    id="R9-sufficient-recall",
    again="R9-sufficient",
    title="Nearly so on recall",
    source=SOURCE,
    statement=f"{SUFFICIENT.statement} Judged on copying.",
    **on_copying((GLA_ALL, *OWN[1:]), *at_least("accuracy", [(GLA_ALL, other) for other in OWN[1:]], margin=0.05)),
    first={},
)

CLAIMS = (UNIVERSAL, UNIVERSAL_RECALL, ROBUST, ROBUST_RECALL, SUFFICIENT, SUFFICIENT_RECALL)
