"""Phase maps: their runs, the words at their points, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import SHIPPED
from physlm_lite.claims.phase_map import AHEAD, BEHIND, MAP_SEEDS, MAPS, NOT_RUN, OPEN, PhaseMap, map_table, phase_map
from physlm_lite.claims.plan import Plan
from physlm_lite.training import Record, Store


def filled(phase: PhaseMap, scores: dict[str, list[float | None]]) -> list[str]:
    """The words of a map whose sides have these scores at its first point; None is a run that diverged."""
    rates = dict.fromkeys((phase.better, phase.worse), 1e-3)
    x, y = phase.places[0]
    found = {}
    for side, values in scores.items():
        for seed, score in zip(MAP_SEEDS, values, strict=False):
            run = phase.run(side, rates[side], seed, x, y)
            curve = [{"step": 1, "seconds": 1.0, phase.metric: score}]
            found[run.hash] = Record(run, "diverged" if score is None else "finished", curve, 1.0, 0.0, 1, 1.0)

    class Fixed:
        def find(self, run):
            return found.get(run.hash)

    object.__setattr__(phase, "rates", lambda store: rates)
    points = phase.points(Fixed())  # type: ignore[arg-type]
    assert json.dumps(phase.to_dict(Fixed()), allow_nan=False)  # type: ignore[arg-type]
    assert phase.better in map_table(phase, Fixed())  # type: ignore[arg-type]
    return [point.word for point in points]


@pytest.mark.parametrize(
    ("better", "worse", "word"),
    [
        ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], AHEAD),  # of a distance, less is better
        ([0.4, 0.5, 0.6], [0.1, 0.2, 0.3], BEHIND),
        ([0.1, 0.2, 0.45], [0.4, 0.5, 0.6], OPEN),  # one pair of seeds disagrees
        ([0.1, 0.2], [0.4, 0.5, 0.6], NOT_RUN),
        ([0.1, 0.2, None], [0.4, 0.5, 0.6], OPEN),
        ([0.1, 0.2, 0.3], [0.4, 0.5, None], AHEAD),
    ],
)
def test_a_side_is_ahead_only_where_every_pair_of_seeds_says_so(better, worse, word) -> None:
    phase = dataclasses.replace(MAPS["structure"])
    words = filled(phase, {phase.better: better, phase.worse: worse})
    assert words[0] == word and set(words[1:]) == {NOT_RUN}


@pytest.mark.parametrize("phase", MAPS.values(), ids=MAPS)
def test_every_map_has_runs_of_its_own_that_can_be_built(phase: PhaseMap) -> None:
    runs = [phase.run(side, 1e-3, MAP_SEEDS[0], x, y) for side in (phase.better, phase.worse) for x, y in phase.places]
    assert len({run.hash for run in runs}) == len(runs) == 2 * len(phase.across.values) * len(phase.up.values)
    for run in runs:
        assert run.model_config.parameters > 0 and run.made_task.vocabulary
    experiment = phase.experiment
    assert not set(MAP_SEEDS) & {*experiment.seeds, *experiment.tuning_seeds, *range(100)}
    assert math.isfinite(min(*phase.across.values, *phase.up.values))


def test_an_axis_changes_nothing_but_its_option() -> None:
    phase = MAPS["depth"]
    one, other = (phase.run(phase.better, 1e-3, 300, steps, nodes) for steps, nodes in ((200, 6), (400, 8)))
    assert (one.training.steps, other.training.steps) == (200, 400)
    assert (one.task_options["N"], other.task_options["N"]) == (6, 8)
    assert {**one.task_options, "N": 0} == {**other.task_options, "N": 0} and one.model == other.model
    assert one.but(steps=400).training == other.training


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'residual'"):
        phase_map("residul")
    with pytest.raises(UnknownName, match="did you mean 'RoPE'"):
        dataclasses.replace(MAPS["structure"], worse="RoP")
    with pytest.raises(ValueError, match="kl"):
        dataclasses.replace(MAPS["structure"], metric="k1")


def test_a_map_waits_until_its_row_has_chosen_the_rates(tmp_path: Path) -> None:
    empty = Store(tmp_path)
    assert MAPS["structure"].missing(empty) == [] and {p.word for p in MAPS["structure"].points(empty)} == {NOT_RUN}
    assert len(MAPS["on-top"].missing(empty)) == 54  # the rate is one of its axes


def test_the_queue_carries_out_maps_after_the_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from physlm_lite.claims import plan

    monkeypatch.setattr(plan, "CLAIMS", {"R6-depth": MAPS["on-top"].claim})
    monkeypatch.setattr(plan.Pace, "seconds", lambda self, run: 1.0)
    made = Plan("toy", Store(tmp_path, SHIPPED))
    assert [row.name for row in made.rows][-1] == "map on-top"
    assert made.expected[0] == sum(row.runs for row in made.rows)
    last = list(made.jobs())[-1]
    assert last.row == "map on-top" and last.run.seed in MAP_SEEDS
