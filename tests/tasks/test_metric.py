"""Metrics: what each task says of its scores, and what readers may rely on."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.tasks import Births, Brevo, Capo, Copy, Depo, Lano, Mano, Metric, Recall, Text, metric_of

TASKS: dict[str, Any] = {
    "births": Births(hops=2, context=80),
    "brevo": Brevo(N=8, test_sizes=(6, 8)),
    "capo": Capo(people=40),
    "copy": Copy(20),
    "depo": Depo(N=9, K=8, V=12, longest=1),
    "lano": Lano("cfg3f", root=14),
    "mano": Mano(L=3, modulus=7, every_length=True),
    "recall": Recall(),
    "text": Text(choices=5),
}
LOWER = {"kl", "cross_entropy", "name_loss", "value_loss", "loss_held_out", "loss"}


@pytest.mark.parametrize("name", TASKS)
def test_every_score_says_which_way_is_better_and_how_bad_it_can_get(name: str) -> None:
    for key, metric in TASKS[name].metrics.items():
        assert metric is metric_of(TASKS[name], key) or metric.name == key
        assert metric.label and metric.lower == (key in LOWER) and metric.share == ("accuracy" in key)
        assert metric.merit(metric.worst) == (0.0 if metric.share else -math.inf)
        assert metric.chance is None or 0 < metric.chance < 1


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_was_asked_can_still_be_sent_to_a_worker(name: str) -> None:
    assert [metric.chance for metric in TASKS[name].metrics.values()]
    assert pickle.loads(pickle.dumps(TASKS[name])) == TASKS[name]


def test_chance_is_that_of_a_guess_or_of_the_best_constant() -> None:
    assert metric_of(TASKS["depo"], "accuracy_k.4").chance == 1 / 8  # one of the other names
    assert metric_of(TASKS["copy"], "accuracy").chance == 1 / 20
    assert metric_of(TASKS["text"], "accuracy").chance == 1 / 5
    assert metric_of(TASKS["mano"], "accuracy_length.2").chance == TASKS["mano"].floor(2)
    assert metric_of(TASKS["mano"], "accuracy").chance == TASKS["mano"].floor()
    assert metric_of(TASKS["text"], "loss_held_out").chance is None


@pytest.mark.parametrize(
    ("task", "name", "said"),
    [
        (
            "depo",
            "accuracy_k.3",
            "unknown score of Depo 'accuracy_k.3'; did you mean 'accuracy_k.8'? (valid: accuracy_k.1",
        ),
        ("depo", "accurcy", "did you mean 'accuracy'? (valid: accuracy, accuracy_k.1, token_accuracy_k.1, loss)"),
        ("brevo", "accuracy_n.7", "(valid: accuracy_n.6, accuracy_n.8)"),
        ("lano", "kl_error", "did you mean 'kl'"),
        ("lano", "bits_per_parameter", "unknown score of Lano"),
        ("capo", "", "unknown score of Capo"),
    ],
)
def test_an_unknown_score_is_refused_with_the_nearest(task: str, name: str, said: str) -> None:
    with pytest.raises(UnknownName) as caught:
        metric_of(TASKS[task], name)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_error_of_a_score_comes_from_its_own_test() -> None:
    scores = {
        "accuracy": 0.5,
        "standard_error": 0.1,
        "kl": 0.2,
        "kl_error": 0.01,
        "accuracy_k": {"1": 0.8, "2": 0.5},
        "count_k": {"1": 100},
        "loss": 1.0,
    }

    def error(task: str, name: str, scores: dict[str, Any] = scores) -> float | None:
        metric: Metric = metric_of(TASKS[task], name)
        return metric.error_of(scores)

    assert error("depo", "accuracy") == 0.1
    assert error("lano", "kl") == 0.01
    assert error("depo", "accuracy_k.1") == pytest.approx(0.04)  # sqrt(.8 * .2 / 100)
    assert error("depo", "accuracy_k.2") is None  # nobody counted
    assert error("depo", "loss") is None
    assert error("depo", "accuracy", {"accuracy": 0.5}) is None
