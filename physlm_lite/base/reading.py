"""Text files as people have them: in several encodings, beside folders and pipes that are named like files."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import stat
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGEST = 2**27  # bytes that are read at most: more than the 100 MB of text8
MOST_ENTRIES = 200_000  # of a folder, with all below it
MOST_KEPT = 4  # results of one reader
SETTLED = 2e9  # nanoseconds after which a file's time of change can be trusted: some clocks are that coarse
_MARKS = {  # UTF-32's begins like UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")


def read_text(path: str | Path, most: int | None = None) -> str:
    """The text of a file, its line ends as "\\n".

    The encoding is the one that a byte order mark names; else UTF-16 where every other byte is zero; else UTF-8; and
    where most of its letters beyond ASCII are none in UTF-8, Windows-1252 (Latin-1 and curly quotes), with a warning.
    Single bytes that do not fit become U+FFFD, with a warning; a character cut off at the end is dropped. Raises
    ValueError, in one sentence, for what is not a file, cannot be read, holds no text, or has more
    bytes than `most` (None: LARGEST).
    """
    data = read_bytes(path, most)
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    encoding = _MARKS.get(mark) or _unmarked(data)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data[len(mark) :])
    damaged, notice = text.count("\ufffd"), ""
    if damaged and encoding == "utf-8" and not mark:
        if 2 * damaged > len(text) - len(text.encode("ascii", "ignore")):
            encoding = "cp1252"
            text = data.decode(encoding, "replace")
            notice = "is not UTF-8 and was read as Windows-1252; save it as UTF-8"
        elif b"\xef\xbf\xbd" not in data:
            notice = f"has {damaged} places that are not UTF-8; each was read as \\ufffd"
    if len(_CONTROL.findall(text)) * 20 > len(text) or (encoding.startswith("utf-") and damaged * 100 > len(text)):
        raise ValueError(f"{path} is not a text file: its bytes are text neither in UTF-8 nor in UTF-16 nor in Latin-1")
    if notice:
        warnings.warn(f"{path} {notice}", stacklevel=2)
    return text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """A file's content; ValueError in one sentence for what is no file, too large or not ours to read."""
    path, most = Path(path), LARGEST if most is None else most
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise ValueError(f"{path} is a folder, and a file is needed")
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path} is a pipe or a device, and a file is needed")
        if about.st_size > most:
            raise ValueError(f"{path} has {about.st_size:,} bytes, and at most {most:,} are read; take a part of it")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error


def _unmarked(data: bytes) -> str:
    """UTF-16 of mostly Latin letters has a zero in every other byte; everything else is tried as UTF-8."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    wide = "utf-16-le" if odd > even else "utf-16-be"
    return wide if max(even, odd) * 3 > len(data) else "utf-8"


def read_yaml(path: str | Path) -> Any:
    """The content of a small YAML file (at most 1 MB). ValueError, in one sentence, for what is no YAML.

    Stricter than YAML: a key that stands twice is refused (one of the two would be lost), and so are aliases, with which a
    page of text grows to gigabytes; 1e-5 is a number.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not read; write the values out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for place, key in enumerate(keys):
                if key in keys[:place]:
                    raise yaml.YAMLError(f"the key {key!r} stands twice")
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(read_text(path, 2**20), Loader)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ValueError(f"{path} is not YAML that can be read{place}: {reason}") from error


def text_files(path: str | Path, endings: Collection[str]) -> list[Path]:
    """The file itself, or all files below a folder that have one of these endings (in either case), in order.

    Folders, pipes and links to nothing are passed over, whatever they are called. Raises ValueError if there is neither
    a file nor a folder of this name, or if the folder is not ours to list, or holds too much to be meant.
    """
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be found: {error}") from error
    if not str(path).strip() or not os.path.exists(place):
        raise ValueError(f"there is no file or folder {str(path)!r}")
    if not place.is_dir():
        return [place]
    found, entries, size = [], 0, 0

    def refuse(error: OSError) -> None:
        raise ValueError(f"cannot list {error.filename}: {error.strerror or error}") from error

    for folder, folders, names in os.walk(place, onerror=refuse):
        entries += len(folders) + len(names)
        if entries > MOST_ENTRIES:
            raise ValueError(f"{path} holds more than {MOST_ENTRIES:,} files; name the folder of the texts alone")
        for name in names:
            file = Path(folder, name)
            if file.suffix.lower() in endings and file.is_file():
                found.append(file)
                size += file.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path} holds {size:,} bytes of text, and at most {LARGEST:,} are read; take a part of it")
    return sorted(found)


def fingerprint(content: Any) -> str:
    """Eight hexadecimal digits that name a content: the hash of its JSON."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def kept_while_unchanged(files: Callable[P, Iterable[Path]]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember what a reader returned until one of the files that it reads (`files`, of its arguments) has changed.

    A file has changed if its size or time of change is another, and possibly if it was written a moment ago, when its
    time may not tell.
    """

    def remembering(read: Callable[P, T]) -> Callable[P, T]:
        kept: dict[Any, tuple[Any, T]] = {}

        @wraps(read)
        def again(*args: P.args, **options: P.kwargs) -> T:
            key = (args, *sorted(options.items()))
            now = _stamps(files(*args, **options))
            if key not in kept or kept[key][0] != now or now is None:
                kept.pop(key, None)
                kept[key] = now, read(*args, **options)
                if len(kept) > MOST_KEPT:
                    kept.pop(next(iter(kept)))
            return kept[key][1]

        return again

    return remembering


def _stamps(files: Iterable[Path]) -> list[tuple[str, int, int, int]] | None:
    """What tells one state of these files from another; None if it would not."""
    stamps = []
    for file in files:
        try:
            about = file.stat()
        except OSError:
            continue  # the reader says so
        changed = max(about.st_mtime_ns, about.st_ctime_ns)
        if abs(time.time_ns() - changed) < SETTLED:
            return None
        stamps.append((str(file), about.st_size, changed, about.st_ino))
    return stamps


def yaml_text(content: Mapping[str, Any]) -> str:
    """Plain content as YAML that `read_yaml` reads, its names in their order; tuples are lists there.

    >>> print(yaml_text({"steps": 3, "canon": "", "layers": (0, -1)}), end="")
    steps: 3
    canon: ''
    layers:
    - 0
    - -1
    """
    import yaml

    def lists(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: lists(inner) for name, inner in value.items()}
        return [lists(inner) for inner in value] if isinstance(value, list | tuple) else value

    return str(yaml.safe_dump(lists(content), sort_keys=False, allow_unicode=True, width=120))
