"""Large models: recipes and their plans, and published folders, read and written."""

from .published.folders import load_pretrained, read_config, save_pretrained
from .recipe import Recipe, load_recipe, recipes

__all__ = ["Recipe", "load_pretrained", "load_recipe", "read_config", "recipes", "save_pretrained"]
