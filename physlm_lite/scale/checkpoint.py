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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from ..base.files import StorageError
from ..training import OtherRank, Share, Trainer
from .sharded import METADATA, refuse_code

log = logging.getLogger(__name__)
STATE = "state.json"  # the trainer's counters
NAME = "step-{:010}"
GRACE = 10.0  # seconds for what is being written when the training ends by an error


def saved_steps(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, in order."""
    return sorted(int(path.name[5:]) for path in folder.glob("step-" + "[0-9]" * 10))


class Saver:
    """Writes checkpoints while the training goes on: the state is copied at once, and the files are filled beside the next steps.

    All ranks call all of it together. kept: called by the first rank whenever a checkpoint has come to count.
    """

    def __init__(self, trainer: Trainer, folder: Path, kept: Callable[[], object] = lambda: None) -> None:
        self.trainer, self.folder, self.kept = trainer, folder, kept
        self._group = dist.new_group(
            backend="gloo"
        )  # what saves say to each other must not mix with what training does
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: tuple[Path, Future[None]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.finish()
        elif self._writing is not None:  # a rank was lost, say: what it would have written does not count
            wait([self._writing[1]], GRACE)
        self._thread.shutdown(wait=kind is None)

    def begin(self) -> None:
        """Copy the state of all ranks, and begin to write it; one that is still being written is waited for."""
        import torch.distributed.checkpoint as dcp

        self.finish()
        share, path = self.trainer.share, self.folder / NAME.format(self.trainer.step)
        part, reason = path.with_suffix(".part"), ""
        if share.rank == 0:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(part)
        dist.barrier()
        try:
            part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
        self._refuse(path, reason)
        counters = json.dumps(self.trainer.counters())
        # without their gradients, which a copy of a parameter would copy, too
        tensors = {name: tensor.detach() for name, tensor in self.trainer.tensors().items()}
        writer = dcp.FileSystemWriter(part)
        written: Any = dcp.async_save(tensors, storage_writer=writer, process_group=self._group)
        self._writing = path, self._thread.submit(_seal, written, part, share.rank, counters)

    def look(self) -> None:
        """Make the checkpoint count as soon as every rank has written its files."""
        if self._writing is not None:
            share = self.trainer.share
            if share.sum(self._writing[1].done())[0] == share.ranks:
                self.finish()

    def finish(self) -> Path | None:
        """Wait until the checkpoint counts; its folder, None if none was being written.

        StorageError, on every rank, if one of them cannot write; all that stood there before stays.
        """
        if self._writing is None:
            return None
        (path, sealed), self._writing, reason = self._writing, None, ""
        try:
            sealed.result()
        except CheckpointException as error:
            reason = _first_line(next(iter(error.failures.values()), (error,))[0])
        except OSError as error:
            reason = error.strerror or str(error)
        self._refuse(path, reason)
        if self.trainer.share.rank == 0:
            shutil.rmtree(path, ignore_errors=True)  # of the same step, written before a start from an older one
            path.with_suffix(".part").rename(path)
            self.kept()
        dist.barrier()
        return path

    def _refuse(self, path: Path, reason: str) -> None:
        said = f"could not write {path}: {{}}; the checkpoints before it stay, free some space and start again"
        try:
            _refuse(self.trainer.share, reason, said)
        except (StorageError, OtherRank):
            if self.trainer.share.rank == 0:
                shutil.rmtree(path.with_suffix(".part"), ignore_errors=True)
            raise


def _seal(written: Future[Any], part: Path, rank: int, counters: str) -> None:
    """Wait for the tensors of all ranks, then write what this rank adds: checksums, and the first one the counters."""
    written.result()
    if rank == 0:
        (part / STATE).write_text(counters, encoding="utf-8")
    own = [*part.glob(f"__{rank}_*"), *([part / STATE, part / METADATA] if rank == 0 else [])]
    seal = part / f"sums-{rank}.json"
    seal.write_text(json.dumps({file.name: _sum(file) for file in own}), encoding="utf-8")
    with seal.open("rb+") as file:
        os.fsync(file.fileno())


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
