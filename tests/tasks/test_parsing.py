"""Parsing: the fast versions agree with the textbook's, with all sentences written out, and with published numbers."""

import math
import random
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.lano_reference import TABLE, VECTORS, language, sample_mersenne, small_grammars

from physlm_lite.tasks import parsing, parsing_naive
from physlm_lite.tasks.grammar import NAMED, Derivation, Grammar
from physlm_lite.tasks.lano import Lano
from physlm_lite.tasks.parsing import (
    kl_to_truth,
    log_probability,
    nearest_valid,
    next_symbol,
    next_symbols,
    parse_counts,
    parse_tree,
    recognise,
)

names = pytest.mark.parametrize("name", TABLE)
DENSE = Grammar.from_text("6: 5 5 | 5 5 5; 5: 4 4 | 4 4 4; 4: 3 3 | 3 3 3; 3: 1 1 | 1 1 1")  # of one symbol, anywhere


def texts_over(grammar, longest=9):
    """Texts of terminals and of a few tokens that are none."""
    return st.lists(st.integers(-1, grammar.terminals + 2), max_size=longest)


def exact(rows, columns):
    """Fractions, or None for no row, as an array."""
    return np.array([[float(x) for x in row] if row else [math.nan] * columns for row in rows])


def corrupted(sentence, source, alphabet):
    """A sentence with one to three tokens replaced, dropped, or put in."""
    text = [int(token) for token in sentence]
    for _ in range(source.randint(1, 3)):
        place = source.randrange(len(text))
        text[place : place + source.randint(0, 1)] = [source.choice(alphabet)] * source.randint(0, 1)
    return text


# -- published numbers -------------------------------------------------------------------------------------------------


@names
def test_published_sentences(name):
    length, begin, checksum, bits, trees = VECTORS[name]
    grammar = Grammar.published(name)
    sentence = sample_mersenne(grammar)
    assert len(sentence) == length
    assert sentence[:16] == [int(token) for token in begin.split()]
    assert zlib.crc32(bytes(sentence)) == checksum
    assert recognise(grammar, [sentence]).tolist() == [True]
    assert parse_counts(grammar, [sentence]) == [trees]
    assert round(-log_probability(grammar, [sentence])[0] / math.log(2), 4) == bits


def test_published_next_symbols():
    grammar = Grammar.published("cfg3f")
    rows = next_symbol(grammar, sample_mersenne(grammar))
    assert rows.shape == (306, 4)
    np.testing.assert_allclose(
        rows[:6],
        [
            [0, 0.367863, 0.070385, 0.561753],
            [0, 0.323089, 0.250590, 0.426321],
            [0, 0.521815, 0.090616, 0.387569],
            [0, 0.383097, 0.467613, 0.149290],
            [0, 1, 0, 0],
            [0, 0.433359, 0.045824, 0.520817],
        ],
        atol=5.1e-7,
    )
    assert rows[305].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    "name, text, fewest, wrong",
    [
        ("cfg3f", None, 3, (3, 3, 3, 2, 1, 1, 1)),
        ("cfg3b", None, 6, (6, 4, 2, 1, 1, 1, 1)),
        ("cfg3f", [2] * 80, 42, (42, 34, 16, 8, 4, 2, 1)),
        ("cfg3f", [2] * 50, None, ()),
    ],
)
def test_published_substitutions(name, text, fewest, wrong):
    grammar = Grammar.published(name)
    nearest = nearest_valid(grammar, text or [1] * 10 + sample_mersenne(grammar)[10:])
    assert (nearest.substitutions, nearest.wrong) == (fewest, wrong)


def test_a_grammar_of_three_rules():
    grammar = Grammar.from_text("9: 1 2 1 | 3 3 | 1 1")
    np.testing.assert_allclose(
        next_symbol(grammar, [1, 2, 1]),
        [[0, 2 / 3, 0, 1 / 3], [0, 0.5, 0.5, 0], [0, 1, 0, 0], [1, 0, 0, 0]],
        atol=1e-15,
    )
    np.testing.assert_allclose(
        next_symbol(grammar, [1, 3, 1]),
        [[0, 2 / 3, 0, 1 / 3], [0, 0.5, 0.5, 0], [math.nan] * 4, [math.nan] * 4],
        atol=1e-15,
    )
    assert next_symbol(grammar, [3, 3, 3])[2].tolist() == [1, 0, 0, 0]  # a sentence, of which nothing is a continuation
    assert np.isnan(next_symbol(grammar, [3, 3, 3])[3]).all()
    assert (
        recognise(grammar, [[1, 1], [3, 3], [1, 2, 1], [1], [2, 1], [], [1, 1, 1], [1, 4]]).tolist()
        == [True] * 3 + [False] * 5
    )


def test_one_level_up():
    part = Grammar.published("cfg3f").rooted_at(10)
    text = [3, 3, 3, 2, 1, 1]
    tree = parse_tree(part, text)
    assert tree.symbols == ((10,), (9, 7, 9), (3, 3, 3, 2, 1, 1)) and tree.children == ((3,), (2, 2, 2))
    assert parse_counts(part, [text]) == [1]
    assert log_probability(part, [text])[0] == pytest.approx(-math.log(108))


# -- against the textbook ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, part",
    [("cfg3f", slice(None)), ("cfg3k", slice(None)), ("cfg3e2", slice(None, 120)), ("brackets", slice(None))],
)
def test_next_symbols_are_exact(name, part):
    grammar = Grammar.named(name)
    text = sample_mersenne(grammar)[part]
    expected = exact(parsing_naive.next_symbol(grammar, text), grammar.terminals + 1)
    assert np.abs(next_symbol(grammar, text) - expected).max() < 1e-14


@pytest.mark.parametrize("name", NAMED)
def test_named_grammars_on_good_and_bad_texts(name):
    grammar, source = Grammar.named(name), random.Random(3)
    sentences = Lano(name).sentences(5, 0, 2)
    alphabet = [*range(1, grammar.terminals + 1), 0]
    texts = [*sentences, *(corrupted(sentence, source, alphabet) for sentence in sentences)]
    counts = [parsing_naive.parse_count(grammar, list(text)) for text in texts]
    assert parse_counts(grammar, texts) == counts
    assert recognise(grammar, texts).tolist() == [count > 0 for count in counts]
    assert all(counts[:2])


@settings(deadline=None, max_examples=80)
@given(data=st.data(), grammar=small_grammars())
def test_everything_agrees_with_the_textbook_and_with_all_sentences(data, grammar):
    sentences = language(grammar)
    some = st.sampled_from(sorted(sentences)[:50]).map(list)
    texts = data.draw(st.lists(some | texts_over(grammar), min_size=1, max_size=5))
    known = [sentences.get(tuple(text)) for text in texts]
    counts = [count.trees if count else 0 for count in known]
    assert parse_counts(grammar, texts) == counts == [parsing_naive.parse_count(grammar, text) for text in texts]
    assert (
        recognise(grammar, texts).tolist()
        == [count > 0 for count in counts]
        == [parsing_naive.recognise(grammar, text) for text in texts]
    )
    chances = [float(count.probability) if count else 0.0 for count in known]
    assert [float(parsing_naive.probability(grammar, text)) for text in texts] == pytest.approx(chances)
    np.testing.assert_allclose(np.exp(log_probability(grammar, texts)), chances, rtol=1e-12)

    for text, rows in zip(texts, next_symbols(grammar, texts), strict=True):
        slow = parsing_naive.next_symbol(grammar, text)
        np.testing.assert_allclose(rows, exact(slow, grammar.terminals + 1), atol=1e-14)
        for i, row in enumerate(slow):  # by the definition, from all sentences
            begins = {s: c.probability for s, c in sentences.items() if s[:i] == tuple(text[:i])}
            total = sum(begins.values())
            assert (row is None) == (total == 0)
            if row:
                after = [
                    sum(p for s, p in begins.items() if s[i : i + 1] == (t,)) for t in range(1, grammar.terminals + 1)
                ]
                assert row == [p / total for p in [begins.get(tuple(text[:i]), 0), *after]]

    for text, count in zip(texts, known, strict=True):
        tree = parse_tree(grammar, text)
        assert (tree is None) == (count is None)
        if tree:
            assert is_tree(grammar, tree) and tree.sentence == tuple(text)
            assert 2 ** -tree.bits(grammar) == pytest.approx(float(count.best))
            if count.trees == 1:
                assert tree.bits(grammar) == pytest.approx(-math.log2(count.probability), abs=1e-9)

        nearest = nearest_valid(grammar, text)
        distance = {s: sum(a != b for a, b in zip(s, text, strict=True)) for s in sentences if len(s) == len(text)}
        assert (
            nearest.substitutions == min(distance.values(), default=None) == parsing_naive.substitutions(grammar, text)
        )
        assert (nearest.substitutions == 0) == (count is not None)
        if distance:
            assert distance[nearest.sentence] == nearest.substitutions == nearest.wrong[0]
            assert len(nearest.wrong) == grammar.depth + 1
            assert nearest.wrong[-1] == (nearest.substitutions > 0)
            assert list(nearest.wrong) == sorted(nearest.wrong, reverse=True)


def is_tree(grammar, tree):
    """Does every symbol have the children of one of its rules?"""
    for symbols, children, below in zip(tree.symbols, tree.children, tree.symbols[1:], strict=False):
        begin = 0
        for symbol, size in zip(symbols, children, strict=True):
            if below[begin : begin + size] not in grammar.rules[symbol]:
                return False
            begin += size
        if begin != len(below):
            return False
    return tree.symbols[0] == (grammar.root,)


# -- properties on real sentences --------------------------------------------------------------------------------------


@names
def test_rows_are_distributions_whose_product_is_the_probability(name):
    task = Lano(name)
    grammar, sentences = task.language, task.sentences(7, 0, 12)
    for sentence, rows, logarithm in zip(
        sentences, next_symbols(grammar, sentences), log_probability(grammar, sentences), strict=True
    ):
        assert (rows >= 0).all()
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-14)
        chosen = rows[np.arange(len(rows)), np.append(sentence, 0)]
        assert np.log(chosen).sum() == pytest.approx(logarithm, rel=1e-12)
        assert rows[0, 0] == 0


@names
def test_unambiguous_sentences_are_as_likely_as_their_derivation(name):
    task = Lano(name)
    grammar = task.language
    derivations = task.derivations(1, 0, 30)
    sentences = [tree.sentence for tree in derivations]
    bits = -log_probability(grammar, sentences) / math.log(2)
    counts = parse_counts(grammar, sentences)
    assert all(counts)
    for tree, trees, found, sentence in zip(derivations, counts, bits, sentences, strict=True):
        best = parse_tree(grammar, sentence)
        assert is_tree(grammar, best) and best.sentence == sentence
        if trees == 1:
            assert best == tree
            assert found == pytest.approx(tree.bits(grammar), abs=1e-9)
        else:
            # the sum over all trees is at least the best one, and at most that many times as much
            assert found < best.bits(grammar) <= tree.bits(grammar) + 1e-9
            assert found >= best.bits(grammar) - math.log2(trees) - 1e-9
    assert (max(counts) == 1) == (name in ("cfg3b", "cfg3e1", "cfg3e2"))


@pytest.mark.parametrize(
    "name, share",
    [
        ("cfg3b", 1.0),
        ("cfg3i", 0.23),
        ("cfg3h", 0.83),
        ("cfg3g", 0.20),
        ("cfg3f", 0.58),
        ("cfg3e1", 1.0),
        ("cfg3e2", 1.0),
        ("cfg3j", 0.30),
        ("cfg3k", 0.15),
    ],
)
def test_published_shares_of_unambiguous_sentences(name, share):
    samples = 20 if name in ("cfg3e1", "cfg3e2", "cfg3j", "cfg3k") else 60  # behind the published share
    task = Lano(name)
    single = np.mean([count == 1 for count in parse_counts(task.language, task.sentences(2, 0, 200))])
    assert abs(single - share) < 5 * math.sqrt(max(share * (1 - share), 0.01) * (1 / samples + 1 / 200))


@pytest.mark.parametrize(
    "name, share",
    [
        ("cfg3b", 0.00),
        ("cfg3i", 0.00),
        ("cfg3h", 0.03),
        ("cfg3g", 0.03),
        ("cfg3f", 0.10),
        ("cfg3e1", 0.00),
        ("cfg3e2", 0.05),
        ("cfg3j", 0.10),
        ("cfg3k", 0.20),
    ],
)
def test_published_shares_of_sentences_that_survive_a_substitution(name, share):
    samples = 20 if name in ("cfg3e1", "cfg3e2", "cfg3j", "cfg3k") else 60
    task, source = Lano(name), random.Random(0)
    texts = []
    for sentence in task.sentences(3, 0, 200):
        place = source.randrange(len(sentence))
        other = source.choice([t for t in range(1, task.language.terminals + 1) if t != sentence[place]])
        texts.append([*sentence[:place], other, *sentence[place + 1 :]])
    valid = recognise(task.language, texts).mean()
    assert abs(valid - share) < 5 * math.sqrt(max(share * (1 - share), 0.02) * (1 / samples + 1 / 200))


@pytest.mark.parametrize("name", ["cfg3b", "cfg3f", "cfg3g"])
def test_substitutions_on_real_sentences(name):
    task, source = Lano(name), random.Random(1)
    for sentence in task.sentences(4, 0, 3):
        assert nearest_valid(task.language, sentence)[:2] == (0, tuple(sentence.tolist()))
        text = sentence.copy()
        for place in source.sample(range(len(text)), 5):
            text[place] = source.randrange(0, 5)
        nearest = nearest_valid(task.language, text)
        assert nearest.substitutions <= (text != sentence).sum()
        assert nearest.substitutions == (np.array(nearest.sentence) != text).sum()
        assert recognise(task.language, [nearest.sentence]).all()
        assert (nearest.substitutions == 0) == recognise(task.language, [text])[0]


# -- batches, strange texts, and dense ones ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cfg3f", "cfg3k", "cfg3e1", "brackets"])
def test_a_batch_is_its_texts_one_by_one(name, monkeypatch):
    task, source = Lano(name), random.Random(2)
    sentences = task.sentences(0, 0, 3)
    texts = [*sentences, [], *(corrupted(sentence, source, [1, 2, 3, 9]) for sentence in sentences), sentences[0]]
    grammar = task.language
    for chunk in (parsing.CHUNK, 700):  # all at once, and in several parts
        monkeypatch.setattr(parsing, "CHUNK", chunk)
        assert recognise(grammar, texts).tolist() == [recognise(grammar, [text])[0] for text in texts]
        assert parse_counts(grammar, texts) == [parse_counts(grammar, [text])[0] for text in texts]
        assert log_probability(grammar, texts).tolist() == [log_probability(grammar, [text])[0] for text in texts]
        for rows, text in zip(next_symbols(grammar, texts), texts, strict=True):
            np.testing.assert_array_equal(rows, next_symbol(grammar, text))


def test_no_texts_at_all():
    grammar = Grammar.published("cfg3b")
    assert recognise(grammar, []).shape == (0,) and log_probability(grammar, []).shape == (0,)
    assert parse_counts(grammar, []) == [] and next_symbols(grammar, []) == []


@pytest.mark.parametrize(
    "text",
    [
        [],
        [0],
        [-1] * 200,
        [4] * 200,
        [10**30, 1],
        [True],
        np.array([], np.uint8),
        [1] * 5000,
        np.full(138, 2**63, np.uint64),
    ],
)
def test_strange_texts_are_no_sentences(text):
    grammar = Grammar.published("cfg3b")
    assert recognise(grammar, [text]).tolist() == [False]
    assert parse_counts(grammar, [text]) == [0]
    assert log_probability(grammar, [text]).tolist() == [-math.inf]
    assert parse_tree(grammar, text) is None
    rows = next_symbol(grammar, text)
    assert rows.shape == (len(text) + 1, 4)
    np.testing.assert_allclose(rows[0].sum(), 1)
    assert np.isnan(rows[-1]).all() or len(text) < 2


@pytest.mark.parametrize("text", [[1.5], ["1"], [[1, 2]], 3, [None], [1, 2.0]])
def test_what_is_no_text_is_refused(text):
    for function in (recognise, parse_counts, log_probability, next_symbols):
        with pytest.raises(ValueError, match="a sentence is a sequence of integers, not"):
            function(Grammar.published("cfg3b"), [text])
    for function in (parse_tree, nearest_valid, next_symbol):
        with pytest.raises(ValueError, match="a sentence is a sequence of integers, not"):
            function(Grammar.published("cfg3b"), text)


@pytest.mark.parametrize("many", [1, 40, parsing.MANY])
@pytest.mark.parametrize(
    "grammar, texts",
    [
        (DENSE, [[1] * 16, [1] * 30, [2] * 20, [1] * 7, [1] * 10 + [2] + [1] * 10]),
        (Grammar.published("cfg3k").rooted_at(19), [[3] * 30, [3] * 60, [1] * 30]),
    ],
    ids=["of one symbol", "cfg3k"],
)
def test_texts_with_spans_everywhere(grammar, texts, many, monkeypatch):
    # with few pairs at once, joins are done in portions and by multiplying matrices
    monkeypatch.setattr(parsing, "MANY", many)
    counts = [parsing_naive.parse_count(grammar, text) for text in texts]
    assert parse_counts(grammar, texts) == counts
    assert recognise(grammar, texts).tolist() == [count > 0 for count in counts]
    chances = [float(parsing_naive.probability(grammar, text)) for text in texts]
    np.testing.assert_allclose(np.exp(log_probability(grammar, texts)), chances, rtol=1e-12)
    for rows, text in zip(next_symbols(grammar, texts), texts, strict=True):
        np.testing.assert_allclose(
            rows, exact(parsing_naive.next_symbol(grammar, text), grammar.terminals + 1), atol=1e-12
        )
    for text, count in zip(texts, counts, strict=True):
        tree = parse_tree(grammar, text)
        assert (tree is not None) == (count > 0) == (nearest_valid(grammar, text).substitutions == 0)
        assert tree is None or is_tree(grammar, tree)


def test_a_long_dense_text():
    # 3 3 3 ... is where cfg3k has the most spans: tens of millions of pairs, without a matrix product
    grammar = Grammar.published("cfg3k")
    assert recognise(grammar, [[3] * 480]).all()
    rows = next_symbol(grammar, [3] * 480)
    np.testing.assert_allclose(rows.sum(1), 1)
    chosen = rows[np.arange(481), [3] * 480 + [0]]
    assert np.log(chosen).sum() == pytest.approx(log_probability(grammar, [[3] * 480])[0], rel=1e-11)


def test_sentences_of_two_thousand_tokens():
    # the longest sentence of cfg3j: three children everywhere that allow it; 2 ** -1600 likely, far below any float
    grammar = Grammar.published("cfg3j")
    levels, children = [(grammar.root,)], []
    longest = grammar.upward(1, lambda rules: max(map(sum, rules)))
    for _ in range(grammar.depth):
        chosen = [
            max(grammar.rules[symbol], key=lambda rule: sum(longest[child] for child in rule)) for symbol in levels[-1]
        ]
        levels.append(tuple(child for rule in chosen for child in rule))
        children.append(tuple(map(len, chosen)))
    tree = Derivation(tuple(levels), tuple(children))
    assert len(tree.sentence) == 2052
    assert recognise(grammar, [tree.sentence]).all()
    assert log_probability(grammar, [tree.sentence])[0] == pytest.approx(-tree.bits(grammar) * math.log(2))
    rows = next_symbol(grammar, tree.sentence)
    assert np.log(rows[np.arange(2053), [*tree.sentence, 0]]).sum() == pytest.approx(-tree.bits(grammar) * math.log(2))


def test_grammars_beyond_floating_point_are_refused():
    grammar = Grammar.from_text("\n".join(f"{s}: {s - 1} {s - 1} {s - 1} | {s - 1} {s - 1}" for s in range(9, 1, -1)))
    assert recognise(grammar, [[1] * 300]).all()
    with pytest.raises(
        ValueError, match="sentences of up to 6561 tokens differ too much in probability for floating point"
    ):
        log_probability(grammar, [[1] * 300])


# -- distance to the truth ---------------------------------------------------------------------------------------------


def test_the_truth_is_no_distance_from_itself():
    grammar = Grammar.published("cfg3f")
    p = next_symbol(grammar, sample_mersenne(grammar))
    assert kl_to_truth(p, p) == 0
    q = np.full_like(p, 1 / 4)
    assert kl_to_truth(p, q) > kl_to_truth(p, 0.9 * p + 0.1 * q) > 0


def test_distance_by_hand():
    e = 1e-5
    p, q = [[0, 0.5, 0.5], [1, 0, 0]], [[0.1, 0.6, 0.3], [1, 0, 0]]
    norm = 1 + 3 * e
    first = 0.5 * (math.log((0.5 + e) / norm) - math.log((0.6 + e) / norm)) + 0.5 * math.log((0.5 + e) / (0.3 + e))
    assert kl_to_truth(p, q) == pytest.approx(first / 2)
    # a model that has spent some of its probability on other tokens is normalised again by the smoothing
    less = [[0.05, 0.3, 0.15], [0.5, 0, 0]]
    assert kl_to_truth(p, less, smoothing=1e-12) == pytest.approx(kl_to_truth(p, q, smoothing=1e-12))
    assert kl_to_truth([[1, 0]], [[0, 1]]) == pytest.approx(math.log((1 + e) / e), rel=1e-6)


@pytest.mark.parametrize(
    "p, q, sentence",
    [
        ([[1, 0]], [[1, 0, 0]], "p and q must have the same shape [rows, S + 1], not (1, 2) and (1, 3)"),
        ([1, 0], [1, 0], "p and q must have the same shape [rows, S + 1], not (2,) and (2,)"),
        ([[math.nan, math.nan]], [[1, 0]], "p has rows of nan: no sentence begins like this text"),
    ],
)
def test_distances_that_do_not_exist_are_refused(p, q, sentence):
    with pytest.raises(ValueError) as error:
        kl_to_truth(p, q)
    assert sentence in str(error.value)
