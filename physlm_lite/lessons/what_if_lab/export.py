"""What the lab gives away: a table, the Python, the command and the claim that say exactly what was tried."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...base.files import write_whole
from ...base.reading import yaml_text
from ...claims.own import claim_text
from ...training import Run, Training
from .compare import Row, experiment_of
from .trial import Trial

FOLDER = Path("what_if")  # beside the notebook


def as_csv(rows: Sequence[Row]) -> str:
    """A line for every evaluation of every run: who, seed, rate, step, seconds, and each single score."""
    names = list(
        dict.fromkeys(name for row in rows for record in row.records for point in record.curve for name in _flat(point))
    )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "record", "status", "seed", "learning_rate", *names])
    for row in rows:
        for record in row.records:
            about = [row.name, record.id, record.status, record.run.seed, record.run.training.learning_rate]
            writer.writerows([*about, *(_flat(point).get(name, "") for name in names)] for point in record.curve)
    return out.getvalue()


def _flat(point: Any, prefix: str = "") -> dict[str, Any]:
    """The scores of an evaluation by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in point.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def as_python(trial: Trial) -> str:
    """A program that carries out exactly these runs; what is recorded already is not repeated."""
    first = trial.runs[0]
    training = {name: value for name, value in asdict(first.training).items() if value != getattr(Training(), name)}
    training["learning_rate"] = first.training.learning_rate
    settings = ", ".join(f"{name}={value!r}" for name, value in training.items())
    lines = [
        "from physlm_lite.training import Run, Training, train",
        "",
        "run = Run(",
        f"    {first.task!r},",
        f"    {dict(first.task_options)!r},",
        f"    {dict(first.model)!r},",
        f"    Training({settings}),",
        ")",
        f"runs = [run.but(learning_rate=rate, seed=seed) for rate in {list(trial.rates)!r} for seed in {list(trial.seeds)!r}]",
        "records = [train(run) for run in runs]",
        "for record in records:",
        f"    print(record.id, record.status, record.score({trial.metric.name!r}))",
    ]
    return "\n".join(lines) + "\n"


def as_yaml(run: Run) -> str:
    """A run as the file that `physlm train` takes."""
    return yaml_text(run.to_dict())


def write_commands(trial: Trial, folder: Path = FOLDER) -> tuple[str, list[Path]]:
    """Write a file for each run, and return the commands that carry them out, one a line, with the files."""
    paths = [write(folder / f"{run.hash}.yaml", as_yaml(run)) for run in trial.runs]
    return "\n".join(f"physlm train {path}" for path in paths), paths


def write_claim(ours: Trial, theirs: Trial, metric: str, folder: Path = FOLDER) -> tuple[str, Path]:
    """Write the claim that one trial is ahead of the other, and return the command that judges it, with the file."""
    experiment = experiment_of(ours, theirs, metric)
    better, worse = experiment.sides
    title = f"{better} is ahead of {worse} ({ours.setting})"
    name = f"claim_{ours.runs[0].hash[:6]}_{theirs.runs[0].hash[:6]}.yaml"
    path = write(
        folder / name,
        claim_text(experiment, title, statement="Tried in the what-if lab, and written down before its runs."),
    )
    return f"physlm replicate {path} --scale toy", path


def write(path: Path, text: str) -> Path:
    """Write a file whole or not at all, with its folder."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
