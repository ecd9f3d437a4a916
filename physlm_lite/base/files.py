"""Files that are written whole or not at all: a temporary place in the same folder, then one rename.

A temporary place is locked by whoever writes into it. The operating system opens the lock when its process ends, however
it ends, so the next writer can tell what a killed process left behind from what is still being written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

UNSEALED = "0" * 64  # stands in a checkpoint's header while its checksum is computed
SEAL = b'"sha256":"'


class StorageError(ValueError):
    """A file could not be written or read; whatever stood there before is untouched."""


def refuse_unwritable(folder: Path) -> None:
    """`StorageError` if `folder` (made if need be) cannot be written into: said before a long run, not after it."""
    home = Path(os.path.expanduser("~"))
    try:
        if folder.is_relative_to(home) and not home.is_dir():
            raise ValueError(f"the home folder {home} does not exist")
        if folder.is_symlink() and not folder.exists():
            raise ValueError("it is a link that leads nowhere")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return
    except FileExistsError:
        reason = "a file stands in its place"
    except (OSError, ValueError) as error:
        reason = _reason(error)
    raise StorageError(f"cannot write into {folder}: {reason}; choose another folder with PHYSLM_RUNS")


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


# -- locks -------------------------------------------------------------------------------------------------------------

if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> bool | None:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _take(file: int) -> bool | None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


def _stands(file: int, path: Path) -> bool:
    """Is the open file what stands at `path`? Asked with one look: between two, somebody else may remove it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool | None]:
    """Hold the lock file `path`, which is made and removed again: True, or False while another thread or process holds it.

    None where the file system knows no locks. The lock ends with its process, however that ends.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    held: bool | None = False
    try:
        held = _take(file)
        # Its last holder may have removed the file since it was opened here: a lock on that would keep nobody away.
        if held and not _stands(file, path):
            held = False
        yield held
    finally:
        if held and os.name == "posix":
            path.unlink(missing_ok=True)
        os.close(file)
        if held and os.name != "posix":  # Windows removes no open file
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def remove_stale(beside: Path) -> None:
    """Remove the temporary folders inside `beside` whose processes were killed."""
    for part in beside.glob(".physlm-*.part"):
        with contextlib.suppress(OSError), locked(part / "lock") as stale:
            if stale:
                shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder inside `beside` that is removed at the end or, if this process is killed, by whoever makes the next one."""
    remove_stale(beside)
    with contextlib.ExitStack() as stack:
        held: bool | None = False
        while held is False:  # until nobody took the new folder, still without a lock, for a stale one
            folder = Path(tempfile.mkdtemp(prefix=".physlm-", suffix=".part", dir=beside))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                held = stack.enter_context(locked(folder / "lock"))
        yield folder


# -- one file ----------------------------------------------------------------------------------------------------------


def write_whole(path: Path, write: Callable[[Path], object], *, replace: bool = True) -> None:
    """Let `write` fill a temporary file, then rename it to `path`. On any failure the old file stays as it was.

    A new file has the permissions that the umask leaves; one that replaces another keeps the other's. replace=False
    refuses a `path` where something stands already. A link stays, and what it points at is replaced; devices, pipes and
    folders never are.
    """
    refuse_occupied(path, replace)
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target.parent) as part:
            temporary = part / target.name  # some writers (safetensors) make further files beside it
            write(temporary)
            _look_like(temporary, target, part / "lock")
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    except (OSError, SafetensorError) as error:
        kept = "the previous file is untouched" if target.exists() else "nothing was left behind"
        advice = "Free some space or choose another folder with PHYSLM_RUNS"
        raise StorageError(f"could not write {path}: {_reason(error)}; {kept}. {advice}") from error


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of another, so that a reader never sees half of it; for one writer, and what may be lost."""
    new = path.with_name(f"{path.name}.new")
    with contextlib.suppress(OSError):
        new.write_text(text, encoding="utf-8")
        new.replace(path)


def remove_text(path: Path) -> None:
    """Remove what `replace_text` wrote, also one that was killed in the middle."""
    for each in (path, path.with_name(f"{path.name}.new")):
        with contextlib.suppress(OSError):
            each.unlink(missing_ok=True)


def refuse_occupied(path: Path, replace: bool = False) -> None:
    """`StorageError` if something stands at `path` that no file may take the place of; replace: another file may go."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and replace:
            return
        reason = "it exists already; choose another name, or replace it with --force (replace=True)"
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            reason = f"it is {kind}, not a file; choose another name"
    except FileNotFoundError:
        if not path.is_symlink():
            return
        reason = "it is a link that leads nowhere; choose another name"
    except (OSError, ValueError) as error:
        reason = f"{_reason(error)}; choose another place"
    raise StorageError(f"cannot write {path}: {reason}")


def _look_like(file: Path, other: Path, new: Path) -> None:
    """The owner and mode of `other`, which is to be replaced, or else of one that was just made as the umask says."""
    try:
        model = other.stat()
    except FileNotFoundError:
        model = new.stat()
    with contextlib.suppress(OSError, AttributeError):  # only root gives files away, and Windows has no owners
        os.chown(file, model.st_uid, model.st_gid)
    with contextlib.suppress(OSError):  # not every file system has modes
        file.chmod(stat.S_IMODE(model.st_mode))


def write_json(path: Path, content: Any) -> None:
    """Whole-or-nothing JSON, readable by people: one line for each entry of the top level and of its lists."""

    def lines(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join("    " + json.dumps(item) for item in value) + "\n  ]"
        return json.dumps(value)

    text = "{\n" + ",\n".join(f"  {json.dumps(key)}: {lines(value)}" for key, value in content.items()) + "\n}\n"
    write_whole(path, lambda temporary: temporary.write_bytes(text.encode()))


# -- tensors -----------------------------------------------------------------------------------------------------------


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """One safetensors file; `metadata` is kept as JSON in its header, so both are replaced together.

    The header also holds a checksum of the whole file as it is with zeros in the checksum's place.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        save_file(content, temporary, {"physlm": json.dumps(metadata), "sha256": UNSEALED})
        with temporary.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            size = int.from_bytes(file.read(8), "little")
            file.seek(8 + file.read(size).index(SEAL) + len(SEAL))
            file.write(digest.encode())

    write_whole(path, write)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of `save_tensors`, or `StorageError` if a single bit is not as it was written."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError("it is not a file")
        data = path.read_bytes()  # once and whole: the file may be replaced by another at any moment
        _check_seal(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return load(data), json.loads(header["__metadata__"]["physlm"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        reason = _reason(error)
        raise StorageError(
            f"{path} is not a whole checkpoint of this kit ({reason}); delete it to begin anew"
        ) from error


def _check_seal(data: bytes) -> None:
    """ValueError if a file's content does not have the checksum that it carries."""
    start = data.find(SEAL) + len(SEAL)
    if start < len(SEAL):
        raise ValueError("it carries no checksum")
    content = memoryview(data)
    digest = hashlib.sha256(content[:start])
    digest.update(UNSEALED.encode())
    digest.update(content[start + len(UNSEALED) :])
    if digest.hexdigest().encode() != content[start : start + len(UNSEALED)]:
        raise ValueError("its checksum is wrong: it was damaged, or cut off")
