"""A probe is one question about a text with one right answer; a source makes as many of them as you ask for.

Probes are for models that read real text: `evaluate_probes` hands the prompts to any function from texts to texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np

from ..base.strict import Range, conform
from ..tasks.batch import accuracy
from ..tasks.draws import U64, address, bits

MOST_PROBES = 100_000  # at a time

T = TypeVar("T")
Tokenizer = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Probe:
    """What a model reads (`prompt`), what it should say (`answer`), and how both came about.

    `context` is the text that holds the answer, `question` what is asked about it; both are parts of the prompt. `meta`
    has the facts behind them, different for each source.
    """

    prompt: str
    answer: str
    question: str
    context: str
    meta: dict[str, Any]


class ProbeSource(Protocol):
    """A family of probes at one setting: a pure function of (seed, index), with its rule of scoring.

    new_tokens: how many tokens an answer may take. filler_tokens, tokenize: see `filler.WithFiller`.
    """

    @property
    def new_tokens(self) -> int: ...

    @property
    def filler_tokens(self) -> int: ...

    @property
    def tokenize(self) -> Tokenizer: ...

    def sample(self, seed: int, index: int) -> Probe:
        """Probe number `index`; the same arguments always give the same probe."""
        ...

    def right(self, output: str, probe: Probe) -> bool:
        """Does a model's `output` answer the probe?"""
        ...


def evaluate_probes(
    source: ProbeSource,
    generate: Callable[[list[str]], list[str]],
    count: int = 100,
    seed: int = 0,
    context: int | None = None,
) -> dict[str, Any]:
    """Ask probes 0..count-1 of a seed; the same questions for every model.

    `generate` continues prompts: it returns for each one the new text alone. `context`: refuse prompts that leave no room
    for an answer in so many tokens, counted with the source's own tokenizer. Returns `accuracy`, its `standard_error`
    (binomial), `count`, and `outputs`. Raises ValueError for a prompt that is too long and for outputs that do not fit
    the prompts.
    """
    count = conform("count", Annotated[int, Range(1, MOST_PROBES)], count)
    probes = [source.sample(seed, index) for index in range(count)]
    if context is not None:
        _check_lengths(source, probes, context)
    outputs = list(generate([probe.prompt for probe in probes]))
    if len(outputs) != count or not all(isinstance(output, str) for output in outputs):
        raise ValueError(
            f"generate must return one text for each of the {count} prompts; it returned {len(outputs)} "
            f"values of type {', '.join(sorted({type(o).__name__ for o in outputs})) or 'nothing'}"
        )
    right = [source.right(output, probe) for output, probe in zip(outputs, probes, strict=True)]
    return {**accuracy([[r] for r in right]), "outputs": outputs}


def count_tokens(text: str, tokenize: Tokenizer) -> int:
    """How many tokens a text has. Raises ValueError if `tokenize` does not give a list."""
    tokens = tokenize(text)
    if isinstance(tokens, Mapping | str) or not hasattr(tokens, "__len__"):
        raise ValueError(
            f"tokenize must turn a text into a list of token ids, not into {type(tokens).__name__}; with a "
            "tokenizer of transformers use lambda text: tokenizer.encode(text, add_special_tokens=False)"
        )
    return len(tokens)


def _check_lengths(source: ProbeSource, probes: list[Probe], context: int) -> None:
    lengths = [count_tokens(probe.prompt, source.tokenize) for probe in probes]
    longest = max(lengths)
    if longest + source.new_tokens <= context:
        return
    # The nearest fix: so much filler that even the prompt with the most other text fits.
    others = max(n - probe.meta.get("filler_tokens", 0) for n, probe in zip(lengths, probes, strict=True))
    room, fix = context - source.new_tokens - others, "use a longer context"
    if 0 <= room < source.filler_tokens:
        fix = f"lower filler_tokens to {room}, or {fix}"
    raise ValueError(
        f"probe {lengths.index(longest)} has {longest} tokens, and with up to {source.new_tokens} for the "
        f"answer it does not fit into a context of {context}; {fix}"
    )


def probe_key(seed: int, index: int) -> U64:
    """The address of a probe's draws. All sources share it, so settings differ in nothing but what was set."""
    if index < 0:
        raise ValueError(f"probes are numbered from 0 up, not {index}")
    return address(seed, index)


class Dice:
    """The draws of one stream of an address, one after the other, as plain Python numbers.

    >>> dice = Dice(probe_key(seed=0, index=0), stream=0)
    >>> [dice.below(6) for _ in range(5)], dice.sample("abcd", 3)
    ([2, 2, 4, 2, 3], ['d', 'c', 'b'])
    """

    def __init__(self, key: U64, stream: int) -> None:
        blocks = (bits(key, stream, np.arange(begin, begin + 32)).tolist() for begin in range(0, 2**62, 32))
        self._drawn = (drawn for block in blocks for drawn in block)

    def bits(self) -> int:
        """64 random bits."""
        return next(self._drawn)

    def below(self, n: int) -> int:
        """A uniform integer in 0..n-1 (the bias is below n / 2^32)."""
        return (self.bits() >> 32) * n >> 32

    def choose(self, things: Sequence[T]) -> T:
        """One of them."""
        return things[self.below(len(things))]

    def sample(self, things: Sequence[T], count: int) -> list[T]:
        """`count` of them without replacement, in random order."""
        left = list(things)
        for last in range(len(left) - 1, len(left) - 1 - count, -1):
            i = self.below(last + 1)
            left[i], left[last] = left[last], left[i]
        return left[: -count - 1 : -1]
