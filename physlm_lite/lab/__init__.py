"""What every lesson touches: plots, tables, widgets, live experiments, and exercise checks; nothing of one lesson."""

from .checks import CheckResult
from .live import Live
from .page import claim_card, known, ledger_row, passport_card, rule_table, scale_table, setting_table, verdict_line
from .plots import draw_curves, draw_dots, effect_figure, new_figure, outcome_figure, save_figure
from .predict import Prediction
from .rows import curves_figure, rows_figure
from .show import Interactive, Picture

__all__ = [
    "CheckResult",
    "Interactive",
    "Live",
    "Picture",
    "Prediction",
    "claim_card",
    "curves_figure",
    "draw_curves",
    "draw_dots",
    "effect_figure",
    "known",
    "ledger_row",
    "new_figure",
    "outcome_figure",
    "passport_card",
    "rows_figure",
    "rule_table",
    "save_figure",
    "scale_table",
    "setting_table",
    "verdict_line",
]
