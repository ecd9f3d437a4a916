"""Python tells what a hand-in is about to do that no exercise asks for: it is named, and the hand-in ends there.

The operating system keeps it harmless (`confine`); this says what it was, and in which line. An audit hook cannot be removed.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

LEARNERS = re.compile(r"<cell (\d+)>")  # the file names of a notebook's cells
PROGRAM = "tried to start another program or process"
SIGNAL = "tried to end or to signal another process"
NETWORK = "tried to use the network"
ANSWERS = "tried to read the answers"
LIMITS = "tried to change its own limits"
BEHIND = "tried to reach behind Python"
PRINTED = "printed too much"

EVENTS = {
    **dict.fromkeys("os.fork os.forkpty os.posix_spawn os.exec os.spawn os.system subprocess.Popen pty.spawn".split(), PROGRAM),
    **dict.fromkeys("os.startfile os.startfile/2 webbrowser.open".split(), PROGRAM),
    **dict.fromkeys("os.kill os.killpg signal.pthread_kill".split(), SIGNAL),
    **dict.fromkeys("socket.__new__ socket.connect socket.bind socket.getaddrinfo socket.sendto".split(), NETWORK),
    **dict.fromkeys("resource.setrlimit resource.prlimit".split(), LIMITS),
}  # fmt: skip
DIRECT = {  # ordinary for a library, so that only the learner's own line counts
    **dict.fromkeys("ctypes.dlopen ctypes.dlsym ctypes.call_function ctypes.cdata ctypes.cdata/buffer".split(), BEHIND),
    **dict.fromkeys("gc.get_objects gc.get_referrers gc.get_referents sys.addaudithook".split(), BEHIND),
}
CHANGES = set("os.remove os.rmdir os.mkdir os.truncate os.chmod os.chown os.utime os.setxattr shutil.rmtree".split())
MOVES = {"os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile"}
WATCHED = {"open", *CHANGES, *MOVES, *EVENTS, *DIRECT}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def place_of(frame: FrameType | None, direct: bool = False, importing: bool = True) -> str:
    """Where the learner's own code stands in whose name this happens, as "cell 3, line 2"; "" if nobody's.

    direct: only if it is the very caller; importing: also if it imports a library, which may do this and that meanwhile.
    """
    while frame is not None:
        name = frame.f_code.co_filename
        if found := LEARNERS.fullmatch(name):
            return f"cell {found[1]}, line {frame.f_lineno}"
        if (name.startswith("<frozen importlib") and not importing) or (direct and "ctypes" not in name):
            return ""
        frame = frame.f_back
    return ""


def watch(
    folder: Path,
    answers: Sequence[Path],
    secret: Sequence[Path],
    readable: Sequence[Path],
    tell: Callable[[str], NoReturn],
) -> None:
    """From now on, call `tell` with what the learner's code tries and should not.

    folder: where it may write; answers: files and folders that hold some; secret: folders with others' work, in which Python's
    own files may lie, which are `readable`.
    """
    own = os.path.realpath(folder) + os.sep
    closed, private, libraries = (
        tuple(os.path.realpath(path) for path in paths) for paths in (answers, secret, [folder, *readable])
    )

    def outside(path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return False
        real = os.path.realpath(os.fsdecode(path))
        return not real.startswith(own) and real != os.devnull

    def is_secret(path: Any) -> bool:
        if isinstance(path, int):
            return False
        real = os.path.realpath(os.fsdecode(path))

        def among(paths: Sequence[str]) -> bool:
            return any(real == each or real.startswith(each + os.sep) for each in paths)

        return among(closed) or (among(private) and not among(libraries))

    def offence(event: str, arguments: tuple[Any, ...]) -> str | None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in (mode or "") for letter in "wax+") or (flags or 0) & WRITING
            return f"tried to write {_short(path)}, outside its own folder" if writes and outside(path) else None
        if event in CHANGES and outside(arguments[0]):
            return f"tried to change {_short(arguments[0])}, outside its own folder"
        if event in MOVES and (outside(arguments[1]) or (event != "os.symlink" and outside(arguments[0]))):
            return f"tried to change {_short(arguments[1])}, outside its own folder"
        return EVENTS.get(event) or DIRECT.get(event)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED:
            return
        frame = sys._getframe(1)
        if event == "open" and is_secret(arguments[0]):
            tell(f"{ANSWERS} ({place_of(frame)}: {os.path.basename(os.fsdecode(arguments[0]))})")
        where = place_of(frame, direct=event in DIRECT, importing=False)
        if where and (what := offence(event, arguments)) is not None:
            tell(f"{what} ({where})")

    sys.addaudithook(hook)


def _short(path: Any) -> str:
    text = os.fsdecode(path)
    return text if len(text) <= 60 else "..." + text[-57:]


class Closed(ModuleType):
    """Stands in the place of a module with answers."""

    def __init__(self, name: str, tell: Callable[[str], NoReturn]) -> None:
        super().__init__(name)
        self.__dict__["_tell"] = tell

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what an import asks of every module
            raise AttributeError(name)
        self._tell(f"{ANSWERS} ({place_of(sys._getframe(1))}: {self.__name__})")


class Printed(io.TextIOBase):
    """Standard output of a hand-in: counted, and thrown away."""

    def __init__(self, most: int, tell: Callable[[str], NoReturn]) -> None:
        self.left, self._told = most, tell

    def write(self, text: str) -> int:
        """Take a text, for as long as there is room."""
        self.left -= len(text)
        if self.left < 0:
            self._told(f"{PRINTED} ({place_of(sys._getframe(1))})")
        return len(text)
