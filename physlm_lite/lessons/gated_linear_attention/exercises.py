"""Exercises of notebook 11."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models.gla import gla_naive

# -- one token ---------------------------------------------------------------------------------------------------------


def gla_step(state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """One token of one head: what is read [V], and the new state [K, V]."""
    q, k, v, a = (z[None, None, None] for z in (query, key, value, log_decay))
    read, after = gla_naive(q, k, v, a, state=state[None, None])
    return read[0, 0, 0], after[0, 0]


def _step(
    state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    *,
    decay: Callable[[Tensor], Tensor] = lambda a: a.exp()[:, None],
    all_decays: bool = False,
    early: bool = False,
    scaled: bool = True,
) -> tuple[Tensor, Tensor]:
    """`gla_step` with another decay, also of the new pair, read too early, or not scaled."""
    kept, pair = decay(log_decay), key[:, None] * value
    after = kept * (state + pair) if all_decays else kept * state + pair
    return query @ (state if early else after) / (len(query) ** 0.5 if scaled else 1), after


def _step_cases() -> list[tuple[Tensor, ...]]:
    """Square states, so that a transposed answer has the right shape and can be told its mistake."""
    generator = torch.Generator().manual_seed(0)

    def case(width: int) -> tuple[Tensor, ...]:
        state, *vectors = (torch.randn(*shape, generator=generator) for shape in ((width, width), *[(width,)] * 4))
        return state, *vectors[:3], -vectors[3].abs()

    return [case(4), case(6), case(3)]


# -- chunks ------------------------------------------------------------------------------------------------------------


def chunked_scan(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, chunk: int) -> Tensor:
    """What all tokens read [T, V], chunk after chunk, with one decay for all channels (token after token in truth)."""
    whole = (z[None, :, None] for z in (query, key, value, log_decay[:, None].expand_as(key)))
    return gla_naive(*whole)[0][0, :, 0] * key.shape[1] ** 0.5


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


check = Check(
    Exercise(
        "gla_step",
        gla_step,
        {
            "read before write": Mistake(
                "you read the state before the token is written; the state of GLA already contains token t when its query "
                "reads",
                partial(_step, early=True),
            ),
            "the new pair decays": Mistake(
                "you let the pair that was just written decay with the rest; first the old state decays, then the pair is "
                "added",
                partial(_step, all_decays=True),
            ),
            "columns decay": Mistake(
                "your decay runs along the value; exp(a) belongs to the *rows* of the state, one for each key channel: "
                "[:, None]",
                partial(_step, decay=torch.exp),
            ),
            "the logarithm": Mistake(
                "you multiply with a, a negative number; the decay is exp(a), between 0 and 1",
                partial(_step, decay=lambda a: a[:, None]),
            ),
            "v k^T": Mistake(
                "you write value times key; rows of the state belong to the key: k v^T",
                lambda state, query, key, value, a: _step(state, query, value, key, a),
            ),
            "not scaled": Mistake(
                "divide what is read by the square root of the key width", partial(_step, scaled=False)
            ),
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
                partial(_scan, own=False),
            ),
            "chunks on their own": Mistake(
                "your chunks do not know of each other; the state carries the past from chunk to chunk",
                partial(_scan, carried=False),
            ),
            "the past is read fresh": Mistake(
                "the state before the chunk decays further inside it: token t reads it times D[t, 0]",
                partial(_scan, read_decay=False),
            ),
            "what is left does not decay": Mistake(
                "a pair written early in the chunk has decayed by its end: k_s times D[C, s] goes into the state",
                partial(_scan, left_decay=False),
            ),
            "no decay inside": Mistake(
                "inside a chunk you sum without decay; the score of t and s has the factor D[t, s]",
                partial(_scan, inside_decay=False),
            ),
            "the state does not decay": Mistake(
                "the old state passes a whole chunk: multiply it with D[C, 0] before the new pairs are added",
                partial(_scan, state_decay=False),
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
)
