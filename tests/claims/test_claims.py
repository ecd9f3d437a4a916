"""The claims that ship: sources, numbers, experiments that can be built, and records that belong to them."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import (
    CLAIMS,
    SCALES,
    SHIPPED,
    VERDICTS,
    Ahead,
    Beats,
    Claim,
    Level,
    Noise,
    claim,
    recorded,
    scale_of,
)
from physlm_lite.claims.ledger import ledger, ledger_table
from physlm_lite.claims.phase_map import MAP_SEEDS, MAPS
from physlm_lite.evaluation import evaluate
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.training import Run, Store
from physlm_lite.training.record import read_record

EVERY = [pytest.param(c, scale, id=f"{c.id}-{scale}") for c in CLAIMS.values() for scale in c.experiments]


@pytest.mark.parametrize("the_claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_says_what_where_and_with_which_numbers(the_claim: Claim) -> None:
    assert CLAIMS[the_claim.id] is the_claim is claim(the_claim.id)
    assert re.fullmatch(
        r"Part \d\.\d, sections? [\d.]+( and \d)?, result \d+, figures? \d+( (and|to) \d+)?|Others: .+, \d{4}",
        the_claim.source,
    )
    assert the_claim.title and the_claim.statement.endswith(".")
    assert the_claim.paper
    for row in the_claim.paper:
        assert set(row) == {"setting", "side", "value"}
        # the paper's numbers on noise are gaps between runs, not scores of one side
        assert (
            row["side"].startswith("two ")
            or row["side"].startswith("four ")
            or all(row["side"] in experiment.sides for experiment in the_claim.experiments.values())
        )
        assert re.search(r"\d|“", row["value"]), "a number, or the source's own words"


def test_scales_stand_in_their_order() -> None:
    for the_claim in CLAIMS.values():
        scales = list(the_claim.experiments)
        assert scales == [scale for scale in SCALES if scale in scales]
        assert scales[0] == "smoke"


def test_unknown_claims_and_scales_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="did you mean 'R2-depth'"):
        claim("R2-dept")
    with pytest.raises(UnknownName, match="did you mean 'laptop'"):
        scale_of("labtop")
    assert scale_of() == "toy"
    monkeypatch.setenv("PHYSLM_SCALE", "laptop")
    assert (scale_of(), scale_of("smoke")) == ("laptop", "smoke")
    monkeypatch.setenv("PHYSLM_SCALE", "huge")
    with pytest.raises(UnknownName):
        scale_of()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("the_claim", "scale"), EVERY)
def test_every_experiment_is_fair_and_can_be_built(the_claim: Claim, scale: str) -> None:
    experiment = the_claim.experiment(scale)
    assert len(experiment.seeds) >= (5 if scale != "smoke" else 3)
    assert not set(experiment.seeds) & {
        *experiment.tuning_seeds,
        *range(100),
    }  # pilots and the first protocol: below 100
    assert (
        min(experiment.tuning.grid) <= 4e-3
    )  # a baseline at one high rate lies; where the best one lies below, the grid goes on
    published = 2 if scale == "paper" else 3  # the paper's own grid for Capo has two rates
    assert len(set(experiment.grid)) == len(experiment.grid) >= published
    assert set(experiment.tuning.sides) >= set(experiment.sides)
    runs = {side: experiment.run(side, experiment.grid[0], 0) for side in experiment.sides}
    assert len({json.dumps({**run.to_dict(), "model": None}, sort_keys=True) for run in runs.values()}) == 1
    assert len({run.hash for run in runs.values()}) == len(runs)
    for side, run in runs.items():
        own = experiment.sides[side]
        assert run.model == {**experiment.model, **own}
        shared = {k: v for k, v in run.model.items() if k not in own}
        assert shared == {k: v for k, v in experiment.model.items() if k not in own}
        with torch.device("meta"):  # the shapes alone: at the papers' scale, too
            model = LanguageModel(run.model_config)
        assert run.model_config.parameters == sum(p.numel() for p in model.parameters())
    if scale not in ("smoke", "paper"):
        assert experiment.simplified


@pytest.mark.sampled(7)
@pytest.mark.parametrize(("the_claim", "scale"), EVERY)
def test_the_scores_that_rules_look_at_and_figures_show_are_graded(the_claim: Claim, scale: str) -> None:
    experiment = the_claim.experiment(scale)
    task = experiment.at_hand.made_task
    model = LanguageModel(ModelConfig(vocab=len(task.vocabulary), width=16, layers=1, heads=1), seed=0)
    scores = evaluate(model, task, min(24, experiment.training.evaluation_rows))
    judged = {rule.metric for rule in experiment.rules if isinstance(rule, (Ahead, Beats, Level, Noise))}
    for name in judged | {experiment.select} | {metric.name for metric in experiment.panels}:
        assert math.isfinite(experiment.metric(name).of(scores)), name


def test_canon_layers_add_half_a_percent_at_the_papers_size() -> None:
    """As the statement of R2 says."""
    experiment = claim("R2-depth").experiment("paper")
    plain, canon = (experiment.run(side, 1e-3, 0).model_config.parameters for side in ("RoPE", "RoPE + Canon"))
    assert 0.003 < canon / plain - 1 < 0.007


# -- the records that ship ---------------------------------------------------------------------------------------------


def asked_at_first() -> set[str]:
    """The names of all runs of the first protocol."""
    asked = set()
    for the_claim in CLAIMS.values():
        rates = {rate for experiment in the_claim.at_first.values() for rate in experiment.tuning.grid}
        for experiment in the_claim.at_first.values():
            asked |= {run.name_in(1) for _, run in experiment.tuning.walk()}
            asked |= {
                experiment.run(side, rate, seed).name_in(1)
                for side in experiment.sides
                for rate in rates
                for seed in experiment.seeds
            }
    return asked


def is_asked(run: Run) -> bool:
    """Whether some claim asks for this run, on a seed for tuning at any rate or on a reported one, or some phase map."""
    if run.seed in MAP_SEEDS:
        rate = run.training.learning_rate
        maps = [phase for phase in MAPS.values() if phase.experiment.task == run.task]
        return run.hash in {
            phase.run(side, rate, run.seed, x, y).hash
            for phase in maps
            for side in (phase.better, phase.worse)
            for x, y in phase.places
        }
    for the_claim in CLAIMS.values():
        for experiment in the_claim.experiments.values():
            if run.seed in (*experiment.tuning_seeds, *experiment.seeds) and experiment.task == run.task:
                for side in experiment.sides:
                    rate = run.training.learning_rate
                    if run.hash in (
                        experiment.run(side, rate, run.seed).hash,
                        experiment.run_in_time(side, rate, run.seed).hash,
                    ):
                        return True
    return False


def test_every_shipped_record_belongs_to_a_claim() -> None:
    """A run that no claim asks for is a left-over, or its experiment was changed after it."""
    before = asked_at_first()
    for path in SHIPPED.rglob("*.json"):
        record = read_record(path)  # parses, and has the name of its hash
        assert path.stem == record.id
        assert record.id in before if record.format == 1 else is_asked(record.run), path.name
        assert record.status in ("finished", "diverged")
        if record.status == "finished":
            assert [point["step"] for point in record.curve] == sorted(record.run.training.evaluation_steps)
        assert record.seconds > 0 and record.peak_memory_mb > 0
        assert record.parameters == record.run.model_config.parameters


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("the_claim", "scale"), EVERY)
def test_what_is_recorded_can_be_judged(the_claim: Claim, scale: str) -> None:
    outcome = recorded(the_claim, scale, Store(SHIPPED))
    content = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert content["verdict"] in VERDICTS
    enough = 3 if outcome.protocol == 1 else 5
    complete = scale != "smoke" and all(len(records) >= enough for records in outcome.records.values())
    assert (content["verdict"] != "not run") == complete


def test_a_contradiction_is_told_with_what_a_second_look_found() -> None:
    for the_claim in CLAIMS.values():
        assert not the_claim.again or CLAIMS[the_claim.again] is not the_claim
    rows = {(row["claim"], row["scale"]): row for row in ledger(Store(SHIPPED))}
    for row in rows.values():
        contradicted = "contradicted" in (row["verdict"], row["equal_seconds"]["verdict"]) and row["protocol"] == 2
        assert bool(row["second_look"]) == contradicted
    level, again = rows["R7-level", "toy"], rows["R7-level-recall", "toy"]
    assert level["second_look"] == f"looked at in another way, as R7-level-recall: {again['verdict']}"
    (line,) = [
        line for line in ledger_table(list(rows.values())).splitlines() if line.split()[:2] == ["R7-level", "toy"]
    ]
    assert level["second_look"] in line
