"""How it learns: run configuration, the loop, checkpoints and run records."""

from ..base.files import StorageError
from .config import Run, Training
from .cost import Cost, TooLarge, estimate, refuse_too_large
from .loop import Progress, train
from .record import Record, Store, rename_records, runs_folder
from .trainer import Diverged, Trainer

__all__ = [
    "Cost",
    "Diverged",
    "Progress",
    "Record",
    "Run",
    "StorageError",
    "Store",
    "TooLarge",
    "Trainer",
    "Training",
    "estimate",
    "refuse_too_large",
    "rename_records",
    "runs_folder",
    "train",
]
