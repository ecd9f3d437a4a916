"""The lab around its state: cards, nearest runs, the rule's word, what is given away, what is kept, and the dashboard itself."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from physlm_lite.claims import CLAIMS, Outcome, read_claim, recorded, replicate
from physlm_lite.claims.rules import CONTRADICTED, DIRECTION, HOLDS, NOT_RUN
from physlm_lite.cli import main
from physlm_lite.lab.show import WIDGET_VIEW
from physlm_lite.lessons.what_if_lab import compare, export
from physlm_lite.lessons.what_if_lab.cards import CARDS, of_side
from physlm_lite.lessons.what_if_lab.compare import Row, experiment_of, judge
from physlm_lite.lessons.what_if_lab.dashboard import WhatIf
from physlm_lite.lessons.what_if_lab.given import Costs
from physlm_lite.lessons.what_if_lab.nearest import nearest
from physlm_lite.lessons.what_if_lab.price import SIZES, at_size, price
from physlm_lite.lessons.what_if_lab.trial import Trial
from physlm_lite.lessons.what_if_lab.tried import Tried
from physlm_lite.scale.plan import plan
from physlm_lite.scale.recipe import load_recipe
from physlm_lite.training import Record, Run, Store
from physlm_lite.training import train as really_train
from physlm_lite.training.manager import Manager

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Trial(
    "copying, toy", {"n": 12}, {"width": 8}, {"steps": 150, "batch": 8, "evaluations": 4, "evaluation_rows": 16}
)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def a_row(trial: Trial, *accuracies: float) -> Row:
    """A line of runs that ended with these scores."""
    records = [
        Record(
            trial.runs[0].but(seed=seed),
            "finished",
            [{"step": 1, "seconds": 1.0, "loss": 1.0, "accuracy": a}],
            1.0,
            0.0,
            9,
            1.0,
        )
        for seed, a in enumerate(accuracies)
    ]
    return Row(trial.name, tuple(records), trial)


# -- the questions -----------------------------------------------------------------------------------------------------


def test_every_card_fills_the_controls_with_what_it_asks_and_the_ledger_says_where_it_stands() -> None:
    assert len({card.question for card in CARDS}) == len(CARDS) >= 12
    for card in CARDS:
        trial, outcome = card.trial, recorded(CLAIMS[card.claim], "toy")
        assert Trial.from_text(trial.to_text()) == trial and price(trial, available=10**10).seconds > 0
        if not card.changes and card.side in outcome.rates:  # it is the recorded side itself
            experiment = CLAIMS[card.claim].experiment("toy")
            run = experiment.run(card.side, outcome.rates[card.side], 0)
            assert trial.runs[0].hash == run.hash, card.question
        stands = card.stands()
        assert card.claim in stands and (card.about or outcome.verdict.word in stands or "not judged yet" in stands)
        assert not any(word.strip(".,").replace(".", "").isdigit() for word in card.expect.split()), (
            "numbers are the ledger's"
        )


def test_the_nearest_recorded_runs_are_those_that_differ_least() -> None:
    rings = of_side(CLAIMS["R2-rungs"].experiment("toy"), {"canon": "ABCD"})
    (same, none), *others = nearest(rings.runs[0], rings.metric)
    assert none == [] and same.run.model_config.canon == "ABCD" and len(same.records) == 5
    assert all(apart for _, apart in others)
    (_, apart), *_ = nearest(rings.but("task.queries", 3).but("model.width", 32).runs[0], rings.metric)
    assert set(apart) >= {"task.queries", "model.width"}


# -- is it real? -------------------------------------------------------------------------------------------------------


def test_the_rule_judges_five_seeds_as_the_ledger_does_and_says_what_is_missing_before() -> None:
    canon, plain = TINY.but("model.canon", "ABCD"), TINY
    clear = judge(a_row(canon, 0.9, 0.92, 0.95, 0.91, 0.93), a_row(plain, 0.2, 0.25, 0.22, 0.21, 0.24), "accuracy")
    assert (clear.verdict.word, clear.more) == (HOLDS, 0)
    behind = judge(a_row(plain, 0.2, 0.25, 0.22, 0.21, 0.24), a_row(canon, 0.9, 0.92, 0.95, 0.91, 0.93), "accuracy")
    assert behind.verdict.word == CONTRADICTED and behind.more is None and "other way round" in behind.advice
    one = judge(a_row(canon, 0.9), a_row(plain, 0.2), "accuracy")
    assert one.verdict.word == NOT_RUN and one.more == 4 and "anecdote" in one.advice and one.sofar is None
    three = judge(a_row(canon, 0.9, 0.92, 0.95), a_row(plain, 0.2, 0.25, 0.22), "accuracy")
    assert (
        three.verdict.word == NOT_RUN
        and three.more == 2
        and three.sofar is not None
        and three.sofar.word in (HOLDS, DIRECTION)
    )
    dice = np.random.default_rng(3)
    noisy = judge(a_row(canon, *dice.normal(0.52, 0.03, 5)), a_row(plain, *dice.normal(0.5, 0.03, 5)), "accuracy")
    assert noisy.more is None or noisy.more >= 1
    equal = judge(a_row(canon, *[0.5] * 5), a_row(plain, *[0.5] * 5), "accuracy")
    assert equal.more is None


def test_what_cannot_be_compared_is_refused_in_one_sentence() -> None:
    ours = a_row(TINY, 0.5, 0.6)
    with pytest.raises(ValueError, match="learn different data"):
        judge(ours, a_row(TINY.but("task.n", 24), 0.5, 0.6), "accuracy")
    with pytest.raises(ValueError, match="two different ones"):
        judge(ours, ours, "accuracy")
    with pytest.raises(ValueError, match="unknown score"):
        judge(ours, a_row(TINY.but("model.canon", "A"), 0.5, 0.6), "acuracy")


# -- what is given away ------------------------------------------------------------------------------------------------


def test_the_python_carries_out_exactly_these_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Run] = []

    def train(run: Run) -> Record:
        asked.append(run)
        return a_row(TINY, 0.5).records[0]

    monkeypatch.setattr("physlm_lite.training.train", train)
    for trial in (TINY.but("seeds", (0, 3)).but("rates", (1e-3, 4e-3)), *(card.trial for card in CARDS)):
        asked.clear()
        text = export.as_python(trial).partition("for record in")[0]
        exec(compile(text, "exported", "exec"), {})
        assert [run.hash for run in asked] == [run.hash for run in trial.runs], trial.to_text()


def test_the_command_carries_out_exactly_this_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    monkeypatch.chdir(tmp_path)
    trial = TINY.but("model.canon", "AC").but("training.steps", 4).but("seeds", (2,))
    commands, paths = export.write_commands(trial)
    assert commands == f"physlm train {paths[0]}" and main(shlex.split(commands)[1:]) == 0
    assert [record.id for record in Store(runs)] == [trial.runs[0].hash]
    for card in CARDS:
        _, paths = export.write_commands(card.trial, tmp_path / "cards")
        from physlm_lite.base.reading import read_yaml

        assert [Run.from_dict(read_yaml(path)).hash for path in paths] == [run.hash for run in card.trial.runs]


def test_the_claim_file_is_judged_by_the_protocol(tmp_path: Path, runs: Path) -> None:
    short = TINY.but("training.steps", 3)
    command, path = export.write_claim(short.but("model.canon", "ABCD"), short, "accuracy", tmp_path)
    assert command == f"physlm replicate {path} --scale toy"
    claim = read_claim(path)
    experiment = claim.experiment("toy")
    assert [side.get("canon", "") for side in experiment.sides.values()] == ["ABCD", ""]
    better, worse = experiment.sides
    assert experiment.run(better, 4e-3, 0).hash == short.but("model.canon", "ABCD").runs[0].hash
    assert experiment.run(worse, 4e-3, 0).hash == short.runs[0].hash
    outcome = replicate(claim, "toy", store=Store(runs))
    assert isinstance(outcome, Outcome) and outcome.complete and outcome.verdict.word != NOT_RUN


def test_a_claim_that_is_none_is_refused() -> None:
    for other, said in (
        (TINY.but("training.optimizer", "muon"), "training.optimizer"),
        (TINY.but("task.n", 24), "task.n"),
        (Trial("depo, rings"), "another task"),
        (TINY, "one and the same"),
    ):
        with pytest.raises(ValueError, match=said):
            experiment_of(TINY, other, "accuracy")


def test_the_csv_has_every_evaluation() -> None:
    import csv

    rows = [a_row(TINY, 0.5, 0.6), a_row(TINY.but("model.canon", "A"), 0.7)]
    head, *lines = csv.reader(export.as_csv(rows).splitlines())
    assert len(lines) == 3 and head[:2] == ["name", "record"] and {len(line) for line in lines} == {len(head)}
    assert [line[head.index("accuracy")] for line in lines] == ["0.5", "0.6", "0.7"]


@pytest.mark.parametrize("size", SIZES)
def test_an_architecture_goes_to_a_published_size_with_its_published_widths(size: str) -> None:
    plain = Trial("depo, rings")
    for trial, letters in (
        (plain, ""),
        (plain.but("model.canon", "ABCD"), "ABCD"),
        (plain.but("model.mixer", "gla"), ""),
    ):
        recipe = at_size(trial, size)
        assert recipe.model.canon == letters and recipe.model.mixer == trial.config.mixer
        published = load_recipe(
            {"attention": "Llama", "gla": "GLA5conv"}[recipe.model.mixer] + f"-{size}-Nemo-1T-lr0.002"
        )
        assert (recipe.model.width, recipe.model.layers, recipe.tokens) == (
            published.model.width,
            published.model.layers,
            published.tokens,
        )
    quarter = at_size(plain.but("model.rope_dim", 8).but("model.canon", "ABCD"), size).model
    assert quarter.rotated == quarter.each_head // 4
    last = at_size(plain.but("model.canon", "A").but("model.canon_layers", (-1,)), size).model
    assert last.canon_depths == [last.layers - 1]


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_what_was_tried_is_found_again_and_what_cannot_be_read_is_kept(tmp_path: Path) -> None:
    first = Tried(tmp_path)
    first.put(TINY, guess=0.3)
    first.put(TINY.but("model.canon", "A"))
    first.put(TINY, stopped=True)
    again = Tried(tmp_path)
    assert [(entry.trial, entry.guess, entry.stopped) for entry in again.entries] == [
        (TINY, 0.3, True),
        (TINY.but("model.canon", "A"), None, False),
    ]
    first.put(TINY.but("model.canon", "B"))  # the first kernel is still there, and neither forgets the other's
    again.put(TINY.but("model.canon", "C"))
    again.drop(TINY.but("model.canon", "B"))
    again.drop(TINY.but("model.canon", "C"))
    assert [entry.trial.name for entry in Tried(tmp_path).entries] == [entry.trial.name for entry in first.entries[:2]]
    newer = {"text": "physlm:what-if?setting=of+tomorrow", "guess": None, "stopped": False}
    again.path.write_text(json.dumps([newer, *json.loads(again.path.read_text())]))
    later = Tried(tmp_path)
    later.drop(TINY)
    assert json.loads(later.path.read_text())[0] == newer and len(later.entries) == 1
    later.path.write_text("[half")
    broken = Tried(tmp_path)
    assert broken.entries == [] and "could not be read" in broken.problem
    assert broken.path.with_suffix(".unreadable").read_text() == "[half"


# -- the dashboard -----------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(runs: Path) -> Iterator[Manager]:
    with Manager(Store(runs), workers=1) as manager:
        yield manager


def test_a_trial_is_chosen_guessed_run_stopped_gone_on_with_found_again_and_given_away(
    manager: Manager, tmp_path: Path, runs: Path
) -> None:
    lab = WhatIf(TINY.but("training.steps", 12_500), tmp_path, manager, at_once=False)
    assert lab.run_button.disabled and not lab.plain_button.disabled
    lab.prediction.control.value = 0.25
    lab.prediction.lock_button.click()
    assert not lab.run_button.disabled
    lab.run_button.click()
    assert not lab.prediction.locked  # the next one is asked anew
    until(lambda: lab.queue.bar.value > 3)
    lab.queue.stop_button.click()
    until(lambda: not lab.queue.go_button.disabled)
    assert "stopped after" in lab.queue.text.value and Tried(runs).entries[0].stopped

    found = WhatIf(lab.panel.trial, tmp_path, manager, at_once=False)  # the cell, run again in another kernel
    still, alive = found.outputs()
    assert found.queue.waiting() == [] and WIDGET_VIEW in alive and "data:image/png" in still["text/html"]
    assert next(line.shown.state for line in found.table.lines if line.shown).startswith("stopped, 0 of 1")
    assert not found.queue.go_button.disabled and "stopped earlier" in found.queue.text.value
    found.drop(found.tried.entries[0].trial)

    found.given.line.value = TINY.but("seeds", (1,)).to_text()
    found.given.restore_button.click()
    assert found.panel.trial == TINY.but("seeds", (1,)) and found.given.answer.value == "restored"
    found.given.line.value = "physlm:what-if?setting=nothing"
    found.given.restore_button.click()
    assert "unknown setting" in found.given.answer.value and found.panel.trial == TINY.but("seeds", (1,))
    found.run_button.click()  # disabled in a browser; here the guess is the slider's
    found.panel.set(found.panel.trial.but("model.canon", "ABCD"))
    found.plain_button.click()
    until(lambda: not found.queue.left() and found.queue._thread is not None and not found.queue._thread.is_alive())
    found.paint()
    assert found.errors == [] and "recorded" in found.queue.text.value
    own = [line for line in found.table.lines if line.shown is not None and line.shown.trial is not None]
    assert [line.shown.state for line in own] == ["done", "done"] and "you said" in own[1].shown.said  # type: ignore[union-attr]

    for line in own[:2]:
        line.tick.value = True
    found.paint()
    assert "Not judged yet" in found.judged.value and found.more_button.layout.display == ""
    for name in found.given.buttons:
        found.given.buttons[name].click()
        assert "written" in found.given.said.value, (name, found.given.said.value)
    assert {path.suffix for path in tmp_path.iterdir()} >= {".py", ".yaml", ".csv", ".png"}
    found.more_button.click()
    assert {len(entry.trial.seeds) >= compare.SEEDS for entry in found.tried.entries} == {True}
    found.queue.stop_button.click()
    until(lambda: found.queue._thread is not None and not found.queue._thread.is_alive())
    found.take(CARDS[0])
    found.paint()
    assert found.panel.trial == CARDS[0].trial and "Where the records stand" in found.told.value


def test_every_control_answers_within_what_the_kernel_may_take(manager: Manager, tmp_path: Path) -> None:
    """A walk through all tabs and controls, as the browser would click them; what it took is printed, not asserted."""
    lab, times = WhatIf(Trial("depo, rings"), tmp_path, manager, at_once=False), []
    lab.soon = lambda: None  # type: ignore[method-assign]  # the picture follows in its own time
    for tab in range(1, len(lab.panel.view.children)):
        lab.panel.view.selected_index = tab
        name = list(lab.panel.rows)[tab - 1]
        for place in range(len(lab.panel.rows[name])):
            row = lab.panel.rows[name][place]
            for number, option in enumerate(row.control.options[-2:], len(row.control.options) - 2):
                if number >= 0 and not option.refusal and not option.chosen:
                    before = lab.panel.trial
                    begin = time.perf_counter()
                    row.buttons[number].click()
                    times.append(time.perf_counter() - begin)
                    assert lab.panel.trial != before
                    lab.panel.set(before)
                    break
    print(f"{len(times)} controls: median {1000 * statistics.median(times):.0f} ms, most {1000 * max(times):.0f} ms")
    assert len(times) > 25 and lab.errors == []


def test_a_run_that_does_not_fit_cannot_be_begun(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from physlm_lite.training import cost

    monkeypatch.setattr(cost, "free_memory", lambda device: 1000)
    lab = WhatIf(TINY, tmp_path, manager, at_once=False)
    assert "This cannot run here" in lab.price_text.value and "choose a smaller scale" in lab.price_text.value
    assert lab.run_button.disabled and lab.plain_button.disabled


def test_what_is_priced_is_what_is_carried_out(runs: Path) -> None:
    found = price(TINY.but("seeds", (0, 1, 2)))
    record = really_train(TINY.runs[0], store=Store(runs))
    assert found.runs == 3 and found.parameters == record.parameters and math.isfinite(found.seconds)
    assert dataclasses.asdict(price(TINY))["memory"] == found.memory


def test_the_cost_at_a_published_size_is_the_planner_s_and_so_is_its_refusal() -> None:
    asked = {
        "plain": Trial("depo, rings").but("model.mlp", "none"),
        "experts": Trial("depo, rings").but("model.experts", 4),
    }
    said = {}
    for name, trial in asked.items():
        costs = Costs(lambda trial=trial: trial)
        costs.buttons[0].click()
        costs.threads[0].join(120)
        said[name] = costs.text.value
    found = plan(at_size(asked["plain"], "1B"))
    assert (
        f"{found['parameters']:,}" in said["plain"] and f"{found['gpu_hours']:,.0f} on {found['gpus']}" in said["plain"]
    )
    with pytest.raises(ValueError) as caught:
        plan(at_size(asked["experts"], "1B"))
    assert said["experts"] == f"At 1B: {caught.value}"
