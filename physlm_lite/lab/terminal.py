"""Experiments in a terminal: the cost first, a progress bar, the verdict, and where the figure lies."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from ..claims import Claim, Outcome, everything, replicate
from ..claims.claim import rate_for
from ..training import Progress, Store, estimate, runs_folder


def replicate_in_terminal(claim: Claim, scale: str, *, walk: bool = False, again: bool = False, into: Path | None = None,
                          workers: int = 1) -> tuple[Outcome, Path]:
    """Run a claim with progress on standard error; returns the outcome and the path of its figure.

    into: the folder for records (default: this user's). again: carry out every run anew and replace the earlier records.
    """
    from .plots import outcome_figure, save_figure

    experiment, store = claim.experiment(scale), Store(into or runs_folder())
    rates = {side: None if walk else rate_for(claim, scale, side, everything()) for side in experiment.sides}
    runs = sum(len(experiment.seeds) * (len(experiment.grid) if rate is None else 1) for rate in rates.values())
    side = max(experiment.sides, key=lambda s: experiment.run(s, experiment.grid[0], 0).model_config.parameters)
    one = estimate(experiment.run(side, rates[side] or experiment.grid[0], experiment.seeds[0]))
    print(f"{claim.id} at {scale} scale: {runs} runs, each {one}; about {runs * one.seconds / workers / 60:.1f} min in all",
          file=sys.stderr)
    lock, seen = threading.Lock(), {}

    with tempfile.TemporaryDirectory() as scratch, \
            tqdm(total=runs * experiment.training.steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:

        def show(side: str, progress: Progress) -> None:
            with lock:
                bar.update(progress.step - seen.get(progress.run.hash, 0))
                seen[progress.run.hash] = progress.step
                if progress.step == 1 or progress.scores is not None:
                    score = "" if progress.scores is None else f", accuracy {progress.scores['accuracy']:.2f}"
                    bar.set_description(f"{side}, rate {progress.run.training.learning_rate:g}, seed {progress.run.seed}{score}")

        outcome = replicate(claim, scale, store=Store(Path(scratch)) if again else store, walk=walk, progress=show, workers=workers)
        if again:
            for record in Store(Path(scratch)):
                store.add(record)
    figure = save_figure(outcome_figure(outcome), store.folders[0] / "figures" / f"{claim.id}-{scale}.png")
    return outcome, figure


def report(outcome: Outcome) -> str:
    """The verdict with every number behind it, as text."""
    claim, experiment = outcome.claim, outcome.experiment
    lines = ["", f"{claim.id}: {claim.title} ({claim.source})", f"  {claim.statement}", "", "  the paper:"]
    lines += [f"    {row['setting']}: {row['side']} {row['value']}" for row in claim.paper]
    lines += ["", f"  here, {outcome.scale} scale, each side at its best of {len(experiment.grid)} learning rates:"]
    for side, records in outcome.records.items():
        if not records:
            continue
        scores = "   ".join(f"{name} {fmean(values):.2f} [{min(values):.2f}-{max(values):.2f}]"
                            for name, values in score_table(records).items())
        lines.append(f"    {side:<20} rate {outcome.rates[side]:<7g} {len(records)} seeds, {experiment.training.steps} steps, "
                     f"{fmean(r.seconds for r in records):.0f} s each   {scores}")
    metric = experiment.select
    equal = outcome.equal_seconds(metric) if all(outcome.records.values()) else {}
    if equal:
        text = ", ".join(f"{side} {fmean(values):.2f}" for side, values in equal.items())
        lines.append(f"    at equal seconds ({metric}, the slower side cut inside its schedule): {text}")
    lines += ["", *(f"  rule: {rule.text()}" for rule in experiment.rules),
              f"  simplified: {experiment.simplified}" if experiment.simplified else "",
              f"  verdict: {outcome.verdict.word.upper()}: {outcome.verdict.reason}"]
    return "\n".join(lines)


def score_table(records: list) -> dict[str, list[float]]:  # type: ignore[type-arg]
    """The scores worth printing of each record: accuracy for each k where there is one, else the accuracy."""
    final = records[0].final
    if "accuracy_k" in final:
        return {f"k={k}": [r.score(f"accuracy_k.{k}") for r in records] for k in final["accuracy_k"]}
    return {"accuracy": [r.score("accuracy") for r in records]}
