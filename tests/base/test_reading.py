"""Files of text: decoded by a stated rule or refused in a sentence, and read anew once they have changed."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import pytest
import skip_reasons

from physlm_lite.base import reading
from physlm_lite.base.reading import fingerprint, kept_while_unchanged, read_text, text_files

WORDS = "Zoë said: “naïve café — 10 €.”\nA second line; and a third.\n" * 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.txt"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-16-le with mark"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_is_read_as_it_is(file, encoding, end):
    mark = "\ufeff" if "with mark" in encoding else ""
    file.write_bytes((mark + WORDS.replace("\n", end)).encode(encoding.split()[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_text(file) == WORDS


def test_marks_in_the_middle_are_left_out(file):
    file.write_bytes(b"".join(f"part {i}\n".encode("utf-8-sig") for i in range(3)))
    assert read_text(file) == "part 0\npart 1\npart 2\n"


def test_a_character_cut_off_at_the_end_is_dropped(file):
    file.write_bytes((WORDS + "é").encode()[:-1])
    assert read_text(file) == WORDS


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_latin_1_is_read_with_a_warning(file, encoding):
    text = WORDS if encoding == "cp1252" else "Zoë, naïve, café, ß.\n"
    file.write_bytes(text.encode(encoding))
    with pytest.warns(UserWarning, match=r"a\.txt is not UTF-8 and was read as Windows-1252; save it as UTF-8"):
        assert read_text(file) == text


def test_single_wrong_bytes_do_not_spoil_the_rest(file):
    file.write_bytes(WORDS.encode() + b"\xff end")
    with pytest.warns(UserWarning, match=r"1 places that are not UTF-8; each was read as \\ufffd"):
        assert read_text(file) == WORDS + "\ufffd end"
    file.write_text(WORDS + "\ufffd", encoding="utf-8")  # somebody else's replacement is nothing to warn of
    assert read_text(file).endswith("\ufffd")


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
        b"\x00" * 1000,
        b"\xff\xfe" + b"\x00\xd8\x41\x00" * 30,
        bytes(range(1, 256)) * 4,
    ],
    ids=["picture", "zeros", "broken UTF-16", "every byte"],
)
def test_what_is_no_text_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.txt is not a text file"):
        read_text(file)


def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is a folder, and a file is needed"):
        read_text(tmp_path)
    with pytest.raises(ValueError, match=r"cannot read .*: No such file or directory"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "large.txt").write_text("x" * 101)
    monkeypatch.setattr(reading, "LARGEST", 100)
    with pytest.raises(ValueError, match="has 101 bytes, and at most 100 are read; take a part of it"):
        read_text(tmp_path / "large.txt")
    with pytest.raises(ValueError, match="holds 101 bytes of text, and at most 100 are read"):
        text_files(tmp_path, [".txt"])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip(skip_reasons.NOT_POSIX)
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="is a pipe or a device, and a file is needed"):
        read_text(tmp_path / "a.txt")
    assert text_files(tmp_path, [".txt"]) == []


def test_files_are_found_in_order_whatever_the_case_of_their_endings(tmp_path):
    for name in ("b/c.TXT", "b/d.md", "a.txt", "e.py", "b.txt", "f.txt/g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "h.txt").symlink_to(tmp_path / "gone")
    found = [file.relative_to(tmp_path).as_posix() for file in text_files(tmp_path, [".txt", ".md"])]
    assert found == ["a.txt", "b/c.TXT", "b/d.md", "b.txt", "f.txt/g.txt"]
    assert text_files(tmp_path / "e.py", [".txt"]) == [tmp_path / "e.py"]


@pytest.mark.parametrize("path", ["", " ", "nowhere/at/all", "~nobody-of-this-name/a.txt"])
def test_nowhere_is_refused(path):
    with pytest.raises(ValueError, match=r"there is no file or folder|cannot be found"):
        text_files(path, [".txt"])


def test_a_folder_that_cannot_be_meant_is_refused(tmp_path, monkeypatch):
    for i in range(5):
        (tmp_path / f"{i}.txt").touch()
    monkeypatch.setattr(reading, "MOST_ENTRIES", 4)
    with pytest.raises(ValueError, match="holds more than 4 files; name the folder of the texts alone"):
        text_files(tmp_path, [".txt"])


def test_a_reader_remembers_until_the_file_changes(file, monkeypatch):
    asked = []

    @kept_while_unchanged(lambda path: [path])
    def read(path):
        asked.append(path)
        return path.read_text()

    file.write_text("one")
    assert read(file) == read(file) == "one" and len(asked) == 2  # written a moment ago: its time may not tell
    file.write_text("two")
    assert read(file) == "two"
    later = time.time_ns() + 10 * 10**9
    monkeypatch.setattr(reading.time, "time_ns", lambda: later)
    del asked[:]
    assert [read(file) for _ in range(3)] == ["two"] * 3 and len(asked) == 1
    file.write_text("three")
    assert read(file) == "three"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        read(file)


def test_a_fingerprint_names_a_content():
    assert fingerprint(["a", 1]) == fingerprint(("a", 1)) != fingerprint(["a", 2])
    assert len(fingerprint([])) == 8
