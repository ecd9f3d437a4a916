"""Prepare the environment in `.venv`, by `make` or where there is no make by hand:

    python requirements/set_up.py lab     what the notebooks need
    python requirements/set_up.py dev     that, and all that the tests need (the default)

It can be repeated at any time: nothing happens when nothing changed, and an interrupted run is taken up again.
Only the standard library is used, and nothing outside `.venv` is touched.

torch comes in builds of very different size, so the choice is made here and not left to chance:

* with an NVIDIA GPU, pip's own choice, which on Linux is a CUDA build of several GB;
* without one, the version in `ci-constraints.txt`; on Linux that is its CPU build, from PyTorch's CPU index when that
  answers, else from whatever indexes pip is configured with. Never a CUDA build: without a GPU it is useless.

`PHYSLM_TORCH=any` leaves torch to pip in every case (ROCm, a private index, another version installed beforehand).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "physlm-ready"
CONSTRAINTS = ROOT / "requirements" / "ci-constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON = (3, 11)

# What can be asked for: an extra of pyproject.toml, what to say of it, and a module of it that must work in the end.
# A later one contains those before it.
KINDS = {
    "lab": ("the kit and JupyterLab: a few minutes and about 1.7 GB the first time", "jupyterlab"),
    "dev": ("the kit, JupyterLab and the tools of the tests: a few minutes and about 2.5 GB the first time", "pytest"),
}


@dataclass(frozen=True)
class Machine:
    """What the decisions below depend on."""

    python: tuple[int, int]
    system: str  # sys.platform
    can_make_venv: bool
    has_nvidia_gpu: bool
    cpu_index_answers: bool
    torch_wish: str  # the variable PHYSLM_TORCH


def look_around() -> Machine:
    """Describe this machine."""
    linux, gpu = sys.platform.startswith("linux"), has_nvidia_gpu()
    wish = os.environ.get("PHYSLM_TORCH", "")
    return Machine(
        python=sys.version_info[:2],
        system=sys.platform,
        can_make_venv=all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")),
        has_nvidia_gpu=gpu,
        # Only Linux has a CPU build apart; elsewhere pip's ordinary torch has no CUDA in it.
        cpu_index_answers=linux and not gpu and wish != "any" and answers(f"{CPU_INDEX}/torch/"),
        torch_wish=wish,
    )


def has_nvidia_gpu() -> bool:
    """Whether nvidia-smi lists a GPU. The command alone says little: it may be there without a card or a driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    try:
        result = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and "GPU" in result.stdout


def answers(url: str, seconds: float = 4) -> bool:
    """Whether the address answers within a few seconds."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return True
    except (OSError, ValueError):
        return False


def refusal(machine: Machine) -> str | None:
    """Say in one sentence why the set-up cannot start here, or return None."""
    if machine.python < OLDEST_PYTHON:
        have, need = (".".join(map(str, version)) for version in (machine.python, OLDEST_PYTHON))
        return f"This is Python {have}, and the kit needs {need} or newer: try `make env PYTHON=python{need}`."
    if not machine.can_make_venv:
        return (
            "This Python cannot make virtual environments: install its venv module "
            "(Debian and Ubuntu: `sudo apt-get install python3-venv`)."
        )
    if machine.torch_wish not in ("", "any"):
        return f"PHYSLM_TORCH is {machine.torch_wish!r}, but it can only be empty or 'any'."
    return None


def torch_pin(constraints: str) -> str:
    """Return the line `torch==X.Y.Z` from the text of the constraints file."""
    (pin,) = (line.strip() for line in constraints.splitlines() if line.startswith("torch=="))
    return pin


def torch_step(machine: Machine, pin: str) -> tuple[list[str], str]:
    """Decide which torch to install ahead of everything else.

    Returns the arguments for `pip install`, none when pip is to choose, and the reason in plain words.
    """
    if machine.torch_wish == "any":
        return [], "PHYSLM_TORCH=any: pip chooses torch."
    if machine.has_nvidia_gpu:
        return [], "There is an NVIDIA GPU: pip chooses torch (under Linux a CUDA build, several GB)."
    if not machine.system.startswith("linux"):
        return [pin], f"No NVIDIA GPU: {pin}."
    # '+cpu' makes sure of it: where no CPU build is on offer pip stops, instead of taking several GB of CUDA.
    requirement = f"{pin}+cpu"
    if machine.cpu_index_answers:
        return ["--extra-index-url", CPU_INDEX, requirement], f"No NVIDIA GPU: {requirement} from PyTorch's CPU index."
    return [requirement], f"No NVIDIA GPU, and PyTorch's CPU index does not answer: {requirement} from pip's indexes."


def package_step(kind: str, torch_arguments: list[str], constraints: Path = CONSTRAINTS) -> list[str]:
    """Return the arguments for `pip install` that bring the kit; where torch was chosen, they hold on to it."""
    return [*(["-c", str(constraints)] if torch_arguments else []), "-e", f".[{kind}]"]


def fingerprint(root: Path = ROOT) -> str:
    """Return a hash of all that the environment is made from, and of its place, which is written into its scripts."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "requirements/ci-constraints.txt", "requirements/set_up.py"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def venv_python(venv: Path = VENV) -> Path:
    """Return the environment's interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_ready(venv: Path, stamp: Path, kind: str, expected: str) -> bool:
    """Whether a finished set-up of this kind or a larger one left its stamp, and its interpreter still runs.

    The interpreter may link to one since removed.
    """
    enough = [f"{name} {expected}" for name in list(KINDS)[list(KINDS).index(kind) :]]
    return stamp.exists() and stamp.read_text() in enough and venv_python(venv).exists()


def is_sound(python: Path) -> bool:
    """Whether the environment's interpreter is new enough and has pip; an interrupted start can leave half of it."""
    code = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return subprocess.run([str(python), "-c", code], capture_output=True).returncode == 0
    except OSError:
        return False


def run(command: list[str], otherwise: str) -> None:
    """Run a command in the repository's root; when it fails, leave with the sentence `otherwise`."""
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        sys.exit(f"\n{otherwise}")


def main(arguments: list[str]) -> None:
    """Bring `.venv` up to date and say what is being done."""
    kind = arguments[0] if arguments else "dev"
    if len(arguments) > 1 or kind not in KINDS:
        sys.exit(f"Expected one of {', '.join(KINDS)}, not {' '.join(arguments)!r}.")
    contents, module = KINDS[kind]
    expected = fingerprint()
    if is_ready(VENV, STAMP, kind, expected):
        print("The environment in .venv is up to date.")
        return
    machine = look_around()
    if reason := refusal(machine):
        sys.exit(reason)

    STAMP.unlink(missing_ok=True)
    python = venv_python()
    if not is_sound(python):
        print("Making a virtual environment in .venv", flush=True)
        run([sys.executable, "-m", "venv", str(VENV)], "The virtual environment could not be made.")
        if not is_sound(python):
            sys.exit("The environment in .venv is damaged or too old: remove that folder and run this again.")

    pip_install = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    torch_arguments, reason = torch_step(machine, torch_pin(CONSTRAINTS.read_text()))
    print(reason, flush=True)
    if torch_arguments:
        run(
            [*pip_install, *torch_arguments],
            "torch could not be installed. If pip found no matching version, it can reach no CPU build from here: "
            "connect to the internet, or set PHYSLM_TORCH=any to accept whichever build pip finds (several GB).",
        )
    print(f"Installing {contents}", flush=True)
    run(
        [*pip_install, *package_step(kind, torch_arguments)],
        "The packages could not be installed: see pip's message above, then run this again; it takes up where it was.",
    )
    print("Checking that it works", flush=True)
    run(
        [str(python), "-c", f"import torch, {module}, physlm_lite"],
        "The environment in .venv does not work: remove that folder and run this again.",
    )
    STAMP.write_text(f"{kind} {expected}")
    print("The environment in .venv is ready.")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run the same command again; it takes up where it was.")
