"""What is counted beforehand is what a real step allocates; checkpointing changes memory and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import memory
from physlm_lite.scale.memory import CHECKPOINTING, Alive, count, recompute

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE: dict[str, Any] = {"vocab": 500, "width": 64, "layers": 3, "heads": 4}


def step(config: ModelConfig, rows: int, window: int, numbers: str, kind: str) -> int:
    """The most bytes that were alive in the second of two real steps, weights and moments included."""
    with Alive() as alive:
        model = recompute(LanguageModel(config, seed=0), kind)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        tokens = torch.zeros(rows, window + 1, dtype=torch.long)
        for _ in range(2):
            alive.phase()
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=numbers == "autocast"):
                loss = model.loss(tokens, torch.ones_like(tokens, dtype=torch.bool))
            loss.backward()
            optimizer.step()
        return alive.phase()[1]


@pytest.mark.parametrize(
    ("options", "numbers", "kind"),
    [
        ({}, "float32", "none"),
        ({"canon": "ABCD", "tied": True}, "float32", "none"),
        ({"canon": "ABCD", "rope_dim": 4}, "autocast", "selective"),
        ({"layers": 1}, "float32", "full"),
        ({"canon": "A", "canon_layers": (0, 2)}, "float32", "none"),
        ({"positions": "alibi"}, "float32", "none"),
        ({"mixer": "gla", "canon": "ACD"}, "float32", "none"),
        ({"mixer": "gated_delta"}, "float32", "full"),
        ({"mixer": "mamba2"}, "autocast", "none"),
    ],
)
def test_the_count_is_what_a_step_allocates(options: dict[str, Any], numbers: Any, kind: str) -> None:
    config = ModelConfig(**{**SHAPE, **options})
    found = count(config, 2, 96, numbers, kind)
    predicted = 12 * config.parameters + max(found.before, found.after)
    assert predicted == pytest.approx(step(config, 2, 96, numbers, kind), rel=0.02)


@pytest.mark.parametrize("kind", CHECKPOINTING)
def test_many_long_rows_are_reckoned_up_from_short_ones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(**{**SHAPE, "width": 128}, canon="ABCD")
    monkeypatch.setattr(memory, "SHORT", 256)
    reckoned = count(config, 2, 1024, "float32", kind)
    monkeypatch.setattr(memory, "SHORT", 10**6)
    monkeypatch.setattr(memory, "math", SimpleNamespace(ceil=lambda _: 10**6))
    exact = count(config, 2, 1024, "float32", kind)
    for name, value in vars(exact).items():
        # a long row has a longer table of rotations than short ones
        assert getattr(reckoned, name) == pytest.approx(value, rel=0.05), name


def test_alive_counts_each_storage_once_and_only_while_it_lives() -> None:
    kept = torch.zeros(10)
    with Alive(kept) as alive:
        kept.add_(1)
        assert alive.now == 0
        made = torch.zeros(25)
        view = made[:5]
        assert (alive.now, alive.most) == (100, 100)
        del made
        assert alive.now == 100
        del view
        assert (alive.now, alive.most) == (0, 100)
        assert alive.phase() == (0, 100) and alive.most == 0


def test_checkpointing_keeps_less_and_changes_no_gradient() -> None:
    config, tokens = ModelConfig(**SHAPE, canon="ABCD"), torch.arange(66).view(2, 33)
    found = {}
    for kind in CHECKPOINTING:
        model = recompute(LanguageModel(config, seed=0), kind)
        model.loss(tokens, torch.ones_like(tokens, dtype=torch.bool)).backward()
        found[kind] = {name: p.grad for name, p in model.named_parameters()}
    for kind in ("selective", "full"):
        assert all(torch.equal(gradient, found[kind][name]) for name, gradient in found["none"].items())
    kept = [count(config, 2, 96, "float32", kind).kept for kind in CHECKPOINTING]
    assert kept[0] > 2 * kept[1] > 4 * kept[2]
    assert count(config, 2, 96, "float32", "full").each == 2 * 96 * 64 * 4  # a layer's input


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="mixture of experts depends on where its tokens go"):
        count(ModelConfig(**SHAPE, experts=2), 1, 8, "float32")
    with pytest.raises(ValueError, match="unknown checkpointing 'ful'; did you mean 'full'"):
        recompute(LanguageModel(ModelConfig(**SHAPE)), "ful")
