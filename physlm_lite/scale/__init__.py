"""Large models: their published folders, read and written."""

from .published.folders import load_pretrained, read_config, save_pretrained, to_half_split

__all__ = ["load_pretrained", "read_config", "save_pretrained", "to_half_split"]
