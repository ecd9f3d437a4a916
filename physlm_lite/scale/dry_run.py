"""A recipe on any number of GPUs, tried without one: PyTorch's own sharding, on tensors without data and a group of one.

What a rank holds is read off the shards, and what the ranks tell each other is counted from call to call.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..models import LanguageModel
from .place import shard
from .recipe import Recipe

CALLS = {
    "_allgather_base_": "all-gather",
    "_reduce_scatter_base_": "reduce-scatter",
    "allreduce_": "all-reduce",
    "all_reduce": "all-reduce",
}
LENGTH = 8  # tokens of the row; what ranks tell each other does not depend on it


class Traffic(TorchDispatchMode):
    """Counts the calls of each collective, and the bytes that a rank sends in them."""

    def __init__(self, ranks: int) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._others = (ranks - 1) / ranks

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented  # it comes back with what it does to its shard
        if function.namespace in ("c10d", "_c10d_functional"):
            name = CALLS.get(function._opname, function._opname)
            tensors = [t for a in args for t in (a if isinstance(a, list | tuple) else (a,)) if isinstance(t, Tensor)]
            if tensors and name != "wait_tensor":
                largest = max(t.numel() * t.element_size() for t in tensors)
                self.calls[name] += 1
                self.sent[name] += round(largest * self._others)
        return function(*args, **(kwargs or {}))


def dry_run(recipe: Recipe, gpus: int | None = None) -> dict[str, Any]:
    """What the first rank of `gpus` (None: those of the original run) holds in bytes, and what it sends in a turn.

    One step of the whole model is carried out, the optimiser's as well. The first rank has the most wherever a tensor
    cannot be dealt out evenly. ValueError where this process is one of several already.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.testing._internal.distributed.fake_pg import FakeStore

    ranks = recipe.divided(gpus).gpus
    if dist.is_initialized():
        raise ValueError("a dry run needs a process that belongs to no group of others; start it by itself")
    begin = time.perf_counter()
    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    try:
        mesh = dist.device_mesh.init_device_mesh("cpu", (ranks,))
        with torch.device("meta"):
            model = LanguageModel(recipe.model)
        compute, reduce = (getattr(torch, name) for name in (recipe.precision.compute, recipe.precision.reduce))
        shard(model, mesh, compute, reduce)
        with FakeTensorMode(allow_non_fake_inputs=True), Traffic(ranks) as traffic:
            model.to_empty(device="cpu")
            optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
            model(torch.zeros(1, LENGTH, dtype=torch.long)).float().logsumexp(-1).mean().backward()
            norm: Any = nn.utils.clip_grad_norm_(model.parameters(), recipe.optimizer.clip)
            norm.full_tensor()  # as whoever logs it does
            held = {
                "weights": _local(model.parameters()),
                "gradients": _local(p.grad for p in model.parameters()),
            }
            optimizer.step()
            states = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
            held["optimizer"] = _local(states)
    finally:
        dist.destroy_process_group()
    return {
        "recipe": recipe.name,
        "ranks": ranks,
        "bytes_per_rank": {**held, "total": sum(held.values())},
        "calls": dict(traffic.calls),
        "sent": dict(traffic.sent),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _local(tensors: Any) -> int:
    """Bytes of this rank's shards."""
    shards = [getattr(tensor, "_local_tensor", tensor) for tensor in tensors]
    return sum(tensor.numel() * tensor.element_size() for tensor in shards)


def dry_run_table(found: dict[str, Any]) -> str:
    """The dry run for people."""
    lines = [f"{found['recipe']} on {found['ranks']:,} ranks, tried in {found['seconds']} s without one of them"]
    lines += [
        f"{'bytes of the first rank':<28}",
        *(f"  {part:<26}{size:>20,}" for part, size in found["bytes_per_rank"].items()),
    ]
    lines += [f"{'sent in a turn':<28}{'bytes':>20}{'calls':>10}"]
    lines += [f"  {name:<26}{size:>20,}{found['calls'][name]:>10,}" for name, size in found["sent"].items()]
    return "\n".join(lines)
