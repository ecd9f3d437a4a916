"""What a run costs is said before it starts, and what cannot fit is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import skip_reasons
import torch

import physlm_lite
from physlm_lite.tasks import Depo
from physlm_lite.training import Cost, Run, Store, TooLarge, Training, cost, estimate, loop, refuse_too_large, train
from physlm_lite.training.cost import memory_needed

DEPO = {"N": 20, "K": 4, "V": 40, "longest": 1, "queries": 10}
MODEL = {"width": 128, "layers": 4, "heads": 4}
RUNS = {
    "a training step": Run(
        "depo",
        {**DEPO, "N": 30, "sizes": "fixed"},
        {**MODEL, "canon": "ABCD"},
        Training(steps=1, batch=32, evaluations=1, evaluation_rows=8),
    ),
    "a linear mixer": Run(
        "depo",
        {**DEPO, "N": 30, "sizes": "fixed"},
        {**MODEL, "mixer": "mamba2", "canon": "ACD"},
        Training(steps=1, batch=32, evaluations=1, evaluation_rows=8),
    ),
    "an evaluation": Run(
        "depo", {**DEPO, "context": 256}, MODEL, Training(steps=1, batch=1, evaluations=1, evaluation_rows=64)
    ),
}

# Resident memory before the run is the baseline: Python, PyTorch, and whatever a first small run allocates for good.
MEASURE = """
import json, sys
import psutil
from physlm_lite.training import Run, Training, train
from physlm_lite.base.machine import peak_memory_mb
tiny = Training(steps=1, batch=2, evaluations=1, evaluation_rows=2)
train(Run("depo", {"N": 4, "K": 1, "V": 4, "longest": 1}, {"width": 8, "layers": 1, "heads": 1}, tiny), device="cpu")
before = psutil.Process().memory_info().rss
train(Run.from_dict(json.loads(sys.argv[1])), device="cpu")
print(round(peak_memory_mb() * 1e6) - before)
"""


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
@pytest.mark.parametrize("name", RUNS)
def test_the_memory_is_right_to_a_factor_of_two(name: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    measured = int(
        subprocess.run(
            [sys.executable, "-c", MEASURE, json.dumps(RUNS[name].to_dict())],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert measured > 50e6  # enough to be measured
    assert measured / 2 < memory_needed(RUNS[name]) < measured * 2


def test_memory_grows_with_the_batch_and_with_the_model(tiny: Run) -> None:
    wide = Run(tiny.task, tiny.task_options, {**tiny.model, "width": 512}, tiny.training)
    assert memory_needed(tiny) < memory_needed(tiny.but(batch=64)) < memory_needed(tiny.but(batch=128))
    assert memory_needed(wide) > 16 * wide.model_config.parameters  # weights, gradients and two moments in float32


def test_what_cannot_fit_is_refused_with_the_scale_that_does(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory_needed(tiny)
    assert refuse_too_large(tiny, needed) == needed
    with pytest.raises(
        TooLarge, match=r"are free; choose a smaller scale \(PHYSLM_SCALE=toy fits 1 GB\) or a smaller batch"
    ):
        refuse_too_large(tiny, needed - 1)
    monkeypatch.setattr(cost, "available_memory", lambda: (10**12, needed - 1))
    with pytest.raises(TooLarge):
        estimate(tiny)


def test_train_refuses_before_anything_is_built_or_written(
    tiny: Run, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "available_memory", lambda: (10**12, memory_needed(tiny) - 1))
    monkeypatch.setattr(loop, "Trainer", None)
    for store in (None, Store()):
        with pytest.raises(TooLarge, match="this run needs about"):
            train(tiny, store=store, device="cpu")
    assert not runs.exists()


def test_what_is_refused_for_its_length_or_its_weights_draws_no_row(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "available_memory", lambda: (10**9, 10**9))
    monkeypatch.setattr(Depo, "batch", lambda *_: pytest.fail("a row was drawn"))
    long = dataclasses.replace(tiny, task_options={**tiny.task_options, "context": 2**20})
    wide = dataclasses.replace(tiny, model={"width": 2**13, "layers": 100, "heads": 1})
    monkeypatch.setattr(cost, "LONG", 2**19)
    for run in (long, wide):
        with pytest.raises(TooLarge):
            refuse_too_large(run)


def test_a_gpu_has_its_own_memory(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch keeps for later use is free."""
    needed = memory_needed(tiny)
    monkeypatch.setattr(cost, "device_of", torch.device)  # as if it were here
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (needed - 300, 10**12))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 1000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 700)
    assert refuse_too_large(tiny, device="cuda") == needed
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 701)
    with pytest.raises(TooLarge):
        refuse_too_large(tiny, device="cuda")


def test_a_run_of_the_papers_size_is_refused_without_being_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of 16 GB; this only computes."""
    from physlm_lite.claims import claim

    monkeypatch.setattr(cost, "available_memory", lambda: (16 * 10**9, 16 * 10**9))
    monkeypatch.setattr(cost, "Trainer", lambda run: pytest.fail("it was built"))
    with pytest.raises(TooLarge):
        estimate(claim("R2-depth").experiment("paper").run("RoPE + Canon", 1e-3, 0))


def test_the_scale_that_the_refusal_names_does_fit() -> None:
    from physlm_lite.claims import CLAIMS

    for claim in CLAIMS.values():
        if "toy" in claim.experiments:
            experiment = claim.experiments["toy"]
            for side in experiment.sides:
                refuse_too_large(experiment.run(side, experiment.grid[0], 0), available=10**9)


def test_the_estimate_is_the_usual_step_times_the_steps_and_the_evaluations(
    tiny: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock of its own: the first step only warms up, and one slow step in three is forgotten."""
    now, steps = [0.0], iter([9.0, 0.25, 8.0, 0.5])

    class Slow:
        def __init__(self, run: Run) -> None:
            assert run.training.steps == 60

        def train_step(self) -> None:
            now[0] += next(steps)

        def evaluate(self) -> None:
            now[0] += 2.0

    monkeypatch.setattr(cost, "Trainer", Slow)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])
    run = tiny.but(steps=60, evaluations=2)
    assert estimate(run) == Cost(0.5 * 60 + 2.0 * 2, memory_needed(run))


def test_an_estimate_leaves_nothing(tiny: Run, runs: Path) -> None:
    assert estimate(tiny).seconds > 0
    assert not runs.exists()


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(12.3, 4_000_000), "about 12 s and 4 MB of memory"),
        (Cost(600, 2 * 10**9), "about 10.0 min and 2,000 MB of memory"),
    ],
)
def test_a_cost_reads_like_a_sentence(cost: Cost, text: str) -> None:
    assert str(cost) == text
