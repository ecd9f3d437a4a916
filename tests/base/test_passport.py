"""The passport: complete, right inside containers, and free of anything personal."""

import getpass
import os
import platform
import socket
from pathlib import Path

import numpy
import psutil
import pytest
import torch

import physlm_lite
from physlm_lite.base import machine
from physlm_lite.base.machine import (
    available_cores,
    available_memory,
    cgroup_cores,
    cgroup_memory,
    format_passport,
    passport,
)

KEYS = "kit python torch numpy jupyterlab device cores threads memory dtypes system scale".split()


def test_the_entries_stand_in_a_fixed_order_and_are_never_empty():
    entries = passport()
    assert list(entries) == KEYS
    assert all(isinstance(value, str) and value.strip() and "\n" not in value for value in entries.values())


def test_the_versions_are_the_running_ones():
    entries = passport()
    assert entries["kit"].startswith(physlm_lite.__version__)
    assert platform.python_version() in entries["python"]
    assert torch.__version__ in entries["torch"]
    assert entries["numpy"] == numpy.__version__
    assert "cpu: " in entries["device"]
    assert "float32" in entries["dtypes"]
    assert entries["threads"].startswith(str(torch.get_num_threads()))


def test_the_text_has_a_line_for_each_entry():
    lines = format_passport().splitlines()
    assert [line.split()[0] for line in lines] == KEYS


def test_nothing_personal_is_told(monkeypatch):
    monkeypatch.setenv("PHYSLM_SCALE", f"{Path.home()}/secret")
    text = format_passport()
    words = text.split()
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words
    for folder in (Path.home(), Path.cwd(), Path(physlm_lite.__file__).parent):
        assert str(folder) not in text


@pytest.mark.parametrize(("value", "shown"), [("toy", "toy"), (None, "not set"), ("huge", "none of smoke, toy")])
def test_the_scale_is_shown_when_it_is_one(monkeypatch, value, shown):
    monkeypatch.delenv("PHYSLM_SCALE", raising=False)
    if value is not None:
        monkeypatch.setenv("PHYSLM_SCALE", value)
    assert shown in passport()["scale"]


def test_without_git_the_version_is_still_told(monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(machine.subprocess, "run", no_git)
    assert passport()["kit"].startswith(physlm_lite.__version__)


def test_a_dtype_that_the_device_refuses_is_left_out(monkeypatch):
    ones = torch.ones

    def refusing(*size, dtype, device):
        if dtype == torch.float64:
            raise TypeError("no float64 here")
        return ones(*size, dtype=dtype, device=device)

    monkeypatch.setattr(machine, "DTYPES", (torch.float64, torch.float32))
    monkeypatch.setattr(torch, "ones", refusing)
    assert passport()["dtypes"].endswith("cpu: float32")


# Control groups: a made-up /sys/fs/cgroup, since the real one differs from machine to machine.


@pytest.fixture
def write(tmp_path):
    """Write a file of the made-up control group tree."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert cgroup_cores(tmp_path, tmp_path / "none") is None
    assert cgroup_memory(tmp_path, tmp_path / "none") == (None, 0)


def test_the_tightest_limit_on_the_way_up_counts(tmp_path, write):
    write("own", "0::/slice/job\n")
    write("slice/job/cpu.max", "max 100000\n")
    write("slice/cpu.max", "150000 100000\n")
    write("slice/job/memory.max", "max\n")
    write("slice/job/memory.current", "10\n")
    write("slice/memory.max", "1000\n")
    write("slice/memory.current", "400\n")
    assert cgroup_cores(tmp_path, tmp_path / "own") == 1.5
    assert cgroup_memory(tmp_path, tmp_path / "own") == (1000, 400)


def test_version_1_is_read_too(tmp_path, write):
    write("cpu/cpu.cfs_quota_us", "50000\n")
    write("cpu/cpu.cfs_period_us", "100000\n")
    write("memory/memory.limit_in_bytes", "2048\n")
    write("memory/memory.usage_in_bytes", "48\n")
    assert cgroup_cores(tmp_path, tmp_path / "none") == 0.5
    assert cgroup_memory(tmp_path, tmp_path / "none") == (2048, 48)
    write("cpu/cpu.cfs_quota_us", "-1\n")
    assert cgroup_cores(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"), [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.5, 1), (2, 4.0, 2)]
)
def test_cores_are_the_smaller_of_affinity_and_quota(monkeypatch, affinity, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(machine, "cgroup_cores", lambda: quota)
    assert available_cores() == expected


def test_memory_is_that_of_the_machine_or_of_the_tighter_control_group(monkeypatch):
    total = psutil.virtual_memory().total
    monkeypatch.setattr(machine, "cgroup_memory", lambda: (1000, 400))
    assert available_memory() == (1000, 600)
    monkeypatch.setattr(machine, "cgroup_memory", lambda: (2 * total, 400))
    assert available_memory()[0] == total
    monkeypatch.setattr(machine, "cgroup_memory", lambda: (None, 0))
    assert available_memory()[0] == total
