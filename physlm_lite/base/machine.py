"""This machine: what may be used of it, what a record says of it, and its passport.

The passport is what a number depends on besides the code. It is meant to be pasted into a bug report or kept beside a
result, so it holds no name of host or user and no path; neither does what a record says.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from .. import __version__
from .scales import SCALES
from .strict import shown

ROOT = Path(__file__).resolve().parents[2]  # of the checkout, if it is one
CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def passport() -> dict[str, str]:
    """Describe this machine and this installation, a short text for each thing that matters.

    The keys are `kit python torch numpy jupyterlab device cores threads memory dtypes system scale`, in this order.
    Takes about a tenth of a second, plus the start of the GPU where there is one.
    """
    built_for, (total, available) = torch.version.cuda or torch.version.hip, available_memory()
    kit, scale = __version__, os.environ.get("PHYSLM_SCALE")
    if (ROOT / ".git").exists():  # a report names the code that ran
        head = commit() or "unknown"
        kit += f", commit {head.rstrip('+')}{', with local changes' * head.endswith('+')}"
    if scale not in SCALES:  # it may hold any text, and this goes into public reports
        scale = "not set (PHYSLM_SCALE)" if scale is None else f"PHYSLM_SCALE is none of {', '.join(SCALES)}"
    return {
        "kit": kit,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "torch": f"{torch.__version__} (built for {f'CUDA {built_for}' if built_for else 'no CUDA'})",
        "numpy": _installed("numpy"),
        "jupyterlab": _installed("jupyterlab"),
        "device": "; ".join(map(_describe, _devices())),
        "cores": f"{available_cores()} of {os.cpu_count()}",
        "threads": f"{torch.get_num_threads()} for torch",
        "memory": f"{_gib(available)} available of {_gib(total)}",
        "dtypes": "; ".join(map(_dtypes, _devices())),
        "system": _system(),
        "scale": scale,
    }


def format_passport() -> str:
    """Return the passport as aligned text, one line for each entry."""
    entries = passport()
    width = max(map(len, entries))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in entries.items())


def available_cores() -> int:
    """Return how many cores this process may keep busy: the smallest of the machine's, its affinity's and its cgroup's.

    A cgroup may grant a fraction of a core, which is rounded up: a process has at least one thread.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cores()
    return allowed if quota is None else max(1, min(allowed, int(-(-quota // 1))))


def available_memory() -> tuple[int, int]:
    """Return (total, available) memory in bytes for this process, within the limits of its cgroup."""
    machine = psutil.virtual_memory()
    limit, used = cgroup_memory()
    if limit is None or limit >= machine.total:
        return machine.total, machine.available
    return limit, max(0, min(machine.available, limit - used))


def device_of(name: str | None) -> torch.device:
    """The device to train on: the one named, else a GPU of NVIDIA's or Apple's if there is one, else the CPU.

    Apple's has never been tried by us. Raises ValueError for a device that is not here.
    """
    if name is None:
        return _devices()[0]
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        here = ", ".join(map(str, _devices()))
        raise ValueError(f"there is no device {shown(name)} here; choose one of {here}") from error
    return device


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (on Windows: the present one)."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss would count the process that started this one, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return psutil.Process().memory_info().rss / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6


@contextmanager
def single_thread() -> Iterator[None]:
    """One PyTorch thread for each run inside: small models gain nothing from more, and runs beside each other do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Device, threads, versions and commit; nothing that names a person or a place."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} {name}",
        "cpu": torch.backends.cpu.get_cpu_capability(),  # which instructions add up, and so in which order
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "physlm": __version__,
        "commit": commit(),
    }


@cache
def commit() -> str | None:
    """The commit of the checkout that the package runs from, with a + when files were changed; None elsewhere."""
    head = _git("rev-parse", "--short=12", "HEAD") if (ROOT / ".git").exists() else None
    return head and head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    """What git prints, without taking a lock; None if it cannot be asked."""
    options: dict[str, Any] = {"cwd": ROOT, "env": {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}, "timeout": 10}
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, **options)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def cgroup_cores(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUP) -> float | None:
    """Return the processor time that the cgroup grants, in cores, or None where nothing limits it."""
    quotas = []
    for folder in _cgroup_folders(root, own):
        match _read(folder / "cpu.max").split():
            case [quota, period] if quota != "max":
                quotas.append(int(quota) / int(period))
    # version 1
    match [*_read(root / "cpu/cpu.cfs_quota_us").split(), *_read(root / "cpu/cpu.cfs_period_us").split()]:
        case [quota, period] if int(quota) > 0:
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def cgroup_memory(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUP) -> tuple[int | None, int]:
    """Return the tightest (limit, used) memory of the cgroup in bytes; the limit is None where there is none."""
    places = [(folder / "memory.max", folder / "memory.current") for folder in _cgroup_folders(root, own)]
    places.append((root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes"))  # version 1
    found = []
    for limit_file, used_file in places:
        match [*_read(limit_file).split(), *_read(used_file).split()]:
            case [limit, used] if limit != "max":
                found.append((int(limit), int(used)))
    return min(found, key=lambda pair: pair[0] - pair[1], default=(None, 0))


def _cgroup_folders(root: Path, own: Path) -> list[Path]:
    """Return this process's cgroup (version 2) and all above it: each of them may set a limit."""
    for line in _read(own).splitlines():
        if line.startswith("0::/"):
            folder = root / line.removeprefix("0::/")
            return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
    return [root]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> list[torch.device]:
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return [*devices, torch.device("cpu")]


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"{device}: {card.name}, {_gib(card.total_memory)}, compute capability {card.major}.{card.minor}"
    if device.type == "mps":
        return "mps: Apple GPU"
    named = re.search(r"^model name\s*: (.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    processor = named[1].strip() if named else platform.processor() or platform.machine()
    return f"cpu: {processor}, {torch.backends.cpu.get_cpu_capability()}"


def _dtypes(device: torch.device) -> str:
    """Return the dtypes in which the device multiplies matrices; whether fast is another question."""
    names = []
    for dtype in DTYPES:
        with suppress(RuntimeError, TypeError):
            matrix = torch.ones(2, 2, dtype=dtype, device=device)
            names += [str(dtype).removeprefix("torch.")] * bool((matrix @ matrix == 2).all())
    return f"{device}: {' '.join(names)}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel
