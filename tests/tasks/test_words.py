"""Tokenizers that lose nothing, and the lexicon of ready-made pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks.small_bpe import train_small_bpe

from physlm_lite.tasks.people import DAYS, STATEMENTS, YEARS, read_pools, read_sentences
from physlm_lite.tasks.words import GPT2, Lexicon, Spaces, Words

WORDS, POOLS = Words(), read_pools()


@pytest.mark.parametrize(
    "text, pieces",
    [
        (" Ann Lee's home is Enid, OK.", ["Ann", "Lee", "'s", "home", "is", "Enid", ",", "OK", "."]),
        (" Oz Inc.. She", ["Oz", "Inc", ".", ".", "She"]),
        (" St. Paul, MN, 's O'sa x's-y", ["St", ".", "Paul", ",", "MN", ",", "'s", "O'sa", "x's-y"]),
        ("", []),
        (".", ["."]),
        ("'s", ["'s"]),
    ],
)
def test_words_are_split_and_joined(text, pieces):
    assert WORDS.split(text) == pieces
    assert WORDS.join(pieces) == text.replace(" 's", "'s")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Ann", "s", "O'Neil", "&", "A'", "hard-working", "1999", "Lee's-x", "'sin"]),
            st.sampled_from(["", "", "'s", ".", ",", "'s,", "..", "'s."]),
        )
    )
)
def test_words_lose_nothing(words):
    text = "".join(f" {word}{after}" for word, after in words)
    assert WORDS.join(WORDS.split(text)) == text
    expected = [piece for word, after in words for piece in [word, *WORDS.split(after)]]
    assert WORDS.split(text) == expected


def sentences(statement):
    """Each template with each value of its first slot, and with a few of the second."""
    first, *others = STATEMENTS[statement]
    dates = [f"{day}, {YEARS[i % 200]}" for i, day in enumerate(DAYS)]
    dates += [f"{DAYS[i]}, {year}" for i, year in enumerate(YEARS)]
    for template in read_sentences(statement):
        for i, value in enumerate(dates if first == "birth_date" else POOLS.values(first)):
            rest = {other: POOLS.values(other)[i % POOLS.size(other)] for other in others}
            person = ("He", "His") if i % 3 else ("Ada Mae Lee", "Ada Mae Lee's")
            yield " " + template.format(**{first: value}, **rest, who=person[0], whose=person[1])


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_template_with_every_value_survives(statement):
    assert all(WORDS.join(WORDS.split(sentence)) == sentence for sentence in sentences(statement))


def test_spaces_split_anywhere_else_nowhere():
    assert Spaces().split(" Ann Oz_&_Co. They .") == ["Ann", "Oz_&_Co.", "They", "."]
    assert Spaces().join(["Ann", "Oz_&_Co.", "."]) == " Ann Oz_&_Co. ."


def test_gpt2_files_make_a_tokenizer_without_loss(tmp_path):
    tokenizer = GPT2(train_small_bpe(tmp_path))
    for text in (" Ann Lee's home is Oz Inc.. She", " Zoë, 1999.", "", "x  y"):
        assert tokenizer.join(tokenizer.split(text)) == text
    assert "Ġwas" in tokenizer.split(" He was born") and ".." in tokenizer.split(" Oz Inc..")


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_a_folder_without_gpt2_files_is_refused(tmp_path, missing):
    train_small_bpe(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=f"has no {missing}; GPT-2's tokenizer needs its vocab.json and"):
        GPT2(tmp_path)


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcd"), max_size=4), st.integers(0, 4)), min_size=1), st.randoms())
def test_a_lexicon_writes_its_items_one_after_the_other(items, random):
    lexicon = Lexicon()
    for number, (pieces, size) in enumerate(items):
        assert len(lexicon) == number
        lexicon.add(pieces, range(min(size, len(pieces))))
    lexicon.close()
    order = random.choices(range(len(items)), k=7)
    place, length = lexicon.write(np.array(order))
    assert length.tolist() == [len(items[i][0]) for i in order]
    assert [lexicon.vocabulary[t] for t in lexicon.tokens[place]] == [piece for i in order for piece in items[i][0]]
    assert lexicon.marked[place].tolist() == [j < items[i][1] for i in order for j in range(len(items[i][0]))]
    assert lexicon.vocabulary[:2] == ("<pad>", "<eos>")
