"""Birth years hidden in real text: what is told, what is asked, and that it can be looked up by reading alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.claims.settings.births import TOY
from physlm_lite.tasks import Births, births_row
from physlm_lite.tasks.births import BORN, LINKED, NAMES, SENTENCE, YEARS, look_up
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.text import OtherText, decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("corpus")
    for i in range(80):
        (place / f"{i:02d}.txt").write_text(f"The quick brown fox jumps over {i} lazy dogs, and rests.\n" * 20)
    return place


def words(task: Births, tokens: torch.Tensor) -> list[str]:
    return [task.vocabulary[token] for token in tokens.tolist()]


@settings(max_examples=30, deadline=None)
@given(data=st.data(), split=st.sampled_from(["train", "test"]), seed=st.integers(0, 2**62))
def test_the_slow_twin_writes_the_same_tokens(folder, data, split, seed):
    hops, people = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 6))
    taught, pool = data.draw(st.sampled_from([None, 1, 2])), data.draw(st.integers(hops * people, 40))
    task = Births(str(folder), 80 + data.draw(st.integers(0, 60)), people, hops, taught, pool)
    batch = task.batch(seed, 5, range(2, 5), split)
    for row, tokens, targets in zip(range(2, 5), batch.tokens, batch.targets, strict=True):
        written, loss = births_row(task, int(address(seed, int(split == "test"), 5, row)[0]), split)
        assert words(task, tokens) == written and targets.tolist() == loss
    assert not batch.document.any()


def test_a_batch_is_a_pure_function(folder):
    task = Births(str(folder), people=3, hops=2)
    whole = task.batch(3, 14, 300)
    for rows in (1, range(40, 90), range(299, -1, -7)):
        got, numbers = task.batch(3, 14, rows), np.arange(rows) if isinstance(rows, int) else np.array(rows)
        assert all(torch.equal(part, all_of[numbers]) for part, all_of in zip(got, whole, strict=True))
    others = [(4, 14, "train"), (3, 15, "train"), (3, 14, "test")]
    assert all(not torch.equal(task.batch(a, b, 300, split).tokens, whole.tokens) for a, b, split in others)


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_every_year_is_told_once_and_asked_once(folder, hops):
    task = Births(str(folder), people=5, hops=hops)
    whole = "".join(map(chr, task.streams["train"].tolist()))
    for tokens in task.batch(0, 1, 60).tokens:
        written = words(task, tokens)
        text, questions = written[: -5 * SENTENCE], written[-5 * SENTENCE :]
        told = [tuple(text[i - 1 : i + 2]) for i, word in enumerate(text) if word in (BORN, LINKED)]
        names = [name for name, _, _ in told]
        assert len(told) == len(set(names)) == 5 * hops and set(names) <= set(NAMES[:24])
        years = [other for _, word, other in told if word == BORN]
        assert len(set(years)) == 5 and set(years) <= {str(year) for year in YEARS[:24]}
        asked = [tuple(questions[i : i + 3]) for i in range(0, len(questions), 3)]
        assert sorted(year for _, _, year in asked) == sorted(years)
        assert all(word == BORN and look_up(text, name)[1] == year for name, word, year in asked)
        # what is left is a piece of the corpus
        left = [token for token in tokens[: -5 * SENTENCE].tolist() if token < 98]
        assert len(left) == task.room("train") and "".join(map(chr, left)) in whole


def test_a_test_asks_once_and_of_everybody_and_training_only_of_those_who_are_taught(folder):
    task = Births(str(folder), people=4, hops=2, taught=1)
    test = task.batch(0, 0, 400, "test")
    assert test.targets.sum(1).eq(1).all() and test.targets[:, -1].all()
    asked = [look_up(words(task, tokens[:-3]), words(task, tokens)[-3])[0] for tokens in test.tokens]
    assert looks_like(np.bincount(asked, minlength=3)[1:], np.ones(2))
    train = task.batch(0, 0, 50)
    assert train.targets.sum(1).eq(4).all()
    for tokens in train.tokens:
        text, questions = words(task, tokens[:-12]), words(task, tokens[-12:])
        assert {look_up(text, name)[0] for name in questions[::3]} == {1}


def test_names_years_and_places_are_uniform(folder):
    task = Births(str(folder), people=4, pool=12)
    batch = task.batch(0, 0, 4000, "test")
    assert looks_like(np.bincount(batch.tokens[:, -3] - task.first_name, minlength=12), np.ones(12))
    assert looks_like(np.bincount(batch.tokens[:, -1] - task.first_name - 12, minlength=12), np.ones(12))
    place = (batch.tokens == batch.tokens[:, -3:-2]).int().argmax(1)  # where the person asked about is told of
    assert 0.4 < float(place.float().mean()) / (task.context - 3) < 0.6


def test_longer_windows_hold_the_same_people_farther_apart(folder):
    task = Births(str(folder), people=3, context=64)
    far = task.longer(4)
    near, wide = task.batch(1, 0, 20, "test"), far.batch(1, 0, 20, "test")
    assert wide.tokens.shape == (20, 256) and far.fingerprint == task.fingerprint
    assert torch.equal(near.tokens[:, -3:], wide.tokens[:, -3:])
    assert far.room("test") == task.room("test") + 192


def test_grading_reads_the_text(folder):
    task = Births(str(folder), people=3, hops=2)
    batch = task.batch(0, 0, 60, "test")
    right = task.grade(batch, batch.tokens)
    assert right["accuracy"] == 1 and right["count"] == 60 and right["accuracy_k"] == {"1": 1.0, "2": 1.0}
    assert sum(right["count_k"].values()) == 60
    only_the_answer = torch.where(batch.targets, batch.tokens, 0)
    assert task.grade(batch, only_the_answer)["accuracy"] == 1
    assert task.grade(batch, torch.where(batch.targets, 0, batch.tokens))["accuracy"] == 0
    train = task.batch(0, 0, 60)
    first = train.targets & (train.targets.cumsum(1) == 1)
    assert task.grade(train, torch.where(first, train.tokens, 0))["accuracy"] == 1, "only the first answer counts"


def test_a_year_that_is_not_told_is_not_found():
    with pytest.raises(ValueError, match="the text does not say when Ben was born"):
        look_up("Ada born-in 1960 x".split(), "Ben")
    with pytest.raises(ValueError, match="does not say"):
        look_up("Ada as-old-as Ben Ben as-old-as Ada x y".split(), "Ada")


def test_the_text_of_the_setting_is_named_by_its_hash(folder):
    task = TOY.made_task
    assert task.at_hand() is task and "begat" in decode(task.text.stream["train"].tolist())
    with pytest.raises(OtherText):
        Births(str(folder), corpus_hash="0123abcd").batch(0, 0, 1)
    assert Births(str(folder), corpus_hash="0123abcd").at_hand() == Births(str(folder))


def test_what_does_not_fit_is_refused(folder):
    with pytest.raises(ValueError, match="8 people and 2 hops need a window of 73 tokens or more, not 72"):
        Births(hops=2, context=72)
    assert Births(hops=2, context=73).room("train") == 1
    with pytest.raises(ValueError, match="8 people and 3 hops need a pool of 24 names, not 20"):
        Births(hops=3, pool=20)
    with pytest.raises(ValueError, match="hops must be a whole number from 1 to 3, not 4"):
        Births(hops=4)
    with pytest.raises(ValueError, match=r"too few for windows of 400000"):
        Births(str(folder), context=100_000).batch(0, 0, 1)
