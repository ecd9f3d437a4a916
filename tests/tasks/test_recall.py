"""The recall toy."""

import numpy as np
import pytest
import torch
from tasks.chi_square import looks_like

from physlm_lite.tasks import Recall


@pytest.mark.parametrize("pairs", [2, 4, 8])
def test_the_second_half_repeats_the_pairs_in_another_order(pairs):
    batch = Recall(pairs).batch(seed=0, step=5, rows=200)
    assert batch.tokens.shape == (200, 4 * pairs) and not batch.document.any()
    for row in batch.tokens.tolist():
        first, again = ([(row[i], row[i + 1]) for i in range(b, b + 2 * pairs, 2)] for b in (0, 2 * pairs))
        assert sorted(first) == sorted(again)
        assert len({letter for letter, _ in first}) == pairs
        assert all(1 <= letter <= 8 < digit <= 16 for letter, digit in first)
    assert batch.targets[7].nonzero().flatten().tolist() == list(range(2 * pairs + 1, 4 * pairs, 2))


def test_letters_digits_and_orders_are_uniform():
    tokens = Recall().batch(0, 0, 6000).tokens
    assert looks_like(np.bincount(tokens[:, 2], minlength=9)[1:], np.ones(8))
    assert looks_like(np.bincount(tokens[:, 3] - 9, minlength=8), np.ones(8))
    place = (tokens[:, 0:8:2] == tokens[:, 8:9]).int().argmax(1)  # which pair is asked for first
    assert looks_like(np.bincount(place, minlength=4), np.ones(4))


def test_grading():
    task = Recall()
    batch = task.batch(0, 0, 40)
    assert task.grade(batch, batch.tokens) == {"accuracy": 1.0, "standard_error": 0.0, "count": 160}
    assert task.grade(batch, torch.where(batch.targets, batch.tokens, -1))["accuracy"] == 1.0
    assert task.grade(batch, torch.where(batch.targets, -1, batch.tokens))["accuracy"] == 0.0
    assert task.grade(type(batch)(batch.tokens, ~batch.targets, batch.document), batch.tokens)["accuracy"] == 1.0
    assert task.grade(batch, batch.tokens.roll(1, 1))["accuracy"] < 0.3


def test_there_are_eight_letters():
    with pytest.raises(ValueError, match="Recall option pairs must be a whole number from 2 to 8, not 9"):
        Recall(pairs=9)
