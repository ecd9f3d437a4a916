"""What a model is worth: oracles get full marks, guessers the floor, and each number agrees with one worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from physlm_lite.evaluation.scores import capacity_report, evaluate, validity
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.models.context import Memory
from physlm_lite.tasks.births import Births
from physlm_lite.tasks.brevo import Brevo
from physlm_lite.tasks.capo import Capo
from physlm_lite.tasks.copying import Copy
from physlm_lite.tasks.depo import Depo
from physlm_lite.tasks.lano import Lano
from physlm_lite.tasks.mano import Mano
from physlm_lite.tasks.parsing import next_symbol
from physlm_lite.tasks.text import Text

TASKS: dict[str, Any] = {
    "births": Births(context=48, people=3, hops=2),
    "brevo": Brevo(N=5),
    "capo": Capo(people=40, format="pairs", names=(6, 6, 6), values=8),
    "copy": Copy(6, 3),
    "depo": Depo(N=5, K=2, V=8, longest=1),
    "lano": Lano("cfg3f", root=14, context=64),
    "mano": Mano(L=2, modulus=5),
    "mano packed": Mano(L=2, modulus=5, context=48),
    "text": Text(context=64),
}


def small(task: Any, **options: Any) -> LanguageModel:
    return LanguageModel(ModelConfig(vocab=len(task.vocabulary), width=16, layers=1, heads=1, **options), seed=0)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_an_accuracy_with_its_error_and_the_same_twice(name):
    task = TASKS[name]
    first, again = (evaluate(small(task), task, 12) for _ in range(2))
    assert str(first) == str(again)
    assert 0 <= first["accuracy"] <= 1 and first["standard_error"] >= 0 and first["count"] >= 12


@pytest.mark.parametrize("name", TASKS)
def test_what_is_measured_is_what_the_task_declares(name):
    task = TASKS[name]
    scores = evaluate(small(task), task, 24)
    leaves = {f"{key}.{member}": v for key, of in scores.items() if isinstance(of, dict) for member, v in of.items()}
    leaves |= {key: value for key, value in scores.items() if isinstance(value, float)}
    beside = {m.error for m in task.metrics.values()} | {m.count for m in task.metrics.values()}
    bounds = {"floor", "most_bits_per_parameter"}  # of a score, not of the model
    for key in leaves:
        assert key in task.metrics or key in beside | bounds or key.startswith("reasons."), key
    for metric in task.metrics.values():  # of a nested score, a test has the members that it happens to ask for
        if metric.name in leaves:
            assert metric.of(scores) == leaves[metric.name]
            assert metric.share is False or metric.name.startswith("token") or metric.error_of(scores) is not None
        else:
            assert metric.name == "loss" or "." in metric.name


class Grammarian(LanguageModel):
    """The model that is the grammar: its probabilities are the true ones."""

    def __init__(self, task: Lano) -> None:
        super().__init__(ModelConfig(vocab=len(task.vocabulary), width=4, layers=1, heads=1), seed=0)
        self.task, self.head = task, torch.nn.Identity()

    def hidden(self, tokens: Tensor, document: Tensor | None = None, state: Any = None) -> Tensor:
        """Log-probabilities in place of hidden vectors; the state remembers the text itself."""
        new = tokens.shape[1]
        if state is not None:
            tokens = torch.cat([state.layers[0]["text"], tokens], 1) if state.layers else tokens
            state.layers, state.length = [Memory({"text": tokens})], tokens.shape[1]
        whole = torch.full((*tokens.shape, len(self.task.vocabulary)), -100.0, dtype=torch.float64)
        for out, row in zip(whole, tokens.tolist(), strict=True):
            sentence = [t - 1 for t in row if t > 1]
            p = np.nan_to_num(next_symbol(self.task.language, sentence))[: len(out)]
            out[: len(p), 1:] = torch.from_numpy(np.log(p + 1e-40))
        return whole[:, -new:]


@pytest.mark.parametrize("task", [Lano("cfg3f", root=14), Lano("cfg3b", root=13), Lano("cfg3f", root=15, context=40)])
def test_the_model_that_is_the_grammar_writes_it_and_has_no_distance_to_it(task):
    scores = evaluate(Grammarian(task), task, 60)
    assert scores["accuracy"] == 1.0 and scores["standard_error"] == 0.0
    assert abs(scores["kl"]) < 1e-6
    assert scores["cross_entropy"] == pytest.approx(scores["floor"], rel=1e-6)
    cut = validity(Grammarian(task), task, 40, cut=task.language.shortest - 1)
    assert cut["accuracy"] == 1.0


def test_a_model_that_knows_nothing_is_far_from_the_grammar():
    task = Lano("cfg3f", root=14)
    scores = evaluate(small(task), task, 60)
    assert scores["kl"] > 0.3 and scores["accuracy"] < 0.1
    assert scores["cross_entropy"] > scores["floor"] + 0.3


def test_a_cut_leaves_something_to_write():
    with pytest.raises(ValueError, match="a cut must leave something of every sentence to write: from 0 to 7, not 8"):
        validity(small(TASKS["lano"]), TASKS["lano"], 4, cut=8)


CAPO = Capo(people=200, format="pairs", names=(6, 6, 6), values=8)


def capacity(nats_of_names: float, nats_of_values: float) -> dict[str, Any]:
    """A model that gives each name token and each value token this much loss."""
    measure = CAPO.measure_batch(np.arange(200))
    nats = nats_of_names * measure.name.double() + nats_of_values * measure.value.double() + 7.0 * (measure.part == 0)
    return capacity_report(CAPO, measure, nats, nats < 1, parameters=1000)


def test_a_perfect_model_holds_all_there_is():
    scores = capacity(math.log(200) / 3, 0.0)  # which of the 200 people comes first is chance
    assert scores["bits_per_parameter"] == pytest.approx(scores["most_bits_per_parameter"])
    assert scores["most_bits_per_parameter"] == pytest.approx(200 * (math.log2(6**3 / 200) + 6 * math.log2(8)) / 1000)
    assert scores["accuracy"] == 1.0
    assert scores["bits_error"] == pytest.approx(0, abs=1e-9)


def test_a_guesser_holds_nothing():
    scores = capacity(math.log(6), math.log(8))
    assert scores["bits_per_parameter"] == pytest.approx(0, abs=1e-9)
    assert scores["accuracy"] == 0.0


def test_losses_are_summed_over_a_person_and_averaged_over_people():
    scores = capacity(0.5, 0.25)
    assert scores["name_loss"] == pytest.approx(3 * 0.5)
    assert scores["value_loss"] == pytest.approx(6 * 0.25)


def test_the_error_of_the_bits_is_that_of_the_mean_over_people():
    measure = CAPO.measure_batch(np.arange(200))
    spread = torch.linspace(0, 2, 200).double()[:, None]
    nats = spread * measure.value.double()
    scores = capacity_report(CAPO, measure, nats, nats < 1, parameters=1000)
    per_person = 6 * spread[:, 0] / math.log(2)
    assert scores["bits_error"] == pytest.approx(200 * float(per_person.std()) / 200**0.5 / 1000)


def test_text_questions_at_random_are_at_chance_and_the_answer_is_shown_to_a_cheat():
    task = Text(context=64, answer=16)
    windows, true = task.questions(0, 300)
    assert np.bincount(true, minlength=4).min() > 40
    assert (windows[:, :, :-16] == windows[:, :1, :-16]).all(), "the choices differ only in their endings"
    scores = evaluate(small(task), task, 200)
    assert abs(scores["accuracy"] - 0.25) < 5 * scores["standard_error"]
    assert scores["loss_held_out"] > 3


@pytest.mark.parametrize("name", ["brevo", "capo", "lano"])
def test_scores_do_not_depend_on_the_size_of_the_parts(name, monkeypatch):
    task = TASKS[name]
    whole = evaluate(small(task, canon="ABCD"), task, 20)
    monkeypatch.setattr("physlm_lite.evaluation.scores.PART", 7)
    parts = evaluate(small(task, canon="ABCD"), task, 20)
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        assert parts[key] == (pytest.approx(value, rel=1e-4, abs=1e-5) if isinstance(value, float) else value), key
