"""What a reader touches: plots, widgets, live experiments, and exercise checks."""

from .checks import CheckResult, check
from .diagrams import attention_figure, block_figure, ladder_figure, size_figure
from .explorers import canon_explorer, canon_figure, depo_figure, depo_inspector, mixing_matrix
from .live import Live
from .page import claim_card, ledger_row, passport_card, rung_table, scale_table, setting_table
from .plots import draw_curves, draw_dots, effect_figure, new_figure, outcome_figure, save_figure
from .predict import Prediction
from .show import Interactive, Picture

__all__ = [
    "CheckResult",
    "Interactive",
    "Live",
    "Picture",
    "Prediction",
    "attention_figure",
    "block_figure",
    "canon_explorer",
    "canon_figure",
    "check",
    "claim_card",
    "depo_figure",
    "depo_inspector",
    "draw_curves",
    "draw_dots",
    "effect_figure",
    "ladder_figure",
    "ledger_row",
    "mixing_matrix",
    "new_figure",
    "outcome_figure",
    "passport_card",
    "rung_table",
    "save_figure",
    "scale_table",
    "setting_table",
    "size_figure",
]
