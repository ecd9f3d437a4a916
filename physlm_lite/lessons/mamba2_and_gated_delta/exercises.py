"""Exercises of notebook 12. What a function takes beyond the exercise's arguments makes the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import exp, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, outer

from ...lab.checks import Check, Exercise, draws
from ...models.gated_delta import delta_naive

LOGITS = torch.tensor([-4.0, -1.0, 0.0, 0.5, 2.0])
TOKENS = [
    (F.normalize(key, dim=1), value, 0.4 + 0.6 * decay.sigmoid(), 0.4 + 0.6 * share.sigmoid())
    for tokens, keys, values in ((3, 2, 2), (6, 4, 3), (5, 3, 4))
    for key, value, decay, share in [draws(1, (tokens, keys), (tokens, values), (tokens,), (tokens,))]
]


def step_size(
    logit: Tensor,
    bias: float,
    log_rate: float,
    squash: Callable[[Tensor], Tensor] = F.softplus,
    rate: Callable[[float], float] = exp,
) -> tuple[Tensor, Tensor]:
    """What a head keeps of its state, and how strongly it writes, for each token."""
    size = squash(logit + bias)
    return torch.exp(-rate(log_rate) * size), size


def delta_rule(key: Tensor, value: Tensor, decay: Tensor, share: Tensor) -> Tensor:
    """The state [key, value] after the last of the tokens."""
    return delta_naive(*(z[None, :, None] for z in (key, key, value, decay.log(), share)))[1][0, 0]


def _pass(key: Tensor, value: Tensor, decay: Tensor, share: Tensor, step: Callable[..., Tensor]) -> Tensor:
    state = value.new_zeros(key.shape[1], value.shape[1])
    for token in zip(key, value, decay, share, strict=True):
        state = step(state, *token)
    return state


def rewriting_errors(length: float, share: float, times: int) -> list[float]:
    """The error of what is read after 0, 1, ..., `times` writes of the value 1 under the same key."""
    return [(1 - share * length**2) ** n for n in range(times + 1)]


def chunk_corrections(
    key: Tensor, value: Tensor, share: Tensor, part: Callable[[Tensor], Tensor] = lambda products: products.tril(-1)
) -> Tensor:
    """[token, value]: what each token of a chunk adds under its key, from an empty state and without decay."""
    system = torch.eye(len(key)) + share[:, None] * part(key @ key.T)
    return torch.linalg.solve(system, share[:, None] * value)


check = Check(
    step_size=Exercise(
        step_size,
        [(LOGITS, -2.0, 0.0), (LOGITS, 0.5, 1.4), (*draws(0, (3, 4)), -3.0, 2.8)],
        "one number for each token and head: a small one keeps and ignores, a large one forgets and writes",
        hints={
            "no softplus": "your step can be negative; softplus(logit + bias) makes it positive",
            "exp for softplus": "exp grows without measure for large logits; the step is softplus(logit + bias)",
            "no bias": "the bias is missing: it starts a head at its own step size",
            "the rate is a logarithm": "log_rate is the logarithm of the rate: take its exp before you multiply",
            "no rate": "all heads would forget alike; the step is multiplied by the head's rate",
            "growing": "what is kept is above 1, so the state explodes; the exponent has a minus sign",
            "writes what it forgets": "1 - kept is another recurrence; Mamba2 writes with the step size itself",
        },
        wrong={
            "no softplus": partial(step_size, squash=lambda x: x),
            "exp for softplus": partial(step_size, squash=torch.exp),
            "no bias": lambda x, b, r: step_size(x, 0.0, r),
            "the rate is a logarithm": partial(step_size, rate=lambda log_rate: log_rate),
            "no rate": partial(step_size, rate=lambda log_rate: 1.0),
            "growing": partial(step_size, rate=lambda log_rate: -exp(log_rate)),
            "writes what it forgets": lambda x, b, r: (step_size(x, b, r)[0], 1 - step_size(x, b, r)[0]),
        },
    ),
    delta_rule=Exercise(
        delta_rule,
        TOKENS,
        "decay, read, write the difference: one step of gradient descent on |v - S'k|² / 2, with the share as its rate",
        hints={
            "adding": "you add the value; subtract first what the state already says about this key",
            "no decay": "the decay is missing",
            "corrected before the decay": "you subtract what the state said before it decayed; decay first, then "
            "read, then write",
            "the new decays, too": "you decay what was just written; the decay comes before the write",
            "all of it": "you always move the whole way; only the share b of the difference is written",
            "share of the value only": "the share belongs to the whole difference v - S'k, not to v alone",
        },
        wrong={
            "adding": partial(_pass, step=lambda S, k, v, g, b: g * S + outer(k, b * v)),
            "no decay": lambda k, v, g, b: delta_rule(k, v, torch.ones_like(g), b),
            "corrected before the decay": partial(
                _pass, step=lambda S, k, v, g, b: g * S + outer(k, b * (v - S.T @ k))
            ),
            "the new decays, too": partial(_pass, step=lambda S, k, v, g, b: g * (S + outer(k, b * (v - S.T @ k)))),
            "all of it": lambda k, v, g, b: delta_rule(k, v, g, torch.ones_like(b)),
            "share of the value only": partial(
                _pass, step=lambda S, k, v, g, b: g * S + outer(k, b * v - g * (S.T @ k))
            ),
        },
    ),
    rewriting_errors=Exercise(
        rewriting_errors,
        [(1.0, 0.5, 3), (2.0, 1.0, 4), (1.2, 0.9, 5), (0.5, 1.0, 3)],
        "with length 2 and share 1 each write makes the error three times as large; with length 1 none ever grows",
        hints={
            "length not squared": "the key counts twice, when it writes and when it reads: square its length",
            "length 1": "you forget the length of the key",
            "share 1": "you forget the share",
            "adding": "each write corrects what is left of the error; yours adds the same amount again and again",
            "what is read": "you return what is read; the error is 1 minus that",
            "without the empty memory": "the list begins before the first write, where the error is the whole value, 1",
        },
        wrong={
            "length not squared": lambda c, b, n: rewriting_errors(sqrt(c), b, n),
            "length 1": lambda c, b, n: rewriting_errors(1.0, b, n),
            "share 1": lambda c, b, n: rewriting_errors(c, 1.0, n),
            "adding": lambda c, b, n: [1 - written * b * c**2 for written in range(n + 1)],
            "what is read": lambda c, b, n: [1 - error for error in rewriting_errors(c, b, n)],
            "without the empty memory": lambda c, b, n: rewriting_errors(c, b, n)[1:],
        },
    ),
    chunk_corrections=Exercise(
        chunk_corrections,
        [(key, value, share) for key, value, _, share in TOKENS],
        "a triangular system instead of a loop: this is what makes the delta rule fast to train",
        hints={
            "nothing to correct": "you write the values as they are; the tokens before have already said something "
            "about this key",
            "a single round": "you subtract what the tokens before *wanted* to write; they were corrected themselves, "
            "so solve the system",
            "the future": "later tokens correct earlier ones in your answer; keep only the products below the diagonal",
            "itself": "a token does not correct its own write; leave the diagonal of the products out",
            "shares on the columns": "row t belongs to token t, so it is multiplied with b_t; you multiply column s "
            "with b_s",
        },
        wrong={
            "nothing to correct": lambda k, v, b: b[:, None] * v,
            "a single round": lambda k, v, b: b[:, None] * (v - (k @ k.T).tril(-1) @ (b[:, None] * v)),
            "the future": partial(chunk_corrections, part=lambda products: products - products.diag().diag()),
            "itself": partial(chunk_corrections, part=torch.tril),
            "shares on the columns": lambda k, v, b: torch.linalg.solve(
                torch.eye(len(k)) + b * (k @ k.T).tril(-1), b[:, None] * v
            ),
        },
    ),
)
