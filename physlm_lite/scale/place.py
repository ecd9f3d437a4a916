"""One model on many devices: PyTorch's own sharding (FSDP2), and weights that start alike on any number of ranks.

`place` is all that stands between the model of a laptop and that of a cluster; whoever trains it need not know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from ..models import LanguageModel, ModelConfig
from ..models.start import ByName
from .memory import recompute
from .recipe import Precision


@contextlib.contextmanager
def group(patience: float = 600) -> Iterator[tuple[int, int]]:
    """This process among those of the run: (rank, ranks), as `torchrun` or a job script says; alone if nobody does.

    Numbers of the program itself go through gloo, tensors of a GPU through NCCL. ConnectionError, in one sentence, if the
    others cannot be reached within `patience` seconds.
    """
    gpu = torch.cuda.is_available()
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    if "WORLD_SIZE" not in os.environ:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    else:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        try:
            with _at_once():
                dist.init_process_group(backend, timeout=timedelta(seconds=patience))
        except (dist.DistError, RuntimeError, ValueError) as error:
            reason = f"one of them did not come within {patience:g} seconds, or went away; see what the others say"
            if "EADDRINUSE" in str(error):
                reason = "the port is taken; name another one in MASTER_PORT"
            raise ConnectionError(
                f"rank {os.environ.get('RANK')} cannot join the others at {place}: {reason}"
            ) from error
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _at_once() -> Iterator[None]:
    """SIGTERM ends the process inside: whoever waits for others in PyTorch would hear of it only afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def mesh(replicas: int = 1) -> Any:
    """All ranks: in one row that shares the weights, or `replicas` rows, each of which holds all of them.

    ValueError for a number of replicas that does not divide the ranks.
    """
    ranks, kind = dist.get_world_size(), "cuda" if torch.cuda.is_available() else "cpu"
    if replicas < 1 or ranks % replicas:
        raise ValueError(
            f"{ranks} ranks cannot be dealt out evenly to {replicas} replicas; choose a divisor of {ranks}"
        )
    if replicas == 1:
        return dist.device_mesh.init_device_mesh(kind, (ranks,), mesh_dim_names=("shard",))
    return dist.device_mesh.init_device_mesh(kind, (replicas, ranks // replicas), mesh_dim_names=("replicate", "shard"))


def place(
    config: ModelConfig,
    mesh: Any,
    precision: Precision,
    seed: int,
    checkpointing: str = "none",
    compile: bool = False,
) -> LanguageModel:
    """The model of a configuration on all ranks of a mesh, with the weights of `LanguageModel(config, seed)`.

    Weights and moments are kept in float32, layers compute and gradients are added up in the numbers of `precision`.
    checkpointing: one of `memory.CHECKPOINTING`. compile: each layer by torch.compile. No rank ever holds more than its
    share and one layer.
    """
    with torch.device("meta"):
        model = recompute(LanguageModel(config), checkpointing)
    for block in model.blocks if compile else ():
        block.compile()
    shard(model, mesh, *(getattr(torch, name) for name in (precision.compute, precision.reduce)))
    model.to_empty(device=mesh.device_type)
    if config.tied:
        model.head.weight = model.embedding.weight
    start(model, seed)
    return model


def shard(model: LanguageModel, mesh: Any, compute: torch.dtype, reduce: torch.dtype) -> LanguageModel:
    """The model on all ranks of the mesh, as in the published runs: embedding and layers stay gathered until their backward
    pass, the head does not."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    options: dict[str, Any] = {
        "mesh": mesh,
        "mp_policy": MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=reduce),
    }
    units: list[nn.Module] = [*model.blocks] if model.config.tied else [*model.blocks, model.embedding]
    for unit in units:
        fully_shard(unit, reshard_after_forward=False, **options)
    if not model.config.tied:
        fully_shard(model.head, **options)
    fully_shard(model, **options)
    register_fsdp_forward_method(model, "loss")
    return model


@torch.no_grad()
def start(model: LanguageModel, seed: int) -> None:
    """Give a sharded model the weights that `LanguageModel(config, seed)` has.

    PyTorch's random operations give the shards of a CPU the same numbers on every rank. So each rank draws one unit after
    the other as a whole, each weight by its name, and keeps its share.
    """
    with torch.device("meta"):
        whole = LanguageModel(model.config)
    for unit in (whole.embedding, *whole.blocks, whole.norm, whole.head):
        unit.to_empty(device="cpu")
        whole.reset_parameters(ByName(whole, seed))  # which does nothing to units without data
        drawn = {name: p for name, p in whole.named_parameters() if p.device.type == "cpu"}
        for name, weight in model.named_parameters():
            if name in drawn:
                weight.copy_(_share(drawn[name], weight))
        unit.to("meta")


def _share(whole: Tensor, like: Tensor) -> Tensor:
    """Of a tensor that every rank has as a whole, what this rank holds of one that is sharded."""
    if not isinstance(like, DTensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
