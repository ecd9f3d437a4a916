"""Jobs: as text, and carried out by stand-ins for a cluster."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import skip_reasons
import yaml
from data.small_corpus import small_corpus
from scale.rank_work import trained
from scale.ranks import free_port, on_ranks
from scale.small_recipes import small

import physlm_lite
from physlm_lite.cli import main
from physlm_lite.scale import load_recipe
from physlm_lite.scale.launch import FILES, KINDS, Crew, Job, write_array, write_job
from physlm_lite.scale.recipe import Recipe

pytestmark = pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
LARGE = "LlamaCanon-8B-Nemo-1T-lr0.003"
SRUN = """#!/bin/bash
# A task for each rank; what comes as a signal goes on to all of them, as Slurm does it.
trap 'kill -USR1 $(jobs -p)' USR1
shift  # --kill-on-bad-exit=1
for rank in $(seq 0 $((SLURM_NTASKS - 1))); do
    SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" &
done
worst=0
for task in $(jobs -p); do
    wait "$task"; code=$?
    while kill -0 "$task" 2> /dev/null; do wait "$task"; code=$?; done  # a signal ends `wait`, not the task
    if [ "$code" -gt "$worst" ]; then worst=$code; fi
done
exit "$worst"
"""
SCONTROL = '#!/bin/bash\nif [ "$1" = show ]; then echo localhost; else echo "$@" >> requeued; fi\n'


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, bytes]:
    """A recipe, and the model that two ranks end with when nobody disturbs them."""
    recipe, folder = small(small_corpus(), steps=60, keeping={"save_every": 5}), tmp_path_factory.mktemp("reference")
    assert on_ranks(2, trained, recipe, folder) == ["finished"] * 2
    return recipe, (folder / "model/model.safetensors").read_bytes()


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    """Of a job: this code, one thread, and stand-ins before everything else."""
    root = Path(physlm_lite.__file__).parents[1]
    own = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return {**os.environ, **own, **more}


def wait_for(happened: Callable[[], bool], seconds: float = 300) -> None:
    begin = time.monotonic()
    while not happened():
        assert time.monotonic() - begin < seconds, "waited in vain"
        time.sleep(0.02)


def lines(folder: Path) -> int:
    file = folder / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_a_slurm_job_is_requeued_after_the_signal_and_ends_with_the_same_bits(
    reference: tuple[Recipe, bytes], tmp_path: Path
) -> None:
    recipe, whole = reference
    path = write_job("slurm", Job(recipe, tmp_path, gpus=2))
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": str(free_port() - 20000 + 40000), "SLURM_JOB_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    options: dict[str, object] = {"cwd": tmp_path, "env": surroundings(tmp_path, **slurm)}
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(["bash", str(path)], stdout=log, stderr=log, **options)  # type: ignore[call-overload]
        wait_for(lambda: lines(tmp_path) > 2 or job.poll() is not None)
        (task,) = [child for child in psutil.Process(job.pid).children() if "srun" in " ".join(child.cmdline())]
        task.send_signal(signal.SIGUSR1)
        assert job.wait(300) == 75, (tmp_path / "log").read_text()
    assert (tmp_path / "requeued").read_text() == f"requeue {slurm['SLURM_JOB_ID']}\n"
    assert not (tmp_path / "model").exists()
    again = subprocess.run(["bash", str(path)], capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert again.returncode == 0, again.stderr
    assert "finished: " in again.stdout and "from step 0" not in again.stderr
    assert (tmp_path / "model/model.safetensors").read_bytes() == whole


def test_a_killed_rank_of_two_node_groups_comes_back_and_ends_with_the_same_bits(
    reference: tuple[Recipe, bytes], tmp_path: Path
) -> None:
    """Two groups of one rank find each other by rendezvous; one rank is killed at a random moment."""
    recipe, whole = reference
    path = write_job("local", Job(recipe, tmp_path, nodes=2, gpus=1))
    moment = random.randrange(5, 50)
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(
            ["bash", str(path)], stdout=log, stderr=log, env=surroundings(tmp_path, MASTER_PORT=str(free_port()))
        )
        try:
            wait_for(lambda: lines(tmp_path) >= moment or job.poll() is not None)
            below = psutil.Process(job.pid).children(recursive=True)
            ranks = [p for p in below if "torch.distributed.run" not in (words := p.cmdline()) and "train" in words]
            assert len(ranks) == 2, (tmp_path / "log").read_text()
            random.choice(ranks).kill()
            wait_for(lambda: job.poll() is not None)
            assert job.poll() == 0, f"killed at {moment}: {(tmp_path / 'log').read_text()}"
        finally:
            job.terminate()
            job.wait()
    text = (tmp_path / "log").read_text()
    assert text.count("from step") >= 2, f"killed at {moment}: {text}"
    assert (tmp_path / "model/model.safetensors").read_bytes() == whole, f"killed at {moment}"


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_are_what_their_programs_read(kind: str, tmp_path: Path) -> None:
    job = Job(load_recipe(LARGE), tmp_path / "a job", nodes=64, options=("--checkpointing", "full"))
    path = write_job(kind, job)
    text = path.read_text()
    assert (
        path.name == FILES[kind]
        and "512 GPUs x 3 rows x 1 turn = 1,536 rows" in text
        and "--checkpointing full" in text
    )
    assert load_recipe(path.parent / f"{LARGE}.yaml") == load_recipe(LARGE)
    if kind == "sky":
        content = yaml.safe_load(text)
        assert content["num_nodes"] == 64 and content["resources"] == {"accelerators": "H100:8"}
        text = f"{content['setup']}\n{content['run']}"
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""


def test_a_try_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["launch", LARGE, "--nodes", "16", "--slurm", "--partition", "learn", "--rows", "2", "--into"]
    assert main([*words, str(tmp_path / "run"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "#SBATCH --nodes=16\n" in out and "#SBATCH --partition=learn\n" in out and "--rows 2" in out
    assert not (tmp_path / "run").exists() and sys.executable in out


def test_bad_calls_get_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bad = {
        "1,536 rows in a step cannot be dealt out evenly to 40 GPUs": [LARGE, "--nodes", "5", "--slurm"],
        "unknown recipe 'tinny'; did you mean 'tiny'?": ["tinny", "--local"],
        "--nodes must be": ["tiny", "--nodes", "0", "--local"],
        "one of the arguments --slurm --local --sky is required": ["tiny"],
        "unknown GPU 'h1000'": ["tiny", "--sky", "--gpu", "h1000"],
        "there is no sbatch here to start it with": ["tiny", "--gpus", "1", "--slurm"],
    }
    for said, words in bad.items():
        assert main(["launch", *words, "--into", str(tmp_path / "run")]) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"), [(0, 0, False), (143, 0, True), (143, 50, False), (2, 0, False)]
)
def test_a_member_of_an_array_queues_again_when_its_time_is_up(
    code: int, restarts: int, requeued: bool, tmp_path: Path
) -> None:
    crew = Crew("toy", tmp_path / "a store", members=5, cpus=3, partition="short")
    path = write_array(crew)
    text = path.read_text()
    assert path == tmp_path / "a store" / "queue.slurm"
    for line in ("--array=1-5", "--cpus-per-task=3", "--signal=TERM@120", "--partition=short"):
        assert f"#SBATCH {line}\n" in text
    assert "gpus" not in text
    (tmp_path / "bin").mkdir()
    for name, script in (("srun", f'#!/bin/bash\nprintf "%s\\n" "$@" > called\nexit {code}\n'), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    slurm = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_RESTART_COUNT": str(restarts)}
    done = subprocess.run(["bash", str(path)], cwd=tmp_path, env=surroundings(tmp_path, **slurm))
    assert done.returncode == code
    words = (tmp_path / "called").read_text().splitlines()
    assert words == [sys.executable, *crew.words, "2"] and words[-2:] == ["--member", "2"]
    again = tmp_path / "requeued"
    assert (again.read_text() if again.exists() else "") == "requeue 7_2\n" * requeued


def test_an_array_for_gpus_asks_for_them_and_needs_members(tmp_path: Path) -> None:
    path = write_array(Crew("gpu", tmp_path, needs_gpu=True))
    assert "#SBATCH --gpus-per-node=1\n" in path.read_text()
    assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
    with pytest.raises(ValueError, match="--members must be"):
        Crew("toy", tmp_path, members=0)
