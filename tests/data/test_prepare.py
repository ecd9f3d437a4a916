"""`physlm prepare`: what is read, that it is the same however it was made, and what is said where it cannot be."""

import gzip
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
import zlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from data.test_tokenizer import byte_pairs
from hypothesis import given
from hypothesis import strategies as st

from physlm_lite.cli import main
from physlm_lite.data import prepare as module
from physlm_lite.data.documents import BrokenText, Hub, Part, _in_lines, _zstd_blocks, documents, parts_of
from physlm_lite.data.prepare import prepare
from physlm_lite.data.tokenizer import Characters, load_tokenizer
from physlm_lite.tasks.shards import open_corpus
from physlm_lite.tasks.text import read_corpus

TEXTS = [f"Document number {i} says {'so ' * (i % 23)}much." for i in range(300)]


def lines(path, texts=TEXTS, key="text"):
    path.write_text("".join(json.dumps({"id": i, key: text}) + "\n" for i, text in enumerate(texts)))
    return path


def files(folder):
    """Every file of a folder and its content."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def texts_of(folder, split):
    """The documents of a split, from the plain files alone."""
    manifest = json.loads((folder / "manifest.json").read_text())
    tokenizer, found = Characters(), []
    for shard in manifest["shards"]:
        if shard["split"] == split:
            tokens = np.fromfile(folder / f"{shard['name']}.tokens", "<u2")
            starts = np.fromfile(folder / f"{shard['name']}.documents", "<u8").astype(int)
            found += [tokenizer.decode(part.tolist()) for part in np.split(tokens, starts)[1:]]
    return found


def test_every_document_stands_in_one_split_between_its_marks(tmp_path):
    corpus = prepare([str(lines(tmp_path / "a.jsonl"))], tmp_path / "c", Characters(), held_out=10)
    train, test = texts_of(tmp_path / "c", "train"), texts_of(tmp_path / "c", "test")
    out = [t for t in TEXTS if int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little") % 10 == 0]
    assert test == out and train == [text for text in TEXTS if text not in out] and 10 < len(test) < 60
    manifest = json.loads((tmp_path / "c/manifest.json").read_text())
    assert manifest["documents"] == {"train": len(train), "test": len(test)}
    assert manifest["tokens"]["train"] == sum(len(text) + 1 for text in train) == corpus.size("train")
    assert manifest["made_from"]["characters"] == sum(map(len, TEXTS))
    assert manifest["tokenizer"]["name"] == "characters" and manifest["dtype"] == "uint16"
    assert "plan.json" not in files(tmp_path / "c") and not (tmp_path / "c/parts").exists()


def test_a_tokenizer_of_the_package_and_its_marks(tmp_path):
    made = byte_pairs(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json")
    corpus = prepare([str(lines(tmp_path / "a.jsonl"))], tmp_path / "c", tokenizer, held_out=0)
    tokens = corpus.mapped(corpus.shards[0], "tokens")
    wanted = [t for text in TEXTS for t in (tokenizer.begin, *made.encode(text).ids, tokenizer.end)]
    assert tokens.tolist() == wanted
    assert corpus.vocabulary == tokenizer.vocabulary


def test_large_vocabularies_take_four_bytes():
    class Large(Characters):
        @property
        def vocabulary(self):
            return range(2**16 + 1)

    assert module.dtype_of(Large()) == "uint32"
    assert module.dtype_of(Characters()) == "uint16"


def test_the_parts_do_not_change_the_documents(tmp_path):
    source = lines(tmp_path / "a.jsonl")
    one = prepare([str(source)], tmp_path / "one", Characters())
    many = prepare([str(source)], tmp_path / "many", Characters(), part_bytes=501)
    assert len(many.shards) > 30 > len(one.shards)
    for split in ("train", "test"):
        assert texts_of(tmp_path / "one", split) == texts_of(tmp_path / "many", split)


def test_processes_write_the_same_bytes(tmp_path):
    source = lines(tmp_path / "a.jsonl")
    told = []
    prepare([str(source)], tmp_path / "one", Characters(), part_bytes=3000)
    prepare([str(source)], tmp_path / "two", Characters(), part_bytes=3000, workers=2, progress=told.append)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert told[-1].done == told[-1].parts == len(told) > 4
    assert told[-1].tokens == sum(map(open_corpus(tmp_path / "one").size, ("train", "test")))


def test_killed_and_started_again_it_writes_the_same_bytes(tmp_path):
    """Killed by the system in the middle of a part, with workers at work."""
    source = lines(tmp_path / "a.jsonl", TEXTS * 40)
    arguments = [str(source), "--tokenizer", "characters", "--workers", "2", "--into"]
    code = (
        "import sys, time\nfrom physlm_lite.data import prepare\nfrom physlm_lite.cli import main\n"
        "prepare.PART_BYTES = 0\nprepare.prepare.__kwdefaults__['part_bytes'] = 40_000\n"
        "if __name__ == '__main__': sys.exit(main(sys.argv[1:]))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    command = [sys.executable, str(script), "prepare", *arguments]
    process = subprocess.Popen([*command, str(tmp_path / "c")], stderr=subprocess.PIPE, text=True)
    assert "parts" in process.stderr.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (tmp_path / "c/manifest.json").exists()
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "c/parts").glob("*.json")}
    assert 0 < len(done) < 18
    with pytest.raises(ValueError, match=r"is no finished corpus, it has no manifest.json; go on with the same"):
        open_corpus(tmp_path / "c")
    for _ in range(100):  # the workers of the killed process end by themselves
        try:
            prepare([str(source)], tmp_path / "c", Characters(), part_bytes=40_000)
            break
        except ValueError as error:
            assert "another process" in str(error)
            time.sleep(0.1)
    prepare([str(source)], tmp_path / "whole", Characters(), part_bytes=40_000)
    assert files(tmp_path / "c") == files(tmp_path / "whole")
    assert not list((tmp_path / "c").glob(".physlm-*"))


def test_a_failure_in_the_middle_leaves_what_is_finished(tmp_path, monkeypatch):
    source = lines(tmp_path / "a.jsonl")
    write, tried = module.write_part, []

    def full(job, number, part):
        tried.append(number)
        if number == 3:
            raise OSError(28, "No space left on device")
        return write(job, number, part)

    monkeypatch.setattr(module, "write_part", full)
    with pytest.raises(ValueError, match=r"cannot write into .*: No space left on device; what is finished stays"):
        prepare([str(source)], tmp_path / "c", Characters(), part_bytes=3000)
    monkeypatch.setattr(
        module, "write_part", lambda job, number, part: (tried.append(number), write(job, number, part))[1]
    )
    prepare([str(source)], tmp_path / "c", Characters(), part_bytes=3000)
    assert tried[:5] == [0, 1, 2, 3, 3] and tried[4:] == list(range(3, tried[-1] + 1))
    monkeypatch.setattr(module, "write_part", full)
    prepare([str(source)], tmp_path / "c", Characters(), part_bytes=3000)  # finished: nothing is done


def test_stopped_at_the_very_end_it_is_finished(tmp_path, monkeypatch):
    source = lines(tmp_path / "a.jsonl")
    prepare([str(source)], tmp_path / "whole", Characters(), part_bytes=3000)

    def killed(into):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_tidy", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare([str(source)], tmp_path / "c", Characters(), part_bytes=3000)
    monkeypatch.undo()
    prepare([str(source)], tmp_path / "c", Characters(), part_bytes=3000)
    assert files(tmp_path / "c") == files(tmp_path / "whole") and not (tmp_path / "c/parts").exists()


def test_another_preparation_is_not_mixed_in(tmp_path, monkeypatch):
    source = lines(tmp_path / "a.jsonl")
    monkeypatch.setattr(module, "_finish", lambda *_: None)
    prepare([str(source)], tmp_path / "c", Characters())
    monkeypatch.undo()
    with pytest.raises(
        ValueError, match=r"holds an unfinished preparation, and since then held_out was another; go on as"
    ):
        prepare([str(source)], tmp_path / "c", Characters(), held_out=7)
    lines(source, TEXTS[1:])
    with pytest.raises(
        ValueError, match=r"and since then the text has changed; go on as it was begun, delete the folder"
    ):
        prepare([str(source)], tmp_path / "c", Characters())
    prepare([str(source)], tmp_path / "d", Characters())
    with pytest.raises(ValueError, match=r"holds a corpus of other text or settings; choose another folder"):
        prepare([str(source)], tmp_path / "d", Characters(end=None))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("x")
    with pytest.raises(ValueError, match=r"is not empty, it holds thesis.tex; choose a folder of its own"):
        prepare([str(source)], tmp_path / "full", Characters())
    with module.locked(tmp_path / "full/lock"), pytest.raises(ValueError, match=r"another process is preparing"):
        prepare([str(source)], tmp_path / "full", Characters())


# -- sources -----------------------------------------------------------------------------------------------------------


def read(path, **options):
    return [text for part in parts_of([str(path)]) for text in documents(part, **options)]


@pytest.mark.parametrize("size", [1, 17, 64, 1000, 10**6])
def test_parts_cut_lines_nowhere(tmp_path, size):
    path = lines(tmp_path / "a.jsonl", ["é" * (i % 40) + str(i) for i in range(200)])
    parts = parts_of([str(path)], part_bytes=size)
    assert [text for part in parts for text in documents(part)] == ["é" * (i % 40) + str(i) for i in range(200)]
    assert parts[0].begin == 0 and parts[-1].end == path.stat().st_size


def test_lines_packed_by_gzip_and_the_other_key(tmp_path):
    content = "".join(json.dumps({"content": text}) + "\n\n" for text in TEXTS[:9])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content.encode()))
    assert read(tmp_path / "a.jsonl.gz") == TEXTS[:9]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content.encode())[:-20])
    with pytest.raises(BrokenText, match=r"a.jsonl.gz is no whole gzip file"):
        read(tmp_path / "a.jsonl.gz")


def test_frames_one_after_the_other_and_one_that_is_cut():
    """zlib's decompressor has the interface of zstandard's."""
    content = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    packed = zlib.compress(content[:5000]) + zlib.compress(content[5000:])
    new = partial(SimpleNamespace, decompressobj=zlib.decompressobj)
    whole = [line for line in _in_lines(_zstd_blocks(io.BytesIO(packed), new))]
    assert whole == content.splitlines(keepends=True)
    with pytest.raises(EOFError, match="it ends in the middle"):
        list(_zstd_blocks(io.BytesIO(packed[:-9]), new))


@given(blocks=st.lists(st.binary().map(lambda block: block.replace(b"\r", b"\n"))))
def test_blocks_are_cut_into_their_lines(blocks):
    assert list(_in_lines(iter(blocks))) == b"".join(blocks).splitlines(keepends=True)


def test_zstd_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.jsonl.zstd").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a.jsonl.zstd needs the package zstandard: pip install zstandard"):
        read(tmp_path / "a.jsonl.zstd")


def test_plain_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(
        b"\xef\xbb\xbfOne.\r\nStill one.\r\n<|endoftext|>\r\nTwo.\n\nStill two.\n<|endoftext|>\n"
    )
    (tmp_path / "b.md").write_text("# Three\n")
    (tmp_path / "c.log").write_text("not read")
    (tmp_path / "d.txt").write_text("")
    assert read(tmp_path) == ["One.\nStill one.", "Two.\n\nStill two.", "# Three"]


def test_plain_text_beyond_measure_is_cut_at_a_line(tmp_path, monkeypatch):
    from physlm_lite.data import documents as sources

    monkeypatch.setattr(sources, "LONGEST", 100)
    (tmp_path / "a.txt").write_text("twelve bytes\n" * 30)
    found = read(tmp_path / "a.txt")
    assert [text.count("twelve") for text in found] == [8, 8, 8, 6]


def test_parquet_in_groups_of_rows(tmp_path):
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"id": range(300), "text": TEXTS}), tmp_path / "a.parquet", row_group_size=40)
    parts = parts_of([str(tmp_path / "a.parquet")], part_bytes=2000)
    assert len(parts) > 2 and [text for part in parts for text in documents(part)] == TEXTS
    with pytest.raises(
        BrokenText, match=r"a.parquet, row 1, cannot be read \(it has no 'body', but id, text; say --column NAME\)"
    ):
        read(tmp_path / "a.parquet", column="body")
    write_table(pyarrow.table({"text": [*TEXTS[:90], None, "last"]}), tmp_path / "c.parquet", row_group_size=40)
    with pytest.raises(
        BrokenText, match=r"c.parquet, row 91, cannot be read \('text' holds None, and a text is expected\)"
    ):
        read(tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet", skipped=list) == [*TEXTS[:90], "last"]
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"b.parquet is no Parquet file that can be read"):
        read(tmp_path / "b.parquet")


def test_a_data_set_that_datasets_streams(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for shard in range(3):
        lines(folder / f"train-{shard}.jsonl", TEXTS[shard * 100 : shard * 100 + 100])
    hub = Hub(str(folder))
    parts = parts_of([], hub)
    assert [(part.begin, part.end) for part in parts] == [(0, 3), (1, 3), (2, 3)]
    assert [text for part in parts for text in documents(part, hub=hub)] == TEXTS
    corpus = prepare([str(folder)], tmp_path / "c", Characters(), hub=hub, held_out=0)
    assert len(corpus.shards) == 3 and texts_of(tmp_path / "c", "train") == TEXTS
    with pytest.raises(ValueError, match=r"the data set .* cannot be streamed: "):
        Hub(str(folder), split="dev").load()


def test_the_texts_that_the_kit_knows():
    assert list(documents(*parts_of(["kjv"]))) == list(read_corpus("kjv"))


def test_a_data_set_that_breaks_off(tmp_path, monkeypatch):
    def broken():
        yield {"text": "one"}
        raise ConnectionError("the line is dead")

    monkeypatch.setattr(Hub, "load", lambda self: broken())
    found = documents(Part("far/away", "hub", 0, 1), hub=Hub("far/away"))
    assert next(found) == "one"
    with pytest.raises(
        BrokenText, match=r"the data set far/away broke off \('the line is dead'\); the same command goes on"
    ):
        next(found)


def test_a_file_that_vanishes(tmp_path):
    parts = parts_of([str(lines(tmp_path / "a.jsonl"))])
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(BrokenText, match=r"a.jsonl cannot be read: No such file or directory; get it again"):
        list(documents(parts[0]))


def test_what_is_no_text(tmp_path):
    def refused(name, message):
        with pytest.raises(ValueError, match=message):
            prepare([str(tmp_path / name)], tmp_path / "c", Characters())

    refused("a.txt", r"there is no file or folder '.*a.txt'; for a data set of the Hub say --hub")
    (tmp_path / "a.txt").write_text("")
    refused("a.txt", r"a.txt is empty")
    (tmp_path / "a.csv").write_text("a,b")
    refused("a.csv", r"a.csv has the ending '.csv', and text is read from .jsonl, .txt, .md, .rst, .parquet")
    refused(".", r"holds no text: no file with the ending .jsonl, .* that is not empty")
    with pytest.raises(ValueError, match="there is no text to prepare; name files, folders"):
        prepare([], tmp_path / "c", Characters())
    (tmp_path / "b.txt").write_text("\n\n")
    refused("b.txt", r"holds no text to train on: every document is empty or held out")


@pytest.mark.parametrize("part_bytes", [2000, 10**6])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"text": "cut',
            r"line 42, cannot be read \(Invalid control character.*\); mend it, or leave such lines out with --skip",
        ),
        ("[1, 2]", r"line 42, cannot be read \(it holds list, and an object is expected\)"),
        ('{"txt": "a"}', r"line 42, cannot be read \(it has no 'text' or 'content', but txt; say --column NAME\)"),
        ('{"text": 7}', r"line 42, cannot be read \('text' holds 7, and a text is expected\)"),
    ],
)
def test_a_broken_line_is_named_with_its_number(tmp_path, line, message, part_bytes):
    path = lines(tmp_path / "a.jsonl")
    content = path.read_text().splitlines()
    path.write_text("\n".join([*content[:41], line, *content[41:]]) + "\n")
    with pytest.raises(BrokenText, match=message):
        prepare([str(path)], tmp_path / "c", Characters(), part_bytes=part_bytes)
    corpus = prepare([str(path)], tmp_path / "d", Characters(), skip_broken=True, held_out=0, part_bytes=part_bytes)
    assert texts_of(tmp_path / "d", "train") == TEXTS and "1 lines could not be read" in module.corpus_table(corpus)


def test_a_line_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\n" * 6 + b"caf\xe9\n" + b"good\n")
    for size in (10, 10**6):
        with pytest.raises(BrokenText, match=r"a.txt, line 7, is not UTF-8; convert it first"):
            [list(documents(part)) for part in parts_of([str(tmp_path / "a.txt")], part_bytes=size)]


def test_half_a_surrogate_is_no_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud800b"}\n')
    byte_pairs(tmp_path / "tokenizer.json")
    corpus = prepare([str(tmp_path / "a.jsonl")], tmp_path / "c", load_tokenizer(tmp_path), held_out=0)
    assert load_tokenizer(tmp_path).decode(corpus.mapped(corpus.shards[0], "tokens").tolist()) == "a?b"


def test_a_part_is_plain_data():
    assert Part("a.txt", "texts", 0, 9) == Part(*json.loads(json.dumps(["a.txt", "texts", 0, 9])))


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_from_text_to_check(tmp_path, capsys):
    source = lines(tmp_path / "a.jsonl")
    command = ["prepare", str(source), "--tokenizer", "characters", "--into", str(tmp_path / "c"), "--workers", "1"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "98 tokens, marks: end" in out and "1 of 1 parts" in err
    assert main(command) == 0  # at once
    assert capsys.readouterr().err == ""
    assert main(["prepare", "--check", str(tmp_path / "c")]) == 0
    assert "bytes are as they were written" in capsys.readouterr().out
    shard = next((tmp_path / "c").glob("*-train.tokens"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x07")
    assert main(["prepare", "--check", str(tmp_path / "c")]) == 2
    assert "00000-train.tokens is damaged" in capsys.readouterr().err
    for wrong, message in (
        (["prepare", str(source)], "physlm prepare needs --tokenizer"),
        (["prepare", "a", "b", "--hub", *command[2:]], "--hub takes the name of one data set, not 2"),
        ([*command[:-1], "0"], "must be a whole number of at least 1"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err


def test_the_epilog_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    assert "example: physlm prepare kjv --tokenizer characters" in " ".join(capsys.readouterr().out.split())
