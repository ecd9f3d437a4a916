"""Notebook 07's toys: trees, spans, counting models, corruptions and widgets, each against an independent count."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from tasks.lano_reference import language

from physlm_lite.lessons.lano.exercises import derivation_bits, next_symbol, parse_trees
from physlm_lite.lessons.lano.figures import (
    Counting,
    ambiguity_figure,
    corrupted,
    grammar_explorer,
    grammar_figure,
    lano_walk,
    neighbour_accuracy,
    position_figure,
    rules_figure,
    sampled,
    span_figure,
    tree_nodes,
    two_scores,
    two_scores_figure,
    write,
)
from physlm_lite.lessons.lano.figures import parse_trees as every_tree
from physlm_lite.tasks import Grammar, Lano, parsing

SMALL = Lano("cfg3f", root=14, context=None)
NINE = Grammar.from_text("9: 1 2 1 | 3 3 | 1 1")
AMBIGUOUS = Grammar.published("cfg3g").rooted_at(14)
TWO_TREES = (2, 2, 1, 1, 2, 2, 1, 1, 2, 2)


def truth(texts: list) -> list:
    return parsing.next_symbols(SMALL.language, texts)


def test_the_spans_of_a_tree_cover_what_its_children_cover() -> None:
    for derivation in SMALL.derivations(0, 0, 20):
        levels = tree_nodes(derivation)
        assert (levels[0][0].start, levels[0][0].end) == (0, len(derivation.sentence))
        for above, below in pairwise(levels):
            for place, node in enumerate(above):
                children = [child for child in below if child.parent == place]
                assert (children[0].start, children[-1].end) == (node.start, node.end)
                assert tuple(child.symbol for child in children) in SMALL.language.rules[node.symbol]


def test_the_trees_are_as_many_as_are_counted_and_hold_the_sampled_one() -> None:
    task = Lano(AMBIGUOUS.to_text(), context=None)
    derivations = [d for d in task.derivations(1, 0, 60) if len(d.sentence) <= 14]
    counts = parsing.parse_counts(AMBIGUOUS, [d.sentence for d in derivations])
    for derivation, count in zip(derivations, counts, strict=True):
        trees = every_tree(AMBIGUOUS, derivation.sentence)
        assert len(trees) == len(set(trees)) == count
        assert derivation in trees
    assert len(every_tree(AMBIGUOUS, TWO_TREES)) == 2
    assert every_tree(AMBIGUOUS, (1, 2, 3)) == []


def test_the_exercises_agree_with_the_library() -> None:
    rules = dict(AMBIGUOUS.rules)
    for text in (TWO_TREES, (2, 2, 1, 3), (1, 2, 3)):
        assert parse_trees(rules, 14, text) == parsing.parse_counts(AMBIGUOUS, [text])[0]
    assert derivation_bits(rules, 14) == pytest.approx(AMBIGUOUS.derivation_entropy)
    eleven = SMALL.language.rooted_at(11)
    sentences = {text: float(count.probability) for text, count in language(eleven).items()}
    for text in list(sentences)[:20]:
        rows = parsing.next_symbol(eleven, text)
        for n in range(len(text) + 1):
            assert np.allclose(next_symbol(sentences, text[:n], 3), rows[n])


def test_the_grammar_as_a_model_is_perfect() -> None:
    assert two_scores(truth, SMALL, sentences=100) == (0.0, 1.0)


def test_written_texts_depend_on_the_seed_alone_and_greedy_ones_are_all_the_same() -> None:
    longest = SMALL.language.longest
    assert write(truth, 20, longest, seed=1) == write(truth, 30, longest, seed=1)[:20]
    assert write(truth, 20, longest, seed=1) != write(truth, 20, longest, seed=2)
    assert len(set(write(truth, 20, longest, greedy=True))) == 1


def test_texts_written_by_the_grammar_are_distributed_as_it_says() -> None:
    texts = write(lambda t: parsing.next_symbols(NINE, t), 900, longest=3)
    for sentence in language(NINE):
        assert texts.count(sentence) == pytest.approx(300, abs=60)


def test_a_text_that_does_not_end_is_too_long_to_be_a_sentence() -> None:
    def never_ends(texts: list) -> list:
        return [np.tile([0.0, 1.0, 0.0, 0.0], (len(text) + 1, 1)) for text in texts]

    assert write(never_ends, 2, longest=5) == [(1,) * 6] * 2


def test_a_counting_model_counts() -> None:
    model = Counting(SMALL, width=2, sentences=300)
    seen = [text.tolist() for text in SMALL.sentences(0, 0, 300)]
    after = [[*text, 0][i + 2] for text in seen for i in range(len(text) - 1) if text[i : i + 2] == [3, 3]]
    row = model([np.array([1, 3, 3])])[0][-1]
    assert np.allclose(row, np.bincount(after, minlength=4) / len(after), atol=1e-3)
    first = np.bincount([text[0] for text in seen], minlength=4) / len(seen)
    assert np.allclose(model([np.array([2])])[0][0], first, atol=1e-3)


def test_more_context_brings_a_counting_model_nearer_to_the_truth() -> None:
    kl = [two_scores(Counting(SMALL, width, sentences=5000), SMALL, sentences=50)[0] for width in (0, 2, 4)]
    assert kl[0] > kl[1] > kl[2] > 0.1


def test_neighbours_settle_the_token_but_not_the_symbols_far_above() -> None:
    accuracy = neighbour_accuracy(SMALL, most=3, sentences=1000)
    alone, three = accuracy[0], accuracy[3]
    assert (accuracy[:, -1] == 1).all()  # the token itself
    assert (accuracy[:, 0] == 1).all()  # the only root
    assert three[2] > alone[2] + 0.2
    assert three[1] < 0.9


def test_a_corruption_changes_one_token_and_reaches_every_place_and_terminal() -> None:
    originals = [(1, 2, 3)] * 400
    spoilt = corrupted(SMALL.language, originals)
    assert all(sum(a != b for a, b in zip(x, y, strict=True)) == 1 for x, y in zip(originals, spoilt, strict=True))
    assert len(set(spoilt)) == 6


def test_the_shares_of_an_unambiguous_grammar_are_shares_and_its_numbers_exact() -> None:
    whole = Grammar.published("cfg3b")
    shares = sampled(whole, sentences=20)
    assert shares.ambiguous == 0
    assert sum(shares.choices) == pytest.approx(1)
    numbers = grammar_figure(whole, "cfg3b").axes[2].texts[4].get_text().splitlines()
    assert numbers[:2] == ["6", "32"]
    assert numbers[3] == f"{whole.derivation_entropy:,.0f}"


def test_the_pictures_draw() -> None:
    assert len(rules_figure(SMALL.language).axes) == 3
    assert "1 in 6,561" in ambiguity_figure(AMBIGUOUS, TWO_TREES).axes[0].get_title()
    span = span_figure(SMALL.language.rooted_at(10), (3, 3, 3, 2, 1, 1)).axes[0]
    assert sorted(text.get_text() for text in span.texts) == sorted(["10", *"333211", *"9997"])
    assert len(two_scores_figure(SMALL).axes) == 1
    shown = position_figure(SMALL.language, SMALL.derivations(0, 0, 1)[0], position=99)
    assert "after" in shown.axes[1].get_title()


def test_what_is_no_sentence_has_no_trees_to_draw() -> None:
    with pytest.raises(ValueError, match="1 2 3 is not a sentence"):
        ambiguity_figure(AMBIGUOUS, (1, 2, 3))
    with pytest.raises(ValueError, match="further down"):
        lano_walk(Lano("cfg3f", context=None), sentences=1)


def test_the_walk_looks_up_the_exact_distribution() -> None:
    data = lano_walk(SMALL, sentences=3).data
    for sentence in data["sentences"]:
        tokens = sentence["tokens"]
        assert np.allclose(sentence["next"], parsing.next_symbol(SMALL.language, tokens), atol=1e-6)
        assert [node[1] for node in sentence["nodes"] if node[0] == SMALL.language.depth] == tokens
    counts = {sum(share > 0 for share in row) for sentence in data["sentences"] for row in sentence["next"]}
    assert {goal["many"] for goal in data["goals"]} <= counts, "a goal that cannot be reached"


def test_the_explorer_shows_published_and_new_grammars() -> None:
    explorer = grammar_explorer()
    pictures = {explorer.image.value}
    for name in ("cfg3f", "cfg3e1", "new"):
        explorer.controls["name"].value = name
        pictures.add(explorer.image.value)
    assert len(pictures) == 4
    for name in ("levels", "rules", "seed"):
        control, seen = explorer.controls[name], set()
        for value in (control.min, control.max, control.min):
            control.set_state({"value": value})
            seen.add(explorer.image.value)
        assert len(seen) == 2, f"{name} changes nothing"
    assert explorer.errors == []
    assert "the rules" in explorer.text.value


@pytest.mark.parametrize("width", [0, 1, 3])
def test_counting_all_texts_at_once_is_counting_them_one_by_one(width: int) -> None:
    task = Lano("cfg3f", root=14, context=None)
    fast = Counting(task, width, 200)
    slow = np.full_like(fast.counts, 1e-3)
    for text in task.sentences(0, 0, 200):
        past = [0] * width + text.tolist()
        for place, symbol in enumerate([*text.tolist(), 0]):
            row = sum(token * fast.base**power for power, token in enumerate(past[place : place + width]))
            slow[row, symbol] += 1
    assert np.array_equal(fast.counts, slow)
