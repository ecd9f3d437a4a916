"""Large models: their published folders, read and written."""

from .published.folders import load_pretrained, save_pretrained, to_half_split

__all__ = ["load_pretrained", "save_pretrained", "to_half_split"]
