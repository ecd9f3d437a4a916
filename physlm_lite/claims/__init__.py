"""What the papers say: each claim with its source, its experiment at every scale, its rule, and the records."""

from ..base.scales import SCALES, scale_of
from .catalogue import CLAIMS, claim
from .claim import Claim, Outcome
from .experiment import Experiment, Setting
from .replicate import SHIPPED, everything, recorded, replicate
from .rules import VERDICTS, Ahead, Beats, Deepens, Matches, Ranks, Rule, Verdict
from .sides import Side

__all__ = [
    "CLAIMS",
    "SCALES",
    "SHIPPED",
    "VERDICTS",
    "Ahead",
    "Beats",
    "Claim",
    "Deepens",
    "Experiment",
    "Matches",
    "Outcome",
    "Ranks",
    "Rule",
    "Setting",
    "Side",
    "Verdict",
    "claim",
    "everything",
    "recorded",
    "replicate",
    "scale_of",
]
