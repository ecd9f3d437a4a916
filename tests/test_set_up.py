"""The decisions of requirements/set_up.py, with the outside world made up: no network, no environment."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
PIN = "torch==1.2.3"


def load_set_up() -> ModuleType:
    """Import the script by its path: it belongs to no package."""
    spec = importlib.util.spec_from_file_location("set_up", ROOT / "requirements" / "set_up.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


set_up = load_set_up()


def machine(**changes):
    """A Linux machine without a GPU that reaches PyTorch's CPU index, but for the changes."""
    facts = {
        "python": (3, 12),
        "system": "linux",
        "can_make_venv": True,
        "has_nvidia_gpu": False,
        "cpu_index_answers": True,
        "torch_wish": "",
    }
    return set_up.Machine(**{**facts, **changes})


def test_an_ordinary_machine_is_not_refused():
    assert set_up.refusal(machine()) is None
    assert set_up.refusal(machine(torch_wish="any")) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": (3, 10)}, ["Python 3.10", "3.11 or newer"]),
        ({"can_make_venv": False}, ["python3-venv"]),
        ({"torch_wish": "nightly"}, ["PHYSLM_TORCH", "'nightly'", "'any'"]),
    ],
)
def test_a_refusal_is_one_sentence_that_says_what_to_do(changes, words):
    reason = set_up.refusal(machine(**changes))
    assert all(word in reason for word in words)
    assert "\n" not in reason


def test_linux_without_gpu_takes_the_cpu_build_from_its_index():
    arguments, reason = set_up.torch_step(machine(), PIN)
    assert arguments == ["--extra-index-url", set_up.CPU_INDEX, "torch==1.2.3+cpu"]
    assert "CPU index" in reason


def test_without_the_index_it_still_asks_for_nothing_but_the_cpu_build():
    arguments, reason = set_up.torch_step(machine(cpu_index_answers=False), PIN)
    assert arguments == ["torch==1.2.3+cpu"]
    assert "does not answer" in reason


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_the_ordinary_build_has_no_cuda(system):
    arguments, _ = set_up.torch_step(machine(system=system, cpu_index_answers=False), PIN)
    assert arguments == [PIN]


@pytest.mark.parametrize("changes", [{"has_nvidia_gpu": True}, {"torch_wish": "any"}])
def test_with_a_gpu_or_on_request_pip_chooses(changes):
    arguments, _ = set_up.torch_step(machine(**changes), PIN)
    assert arguments == []
    assert set_up.package_step("lab", arguments) == ["-e", ".[lab]"]


def test_a_chosen_torch_is_held_on_to_and_never_upgraded():
    arguments = set_up.package_step("dev", [PIN])
    assert arguments == ["-c", str(ROOT / "requirements" / "ci-constraints.txt"), "-e", ".[dev]"]
    assert not {"-U", "--upgrade"} & {*arguments, *set_up.torch_step(machine(), PIN)[0]}


def test_the_constraints_hold_one_exact_torch():
    assert set_up.torch_pin("# why\ntorch==1.2.3\n") == PIN
    with pytest.raises(ValueError, match="unpack"):
        set_up.torch_pin("torch>=2\n")


@pytest.mark.parametrize(
    ("returncode", "stdout", "expected"),
    [(0, "GPU 0: NVIDIA H100 (UUID: GPU-0)\n", True), (0, "", False), (9, "no driver", False)],
)
def test_a_gpu_is_one_that_nvidia_smi_lists(monkeypatch, returncode, stdout, expected):
    monkeypatch.setattr(set_up.shutil, "which", lambda name: name)
    answer = SimpleNamespace(returncode=returncode, stdout=stdout)
    monkeypatch.setattr(set_up.subprocess, "run", lambda *_, **__: answer)
    assert set_up.has_nvidia_gpu() is expected


def test_no_nvidia_smi_or_one_that_hangs_means_no_gpu(monkeypatch):
    def hang(*_, **__):
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    monkeypatch.setattr(set_up.subprocess, "run", hang)
    monkeypatch.setattr(set_up.shutil, "which", lambda name: name)
    assert set_up.has_nvidia_gpu() is False
    monkeypatch.setattr(set_up.shutil, "which", lambda name: None)
    assert set_up.has_nvidia_gpu() is False


def test_an_address_that_fails_does_not_answer(monkeypatch):
    def fail(*_, **__):
        raise set_up.urllib.error.URLError("no such host")

    monkeypatch.setattr(set_up.urllib.request, "urlopen", fail)
    assert set_up.answers(set_up.CPU_INDEX) is False


def test_the_index_is_asked_only_where_its_answer_matters(monkeypatch):
    asked = []
    monkeypatch.setattr(set_up, "answers", lambda url: bool(asked.append(url)) or True)
    monkeypatch.setattr(set_up, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(set_up.sys, "platform", "linux")
    assert set_up.look_around().cpu_index_answers is False
    monkeypatch.setattr(set_up, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(set_up.sys, "platform", "darwin")
    assert set_up.look_around().cpu_index_answers is False
    assert asked == []
    monkeypatch.setattr(set_up.sys, "platform", "linux")
    assert set_up.look_around().cpu_index_answers is True
    assert len(asked) == 1


@pytest.fixture
def checkout(tmp_path):
    """The files that the environment depends on, in a folder of their own."""
    for name in ("pyproject.toml", "requirements/ci-constraints.txt", "requirements/set_up.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/ci-constraints.txt", "requirements/set_up.py"])
def test_a_changed_file_asks_for_a_new_set_up(checkout, name):
    before = set_up.fingerprint(checkout)
    assert set_up.fingerprint(checkout) == before
    (checkout / name).write_text("something else")
    assert set_up.fingerprint(checkout) != before


def test_ready_means_stamped_and_still_there(tmp_path):
    stamp, python = tmp_path / "stamp", set_up.venv_python(tmp_path)
    assert not set_up.is_ready(tmp_path, stamp, "lab", "abc")
    stamp.write_text("lab abc")
    assert not set_up.is_ready(tmp_path, stamp, "lab", "abc"), "the interpreter is gone"
    python.parent.mkdir()
    python.touch()
    assert set_up.is_ready(tmp_path, stamp, "lab", "abc")
    assert not set_up.is_ready(tmp_path, stamp, "lab", "abcd"), "made from other files"


def test_the_larger_environment_serves_for_the_smaller_one_and_not_the_other_way(tmp_path):
    stamp, python = tmp_path / "stamp", set_up.venv_python(tmp_path)
    python.parent.mkdir()
    python.touch()
    stamp.write_text("dev abc")
    assert set_up.is_ready(tmp_path, stamp, "lab", "abc") and set_up.is_ready(tmp_path, stamp, "dev", "abc")
    stamp.write_text("lab abc")
    assert not set_up.is_ready(tmp_path, stamp, "dev", "abc")


def test_what_can_be_asked_for_is_an_extra_and_the_larger_one_holds_the_smaller():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert list(set_up.KINDS) == ["lab", "dev"] and set(set_up.KINDS) <= set(extras)
    assert any("[lab" in line for line in extras["dev"])


@pytest.mark.parametrize("arguments", [["labs"], ["lab", "dev"], [""]])
def test_an_unknown_wish_is_refused_before_anything_is_done(played, arguments):
    with pytest.raises(SystemExit, match="Expected one of lab, dev, not '"):
        set_up.main(arguments)
    assert played == []


def test_a_half_made_environment_is_not_sound(tmp_path):
    assert set_up.is_sound(Path(sys.executable))
    assert not set_up.is_sound(tmp_path / "bin" / "python")


@pytest.fixture
def played(monkeypatch, tmp_path):
    """`main` on a made-up machine in a temporary folder; returns the commands that it would run."""
    commands = []
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    monkeypatch.setattr(set_up, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(set_up, "venv_python", lambda venv=tmp_path: tmp_path / "python")
    monkeypatch.setattr(set_up, "look_around", machine)
    monkeypatch.setattr(set_up, "is_sound", Path.exists)

    def run(command, otherwise):
        commands.append(command)
        if "venv" in command:
            (tmp_path / "python").touch()

    monkeypatch.setattr(set_up, "run", run)
    return commands


def test_a_first_set_up_goes_through_all_steps_and_a_second_does_nothing(played, capsys):
    set_up.main(["lab"])
    assert [word for command in played for word in command if word in ("venv", "install", "-c", ".[lab]")] == [
        "venv",
        "install",
        "install",
        "-c",
        ".[lab]",
        "-c",
    ]
    assert capsys.readouterr().out.endswith("ready.\n")
    played.clear()
    set_up.main(["lab"])
    assert played == []
    assert "up to date" in capsys.readouterr().out


def test_tests_ask_for_more_in_the_same_place(played):
    set_up.main(["lab"])
    played.clear()
    set_up.main([])
    assert not any("venv" in command for command in played)
    assert any(".[dev]" in command for command in played)
    played.clear()
    set_up.main(["lab"])
    assert played == []


def test_an_interrupted_set_up_leaves_no_stamp_and_is_taken_up_again(played, monkeypatch):
    whole, tries = set_up.run, []

    def interrupted(command, otherwise):
        if "install" in command and not tries:
            tries.append(command)
            raise KeyboardInterrupt
        whole(command, otherwise)

    monkeypatch.setattr(set_up, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        set_up.main(["dev"])
    assert not set_up.STAMP.exists()
    played.clear()
    set_up.main(["dev"])
    assert set_up.STAMP.exists()
    assert not any("venv" in command for command in played), "the environment made before is used"


def test_a_refused_machine_is_left_alone(played, monkeypatch):
    monkeypatch.setattr(set_up, "look_around", lambda: machine(python=(3, 9)))
    with pytest.raises(SystemExit, match=r"Python 3\.9"):
        set_up.main(["dev"])
    assert played == []


def test_a_failing_step_ends_with_its_sentence():
    with pytest.raises(SystemExit, match="What to do"):
        set_up.run([sys.executable, "-c", "raise SystemExit(3)"], "What to do.")
