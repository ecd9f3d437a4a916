"""What is learnt: tasks as pure functions of (seed, step, row), with exact graders."""

from .batch import Batch, Task, html_view, metric_of, text_view
from .births import Births, births_row
from .brevo import Brevo, brevo_instance
from .capo import Capo, capo_biography
from .copying import Copy
from .depo import Depo, depo_instance
from .grammar import Grammar
from .lano import Lano, lano_derivation
from .mano import Mano, mano_instance
from .metric import Metric
from .prepared import Prepared
from .presets import PRESETS, preset
from .recall import Recall
from .text import Text

__all__ = [
    "PRESETS",
    "Batch",
    "Births",
    "Brevo",
    "Capo",
    "Copy",
    "Depo",
    "Grammar",
    "Lano",
    "Mano",
    "Metric",
    "Prepared",
    "Recall",
    "Task",
    "Text",
    "births_row",
    "brevo_instance",
    "capo_biography",
    "depo_instance",
    "html_view",
    "lano_derivation",
    "mano_instance",
    "metric_of",
    "preset",
    "text_view",
]
