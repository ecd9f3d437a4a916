"""The speed of tasks: batches and streams of rows, and the grammar engine, each against its slow twin on this machine."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count, islice
from statistics import median
from typing import Any

import numpy as np

from ..base.clock import interleaved, milliseconds, ratio
from ..tasks import Brevo, Capo, Depo, Lano, Mano, parsing_naive, preset
from ..tasks.brevo import brevo_instance
from ..tasks.capo import capo_biography
from ..tasks.depo import depo_instance
from ..tasks.lano import lano_derivation
from ..tasks.mano import mano_instance
from ..tasks.parsing import next_symbols, recognise
from . import published

ROWS = 128
STREAMED = "depo2-n125 depo2-n100 depo2-n75 brevo1-n110 brevo2-n50 mano-l10 lano-cfg3b lano-cfg3f".split()
# How many tokens the slow twin of a task makes of one key.
SLOW: dict[type, Callable[[Any, int], int]] = {
    Depo: lambda task, key: len(depo_instance(task, key)[0]),
    Brevo: lambda task, key: len(brevo_instance(task, key)[0]),
    Mano: lambda task, key: len(mano_instance(task, key)[0]),
    Lano: lambda task, key: 1 + len(lano_derivation(task.language, key).sentence),
    Capo: lambda task, key: len(capo_biography(task, key)[1]),
}


def rate(work: Callable[[int], int], turn: int, least: float) -> float:
    """Tokens/s of `work`, which makes some tokens of a number, repeated for at least so many seconds."""
    begin, tokens = time.process_time(), 0
    for number in count(1000 * turn):
        tokens += work(number)
        seconds = time.process_time() - begin
        if seconds >= least:
            break
    return tokens / seconds


def rates(fast: Callable[[int], int], task: Any, rounds: int, least: float) -> dict[str, list[float]]:
    """Tokens/s of the fast way and of the task's slow twin in each round; they take turns."""
    works: dict[str, Callable[[int], int]] = {"fast": fast, "slow": partial(SLOW[type(task)], task)}
    for work in works.values():
        work(0)
    turns = [{name: rate(work, turn, least) for name, work in works.items()} for turn in range(rounds)]
    return {name: [turn[name] for turn in turns] for name in works}


def report(
    names: Iterable[str], ways: Callable[[Any], Callable[[int], int]], quick: bool, least: float
) -> dict[str, Any]:
    """A row for each preset: the rate of `ways(task)`, to the slow twin's, and the published one."""
    rows = {}
    for name in names:
        task = preset(name)
        found = rates(ways(task), task, 3 if quick else 9, least)
        rows[name] = {
            "tokens_per_second": round(median(found["fast"])),
            "over_slow_twin": ratio(found["fast"], found["slow"], 1),
            "released_tokens_per_second": published.GENERATORS[name],
        }
    return rows


def bench_generators(quick: bool = False) -> dict[str, Any]:
    """Tokens/s of batches on one core, against the slow twin."""
    return report(published.GENERATORS, lambda task: lambda step: task.batch(0, step, ROWS).tokens.numel(), quick, 0.01)


def bench_streams(quick: bool = False) -> dict[str, Any]:
    """Tokens/s of a stream for `datasets`, taken one row at a time, against the slow twin."""
    if importlib.util.find_spec("datasets") is None:
        return {}
    from ..data import stream

    def some(task: Any) -> Callable[[int], int]:
        examples = iter(stream(task, rows_per_step=ROWS))
        return lambda _: sum(len(row["tokens"]) for row in islice(examples, 16))

    return report(STREAMED, some, quick, 0.05)


def bench_grammars(quick: bool = False) -> dict[str, Any]:
    """Milliseconds a sentence of the grammar engine, in a batch of sentences within 10 % of the mean length."""
    rows = {}
    for name, (recognition, distribution) in published.GRAMMARS.items():
        task = Lano(name)
        grammar, near = task.language, 0.1 * task.language.mean_length
        sentences = [s for s in task.sentences(0, 0, 400, "test") if abs(len(s) - grammar.mean_length) < near][:64]
        corrupt = [np.append(s[:-1], s[-1] % 3 + 1) for s in sentences]
        actions: dict[str, tuple[Callable[..., Any], Callable[..., Any], Any, float]] = {
            "recognise": (recognise, parsing_naive.recognise, sentences, recognition),
            "recognise, last symbol changed": (recognise, parsing_naive.recognise, corrupt, recognition),
            "true distribution": (next_symbols, parsing_naive.next_symbol, sentences, distribution),
        }
        for action, (fast, slow, given, elsewhere) in actions.items():
            pair = {"fast": partial(fast, grammar, given), "slow": partial(slow, grammar, given[0].tolist())}
            seconds = interleaved(pair, rounds=1 if quick else 5)
            each = [s / len(sentences) for s in seconds["fast"]]
            rows[f"{name}: {action}"] = {
                "ms": milliseconds(each, 2),
                "over_slow_twin": ratio(seconds["slow"], each, 1),
                "released_ms": round(1e3 * elsewhere),
            }
    return rows
