"""The loop: what a step does, what it leaves alone, and how it ends when the numbers run away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from physlm_lite.models import LanguageModel
from physlm_lite.training import Diverged, Progress, Record, Run, Store, Trainer, Training, train

pytestmark = pytest.mark.usefixtures("one_thread")


def with_model(run: Run, **options: Any) -> Run:
    return dataclasses.replace(run, model={**run.model, **options})


def weights_after(run: Run, steps: int = 1) -> dict[str, Tensor]:
    trainer = Trainer(run, "cpu")
    for _ in range(steps):
        trainer.train_step()
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def without_seconds(record: Record) -> list[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]


# -- a step ------------------------------------------------------------------------------------------------------------


def test_the_same_run_twice_gives_the_same_bits(tiny: Run) -> None:
    finals: list[dict[str, Tensor]] = []
    records = [train(tiny, device="cpu", keep=lambda t: finals.append(t.model.state_dict())) for _ in range(2)]
    assert without_seconds(records[0]) == without_seconds(records[1])
    assert finals[0].keys() == finals[1].keys()
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])


def test_the_seed_decides_weights_and_data(tiny: Run) -> None:
    one, other = Trainer(tiny, "cpu"), Trainer(tiny.but(seed=1), "cpu")
    assert not torch.equal(one.model.head.weight, other.model.head.weight)
    other.model.load_state_dict(one.model.state_dict())
    assert one.train_step() != other.train_step()  # same weights now, so the data differ
    one.model.load_state_dict(other.model.state_dict())
    assert one.evaluate() == other.evaluate()  # but they are graded on the same rows


def test_the_loss_is_that_of_the_marked_tokens_alone(tiny: Run) -> None:
    model = LanguageModel(tiny.model_config, seed=tiny.seed)
    batch = tiny.made_task.batch(tiny.seed, 0, tiny.training.batch)
    surprise = -F.log_softmax(model(batch.tokens), -1).detach()
    expected = [float(surprise[b, t - 1, batch.tokens[b, t]]) for b, t in batch.targets.nonzero().tolist()]
    assert 0 < len(expected) < batch.tokens.numel() / 2
    assert Trainer(tiny, "cpu").train_step() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_each_step_sees_new_data_at_the_rate_of_the_schedule(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tiny, "cpu")
    seen, rates = [], []
    loss, step = trainer.model.loss, trainer.optimizer.step
    monkeypatch.setattr(trainer.model, "loss", lambda tokens, *rest: seen.append(tokens) or loss(tokens, *rest))
    monkeypatch.setattr(
        trainer.optimizer,
        "step",
        lambda: rates.append([group["lr"] for group in trainer.optimizer.param_groups]) or step(),
    )
    for _ in range(5):
        trainer.train_step()
    assert not any(torch.equal(seen[i], seen[j]) for i in range(5) for j in range(i))
    assert rates == [[tiny.training.rate(s)] * 2 for s in range(5)]


@pytest.mark.parametrize("clip", [0.01, 100.0])
def test_gradients_are_clipped_by_their_common_norm(tiny: Run, monkeypatch: pytest.MonkeyPatch, clip: float) -> None:
    trainer = Trainer(tiny.but(clip=clip), "cpu")
    norms: list[float] = []

    def look() -> None:
        gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))

    monkeypatch.setattr(trainer.optimizer, "step", look)
    trainer.train_step()
    assert norms[0] == pytest.approx(clip, rel=1e-3) if clip < 1 else 0.1 < norms[0] < clip


def test_only_matrices_decay(tiny: Run) -> None:
    plain, decayed = (weights_after(tiny.but(weight_decay=value)) for value in (0.0, 0.5))
    vectors = {name for name, weight in plain.items() if weight.dim() == 1}
    assert vectors and vectors != set(plain)
    for name in plain:
        assert torch.equal(plain[name], decayed[name]) == (name in vectors), name


def test_frozen_taps_do_not_move(tiny: Run) -> None:
    for frozen in (True, False):
        run = with_model(tiny, canon_frozen=frozen)
        start = {name: p.detach().clone() for name, p in Trainer(run, "cpu").model.named_parameters()}
        end = weights_after(run, 3)
        taps = [name for name in start if start[name].dim() == 3]
        assert len(taps) == 4
        assert all(torch.equal(start[name], end[name]) == frozen for name in taps)
        assert not any(torch.equal(start[name], end[name]) for name in set(start) - set(taps))


def test_bfloat16_runs_and_keeps_float32_weights(tiny: Run) -> None:
    run = tiny.but(dtype="bfloat16")
    trainer = Trainer(run, "cpu")
    loss, exact = trainer.train_step(), Trainer(tiny, "cpu").train_step()
    assert loss == pytest.approx(exact, rel=0.02)
    assert loss != exact
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert train(run, device="cpu").status == "finished"


def test_packed_examples_see_each_other_only_if_leaky(tiny: Run) -> None:
    packed = dataclasses.replace(tiny, task_options={**tiny.task_options, "context": 96})
    assert packed.made_task.batch(0, 0, 4).packed
    assert Trainer(packed, "cpu").train_step() != Trainer(packed.but(leaky=True), "cpu").train_step()
    alone = tiny
    assert not alone.made_task.batch(0, 0, 4).packed
    assert Trainer(alone, "cpu").train_step() == Trainer(alone.but(leaky=True), "cpu").train_step()


def test_a_packed_task_trains_and_is_graded(tiny: Run) -> None:
    record = train(dataclasses.replace(tiny, task_options={**tiny.task_options, "context": 96}), device="cpu")
    assert record.status == "finished"
    assert set(record.final["accuracy_k"]) == {"1", "2"}


# -- a run -------------------------------------------------------------------------------------------------------------


def test_the_curve_has_an_entry_for_each_evaluation(tiny: Run) -> None:
    reports: list[Progress] = []
    record = train(tiny, device="cpu", progress=reports.append)
    assert [report.step for report in reports] == list(range(1, 13))
    assert (
        [report.step for report in reports if report.scores] == [point["step"] for point in record.curve] == [4, 8, 12]
    )
    losses = [report.loss for report in reports]
    assert [point["loss"] for point in record.curve] == pytest.approx([sum(losses[i : i + 4]) / 4 for i in (0, 4, 8)])
    length = tiny.made_task.batch(0, 0, 1).tokens.shape[1]
    assert [point["tokens"] for point in record.curve] == [s * 4 * length for s in (4, 8, 12)]
    assert record.final["step"] == 12
    assert 0 < record.curve[0]["seconds"] <= record.curve[-1]["seconds"] <= record.seconds + 1e-3
    assert record.evaluation_seconds > 0
    assert record.parameters == sum(p.numel() for p in LanguageModel(tiny.model_config).parameters())


def test_without_a_store_nothing_is_written(tiny: Run, runs: Path) -> None:
    train(tiny, device="cpu")
    assert not runs.exists()


def test_learning_happens() -> None:
    """Not only do the numbers move: a model of width 16 learns to copy two symbols."""
    run = Run(
        "copy",
        {"n": 2},
        {"width": 16, "layers": 1, "heads": 1, "canon": "ABCD"},
        Training(steps=80, batch=16, warmup=10, learning_rate=1e-2, evaluations=2, evaluation_rows=32),
    )
    record = train(run, device="cpu")
    assert record.score("accuracy") > 0.9
    assert record.curve[1]["loss"] < record.curve[0]["loss"]


# -- divergence --------------------------------------------------------------------------------------------------------


def test_an_absurd_learning_rate_is_a_result_with_a_reason(tiny: Run, runs: Path) -> None:
    store = Store()
    record = train(tiny.but(learning_rate=1e6, warmup=0), store=store, device="cpu")
    assert record.status == "diverged"
    assert "at step " in record.note and " of 12" in record.note
    assert "learning rate 1e+06 is too high: try 500000" in record.note
    assert record.score("accuracy") == 0.0 and record.score("accuracy_k.2") == 0.0
    assert store.find(record.run) == Store(runs).find(record.run) is not None  # not run again
    assert not list(runs.glob("*.safetensors"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda loss: loss * float("nan"), "the loss is nan"),
        (lambda loss: loss * float("inf"), "the loss is inf"),
        (lambda loss: loss * 1000, "the loss is"),
        # finite itself, but its gradient is not: the slope of a square root at 0
        (
            lambda loss: loss + ((loss - loss.detach()).abs() * 1.0).sqrt(),
            "the gradient norm is nan while the loss is still",
        ),
    ],
)
def test_a_step_that_runs_away_is_refused_and_changes_nothing(
    tiny: Run, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Tensor], Tensor], said: str
) -> None:
    trainer = Trainer(tiny, "cpu")
    trainer.train_step()
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    loss = trainer.model.loss
    monkeypatch.setattr(trainer.model, "loss", lambda *batch: spoil(loss(*batch)))
    with pytest.raises(Diverged, match=f"diverged at step 1 of 12: {said}"):
        trainer.train_step()
    assert trainer.step == 1
    assert all(torch.equal(before[name], p) for name, p in trainer.model.named_parameters())


def test_a_score_that_is_no_number_is_a_divergence(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step may spoil the weights after the loss was still a number."""
    scores = iter([{"accuracy": 0.5, "kl": 0.1}, {"accuracy": 0.5, "kl": float("nan")}])
    monkeypatch.setattr(Trainer, "evaluate", lambda _: next(scores))
    record = train(tiny, store=Store(), device="cpu")
    assert record.status == "diverged"
    assert "training diverged at step 8 of 12: the score kl is not a number" in record.note
    assert [point["step"] for point in record.curve] == [4]
    assert Store().find(tiny) is not None
