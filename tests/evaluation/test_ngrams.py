"""n-grams: the fast form says what the dictionaries say, and the floors of the settings are what counting gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from physlm_lite.claims import Setting
from physlm_lite.claims.settings import lano
from physlm_lite.evaluation.ngrams import naive_ngrams, ngram_scores, ngrams
from physlm_lite.tasks import Copy, Depo, Lano, Mano, Task, Text

TASKS = {
    "windows": Lano("cfg3f", root=14, context=40),
    "rows": Lano("cfg3f", root=14, context=None),
    "copy": Copy(6, 3),
    "queries": Depo(N=4, K=2, V=6, longest=2, queries=3),
    "expressions": Mano(L=2, modulus=5, context=30),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("longest", [0, 5])
def test_the_fast_form_is_the_slow_one(task: Task, longest: int) -> None:
    test = task.batch(0, 0, 6, "test")
    fast = list(ngrams(task, 3, 4, test, longest, seed=7))
    slow = naive_ngrams(task, 3, 4, test, longest, seed=7)
    assert len(fast) == len(slow) == longest + 1
    np.testing.assert_allclose(np.array(fast), np.array(slow), atol=1e-12)
    np.testing.assert_allclose(np.array(fast).sum(-1), 1, atol=1e-12)


def test_the_formula_by_hand() -> None:
    """One sentence only, 1 2 1: <bos> 1 2 1 <bos> 1 2 1 in every row, of which the first token is no target."""
    task = Lano("9: 1 2 1", context=8)
    *_, p = ngrams(task, 1, 1, task.batch(0, 0, 1, "test"), longest=1)
    alone = [(count + 3 * 1 / 4) / (7 + 3) for count in (0, 1, 4, 2)]  # 7 targets of 3 kinds, a 4th token is never one
    after_one = [(count + 2 * q) / (3 + 2) for count, q in zip((0, 1, 0, 2), alone, strict=True)]
    assert p[0, 2] == pytest.approx(after_one)


def test_a_context_ends_where_its_document_begins() -> None:
    """The last token of a sentence is a coin, and the first of the next one another: two windows that differ in it are alike."""
    task = Lano("9: 1 | 2", context=6)
    batch = task.batch(0, 0, 60, "test")
    assert len({tuple(row) for row in batch.tokens[:, :4].tolist()}) == 4  # <bos> coin <bos> coin
    *_, p = ngrams(task, 20, 10, batch, longest=4)
    assert len({q.tobytes() for q in p[:, 3]}) == 1  # before the second coin stands its own <bos>
    assert len({q.tobytes() for q in p[:, 2]}) == 2  # before that <bos>, the coin of its sentence


def test_what_is_counted_is_scored_like_a_model(tmp_path: Path) -> None:
    near, far = ngram_scores(TASKS["windows"], 100, 8, 40, (0, 6)).values()
    assert 0 < far["kl"] < near["kl"] < 1.2
    copied = ngram_scores(Copy(3, 3), 40, 8, 30, (2,), seed=3)[2]
    assert copied["count"] == 90 and 0.2 < copied["accuracy"] < 0.9
    (tmp_path / "a.txt").write_text("\n\n".join(f"{i} times the same short words\n" for i in range(400)))
    text = Text(str(tmp_path / "a.txt"), context=32, answer=8)
    assert ngram_scores(text, 40, 8, 10, (4,))[4]["loss_held_out"] < 0.5


FLOORS = {setting.name: setting for setting in vars(lano).values() if isinstance(setting, Setting) and setting.floors}


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(setting, marks=() if setting is lano.TOY else (pytest.mark.slow, pytest.mark.sampled(4)))
        for setting in FLOORS.values()
    ],
    ids=FLOORS,
)
def test_the_floor_of_a_setting_is_the_best_of_its_n_grams(setting: Setting) -> None:
    training = setting.training
    found = ngram_scores(setting.made_task, training.steps, training.batch, training.evaluation_rows)
    best = min(found, key=lambda context: found[context]["kl"])
    assert {f"{best + 1}-gram": round(found[best]["kl"], 3)} == setting.floors["kl"]
    assert max(found) > best > min(found)  # more context than that is seen too seldom


def test_the_toy_setting_has_the_known_n_grams() -> None:
    training = lano.TOY.training
    found = ngram_scores(lano.TOY.made_task, training.steps, training.batch, training.evaluation_rows)
    expected = {3: 0.357, 4: 0.292, 6: 0.201, 8: 0.145, 10: 0.105, 12: 0.116, 16: 0.198}
    assert {context: round(scores["kl"], 3) for context, scores in found.items()} == expected
