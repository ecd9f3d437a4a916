"""What claims take on one GPU, and which scale a machine carries out instead of one that it cannot."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pytest
import torch

from physlm_lite.base.scales import SCALES
from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import CLAIMS, Claim, bill, claim, nearest_scale, reach
from physlm_lite.claims.bill import DRAWN, GRADED, HOUR, MFU, START, bill_table, started_by
from physlm_lite.claims.settings import brevo, capo, copying, depo, lano, mano
from physlm_lite.training import Trainer, refuse_too_large

pytestmark = pytest.mark.usefixtures("one_thread")

PUBLISHED = {name: the_claim for name, the_claim in CLAIMS.items() if "paper" in the_claim.experiments}
ON_A_GPU = {name: the_claim for name, the_claim in PUBLISHED.items() if "gpu" in the_claim.experiments}
SOURCES = sorted((Path(__file__).parents[2] / "notebooks" / "source").glob("[0-9]*.py"))


def test_what_has_a_published_setting_has_one_for_a_gpu_or_says_why_not() -> None:
    assert {name for name, the_claim in CLAIMS.items() if the_claim.no_gpu} == PUBLISHED.keys() - ON_A_GPU.keys()
    assert len(ON_A_GPU) >= 60
    names = {the_claim.experiment("gpu").name for the_claim in ON_A_GPU.values()}
    assert names == {module.GPU.name for module in (brevo, capo, copying, depo, lano, mano)}


@pytest.mark.parametrize("task", [brevo, capo, copying, depo, lano, mano])
def test_the_setting_lies_between_the_laptop_and_the_paper(task: object) -> None:
    def tokens(setting: object) -> int:
        training, rows = setting.training, setting.made_task.batch(0, 0, 4)  # type: ignore[attr-defined]
        return int(training.steps * training.batch * rows.tokens.shape[1])

    assert tokens(task.LAPTOP) < tokens(task.GPU) < tokens(task.PAPER)  # type: ignore[attr-defined]


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", ON_A_GPU)
def test_a_claim_takes_at_most_an_hour_of_one_gpu(name: str) -> None:
    """Also where each side's grid has to be extended once."""
    found = bill.bill(claim(name), "gpu")
    experiment = claim(name).experiment("gpu")
    each = len(experiment.rates) * len(experiment.tuning_seeds) + len(experiment.seeds)
    assert found.runs == each * len(experiment.sides)
    assert 60 < found.whole <= found.whole * (1 + len(experiment.tuning_seeds) / each) <= HOUR


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", ON_A_GPU)
def test_every_side_takes_a_step_in_one_layer(name: str) -> None:
    experiment = claim(name).experiment("gpu")
    for side in experiment.sides:
        run = experiment.run(side, min(experiment.rates), 0).but(batch=1)
        trainer = Trainer(dataclasses.replace(run, model={**run.model, "layers": 1}), "cpu")
        weights = {name: weight.detach().clone() for name, weight in trainer.weights.items() if weight.requires_grad}
        assert math.isfinite(trainer.train_step())
        assert any(not torch.equal(weight, trainer.weights[name]) for name, weight in weights.items())


def test_the_bill_of_a_small_claim_by_hand(small_claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copying three symbols: rows of eight tokens, four of them in a step, four steps, two gradings."""
    monkeypatch.setattr(bill, "started_by", lambda run: 100)
    found = bill.bill(small_claim, "toy", "a100")
    tokens, runs = small_claim.experiment("toy").made_task.batch(0, 0, 4).tokens.numel(), 2 * (3 * 2 + 5)
    assert (found.runs, found.stacks) == (runs, 4)
    assert found.tokens == runs * 4 * tokens
    assert found.seconds["training"] == pytest.approx(4 * 4 * 100 * START)  # so little that starting it takes longer
    assert found.seconds["drawing of rows"] == pytest.approx(2 * (2 + 5) * 4 * tokens / DRAWN)
    assert found.seconds["grading"] == pytest.approx(runs * 2 * GRADED)
    assert found.whole == pytest.approx(sum(found.seconds.values()))
    monkeypatch.setattr(bill, "START", 0.0)
    assert bill.bill(small_claim, "toy", "a100").seconds["training"] == pytest.approx(found.operations / (312e12 * MFU))
    assert found.to_dict()["seconds"]["all"] == found.whole
    assert "Nothing of it was measured" in bill_table(found)


def test_on_cores_runs_are_alone_and_an_unknown_card_is_refused(
    small_claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill, "available_cores", lambda: 4)
    found = bill.bill(small_claim, "toy", "cpu")
    assert found.stacks == found.runs
    assert found.seconds["training"] == pytest.approx(found.operations / (4 * 0.05e12 * bill.CPU_MFU))
    with pytest.raises(UnknownName, match="did you mean 'h100'"):
        bill.bill(small_claim, "toy", "h101")


def test_operations_are_counted_by_what_the_model_does() -> None:
    experiment = claim("R1").experiment("gpu")
    few, more = (started_by(experiment.run(side, 1e-3, 0)) for side in ("RoPE", "RoPE + Canon"))
    assert 100 < few < more < 1000
    assert started_by(experiment.run("RoPE", 5e-3, 7).but(batch=3)) == few


# -- the dial ----------------------------------------------------------------------------------------------------------


def gpu_at_hand(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(reach, "device_of", lambda _: torch.device("cuda" if there else "cpu"))


def test_without_a_gpu_the_dial_stops_below_what_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    depth, ladder = claim("R2-depth"), claim("R2-ladder")
    gpu_at_hand(monkeypatch, False)
    assert [nearest_scale(depth, scale) for scale in SCALES] == ["smoke", "toy", "laptop", "laptop", "laptop"]
    assert "would take about" in reach.why_not(depth, "gpu") and "without a GPU" in reach.why_not(depth, "paper")
    gpu_at_hand(monkeypatch, True)
    assert [nearest_scale(depth, scale) for scale in SCALES] == list(SCALES)
    assert reach.why_not(depth, "gpu") == reach.why_not(depth, "toy") == ""
    assert (nearest_scale(ladder, "gpu"), reach.why_not(ladder, "gpu")) == (
        "laptop",
        "R2-ladder has nothing at gpu scale",
    )
    assert "nothing at gpu scale: with 32 experts" in reach.why_not(claim("R5-experts"), "gpu")


@pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])
def test_whatever_the_dial_says_a_notebook_finds_something_that_can_be_run_here(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = source.read_text(encoding="utf-8")
    at_the_dial = set(re.findall(r"\b(\w+)\.experiment\(scale_of\(\)\)", text))
    named = {name: asked for name, asked in re.findall(r'\b(\w+) = claim\("([\w-]+)"\)', text)}
    for variable in at_the_dial:
        assert claim(named[variable]).experiments.keys() == SCALES.keys(), "it lacks a scale: take nearest_scale(claim)"
    gpu_at_hand(monkeypatch, False)
    for name in set(re.findall(r'\bclaim\("([\w-]+)"\)', text)):
        for dial in SCALES:
            monkeypatch.setenv("PHYSLM_SCALE", dial)
            experiment = claim(name).experiment(scale := nearest_scale(claim(name)))
            assert scale not in reach.NEED_A_GPU
            for side in experiment.sides:
                assert refuse_too_large(experiment.run(side, min(experiment.rates), 0), 2 * 10**9)
