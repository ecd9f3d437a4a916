"""A stack of runs: each member leaves what it would have left alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from physlm_lite.training import Progress, Run, Store, TooLarge, Trainer, stacks, train, train_stacked
from physlm_lite.training.cost import stacked_memory
from physlm_lite.training.loop import Stopped, grade
from physlm_lite.training.stacked import Stack

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS: dict[str, dict[str, Any]] = {
    "Transformer": {"canon": ""},
    "Canon": {"layers": 2},
    "frozen": {"canon_frozen": True, "tied": True, "qk_norm": True},
    "alibi": {"positions": "alibi", "heads": 2, "canon": "AC", "kv_heads": 1, "mlp": "standard"},
    "gla": {"mixer": "gla", "layers": 2, "canon": "ACD"},
    "gated_delta": {"mixer": "gated_delta", "canon": ""},
    "mamba2": {"mixer": "mamba2", "canon": ""},
}


def members(run: Run, **model: Any) -> list[Run]:
    """Three of one shape: other seeds, other rates."""
    run = dataclasses.replace(run.but(steps=20, evaluations=2), model={**run.model, **model})
    return [run.but(seed=seed, learning_rate=rate) for seed, rate in ((0, 4e-3), (1, 1e-3), (2, 2e-3))]


def losses_alone(run: Run, steps: int = 20) -> list[float]:
    trainer = Trainer(run, "cpu")
    return [trainer.train_step() for _ in range(steps)]


@pytest.mark.parametrize("name", MODELS)
def test_each_member_learns_as_it_would_alone(tiny: Run, name: str) -> None:
    runs = members(tiny, **MODELS[name])
    stack = Stack([Trainer(run, "cpu") for run in runs])
    found = [stack.train_step() for _ in range(20)]
    for i, run in enumerate(runs):
        alone = losses_alone(run)
        assert [step[i] for step in found] == pytest.approx(alone, rel=1e-5)
        assert alone[-1] != alone[0]


def test_rows_of_one_seed_are_drawn_once(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [tiny.but(steps=3, seed=seed, learning_rate=rate) for seed in (0, 1) for rate in (1e-3, 2e-3, 4e-3)]
    stack, drawn = Stack([Trainer(run, "cpu") for run in runs]), []
    draw = Trainer._draw
    for trainer in stack.trainers:
        monkeypatch.setattr(
            trainer, "drawn", lambda step, of=trainer: drawn.append((of.run.seed, step)) or draw(of, step)
        )
    losses = [stack.train_step() for _ in range(3)]
    assert drawn == [(seed, step) for step in range(3) for seed in (1, 0)]
    assert losses[-1] == pytest.approx([losses_alone(run, 3)[-1] for run in runs], rel=1e-5)


@pytest.mark.parametrize(
    ("mixer", "context", "leaky"),
    [("attention", None, False), ("attention", 96, False), ("attention", 96, True), ("gla", 96, False)],
)
def test_rows_of_any_length_packed_or_not(tiny: Run, mixer: str, context: int | None, leaky: bool) -> None:
    """Without a context, the rows of two seeds need not be equally long."""
    task = {"N": 8, "K": 2, "V": 6, "longest": 3, "queries": 4, "context": context}
    runs = members(dataclasses.replace(tiny.but(leaky=leaky, batch=2), task_options=task), mixer=mixer, canon="AC")
    stack = Stack([Trainer(run, "cpu") for run in runs])
    found = [stack.train_step() for _ in range(8)]
    for i, run in enumerate(runs):
        assert [step[i] for step in found] == pytest.approx(losses_alone(run, 8), rel=1e-5)
        assert stack.trainers[i].tokens == sum(run.made_task.batch(run.seed, s, 2).tokens.numel() for s in range(8))


def test_bfloat16_has_float32_weights_here_too(tiny: Run) -> None:
    runs = members(tiny.but(dtype="bfloat16"))
    stack = Stack([Trainer(run, "cpu") for run in runs])
    found = [stack.train_step() for _ in range(8)]
    assert stack.weights.dtype == torch.float32
    for i, run in enumerate(runs):
        assert [step[i] for step in found] == pytest.approx(losses_alone(run, 8), rel=0.02)
        assert found[0][i] != losses_alone(dataclasses.replace(run.but(dtype="float32")), 1)[0]


def test_the_update_is_that_of_adamw(tiny: Run) -> None:
    """With gradients of any size, for members at different steps, some of them clipped."""
    trainers = [Trainer(run, "cpu") for run in members(tiny.but(weight_decay=0.5, warmup=3))]
    for _ in range(2):
        trainers[1].train_step()
    alone = [Trainer(trainer.run, "cpu") for trainer in trainers]
    for _ in range(2):
        alone[1].train_step()
    stack, dice = Stack(trainers), torch.Generator().manual_seed(0)
    for _ in range(6):
        gradient = 10 ** torch.empty_like(stack.weights).uniform_(-9, 1, generator=dice).detach()
        gradient *= torch.randn(gradient.shape, generator=dice)
        stack._update(gradient)
        for trainer, row, member in zip(alone, gradient, trainers, strict=True):
            for parameter, part in zip(trainer.names, stack._apart(row), strict=True):
                parameter.grad = part.clone()
            for group in trainer.optimizer.param_groups:
                group["lr"] = trainer.settings.rate(trainer.step)
            trainer.optimizer.step()
            for counted in (trainer, member):
                counted.count(0.0, 0)
    for trainer, member in zip(alone, trainers, strict=True):
        for (parameter, name), ours in zip(trainer.names.items(), member.names, strict=True):
            torch.testing.assert_close(ours, parameter, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("clip", [0.01, 100.0])
def test_each_member_is_clipped_by_its_own_norm(tiny: Run, monkeypatch: pytest.MonkeyPatch, clip: float) -> None:
    stack = Stack([Trainer(run, "cpu") for run in members(tiny.but(clip=clip))])
    norms: list[float] = []
    monkeypatch.setattr(stack, "_update", lambda gradient: norms.extend(gradient.norm(dim=1).tolist()))
    stack.train_step()
    assert norms == pytest.approx([clip] * 3, rel=1e-3) if clip < 1 else all(0.1 < norm < clip for norm in norms)


# -- whole runs --------------------------------------------------------------------------------------------------------


def curve(record: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve]


def assert_alike(ours: list[dict[str, Any]], alone: list[dict[str, Any]]) -> None:
    assert [point.keys() for point in ours] == [point.keys() for point in alone]
    for mine, other in zip(ours, alone, strict=True):
        assert (mine["step"], mine["tokens"]) == (other["step"], other["tokens"])
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert mine["accuracy"] == pytest.approx(other["accuracy"], abs=0.1)  # a near tie may fall either way


def test_each_run_leaves_the_record_that_train_leaves(tiny: Run, tmp_path: Path) -> None:
    runs, store, told = members(tiny), Store(tmp_path), list[Progress]()
    records = train_stacked(runs, store=store, device="cpu", progress=told.append)
    assert [record.run for record in records] == runs
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{run.hash}.json" for run in runs)
    for run, record in zip(runs, records, strict=True):
        alone = train(run, device="cpu")
        assert_alike(curve(record), curve(alone))
        assert (record.status, record.note) == ("finished", "trained in a stack of 3")
        assert record.parameters == alone.parameters and record.machine == alone.machine
        assert 0 < record.seconds and 0 < record.evaluation_seconds
        assert (found := Store(tmp_path).find(run)) is not None and found.curve == record.curve
        mine = [report for report in told if report.run == run]
        assert [report.step for report in mine] == list(range(1, 21))
        assert [report.step for report in mine if report.scores] == [10, 20]


def test_known_runs_are_not_repeated_and_one_alone_is_trained_alone(tiny: Run, tmp_path: Path) -> None:
    runs, store, told = members(tiny), Store(tmp_path), list[Progress]()
    known = [train(run, store=store, device="cpu") for run in runs[:2]]
    records = train_stacked([*runs, runs[2]], store=store, device="cpu", progress=told.append)
    assert [record.run.hash for record in records] == [run.hash for run in [*runs, runs[2]]]
    assert [record.curve for record in records[:2]] == [record.curve for record in known]
    assert {report.run.hash for report in told} == {runs[2].hash} and len(told) == 20
    assert records[2].note == "" and curve(records[2]) == curve(train(runs[2], device="cpu"))
    assert train_stacked([], store=store) == []


def test_one_that_diverges_leaves_the_others_alone(tiny: Run, tmp_path: Path) -> None:
    runs = [run.but(warmup=0) for run in members(tiny)]
    runs[1] = runs[1].but(learning_rate=1e6)
    records = train_stacked(runs, store=Store(tmp_path), device="cpu")
    assert [record.status for record in records] == ["finished", "diverged", "finished"]
    alone = train(runs[1], device="cpu")
    assert records[1].note.startswith(alone.note[: alone.note.index(": the ")])  # the same step
    assert records[1].note.endswith("; trained in a stack of 3")
    for record in (records[0], records[2]):
        assert_alike(curve(record), curve(train(record.run, device="cpu")))
    assert not list(tmp_path.glob("*.safetensors"))
    assert Store(tmp_path).find(runs[1]) is not None


def test_a_score_that_is_no_number_ends_its_run_alone(
    tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = members(tiny)
    monkeypatch.setattr(Trainer, "evaluate", lambda t: {"accuracy": float("nan") if t.run == runs[0] else 0.5})
    records = train_stacked(runs, store=Store(tmp_path), device="cpu")
    assert [record.status for record in records] == ["diverged", "finished", "finished"]
    assert "step 10 of 20: the score accuracy is not a number" in records[0].note


def stopped_after(steps: int) -> dict[str, Any]:
    asked = iter(range(steps))
    return {"stop": lambda: next(asked, None) is None, "device": "cpu"}


def test_a_stopped_stack_goes_on_one_by_one_and_the_other_way_round(tiny: Run, tmp_path: Path) -> None:
    runs, store = members(tiny), Store(tmp_path)
    records = train_stacked(runs, store=store, **stopped_after(0))
    assert [(record.status, record.curve) for record in records] == [("stopped", [])] * 3
    records = train_stacked(runs, store=store, **stopped_after(12))
    assert [(record.status, record.final["step"]) for record in records] == [("stopped", 10)] * 3
    for run in runs:
        trainer = Trainer(run, "cpu")
        trainer.load(store.checkpoint(run))
        assert trainer.step == 12
    assert train(runs[0], store=store, **stopped_after(3)).status == "stopped"  # at step 15
    assert train(runs[1], store=store, device="cpu").status == "finished"
    told: list[Progress] = []
    records = train_stacked(runs, store=store, device="cpu", progress=told.append)
    assert [min(p.step for p in told if p.run == runs[i]) for i in (0, 2)] == [16, 13]
    assert len(told) == 5 + 8
    for run, record in zip(runs, records, strict=True):
        assert record.status == "finished"
        assert_alike(curve(record), curve(train(run, device="cpu")))
    assert not list(tmp_path.glob("*.safetensors"))


def test_checkpoints_on_the_way_serve_a_run_whose_process_was_killed(tiny: Run, tmp_path: Path) -> None:
    runs, store = members(tiny), Store(tmp_path)

    def killed(report: Progress) -> None:
        if report.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stacked(runs, store=store, device="cpu", progress=killed, checkpoint_seconds=0)
    for run in runs:
        assert_alike(curve(train(run, store=store, device="cpu")), curve(train(run, device="cpu")))


def test_a_grading_that_was_cut_short_is_made_up_for(
    tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another member diverged in the same step."""
    runs, store = members(tiny), Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("physlm_lite.training.stacked.grade", cut_short_for(runs[2]))
        refuse = Trainer.refuse_diverged
        patch.setattr(
            Trainer,
            "refuse_diverged",
            lambda t, loss, norm: refuse(t, float("nan") if t.run == runs[0] and t.step == 9 else loss, norm),
        )
        records = train_stacked(runs, store=store, **stopped_after(10))
    assert [record.status for record in records] == ["diverged", "stopped", "stopped"]
    assert [len(record.curve) for record in records] == [0, 1, 0]
    for run, record in zip(runs[1:], train_stacked(runs[1:], store=store, device="cpu"), strict=True):
        assert_alike(curve(record), curve(train(run, device="cpu")))


def cut_short_for(run: Run) -> Any:
    def cut(trainer: Trainer, stop: Any) -> dict[str, Any]:
        if trainer.run == run:
            raise Stopped
        return grade(trainer, stop)

    return cut


# -- which runs make a stack -------------------------------------------------------------------------------------------


def test_stacks_are_runs_that_differ_in_seed_and_rate_alone(tiny: Run) -> None:
    runs, other = members(tiny), dataclasses.replace(tiny, model={**tiny.model, "layers": 2})
    longer, respelt = runs[0].but(steps=21), dataclasses.replace(runs[1], model={**runs[1].model, "canon": "DCBA"})
    experts = [dataclasses.replace(r, model={**r.model, "experts": 2, "canon": "AC"}) for r in runs[:2]]
    found = stacks([runs[0], other, runs[1], longer, runs[2], respelt, *experts, other.but(seed=5)])
    assert found == [runs, [other, other.but(seed=5)], [longer], [experts[0]], [experts[1]]]
    assert stacks([]) == []


def test_stacks_are_no_larger_than_memory_allows(tiny: Run) -> None:
    runs = [tiny.but(seed=seed) for seed in range(5)]
    need = stacked_memory(tiny)
    assert [len(group) for group in stacks(runs, 2 * need)] == [2, 2, 1]
    assert [len(group) for group in stacks(runs, 5 * need)] == [5]
    assert [len(group) for group in stacks(runs, 10)] == [1] * 5  # each is then refused, or not, for itself


def test_what_makes_no_stack_is_refused(tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="may differ in seed and learning rate alone"):
        train_stacked([tiny, tiny.but(batch=5)], store=Store(tmp_path))
    monkeypatch.setattr("physlm_lite.training.stacked.free_memory", lambda device: 1000)
    with pytest.raises(TooLarge, match="these 3 runs do not fit into memory together"):
        train_stacked(members(tiny), store=Store(tmp_path), device="cpu")
    assert not list(tmp_path.iterdir())
