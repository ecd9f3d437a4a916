"""What a record tells of the machine: enough to compare numbers, nothing about a person."""

from __future__ import annotations

import getpass
import json
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import physlm_lite
from physlm_lite.base import machine
from physlm_lite.base.machine import describe_machine, peak_memory_mb
from physlm_lite.training import Run, Store, train


def test_the_description_is_complete() -> None:
    described = describe_machine(torch.device("cpu"))
    assert described["device"] == f"cpu {platform.machine()}"
    assert described["threads"] == torch.get_num_threads()
    assert described["python"] == platform.python_version()
    assert described["torch"] == torch.__version__
    assert described["physlm"] == physlm_lite.__version__


def test_a_record_names_no_host_no_user_and_no_folder(tiny: Run, runs: Path) -> None:
    train(tiny, store=Store(), device="cpu")
    text = (runs / f"{tiny.hash}.json").read_text()
    words = set(json.dumps(text).replace('"', " ").replace("\\", " ").replace(",", " ").split())
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words
    for folder in (Path.home(), Path.cwd(), runs, Path(physlm_lite.__file__).parent):
        assert str(folder) not in text


def test_the_peak_is_at_least_what_is_in_use_now() -> None:
    now = psutil.Process().memory_info().rss / 1e6
    assert 0.9 * now < peak_memory_mb() < 1e6


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    machine.commit.cache_clear()
    monkeypatch.setattr(machine.subprocess, "run", fail)
    assert machine.commit() is None
    machine.commit.cache_clear()
