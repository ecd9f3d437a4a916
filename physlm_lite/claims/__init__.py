"""What the papers say: each claim with its source, its experiment at every scale, its rule, and the records."""

from ..base.scales import SCALES, scale_of
from .catalogue import CLAIMS, PUBLISHED, claim, published_claim
from .claim import Claim, Outcome
from .experiment import Experiment, Setting
from .own import find_claim, read_claim
from .published import Published
from .reach import nearest_scale
from .replicate import SHIPPED, everything, recorded, replicate
from .rules import VERDICTS, Ahead, AtLeast, Beats, Climbs, Gains, Level, Noise, Rule, Shrinks, Stops, Verdict
from .sides import Side

__all__ = [
    "CLAIMS",
    "PUBLISHED",
    "SCALES",
    "SHIPPED",
    "VERDICTS",
    "Ahead",
    "AtLeast",
    "Beats",
    "Claim",
    "Climbs",
    "Experiment",
    "Gains",
    "Level",
    "Noise",
    "Outcome",
    "Published",
    "Rule",
    "Setting",
    "Shrinks",
    "Side",
    "Stops",
    "Verdict",
    "claim",
    "everything",
    "find_claim",
    "nearest_scale",
    "published_claim",
    "read_claim",
    "recorded",
    "replicate",
    "scale_of",
]
