"""What was asked for in the lab, kept beside the records: so a kernel that begins anew, or another page, finds it again."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from ...base.files import StorageError, write_whole
from ...base.strict import build
from ...training import runs_folder
from .trial import Trial

MOST = 200  # trials; the oldest fall out of the table, and their records stay


@dataclass(frozen=True)
class Entry:
    """A trial that was asked for. guess: what was predicted of its score; stopped: by hand, until somebody says go on."""

    text: str
    guess: float | None = None
    stopped: bool = False

    @property
    def trial(self) -> Trial:
        return _trial(self.text)


@lru_cache(1024)
def _trial(text: str) -> Trial:
    return Trial.from_text(text)


class Tried:
    """The trials that were asked for, in their order, each once. folder: that of this user's records, unless said otherwise.

    A file that cannot be read is put aside, and `problem` says so in one sentence; a trial of a newer version is kept, but not
    shown.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or runs_folder()) / "what-if" / "tried.json"
        self.problem, self._lock = "", threading.Lock()
        self._unknown: list[object]
        self.entries = self._read()

    def _read(self) -> list[Entry]:
        self._unknown = []
        if not self.path.exists():
            return []
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(content, list):
                raise ValueError("it is no list")
        except (OSError, ValueError) as error:
            aside = self.path.with_suffix(".unreadable")
            self.path.replace(aside)
            self.problem = f"what was tried before could not be read ({error}); the file is kept as {aside.name}"
            return []
        found = []
        for one in content:
            try:
                entry = build(Entry, one)
                _ = entry.trial
                found.append(entry)
            except ValueError:
                self._unknown.append(one)
        return found

    def put(self, trial: Trial, **changes: object) -> Entry:
        """Add a trial, or change what is kept of it."""
        text = trial.to_text()
        with self._lock:
            self.entries = self._read()  # another kernel may have added something
            before = next((entry for entry in self.entries if entry.text == text), None)
            entry = replace(before or Entry(text), **changes)  # type: ignore[arg-type]
            self.entries = [entry if one is before else one for one in self.entries] + [entry] * (before is None)
            self._write()
        return entry

    def drop(self, trial: Trial) -> None:
        """Take a trial out of the list; its records stay."""
        text = trial.to_text()
        with self._lock:
            self.entries = [entry for entry in self._read() if entry.text != text]
            self._write()

    def _write(self) -> None:
        self.entries = self.entries[-MOST:]
        content = json.dumps([*self._unknown, *map(asdict, self.entries)], indent=1)
        try:
            write_whole(self.path, lambda temporary: temporary.write_text(content, encoding="utf-8"))
        except StorageError as error:
            self.problem = str(error)
