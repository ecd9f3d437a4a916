"""A model on several ranks is the model of one: the weights it starts with, and what it computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from scale.rank_work import FLOAT, config, differing
from scale.ranks import on_ranks
from scale.small_recipes import MODELS

from physlm_lite.models import LanguageModel
from physlm_lite.scale.place import group, mesh, place
from physlm_lite.scale.recipe import Precision

pytestmark = pytest.mark.usefixtures("one_thread")

TOKENS = torch.arange(66).view(2, 33) % 50


@pytest.mark.parametrize(("ranks", "replicas"), [(2, 1), (4, 2)])
def test_weights_start_alike_on_any_number_of_ranks(ranks: int, replicas: int) -> None:
    """50 tokens cannot be dealt out evenly to four."""
    assert on_ranks(ranks, differing, replicas) == [[]] * ranks


def gradients(name: str, **options: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss of one process, and each gradient as a whole."""
    precision = options.pop("precision", FLOAT)
    model = place(config(name), mesh(), precision, seed=7, **options)
    loss = model.loss(TOKENS, torch.ones_like(TOKENS, dtype=torch.bool))
    loss.backward()
    return loss.item(), {n: p.grad.full_tensor() for n, p in model.named_parameters()}  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("name", MODELS)
def test_alone_it_computes_what_the_plain_model_does(name: str) -> None:
    plain = LanguageModel(config(name), seed=7)
    loss = plain.loss(TOKENS, torch.ones_like(TOKENS, dtype=torch.bool))
    loss.backward()
    with group():
        for kind in ("none", "selective", "full"):
            value, found = gradients(name, checkpointing=kind)
            assert value == loss.item()
            for called, parameter in plain.named_parameters():
                torch.testing.assert_close(found[called], parameter.grad)
        value, found = gradients(name, precision=Precision(compute="bfloat16"))
        assert value == pytest.approx(loss.item(), rel=0.01)
        assert {gradient.dtype for gradient in found.values()} == {torch.float32}


def test_replicas_that_do_not_divide_the_ranks() -> None:
    with (
        group(),
        pytest.raises(ValueError, match="1 ranks cannot be dealt out evenly to 3 replicas; choose a divisor of 1"),
    ):
        mesh(3)


def test_the_squared_loss_of_the_published_runs() -> None:
    model = LanguageModel(dataclasses.replace(config("LlamaCanon")), seed=7)
    every = torch.ones_like(TOKENS, dtype=torch.bool)
    nats = torch.nn.functional.cross_entropy(model(TOKENS[:, :-1]).transpose(1, 2), TOKENS[:, 1:], reduction="none")
    assert model.loss(TOKENS, every, squared=0.5).item() == pytest.approx(
        (nats + 0.5 * nats**2).mean().item(), rel=1e-6
    )
