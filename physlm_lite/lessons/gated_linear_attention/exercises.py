"""Exercises of notebook 11."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...lab.checks import Check, Exercise, draws
from ...models.gla import gla_naive


def gla_step(state: Tensor, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """One token of one head: what is read [V], and the new state [K, V]."""
    q, k, v, a = (z[None, None, None] for z in (query, key, value, log_decay))
    read, after = gla_naive(q, k, v, a, state=state[None, None])
    return read[0, 0, 0], after[0, 0]


def _read(query: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return query @ state / len(query) ** 0.5, state


def chunked_scan(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, chunk: int) -> Tensor:
    """What all tokens read [T, V], chunk after chunk, with one decay for all channels (token after token in truth)."""
    whole = (z[None, :, None] for z in (query, key, value, log_decay[:, None].expand_as(key)))
    return gla_naive(*whole)[0][0, :, 0] * key.shape[1] ** 0.5


def _scan(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, chunk: int, forgotten: str) -> Tensor:
    """Chunk after chunk, with one part forgotten."""
    state, read = key.new_zeros(key.shape[1], value.shape[1]), []
    for begin in range(0, len(key), chunk):
        q, k, v, a = (z[begin : begin + chunk] for z in (query, key, value, log_decay))
        since = a.cumsum(0)
        decay = (since[:, None] - since).exp() if forgotten != "decay inside" else torch.ones(chunk, chunk)
        scores = (q @ k.T * decay).tril(-1 if forgotten == "itself" else 0)
        past = q @ state * (since.exp()[:, None] if forgotten != "decay of what is read" else 1)
        read.append(scores @ v + past * (forgotten != "past"))
        left = (since[-1] - since).exp()[:, None] if forgotten != "decay of what is left" else 1
        state = (since[-1].exp() if forgotten != "decay of the state" else 1) * state + (k * left).T @ v
    return torch.cat(read)


def order_cost(length: int, keys: int, values: int) -> list[int]:
    """Multiplications of (Q K^T) V and of Q (K^T V)."""
    return [length**2 * (keys + values), 2 * length * keys * values]


check = Check(
    gla_step=Exercise(
        gla_step,
        # square states, so that a transposed answer has the right shape and can be told its mistake
        [
            (state, query, key, value, -decay.abs())
            for n in (4, 6, 3)
            for state, query, key, value, decay in [draws(0, (n, n), (n,), (n,), (n,), (n,))]
        ],
        "three lines, and the whole memory of the layer",
        hints={
            "read before write": "you read the state before the token is written; the state of GLA already contains "
            "token t when its query reads",
            "the new pair decays": "you let the pair that was just written decay with the rest; first the old state "
            "decays, then the pair is added",
            "columns decay": "your decay runs along the value; exp(a) belongs to the *rows* of the state, one for "
            "each key channel: [:, None]",
            "the logarithm": "you multiply with a, a negative number; the decay is exp(a), between 0 and 1",
            "v k^T": "you write value times key; rows of the state belong to the key: k v^T",
            "not scaled": "divide what is read by the square root of the key width",
        },
        wrong={
            "read before write": lambda S, q, k, v, a: (_read(q, S)[0], gla_step(S, q, k, v, a)[1]),
            "the new pair decays": lambda S, q, k, v, a: _read(q, a.exp()[:, None] * (S + k[:, None] * v)),
            "columns decay": lambda S, q, k, v, a: _read(q, a.exp() * S + k[:, None] * v),
            "the logarithm": lambda S, q, k, v, a: _read(q, a[:, None] * S + k[:, None] * v),
            "v k^T": lambda S, q, k, v, a: gla_step(S, q, v, k, a),
            "not scaled": lambda S, q, k, v, a: gla_step(S, q * len(q) ** 0.5, k, v, a),
        },
    ),
    chunked_scan=Exercise(
        chunked_scan,
        [
            (q, k, v, -decay.sigmoid(), chunk)
            for length, keys, values, chunk in [(12, 3, 5, 4), (8, 4, 2, 2), (9, 2, 3, 3)]
            for q, k, v, decay in [draws(1, (length, keys), (length, keys), (length, values), (length,))]
        ],
        "matrix products inside, a short loop outside: this is how linear models are trained",
        hints={
            "without itself": "a token does not see itself in your version; the sum includes the diagonal, s <= t",
            "chunks on their own": "your chunks do not know of each other; the state carries the past along",
            "the past is read fresh": "the state before the chunk decays further inside it: token t reads it times "
            "D[t, 0]",
            "what is left does not decay": "a pair written early in the chunk has decayed by its end: k_s times D[C, "
            "s] goes into the state",
            "no decay inside": "inside a chunk you sum without decay; the score of t and s has the factor D[t, s]",
            "the state does not decay": "the old state passes a whole chunk: multiply it with D[C, 0] before the new "
            "pairs are added",
        },
        wrong={
            "without itself": partial(_scan, forgotten="itself"),
            "chunks on their own": partial(_scan, forgotten="past"),
            "the past is read fresh": partial(_scan, forgotten="decay of what is read"),
            "what is left does not decay": partial(_scan, forgotten="decay of what is left"),
            "no decay inside": partial(_scan, forgotten="decay inside"),
            "the state does not decay": partial(_scan, forgotten="decay of the state"),
        },
    ),
    order_cost=Exercise(
        order_cost,
        [(10, 3, 5), (512, 64, 128), (7, 2, 2), (4096, 128, 256)],
        "equal at T = 2KV / (K + V): with K = V, at a text as long as a head is wide",
        hints={
            "the scores only": "your attention order stops at Q K^T; the scores still have to be multiplied with V",
            "write only": "your linear order stops at the state K^T V; every query still has to read it",
            "the state is a vector": "the state is a matrix of K times V; your linear order costs as if key and value "
            "lay beside each other",
            "swapped": "the attention order comes first, then the linear one",
        },
        wrong={
            "the scores only": lambda T, K, V: [T * T * K, 2 * T * K * V],
            "write only": lambda T, K, V: [T * T * (K + V), T * K * V],
            "the state is a vector": lambda T, K, V: [T * T * (K + V), 2 * T * (K + V)],
            "swapped": lambda T, K, V: order_cost(T, K, V)[::-1],
        },
    ),
)
