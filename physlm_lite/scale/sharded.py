"""A model as a torch.distributed.checkpoint: a config.json and files that ranks of any number read their parts of."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.files import temporary_folder, write_json
from ..models import LanguageModel
from .published.folders import read_config
from .published.layouts import write_keys
from .published.names import without_memory

METADATA = ".metadata"  # how such a folder is known, and the one file of it that is a pickle
PREFIX = "model."  # of a model's tensors beside those of an optimiser
# What torch's own description of the tensors is made of.
DESCRIPTION = "torch.distributed.checkpoint.metadata"
HARMLESS = {
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(("pathlib", name) for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")),
}


def is_sharded(folder: Path) -> bool:
    """Does it hold a torch.distributed.checkpoint?"""
    return (folder / METADATA).is_file()


class _Reader(pickle.Unpickler):
    """Reads nothing but the description of tensors; torch itself would carry out whatever a file asks for."""

    def find_class(self, module: str, name: str) -> Any:
        of_torch = module == DESCRIPTION or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype))
        if not of_torch and (module, name) not in HARMLESS:
            raise ValueError(f"it asks for {module}.{name}, which describes no tensor")
        return super().find_class(module, name)


def refuse_code(folder: Path) -> None:
    """ValueError for a checkpoint whose description holds anything but tensors. To be called before torch reads it."""
    try:
        with (folder / METADATA).open("rb") as file:
            _Reader(file).load()
    except Exception as error:  # a damaged pickle raises all kinds
        raise ValueError(
            f"{folder / METADATA} is damaged, or holds more than tensors ({error}); get it again"
        ) from error


def save_sharded(model: LanguageModel, folder: str | Path) -> None:
    """Write config.json and the tensors under our names; ranks of any number read their parts of it."""
    import torch.distributed.checkpoint as dcp

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"{PREFIX}{name}": tensor.detach() for name, tensor in model.named_parameters()}
    with temporary_folder(folder) as part:
        with _alone():
            dcp.save(state, checkpoint_id=part / "checkpoint", no_dist=True)
        # the file that says what there is comes last
        for path in sorted((part / "checkpoint").iterdir(), key=lambda path: path.name == METADATA):
            path.replace(folder / path.name)
    write_json(folder / "config.json", write_keys(model.config))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Without torch's word that there is one process only, which is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def load_sharded(folder: str | Path, dtype: torch.dtype | None = None, device: str | None = None) -> LanguageModel:
    """The model in a folder of torch.distributed.checkpoint; its config.json lies there, or in one of the two folders above.

    What belongs to an optimiser is passed over. Raises ValueError for a tensor that is missing or of another shape.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    folder = Path(folder)
    place = next((p for p in (folder, *folder.absolute().parents[:2]) if (p / "config.json").is_file()), None)
    if place is None:
        raise ValueError(f"{folder} has no config.json, and neither have the two folders above; put the model's there")
    refuse_code(folder)
    model = without_memory(read_config(place))
    try:
        known = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
        prefix = PREFIX if any(name.startswith(PREFIX) for name in known) else ""
        state: dict[str, Tensor] = {}
        for name, tensor in model.named_parameters():
            there: Any = known.get(prefix + name)
            if there is None or there.size != tensor.shape:
                what = "lacks" if there is None else f"has {list(there.size)} for"
                raise ValueError(f"it {what} the tensor {prefix}{name} {list(tensor.shape)}")
            state[prefix + name] = torch.empty(tensor.shape, dtype=there.properties.dtype)
        with _alone():
            dcp.load(state, checkpoint_id=folder, no_dist=True)
    except CheckpointException as error:  # which is no Exception
        raise ValueError(f"{folder} is damaged: its tensors cannot be read; save it again") from error
    except Exception as error:  # torch raises whatever a damaged file makes of it
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{folder} is no whole checkpoint of its config.json ({reason[0]}); save it again") from error
    own = {name.removeprefix(prefix): tensor.to(device or "cpu", dtype) for name, tensor in state.items()}
    if model.config.tied:
        own["head.weight"] = own["embedding.weight"]
    model.load_state_dict(own, assign=True)
    if model.config.tied:
        model.head.weight = model.embedding.weight
    return model
