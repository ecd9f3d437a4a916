"""One machine for a room: a JupyterLab for each learner, in a folder of their own and behind a token of their own.

They all run as the user who serves, so a folder keeps learners from each other's way and not from each other's files. A
kernel that nobody uses is ended after a while, and each learner has room for a few kernels at a time; how many learners fit
is computed from the memory before anything starts.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ..base.files import write_whole
from ..base.machine import available_memory
from ..base.strict import shown
from ..lab.copies import bring

SERVER, KERNEL = 0.1e9, 1.0e9  # bytes, measured: a server; a kernel (0.42) with two runs at toy scale (0.27 each)
IDLE = 1800  # seconds until a kernel that nobody uses is ended
KERNELS = 2  # that a learner may have at a time


@dataclass(frozen=True)
class Seat:
    """A learner's place: the folder, and the address to open, which holds the token."""

    name: str
    folder: Path
    port: int
    token: str
    host: str

    @property
    def address(self) -> str:
        """To be given to this learner alone."""
        name = self.host if self.host not in ("0.0.0.0", "::") else socket.gethostname()
        return f"http://{name}:{self.port}/lab/tree/00_start_here.ipynb?token={self.token}"


def seats(folder: Path, names: Sequence[str], host: str = "127.0.0.1", first_port: int = 8900) -> list[Seat]:
    """Bring every learner's copies of the notebooks, and keep a port and a token for each."""
    for name in names:
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise ValueError(f"{shown(name)} cannot be a learner's name; use letters, digits, - and _")
    if twice := [name for name in names if sum(other.lower() == name.lower() for other in names) > 1]:
        raise ValueError(f"there are two learners named {twice[0]}")
    found, port = [], first_port
    for name in names:
        bring(folder / name)
        port = _free_port(host, port)
        found.append(Seat(name, folder / name, port, secrets.token_urlsafe(18), host))
        port += 1
    return found


def is_loopback(host: str) -> bool:
    """Can only this machine reach it?"""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _free_port(host: str, port: int) -> int:
    for candidate in range(port, port + 200):
        with socket.socket() as one, suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, candidate))
            return candidate
    raise ValueError(f"no port from {port} to {port + 199} can be opened on {host}")


def room_for(learners: int) -> str:
    """Whether this machine has memory for so many at once, in a sentence."""
    free, _ = available_memory()
    most = int(free // (SERVER + KERNEL))
    said = f"{free / 1e9:.1f} GB are free; a learner with one notebook takes up to {(SERVER + KERNEL) / 1e9:.1f}"
    return f"{said}, so that {most} fit" + ("" if learners <= most else f", not {learners}: expect kernels to be ended")


def options(seat: Seat, idle: int = IDLE, kernels: int = KERNELS) -> dict[str, object]:
    """What the server of a seat is told, by the names of its own documentation."""
    return {
        "ServerApp": {
            "ip": seat.host,
            "port": seat.port,
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(seat.folder.resolve()),
            "allow_remote_access": not is_loopback(seat.host),
            "terminals_enabled": False,
            "quit_button": False,
            "allow_root": getattr(os, "geteuid", lambda: 1)() == 0,
            "kernel_manager_class": "physlm_lite.classroom.kernels.FewKernels",
        },
        "IdentityProvider": {"token": seat.token},
        "FewKernels": {"most": kernels},
        "MappingKernelManager": {
            "cull_idle_timeout": idle,
            "cull_interval": max(1, min(60, idle // 2)),
            "cull_connected": True,
        },
    }


def environment(seat: Seat, threads: int = 1) -> Mapping[str, str]:
    """Of a learner's server and kernels: records of their own, and one thread each, since many compute at once."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    own = seat.folder.resolve() / ".physlm"
    jupyter = {f"JUPYTER_{what}_DIR": str(own / what.lower()) for what in ("CONFIG", "RUNTIME")}
    number = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**os.environ, **jupyter, **number, "PATH": path, "PHYSLM_RUNS": str(own / "runs")}


def start(seat: Seat, **limits: int) -> subprocess.Popen[bytes]:
    """Start the server of a seat; what it says goes into its folder, readable for its owner."""
    own = seat.folder / ".physlm"
    own.mkdir(mode=0o700, exist_ok=True)
    config = own / "server.json"  # in a file, so that no list of processes shows the token
    write_whole(config, lambda part: part.write_text(json.dumps(options(seat, **limits))))
    config.chmod(0o600)
    command = [sys.executable, "-m", "jupyterlab", f"--config={config.resolve()}"]
    with (own / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=seat.folder, env=dict(environment(seat)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def answering(seat: Seat, seconds: float = 120) -> bool:
    """Wait until the server of a seat takes connections."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((seat.host, seat.port), timeout=2):
            return True
        time.sleep(0.2)
    return False


def serve(found: Sequence[Seat], **limits: int) -> None:
    """Serve until interrupted; then every server and kernel ends. ValueError if one does not start."""
    with ExitStack() as stack:
        running = []
        for seat in found:
            running.append(start(seat, **limits))
            stack.callback(stop, running[-1])
        for seat, process in zip(found, running, strict=True):
            if not answering(seat) or process.poll() is not None:
                raise ValueError(
                    f"the server of {seat.name} did not start; see {seat.folder / '.physlm' / 'server.log'}"
                )
        while True:
            time.sleep(1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and its kernels, in order if it can."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def class_list(found: Sequence[Seat]) -> str:
    """The addresses, a line a learner."""
    width = max(len(seat.name) for seat in found)
    return "\n".join(f"{seat.name:{width}}  {seat.address}" for seat in found)
