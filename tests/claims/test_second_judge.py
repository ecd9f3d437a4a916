"""Every verdict of the ledger, worked out anew by a judge who shares no code with the rules; and the two on made-up scores."""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from claims import second_judge
from claims.second_judge import Records
from claims.test_first_protocol import TASKS, records

from physlm_lite.claims import SHIPPED, Ahead, AtLeast, Beats, Climbs, Gains, Level, Noise, Shrinks, Stops
from physlm_lite.claims.ledger import ledger
from physlm_lite.training import Record, Run, Store, Training


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return ledger(Store(SHIPPED))


@pytest.fixture(scope="module")
def files() -> Records:
    return Records(SHIPPED)


def test_the_second_judge_imports_nothing_of_the_package() -> None:
    tree = ast.parse(Path(second_judge.__file__).read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named - set(sys.stdlib_module_names) == {"numpy"}


def test_every_verdict_is_what_the_second_judge_finds(rows: list[dict], files: Records) -> None:
    judged = 0
    for row in rows:
        if row["protocol"] == 1:  # its rules are others: tests/claims/test_first_protocol.py
            continue
        found = second_judge.judge(row, files)
        assert found == (row["verdict"], row["equal_seconds"]["verdict"]), (row["claim"], row["scale"])
        judged += found[0] != second_judge.NOT_RUN
    assert judged == sum(row["protocol"] == 2 and row["verdict"] != "not run" for row in rows) > 0


def test_so_are_the_numbers_beside_it(rows: list[dict], files: Records) -> None:
    compared = 0
    for row in rows:
        if row["protocol"] == 1 or not row["comparisons"]:
            continue
        kinds = {kind: said for kind, said in map(second_judge.kind_of, row["rule"])}
        for found in row["comparisons"]:
            if found["worse"] not in row["sides"]:  # made of several sides: the two judges are compared on made-up ones
                assert {"gains", "shrinks", "stops"} & kinds.keys()
                continue
            names = [[run["record"] for run in row["sides"][found[side]]["runs"]] for side in ("better", "worse")]
            if "climbs" in kinds:
                hops, accuracy = int(kinds["climbs"][0]), float(kinds["climbs"][1])
                steps = [[-files.climbed(files.files[name], hops, accuracy) for name in of] for of in names]
                assert found["p"] == pytest.approx(second_judge.chance(*steps))
            elif "noise" not in kinds:
                ours, theirs = (files.scores(of, found["metric"]) for of in names)
                p, back = second_judge.chance(ours, theirs), second_judge.chance(theirs, ours)
                assert found["p"] in (pytest.approx(p), pytest.approx(min(1.0, 2 * min(p, back)))), row["claim"]
                sides = (
                    (theirs, ours) if found["ratio"] and max(ours) < 0 else (ours, theirs)
                )  # a distance: turn it back
                made = [[abs(v) for v in side] if found["ratio"] else side for side in sides]
                means = [np.mean(side) for side in made]
                difference = means[0] / means[1] if found["ratio"] else means[0] - means[1]
                assert found["difference"] == pytest.approx(difference, rel=1e-9)
                assert found["interval"] == pytest.approx(second_judge.interval(*made, ratio=found["ratio"]), rel=1e-9)
            compared += 1
    assert compared > 0


def test_reported_seeds_are_fresh_and_run_at_the_rate_that_the_others_chose(rows: list[dict], files: Records) -> None:
    chosen = 0
    for row in rows:
        if row["protocol"] == 1:
            continue
        for side, told in row["sides"].items():
            runs = [files.files[run["record"]]["run"] for run in (*told["runs"], *told["runs_in_time"])]
            assert {run["seed"] for run in runs}.isdisjoint({100, 101})
            assert {run["training"]["learning_rate"] for run in runs} <= {told["learning_rate"]}
            assert len({run["seed"] for run in runs}) == len(told["runs"])
            if told["runs"] and told["rate_source"].startswith("tuned"):
                assert second_judge.best_rate(row, side, files) == told["learning_rate"], (row["claim"], side)
                chosen += 1
    assert chosen > 0


# -- both on the same made-up scores -----------------------------------------------------------------------------------


def drawn(dice: np.random.Generator, gap: float, kind: str) -> dict[str, list[float | None]]:
    """Five seeds a side, the first side ahead by `gap` deviations on average, and c by ten; now and then one is lost."""
    sign, ahead = -1 if kind == "kl" else 1, {"a": gap, "b": 0, "c": 10, "d": 0}
    sides = {side: 0.4 + 0.05 * (dice.normal(size=5) + sign * ahead[side]) for side in "abcd"}
    return {side: [None if dice.random() < 0.02 else float(v) for v in values] for side, values in sides.items()}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Ahead("accuracy", "a", "b", by=0.05), 4),
        (Ahead("kl", "a", "b", by=0.05), 4),
        (Ahead("kl", "a", "b", factor=1.2), 4),
        (Ahead("bits_per_parameter", "a", "b", factor=1.2), 4),
        (Beats("accuracy", "a", "b", at_least=0.4, at_most=0.44), 4),
        (Level("kl", "a", "b", margin=0.08), 4),
        (AtLeast("accuracy", "a", "b", margin=0.08), 4),
        (Gains("accuracy", "a", "c", "b", share=0.3), 4),
        (Gains("kl", "a", "c", "b", share=0.3), 4),
        (Shrinks("accuracy", ("a", "b"), ("c", "d")), 3),
        (Noise("accuracy", ("a", "b")), 3),
        (Noise("kl", ("a", "b"), settled=True), 3),
    ],
    ids=repr,
)
def test_the_two_judges_agree_on_made_up_scores(rule, words: int) -> None:
    dice, seen = np.random.default_rng(7), set()
    sentence = rule.text(TASKS[rule.metric].made_task)
    for _ in range(100):
        made = records(drawn(dice, dice.uniform(-8, 8 if len(rule.sides()) == 2 else 14), rule.metric), rule.metric)
        values = {s: [Records.score(_file(record), rule.metric) for record in of] for s, of in made.items()}
        found = rule.judge(made).word
        assert found == second_judge.word(sentence, values)
        seen.add(found)
    assert len(seen) == words, "each word must have been tried"


def test_the_two_judges_agree_about_what_a_side_does_not_do() -> None:
    """Of a side that does one thing: of hops, the first."""
    rule, dice, seen = (
        Stops("accuracy_k.2", "a", "accuracy_k.1", at_least=0.7, at_most=0.5),
        np.random.default_rng(7),
        set(),
    )
    run = Run("births", {"hops": 2}, {}, Training(steps=1))
    sentence = rule.text(run.made_task)
    for _ in range(150):
        easy, hard = (np.clip(dice.normal(dice.uniform(0.3, 1), 0.06, 5), 0, 1).tolist() for _ in range(2))
        made = [
            Record(run, "finished", [{"step": 1, "seconds": 1.0, "accuracy_k": {"1": e, "2": h}}], 1.0, 0.0, 1, 1.0)
            for e, h in zip(easy, hard, strict=True)
        ]
        found = rule.judge({"a": made}).word
        assert found == second_judge.stopped(second_judge.kind_of(sentence)[1], easy, hard)
        seen.add(found)
    assert seen == {"holds", "holds in direction", "does not show at this scale", "contradicted"}


def test_the_two_judges_agree_about_rungs() -> None:
    rule, dice, seen = Climbs("a", "b", hops=2), np.random.default_rng(7), set()
    sentence = (
        "counted are the steps until 1 to 2 hops are answered with accuracy >= 0.75; holds if a gets there on more than half "
        "of the seeds, in the median 2 x sooner than b (which may never), and an exact permutation test gives p <= 0.05"
    )
    for _ in range(150):
        pace = dice.uniform(-3, 3)
        times = {s: [_rung(dice, 3 + pace * (s == "a")) for _ in range(5)] for s in "ab"}
        found = rule.judge_times(times, "step").word
        assert found == second_judge.word(sentence, times)
        seen.add(found)
    assert len(seen) == 4


def _rung(dice: np.random.Generator, when: float) -> float:
    return math.inf if dice.random() < 0.15 else float(round(100 * 2 ** max(0.0, when + 0.6 * dice.normal())))


def _file(record) -> dict:
    return {"status": record.status, "curve": record.curve}
