"""Lano: the stream is what its grammar derives, drawn uniformly, and packed as the paper says."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like
from tasks.lano_reference import TABLE, small_grammars

from physlm_lite.base.strict import UnknownName
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.grammar import NAMED, Grammar
from physlm_lite.tasks.lano import Lano, lano_derivation, sampled_derivations
from physlm_lite.tasks.parsing import log_probability

BOS = 1
names = pytest.mark.parametrize("name", TABLE)
all_names = pytest.mark.parametrize("name", NAMED)  # with our own
SMALL = "9: 1 2 1 | 3 3 | 1 1"


def slow_sentence(task, key):
    return [1 + terminal for terminal in lano_derivation(task.language, int(key[0])).sentence]


# -- the slow twin -----------------------------------------------------------------------------------------------------


def check_slow_twin(task, seed, split, rows):
    """Every row, spelled out from the slow twin's sentences."""
    batch = task.batch(seed, 6, rows, split)
    for i, row in enumerate(rows):
        key = address(seed, int(split == "test"), 6, row)
        if task.context is None:
            sentence = slow_sentence(task, address(key, 0))
            pad = batch.tokens.shape[1] - len(sentence) - 2
            tokens, document = [BOS, *sentence, BOS] + [0] * pad, [0] * (len(sentence) + 2) + [-1] * pad
        else:
            tokens, document = [], []
            while len(tokens) < task.context:
                number = document[-1] + 1 if document else 0
                piece = [BOS, *slow_sentence(task, address(key, number))]
                tokens, document = tokens + piece, document + [number] * len(piece)
            tokens, document = tokens[: task.context], document[: task.context]
        assert batch.tokens[i].tolist() == tokens
        assert batch.document[i].tolist() == document
        assert batch.targets[i].tolist() == [j > 0 and d >= 0 for j, d in enumerate(document)]


@all_names
@pytest.mark.parametrize("context", [None, 512, 1536])
def test_the_slow_twin_writes_the_same_tokens(name, context):
    check_slow_twin(Lano(name, context=context), seed=3, split="train", rows=range(4, 6))


@settings(deadline=None, max_examples=40)
@given(
    grammar=small_grammars(),
    context=st.none() | st.integers(2, 60),
    seed=st.integers(0, 2**60),
    split=st.sampled_from(["train", "test"]),
    begin=st.integers(0, 9),
)
def test_the_slow_twin_on_small_grammars(grammar, context, seed, split, begin):
    check_slow_twin(Lano(grammar.to_text(), context=context), seed, split, range(begin, begin + 3))


@all_names
def test_derivations_are_those_of_the_slow_twin(name):
    task = Lano(name)
    keys = [address(address(1, 0, 2, row), 0) for row in range(4)]
    trees = task.derivations(1, 2, 4)
    assert trees == [lano_derivation(task.language, int(key[0])) for key in keys]
    assert trees == sampled_derivations(task.language, np.concatenate(keys))
    assert [tree.sentence for tree in trees] == [tuple(sentence.tolist()) for sentence in task.sentences(1, 2, 4)]


@all_names
def test_symbols_above_each_token_form_the_tree(name):
    grammar = Lano(name).language
    for tree in Lano(name).derivations(8, 0, 2):
        symbols, ordinals = tree.ancestors()
        assert symbols.shape == ordinals.shape == (grammar.depth + 1, len(tree.sentence))
        assert (symbols[-1] == tree.sentence).all() and (symbols[0] == grammar.root).all()
        assert (ordinals[-1] == np.arange(len(tree.sentence))).all()
        for level in range(grammar.depth):
            assert set(np.diff(ordinals[level])) <= {0, 1} and ordinals[level, 0] == 0
            for ordinal, symbol in enumerate(tree.symbols[level]):
                here = ordinals[level] == ordinal
                assert set(symbols[level, here]) == {symbol}
                inner = ordinals[level + 1, here]
                children = symbols[level + 1, here][np.diff(inner, prepend=-1) > 0]
                assert tuple(children.tolist()) in grammar.rules[symbol]


# -- the language ------------------------------------------------------------------------------------------------------


@names
def test_published_lengths_and_entropies(name):
    task, known = Lano(name), TABLE[name]
    sentences = task.sentences(0, 0, 600)
    length = np.array([len(sentence) for sentence in sentences])
    assert abs(length.mean() - known.mean) < 5 * known.sd / math.sqrt(600)
    assert known.lengths[0] <= length.min() <= length.max() <= known.lengths[1]
    assert set(np.concatenate(sentences)) == set(range(1, task.language.terminals + 1))
    assert task.valid(sentences).all()
    floor, error = task.loss_floor(600)
    assert floor < known.per_token + 5 * error
    assert abs(floor - known.measured) < 0.007  # published from twenty to sixty sentences
    spread = np.std(log_probability(task.language, sentences)) / (known.mean + 1) / math.sqrt(600)
    assert 0 < error < spread  # long sentences are unlikely and count more: most of the spread cancels


def test_brackets_close_what_was_opened_last():
    task, depths = Lano("brackets", context=192), []
    for sentence in task.sentences(1, 0, 300):
        opened, deepest = [], 0
        for token in sentence.tolist():
            if token <= 3:
                opened.append(token)
            else:
                assert opened.pop() == token - 3
            deepest = max(deepest, len(opened))
        assert not opened
        depths.append(deepest)
    assert set(depths) <= set(range(1, 8)) and len(set(depths)) > 3
    assert not task.valid([[1, 4], [1, 2, 5, 4], [4, 1] * 7, [1, 5] * 64]).any()  # too short, or none


@pytest.mark.parametrize("name", ["cfg3f", "cfg3b", "cfg3e2", "brackets"])
def test_every_rule_is_equally_likely(name):
    task = Lano(name)
    used = {}
    for tree in task.derivations(4, 0, 300):
        for symbols, children, below in zip(tree.symbols, tree.children, tree.symbols[1:], strict=False):
            begin = 0
            for symbol, size in zip(symbols, children, strict=True):
                rule = below[begin : begin + size]
                used.setdefault(symbol, dict.fromkeys(task.language.rules[symbol], 0))[rule] += 1
                begin += size
    assert len(used) == len(task.language.rules)
    for counts in used.values():
        if len(counts) == 1:
            continue
        assert sum(counts.values()) < 20 or looks_like(list(counts.values()), np.ones(len(counts)))


def test_rules_of_neighbours_are_independent():
    task = Lano("9: 8 8; 8: 1 | 2 | 3")
    counts = np.zeros((3, 3))
    for a, b in task.sentences(0, 0, 4000):
        counts[a - 1, b - 1] += 1
    assert looks_like(counts.ravel(), np.ones(9))


def test_a_part_of_a_grammar():
    task = Lano("cfg3f", root=14, context=64)
    assert task.language == Grammar.published("cfg3f").rooted_at(14)
    assert task.valid(task.sentences(0, 0, 50)).all()
    assert task.vocabulary == ("<pad>", "<bos>", "1", "2", "3")
    assert Lano(grammar=SMALL).vocabulary == ("<pad>", "<bos>", "1", "2", "3")
    assert len(Lano("cfg3e1").vocabulary) == 11


def test_valid():
    task = Lano(SMALL)
    assert task.valid([[1, 2, 1], [3, 3], [1], [], [2, 3], [1, 1, BOS]]).tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


# -- packing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [Lano("cfg3f"), Lano("cfg3k", context=1536), Lano("cfg3j", context=100), Lano("brackets"), Lano(SMALL, context=40)],
)
def test_windows(task):
    batch = task.batch(0, 0, 70)
    assert batch.tokens.shape == (70, task.context)
    steps = batch.document.diff(dim=1)
    assert (batch.document[:, 0] == 0).all() and ((steps == 0) | (steps == 1)).all()
    begins = torch.nn.functional.pad(steps == 1, (1, 0), value=True)
    assert torch.equal(batch.tokens == BOS, begins)
    assert (batch.tokens > 0).all()
    assert batch.targets[:, 1:].all() and not batch.targets[:, 0].any()
    whole = [
        [t - 1 for t in tokens[1:]]
        for row, document in zip(batch.tokens.tolist(), batch.document.tolist(), strict=True)
        for number in range(max(document))  # but for the last, which may be cut
        for tokens in [[t for t, d in zip(row, document, strict=True) if d == number]]
    ]
    assert task.valid(whole).all()
    assert len(whole) > 70 * 0.9 or task.context == 100


def test_one_sentence_a_row():
    task = Lano("cfg3h", context=None)
    batch = task.batch(2, 1, 20, "test")
    sentences = task.sentences(2, 1, 20, "test")
    for tokens, targets, document, sentence in zip(
        batch.tokens.tolist(), batch.targets, batch.document, sentences, strict=True
    ):
        n = len(sentence)
        assert tokens == [BOS, *(1 + sentence).tolist(), BOS] + [0] * (len(tokens) - n - 2)
        assert document.tolist() == [0] * (n + 2) + [-1] * (len(tokens) - n - 2)
        assert targets.tolist() == [0 < i < n + 2 for i in range(len(tokens))]
    assert batch.tokens.shape[1] == max(map(len, sentences)) + 2


# -- purity ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [Lano("cfg3f"), Lano("cfg3f", context=None)])
def test_a_batch_is_a_pure_function(task):
    whole = task.batch(3, 14, 150)  # several chunks
    sentences = task.sentences(3, 14, 150)
    for rows in (150, 1, range(60, 70), range(149, -1, -7)):
        numbers = np.arange(rows) if isinstance(rows, int) else np.array(rows)
        got = task.batch(3, 14, rows)
        width = got.tokens.shape[1]
        for name, fill in (("tokens", 0), ("targets", False), ("document", -1)):
            expected = getattr(whole, name)[numbers]
            assert torch.equal(getattr(got, name), expected[:, :width]) and (expected[:, width:] == fill).all()
        for number, sentence in zip(numbers, task.sentences(3, 14, rows), strict=True):
            assert (sentence == sentences[number]).all()


# -- grading and settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [None, 300])
def test_grading(context):
    task = Lano("cfg3b", context=context)
    batch = task.batch(0, 0, 10)
    count = int(batch.targets.sum())
    assert task.grade(batch, batch.tokens) == {"token_accuracy": 1.0, "count": count}
    assert task.grade(batch, torch.where(batch.targets, -1, batch.tokens))["token_accuracy"] == 0.0
    guesses = torch.where(batch.targets, batch.tokens, -1)
    row, place = batch.targets.nonzero()[7].tolist()
    guesses[row, place] += 1
    assert task.grade(batch, guesses)["token_accuracy"] == pytest.approx((count - 1) / count)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"context": 1}, "context must be a whole number from 2 to 1,048,576 or None, not 1"),
        ({"grammar": "9: 1 1 1 1"}, "has 4 symbols; a rule has one to three"),
        ({"root": 3}, "the root must be a symbol with rules, 7 to 22, not 3"),
        ({"root": 25}, "the root must be a symbol with rules, 7 to 22, not 25"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Lano(**options)
    assert sentence in str(error.value)


def test_unknown_grammars_are_refused():
    with pytest.raises(UnknownName, match="unknown grammar 'cfg3'; did you mean 'cfg3"):
        Lano("cfg3")
    with pytest.raises(ValueError, match="split must be"):
        Lano().sentences(0, 0, 1, "valid")


def test_tasks_are_compared_by_their_settings():
    assert Lano("cfg3f") == Lano() and hash(Lano()) == hash(Lano("cfg3f", None, 512))
    assert Lano(context=None) != Lano()


# -- grammars in files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["own.txt", "own.JSON"])
def test_a_grammar_in_a_file_is_named_by_its_rules(tmp_path, name):
    def write(*rules):
        text = "9: " + " | ".join(" ".join(map(str, rule)) for rule in rules)
        if name.endswith("JSON"):
            places = [[place - 1 for place in rule] for rule in rules]
            text = json.dumps({"idx": [[9], [1, 2, 3]], "rules": [[places]]})
        (tmp_path / name).write_text(text)

    write((1, 2, 1), (3, 3))
    task = Lano(str(tmp_path / name), context=12)
    same = Lano("9: 1 2 1 | 3 3", context=12)
    assert torch.equal(task.batch(0, 0, 9).tokens, same.batch(0, 0, 9).tokens)
    assert len(task.fingerprint) == 8 and same.fingerprint == Lano().fingerprint == ""
    write((1, 2, 1), (3, 3), (1, 1, 2))
    edited = Lano(str(tmp_path / name), context=12)
    assert edited.fingerprint != task.fingerprint
    assert edited.language == Lano("9: 1 2 1 | 3 3 | 1 1 2").language


def test_a_file_that_is_no_grammar_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*none\.json: No such file or directory"):
        Lano(str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text('{"all": [')
    with pytest.raises(ValueError, match=r"bad\.json is not JSON"):
        Lano(str(tmp_path / "bad.json"))
    (tmp_path / "bad.json").write_text("[" * 10**6)
    with pytest.raises(ValueError, match=r"bad\.json is not JSON"):
        Lano(str(tmp_path / "bad.json"))
