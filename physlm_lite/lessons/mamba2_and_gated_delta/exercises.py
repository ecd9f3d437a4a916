"""Exercises of notebook 12."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lab.checks import Check, Exercise, Mistake
from ...models.gated_delta import delta_naive

# -- the step size of Mamba2 -------------------------------------------------------------------------------------------


Gates = Callable[[Tensor, float], Tensor]


def step_size(
    logit: Tensor,
    bias: float,
    log_rate: float,
    squash: Callable[[Tensor], Tensor] = F.softplus,
    keep: Gates = lambda size, log_rate: torch.exp(-torch.exp(torch.tensor(log_rate)) * size),
) -> tuple[Tensor, Tensor]:
    """What a head keeps of its state, and how strongly it writes, for each token.

    squash, keep: another way to a positive number, another decay.
    """
    size = squash(logit + bias)
    return keep(size, log_rate), size


def _write_the_rest(logit: Tensor, bias: float, log_rate: float) -> tuple[Tensor, Tensor]:
    kept, _ = step_size(logit, bias, log_rate)
    return kept, 1 - kept


def _step_cases() -> list[tuple[Tensor, float, float]]:
    logits = torch.tensor([-4.0, -1.0, 0.0, 0.5, 2.0])
    return [
        (logits, -2.0, 0.0),
        (logits, 0.5, 1.4),
        (torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), -3.0, 2.8),
    ]


# -- the delta rule ----------------------------------------------------------------------------------------------------


def delta_rule(key: Tensor, value: Tensor, decay: Tensor, share: Tensor) -> Tensor:
    """The state [key, value] after the last of the tokens."""
    return delta_naive(*(z[None, :, None] for z in (key, key, value, decay.log(), share)))[1][0, 0]


Step = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def _right(state: Tensor, k: Tensor, v: Tensor, g: Tensor, b: Tensor) -> Tensor:
    state = g * state
    return state + torch.outer(k, b * (v - state.T @ k))


def _pass(key: Tensor, value: Tensor, decay: Tensor, share: Tensor, step: Step) -> Tensor:
    state = value.new_zeros(key.shape[1], value.shape[1])
    for token in zip(key, value, decay, share, strict=True):
        state = step(state, *token)
    return state


def _delta_cases() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    cases = []
    for tokens, keys, values in ((3, 2, 2), (6, 4, 3), (5, 3, 4)):
        key = F.normalize(torch.randn(tokens, keys, generator=generator), dim=1)
        value = torch.randn(tokens, values, generator=generator)
        decay, share = 0.4 + 0.6 * torch.rand(2, tokens, generator=generator)
        cases.append((key, value, decay, share))
    return cases


# -- why keys have length 1 --------------------------------------------------------------------------------------------


def rewriting_errors(length: float, share: float, times: int) -> list[float]:
    """The error of what is read after 0, 1, ..., `times` writes of the value 1 under the same key."""
    return [(1 - share * length**2) ** n for n in range(times + 1)]


def _errors(factor: Callable[[float, float], float]) -> Callable[[float, float, int], list[float]]:
    return lambda length, share, times: [factor(length, share) ** n for n in range(times + 1)]


def _adding_errors(length: float, share: float, times: int) -> list[float]:
    return [1 - n * share * length**2 for n in range(times + 1)]


# -- a chunk at once ---------------------------------------------------------------------------------------------------


def chunk_corrections(
    key: Tensor,
    value: Tensor,
    share: Tensor,
    part: Callable[[Tensor], Tensor] = lambda products: products.tril(-1),
    columns: bool = False,
) -> Tensor:
    """[token, value]: what each token of a chunk adds under its key, from an empty state and without decay.

    part, columns: another part of the products of keys, the shares on the wrong side.
    """
    shares = share[None, :] if columns else share[:, None]
    system = torch.eye(len(key), dtype=key.dtype) + shares * part(key @ key.T)
    return torch.linalg.solve(system, share[:, None] * value)


def _one_round(key: Tensor, value: Tensor, share: Tensor) -> Tensor:
    wanted = share[:, None] * value
    return wanted - share[:, None] * (key @ key.T).tril(-1) @ wanted


def _chunk_cases() -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(key, value, share) for key, value, _, share in _delta_cases()]


check = Check(
    Exercise(
        "step_size",
        step_size,
        {
            "no softplus": Mistake(
                "your step can be negative; softplus(logit + bias) makes it positive",
                partial(step_size, squash=lambda x: x),
            ),
            "exp for softplus": Mistake(
                "exp grows without measure for large logits; the step is softplus(logit + bias)",
                partial(step_size, squash=torch.exp),
            ),
            "no bias": Mistake(
                "the bias is missing: it starts a head at its own step size", lambda x, b, r: step_size(x, 0.0, r)
            ),
            "the rate is a logarithm": Mistake(
                "log_rate is the logarithm of the rate: take its exp before you multiply",
                partial(step_size, keep=lambda size, log_rate: torch.exp(-log_rate * size)),
            ),
            "no rate": Mistake(
                "all heads would forget alike; the step is multiplied by the head's rate",
                partial(step_size, keep=lambda size, log_rate: torch.exp(-size)),
            ),
            "growing": Mistake(
                "what is kept is above 1, so the state explodes; the exponent has a minus sign",
                partial(step_size, keep=lambda size, log_rate: torch.exp(torch.exp(torch.tensor(log_rate)) * size)),
            ),
            "writes what it forgets": Mistake(
                "1 - kept is another recurrence; Mamba2 writes with the step size itself", _write_the_rest
            ),
        },
        _step_cases,
        "one number for each token and head: a small one keeps and ignores, a large one forgets and writes",
    ),
    Exercise(
        "delta_rule",
        delta_rule,
        {
            "adding": Mistake(
                "you add the value; subtract first what the state already says about this key",
                partial(_pass, step=lambda S, k, v, g, b: g * S + torch.outer(k, b * v)),
            ),
            "no decay": Mistake(
                "the decay is missing", partial(_pass, step=lambda S, k, v, g, b: _right(S, k, v, 1 + 0 * g, b))
            ),
            "corrected before the decay": Mistake(
                "you subtract what the state said before it decayed; decay first, then read, then write",
                partial(_pass, step=lambda S, k, v, g, b: g * S + torch.outer(k, b * (v - S.T @ k))),
            ),
            "the new decays, too": Mistake(
                "you decay what was just written; the decay comes before the write",
                partial(_pass, step=lambda S, k, v, g, b: g * (S + torch.outer(k, b * (v - S.T @ k)))),
            ),
            "all of it": Mistake(
                "you always move the whole way; only the share b of the difference is written",
                partial(_pass, step=lambda S, k, v, g, b: _right(S, k, v, g, 1 + 0 * b)),
            ),
            "share of the value only": Mistake(
                "the share belongs to the whole difference v - S'k, not to v alone",
                partial(_pass, step=lambda S, k, v, g, b: g * S + torch.outer(k, b * v - g * (S.T @ k))),
            ),
        },
        _delta_cases,
        "decay, read, write the difference: one step of gradient descent on |v - S'k|² / 2, with the share as its rate",
    ),
    Exercise(
        "rewriting_errors",
        rewriting_errors,
        {
            "length not squared": Mistake(
                "the key counts twice, when it writes and when it reads: square its length",
                _errors(lambda c, b: 1 - b * c),
            ),
            "length 1": Mistake("you forget the length of the key", _errors(lambda c, b: 1 - b)),
            "share 1": Mistake("you forget the share", _errors(lambda c, b: 1 - c**2)),
            "adding": Mistake(
                "each write corrects what is left of the error; yours adds the same amount again and again",
                _adding_errors,
            ),
            "what is read": Mistake(
                "you return what is read; the error is 1 minus that",
                lambda c, b, n: [1 - error for error in rewriting_errors(c, b, n)],
            ),
            "without the empty memory": Mistake(
                "the list begins before the first write, where the error is the whole value, 1",
                lambda c, b, n: rewriting_errors(c, b, n)[1:],
            ),
        },
        lambda: [(1.0, 0.5, 3), (2.0, 1.0, 4), (1.2, 0.9, 5), (0.5, 1.0, 3)],
        "with length 2 and share 1 each write makes the error three times as large; with length 1 none ever grows",
    ),
    Exercise(
        "chunk_corrections",
        chunk_corrections,
        {
            "nothing to correct": Mistake(
                "you write the values as they are; the tokens before have already said something about this key",
                lambda k, v, b: b[:, None] * v,
            ),
            "a single round": Mistake(
                "you subtract what the tokens before *wanted* to write; they were corrected themselves, so solve the system",
                _one_round,
            ),
            "the future": Mistake(
                "later tokens correct earlier ones in your answer; keep only the products below the diagonal",
                partial(chunk_corrections, part=lambda products: products - torch.diag(products.diagonal())),
            ),
            "itself": Mistake(
                "a token does not correct its own write; leave the diagonal of the products out",
                partial(chunk_corrections, part=torch.tril),
            ),
            "shares on the columns": Mistake(
                "row t belongs to token t, so it is multiplied with b_t; you multiply column s with b_s",
                partial(chunk_corrections, columns=True),
            ),
        },
        _chunk_cases,
        "a triangular system instead of a loop: this is what makes the delta rule fast to train",
    ),
)
