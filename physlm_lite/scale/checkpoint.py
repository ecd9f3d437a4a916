"""Checkpoints that any number of ranks writes, and any other number goes on from (torch.distributed.checkpoint).

A checkpoint is a folder named after its step. It is filled under another name, each rank seals its own files with their
checksums, and one rename makes it count; so half of one is never taken. What was damaged later is found by the checksums, and
the one before it is taken instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from ..base.files import StorageError
from ..training import OtherRank, Share, Trainer
from .sharded import METADATA, refuse_code

log = logging.getLogger(__name__)
STATE = "state.json"  # the trainer's counters
NAME = "step-{:010}"


def saved_steps(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, in order."""
    return sorted(int(path.name[5:]) for path in folder.glob("step-" + "[0-9]" * 10))


def save(trainer: Trainer, folder: Path) -> Path:
    """Write the state of all ranks; returns its folder. All ranks call it together.

    StorageError, on every rank, if one of them cannot write; all that stood there before stays.
    """
    import torch.distributed.checkpoint as dcp

    share, path = trainer.share, folder / NAME.format(trainer.step)
    part = path.with_suffix(".part")
    reason = ""
    if share.rank == 0:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(part)
    try:
        dist.barrier()
        part.mkdir(parents=True, exist_ok=True)
        dcp.save(trainer.tensors(), storage_writer=dcp.FileSystemWriter(part))
        if share.rank == 0:
            (part / STATE).write_text(json.dumps(trainer.counters()), encoding="utf-8")
        own = [*part.glob(f"__{share.rank}_*"), *([part / STATE, part / METADATA] if share.rank == 0 else [])]
        seal = part / f"sums-{share.rank}.json"
        seal.write_text(json.dumps({file.name: _sum(file) for file in own}), encoding="utf-8")
        with seal.open("rb+") as file:
            os.fsync(file.fileno())
    except CheckpointException as error:
        reason = _first_line(next(iter(error.failures.values()), (error,))[0])
    except OSError as error:
        reason = error.strerror or str(error)
    try:
        _refuse(
            share,
            reason,
            f"could not write {path}: {{}}; the checkpoints before it stay, free some space and start again",
        )
    except (StorageError, OtherRank):
        if share.rank == 0:
            shutil.rmtree(part, ignore_errors=True)
        raise
    if share.rank == 0:
        shutil.rmtree(path, ignore_errors=True)  # of the same step, written before a start from an older one
        part.rename(path)
    dist.barrier()
    return path


def resume(trainer: Trainer, folder: Path) -> int:
    """Go on from the last whole checkpoint; returns its step, 0 if there is none. All ranks call it together.

    A damaged one is named and passed by. StorageError if all are damaged, or the last one is of another run.
    """
    import torch.distributed.checkpoint as dcp

    share = trainer.share
    left = saved_steps(folder) if share.rank == 0 else []
    seen = len(left)
    while step := int(share.sum(left.pop() if left else 0)[0]):
        path = folder / NAME.format(step)
        try:
            _refuse(share, _damage(path, share), f"{path} is damaged ({{}})")
        except StorageError as error:
            log.warning("%s; going on from the one before it", error)
            continue
        except OtherRank:
            continue
        state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
        trainer.refuse_other(path, state)
        refuse_code(path)
        trainer.go_on(state)
        reason = ""
        try:
            with torch.no_grad():
                dcp.load(trainer.tensors(), storage_reader=dcp.FileSystemReader(path))
        except CheckpointException as error:
            reason = _first_line(next(iter(error.failures.values()), (error,))[0])
        _refuse(share, reason, f"{path} cannot be read ({{}}); delete it to go on from the one before it")
        return step
    if share.sum(seen)[0]:
        raise StorageError(f"no checkpoint in {folder} is whole; delete them to begin anew")
    return 0


def prune(folder: Path, kept: int, every: int) -> None:
    """Remove all but the last `kept` checkpoints, and those at multiples of `every` steps, which stay."""
    passing = [step for step in saved_steps(folder) if step % every]
    for step in passing[:-kept]:
        path = folder / NAME.format(step)
        gone = path.with_suffix(".part")  # half of one never counts
        with contextlib.suppress(OSError):
            path.rename(gone)
            shutil.rmtree(gone)


def _damage(path: Path, share: Share) -> str:
    """What is wrong with the files that this rank looks through, each rank with some of them; empty if nothing is."""
    try:
        seals = sorted(path.glob("sums-*.json"))
        sums = {name: digest for seal in seals for name, digest in json.loads(seal.read_text(encoding="utf-8")).items()}
        for name in (METADATA, STATE):
            if name not in sums:
                return f"{name} is not sealed"
        for number, (name, digest) in enumerate(sorted(sums.items())):
            if number % share.ranks == share.rank and _sum(path / name) != digest:
                return f"{name} has another checksum"
    except OSError as error:
        return f"{Path(error.filename or path).name}: {error.strerror or error}"
    except ValueError:
        return "a seal is no JSON"
    return ""


def _refuse(share: Share, reason: str, said: str) -> None:
    """If a rank has a reason, StorageError there, and `OtherRank` on all others."""
    if share.sum(bool(reason))[0]:
        raise StorageError(said.format(reason)) if reason else OtherRank(said.format("another rank says why"))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
