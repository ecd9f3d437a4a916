"""Prepared text: what is read is what stands in the files, in an order that depends on nothing but (seed, index)."""

import json

import numpy as np
import pytest
import torch

from physlm_lite.data import stream
from physlm_lite.data.prepare import prepare
from physlm_lite.data.tokenizer import Characters
from physlm_lite.tasks import Prepared
from physlm_lite.tasks.prepared import BLOCK, corpus_folder
from physlm_lite.tasks.shards import BrokenCorpus, open_corpus
from physlm_lite.training import Run, Training, train

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()


def written(folder, documents=400, first=0, held_out=10):
    """A corpus of several shards, whose documents have from 1 to 40 words."""
    texts = [
        " ".join(WORDS[(i * j + i) % 10] for j in range(1 + i * 7 % 40)) + f" {i}"
        for i in range(first, first + documents)
    ]
    source = folder.with_suffix(".jsonl")
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return prepare([str(source)], folder, Characters(), held_out=held_out, part_bytes=9000), texts


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    home = tmp_path_factory.mktemp("corpora")
    written(home / "a")
    written(home / "b", 60, first=1000)
    return home


def by_hand(folder, split):
    """The whole split and the number of each token's document, from the plain files."""
    manifest = json.loads((folder / "manifest.json").read_text())
    tokens, document = [], []
    for shard in manifest["shards"]:
        if shard["split"] == split:
            part = np.fromfile(folder / f"{shard['name']}.tokens", "<u2")
            begins = np.zeros(len(part), int)
            begins[np.fromfile(folder / f"{shard['name']}.documents", "<u8").astype(int)] = 1
            tokens.append(part)
            document.append(begins)
    return np.concatenate(tokens), np.concatenate(document).cumsum()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("window", [1, 7, 64, 501])
def test_an_epoch_reads_every_window_once(corpora, split, window):
    task, corpus = Prepared({str(corpora / "a"): 1.0}, window=window, rows=50), open_corpus(corpora / "a")
    assert len(corpus.of(split)) > 1
    tokens, document = by_hand(corpora / "a", split)
    count = corpus.windows(split, window)
    assert count == (len(tokens) - 1) // window
    index = np.arange(2 * count)
    _, places = task.places(5, index, split)
    for epoch in (places[:count], places[count:]):
        assert sorted(epoch.tolist()) == list(range(count))
    assert count < 10 or places[:count].tolist() != places[count:].tolist()  # another order each time
    batch = task.batch(5, 1, 50, split)
    for row, place in enumerate(task.places(5, np.arange(50, 100), split)[1].tolist()):
        cut = slice(place * window, (place + 1) * window + 1)
        assert batch.tokens[row].tolist() == tokens[cut].tolist()
        assert batch.document[row].tolist() == (document[cut] - document[cut][0]).tolist()
    assert batch.targets[:, 1:].all() and not batch.targets[:, 0].any()


def test_a_step_is_the_same_on_any_number_of_ranks_and_after_any_stop(corpora):
    task = Prepared({str(corpora / "a"): 2.0, str(corpora / "b"): 1.0}, window=33, rows=48)
    whole = task.batch(9, 7, 48)
    for ranks in (1, 2, 3, 4, 16):
        each = 48 // ranks
        shares = [task.batch(9, 7, range(rank * each, (rank + 1) * each)) for rank in range(ranks)]
        for name in ("tokens", "targets", "document"):
            assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name))
    turns = [task.batch(9, 7, np.arange(rank, 48, 3)) for rank in range(3)]  # or dealt out like cards
    assert torch.equal(torch.stack([turn.tokens for turn in turns], 1).flatten(0, 1), whole.tokens)
    again = Prepared({str(corpora / "a"): 2.0, str(corpora / "b"): 1.0}, window=33, rows=48)
    assert torch.equal(again.batch(9, 7, 48).tokens, whole.tokens)
    assert not torch.equal(again.batch(9, 8, 48).tokens, whole.tokens)
    assert not torch.equal(again.batch(8, 7, 48).tokens, whole.tokens)
    steps = task.batch(9, np.array([7, 8]), np.array([3, 3]))  # rows of several steps, as a stack of runs asks for them
    assert torch.equal(steps.tokens[1], task.batch(9, 8, range(3, 4)).tokens[0])


def test_the_same_door_as_synthetic_tasks(corpora):
    from torch.utils.data import DataLoader

    from physlm_lite.data import collate

    task = Prepared({str(corpora / "a"): 1.0}, window=20, rows=6)
    whole = [task.batch(1, step, 6).tokens for step in range(3)]
    for workers in (0, 2):
        rows = stream(task, seed=1, rows_per_step=6, rows=18).with_format("torch")
        loader = DataLoader(rows, batch_size=6, num_workers=workers, collate_fn=collate)
        assert all(torch.equal(found.tokens, wanted) for found, wanted in zip(loader, whole, strict=True))


def test_each_corpus_of_a_mixture_has_its_share(corpora):
    names = {"a": 0.7, "b": 0.25, "again": 0.05}
    (corpora / "again").symlink_to(corpora / "a")
    task = Prepared({str(corpora / name): share for name, share in names.items()}, window=16)
    corpus, places = task.places(0, np.arange(3 * BLOCK))
    for block in np.split(corpus, 3):
        assert np.bincount(block).tolist() == [7000, 2500, 500]
    early = np.bincount(corpus[:1000], minlength=3) / 1000
    assert np.abs(early - [0.7, 0.25, 0.05]).max() < 0.06  # mixed, not one after the other
    for number, name in enumerate(names):  # every corpus is read in whole epochs
        seen = np.bincount(places[corpus == number], minlength=open_corpus(corpora / name).windows("train", 16))
        assert seen.max() - seen.min() <= 1 + 2 * BLOCK * 0.7 // len(seen) // 10
    assert Prepared({str(corpora / "a"): 1, str(corpora / "b"): 2}).quotas.tolist() == [3333, 6667]
    with pytest.raises(ValueError, match="the share of 'y' is less than one window of 10,000; give it more"):
        Prepared({"x": 1.0, "y": 1e-6})


def test_a_run_is_named_by_the_tokens_and_not_by_their_place(corpora, tmp_path):
    def name(folder, **more):
        return Run("prepared", {"sources": {str(folder): 1.0}, "window": 16, **more}).hash

    written(tmp_path / "elsewhere")
    assert name(corpora / "a") == name(tmp_path / "elsewhere") != name(corpora / "b")
    found = Prepared({str(corpora / "a"): 1.0}).fingerprint
    assert name(corpora / "a", corpus_hash=found) == name(corpora / "a")
    mixture = {str(corpora / "a"): 1.0, str(corpora / "b"): 1.0}
    weighted = {**mixture, str(corpora / "b"): 3.0}
    assert Run("prepared", {"sources": mixture}).hash != Run("prepared", {"sources": weighted}).hash
    with pytest.raises(ValueError, match=f"have the fingerprint {found} here, not 00000000; leave corpus_hash out"):
        _ = Prepared({str(corpora / "a"): 1.0}, corpus_hash="00000000").corpora


@pytest.mark.parametrize("leaky", [False, True])
def test_the_trainer_takes_it_as_any_task(corpora, leaky):
    run = Run(
        "prepared",
        {"sources": {str(corpora / "a"): 1.0}, "window": 24, "rows": 8},
        {"width": 16, "layers": 1, "heads": 1, "canon": "AC"},
        Training(steps=30, batch=8, warmup=3, evaluations=1, evaluation_rows=16, leaky=leaky, learning_rate=0.02),
    )
    end = train(run).curve[-1]
    assert end["loss_held_out"] < 3.6 < np.log(98)  # it learns; nothing is known at log(98) = 4.6
    assert end["perplexity"] == pytest.approx(np.exp(end["loss_held_out"])) and end["loss_error"] > 0
    assert end["corpus"] == run.made_task.fingerprint


def test_a_corpus_is_looked_for_in_the_folder_of_corpora(corpora, monkeypatch):
    monkeypatch.setenv("PHYSLM_CORPORA", str(corpora))
    assert corpus_folder("a") == corpora / "a"
    assert Prepared({"a": 1.0}).fingerprint == Prepared({str(corpora / "a"): 1.0}).fingerprint
    with pytest.raises(
        ValueError, match=r"there is no prepared corpus 'c', neither here nor in .*; make it with `physlm"
    ):
        _ = Prepared({"c": 1.0}).vocabulary


def test_wrong_questions(corpora):
    task = Prepared({str(corpora / "a"): 1.0}, window=16, rows=4)
    with pytest.raises(ValueError, match="row 4 is asked for, and a step of this task has 4; set its option rows"):
        task.batch(0, 0, 5)
    with pytest.raises(
        ValueError, match=r"the test part of .* has .* tokens, too few for a window of 100,000; prepare more"
    ):
        Prepared({str(corpora / "a"): 1.0}, window=100_000).batch(0, 0, 1, "test")
    with pytest.raises(ValueError, match="sources must name at least one corpus"):
        Prepared({})
    with pytest.raises(ValueError, match="must be a positive number, not 0"):
        Prepared({"a": 0})


def test_a_mixture_has_one_tokenizer(corpora, tmp_path):
    (tmp_path / "c.txt").write_text("some text " * 50)
    prepare([str(tmp_path / "c.txt")], tmp_path / "c", Characters(end=None, name="others"), held_out=0)
    with pytest.raises(
        ValueError, match=r"was prepared with the tokenizer others, and .* with characters; a mixture needs one"
    ):
        _ = Prepared({str(corpora / "a"): 1.0, str(tmp_path / "c"): 1.0}).corpora


# -- damage ------------------------------------------------------------------------------------------------------------


def damaged(tmp_path):
    corpus, _ = written(tmp_path / "d")
    return corpus, tmp_path / "d" / f"{corpus.shards[2].name}.tokens"


def test_a_truncated_shard_is_named_when_it_is_opened(tmp_path):
    corpus, path = damaged(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BrokenCorpus, match=rf"{path.name} has [\d,]+ bytes and should have [\d,]+; delete the folder"):
        open_corpus(corpus.folder)
    path.unlink()
    with pytest.raises(BrokenCorpus, match=rf"{path.name} is missing; "):
        open_corpus(corpus.folder)


@pytest.mark.parametrize("kind", ["tokens", "documents"])
def test_one_flipped_bit_is_named_by_the_check(tmp_path, kind):
    corpus, path = damaged(tmp_path)
    path = path.with_suffix(f".{kind}")
    assert corpus.check() == sum(file.stat().st_size for file in corpus.folder.glob("*-t*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BrokenCorpus, match=rf"{path.name} is damaged: it has its size .* but not its checksum"):
        open_corpus(corpus.folder).check()


def test_a_token_beyond_the_vocabulary_is_named(tmp_path):
    corpus, path = damaged(tmp_path)
    content = np.fromfile(path, "<u2")
    content[:] = 60_000
    content.tofile(path)
    task = Prepared({str(corpus.folder): 1.0}, window=8, rows=corpus.windows("train", 8))
    with pytest.raises(BrokenCorpus, match=rf"{path.name} holds the token 60000, and the vocabulary has 98; see"):
        task.batch(0, 0, task.rows)


def test_a_manifest_is_read_strictly(tmp_path):
    corpus, _ = damaged(tmp_path)
    path = corpus.folder / "manifest.json"
    content = json.loads(path.read_text())

    def refused(message, **changes):
        path.write_text(json.dumps({**content, **changes}))
        with pytest.raises(ValueError, match=message):
            open_corpus(corpus.folder)

    refused("was changed after it was written", shards=content["shards"][1:])
    refused("is not of the format", format="other")
    refused("unknown Shard option 'size'", shards=[{**content["shards"][0], "size": 3}])
    refused("leads out of it", shards=[{**content["shards"][0], "name": "../x"}])
    refused("unknown dtype 'int8'", dtype="int8")
    path.write_text("{")
    with pytest.raises(BrokenCorpus, match=r"manifest.json cannot be read as JSON"):
        open_corpus(corpus.folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"is no corpus, it has no manifest.json; make one with `physlm prepare`"):
        open_corpus(corpus.folder)
