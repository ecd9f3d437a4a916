"""Experiments in a terminal: the cost first, a progress bar, the verdict, and the figure."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from ..base.files import refuse_unwritable, temporary_folder
from ..base.machine import available_cores, device_of
from ..base.printable import on_one_line
from ..claims import SHIPPED, Claim, Outcome, replicate
from ..claims.bill import bill, bill_table
from ..claims.plan import Plan
from ..claims.queue import Queue
from ..claims.reach import NEED_A_GPU, nearest_scale, why_not
from ..claims.replicate import planned
from ..claims.rules import NOT_RUN
from ..training import Anew, Progress, Record, Store, runs_folder
from ..training.manager import Manager
from .announcement import announcement
from .page import floors_text

MOST_WORKERS = 1024


def replicate_in_terminal(
    claim: Claim, scale: str, *, walk: bool = False, again: bool = False, into: Path | None = None, workers: int = 1
) -> Outcome:
    """Run a claim with progress on standard error, each run in a process of its own.

    into: the folder for records (default: this user's). again: carry out all runs anew; each record is replaced as soon
    as the new one is whole. Nothing is written before it is clear that all can be carried out.
    """
    _checked(workers)
    refuse_out_of_reach(claim, scale)  # before anything is written
    kept = Store(into or runs_folder())
    lock = threading.Lock()
    seen: dict[str, int] = {}

    runs = planned(claim, scale, Anew(kept, kept.folders[0] / "anew") if again else kept, walk=walk)
    steps = sum(run.training.steps for run in runs)
    for run in runs:
        kept.refuse_occupied(run)
    cost = announcement(claim, scale, runs, workers)
    refuse_unwritable(kept.folders[0])
    tqdm.write(cost, file=sys.stderr)

    with (
        Manager(kept, workers) as manager,
        _anew(kept) if again else nullcontext(kept) as store,
        tqdm(total=steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar,
    ):

        def show(side: str, progress: Progress) -> None:
            with lock:
                new = progress.run.hash not in seen
                bar.update(progress.step - seen.get(progress.run.hash, 0))
                seen[progress.run.hash] = progress.step
                if new or progress.scores is not None:
                    score = "" if progress.scores is None else f", accuracy {progress.scores['accuracy']:.2f}"
                    rate = progress.run.training.learning_rate
                    bar.set_description(f"{side}, rate {rate:g}, seed {progress.run.seed}{score}")

        return replicate(claim, scale, store=store, walk=walk, progress=show, manager=manager)


def refuse_out_of_reach(claim: Claim, scale: str) -> None:
    """ValueError where a claim cannot be carried out at a scale here, with the nearest one that can."""
    if reason := why_not(claim, scale):
        raise ValueError(f"{reason}; the nearest is --scale {nearest_scale(claim, scale)}")


def plan_text(claim: Claim, scale: str) -> str:
    """What a claim will take: at the scales that need a GPU by the planner's figures, else as it is measured here."""
    if scale not in NEED_A_GPU or scale not in claim.experiments:
        refuse_out_of_reach(claim, scale)
        return announcement(claim, scale, planned(claim, scale, Store(runs_folder())), available_cores())
    reason = why_not(claim, scale)
    here = f"\n{reason}; the nearest that can be carried out here is --scale {nearest_scale(claim, scale)}" * bool(
        reason
    )
    return bill_table(bill(claim, scale)) + here


def _checked(workers: int) -> int:
    if not 1 <= workers <= MOST_WORKERS:
        bound = "at least 1" if workers < 1 else f"at most {MOST_WORKERS:,}"
        raise ValueError(f"workers must be {bound}, not {workers:,}")
    return workers


def queue_in_terminal(
    scale: str,
    *,
    into: Path | None,
    workers: int | None,
    hours: float | None,
    only_plan: bool,
    member: int | None = None,
) -> int:
    """Say what the ledger lacks at a scale and, unless `only_plan`, carry it out, a line for each run on standard output.

    member: of several that work in this folder. Returns how many runs failed.
    """
    if hours is not None and not 0 < hours < 1e6:
        raise ValueError(f"hours must be above 0, not {hours:g}")
    workers = available_cores() if workers is None else _checked(workers)
    if scale in NEED_A_GPU and device_of(None).type == "cpu":
        raise ValueError(
            f"{scale} scale needs a GPU, and there is none here; "
            f"`physlm replicate CLAIM --scale {scale} --plan` says what it takes"
        )
    plan = Plan(scale, store := Store(into or runs_folder(), SHIPPED))
    (runs, seconds), rows = plan.expected, len(plan.rows)
    for row in plan.rows:
        print(f"  {row.name:<24} {row.runs:>3} runs {duration(row.seconds / workers):>9}   {row.says}")
    for name, reason in plan.left_out.items():
        print(f"  {name:<24} left out: {reason}")
    print(
        f"{plan.complete} rows at {scale} scale are complete and {rows} are not: {runs} different runs, about "
        f"{duration(seconds / workers)} with {workers} at a time"
    )
    if only_plan:
        return 0
    print("stop it with Ctrl-C or `physlm queue --stop`; the same command goes on from there", flush=True)
    queue = Queue(
        store,
        plan.jobs,
        plan.expected,
        workers=workers,
        hours=hours,
        member=member,
        say=lambda line: print(line, flush=True),
    )
    queue.work()
    return len(queue.failed)


def queue_report(status: Mapping[str, Any]) -> str:
    """What a queue is at, as text."""
    lines = [
        f"  {job['row']:<24} run {job['run']}, step {job['step']:,} of {job['steps']:,}" for job in status["going"]
    ]
    if status["makes_room"]:
        lines.append("  it makes room for somebody who waits for a run")
    return "\n".join([*lines, f"{status['left']} runs left, about {duration(status['seconds'])}"])


def duration(seconds: float) -> str:
    """So many seconds, in words."""
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.1f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


@contextmanager
def _anew(kept: Store) -> Iterator[Store]:
    with temporary_folder(kept.folders[0]) as folder:
        yield Anew(kept, folder)


def figure_of(outcome: Outcome, folder: Path) -> Path | None:
    """Draw an outcome into `folder`; returns the figure's path, or None and says why on standard error.

    A verdict that took hours must not be lost to a missing package, a missing font or a full disk.
    """
    try:
        from .plots import outcome_figure, save_figure

        return save_figure(outcome_figure(outcome), folder / f"{outcome.claim.id}-{outcome.scale}.png")
    except Exception as error:  # whatever it is, the numbers are worth more than their picture
        tqdm.write(f"physlm: no figure was drawn: {on_one_line(error)}", file=sys.stderr)
        return None


def report(outcome: Outcome) -> str:
    """The verdict with every number behind it, as text."""
    claim, experiment = outcome.claim, outcome.experiment
    lines = ["", f"{claim.id}: {claim.title} ({claim.source})", f"  {claim.statement}", "", "  the paper:"]
    lines += [f"    {row['setting']}: {row['side']} {row['value']}" for row in claim.paper]
    rates = len(experiment.tuning.grid)
    lines += ["", f"  here, {outcome.scale} scale, each side at its best of {rates} learning rates:"]
    for side, records in outcome.records.items():
        if not records:
            continue
        scores = "   ".join(
            f"{label} {fmean(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]{error}"
            for label, values, error, digits in score_table(outcome, records)
        )
        lines.append(
            f"    {side:<20} rate {outcome.rates[side]:<7g} {len(records)} seeds, "
            f"{experiment.training.steps} steps, {fmean(r.seconds for r in records):.0f} s each   {scores}"
        )
    if any(outcome.records.values()):
        lines.append("    (mean [smallest-largest seed] ± standard error of one test)")
    metric = experiment.select
    equal = outcome.equal_seconds(metric) if all(outcome.records.values()) else {}
    if equal:
        text = ", ".join(f"{side} {fmean(values):.2f}" for side, values in equal.items())
        lines.append(f"    at equal seconds ({metric}, the slower side cut inside its schedule): {text}")
    lines += [
        "",
        *(f"  rule: {text}" for text in experiment.rule_texts),
        f"  simplified: {experiment.simplified}" if experiment.simplified else "",
        f"  floors: {floors_text(outcome)}" if floors_text(outcome) else "",
        f"  verdict: {outcome.verdict.word.upper()}: {outcome.verdict.reason}",
    ]
    in_time = outcome.verdict_in_time
    if outcome.protocol > 1 and in_time.word != NOT_RUN:
        lines.append(f"  at equal seconds: {in_time.word.upper()}: {in_time.reason}")
    return "\n".join(lines)


def score_table(outcome: Outcome, records: Sequence[Record]) -> list[tuple[str, list[float], str, int]]:
    """The scores worth printing: label, one value for each record, the standard error of one test, and digits to show."""
    rows = []
    for metric in outcome.experiment.panels:
        values = [r.score(metric.name) for r in records]
        errors = [metric.error_of(r.final) for r in records if r.status != "diverged"]
        known = [error for error in errors if error is not None]
        digits = 2 if metric.share or max(values) >= 0.3 else 3
        rows.append((metric.label, values, f" ± {fmean(known):.{digits}f}" if known else "", digits))
    return rows
