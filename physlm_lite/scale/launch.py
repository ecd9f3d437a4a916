"""Jobs that carry a recipe out on other machines, or on several processes of this one: short files, meant to be read.

Each of them can be started again at any time, and goes on from the last checkpoint.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..base.files import write_whole
from ..base.machine import ROOT
from ..base.strict import Count, choose, conform
from .plan import GPUS
from .recipe import Recipe, shown_recipe

AGAIN = 75  # exit code of a run that was stopped and wants to be started again


@dataclass(frozen=True)
class Job:
    """A recipe on `nodes` machines with `gpus` ranks each, its files in `folder`; the rest is for the queue of a cluster.

    seconds: before the end of `time`, in which every rank saves. options: further ones of `physlm train`.
    """

    recipe: Recipe
    folder: Path
    nodes: Count = 1
    gpus: Count = 8
    time: str = "24:00:00"
    seconds: Count = 300
    partition: str | None = None
    account: str | None = None
    gpu: str = "h100"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nodes", "gpus", "seconds"):
            conform(f"--{name}", Count, getattr(self, name))
        choose("GPU", self.gpu, GPUS)

    @property
    def file(self) -> Path:
        """The recipe as it is now, so that the job stays what it was when it waits for a week."""
        return self.folder / f"{self.recipe.name}.yaml"

    @property
    def about(self) -> str:
        """What each rank takes of a step. ValueError for ranks that do not divide it."""
        return str(self.recipe.divided(self.nodes * self.gpus))

    @property
    def words(self) -> tuple[str, ...]:
        """The call of `physlm train`, without the interpreter."""
        folder = self.folder.resolve()
        return ("-m", "physlm_lite.cli", "train", str(folder / self.file.name), "--into", str(folder), *self.options)


def slurm(job: Job) -> str:
    """One task for each GPU, so that the signal before the end of the time reaches every rank."""
    more = {"partition": job.partition, "account": job.account}
    lines = [f"#SBATCH --{name}={value}" for name, value in more.items() if value is not None]
    train = f"RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID exec {shlex.join([sys.executable, *job.words])}"
    return "\n".join(
        [
            "#!/bin/bash",
            f"#SBATCH --job-name={job.recipe.name}",
            f"#SBATCH --nodes={job.nodes}",
            f"#SBATCH --ntasks-per-node={job.gpus}",
            f"#SBATCH --gpus-per-node={job.gpus}",
            "#SBATCH --cpus-per-task=8",
            f"#SBATCH --time={job.time}",
            f"#SBATCH --signal=USR1@{job.seconds}",
            "#SBATCH --requeue",
            "#SBATCH --open-mode=append",
            f"#SBATCH --output={shlex.quote(f'{job.folder.resolve()}/slurm-%j.log')}",
            *lines,
            "",
            f"# A step: {job.about}. Submit this file again at any time, and it goes on from the last checkpoint.",
            f"# {job.seconds} seconds before the time is up every rank gets USR1, saves, and ends with {AGAIN}.",
            "",
            'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            "MASTER_PORT=$((20000 + SLURM_JOB_ID % 40000))",
            "export MASTER_ADDR MASTER_PORT WORLD_SIZE=$SLURM_NTASKS OMP_NUM_THREADS=1",
            "",
            f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(train)}",
            "code=$?",
            "",
            "# 0: finished. 1: diverged. 2: something to be mended first. All else, such as a lost node, is worth another try.",
            'if [ "$code" -gt 2 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then',
            '    scontrol requeue "$SLURM_JOB_ID"',
            "fi",
            'exit "$code"',
            "",
        ]
    )


# Ranks that are started again must not read the addresses of those that died: https://github.com/pytorch/pytorch/issues/135712
FRESH = "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # every start finds its ranks anew"


def local(job: Job) -> str:
    """torchrun on this machine; several nodes are groups of processes that find each other as nodes would."""
    run = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={job.gpus}", "--max-restarts=3"]
    head = ["#!/bin/bash", f"# A step: {job.about}. Start this file again at any time, and it goes on.", "", FRESH]
    if job.nodes == 1:
        return "\n".join([*head, f"exec {shlex.join([*run, '--standalone', *job.words])}", ""])
    run += [f"--nnodes={job.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job.recipe.name}"]
    return "\n".join(
        [
            *head,
            'endpoint="localhost:${MASTER_PORT:-29400}"',
            f"for node in $(seq {job.nodes}); do",
            f'    {shlex.join(run)} --rdzv-endpoint="$endpoint" {shlex.join(job.words)} &',
            "done",
            "trap 'kill $(jobs -p)' TERM INT",
            "code=0",
            "for node in $(jobs -p); do",
            '    wait "$node" || code=$?',
            "done",
            'exit "$code"',
            "",
        ]
    )


def sky(job: Job) -> str:
    """For SkyPilot, which finds the machines, in clouds and in Kubernetes, and starts the job again when it loses them."""
    name = job.recipe.name
    options = f" {shlex.join(job.options)}" if job.options else ""
    checkout = (ROOT / "pyproject.toml").is_file()
    return f"""# sky jobs launch {job.folder / FILES["sky"]}
# A step: {job.about}. A job that loses its machines is started again, and goes on.
name: {name.lower().replace(".", "-")}
num_nodes: {job.nodes}
workdir: {job.folder.resolve()}
resources:
  accelerators: {job.gpu.upper()}:{job.gpus}
file_mounts:
  /runs:  # checkpoints outlive the machines
    name: {name.lower().replace(".", "-")}
    mode: MOUNT
{f"  /kit: {ROOT}" if checkout else ""}
setup: |
  pip install {"/kit" if checkout else f"physlm_lite=={__version__}"}
run: |
  {FRESH}
  torchrun --nnodes=$SKYPILOT_NUM_NODES --nproc-per-node=$SKYPILOT_NUM_GPUS_PER_NODE \\
    --rdzv-backend=c10d --rdzv-id={name} --rdzv-endpoint=$(echo "$SKYPILOT_NODE_IPS" | head -n 1):29500 \\
    --max-restarts=3 -m physlm_lite.cli train {job.file.name} --into /runs/{name}{options}
"""


@dataclass(frozen=True)
class Crew:
    """Members of the ledger's queue at one scale, each on `cpus` cores (and a GPU of its own, if it `needs_gpu`). All of them see
    `folder`, where records go; its file system must know locks between machines, by which they keep out of each other's way."""

    scale: str
    folder: Path
    members: Count = 4
    cpus: Count = 4
    needs_gpu: bool = False
    time: str = "24:00:00"
    seconds: Count = 120
    partition: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        for name in ("members", "cpus", "seconds"):
            conform(f"--{name}", Count, getattr(self, name))

    @property
    def words(self) -> tuple[str, ...]:
        """The call of `physlm replicate`, without the interpreter and the member's number, which comes last."""
        where = ("--scale", self.scale, "--into", str(self.folder.resolve()), "--workers", str(self.cpus))
        return ("-m", "physlm_lite.cli", "replicate", "all", *where, "--member")


def slurm_array(crew: Crew) -> str:
    """An array of jobs that work side by side; one that runs out of time saves its runs, and queues again."""
    more = {"partition": crew.partition, "account": crew.account, "gpus-per-node": 1 if crew.needs_gpu else None}
    return "\n".join(
        [
            "#!/bin/bash",
            f"#SBATCH --job-name=physlm-{crew.scale}",
            f"#SBATCH --array=1-{crew.members}",
            "#SBATCH --ntasks=1",
            f"#SBATCH --cpus-per-task={crew.cpus}",
            f"#SBATCH --time={crew.time}",
            f"#SBATCH --signal=TERM@{crew.seconds}",
            "#SBATCH --requeue",
            "#SBATCH --open-mode=append",
            f"#SBATCH --output={shlex.quote(f'{crew.folder.resolve()}/slurm-%A-%a.log')}",
            *(f"#SBATCH --{name}={value}" for name, value in more.items() if value is not None),
            "",
            "# Each member takes the next run that nobody has yet, so that none is carried out twice. Submit this at any time.",
            f"# See it from anywhere: physlm queue --into {shlex.quote(str(crew.folder.resolve()))} (--stop ends all members).",
            "",
            "export OMP_NUM_THREADS=1",
            f'srun {shlex.join([sys.executable, *crew.words])} "$SLURM_ARRAY_TASK_ID"',
            "code=$?",
            "",
            f"# 143: {crew.seconds} seconds before the time is up it got TERM, and saved its runs.",
            'if [ "$code" -eq 143 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then',
            '    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"',
            "fi",
            'exit "$code"',
            "",
        ]
    )


def write_array(crew: Crew) -> Path:
    """Write the array into its folder; returns the file."""
    path = crew.folder / "queue.slurm"
    text = slurm_array(crew)
    write_whole(path, lambda temporary: temporary.write_bytes(text.encode()))
    return path


KINDS: Mapping[str, Callable[[Job], str]] = {"slurm": slurm, "local": local, "sky": sky}
FILES = {"slurm": "job.slurm", "local": "job.sh", "sky": "job.sky.yaml"}
STARTS = {"slurm": ["sbatch"], "local": ["bash"], "sky": ["sky", "jobs", "launch", "--yes"]}


def write_job(kind: str, job: Job) -> Path:
    """Write the job and its recipe into its folder; returns the job's file. ValueError for ranks that do not divide a step."""
    make = choose("kind of job", kind, KINDS)
    path, contents = job.folder / FILES[kind], {job.file: f"{shown_recipe(job.recipe)}\n"}
    contents[path] = make(job)
    for file, text in contents.items():
        write_whole(file, lambda temporary, text=text: temporary.write_bytes(text.encode()))  # type: ignore[misc]
    return path


def start_job(kind: str, path: Path) -> int:
    """Hand a job over to whoever carries it out; returns the exit code. ValueError where that program is not installed."""
    program, *words = STARTS[kind]
    if shutil.which(program) is None:
        raise ValueError(
            f"the job stands in {path}, but there is no {program} here to start it with; start it elsewhere"
        )
    return subprocess.call([program, *words, str(path)])
