"""What learns: Canon layers, attention, feed-forward layers, and the language model."""

from .attention import Attention, attend, attend_naive, causal_mask, rope_table, rotate
from .canon import Canon, canon, canon_naive
from .context import Context, DecodingState
from .feed_forward import GatedFeedForward
from .language_model import Block, LanguageModel, ModelConfig

__all__ = ["Attention", "Block", "Canon", "Context", "DecodingState", "GatedFeedForward", "LanguageModel",
           "ModelConfig", "attend", "attend_naive", "canon", "canon_naive", "causal_mask", "rope_table", "rotate"]
