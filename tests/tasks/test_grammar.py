"""Grammars: the published ones have the published statistics, and what is no levelled grammar is refused."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.lano_reference import TABLE, language, small_grammars

from physlm_lite.base.strict import UnknownName
from physlm_lite.tasks.grammar import NAMED, PUBLISHED, Derivation, Grammar

names = pytest.mark.parametrize("name", TABLE)
SMALL = "9: 1 2 1 | 3 3 | 1 1"


# -- the published grammars --------------------------------------------------------------------------------------------


def test_there_are_nine():
    assert sorted(PUBLISHED) == sorted(TABLE)
    with pytest.raises(UnknownName, match="unknown grammar 'cfg3F'; did you mean 'cfg3f'"):
        Grammar.published("cfg3F")


@names
def test_published_shape(name):
    grammar, known = Grammar.published(name), TABLE[name]
    assert grammar.sizes == known.sizes and grammar.root == known.root
    rules = [rule for alternatives in grammar.rules.values() for rule in alternatives]
    assert (sum(len(rule) == 2 for rule in rules), sum(len(rule) == 3 for rule in rules)) == known.rules
    assert len(rules) == sum(known.rules)
    degrees = {len(alternatives) for alternatives in grammar.rules.values()}
    assert degrees == set(range(known.degree[0], known.degree[1] + 1))
    assert len(set(rules)) == len(rules)  # no right-hand side twice, not even for two symbols
    assert all(len(set(rule)) == len(rule) for rule in rules) == (name == "cfg3b")
    # numbered as published: terminals, three reserved numbers, then upward level by level
    assert [symbol for level in reversed(grammar.levels) for symbol in level] == [
        *range(1, grammar.terminals + 1),
        *range(grammar.terminals + 4, grammar.root + 1),
    ]
    assert grammar.root == sum(grammar.sizes) + 3
    assert grammar.depth == len(known.sizes) - 1


@pytest.mark.parametrize("name, used", [("cfg3e1", (3, 8, 25, 74, 27, 9)), ("cfg3e2", (3, 9, 27, 27, 9, 4))])
def test_how_many_symbols_some_rule_uses(name, used):
    grammar = Grammar.published(name)
    assert (
        tuple(
            len({child for symbol in level for rule in grammar.rules[symbol] for child in rule})
            for level in grammar.levels[:-1]
        )
        == used
    )


@names
def test_published_lengths(name):
    grammar, known = Grammar.published(name), TABLE[name]
    assert round(grammar.mean_length, 2) == known.mean
    assert round(grammar.sd_length, 2) == known.sd
    chance = grammar.length_distribution
    length = np.arange(len(chance))
    assert chance.sum() == pytest.approx(1)
    assert chance @ length == pytest.approx(grammar.mean_length)
    assert math.sqrt(chance @ (length - grammar.mean_length) ** 2) == pytest.approx(grammar.sd_length)
    quantiles = np.searchsorted(np.cumsum(chance), [0.05, 0.25, 0.5, 0.75, 0.95, 0.999])
    assert tuple(quantiles.tolist()) == known.quantiles
    assert (grammar.shortest, grammar.longest) == known.lengths
    assert set(np.flatnonzero(chance)) <= set(grammar.possible_lengths)


@pytest.mark.parametrize(
    "name, chance",
    [("cfg3f", 1.2e-6), ("cfg3i", 6e-12), ("cfg3g", 5e-11), ("cfg3e2", 2e-12), ("cfg3j", 0.52), ("cfg3k", 0.50)],
)
def test_sentences_that_do_not_fit_a_window_of_512(name, chance):
    assert Grammar.published(name).length_distribution[512:].sum() == pytest.approx(chance, rel=0.1)


@names
def test_published_entropy(name):
    grammar, known = Grammar.published(name), TABLE[name]
    assert round(grammar.derivation_entropy, 1) == known.entropy
    assert round(grammar.entropy_per_token, 4) == known.per_token


def test_the_grammar_of_brackets_nests_and_repeats_three_types():
    grammar = Grammar.named("brackets")
    assert [*NAMED] == [*PUBLISHED, "brackets"]
    assert grammar.sizes == (1, 7, 7, 7, 7, 7, 7, 6) and (grammar.shortest, grammar.longest) == (14, 128)
    for level, below in zip(grammar.levels[:-2], grammar.levels[1:], strict=False):
        inner, opening, closing = below[0], below[1:4], below[4:]
        pairs = tuple((left, inner, right) for left, right in zip(opening, closing, strict=True))
        assert grammar.rules[level[0]] == (*pairs, (inner, inner))
        assert all(grammar.rules[symbol] == ((symbol - 7,),) for symbol in level[1:])  # a bracket stays what it is
    *_, last, _ = grammar.levels
    assert grammar.rules[last[0]] == ((1, 4), (2, 5), (3, 6))
    assert [grammar.rules[symbol] for symbol in last[1:]] == [((token,),) for token in range(1, 7)]
    assert 24 < grammar.mean_length < 25
    with pytest.raises(UnknownName, match="unknown grammar 'bracket'; did you mean 'brackets'"):
        Grammar.named("bracket")


# -- statistics --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(small_grammars())
def test_statistics_are_those_of_all_derivations(grammar):
    texts = language(grammar)
    assert sum(count.probability for count in texts.values()) == 1
    chance = np.zeros(max(map(len, texts)) + 1)
    for text, count in texts.items():
        chance[len(text)] += count.probability
    np.testing.assert_allclose(grammar.length_distribution, chance, atol=1e-12)
    assert grammar.possible_lengths == tuple(np.flatnonzero(chance))
    mean = chance @ np.arange(len(chance))
    assert grammar.mean_length == pytest.approx(mean)
    assert grammar.sd_length == pytest.approx(
        math.sqrt(max(chance @ np.arange(len(chance)) ** 2 - mean**2, 0)), abs=1e-6
    )
    entropy = -sum(float(c.probability) * math.log2(c.probability) for c in texts.values())
    if all(count.trees == 1 for count in texts.values()):
        assert grammar.derivation_entropy == pytest.approx(entropy, abs=1e-9)
    assert grammar.derivation_entropy >= entropy - 1e-9


def test_a_length_too_rare_for_floating_point_is_still_possible():
    grammar = Grammar.published("cfg3j")
    assert grammar.length_distribution[2052] == 0
    assert 2052 in grammar.possible_lengths


# -- parts, text, and files --------------------------------------------------------------------------------------------


def test_a_part_of_a_grammar():
    part = Grammar.published("cfg3f").rooted_at(14)
    assert part.sizes == (1, 3, 3, 3)
    assert part.levels == ((14,), (10, 11, 12), (7, 8, 9), (1, 2, 3))
    whole = Grammar.published("cfg3f")
    assert all(part.rules[symbol] == whole.rules[symbol] for symbol in part.rules)
    assert part.mean_length == pytest.approx(whole.length_moments[14][0])
    assert whole.rooted_at(22) == whole
    assert Grammar.published("cfg3e1").rooted_at(152).sizes[:2] == (1, 5)  # what it does not need is left out
    with pytest.raises(ValueError, match="a symbol with rules, 7 to 22, not 3"):
        whole.rooted_at(3)


@settings(deadline=None, max_examples=60)
@given(small_grammars())
def test_text_and_back(grammar):
    assert Grammar.from_text(grammar.to_text()) == grammar
    assert hash(Grammar.from_text(grammar.to_text())) == hash(grammar)


@pytest.mark.parametrize("name", NAMED)
def test_named_grammars_are_read_from_text_and_back(name):
    grammar = Grammar.named(name)
    assert Grammar.from_text(grammar.to_text()) == grammar
    assert Grammar.from_text(grammar.to_text().replace("\n\n", "\n").replace("\n", " ; ")) == grammar


def test_terminals_that_no_rule_uses():
    assert Grammar.from_text("9: 1 1").terminals == 1
    grammar = Grammar.from_text("terminals: 4\n9: 1 1")
    assert grammar.sizes == (1, 4)
    assert grammar.to_text() == "terminals: 4\n\n9: 1 1\n"


def released(grammar, **keys):
    """The released JSON form: symbols by their positions in the next level."""
    return {
        "levels": [list(level) for level in grammar.levels],
        **keys,
        "rules": [
            [[[below.index(child) for child in rule] for rule in grammar.rules[symbol]] for symbol in level]
            for level, below in zip(grammar.levels[:-1], grammar.levels[1:], strict=True)
        ],
    }


def test_the_released_json_form(tmp_path):
    grammar = Grammar.published("cfg3b")
    old = released(grammar, sizes=list(grammar.sizes))
    new = {"whatever " + key: value for key, value in released(grammar, vocabulary=3, separator=6, name="b").items()}
    assert Grammar.from_json(old) == Grammar.from_json(new) == grammar
    (tmp_path / "grammar.json").write_text(json.dumps(new), encoding="utf-8")
    assert Grammar.from_json(tmp_path) == Grammar.from_json(str(tmp_path / "grammar.json")) == grammar
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a grammar's folder holds one .json file, .* holds 2"):
        Grammar.from_json(tmp_path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_released_files_have_an_object_for_each_symbol(tmp_path, name):
    grammar = Grammar.published(name)
    plain = released(grammar, sizes=list(grammar.sizes))
    symbols = [
        [
            {"depth": depth, "id": symbol, "name": f"A{symbol}", "children": children}
            for symbol, children in zip(level, rules, strict=True)
        ]
        for depth, (level, rules) in enumerate(
            zip(grammar.levels, [*plain["rules"], [None] * grammar.terminals], strict=True)
        )
    ]
    content = {
        "depth": grammar.depth,
        "disallow_duplicate_seq": True,
        "num_sym_mode": [2, 3],
        "eos_token": grammar.terminals + 1,
        "sizes": plain["sizes"],
        "idx": plain["levels"],
        "all": symbols,
        "count": grammar.root,
    }
    path = tmp_path / "grammar.json"
    path.write_text(json.dumps(content))
    assert Grammar.from_file(path) == Grammar.from_file(str(path)) == grammar


LINE = "{}: {} {}"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("terminals: 1000000000\n2000000000: 1 2", "has up to 1,000,000,000 terminals, and at most 65,536 can be"),
        ("1000000000: 1 2", "has up to 1,000,000,000 symbols (by their numbers), and at most 2,097,152 can be handled"),
        ("9: 1 " + "| 2 " * 2**21, "has up to 2,097,153 rules, and at most 2,097,152 can be handled; make it smaller"),
        ("\n".join(LINE.format(s, s - 1, s - 1) for s in range(19, 1, -1)), "has up to 262,144 tokens in a sentence"),
        ("\n".join(LINE.format(s, s - 1, s - 1) for s in range(3000, 1, -1)), "has up to 1,000,000,000,000,000 tokens"),
        ("\n".join(f"{s}: {s - 1}" for s in range(5000, 1, -1)), "has up to 4,999 levels, and at most 4,096 can be"),
        ("9: 1 " + " " * 10**5 + "x", "reads like '22: 20 21 | 20 19 21'"),
        ("9: " + "1 " * 10**5, "the rule 9 -> 1 1 1 1 1 1 1 1 1 ... has 100000 symbols; a rule has one to three"),
    ],
    ids=lambda text: text[:20],
)
def test_sizes_are_bounded_before_they_are_used(text, sentence):
    with pytest.raises(ValueError) as error:
        Grammar.from_text(text)
    assert sentence in str(error.value) and len(str(error.value)) < 300


def test_a_random_grammar_is_bounded_before_it_is_drawn():
    with pytest.raises(ValueError, match=r"has up to 4,000,000,004 rules, and at most 524,288 can be handled"):
        Grammar.random(0, (1, 10**9, 3))


def test_a_loop_of_many_symbols_is_told_in_short():
    lines = [f"{symbol}: {symbol - 1}" for symbol in range(9000, 3, -1)]
    with pytest.raises(
        ValueError, match=r"symbol 9000 derives itself \(9000 -> 8999 -> .* -> \.\.\. -> 4 -> 3 -> 9000\)"
    ):
        Grammar.from_text("\n".join(["terminals: 2", *lines, "3: 9000"]))


def test_many_rules_are_read_as_they_stand():
    first, rules = 1000, 300
    lines = [f"{first + 300}: " + " | ".join(f"{first + i} {first + i}" for i in range(300))]
    lines += [f"{first + i}: " + " | ".join(f"{1 + j} {1 + i}" for j in range(rules)) for i in range(300)]
    grammar = Grammar.from_text("\n".join(lines))
    assert sum(map(len, grammar.rules.values())) == 300 + 300 * rules
    assert grammar.levels[1] == tuple(range(first, first + 300)) and grammar.shortest == grammar.longest == 4


@pytest.mark.parametrize(
    "content, sentence",
    [
        ({}, "is an object with the symbols of each level"),
        ({"levels": [[9], [1]]}, "is an object with the symbols of each level"),
        ({"levels": [[9], [1]], "rules": [[[1, 1]]]}, "is an object with the symbols of each level"),
        ({"levels": [[9], [1]], "more": [[1]], "rules": [[[[0]]]]}, "is an object with the symbols of each level"),
        (
            {"levels": [[9], [1, 2]], "rules": [[[[0, 1]], [[1]]]]},
            "levels have [1, 2] symbols, which its rules or level sizes",
        ),
        (
            {"levels": [[9], [1, 2]], "rules": [[[[0, 1]]]], "sizes": [1, 3]},
            "which its rules or level sizes contradict",
        ),
        ({"levels": [[9], [1, 2]], "rules": [[[[0, 2]]]]}, "the rules of symbol 9 name a position outside 0..1"),
        ({"levels": [[9], [1, 2]], "rules": [[[[0, -1]]]]}, "the rules of symbol 9 name a position outside 0..1"),
    ],
)
def test_json_of_another_form_is_refused(content, sentence):
    with pytest.raises(ValueError) as error:
        Grammar.from_json(content)
    assert sentence in str(error.value)


def test_json_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ValueError, match="a grammar's JSON file is an object"):
        Grammar.from_json(tmp_path / "list.json")


# -- random grammars ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**40),
    sizes=st.lists(st.integers(3, 4), min_size=1, max_size=4),
    distinct=st.booleans(),
    least=st.integers(1, 2),
    more=st.integers(0, 1),
)
def test_drawn_grammars_follow_the_rules_of_drawing(seed, sizes, distinct, least, more):
    options = {"levels": (1, *sizes), "degree": (least, least + more), "distinct": distinct}
    grammar = Grammar.random(seed, **options)
    assert grammar == Grammar.random(seed, **options)
    assert grammar.terminals == sizes[-1] and grammar.root == sum(grammar.sizes) + 3
    assert grammar.sizes == options["levels"]
    for level in grammar.levels[:-1]:
        rules = [rule for symbol in level for rule in grammar.rules[symbol]]
        assert len(set(rules)) == len(rules) and {len(rule) for rule in rules} <= {2, 3}
        assert all(least <= len(grammar.rules[symbol]) <= least + more for symbol in level)
        assert not distinct or all(len(set(rule)) == len(rule) for rule in rules)


def test_seeds_give_different_grammars_with_all_degrees_and_lengths():
    grammars = [Grammar.random(seed) for seed in range(20)]
    assert len({grammar.to_text() for grammar in grammars}) == 20
    alternatives = [rules for grammar in grammars for rules in grammar.rules.values()]
    assert {len(rules) for rules in alternatives} == {2, 3, 4}
    long = np.mean([len(rule) == 3 for rules in alternatives for rule in rules])
    assert abs(long - 0.5) < 0.1


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"levels": (2, 3)}, "levels begin with one root and end with the terminals, like (1, 3, 3), not (2, 3)"),
        ({"levels": (1,)}, "levels begin with one root"),
        ({"levels": (1, 0, 3)}, "levels begin with one root"),
        ({"degree": (3, 2)}, "degree is (fewest, most) rules of a symbol, at least 1, not (3, 2)"),
        ({"degree": (0, 2)}, "at least 1, not (0, 2)"),
        (
            {"levels": (1, 9, 2), "degree": (2, 4)},
            "2 symbols make too few different rules for 9 symbols of up to 4 rules each",
        ),
        (
            {"levels": (1, 2), "distinct": True, "degree": (1, 1)},
            "2 symbols make too few different rules for 1 symbols",
        ),
    ],
)
def test_grammars_that_cannot_be_drawn_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Grammar.random(0, **options)
    assert sentence in str(error.value)


def test_the_tightest_grammar_can_be_drawn():
    grammar = Grammar.random(5, levels=(1, 3, 2), degree=(4, 4))  # all twelve rules over two symbols are used
    assert len({rule for symbol in grammar.levels[1] for rule in grammar.rules[symbol]}) == 12


# -- what is no grammar ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "needs at least one line like '22: 20 21 | 20 19 21'"),
        ("# nothing\n", "needs at least one line"),
        ("9 1 2", "a line of a grammar reads like '22: 20 21 | 20 19 21', not '9 1 2'"),
        ("9: 1 a", "reads like '22: 20 21 | 20 19 21', not '9: 1 a'"),
        ("9: 1 -2", "reads like"),
        (": 1 2", "reads like"),
        ("9: 1\n9: 2", "symbol 9 has two lines; write all its rules into one, separated by '|'"),
        ("terminals: 1 2\n9: 1", "needs terminals, numbered from 1 up"),
        ("9: 10\n10: 11\n11: 12", "needs terminals, numbered from 1 up"),
        ("9: 0 0", "needs terminals, numbered from 1 up"),
        ("9: 0 1", "the rule 9 -> 0 1 uses 0, which has no rules and is not one of the terminals 1..1"),
        ("9:", "needs terminals"),
        ("9: 1 | | 2", "symbol 9 has an empty rule; a rule has one to three symbols"),
        ("9: 1 1 1 1", "the rule 9 -> 1 1 1 1 has 4 symbols; a rule has one to three"),
        ("9: 1 2 | 2 1 | 1 2", "the rule 9 -> 1 2 is there twice"),
        ("9: 8 10\n8: 1 2", "the rule 9 -> 8 10 uses 10, which has no rules and is not one of the terminals 1..2"),
        ("terminals: 3\n9: 3 3\n3: 1", "symbol 3 is one of the terminals 1..3 and cannot have rules"),
        ("9: 8 1\n8: 1 1", "the rule 9 -> 8 1 skips a level: all symbols of a rule must stand one level below"),
        ("9: 8 8 | 1 1\n8: 1 1", "skips a level"),
        ("9: 9 1", "symbol 9 derives itself (9 -> 9); a levelled grammar has no recursion"),
        ("9: 8 8\n8: 9 9 | 1 1", "derives itself (9 -> 8 -> 9)"),
        ("9: 1 1\n8: 2 2", "symbol 8 stands no lower than the root 9"),
        ("8: 1 1\n9: 8 8", "symbol 9 stands no lower than the root 8"),
    ],
)
def test_texts_that_are_no_grammar_are_refused(text, sentence):
    with pytest.raises(ValueError) as error:
        Grammar.from_text(text)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "root, terminals, rules, sentence",
    [
        (9, 3, {8: ((1,),)}, "the root 9 has no rules"),
        (9, 3, {9: ()}, "symbol 9 has no rules; give it one, or leave it out"),
        (9, 0, {9: ((1,),)}, "needs terminals"),
    ],
)
def test_rules_that_are_no_grammar_are_refused(root, terminals, rules, sentence):
    with pytest.raises(ValueError) as error:
        Grammar(root, terminals, rules)
    assert sentence in str(error.value)


def test_a_very_deep_grammar():
    depth = 3000  # deeper than Python's own stack
    grammar = Grammar.from_text("\n".join(f"{symbol}: {symbol - 1}" for symbol in range(depth + 1, 1, -1)))
    assert grammar.depth == depth and grammar.possible_lengths == (1,)


# -- trees -------------------------------------------------------------------------------------------------------------


def test_the_symbols_above_each_token():
    # 10 -> 9 7 9 with 9 -> 3 3, 7 -> 3 2, 9 -> 1 1
    tree = Derivation(((10,), (9, 7, 9), (3, 3, 3, 2, 1, 1)), ((3,), (2, 2, 2)))
    symbols, ordinals = tree.ancestors()
    assert tree.sentence == (3, 3, 3, 2, 1, 1)
    assert symbols.tolist() == [[10] * 6, [9, 9, 7, 7, 9, 9], [3, 3, 3, 2, 1, 1]]
    assert ordinals.tolist() == [[0] * 6, [0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5]]
    # with probability 1/3 (of 10's rules) times 1/3, 1/4 and 1/3
    assert tree.bits(Grammar.published("cfg3f")) == pytest.approx(math.log2(108))
