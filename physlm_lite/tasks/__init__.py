"""What is learnt: tasks as pure functions of (seed, step, row), with exact graders."""

from .batch import Batch, Task, html_view, text_view
from .copying import Copy
from .depo import Depo, depo_instance
from .presets import PRESETS, preset

__all__ = ["PRESETS", "Batch", "Copy", "Depo", "Task", "depo_instance", "html_view", "preset", "text_view"]
