"""A run's configuration: schedules, round trip, a hash that names it, and typos refused."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.training import Run, Training, config

# -- schedules ---------------------------------------------------------------------------------------------------------


def test_the_warm_up_is_linear_and_ends_at_the_full_rate() -> None:
    settings = Training(steps=100, warmup=10, learning_rate=1.0)
    assert [settings.rate(s) for s in range(10)] == pytest.approx([(s + 1) / 10 for s in range(10)])


@pytest.mark.parametrize(("schedule", "middle"), [("cosine", 0.55), ("linear", 0.55), ("constant", 1.0)])
def test_the_decay_begins_at_the_full_rate_and_goes_to_the_final_one(schedule: str, middle: float) -> None:
    settings = Training(steps=110, warmup=10, learning_rate=1.0, schedule=schedule, final=0.1)
    assert settings.rate(10) == pytest.approx(1.0)
    assert settings.rate(60) == pytest.approx(middle)  # half way, cosine and line meet
    assert settings.rate(110) == pytest.approx(1.0 if schedule == "constant" else 0.1)
    rates = [settings.rate(s) for s in range(10, 110)]
    assert rates == sorted(rates, reverse=True)


def test_cosine_and_line_differ_where_they_should() -> None:
    cosine, linear = (
        Training(steps=100, warmup=0, learning_rate=1.0, schedule=s, final=0.0) for s in ("cosine", "linear")
    )
    assert cosine.rate(25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert linear.rate(25) == pytest.approx(0.75)


def test_the_decay_can_begin_late() -> None:
    settings = Training(steps=100, warmup=10, learning_rate=1.0, decay_from=0.6, final=0.0, schedule="linear")
    assert {settings.rate(s) for s in range(10, 61)} == {1.0}
    assert settings.rate(80) == pytest.approx(0.5)
    assert settings.rate(99) == pytest.approx(1 / 40)


def test_a_warm_up_longer_than_the_run_never_reaches_the_full_rate() -> None:
    settings = Training(steps=5, warmup=50, learning_rate=1.0)
    assert settings.rate(4) == pytest.approx(0.1)


def test_evaluations_are_evenly_spaced_and_the_last_is_at_the_end() -> None:
    assert Training(steps=400, evaluations=8).evaluation_steps == set(range(50, 401, 50))
    assert Training(steps=10, evaluations=3).evaluation_steps == {3, 7, 10}
    assert Training(steps=2, evaluations=8).evaluation_steps == {1, 2}
    assert Training(steps=7, evaluations=1).evaluation_steps == {7}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": "400"}, "steps"),
        ({"batch": 1.5}, "batch"),
        ({"warmup": -1}, "warmup"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"clip": 0.0}, "clip"),
        ({"clip": -1.0}, "clip"),
        ({"decay_from": 1.0}, "decay_from"),
        ({"evaluations": 0}, "evaluations"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"dtype": "bfloat"}, "did you mean 'bfloat16'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Training(**options)


# -- runs --------------------------------------------------------------------------------------------------------------


def test_the_round_trip_goes_through_json(tiny: Run) -> None:
    again = Run.from_dict(json.loads(json.dumps(tiny.to_dict())))
    assert again == tiny
    assert again.hash == tiny.hash


@pytest.mark.parametrize(
    ("place", "key", "nearest"),
    [
        (None, "sed", "seed"),
        ("training", "learning_rates", "learning_rate"),
        ("model", "widht", "width"),
        ("task_options", "query", "queries"),
    ],
)
def test_an_unknown_key_anywhere_is_refused_with_the_nearest(
    tiny: Run, place: str | None, key: str, nearest: str
) -> None:
    content = json.loads(json.dumps(tiny.to_dict()))
    (content if place is None else content[place])[key] = 1
    with pytest.raises(UnknownName, match=f"'{key}'; did you mean '{nearest}'"):
        Run.from_dict(content)


def test_an_unknown_task_is_refused_with_the_nearest(tiny: Run) -> None:
    with pytest.raises(UnknownName, match="did you mean 'depo'"):
        Run.from_dict({**tiny.to_dict(), "task": "deppo"})


def test_the_vocabulary_cannot_be_given(tiny: Run) -> None:
    content = tiny.to_dict()
    content["model"]["vocab"] = 99
    with pytest.raises(ValueError, match="vocab"):
        Run.from_dict(content)


OTHER = {
    "steps": 13,
    "batch": 5,
    "learning_rate": 1e-3,
    "warmup": 4,
    "schedule": "linear",
    "decay_from": 0.5,
    "final": 0.2,
    "beta1": 0.8,
    "beta2": 0.99,
    "eps": 1e-8,
    "weight_decay": 0.1,
    "clip": 2.0,
    "evaluations": 2,
    "evaluation_rows": 9,
    "dtype": "bfloat16",
    "leaky": True,
    "optimizer": "muon",
    "decay_all": True,
    "squared_loss": 1e-4,
    "first_zero": True,
    "data_seed": 5,
}


def test_the_hash_depends_on_every_setting(tiny: Run) -> None:
    assert set(OTHER) == {field.name for field in dataclasses.fields(Training)}
    runs = [
        tiny,
        tiny.but(seed=1),
        *(tiny.but(**{name: value}) for name, value in OTHER.items()),
        dataclasses.replace(tiny, model={**tiny.model, "width": 32}),
        dataclasses.replace(tiny, task_options={**tiny.task_options, "N": 5}),
        dataclasses.replace(tiny, task="copy", task_options={"n": 6}),
    ]
    assert len({run.hash for run in runs}) == len(runs)


def test_but_changes_what_it_is_told_and_refuses_typos(tiny: Run) -> None:
    other = tiny.but(seed=3, learning_rate=1e-3)
    assert (other.seed, other.training.learning_rate) == (3, 1e-3)
    assert other.but(seed=tiny.seed, learning_rate=tiny.training.learning_rate) == tiny
    with pytest.raises(UnknownName, match="did you mean 'learning_rate'"):
        tiny.but(learning_rat=1e-3)


def test_runs_of_one_task_and_model_that_are_read_share_what_is_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made, make = [], config.make_task
    monkeypatch.setattr(config, "make_task", lambda *options: made.append(options) or make(*options))  # type: ignore[func-returns-value]
    runs = [
        Run.from_dict({"task": "depo", "task_options": {"N": n}, "training": {"steps": steps}, "seed": seed})
        for n in (11, 12)
        for steps in (3, 4)
        for seed in (0, 1)
    ]
    assert len(made) == 2 and len({run.hash for run in runs}) == 8
    for run in runs:
        assert run.hash == Run(run.task, run.task_options, run.model, run.training, run.seed).hash
    with pytest.raises(ValueError, match="Training option steps must be a whole number"):
        runs[0].but(steps=[1])
    with pytest.raises(ValueError, match="Run option seed must be a whole number of at least 0"):
        runs[0].but(seed=-1)
