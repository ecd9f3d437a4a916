"""Real text: windows and questions are pure functions of their address, splits do not meet, odd corpora are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from physlm_lite.tasks.text import CHARACTERS, END, Text, decode, encode, read_corpus

PARAGRAPH = "The quick brown fox jumps over the lazy dog, and {i} more things happen before it rests again.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(40):
        (tmp_path / f"{i:02d}.txt").write_text(PARAGRAPH.format(i=i) * 4, encoding="utf-8")
    return tmp_path


def test_text_survives_the_round_trip_and_the_rest_becomes_a_question_mark():
    text = "Hello, World!\n  x = {1: 'a'} ~"
    assert decode(encode([text]).tolist()) == text + "\n---\n"
    assert decode(encode(["naïve 日本"]).tolist()[:-1]) == "na?ve ??"
    assert encode([]).size == 0


def test_every_character_has_a_visible_name():
    names = Text().vocabulary
    assert len(names) == len(CHARACTERS) == len(set(names)) == 98
    assert all(name.strip() for name in names)


def test_windows_are_pieces_of_their_split(folder):
    task = Text(str(folder), context=48, answer=8)
    for split in ("train", "test"):
        whole = "".join(map(chr, task.stream[split].tolist()))
        batch = task.batch(1, 2, 30, split)
        assert batch.tokens.shape == (30, 48)
        assert all("".join(map(chr, row)) in whole for row in batch.tokens.tolist())
        assert not batch.targets[:, 0].any() and batch.targets[:, 1:].all()
    assert torch.equal(task.batch(1, 2, range(4, 9)).tokens, task.batch(1, 2, 30).tokens[4:9])
    assert not torch.equal(task.batch(1, 2, 5).tokens, task.batch(1, 3, 5).tokens)


def test_documents_are_numbered_and_not_shared_between_splits(folder):
    task = Text(str(folder), context=48, answer=8)
    batch = task.batch(0, 0, 200)
    steps = batch.document[:, 1:] - batch.document[:, :-1]
    assert torch.equal(steps.bool(), batch.tokens[:, :-1] == END)
    assert (batch.document[:, 0] == 0).all()
    train, test = (set(decode(task.stream[split].tolist()).split("\n---\n")) - {""} for split in ("train", "test"))
    assert not train & test and len(train) == 38 and len(test) == 2


def test_a_question_has_one_true_ending(folder):
    task = Text(str(folder), context=48, answer=12)
    windows, true = task.questions(3, 60)
    held_out = "".join(map(chr, task.stream["test"].tolist()))
    for question, right in zip(windows, true, strict=True):
        assert "".join(map(chr, question[right].tolist())) in held_out
        assert (question[:, :-12] == question[0, :-12]).all()
        assert all(CHARACTERS[row[-13]] == " " for row in question), "an ending begins with a word"
    again, _ = task.questions(3, range(10, 20))
    assert np.array_equal(again, windows[10:20])


def test_the_corpus_of_this_python_needs_no_download():
    documents = read_corpus("python")
    assert len(documents) > 500 and len(set(documents)) == len(documents)
    assert sum(map(len, documents)) > 500_000
    assert len(Text().fingerprint) == 8


def test_one_file_is_cut_into_paragraphs(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("\n\n".join(PARAGRAPH.format(i=i) for i in range(60)), encoding="utf-8")
    assert len(read_corpus(str(path))) == 60


def test_odd_corpora_are_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="holds no text; give a text file, a folder"):
        _ = Text(str(tmp_path / "nothing")).stream
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "a.txt").write_text("  \n")
    with pytest.raises(ValueError, match="holds no text"):
        _ = Text(str(empty)).stream
    with pytest.raises(ValueError, match=r"has only .* characters, too few for windows of 4000"):
        _ = Text(str(folder), context=4000).stream
    with pytest.raises(ValueError, match="an answer of 64 characters must leave room in a context of 64"):
        Text(context=64, answer=64)
    with pytest.raises(ValueError, match="choices must be a whole number from 2 to 64, not 1"):
        Text(choices=1)
