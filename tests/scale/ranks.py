"""Several ranks for a test, quickly: children of a process that has imported everything already."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any


def free_port() -> int:
    """One that nobody uses just now."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def on_ranks(ranks: int, call: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function of a helper module returns on each rank; it is started as `torchrun` would. Raises what a rank raises."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["physlm_lite.scale.train"])
    port, ends = free_port(), []
    for rank in range(ranks):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_one, args=(rank, ranks, port, theirs, call, arguments), daemon=True)
        process.start()
        theirs.close()  # so that a rank that dies is seen
        ends.append((process, ours))
    found = []
    for process, ours in ends:
        try:
            found.append(ours.recv())
        except EOFError:
            found.append((None, RuntimeError("a rank died"), ""))
        process.join()
    for _, error, text in found:
        if error is not None:
            raise error from RuntimeError(text)
    return [result for result, _, _ in found]


def _one(rank: int, ranks: int, port: int, end: Any, call: Callable[..., Any], arguments: Any) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    try:
        end.send((call(*arguments), None, ""))
    except BaseException as error:
        end.send((None, error, traceback.format_exc()))
