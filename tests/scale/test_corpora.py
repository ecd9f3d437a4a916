"""A recipe's text as the task of its run."""

import dataclasses

import pytest
import torch
from data.small_corpus import small_corpus

from physlm_lite.data.prepare import prepare
from physlm_lite.data.tokenizer import Characters
from physlm_lite.scale.corpora import prepare_known, task_of
from physlm_lite.scale.recipe import load_recipe


def recipe(**data):
    tiny = load_recipe("tiny")
    return dataclasses.replace(tiny, data=dataclasses.replace(tiny.data, **data))


def test_the_tiny_recipe_makes_its_corpus_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("PHYSLM_CORPORA", str(tmp_path))
    tiny = load_recipe("tiny")
    with pytest.raises(ValueError, match=r"there is no prepared corpus 'kjv', neither here nor in"):
        task_of(tiny)
    prepare_known(tiny)
    before = (tmp_path / "kjv/manifest.json").stat().st_mtime_ns
    prepare_known(tiny)  # once
    assert (tmp_path / "kjv/manifest.json").stat().st_mtime_ns == before
    task = task_of(tiny)
    assert len(task.vocabulary) == tiny.model.vocab
    batch = task.batch(tiny.data.seed, 0, tiny.batch.rows)
    assert batch.targets.sum() == tiny.tokens_per_step  # every token of the step is predicted once
    assert torch.equal(batch.tokens[16:], task.batch(tiny.data.seed, 0, range(16, 32)).tokens)


def test_a_corpus_that_does_not_fit_the_recipe(tmp_path):
    small = dataclasses.replace(
        recipe(sources={small_corpus(): 1.0}), model=dataclasses.replace(load_recipe("tiny").model, vocab=64)
    )
    with pytest.raises(
        ValueError, match=r"prepared with a tokenizer of 98 tokens, characters, and the model of tiny knows 64"
    ):
        task_of(small)
    with pytest.raises(ValueError, match=r"has a mark at each document's end, and tiny wants none; .* --end none"):
        task_of(recipe(sources={small_corpus(): 1.0}, end=False))
    (tmp_path / "a.txt").write_text("some text " * 99)
    prepare([str(tmp_path / "a.txt")], tmp_path / "a", Characters(end=None), held_out=0)
    assert task_of(recipe(sources={str(tmp_path / "a"): 1.0}, end=False, window=64)).window == 64
