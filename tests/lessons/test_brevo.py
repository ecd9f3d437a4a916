"""Notebook 04: what its pictures and tables say about Brevo is true, and its widgets work over their whole range."""

from __future__ import annotations

from itertools import pairwise, permutations
from math import factorial, isclose, prod

import numpy as np
import pytest
from drawn import dots_of

from physlm_lite.claims import claim, replicate
from physlm_lite.lessons.brevo.figures import (
    allowed_next,
    answers_table,
    blind_answer,
    breadth_figure,
    brevo_graph,
    brevo_what_if,
    ceiling_table,
    choices,
    count_orders,
    distances,
    drawing,
    first_vertex_table,
    graph_figure,
    layers,
    orders_log10,
    parents_of,
    parts_figure,
    read_instances,
    samples,
    spoiled_answers,
    verdict_table,
    what_if_figure,
)
from physlm_lite.tasks.brevo import Brevo
from physlm_lite.training import Store

LETTERS = Brevo(N=6)
NAMES = Brevo(N=6, V=4, shortest=1, longest=2)


@pytest.mark.parametrize("task", [LETTERS, NAMES, Brevo(N=6, context=96)], ids=["letters", "names", "packed"])
def test_instances_are_read_back_from_their_tokens(task: Brevo) -> None:
    batch = task.batch(0, 0, 12)
    for one, tokens in zip(read_instances(task, batch), batch.tokens.tolist(), strict=True):
        text = [token for edge in one.edges for name in edge for token in name]
        assert tokens[1 : 1 + len(text)] == text
        assert one.answer[-1] == one.query
        assert set(one.answer) == set(distances(parents_of(one.edges), one.query))
        answer = [token for name in one.answer for token in name]
        assert task.judge(one.edges, one.query, [*answer, task.eos]).right


def test_names_are_read_up_to_the_first_thing_that_is_none() -> None:
    inner, final = NAMES.names.specials, NAMES.names.final
    assert NAMES.names.read_all([inner, final, final + 1, NAMES.eos, final]) == ([(inner, final), (final + 1,)], 3)
    assert NAMES.names.read_all([final, inner]) == ([(final,)], 1)
    assert NAMES.names.read_all([]) == ([], 0)


def test_the_right_answers_are_counted_as_brute_force_counts_them() -> None:
    for one in samples(LETTERS, 25):
        parents = parents_of(one.edges)
        goal = list(distances(parents, one.query))
        right = [
            order for order in permutations(goal) if all(parents[v] <= set(order[:i]) for i, v in enumerate(order))
        ]
        assert count_orders(parents, one.query) == len(right)
        children = parents_of((child, parent) for parent, child in one.edges)
        # drawn from its end, an order has the chance 1 / (the choices multiplied): these are chances of all right orders
        assert isclose(sum(1 / prod(choices(children, order[::-1])) for order in right), 1)
        assert orders_log10(one) == pytest.approx(np.log10(prod(choices(children, one.answer[::-1]))))


def test_choices_are_the_sizes_of_what_is_allowed_next() -> None:
    for one in samples(Brevo(N=12), 10):
        parents = parents_of(one.edges)
        goal = distances(parents, one.query)
        allowed = [allowed_next(parents, goal, one.answer[:i]) for i in range(len(one.answer))]
        assert choices(parents, one.answer) == [len(vertices) for vertices in allowed]
        assert all(vertex in vertices for vertex, vertices in zip(one.answer, allowed, strict=True))
        assert allowed_next(parents, goal, one.answer) == set()


def test_a_distance_is_the_fewest_edges_back() -> None:
    assert distances(parents_of([("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]), "c") == {"c": 0, "a": 1, "b": 1}


def test_edges_are_drawn_from_left_to_right_between_places_of_their_own() -> None:
    for one in samples(Brevo(N=14), 10):
        layer, (place, ways) = layers(parents_of(one.edges)), drawing(one.edges)
        assert len(set(place.values())) == len(place)
        for (parent, child), way in zip(one.edges, ways, strict=True):
            assert layer[parent] < layer[child]
            assert (way[0], way[-1]) == (place[parent], place[child])
            assert all(b[0] - a[0] == 1 for a, b in pairwise(way))
            assert not set(way[1:-1]) & set(place.values())


def test_the_graph_says_what_is_written_and_what_may_come_next() -> None:
    one = next(one for one in samples(LETTERS, 50) if len(one.answer) == 6)
    shown = {text.get_text() for text in graph_figure(LETTERS, one, 0).axes[1].texts}
    assert "nothing yet" in shown
    assert f"what does {LETTERS.spelled(one.query)} depend on?" in shown
    assert any(text.endswith(f"of 6! = {factorial(6)}") for text in shown)
    assert "only <eos>" in {text.get_text() for text in graph_figure(LETTERS, one, 6).axes[1].texts}


@pytest.mark.parametrize("task", [LETTERS, NAMES], ids=["letters", "names"])
def test_the_graphs_of_the_page_are_those_of_the_texts(task: Brevo) -> None:
    batch = task.batch(1, 0, 4, split="test")
    for one, drawn in zip(read_instances(task, batch), brevo_graph(task, 1, 4).data["instances"], strict=True):
        names = drawn["names"]
        edges = [(names[edge["parent"]], names[edge["child"]]) for edge in drawn["edges"]]
        assert edges == [(task.spelled(parent), task.spelled(child)) for parent, child in one.edges]
        assert [names[vertex] for vertex in drawn["answer"]] == list(map(task.spelled, one.answer))
        assert names[drawn["query"]] == task.spelled(one.query)


def test_the_what_if_widget_works_at_its_corners() -> None:
    widget = brevo_what_if()
    for N in (4, 110):
        for degree in (1, 8):
            widget.controls["degree"].set_state({"value": degree})
            widget.controls["N"].set_state({"value": N})
    widget.controls["leaves"].set_state({"index": 1})
    assert widget.controls["leaves"].value == "ceil"
    assert "context" in widget.text.value
    assert widget.errors == []


def test_with_one_parent_and_one_child_there_is_one_right_answer() -> None:
    assert {orders_log10(one) for one in samples(Brevo(N=20, degree=1), 30)} == {0.0}
    assert what_if_figure(20, 1, "floor", rows=30).axes[-1].get_title() == "mean 0.0"


@pytest.mark.parametrize("task", [Brevo(N=8), NAMES], ids=["letters", "names"])
def test_spoiled_answers_get_the_verdict_that_they_are_made_for(task: Brevo) -> None:
    wanted = {
        "as in the text": "correct",
        "two unrelated ones swapped": "correct",
        "parent and child swapped": "parent after child",
        "the first left out": "missing vertex",
        "a foreign one added": "foreign vertex",
        "the first one twice": "repeated vertex",
        "no <eos>": "no end",
        "half a name at the end": "unfinished name",
    }
    judged = 0
    for one in samples(task, 40):
        texts = spoiled_answers(task, one)
        if not texts:
            continue
        judged += 1
        verdicts = {what: task.judge(one.edges, one.query, text).reason for what, text in texts.items()}
        assert verdicts == {what: wanted[what] for what in verdicts}
        assert ("half a name at the end" in verdicts) == (task.longest > 1)
    assert judged > 5
    assert "foreign vertex" in verdict_table(task).text


def test_graphs_too_small_for_every_verdict_are_refused() -> None:
    with pytest.raises(ValueError, match="raise N"):
        verdict_table(Brevo(N=3))


def test_a_blind_writer_is_right_only_if_every_vertex_is_needed() -> None:
    generator = np.random.default_rng(0)
    for one in samples(LETTERS, 30):
        parents = parents_of(one.edges)
        first, whole = blind_answer(one, generator)
        assert first >= whole
        if len(one.answer) == len(parents):
            assert first
            assert whole


def test_the_tables_count_over_graphs() -> None:
    blind = first_vertex_table((4, 40), rows=30).text.splitlines()
    assert len(blind) == 3
    assert blind[2].startswith("40 ")
    ceiling = ceiling_table((4, 40), rows=30).text.splitlines()
    agrees = [float(line.split()[2].rstrip("%")) for line in ceiling[1:]]
    assert 100 >= agrees[0] > agrees[1] > 10  # broader answers leave more choice


def test_the_model_s_answers_stand_beside_the_text() -> None:
    batch = LETTERS.batch(0, 0, 3, split="test")
    right = [[token for name in one.answer for token in name] + [LETTERS.eos] for one in read_instances(LETTERS, batch)]
    lines = answers_table(LETTERS, batch, [right[0], right[1][:-1], [LETTERS.eos]]).text.splitlines()
    assert [line.split("  ")[-1] for line in lines[1:]] == ["correct", "no end", "missing vertex"]


def test_figures_have_labels_and_the_number_of_seeds(tmp_path) -> None:
    breadth = breadth_figure((6, 12), rows=40)
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in breadth.axes)
    outcome = replicate(claim("R2-breadth"), "smoke", store=Store(tmp_path))
    figure = parts_figure(outcome)
    assert "3 seeds" in figure.get_suptitle()
    assert all(axis.get_xlabel() for axis in figure.axes)
    sizes = {len(record.final["accuracy_length"]) for runs in outcome.records.values() for record in runs}
    assert len(dots_of(figure.axes[0])) == 2 * 3 * max(sizes)
