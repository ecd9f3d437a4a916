"""What every lesson touches: plots, tables, widgets, live experiments, and exercise checks; nothing of one lesson.

A name is looked up when it is first used, so that `physlm` works where neither Matplotlib nor widgets are installed.
"""

from importlib import import_module
from typing import Any

_HOME = {
    name: module
    for module, names in {
        "attempts": "progress",
        "background": "Trained",
        "checks": "CheckResult",
        "ledger_page": "Explorer ledger_html",
        "live": "Live",
        "own": "Own",
        "page": "claim_card known ledger_row passport_card published_rows reached_table rule_table scale_table setting_table "
        "verdict_line",
        "plots": "effect_figure new_figure outcome_figure save_figure",
        "predict": "Prediction",
        "published_page": "PublishedCurves",
        "rates": "chosen_rates grids rate_figure rate_table",
        "rows": "curves_figure rows_figure",
        "show": "Interactive Picture",
    }.items()
    for name in names.split()
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
