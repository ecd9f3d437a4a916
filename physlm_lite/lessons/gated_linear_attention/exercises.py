"""Exercises of notebook 11."""

from __future__ import annotations

import torch
from torch import Tensor

from ...lab.checks import Exercise, Mistake, checker

# -- one token ---------------------------------------------------------------------------------------------------------


def gla_step(state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """One token of one head: what is read [V], and the new state [K, V]."""
    state = log_decay.exp()[:, None] * state + key[:, None] * value
    return query @ state / len(query) ** 0.5, state


def _reads_too_early(
    state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor
) -> tuple[Tensor, Tensor]:
    return query @ state / len(query) ** 0.5, gla_step(state, query, key, value, log_decay)[1]


def _decays_what_is_new(
    state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
) -> tuple[Tensor, Tensor]:
    state = log_decay.exp()[:, None] * (state + key[:, None] * value)
    return query @ state / len(query) ** 0.5, state


def _decays_columns(
    state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor
) -> tuple[Tensor, Tensor]:
    state = log_decay.exp() * state + key[:, None] * value
    return query @ state / len(query) ** 0.5, state


def _takes_the_logarithm(
    state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
) -> tuple[Tensor, Tensor]:
    state = log_decay[:, None] * state + key[:, None] * value
    return query @ state / len(query) ** 0.5, state


def _writes_transposed(
    state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
) -> tuple[Tensor, Tensor]:
    return gla_step(state, query, value, key, log_decay)


def _does_not_scale(
    state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor
) -> tuple[Tensor, Tensor]:
    state = gla_step(state, query, key, value, log_decay)[1]
    return query @ state, state


def _step_cases() -> list[tuple[Tensor, ...]]:
    """Square states, so that a transposed answer has the right shape and can be told its mistake."""
    generator = torch.Generator().manual_seed(0)

    def case(width: int) -> tuple[Tensor, ...]:
        state, *vectors = (torch.randn(*shape, generator=generator) for shape in ((width, width), *[(width,)] * 4))
        return state, *vectors[:3], -vectors[3].abs()

    return [case(4), case(6), case(3)]


# -- chunks ------------------------------------------------------------------------------------------------------------


def chunked_scan(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, chunk: int) -> Tensor:
    """What all tokens read [T, V], chunk after chunk, with one decay for all channels."""
    return _scan(query, key, value, log_decay, chunk)


def _scan(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    chunk: int,
    *,
    own: bool = True,
    read_decay: bool = True,
    left_decay: bool = True,
    carried: bool = True,
    inside_decay: bool = True,
    state_decay: bool = True,
) -> Tensor:
    """The scan, with switches for the parts that are easily forgotten."""
    state, read = key.new_zeros(key.shape[1], value.shape[1]), []
    for begin in range(0, len(key), chunk):
        q, k, v, a = (z[begin : begin + chunk] for z in (query, key, value, log_decay))
        since = a.cumsum(0)
        decay = (since[:, None] - since).exp() if inside_decay else torch.ones(chunk, chunk)
        scores = (q @ k.T * decay).tril(0 if own else -1)
        past = q @ state * (since.exp()[:, None] if read_decay else 1)
        read.append(scores @ v + past * carried)
        left = (since[-1] - since).exp()[:, None] if left_decay else 1
        state = (since[-1].exp() if state_decay else 1) * state + (k * left).T @ v
    return torch.cat(read)


def _scan_cases() -> list[tuple[Tensor | int, ...]]:
    generator = torch.Generator().manual_seed(1)

    def case(length: int, keys: int, values: int, chunk: int) -> tuple[Tensor | int, ...]:
        q, k = (torch.randn(length, keys, generator=generator) for _ in range(2))
        v = torch.randn(length, values, generator=generator)
        return q, k, v, -torch.rand(length, generator=generator), chunk

    return [case(12, 3, 5, 4), case(8, 4, 2, 2), case(9, 2, 3, 3)]


# -- the order of the products -----------------------------------------------------------------------------------------


def order_cost(length: int, keys: int, values: int) -> list[int]:
    """Multiplications of (Q K^T) V and of Q (K^T V)."""
    return [length**2 * (keys + values), 2 * length * keys * values]


EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in [
        Exercise(
            "gla_step",
            gla_step,
            {
                "read before write": Mistake(
                    "you read the state before the token is written; the state of GLA already contains token t when its query "
                    "reads",
                    _reads_too_early,
                ),
                "the new pair decays": Mistake(
                    "you let the pair that was just written decay with the rest; first the old state decays, then the pair is "
                    "added",
                    _decays_what_is_new,
                ),
                "columns decay": Mistake(
                    "your decay runs along the value; exp(a) belongs to the *rows* of the state, one for each key channel: "
                    "[:, None]",
                    _decays_columns,
                ),
                "the logarithm": Mistake(
                    "you multiply with a, a negative number; the decay is exp(a), between 0 and 1", _takes_the_logarithm
                ),
                "v k^T": Mistake(
                    "you write value times key; rows of the state belong to the key: k v^T", _writes_transposed
                ),
                "not scaled": Mistake("divide what is read by the square root of the key width", _does_not_scale),
            },
            _step_cases,
            "three lines, and the whole memory of the layer",
        ),
        Exercise(
            "chunked_scan",
            chunked_scan,
            {
                "without itself": Mistake(
                    "a token does not see itself in your version; the sum goes over s <= t, the diagonal included",
                    lambda *case: _scan(*case, own=False),
                ),
                "chunks on their own": Mistake(
                    "your chunks do not know of each other; the state carries the past from chunk to chunk",
                    lambda *case: _scan(*case, carried=False),
                ),
                "the past is read fresh": Mistake(
                    "the state before the chunk decays further inside it: token t reads it times D[t, 0]",
                    lambda *case: _scan(*case, read_decay=False),
                ),
                "what is left does not decay": Mistake(
                    "a pair written early in the chunk has decayed by its end: k_s times D[C, s] goes into the state",
                    lambda *case: _scan(*case, left_decay=False),
                ),
                "no decay inside": Mistake(
                    "inside a chunk you sum without decay; the score of t and s has the factor D[t, s]",
                    lambda *case: _scan(*case, inside_decay=False),
                ),
                "the state does not decay": Mistake(
                    "the old state passes a whole chunk: multiply it with D[C, 0] before the new pairs are added",
                    lambda *case: _scan(*case, state_decay=False),
                ),
            },
            _scan_cases,
            "matrix products inside, a short loop outside: this is how linear models are trained",
        ),
        Exercise(
            "order_cost",
            order_cost,
            {
                "the scores only": Mistake(
                    "your attention order stops at Q K^T; the scores still have to be multiplied with V",
                    lambda T, K, V: [T * T * K, 2 * T * K * V],
                ),
                "write only": Mistake(
                    "your linear order stops at the state K^T V; every query still has to read it",
                    lambda T, K, V: [T * T * (K + V), T * K * V],
                ),
                "the state is a vector": Mistake(
                    "the state is a matrix of K times V; your linear order costs as if key and value lay beside each other",
                    lambda T, K, V: [T * T * (K + V), 2 * T * (K + V)],
                ),
                "swapped": Mistake(
                    "the attention order comes first, then the linear one", lambda T, K, V: order_cost(T, K, V)[::-1]
                ),
            },
            lambda: [(10, 3, 5), (512, 64, 128), (7, 2, 2), (4096, 128, 256)],
            "equal at T = 2KV / (K + V): with K = V, at a text as long as a head is wide",
        ),
    ]
}
check = checker(EXERCISES)
