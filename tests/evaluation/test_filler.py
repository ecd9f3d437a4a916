"""Filler text: sentences, corpora, and hiding something among them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.evaluation import BirthYears, Filler, python_documentation
from physlm_lite.evaluation.filler import docstrings, hide, prose, split_sentences, words
from physlm_lite.evaluation.probe import probe_key

TEN = Filler(tuple(f"{'word ' * n}{n}." for n in range(10)))  # sentence n has n + 1 words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four…  Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        (
            "Dr. Ross met Mr. Hill, Ms. Moss and Mrs. Kay. They left.",
            ["Dr. Ross met Mr. Hill, Ms. Moss and Mrs. Kay.", "They left."],
        ),
        ("It cost 3.50 or 4. Then 5.25. Version 2.0 came.", ["It cost 3.50 or 4.", "Then 5.25.", "Version 2.0 came."]),
        ("J. R. Smith and I. We are two.", ["J. R. Smith and I.", "We are two."]),
        ("In the U.S. Army, e.g. Maine, i.e. here.", ["In the U.S. Army, e.g. Maine, i.e. here."]),
        ("See no. 5 on p. 7. He said no. Five came.", ["See no. 5 on p. 7.", "He said no.", "Five came."]),
        ("At 5 p.m. We left at 6 a.m. sharp.", ["At 5 p.m.", "We left at 6 a.m. sharp."]),
        ("1. Open it. 2. Close it.", ["1. Open it.", "2. Close it."]),
        ('He said "Stop." Then (so it went) "Go!" came.', ['He said "Stop."', 'Then (so it went) "Go!" came.']),
        ("Wait... what? Apples, pears, etc. are fruit.", ["Wait... what?", "Apples, pears, etc. are fruit."]),
        ("A heading\n\nA line\nthat goes on.\n  \nNext", ["A heading", "A line that goes on.", "Next"]),
        ("Élan vital. Über alles. Ça va.", ["Élan vital.", "Über alles.", "Ça va."]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, sentences):
    assert split_sentences(text) == sentences


@settings(deadline=None)
@given(st.text(alphabet="aB1.!?\"') \n", max_size=80))
def test_splitting_loses_nothing_but_white_space(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_words_are_counted_between_white_space():
    assert len(words(" one  two\nthree ")) == 3 and len(words("")) == 0
    assert words("a b a")[0] == words("a b a")[2] != words("a b a")[1]


@settings(deadline=None)
@given(start=st.integers(0, 9), limit=st.integers(1, 80))
def test_a_passage_is_the_longest_run_strictly_below_its_limit(start, limit):
    passage = TEN.passage(start, limit)
    assert passage == list(TEN.sentences[start : start + len(passage)])
    used = sum(len(sentence.split()) for sentence in passage)
    assert used < limit
    end = start + len(passage)
    assert end == 10 or used + end + 1 >= limit  # the corpus ended, or the next sentence does not fit


def test_a_passage_stops_at_the_first_sentence_that_does_not_fit():
    filler = Filler(("One.", "This one is far too long.", "Two."))
    assert filler.passage(0, 4) == ["One."]
    assert filler.passage(0, 2) == ["One."] and filler.passage(0, 1) == []  # strictly below
    assert filler.passage(0, 4, keep=lambda sentence: "long" not in sentence) == ["One.", "Two."]


def test_tokens_are_counted_by_the_given_tokenizer():
    assert TEN.passage(0, 6, tokenize=lambda text: list(text.encode())) == ["0."]
    with pytest.raises(ValueError, match=r"list of token ids, not into dict; .*add_special_tokens=False"):
        TEN.passage(0, 6, tokenize=lambda text: {"input_ids": [1], "attention_mask": [1]})


@settings(deadline=None)
@given(statements=st.integers(1, 6), fillers=st.integers(0, 12), index=st.integers(0, 99))
def test_hiding_keeps_both_orders(statements, fillers, index):
    facts, passage = [f"fact{i}" for i in range(statements)], [f"filler{i}" for i in range(fillers)]
    text, places = hide(facts, passage, probe_key(3, index))
    sentences = text.split()
    assert [s for s in sentences if s.startswith("fact")] == facts == [sentences[place] for place in places]
    assert [s for s in sentences if s.startswith("filler")] == passage


def test_every_choice_of_places_is_as_likely():
    places = Counter(tuple(hide("ab", "123", probe_key(0, index))[1]) for index in range(3000))
    assert len(places) == 10 and looks_like(list(places.values()), np.ones(10))


def test_filler_starts_anywhere():
    filler = Filler(tuple(f"Sentence{i}." for i in range(8)))
    source = BirthYears(people=1, filler_tokens=2, filler=filler, names=(["A"], ["B"], ["C"]))
    starts = Counter(next(s for s in source.sample(0, i).context.split() if "Sentence" in s) for i in range(2000))
    assert len(starts) == 8 and looks_like(list(starts.values()), np.ones(8))


def test_prose_leaves_out_code_headings_and_tables():
    text = """Title of it
=====

This is a sentence of prose.  Here is another one of them:

   x = f(y)  # not this one either.
   >>> f(1)

* An item that is a whole sentence.
| a | table | row | here. |
"""
    assert prose(text) == ["This is a sentence of prose.", "An item that is a whole sentence."]


def test_a_folder_gives_the_prose_of_its_files_in_order(tmp_path):
    (tmp_path / "b.txt").write_text("Second file. Short.")
    (tmp_path / "a.md").write_text(
        "# Heading\n\nThe first file has this.\n\n```python\nThis is code and not prose.\n```\n"
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.py").write_text(
        '"""A module with a docstring."""\ns = "\\d"\ndef f():\n    """It does very little indeed."""\n'
    )
    (tmp_path / "broken.py").write_text("def :")
    (tmp_path / "data.json").write_text('{"This is": "not taken at all."}')
    (tmp_path / "badly.txt").write_bytes(b"Caf\xe9 here.")
    with pytest.warns(UserWarning, match=r"badly\.txt is not UTF-8 and was read as Windows-1252"):
        filler = Filler.from_path(tmp_path)
    assert filler.sentences == (
        "The first file has this.",
        "Second file.",
        "Short.",
        "Café here.",
        "A module with a docstring.",
        "It does very little indeed.",
    )
    assert Filler.from_path(str(tmp_path / "b.txt")).sentences == ("Second file.", "Short.")
    assert filler.fingerprint != Filler.from_text("Other text.").fingerprint


def test_docstrings_of_what_does_not_parse_are_none():
    assert docstrings("print 'old'") == [] and docstrings("\0") == []
    assert docstrings('class A:\n    "Doc."\n    async def f(self):\n        "More."') == ["Doc.", "More."]


def test_python_brings_its_own_filler():
    filler = python_documentation()
    assert filler is python_documentation() and len(set(filler.sentences)) == len(filler.sentences)
    total = sum(len(words(sentence)) for sentence in filler.sentences)
    assert total > 40_000  # enough for the paper's 6,000 tokens from most starts
    assert all(sentence[-1] in '.!?")”' and "\n" not in sentence for sentence in filler.sentences)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda folder: Filler.from_text(""), r"corpus 'text' has no sentences; give a text, a text file or a folder"),
        (lambda folder: Filler.from_path(folder), r"has no sentences; .*python_documentation\(\)"),
        (
            lambda folder: Filler.from_path(folder / "none"),
            r"there is no file or folder '.*none'",
        ),
        (lambda folder: BirthYears(filler_tokens=10**9), "from 0 to 4,194,304, not 1000000000"),
        (lambda folder: BirthYears(hops=10**9), "at most 10,000 people in all, not 5 and 1000000000"),
        (
            lambda folder: BirthYears(filler_tokens=-1),
            "filler_tokens must be a whole number from 0 to 4,194,304, not -1",
        ),
        (
            lambda folder: BirthYears(filler="a text"),
            "filler must be a Filler, not str; make one with Filler.from_text",
        ),
    ],
)
def test_bad_input_gets_one_clear_sentence(bad, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        bad(tmp_path)
    assert "\n" not in str(error.value)


def test_files_are_read_as_people_have_them(tmp_path):
    (tmp_path / "A.TXT").write_bytes("One café is here. Two men wait.\r\n".encode("utf-16"))
    (tmp_path / "b.MD").write_text("# Head\n\nThe prose is all that counts here.\n\n```\ncode it is.\n```\n")
    (tmp_path / "c.txt").mkdir()
    (tmp_path / "d.txt").symlink_to(tmp_path / "gone")
    found = Filler.from_path(tmp_path).sentences
    assert found == ("One café is here.", "Two men wait.", "The prose is all that counts here.")
    (tmp_path / "e.txt").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ValueError, match=r"e\.txt is not a text file"):
        Filler.from_path(tmp_path)
