"""What counting short contexts is worth: an n-gram model of the very tokens that a run trains on, scored like a model.

A model that is no better than this has learnt no structure, however far ahead of another one it is. The smoothing is that of
Witten and Bell (1991), interpolated: after a context that was followed c times by d different tokens, the share d / (c + d) of
the probability goes to the model with the oldest token left out, and the rest to the tokens as they were counted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..tasks.batch import Batch, Task
from ..tasks.draws import U64, bits
from ..tasks.lano import BOS, Lano
from ..tasks.parsing import kl_to_truth
from ..tasks.text import Text
from .scores import truth_of

CONTEXTS = (3, 4, 6, 8, 10, 12, 16)  # tokens before the one to be predicted


def ngram_scores(
    task: Task,
    steps: int,
    batch: int,
    rows: int,
    contexts: Sequence[int] = CONTEXTS,
    *,
    seed: int = 0,
    test_seed: int = 0,
) -> dict[int, dict[str, Any]]:
    """{tokens of context: scores} of n-grams of the training data of `steps` steps of `batch` rows, on `rows` test rows.

    Of Lano the `kl` to the grammar, of real text the `loss_held_out`, both in nats; of every other task its own grade of the most
    likely tokens. Raises ValueError for more training tokens than one batch may have.
    """
    tested = dataclasses.replace(task, context=None) if isinstance(task, Lano) else task
    test = tested.batch(test_seed, 0, rows, split="test")
    scores = {}
    for context, p in enumerate(ngrams(task, steps, batch, test, max(contexts), seed)):
        if context in contexts:
            scores[context] = _score(task, test, p, rows, test_seed)
    return scores


def _score(task: Task, test: Batch, p: NDArray[np.float64], rows: int, seed: int) -> dict[str, Any]:
    if isinstance(task, Lano):
        symbols = [BOS, *range(BOS + 1, len(task.vocabulary))]
        truth = truth_of(task, rows, seed)
        kl = [kl_to_truth(true, q[1 : len(true) + 1, symbols]) for true, q in zip(truth, p, strict=True)]
        return {"kl": float(np.mean(kl))}
    if isinstance(task, Text):
        likely = np.take_along_axis(p, test.tokens.numpy()[..., None], -1)[..., 0]
        return {"loss_held_out": float(-np.log(likely[test.targets.numpy()]).mean())}
    return task.grade(test, torch.from_numpy(p.argmax(-1)))


def ngrams(
    task: Task, steps: int, batch: int, test: Batch, longest: int, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """The probabilities [row, position, token] of each token of `test`, by contexts of at most 0, 1, ..., `longest` tokens.

    Contexts stay within a document. A context is a hash of its tokens, and of the training data only those contexts are counted
    that the test asks for.
    """
    data = task.batch(seed, np.repeat(np.arange(steps), batch), np.tile(np.arange(batch), steps))
    size = len(task.vocabulary)
    p = np.full((*test.tokens.shape, size), 1 / size)
    for (asked, known), (seen, there) in zip(_contexts(test, longest), _contexts(data, longest), strict=True):
        different, place = np.unique(asked[known], return_inverse=True)
        counted = there & data.targets.numpy()
        found = np.searchsorted(different, seen[counted]).clip(max=len(different) - 1)
        hit = different[found] == seen[counted]
        pairs = found[hit] * size + data.tokens.numpy()[counted][hit]
        counts = np.bincount(pairs, minlength=len(different) * size).reshape(-1, size)[place]
        kinds, total = (counts > 0).sum(-1, keepdims=True), counts.sum(-1, keepdims=True)
        p[known] = np.where(total > 0, (counts + kinds * p[known]) / np.maximum(total + kinds, 1), p[known])
        yield p.copy()


def _contexts(batch: Batch, longest: int) -> Iterator[tuple[U64, NDArray[np.bool_]]]:
    """For 0, 1, ..., `longest` tokens: the hash of those before each position, and whether its document has so many there."""
    tokens, document = batch.tokens.numpy(), batch.document.numpy()
    code, there = np.zeros(tokens.shape, np.uint64), np.ones(tokens.shape, bool)
    for back in range(longest + 1):
        if back:
            code[:, back:] = bits(code[:, back:], 0, tokens[:, :-back])
            there[:, :back] = False
            there[:, back:] &= document[:, :-back] == document[:, back - 1 : -1]
        yield code, there


def naive_ngrams(
    task: Task, steps: int, batch: int, test: Batch, longest: int, seed: int = 0
) -> list[list[list[list[float]]]]:
    """The slow twin, [context][row][position][token]: dictionaries of counts, and the formula as it is written down."""
    followers: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for step in range(steps):
        data = task.batch(seed, step, batch)
        for tokens, targets, document in zip(*(of.tolist() for of in data), strict=True):
            for place, token in enumerate(tokens):
                if targets[place]:
                    for context in _before(tokens, document, place, longest):
                        followers[context][token] += 1

    size = len(task.vocabulary)

    def chances(context: tuple[int, ...] | None) -> list[float]:
        if context is None:
            return [1 / size] * size
        shorter = chances(context[1:] if context else None)
        counts = followers.get(context, Counter())
        all_of_them = counts.total() + len(counts)
        if not all_of_them:
            return shorter
        return [(counts[token] + len(counts) * shorter[token]) / all_of_them for token in range(size)]

    rows = list(zip(test.tokens.tolist(), test.document.tolist(), strict=True))
    return [
        [
            [chances(_before(tokens, document, place, longest=most)[-1]) for place in range(len(tokens))]
            for tokens, document in rows
        ]
        for most in range(longest + 1)
    ]


def _before(tokens: list[int], document: list[int], place: int, longest: int) -> list[tuple[int, ...]]:
    """The contexts of a place, from the empty one to the longest that its document has."""
    begin = place
    while begin and place - begin < longest and document[begin - 1] == document[place - 1]:
        begin -= 1
    return [tuple(tokens[i:place]) for i in range(place, begin - 1, -1)]
