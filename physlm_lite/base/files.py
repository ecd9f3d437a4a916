"""Files that are written whole or not at all: a temporary place in the same folder, then one rename."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

STALE_SECONDS = 3600.0  # no file takes that long to write: a .part this old was left by a process that was killed


class StorageError(RuntimeError):
    """A file could not be written or read; whatever stood there before is untouched."""


def refuse_unwritable(folder: Path) -> None:
    """`StorageError` if `folder` (made if need be) cannot be written into: said before a long run, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StorageError(
            f"cannot write into {folder}: {error.strerror or error}; choose another folder with PHYSLM_RUNS"
        ) from error


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then rename it to `path`. On any failure the old file stays as it was.

    The temporary file has a folder of its own, because some writers (safetensors) make temporary files themselves.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    temporary = part / path.name
    try:
        part.mkdir(parents=True, exist_ok=True)
        _remove_stale_parts(path)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        kept = "the previous file is untouched" if path.exists() else "nothing was left behind"
        raise StorageError(
            f"could not write {path}: {reason}; {kept}. Free some space or choose another folder with PHYSLM_RUNS"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_stale_parts(path: Path) -> None:
    """A process killed in the middle of a write could not tidy up; one that is still writing is left alone."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Whole-or-nothing JSON, readable by people: one line for each entry of the top level and of its lists."""

    def lines(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join("    " + json.dumps(item) for item in value) + "\n  ]"
        return json.dumps(value)

    text = "{\n" + ",\n".join(f"  {json.dumps(key)}: {lines(value)}" for key, value in content.items()) + "\n}\n"

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_whole(path, write)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """One safetensors file; `metadata` is kept as JSON in its header, so both are replaced together."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda temporary: save_file(content, temporary, {"physlm": json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of `save_tensors`."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(header["physlm"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise StorageError(f"{path} is not a checkpoint of this kit ({error}); delete it to begin anew") from error
