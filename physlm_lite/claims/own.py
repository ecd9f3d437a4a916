"""A reader's own experiment: a small YAML or Python file, tried by the same protocol as ours and shown like ours.

`EXAMPLE` shows how one is written.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..base.reading import read_yaml, yaml_text
from ..base.scales import SCALES
from ..base.strict import build, choose, plain, shown, unknown
from ..training import Run, Training
from ..training.config import differing
from .catalogue import CLAIMS, claim
from .claim import ENOUGH, Claim
from .experiment import Experiment
from .rules import Ahead, AtLeast, Beats, Climbs, Gains, Level, Noise, Rule, Shrinks, Stops

EXAMPLE = """title: A layer that looks back copies at once
task: copy
task_options: {n: 8, shortest: 4}
model: {width: 16, layers: 1, heads: 1}
training: {steps: 100, batch: 16, evaluations: 4, evaluation_rows: 64}
grid: [4e-3, 8e-3, 1.6e-2]
sides:
  plain: {}
  canon: {canon: ABCD}
rules:
  - ahead: {metric: accuracy, better: canon, worse: plain, by: 0.1}
"""
RULES: dict[str, type] = {
    "ahead": Ahead,
    "at_least": AtLeast,
    "beats": Beats,
    "climbs": Climbs,
    "gains": Gains,
    "level": Level,
    "noise": Noise,
    "shrinks": Shrinks,
    "stops": Stops,
}
ABOUT = ("id", "title", "statement", "source", "scale")  # what a claim says beside its experiment
NOT_THEIRS = ("format", "full_size", "tuned_on")  # options of an experiment that are ours alone
ENDINGS = (".yaml", ".yml", ".py")


def find_claim(name: str) -> Claim:
    """The claim with this id or, where the name ends like a file, the one that the file describes."""
    return read_claim(Path(name)) if name.lower().endswith(ENDINGS) else claim(name)


def read_claim(path: Path) -> Claim:
    """The claim in a YAML file (see above), or the `CLAIM` that a Python file defines (which is run for that).

    Its options are those of `Experiment` and of its rules, and further id (else the file's name), title, statement, source and
    scale (else toy). Raises ValueError, in one sentence, for an unknown name, a wrong value, or too few seeds.
    """
    if not path.is_file():
        raise ValueError(
            f"there is no file {str(path)!r} with a claim; write one, such as physlm_lite/claims/own.py shows"
        )
    found = _run(path) if path.suffix.lower() == ".py" else _read(path)
    if found.id in CLAIMS:
        raise ValueError(f"{path}: {found.id} is a claim of this kit; give yours another id")
    for scale, experiment in found.experiments.items():
        if scale != "smoke":
            _check(path, experiment)
    return found


def claim_text(experiment: Experiment, title: str, scale: str = "toy", statement: str = "") -> str:
    """An experiment as a claim's YAML file, which `read_claim` reads; what is ours alone is left out. ValueError for a rule that
    such a file cannot say."""
    kinds = {kind: name for name, kind in RULES.items()}
    content: dict[str, Any] = {"title": title, **({"statement": statement} if statement else {}), "scale": scale}
    for f in fields(Experiment):
        value, usual = getattr(experiment, f.name), f.default
        if f.init and f.name not in (*NOT_THEIRS, "rules", "training") and value and value != usual:
            content[f.name] = plain(value)
    content["training"] = plain(differing(asdict(experiment.training), {**asdict(Training()), "learning_rate": ...}))
    del content["training"]["learning_rate"]
    for rule in experiment.rules:
        if type(rule) not in kinds:
            raise ValueError(f"a claim's file knows no rule {type(rule).__name__}; it knows {', '.join(RULES)}")
    content["rules"] = [{kinds[type(rule)]: plain(asdict(rule))} for rule in experiment.rules]  # type: ignore[call-overload]
    return yaml_text(content)


def _run(path: Path) -> Claim:
    try:
        found = runpy.run_path(str(path)).get("CLAIM")
    except Exception as error:  # the reader's own code
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not isinstance(found, Claim):
        raise ValueError(f"{path} must define CLAIM, a physlm_lite.claims.Claim, not {shown(found)}")
    return found


def _read(path: Path) -> Claim:
    content = read_yaml(path)
    options = {f.name for f in fields(Experiment) if f.init} - {*NOT_THEIRS}
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a mapping of names to values, not {shown(content)}")
    for name in content:
        if name not in {*options, *ABOUT}:
            raise unknown(f"option of the claim in {path}", name, [*ABOUT, *sorted(options)])
    about = {name: str(content[name]) for name in ABOUT if name in content}
    given = {name: value for name, value in content.items() if name not in ABOUT}
    for name in ("task_options", "model", "training"):
        given.setdefault(name, {})
    rules = given.get("rules", ())
    if isinstance(rules, list):
        given["rules"] = [_rule(path, rule) for rule in rules]
    try:
        experiment = build(Experiment, given)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    scale = about.get("scale", "toy")
    choose("scale", scale, {name: text for name, text in SCALES.items() if name != "smoke"})
    name = about.get("id", path.stem)
    return Claim(
        name,
        about.get("title", name),
        about.get("source", str(path)),
        about.get("statement", "A reader's own experiment."),
        (),
        {scale: experiment},
        {},
    )


def _rule(path: Path, rule: Any) -> Rule:
    if not isinstance(rule, Mapping) or len(rule) != 1:
        raise ValueError(
            f"{path}: a rule is written as one name with its options, such as ahead: {{...}}, not {shown(rule)}"
        )
    ((name, options),) = rule.items()
    try:
        found: Rule = build(choose("rule", name, RULES), options)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return found


def _check(path: Path, experiment: Experiment) -> None:
    """What the protocol asks for, beyond names and values."""
    fresh, tuning = set(experiment.seeds), set(experiment.tuning_seeds)
    if len(fresh) < max(ENOUGH[2], len(experiment.seeds)):
        raise ValueError(f"{path}: a verdict needs {ENOUGH[2]} different seeds or more, not {sorted(experiment.seeds)}")
    if not tuning or fresh & tuning:
        raise ValueError(f"{path}: the seeds that choose the rates must be others than the reported {sorted(fresh)}")
    if not experiment.rules or len(experiment.sides) < 2 or not experiment.grid:
        raise ValueError(f"{path}: a claim needs two sides, a rule that judges them, and a rate to begin with")
    for side, options in experiment.sides.items():
        try:
            _ = Run(experiment.task, experiment.task_options, {**experiment.model, **options}).model_config
        except ValueError as error:
            raise ValueError(f"{path}, side {side}: {error}") from error
