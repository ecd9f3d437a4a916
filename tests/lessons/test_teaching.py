"""Notebook 99: the plans fit their minutes, the answers are those of the notebooks, and thirty pasted lines make a picture."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from matplotlib import pyplot

from physlm_lite.claims import SHIPPED, claim, recorded
from physlm_lite.claims.replicate import planned
from physlm_lite.lab import doctor, show
from physlm_lite.lab.attempts import exercises_of
from physlm_lite.lab.doctor import REMEDIES
from physlm_lite.lessons.teaching import class_page, plans
from physlm_lite.lessons.teaching.class_page import class_figure, class_lines, for_learner, pasted
from physlm_lite.training import Store


@pytest.mark.parametrize("minutes", plans.LESSONS)
def test_a_plan_fits_into_its_minutes_and_leaves_time_for_the_class_page(minutes: int) -> None:
    lines = plans.plan(minutes)
    times = [begin for begin, _ in lines]
    assert times == sorted(set(times)) and times[0] == 0 and times[-1] == minutes
    assert 5 <= times[-1] - times[-2] <= 20, "the class page"
    parts = [said for _, said in lines if " · " in said]
    assert len(parts) == len(plans.LESSONS[minutes])
    assert any(said == "a break" for _, said in lines) == (minutes > 90)
    assert f"{minutes} minutes" in plans.plan_table(minutes).text


def test_a_plan_that_notebooks_have_outgrown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.LESSONS, 45, (*plans.LESSONS[45], ("07", plans.READ)))
    with pytest.raises(ValueError, match="a notebook has grown, take a part out"):
        plans.plan(45)


def test_the_course_takes_every_lesson_once() -> None:
    taught = [number for _, numbers in plans.COURSE for number in numbers]
    assert sorted(taught) == sorted(number for number in plans.notebooks() if number < "90")
    assert plans.course_table().text.count(" h ") == 2 * len(plans.COURSE)


@pytest.mark.parametrize("number", ["00", "02", "15"])
def test_answers_and_what_cells_show_come_from_the_notebook(number: str) -> None:
    one = plans.notebooks()[number]
    solved = plans.answers(number)
    checked = next(names for title, names in exercises_of().items() if title.startswith(number))
    assert solved.text.count("return") >= len(checked) and "..." not in solved.text
    assert f"{number} · {one.title}" in solved.markup
    shown = plans.shown_by(number).text
    assert "a picture: " in shown and "CheckResult" not in shown
    assert number == "15" or "  def report(outcome):  " in shown, "the published notebook trains nothing"


def test_remedies_are_the_doctors_own() -> None:
    looks: dict[str, Callable[..., object]] = {look.__name__: look for look in doctor.LOOKS}
    looks["records"] = looks["storage"]
    assert plans.HEARD.keys() == REMEDIES.keys() <= looks.keys()
    said = plans.trouble_table().text
    assert all(remedy in said for remedy in REMEDIES.values())


def test_every_learner_has_a_seed_of_their_own_and_the_best_rates_of_the_records() -> None:
    depth = claim("R2-depth")
    store = Store(SHIPPED)
    runs = [run for number in (1, 30) for run in planned(for_learner(depth, number), "toy", store)]
    assert {run.seed for run in runs} == {1001, 1030}
    kept = recorded(depth, "toy").records
    for run in runs:
        assert run.training.learning_rate in {records[0].run.training.learning_rate for records in kept.values()}
    for wrong in (0, 1000, "7"):
        with pytest.raises(ValueError, match="number on the class list"):
            for_learner(depth, wrong)  # type: ignore[arg-type]


def test_thirty_lines_out_of_a_chat_make_one_picture() -> None:
    draws = random.Random(7)
    scores = {i: (draws.uniform(0.1, 0.2), draws.choice([0.05, 0.3, 0.9])) for i in range(1, 31)}
    lines = [
        f"Eve (10:{i:02d}): #{i} R2-depth toy | RoPE {a:.3f} | RoPE + Canon {b:.3f}" for i, (a, b) in scores.items()
    ]
    lines += [
        "did it!",
        "#4 R1 toy | RoPE 0.200 | RoPE + Canon 1.000",
        "#5 R2-depth toy | RoPE 0.100 | RoPE + Canon 0.500",
    ]
    found = pasted("\n".join(lines))
    assert found.what == "R2-depth at toy scale" and found.sides == ("RoPE", "RoPE + Canon")
    assert len(found.scores) == 29, "learner 4 ran another experiment after all"
    assert found.scores[5] == (0.1, 0.5), "the last line of a learner counts"
    assert found.left_out == ("did it!", "#4: R1 at toy scale")
    assert found.ahead == sum(b > a for i, (a, b) in {**scores, 5: (0.1, 0.5)}.items() if i != 4)
    assert f"ahead for {found.ahead} of 29" in found.sentence() and "2 lines were left out" in found.sentence()
    figure = class_figure("\n".join(lines))
    assert f"29 learners, {found.ahead} of them" in figure.get_suptitle()
    assert len(figure.axes[1].lines) == 29 + 1
    assert len(show.png(figure)) > 5000
    pyplot.close(figure)
    with pytest.raises(ValueError, match="no line of a class"):
        pasted("hello")


def test_recorded_runs_stand_in_for_a_class() -> None:
    outcome = recorded(claim("R2-depth"), "toy")
    found = pasted("\n".join(class_lines(outcome)))
    assert len(found.scores) == len(outcome.experiment.seeds)
    assert class_page.LINE.search(class_lines(outcome)[0]) is not None
