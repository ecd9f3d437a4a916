"""Ranks that do not exist hold what the planner says, and tell each other what it says."""

from __future__ import annotations

import dataclasses

import pytest
import torch.distributed as dist

from physlm_lite.scale import load_recipe
from physlm_lite.scale.dry_run import dry_run, dry_run_table
from physlm_lite.scale.plan import communication

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = load_recipe("tiny")
EVEN = dataclasses.replace(TINY.model, vocab=96)  # every tensor can be dealt out evenly to 8 ranks


@pytest.mark.parametrize("gpus", [2, 8])
@pytest.mark.parametrize(
    "changes", [{}, {"tied": True}, {"layers": 2, "mixer": "gla", "canon": "ACD", "rope_dim": None}]
)
def test_shards_and_traffic_are_those_of_the_planner(gpus: int, changes: dict[str, object]) -> None:
    recipe = dataclasses.replace(TINY, model=dataclasses.replace(EVEN, **changes))
    found, division = dry_run(recipe, gpus), recipe.divided(gpus)
    assert found["sent"] == {
        key: pytest.approx(value, abs=gpus * 20) for key, value in communication(recipe, division).items()
    }
    held = {"weights": 4, "gradients": 4, "optimizer": 8}
    for name, each in held.items():
        # a bias of 4 heads, say, cannot be halved eight times: its first ranks have one more
        assert found["bytes_per_rank"][name] == pytest.approx(each * recipe.model.parameters / gpus, rel=2e-3)
    assert not dist.is_initialized()
    # every layer, the embedding, the head, and the last norm; the head once more backwards
    alone = not recipe.model.tied
    assert found["calls"]["reduce-scatter"] == recipe.model.layers + 1 + 2 * alone
    assert found["calls"]["all-gather"] == found["calls"]["reduce-scatter"] + alone


def test_each_further_layer_costs_the_same() -> None:
    one, two, five = (
        dry_run(dataclasses.replace(TINY, model=dataclasses.replace(EVEN, layers=n)), 4) for n in (1, 2, 5)
    )
    for name in ("all-gather", "reduce-scatter"):
        assert five["sent"][name] == one["sent"][name] + 4 * (two["sent"][name] - one["sent"][name])
        assert five["calls"][name] == one["calls"][name] + 4 * (two["calls"][name] - one["calls"][name])


def test_one_rank_has_nobody_to_talk_to() -> None:
    found = dry_run(TINY)
    assert found["sent"] == {} and found["bytes_per_rank"]["total"] == 16 * TINY.model.parameters
    assert "tiny on 1 ranks" in dry_run_table(found)


def test_a_process_among_others_is_refused() -> None:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        with pytest.raises(ValueError, match="a process that belongs to no group of others"):
            dry_run(TINY)
    finally:
        dist.destroy_process_group()
