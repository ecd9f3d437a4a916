"""How it learns: run configuration, the loop, checkpoints and run records."""

from ..base.files import StorageError
from .config import FORMAT, Run, Training
from .cost import Cost, TooLarge, estimate, refuse_too_large
from .loop import Progress, train
from .record import Anew, Record, Store, rename_records, runs_folder
from .share import OtherRank, Share
from .stacked import stacks, train_stacked
from .trainer import Diverged, Trainer

__all__ = [
    "FORMAT",
    "Anew",
    "Cost",
    "Diverged",
    "OtherRank",
    "Progress",
    "Record",
    "Run",
    "Share",
    "StorageError",
    "Store",
    "TooLarge",
    "Trainer",
    "Training",
    "estimate",
    "refuse_too_large",
    "rename_records",
    "runs_folder",
    "stacks",
    "train",
    "train_stacked",
]
