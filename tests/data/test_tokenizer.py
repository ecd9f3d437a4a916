"""Tokenizers: the kit's own, one of `tokenizers` as an independent oracle, and what is said of those that are not there."""

import json

import numpy as np
import pytest

from physlm_lite.data.tokenizer import Characters, HuggingFace, in_pieces, load_tokenizer, tokenizer_of
from physlm_lite.tasks.text import decode

TEXTS = ["In the beginning was the word.", "", "Grüße, Welt! 😀 <s> </s> <|endoftext|>", "a\n\tb  c"]


def byte_pairs(path, special=("<s>", "</s>"), size=300):
    """A small tokenizer of `tokenizers`, as a file."""
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(
        ["In the beginning was the word and the word was here"] * 3, size, special_tokens=list(special)
    )
    made.save(str(path))
    return made


def test_characters_are_read_back():
    tokenizer = load_tokenizer("characters")
    tokens = tokenizer.encode(TEXTS)
    assert [tokenizer.decode(some.tolist()) for some in tokens] == [
        TEXTS[0],
        "",
        "Gr??e, Welt! ? <s> </s> <|endoftext|>",
        "a\n b  c",
    ]
    assert decode(tokens[0].tolist()) == TEXTS[0]
    assert (tokenizer.begin, tokenizer.end, len(tokenizer.vocabulary)) == (None, 1, 98)
    assert load_tokenizer("characters", end="none").end is None


def test_a_file_gives_the_tokens_of_the_package(tmp_path):
    made = byte_pairs(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path)
    assert load_tokenizer(tmp_path / "tokenizer.json").fingerprint == tokenizer.fingerprint
    found = [some.tolist() for some in tokenizer.encode(TEXTS)]
    assert found[0] == made.encode(TEXTS[0]).ids and found[1] == []
    assert (tokenizer.vocabulary[tokenizer.begin], tokenizer.vocabulary[tokenizer.end]) == ("<s>", "</s>")
    assert [tokenizer.decode(some) for some in found] == TEXTS
    assert not {tokenizer.begin, tokenizer.end} & set(found[2])  # a special token that a text spells is plain text
    assert len(tokenizer.vocabulary) == made.get_vocab_size()


def test_a_long_text_is_encoded_in_pieces():
    text = "word " * 250_000
    pieces = list(in_pieces(text))
    assert "".join(pieces) == text and max(map(len, pieces)) <= 400_000 and all(p[0] == " " for p in pieces[1:])
    assert "".join(in_pieces("x" * 950_000)) == "x" * 950_000
    assert list(in_pieces("")) == [""]


def test_pieces_do_not_change_the_tokens(tmp_path, monkeypatch):
    from physlm_lite.data import tokenizer as module

    byte_pairs(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path)
    text = "In the beginning was the word. " * 40
    whole = tokenizer.encode([text])[0]
    monkeypatch.setattr(module.in_pieces, "__defaults__", (100,))
    assert len(list(module.in_pieces(text))) > 10
    assert np.array_equal(tokenizer.encode([text])[0], whole)


def test_marks_are_those_of_the_files_beside_it(tmp_path):
    byte_pairs(tmp_path / "tokenizer.json", ("<s>", "</s>", "[open]", "<|endoftext|>"))
    said = {"bos_token": {"content": "[open]"}, "eos_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    tokenizer = load_tokenizer(tmp_path)
    assert [tokenizer.vocabulary[mark] for mark in (tokenizer.begin, tokenizer.end)] == ["[open]", "<|endoftext|>"]
    chosen = load_tokenizer(tmp_path, begin="none", end="</s>")
    assert chosen.begin is None and chosen.vocabulary[chosen.end] == "</s>"
    with pytest.raises(ValueError, match=r"has no token '<bot>' to mark the begin of a document; say --begin \[open\]"):
        load_tokenizer(tmp_path, begin="<bot>")


def test_a_mark_that_is_both_stands_once(tmp_path):
    byte_pairs(tmp_path / "tokenizer.json", ("<|endoftext|>",))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.begin is None and tokenizer.vocabulary[tokenizer.end] == "<|endoftext|>"
    assert load_tokenizer(tmp_path, begin="<|endoftext|>").begin == tokenizer.end


def test_it_is_found_in_the_folder_where_it_was_saved(tmp_path):
    byte_pairs(tmp_path / "tokenizer.json")
    for number, tokenizer in enumerate((load_tokenizer(tmp_path, end="none"), Characters(end=None), Characters())):
        folder = tmp_path / str(number)
        folder.mkdir()
        tokenizer.save(folder)
        again = tokenizer_of(folder)
        assert type(again) is type(tokenizer) and again.fingerprint == tokenizer.fingerprint
        assert (again.name, again.begin, again.end) == (tokenizer.name, tokenizer.begin, tokenizer.end)
    assert tokenizer_of(tmp_path / "nowhere") is None


def test_transformers_finds_it_too(tmp_path):
    from transformers import AutoTokenizer

    byte_pairs(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path)
    (tmp_path / "saved").mkdir()
    tokenizer.save(tmp_path / "saved")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert theirs.encode(TEXTS[0], add_special_tokens=False) == tokenizer.encode(TEXTS[:1])[0].tolist()
    assert (theirs.bos_token_id, theirs.eos_token_id) == (tokenizer.begin, tokenizer.end)


def test_the_two_files_of_gpt_2(tmp_path):
    made = byte_pairs(tmp_path / "tokenizer.json", ("<|endoftext|>",))
    folder = tmp_path / "gpt2"
    folder.mkdir()
    made.save_model(str(folder))
    assert load_tokenizer(folder).encode(TEXTS[:1])[0].tolist() == made.encode(TEXTS[0]).ids


def test_what_cannot_be_found_or_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refused(name, message):
        with pytest.raises(ValueError, match=message) as error:
            load_tokenizer(name)
        assert "\n" not in str(error.value)

    refused("carachters/", "there is no tokenizer 'carachters/' here; name a tokenizer.json, a folder that holds one")
    refused(tmp_path, "holds no tokenizer.json; name the folder of a tokenizer, or 'characters'")
    (tmp_path / "words.txt").write_text("a")
    refused(tmp_path / "words.txt", r"words.txt is no tokenizer.json; name that file")
    (tmp_path / "tokenizer.model").write_bytes(b"\x00")
    refused(tmp_path, r"has only a tokenizer.model; convert it first")
    (tmp_path / "tokenizer.json").write_text("{}")
    refused(tmp_path, "is no tokenizer that `tokenizers` reads")
    with pytest.raises(ValueError, match=r"has no mark '<s>' for the begin of a document; its end is <end>"):
        load_tokenizer("characters", begin="<s>")


def test_the_hub_is_named_where_it_does_not_answer(monkeypatch):
    import tokenizers

    class Away:
        @staticmethod
        def from_pretrained(name):
            raise OSError(f"no connection for {name}")

    monkeypatch.setattr(tokenizers, "Tokenizer", Away)
    with pytest.raises(
        ValueError, match=r"the Hub does not give meta-llama/Llama-2-7b-hf .*no connection.*; get its tokenizer"
    ):
        load_tokenizer("llama-2")


def test_without_the_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        ValueError, match=r"needs the package tokenizers; install it with `pip install 'physlm_lite\[hf\]'`"
    ):
        _ = HuggingFace("x", "{}").vocabulary
    assert load_tokenizer("characters").encode(["a"])[0].tolist() == [2 + ord("a") - 32]
