"""What notebook 06 shows: trees and their evaluation, tables, counts, widgets, and figures and tables of records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import trials
from drawn import dots_of
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.claims import Claim, claim, recorded
from physlm_lite.lab import Interactive
from physlm_lite.lessons.mano import figures as lab
from physlm_lite.tasks.mano import Expression, Mano
from physlm_lite.training import Store

EXAMPLE: Expression = ["+", "*", 20, 15, "-", 13, 2]
SIDES = ("RoPE", "RoPE + Canon")


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    task = Mano(L=draw(st.integers(1, 9)), modulus=7, markers="plain", sizes="fixed")
    return task.read(task.batch(draw(st.integers(0, 500)), 0, 1).tokens[0].tolist())[1]


# -- trees -------------------------------------------------------------------------------------------------------------


def test_the_tree_of_the_worked_example() -> None:
    nodes = lab.tree(EXAMPLE)
    assert [node.parent for node in nodes] == [None, 0, 1, 1, 0, 4, 4]
    assert [node.depth for node in nodes] == [0, 1, 2, 2, 1, 2, 2]
    assert [node.x for node in nodes] == [1.5, 0.5, 0, 1, 2.5, 2, 3]


@settings(max_examples=40, deadline=None)
@given(expressions())
def test_every_operator_stands_over_its_two_operands_and_nothing_overlaps(expression: Expression) -> None:
    nodes = lab.tree(expression)
    for place, node in enumerate(nodes):
        below = [other for other in nodes if other.parent == place]
        assert len(below) == (2 if isinstance(node.item, str) else 0)
        assert all(other.depth == node.depth + 1 for other in below)
        if below:
            assert below[0].x < node.x < below[1].x
    leaves = [node.x for node in nodes if isinstance(node.item, int)]
    assert leaves == list(range(len(leaves)))
    assert len({(node.x, node.depth) for node in nodes}) == len(nodes)


@settings(max_examples=40, deadline=None)
@given(expressions())
def test_a_calculation_gives_its_node_the_value_of_the_expression_below(expression: Expression) -> None:
    task = Mano(L=9, modulus=7)
    steps = lab.calculations(task, expression)
    assert [(step.text, step.before) for step in steps] == [
        (text, before)
        for (text, _), before in zip(
            task.steps(expression), [expression, *(rest for _, rest in task.steps(expression))], strict=False
        )
    ]
    for step in steps:
        end, wanted = step.node, 1
        while wanted:
            wanted += 1 if isinstance(expression[end], str) else -1
            end += 1
        assert task.evaluate(expression[step.node : end]) == step.value
        assert task.evaluate(step.before[step.at : step.at + 3]) == step.value
    assert sorted(step.node for step in steps) == [i for i, item in enumerate(expression) if isinstance(item, str)]


def test_the_figure_follows_the_steps() -> None:
    task = Mano(L=3)
    for step, (line, note) in enumerate(
        [("+ * 20 15 - 13 2", "next: ?"), ("+ 1 - 13 2", "next: ?"), ("+ 1 11", "next: ?"), ("12", "the answer: 12")]
    ):
        tree, text = lab.mano_figure(task, EXAMPLE, step).axes
        last = [t.get_text() for t in text.texts if t.get_position()[1] == -step]
        assert last == [*line.split(), note]
        assert sum(" = " in t.get_text() for t in tree.texts) == step
    assert "12" in text.texts[-2].get_text()


# -- widgets -----------------------------------------------------------------------------------------------------------


def drive(explorer: Interactive, name: str, trait: str, values: Sequence[int]) -> None:
    """Set a control to each value, as a browser does; the picture must follow."""
    pictures = set()
    for value in values:
        explorer.controls[name].set_state({trait: value})
        pictures.add(explorer.image.value)
    assert len(pictures) == len(values), f"{name} does not change the picture"
    assert explorer.errors == []


@pytest.mark.parametrize("task", [Mano(L=2, modulus=7, every_length=True), Mano(L=10, context=64)])
def test_the_inspector_draws_instances_and_steps(task: Mano) -> None:
    inspector = lab.mano_inspector(task)
    drive(inspector, "row", "value", (1, 3, 7))
    drive(inspector, "step", "value", (0, 1))
    inspector.controls["step"].set_state({"value": task.L})
    assert inspector.errors == []
    assert "monospace" in inspector.text.value


def test_the_explorer_draws_over_its_whole_range() -> None:
    explorer = lab.floor_explorer({"one": lab.Budget(10, 2), "other": lab.Budget(10**9, 10)})
    drive(explorer, "modulus", "index", (0, 4, 8))
    drive(explorer, "length", "value", (1, 5, 10))
    drive(explorer, "budget", "index", (0, 1))


def test_the_explorer_says_how_often_an_expression_is_seen() -> None:
    def title(modulus: int, length: int, budget: lab.Budget) -> str:
        return lab.explorer_figure(modulus, length, budget).axes[0].get_title()

    assert "147 facts, 147 expressions" in title(7, 1, lab.Budget(44_100, 3))
    assert "each seen 100 times" in title(7, 1, lab.Budget(44_100, 3))
    assert "each seen 0.045 times" in title(7, 3, lab.Budget(44_100, 3))
    assert "never seen" in title(23, 10, lab.Budget(10**9, 10))
    assert "longer than anything" in title(7, 4, lab.Budget(44_100, 3))


def test_a_budget_counts_the_instances_of_rows_and_of_windows() -> None:
    assert lab.Budget.of(Mano(L=3), steps=700, rows=64) == lab.Budget(44_800, 3)
    assert lab.Budget.of(Mano(L=10, context=1024), steps=10, rows=2) == lab.Budget(10 * 2 * 64, 10)


# -- tables and counts -------------------------------------------------------------------------------------------------


def test_the_tables_are_the_facts() -> None:
    tables = lab.operator_tables(Mano(modulus=6))
    a, b = np.indices((6, 6))
    assert set(tables) == {"+", "-", "*"}
    assert (tables["-"] == (a - b) % 6).all() and (tables["*"] == a * b % 6).all()
    figure = lab.table_figure(Mano(modulus=6))
    assert "108 facts" in figure.get_suptitle()
    assert figure.axes[2].get_title() == "a * b:  0 in 15 of 36"


@pytest.mark.parametrize(("length", "modulus", "operators"), [(0, 5, "+"), (1, 3, "+-*"), (2, 2, "+-"), (3, 2, "+*")])
def test_expressions_are_counted_as_enumeration_counts_them(length: int, modulus: int, operators: str) -> None:
    def texts(n: int) -> set[str]:
        if n == 0:
            return {f"{number} " for number in range(modulus)}
        return {
            f"{operator} {left}{right}"
            for l1 in range(n)
            for operator, left, right in product(operators, texts(l1), texts(n - 1 - l1))
        }

    assert lab.expression_count(length, modulus, operators) == len(texts(length))


def test_the_answer_figure_shows_the_exact_distribution() -> None:
    left, right = lab.answer_figure(7, (1, 3)).axes
    assert np.allclose(left.lines[1].get_ydata(), 100 * Mano(L=3, modulus=7).answer_probabilities[3])
    assert np.allclose(right.lines[0].get_ydata(), [100 * Mano(L=3, modulus=7).floor(n) for n in (1, 2, 3)])


# -- records -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trial() -> Claim:
    return trials.manipulation()


@pytest.fixture(scope="module")
def store(trial: Claim, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trials.manipulated(trial, tmp_path_factory.mktemp("records"))


def cells(block: lab.Block) -> list[str]:
    return block.text.splitlines()


def test_the_length_figure_shows_every_seed_and_the_floor(trial: Claim, store: Store) -> None:
    figure = lab.length_figure(recorded(trial, "toy", store), recorded(trial, "laptop", store))
    toy, laptop = figure.axes
    assert len(dots_of(toy)) == 2 * 3 * 2
    floors = [line.get_ydata()[0] for line in toy.lines if line.get_linestyle() == ":"]
    assert floors == [Mano(L=2, modulus=7).floor(n) for n in (1, 2)]
    assert "3 seeds" in toy.get_title() and "no records yet" in laptop.get_title()


def test_settings_stand_beside_their_scores(trial: Claim, store: Store) -> None:
    _, toy, laptop = cells(lab.settings_compared(trial, store))
    assert "modulo 7, up to 2  one a row  1 operation  0.90  0.98" in toy
    assert "9,000 x" in laptop and "-  -  not run" in laptop


def test_all_can_be_drawn_without_records(trial: Claim, tmp_path: Path) -> None:
    empty = Store(tmp_path)
    assert "no records yet" in lab.length_figure(recorded(trial, "toy", empty)).axes[0].get_title()


def test_the_real_claim_can_be_drawn_at_every_scale() -> None:
    real = claim("R2-manipulation")
    outcomes = [recorded(real, scale) for scale in real.experiments if scale != "smoke"]
    assert len(lab.length_figure(*outcomes).axes) == len(outcomes)
    assert len(cells(lab.settings_compared(real))) > 1
