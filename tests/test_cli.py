"""The `physlm` command: exit codes, one sentence for each mistake, and nothing but JSON where JSON is asked for."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import skip_reasons

import physlm_lite
from physlm_lite import claims
from physlm_lite.base import machine
from physlm_lite.claims import plan
from physlm_lite.claims.own import EXAMPLE
from physlm_lite.claims.queue import Job, Queue
from physlm_lite.cli import VERBS, main
from physlm_lite.lab import terminal
from physlm_lite.training import Run, Store, cost, train
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")

Capture = pytest.CaptureFixture[str]
SMOKE = ("replicate", "R2-depth", "--scale", "smoke")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """Workers for all tests: starting them takes seconds."""
    with Manager(Store(tmp_path_factory.mktemp("kept"))) as manager:
        yield manager


@pytest.fixture(autouse=True)
def _with_warm_workers(warm: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    def manager(store: Store, workers: int) -> Any:
        Manager(store, workers).close()  # takes away what killed processes have left
        return nullcontext(warm)

    monkeypatch.setattr(terminal, "Manager", manager)


def interruptible() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and children inherit that; undo it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def command(runs: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PHYSLM_RUNS": str(runs),
        "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1]),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "physlm_lite.cli", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible if os.name == "posix" else None,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def complaint(capsys: Capture) -> str:
    """The one sentence on standard error; standard output must be empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("physlm: ") and err.count("\n") == 1 and err.endswith("\n")
    return err


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_without_arguments_the_help_is_shown(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and all(verb in err for verb in VERBS)
    monkeypatch.setattr(sys, "argv", ["physlm"])
    assert main() == 2


def test_every_verb_is_known_by_both_lists(capsys: Capture) -> None:
    for verb in VERBS:
        with pytest.raises(SystemExit) as caught:
            main([verb, "--help"])
        assert caught.value.code == 0
        assert f"usage: physlm {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replicte", "R1"], "unknown verb 'replicte'; did you mean 'replicate'?"),
        (["replicate", "R2-dept"], "unknown claim 'R2-dept'; did you mean 'R2-depth'?"),
        (["replicate", "R1", "--scale", "toi"], "unknown scale 'toi'; did you mean 'toy'?"),
        (
            ["replicate", "R2-ladder", "--scale", "toy"],
            "R2-ladder has nothing at toy scale; the nearest is --scale laptop",
        ),
        (
            ["replicate", "R1", "--scale", "gpu"],
            "here, without a GPU; the nearest is --scale laptop",
        ),
        (
            ["replicate", "all", "--scale", "gpu"],
            "gpu scale needs a GPU, and there is none here; `physlm replicate CLAIM",
        ),
        ([*SMOKE, "--workers", "0"], "workers must be at least 1, not 0"),
        ([*SMOKE, "--workers", "-1"], "workers must be at least 1, not -1"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(capsys: Capture, runs: Path, arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    assert said in complaint(capsys)
    assert not runs.exists()


def test_the_scale_of_the_environment_is_checked_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSLM_SCALE", "labtop")
    assert main(["replicate", "R1"]) == 2
    assert "did you mean 'laptop'?" in complaint(capsys)


def test_a_folder_of_records_that_is_a_file(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    assert main([*SMOKE, "--into", str(tmp_path / "file")]) == 2
    assert "is a file where records need a folder" in complaint(capsys)
    assert main([*SMOKE, "--into", str(tmp_path / "file" / "below")]) == 2
    assert "cannot write into" in complaint(capsys)
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path / "file"))
    assert main(["ledger"]) == 2
    assert "PHYSLM_RUNS" in complaint(capsys)


@pytest.mark.parametrize("name", ["of a run", "of no run"])
def test_a_broken_record_is_named_and_the_ledger_printed(
    capsys: Capture, runs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    the_claim = claims.claim("R2-depth")
    monkeypatch.setattr("physlm_lite.claims.ledger.CLAIMS", {the_claim.id: the_claim})
    assert main(["ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    path = runs / f"{the_claim.experiment('toy').run('RoPE', 1e-3, 0).hash if name == 'of a run' else name}.json"
    runs.mkdir()
    path.write_text('{"id": "cut off\x1b[2J')
    assert main(["ledger", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == rows
    assert err.startswith(f"physlm: skipped: {path} is not a run record (") and err.count("\n") == 1


def test_too_little_memory_is_a_sentence(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "available_memory", lambda: (10**6, 10**6))
    assert main([*SMOKE]) == 2
    assert "GB are free; choose a smaller scale" in complaint(capsys)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(machine, "format_passport", broken)
    with pytest.raises(KeyError):
        main(["passport"])


def test_ctrl_c_is_130(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "format_passport", interrupted)
    assert main(["passport"]) == 130
    assert "finished runs are kept" in complaint(capsys)


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_signal_ends_in_order_and_handlers_are_put_back(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number = getattr(signal, name)
    usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    ours = signal.signal(number, usual)  # a shell that runs the tests in the background has it ignored
    try:
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        monkeypatch.setattr(machine, "format_passport", lambda: os.kill(os.getpid(), number) or time.sleep(10))
        assert main(["passport"]) == 128 + number
        assert "finished runs are kept" in complaint(capsys)
        assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    finally:
        signal.signal(number, ours)


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_what_nohup_ignores_stays_ignored(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "format_passport", lambda: str(os.kill(os.getpid(), signal.SIGHUP)))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["passport"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert capsys.readouterr().err == ""


def test_a_missing_package_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert main(["sample", "copy", "--into", str(tmp_path / "rows.parquet")]) == 2
    assert "this needs the package datasets; install it, or all: pip install 'physlm_lite[lab]'" in complaint(capsys)


def test_memory_that_runs_out_is_said(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> str:
        raise MemoryError

    monkeypatch.setattr(machine, "format_passport", full)
    assert main(["passport"]) == 2
    assert complaint(capsys) == "physlm: MemoryError\n"


# -- verbs -------------------------------------------------------------------------------------------------------------


def test_the_passport_has_a_line_for_each_thing(capsys: Capture) -> None:
    assert main(["passport"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()][:3] == ["kit", "python", "torch"]


def test_the_ledger_as_a_table_and_as_json(capsys: Capture) -> None:
    assert main(["ledger"]) == 0
    table, err = capsys.readouterr()
    assert err == ""
    assert main(["ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["claim"] for row in rows if row["basis"] == "recorded"} == set(claims.CLAIMS)
    assert [row["claim"] for row in rows if row["basis"] == "published"] == list(claims.PUBLISHED)
    above, others = table.split("\n\nJudged on published numbers, not on runs of ours (one run of each kind):\n")
    *lines, _, luck, first = above.splitlines()[1:]
    assert "by luck" in luck and first.startswith("* ")
    for row, line in zip(rows, [*lines, *others.splitlines()], strict=True):
        assert line.startswith(row["claim"]) and row["verdict"] in line


def test_the_ledger_as_a_page_and_as_csv(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = claims.claim("R4-activation")
    monkeypatch.setattr("physlm_lite.claims.ledger.CLAIMS", {depth.id: depth})
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine.yaml"
    own.write_text(EXAMPLE)
    assert main(["ledger", "mine.yaml", "--html", "--csv", "found/rows.csv"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and re.fullmatch(r"ledger.html, 0.\d MB\nfound/rows.csv, 0.0 MB\n", out)
    page = (tmp_path / "ledger.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "physlm replicate mine.yaml --scale toy" in page
    with (tmp_path / "found" / "rows.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["claim"], line["clock"]) for line in lines[:2]] == [(depth.id, "steps"), (depth.id, "seconds")]
    assert lines[0]["verdict"] == claims.recorded(depth, "toy").verdict.word
    (found,) = claims.recorded(depth, "toy").verdict.comparisons
    assert (float(lines[0]["low"]), float(lines[0]["high"])) == found.interval
    last = [line for line in lines if line["basis"] == "recorded"][-1]
    assert last["claim"] == "mine" and last["verdict"] == "not run" and last["metric"] == ""
    assert main(["ledger", "--csv", "found/rows.csv", "--json"]) == 0  # it is replaced; JSON is still JSON
    assert json.loads(capsys.readouterr().out)[0]["claim"] == depth.id


def test_replicate_prints_the_papers_numbers_beside_ours(capsys: Capture, runs: Path) -> None:
    assert main(list(SMOKE)) == 0
    out, err = capsys.readouterr()
    for said in (
        "R2-depth: Canon layers deepen reasoning",
        "RoPE + Canon 97, 92, 73, 94 %",
        "3 seeds, 4 steps",
        "k = 1 hop ",
        "at equal seconds",
        "rule: counted are the steps",
        "verdict: NOT RUN",
        "figure: ",
    ):
        assert said in out, said
    assert "6 runs, each about" in err
    figure = Path(re.search(r"figure: (.*)", out).group(1))  # type: ignore[union-attr]
    assert figure == runs / "figures" / "R2-depth-smoke.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert len(list(Store(runs))) == 6


def test_into_keeps_records_and_figure_elsewhere(capsys: Capture, runs: Path, tmp_path: Path) -> None:
    assert main([*SMOKE, "--into", str(tmp_path / "else")]) == 0
    assert not runs.exists()
    assert len(list(Store(tmp_path / "else"))) == 6
    assert (tmp_path / "else" / "figures" / "R2-depth-smoke.png").exists()


def test_again_replaces_the_records(capsys: Capture, runs: Path) -> None:
    assert main(list(SMOKE)) == 0
    records = sorted(runs.glob("*.json"))
    for path in records:
        os.utime(path, (0, 0))
    capsys.readouterr()
    assert main(list(SMOKE)) == 0
    assert "all runs are recorded already (--again carries them out anew)" in capsys.readouterr().err
    assert {path.stat().st_mtime for path in records} == {0}
    assert main([*SMOKE, "--again"]) == 0
    assert "6 runs, each about" in capsys.readouterr().err
    assert sorted(runs.glob("*.json")) == records
    assert min(path.stat().st_mtime for path in records) > 0


def test_again_keeps_what_was_finished_before_ctrl_c(
    capsys: Capture, runs: Path, tiny: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, store: Store, **__: Any) -> None:
        train(tiny, store=store, device="cpu")
        train(tiny.but(seed=1), store=store, device="cpu", stop=lambda: True)
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal, "replicate", interrupted)
    whole = train(tiny.but(seed=1), store=Store(), device="cpu")
    assert main([*SMOKE, "--again"]) == 130
    assert {record.run.seed: record.status for record in Store(runs)} == {0: "finished", 1: "finished"}
    assert Store(runs).find(whole.run).curve == whole.curve  # type: ignore[union-attr]
    assert sorted(path.suffix for path in runs.iterdir()) == [".json", ".json"]


AGAIN = """
import os, signal, sys, threading, time
from pathlib import Path
import torch
from physlm_lite.cli import main
from physlm_lite.lab import terminal  # what is imported late
from physlm_lite.training import Store
store, number = Store(Path(sys.argv[1])), int(sys.argv[2])
first = next(iter(sorted(Path(sys.argv[1]).glob("*.json"))))
def wait():
    while not any(path.stat().st_mtime > 1 for path in Path(sys.argv[1]).glob("*.json")):
        time.sleep(0.001)
    os.kill(os.getpid(), number)
threading.Thread(target=wait, daemon=True).start()
sys.exit(main(["replicate", "R2-depth", "--scale", "smoke", "--again", "--workers", "1"]))
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_again_keeps_what_is_finished_whatever_ends_it(runs: Path) -> None:
    """As soon as the first old record is replaced, the process is ended: that one is new, all others are still whole."""
    assert main([*SMOKE, "--workers", "2"]) == 0
    paths = sorted(runs.glob("*.json"))
    curves = {record.id: record.final["accuracy"] for record in Store(runs)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for path in paths:
            os.utime(path, (0, 0))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", AGAIN, str(runs), str(int(number))],
            env=environment, capture_output=True, text=True, preexec_fn=interruptible,
        )  # fmt: skip
        assert done.returncode == (-9 if number == signal.SIGKILL else 128 + number), done.stderr
        assert 1 <= sum(path.stat().st_mtime > 1 for path in paths) < len(paths)
        assert {record.id: record.final["accuracy"] for record in Store(runs)} == curves
        left = [path.name for path in runs.iterdir() if path.name.startswith(".")]
        assert len(left) in ((1, 2) if number == signal.SIGKILL else (0,))  # gone with the next write
    assert main([*SMOKE, "--again", "--workers", "1"]) == 0
    assert sorted(runs.iterdir()) == sorted([*paths, runs / "figures"])


def test_the_whole_grid_can_be_walked(capsys: Capture, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([*SMOKE, "--grid", "--workers", "2"]) == 0
    experiment = claims.claim("R2-depth").experiment("smoke")
    assert {record.id for record in Store(runs)} >= {run.hash for _, run in experiment.walk()}
    assert "18 runs, each about" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["no Matplotlib", "a file in the way", "no font"])
def test_the_verdict_is_told_even_where_the_figure_cannot_be_drawn(
    capsys: Capture, runs: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "no Matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        monkeypatch.delitem(sys.modules, "physlm_lite.lab.plots", raising=False)
    elif fault == "a file in the way":
        runs.mkdir()
        (runs / "figures").write_text("a file")
    else:
        from matplotlib.figure import Figure

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("no font\x1b[2J was found")

        monkeypatch.setattr(Figure, "savefig", fail)
    assert main(list(SMOKE)) == 0
    out, err = capsys.readouterr()
    assert "verdict: NOT RUN" in out and "figure: " not in out
    assert (
        re.search(r"^physlm: no figure was drawn: .*[a-z]", err, re.MULTILINE) and "\x1b" not in err.split("step/s")[-1]
    )
    assert main([*SMOKE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figure"] is None


# -- the queue ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of one claim."""
    monkeypatch.setattr(plan, "CLAIMS", {"R2-depth": claims.claim("R2-depth")})


ALL = ("replicate", "all", "--scale", "smoke")


@pytest.mark.usefixtures("one_claim")
def test_the_plan_says_what_is_lacking_and_runs_nothing(capsys: Capture, runs: Path) -> None:
    assert main([*ALL, "--plan"]) == 0
    row, total = capsys.readouterr().out.splitlines()
    assert re.match(r"  R2-depth smoke +18 runs +\d+ s   no fresh seeds yet$", row)
    assert total.startswith("0 rows at smoke scale are complete and 1 are not: 18 different runs, about ")
    assert not runs.exists()


@pytest.mark.usefixtures("one_claim")
def test_all_is_carried_out_a_line_for_each_run_and_once(capsys: Capture, runs: Path) -> None:
    assert main([*ALL, "--workers", "1", "--hours", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line.split(":")[0] for line in lines[3:]]
    assert set(said) == {"R2-depth smoke"} and len(said) >= 18  # a grid may be extended
    assert lines[-1].endswith("; 0 more")
    assert sorted(path.name for path in runs.iterdir()) == sorted(f"{record.id}.json" for record in Store(runs))
    assert main([*ALL, "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert (
        out.startswith("1 rows at smoke scale are complete and 0 are not: 0 different runs") and "R2-depth" not in out
    )


def test_the_plan_of_a_claim_says_what_it_takes_and_runs_nothing(capsys: Capture, runs: Path) -> None:
    assert main([*SMOKE, "--plan"]) == 0
    assert capsys.readouterr().out.startswith("R2-depth at smoke scale: 6 runs, each about ")
    assert main(["replicate", "R1", "--scale", "gpu", "--plan"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^in all, on h100 +39 minutes$", out, re.MULTILINE)
    assert "here, without a GPU; the nearest that can be carried out here is" in out
    assert not runs.exists()


def test_without_a_queue_there_is_none_to_see_or_stop(capsys: Capture, runs: Path) -> None:
    for options in ([], ["--stop"]):
        assert main(["queue", *options]) == 0
        assert capsys.readouterr().out == f"no queue is at work in {runs}\n"
    assert main(["queue", "--json"]) == 0
    assert capsys.readouterr().out == "null\n"


def test_a_queue_is_seen_and_stopped(capsys: Capture, runs: Path, tiny: Run) -> None:
    runs.mkdir()
    endless = Job("R1 toy", tiny.but(steps=10**6, evaluations=1), 7200.0)
    thread = threading.Thread(target=Queue(Store(runs), lambda: [endless], (3, 9000.0), workers=1).work)
    thread.start()
    out = ""
    while "R1 toy" not in out:
        time.sleep(0.1)
        assert main(["queue"]) == 0
        out = capsys.readouterr().out
    assert re.search(r"  R1 toy +run [0-9a-f]{12}, step [\d,]+ of 1,000,000\n3 runs left, about 2.5 h\n$", out)
    assert main(["queue", "--stop"]) == 0
    assert capsys.readouterr().out.endswith("stopped; the same command goes on from here\n")
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*ALL, "--grid"], "--grid is for one claim, not for all"),
        ([*ALL, "--json"], "--json is for one claim, not for all"),
        ([*ALL, "--workers", "0"], "workers must be at least 1, not 0"),
        ([*ALL, "--hours", "0"], "hours must be above 0, not 0"),
        ([*SMOKE, "--hours", "2"], "--hours is for the queue: physlm replicate all"),
        ([*SMOKE, "--hours", "0"], "--hours is for the queue: physlm replicate all"),
        ([*SMOKE, "--slurm"], "--slurm is for the queue: physlm replicate all"),
        ([*SMOKE, "--dry-run"], "--dry-run is for the queue: physlm replicate all"),
        ([*ALL, "--members", "3"], "--members goes with --slurm"),
    ],
)
def test_what_makes_no_sense_for_all_or_for_one(capsys: Capture, runs: Path, arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    assert complaint(capsys) == f"physlm: {said}\n"
    assert not runs.exists()


def test_an_array_of_members_is_printed_and_nothing_is_written(capsys: Capture, runs: Path) -> None:
    words = ("--slurm", "--dry-run", "--members", "8", "--workers", "2", "--time", "4:00:00")
    assert main(["replicate", "all", "--scale", "gpu", *words]) == 0  # whoever submits it needs no GPU
    out = capsys.readouterr().out
    for line in ("array=1-8", "cpus-per-task=2", "time=4:00:00", "gpus-per-node=1"):
        assert f"#SBATCH --{line}\n" in out
    assert f"replicate all --scale gpu --into {runs} --workers 2 --member " in out
    assert not runs.exists()


# -- as a process ------------------------------------------------------------------------------------------------------


def test_json_stands_alone_on_standard_output(capfd: Capture, runs: Path) -> None:
    """Also when it is written past Python's own streams."""
    assert main([*SMOKE, "--json", "--workers", "2"]) == 0
    out, err = capfd.readouterr()
    content = json.loads(out)
    assert (content["claim"], content["scale"]) == ("R2-depth", "smoke")
    assert [len(side["runs"]) for side in content["sides"].values()] == [3, 3]
    assert Path(content["figure"]).exists()
    assert "6 runs, each about" in err and "step/s" in err


# -- consoles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding, arguments",
    [
        *((encoding, ["sample", "text"]) for encoding in ("utf-8", "cp1252", "gbk", "cp932", "ascii")),
        *(("ascii", arguments) for arguments in (["ledger"], ["passport"], ["--help"], list(SMOKE))),
    ],
)
def test_a_console_may_lack_characters(
    runs: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, arguments: list[str]
) -> None:
    consoles = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", consoles[0])
    monkeypatch.setattr(sys, "stderr", consoles[1])
    try:
        assert main(arguments) == 0
    except SystemExit as ended:  # of the help
        assert ended.code == 0
    consoles[0].flush()
    assert consoles[0].buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_an_error_can_be_told_on_any_console(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stderr", console)
    assert main(["sample", "text", "--option", "corpus=/nowhere/\u5929\x1b[2J"]) == 2
    console.flush()
    assert b"there is no file or folder '/nowhere/\\u5929\\x1b[2J'" in console.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_text_cannot_steer_the_terminal(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "majors.txt").write_text("\n".join(f"Law\x1b[2J, article number {i}" for i in range(99)))
    assert main(["sample", "capo", "--option", "people=9", "--option", f"pools={tmp_path}", "--rows", "2"]) == 0
    out = capsys.readouterr().out
    assert "Law\\x1b[2J" in out and "\x1b" not in out


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_ctrl_c_ends_soon_and_loses_nothing(runs: Path) -> None:
    with command(runs, "replicate", "R2-depth", "--scale", "laptop", "--workers", "2") as process:
        assert process.stderr is not None
        text = b""
        while b", seed " not in text:  # the progress of a run that has begun
            piece = os.read(process.stderr.fileno(), 4096)
            assert piece, text.decode()
            text += piece
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)  # a whole run takes minutes
    assert process.returncode == 130, rest.decode()
    assert b"physlm: stopped; finished runs are kept" in rest and b"Traceback" not in rest
    checkpoints = {path.stem for path in runs.glob("*.safetensors")}
    assert 1 <= len(checkpoints) <= 2
    assert {record.id: record.status for record in Store(runs)} == dict.fromkeys(checkpoints, "stopped")


def test_whoever_reads_the_output_may_have_had_enough(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["passport"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["text", "html", "jsonl"])
def test_rows_are_made_as_they_are_written(form: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than anybody could hold; whoever reads them stops after a few."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as out, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        reader = threading.Thread(target=lambda: (os.read(read, 10_000), os.close(read)))
        reader.start()
        assert main(["sample", "copy", "--rows", str(2**20), "--format", form]) == 1
        reader.join()
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize(
    ("arguments", "closed", "into", "code", "said"),
    [
        (["passport"], 1, None, 2, b"physlm: standard output is closed, so nothing can be printed"),
        (["passport"], 2, None, 0, b""),
        (["pasport"], 2, None, 2, b""),
        (["passport"], None, "/dev/full", 2, b"physlm: [Errno 28] No space left on device\n"),
    ],
)
def test_standard_streams_that_are_closed_or_full(
    arguments: list[str], closed: int | None, into: str | None, code: int, said: bytes
) -> None:
    if into is not None and not Path(into).exists():
        pytest.skip(skip_reasons.NOT_POSIX)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    with open(into or os.devnull, "w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "physlm_lite.cli", *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            preexec_fn=None if closed is None else partial(os.close, closed),
        )
    assert done.returncode == code, done.stderr.decode()
    assert done.stderr.startswith(said) and done.stderr.count(b"\n") == bool(said)
