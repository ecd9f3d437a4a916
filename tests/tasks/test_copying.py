"""The copy toy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.tasks import Copy

PAD, BOS, QUERY = 0, 1, 2


def expected_row(symbols, width):
    """Tokens, targets and document of a row, from its symbols."""
    length = 2 * len(symbols) + 2
    tokens = [BOS, *symbols, QUERY, *symbols] + [PAD] * (width - length)
    return tokens, [i in range(len(symbols) + 2, length) for i in range(width)], [0] * length + [-1] * (width - length)


@settings(deadline=None)
@given(n=st.integers(2, 12), short=st.integers(0, 12), seed=st.integers(0, 9), split=st.sampled_from(["train", "test"]))
def test_a_row_is_a_permutation_twice(n, short, seed, split):
    shortest = short if 1 <= short <= n else None
    batch = Copy(n, shortest).batch(seed, 3, 6, split)
    assert batch.tokens.shape == (6, 2 * n + 2)
    for tokens, targets, document in zip(
        batch.tokens.tolist(), batch.targets.tolist(), batch.document.tolist(), strict=True
    ):
        symbols = tokens[1 : tokens.index(QUERY)]
        assert (tokens, targets, document) == expected_row(symbols, 2 * n + 2)
        assert len(set(symbols)) == len(symbols) and set(symbols) <= set(range(3, n + 3))
        assert (shortest or n) <= len(symbols) <= n


def test_permutations_and_lengths_are_uniform():
    batch = Copy(6, 2).batch(0, 0, 6000)
    lengths = ((batch.document == 0).sum(1) - 2) // 2
    assert looks_like(np.bincount(lengths, minlength=7)[2:], np.ones(5))
    for place in (1, 2):
        assert looks_like(np.bincount(batch.tokens[:, place], minlength=9)[3:], np.ones(6))
    pairs = 6 * (batch.tokens[:, 1] - 3) + batch.tokens[:, 2] - 3
    different = [6 * a + b for a in range(6) for b in range(6) if a != b]
    assert looks_like(np.bincount(pairs, minlength=36)[different], np.ones(30))


def test_vocabulary():
    assert Copy(3).vocabulary == ("<pad>", "<bos>", "<query>", "1", "2", "3")


@pytest.mark.parametrize("task", [Copy(6), Copy(6, 3)])
def test_grading(task):
    batch = task.batch(0, 0, 40)
    count = int(batch.targets.sum())
    assert task.grade(batch, batch.tokens) == {"accuracy": 1.0, "standard_error": 0.0, "count": count}
    # only the repeated symbols count
    guesses = torch.where(batch.targets, batch.tokens, -1)
    assert task.grade(batch, guesses)["accuracy"] == 1.0
    assert task.grade(batch, torch.where(batch.targets, -1, batch.tokens))["accuracy"] == 0.0
    row, place = batch.targets.nonzero()[7].tolist()
    guesses[row, place] += 1
    assert task.grade(batch, guesses)["accuracy"] == (count - 1) / count
    # the text is the judge, not the targets handed along
    assert task.grade(type(batch)(batch.tokens, ~batch.targets, batch.document), batch.tokens)["accuracy"] == 1.0


def test_guesses_are_not_shifted():
    task = Copy(6)
    batch = task.batch(0, 0, 40)
    assert task.grade(batch, batch.tokens.roll(1, 1))["accuracy"] < 0.2


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"n": 1}, "Copy option n must be a whole number from 2 to 16,383, not 1"),
        ({"n": 2**14}, "n must be a whole number from 2 to 16,383, not 16384"),
        ({"n": 4, "shortest": 5}, "shortest must lie in 1..n = 4, not 5"),
        ({"n": 4, "shortest": 0}, "shortest must be a whole number of at least 1 or None, not 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Copy(**options)
    assert sentence in str(error.value)
