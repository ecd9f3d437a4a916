"""Tasks and corpora as streams: rows for the `datasets` library, for files and for a terminal.

`from physlm_lite.data import collate, save, stream, to_dataset`; they are looked up at first use, because torch takes a while.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .export import save
    from .hub import collate, stream, to_dataset

__all__ = ["collate", "save", "stream", "to_dataset"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".export" if name == "save" else ".hub", __name__), name)
