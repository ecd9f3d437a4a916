"""What learns: Canon layers, attention and the linear mixers, feed-forward layers, and the language model."""

from .attention import Attention, AttentionConfig, attend, attend_naive, causal_mask, rope_table, rotate
from .canon import Canon, canon, canon_naive
from .config import ModelConfig
from .context import Context, DecodingState, Memory, Seen
from .experts import Experts
from .feed_forward import GatedFeedForward, StandardFeedForward
from .gated_delta import GDN2, GatedDelta
from .gla import GLA, GLA5
from .language_model import Block, LanguageModel
from .mamba2 import MAMBA2, Mamba2
from .positions import alibi_slopes, position_mask
from .presets import architectures, preset, released

__all__ = [
    "GDN2",
    "GLA",
    "GLA5",
    "MAMBA2",
    "Attention",
    "AttentionConfig",
    "Block",
    "Canon",
    "Context",
    "DecodingState",
    "Experts",
    "GatedDelta",
    "GatedFeedForward",
    "LanguageModel",
    "Mamba2",
    "Memory",
    "ModelConfig",
    "Seen",
    "StandardFeedForward",
    "alibi_slopes",
    "architectures",
    "attend",
    "attend_naive",
    "canon",
    "canon_naive",
    "causal_mask",
    "position_mask",
    "preset",
    "released",
    "rope_table",
    "rotate",
]
