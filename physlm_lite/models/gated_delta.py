"""The gated delta net: a matrix that corrects what it says about a key, instead of adding to it (Part 4.1, appendix C).

For one head with key width K and value width V, keys and queries of length 1, a log decay a_t <= 0 and a share b_t in
(0, 1), both one number per head:

    S' = exp(a_t) S_{t-1}                                S [K, V], zero before the first token
    S_t = S' + k_t [ b_t (v_t - S'^T k_t) ]^T            decay first; then the value of this key moves towards v_t
    o_t = S_t^T q_t / sqrt(K)                            the state already contains token t

Three forms agree: `delta_step` is the formula for one token, `delta_naive` loops over it, and `delta_chunked` is the one
to train with. q, k and v are made, and o is used, as `linear_attention` says.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import linear_attention
from .context import Context
from .linear_attention import LinearAttention, LinearAttentionConfig
from .recurrence import (
    CHUNK,
    chunk_length,
    decays,
    fold,
    forgotten,
    in_turn,
    start_rates,
    start_steps,
    state_before,
    unfold,
    widen,
)
from .start import Dice


def delta_step(
    state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    share: Tensor,
) -> tuple[Tensor, Tensor]:
    """One token: what it reads [batch, head, value], and the state after it [batch, head, key, value].

    query and key [batch, head, key], value [batch, head, value], log_decay and share [batch, head].
    """
    state = log_decay.exp()[..., None, None] * state
    known = (key[..., None, :] @ state).squeeze(-2)
    state = torch.addcmul(state, key[..., None], (share[..., None] * (value - known))[..., None, :])
    return (query[..., None, :] @ state).squeeze(-2) / query.shape[-1] ** 0.5, state


def delta_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    share: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Token after token. Arguments and results as in `delta_chunked`."""
    return in_turn(delta_step, (query, key, value, log_decay, share), starts, state)


def delta_chunked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    log_decay: Tensor,
    share: Tensor,
    starts: Tensor | None = None,
    state: Tensor | None = None,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """The same, chunk after chunk.

    With u_t = b_t (v_t - S'^T k_t), what token t adds is k_t u_t^T, a recurrence without memory of its own. Inside a
    chunk, with the state S before it and the decays D of `recurrence`, the rows u_t solve a triangular system:

        u_t + b_t sum over s < t of D[t, s] (k_t . k_s) u_s = b_t (v_t - D[t, 0] S^T k_t)

    Its inverse, times the shares, does not depend on S; so three small products are left for the loop over chunks.

    Arguments and results as in `gla_chunked`, but log_decay and share are [batch, position, head].
    """
    position, chunk = query.shape[1], chunk_length(query.shape[1], chunk)
    state, log_decay = state_before(key, value, state), forgotten(log_decay, starts)
    query = query / query.shape[-1] ** 0.5
    query, key, value, log_decay, share = (fold(z, chunk) for z in (query, key, value, log_decay, share[..., None]))
    decay, from_start, to_end, whole = decays(log_decay)
    system = (key @ key.mT * decay * share).tril(-1)
    inverse = torch.linalg.solve_triangular(system, share[..., 0].diag_embed(), upper=False, unitriangular=True)
    parts = (inverse, value, from_start[..., None] * key, (to_end[..., None] * key).mT, whole[..., None, None])
    before, new = [], []
    for solve, wanted, known, left, rest in zip(*(part.unbind(1) for part in parts), strict=True):
        before.append(state)
        new.append(solve @ (wanted - known @ state))
        state = rest * state + left @ new[-1]
    scores = query @ key.mT * decay
    read = scores @ torch.stack(new, 1) + (from_start[..., None] * query) @ torch.stack(before, 1)
    return unfold(read, position), state


@dataclass(frozen=True)
class GatedDeltaConfig(LinearAttentionConfig):
    """The defaults are those of Part 4.1: 6 d^2 parameters."""

    expand_key: float = 0.75
    expand_value: float = 1.5
    touches: ClassVar[int] = 4  # before a token writes, it reads with its key

    @property
    def parameters(self) -> int:
        return super().parameters + 2 * self.heads * (self.width + 1)

    @property
    def uncounted(self) -> int:
        return super().uncounted + 2 * self.heads


# The options of the models released with Part 4.2, called GDN2, with a head for each 128 of the width: 6 d^2 parameters.
GDN2 = {"expand_key": 1.0, "expand_value": 2.0, "gate_rank": 16, "split_init": True}


class GatedDelta(LinearAttention):
    """The mixer; its options are those of `GatedDeltaConfig`.

    b = sigmoid(Wb z) and a = -exp(log_rate) softplus(Wa z + step_bias), from the input z like the output gate; q and k
    are divided by their length after Canon-b.
    """

    __signature__ = inspect.signature(GatedDeltaConfig)
    config: GatedDeltaConfig
    options = GatedDeltaConfig
    operation = "delta"
    naive = staticmethod(delta_naive)
    chunked = staticmethod(delta_chunked)

    def __init__(self, width: int, heads: int, **options: Any) -> None:
        super().__init__(GatedDeltaConfig(width, heads, **options))
        self.share = nn.Linear(width, heads, bias=False)
        self.step = nn.Linear(width, heads, bias=False)
        self.step_bias = nn.Parameter(torch.empty(heads))
        self.log_rate = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None, init: str = "huggingface", divisor: float = 1.0) -> None:
        """As `LinearAttention.reset_parameters`; rates uniform up to 16, steps log-uniform between 0.001 and 0.1."""
        super().reset_parameters(dice, init, divisor)
        start_rates(self.log_rate, 0.0, dice)
        start_steps(self.step_bias, dice)

    def heads(self, x: Tensor, context: Context) -> tuple[Tensor, ...]:
        """As `LinearAttention.heads`, with queries and keys of length 1."""
        query, key, value = super().heads(x, context)
        query, key = (z * (z.square().sum(-1, keepdim=True) + 1e-6).rsqrt() for z in (query, key))
        return query, key, value

    def gates(self, x: Tensor) -> tuple[Tensor, ...]:
        """The log decay and the share, [batch, position, head] each."""
        step = widen(self.step(x)) + self.step_bias
        if torch.compiler.is_compiling():  # which takes softplus's gradient to lie in memory as its input does
            step = step.mT.contiguous().mT
        return -self.log_rate.exp() * F.softplus(step), widen(self.share(x)).sigmoid()


NAMES = {  # in the released checkpoints, see `linear_attention.NAMES`
    **linear_attention.NAMES,
    "share.weight": ("b_proj.weight",),
    "step.weight": ("a_proj.weight",),
    "step_bias": ("dt_bias",),
    "log_rate": ("A_log",),
    "norm.weight": ("o_norm.weight",),
}
