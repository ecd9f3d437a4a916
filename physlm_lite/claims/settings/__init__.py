"""The settings of experiments: a file a task, with the task at every scale."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from ..experiment import Setting


@cache
def small_settings() -> Mapping[str, Setting]:
    """Every setting that needs no GPU, by its name: those of a task beside each other."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    settings = [value for module in modules for value in vars(module).values() if isinstance(value, Setting)]
    return {setting.name: setting for setting in settings if not setting.full_size}
