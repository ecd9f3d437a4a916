"""What the linear mixers share: boundaries of documents, chunks of tokens, and products of decays.

A linear mixer keeps a matrix S [key, value] for each head. A token lets it decay, writes a key with its value, and reads
with its query (Part 4.1, section 6 and appendix C):

    S_t = g_t * S_{t-1} + k_t v_t^T              o_t = S_t^T q_t                 0 <= g_t <= 1 for each key channel

For training, the tokens are taken in chunks. With D[t, s] = g_{s+1} ... g_t, the decay from token s to token t, and S the
matrix before the chunk, which takes the place of token 0, the last token of the chunk being C:

    o_t = S^T (q_t * D[t, 0]) + sum over s <= t of v_s sum(q_t * k_s * D[t, s])
    S_C = D[C, 0] * S + sum over s of (k_s * D[C, s]) v_s^T

The quotient D[t, 0] / D[s, 0] would give D[t, s], but it is 0 / 0 as soon as the decays are strong. Here every D is a
product and nothing is ever divided: nothing overflows, nothing cancels, and a decay of exactly 0 forgets everything,
which is how a document begins. `products` does this for decays of each key channel, `decays` for one decay per head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .by_hand import by_autograd, once, transformed
from .context import Context
from .start import Dice, thrown

CHUNK = 32  # tokens; longer ones cost more inside a chunk, shorter ones more states
STATE = "recurrence"  # the name under which a mixer keeps its matrices when decoding


def widen(x: Tensor) -> Tensor:
    """`x` in at least float32: recurrences and log decays are never computed in less."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def document_starts(context: Context) -> Tensor | None:
    """Where the recurrence starts anew, as `Texts.starts`; None if there are no documents."""
    return None if context.texts is None else context.texts.starts()


def over_padding(context: Context, key: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and log decays [batch, position, ...] with which padding in the middle of a text leaves the state alone."""
    if context.texts is None or not context.texts.holes:
        return key, log_decay
    padding = context.texts.padding
    return tuple(z.masked_fill(padding.view(*padding.shape, *[1] * (z.dim() - 2)), 0) for z in (key, log_decay))  # type: ignore[return-value]


class Recurrent(nn.Module):
    """The frame of a linear mixer: a recurrence in two forms, each called as form(*inputs, starts, state)."""

    config: Any
    operation: ClassVar[str]  # its name among the `kernels`
    kernel_joins: ClassVar[bool] = True  # whether that kernel takes documents and an earlier state at once
    naive: ClassVar[Callable[..., tuple[Tensor, Tensor]]]
    chunked: ClassVar[Callable[..., tuple[Tensor, Tensor]]]

    def recur(self, inputs: tuple[Tensor, ...], context: Context) -> Tensor:
        """What is read of `inputs` (query, key, value, ...), going on from the past in `context`, which is kept up."""
        key, starts = inputs[1], document_starts(context)
        state = None if context.state is None else context.state.get(STATE)
        form = self.naive
        if key.shape[1] > 1:
            form = self.chunked
            if self.kernel_joins or starts is None or state is None:
                form = context.kernel(self.operation, self.config.width, key.shape[-1]) or form
        with torch.autocast(key.device.type, enabled=False):
            read, state = form(*inputs, starts, state)
        if context.state is not None:
            context.state[STATE] = state
        return read


def in_turn(
    step: Callable[..., tuple[Tensor, Tensor]], inputs: tuple[Tensor, ...], starts: Tensor | None, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token after token: step(state, *inputs of a token) gives what it reads and the state after it."""
    state, read = state_before(inputs[1], inputs[2], state), []
    for t in range(inputs[1].shape[1]):
        if starts is not None:  # a new document remembers nothing
            state = torch.where(starts[:, t, None, None, None], 0, state)
        now, state = step(state, *(x[:, t] for x in inputs))
        read.append(now)
    return torch.stack(read, 1), state


def state_before(key: Tensor, value: Tensor, state: Tensor | None) -> Tensor:
    """The state [batch, head, key, value] to begin with; zeros unless given."""
    batch, _, heads, width = value.shape
    return value.new_zeros(batch, heads, key.shape[-1], width) if state is None else state


def forgotten(log_decay: Tensor, starts: Tensor | None) -> Tensor:
    """Log decays [batch, position, head, ...] that forget everything where a document starts."""
    if starts is None:
        return log_decay
    return log_decay.masked_fill(starts.view(*starts.shape, *[1] * (log_decay.dim() - 2)), -torch.inf)


def start_rates(log_rate: Tensor, least: float, dice: Dice) -> None:
    """Fill with the logarithm of rates uniform between `least` and 16, one for each head."""
    log_rate.uniform_(least, 16, generator=thrown(dice, log_rate)).clamp_(min=1e-4).log_()


def start_steps(bias: Tensor, dice: Dice) -> None:
    """Fill with numbers whose softplus is log-uniform between 0.001 and 0.1, one for each head."""
    step = bias.uniform_(math.log(0.001), math.log(0.1), generator=thrown(dice, bias)).exp()
    bias.copy_(step + (-torch.expm1(-step)).log())


def chunk_length(position: int, chunk: int) -> int:
    """The chunk to use for `position` tokens: at most `chunk`, and no longer than needed; a power of 2."""
    if chunk < 1 or chunk & (chunk - 1):
        raise ValueError(f"chunk should be a power of 2 such as {CHUNK}, not {chunk}")
    return min(chunk, 1 << (position - 1).bit_length())


def fold(x: Tensor, chunk: int) -> Tensor:
    """[batch, position, head, ...] to [batch, chunk number, head, position in chunk, ...], the rest filled with zeros.

    A zero as key writes nothing, and as log decay it forgets nothing: the filling leaves the state alone.
    """
    return pad(x, chunk).unflatten(1, (-1, chunk)).transpose(2, 3).contiguous()


def pad(x: Tensor, chunk: int) -> Tensor:
    """[batch, position, ...] with zeros behind, up to a multiple of `chunk`."""
    missing = -x.shape[1] % chunk
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, missing)) if missing else x


def unfold(x: Tensor, position: int) -> Tensor:
    """The inverse of `fold`."""
    return x.transpose(2, 3).flatten(1, 2)[:, :position]


def carry(state: Tensor, decay: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """From chunk to chunk, state = decay * state + new: all states *before* a chunk, and the one after the last.

    state [batch, ...], decay and new [batch, chunk number, ...]; the states come back stacked like `new`.
    """
    before = []
    for g, x in zip(decay.unbind(1), new.unbind(1), strict=True):
        before.append(state)
        state = torch.addcmul(x, g, state)
    return torch.stack(before, 1), state


def products(query: Tensor, key: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inside a chunk: how much each token reads of each token before it, of the past, and what it leaves behind.

    With D as above, a query q, a key k and a decay g for each token and channel,

        scores[t, s] = sum(q_t * k_s * D[t, s])   for s <= t, else 0          [..., token, token]
        from_start[t] = q_t * D[t, 0]                                         [..., token, channel]
        to_end[s] = k_s * D[C, s]                                             [..., token, channel]
        whole = D[C, 0]                                                       [..., channel]

    Args: [..., token, channel] each; log_decay may be -inf; the number of tokens is a power of 2.
    """
    form = products_naive if transformed() else _Products.apply
    return form(query, key, log_decay)


def decays(log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`products` for one channel and all queries and keys 1: the decays alone.

    log_decay [..., token] gives D [..., token, token] (0 for s > t), D[t, 0] and D[C, s] [..., token], D[C, 0] [...].
    """
    return decays_naive(log_decay) if transformed() else _Decays.apply(log_decay)


def products_naive(query: Tensor, key: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`products` as the formula says it, with a D for each channel: `token` times as many numbers as its arguments."""
    decay, from_start, to_end, whole = decays_naive(log_decay.mT)
    scores = torch.einsum("...tc, ...sc, ...cts -> ...ts", query, key, decay)
    return scores, query * from_start.mT, key * to_end.mT, whole


def decays_naive(log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`decays` as the formula says it: log D[t, s] is the sum of the log decays from token s + 1 to token t."""
    tokens = log_decay.shape[-1]
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=log_decay.device).tril(-1)
    each = log_decay[..., None].expand(*log_decay.shape, tokens).masked_fill(~later, 0)
    decay, from_start = each.cumsum(-2).exp().tril(), log_decay.cumsum(-1).exp()
    return decay, from_start, decay[..., -1, :], from_start[..., -1]


class _Products(torch.autograd.Function):
    """`products`, with the derivative by hand: what PyTorch would keep for it at each size of block is recomputed."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, log_decay: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(query, key, log_decay)
        scores = query.new_zeros(*query.shape[:-1], query.shape[-2])
        scores.diagonal(0, -2, -1).copy_((query * key).sum(-1))
        from_start, to_end = log_decay.exp(), torch.ones_like(log_decay)
        for size, late, early in _doubling(from_start, to_end):
            read = _halves(query, size)[1] * late
            written = _halves(key, size)[0] * early
            _corners(scores, size).copy_(read @ written.mT)
        return scores, query * from_start, key * to_end, from_start[..., -1, :].clone()

    @staticmethod
    def backward(
        ctx: Any, dscores: Tensor, dfrom_start: Tensor, dto_end: Tensor, dwhole: Tensor
    ) -> tuple[Tensor | None, ...]:
        query, key, log_decay = inputs = ctx.saved_tensors
        if not once():
            gradients = (dscores, dfrom_start, dto_end, dwhole)
            return by_autograd(products_naive, inputs, ctx.needs_input_grad, gradients)
        dquery, dkey = torch.zeros_like(query), torch.zeros_like(key)
        from_start, to_end = log_decay.exp(), torch.ones_like(log_decay)
        for size, late, early in _doubling(from_start, to_end):
            read = _halves(query, size)[1] * late
            written = _halves(key, size)[0] * early
            dcorner = _corners(dscores, size)
            _halves(dquery, size)[1].addcmul_(late, _apply(dcorner, written))
            _halves(dkey, size)[0].addcmul_(early, _apply(dcorner.mT, read))
        dquery.addcmul_(from_start, dfrom_start)
        # An entry is linear in D[t, s] and in q_t, hence its derivative by log D[t, s] is q_t times that by q_t.
        later = (query * dquery).addcmul_(key, dkey, value=-1)
        dto_end = dto_end * to_end
        dlog_decay = _log_decay_gradient(later, key * dto_end, (from_start[..., -1, :] * dwhole)[..., None, :])
        same = dscores.diagonal(0, -2, -1)[..., None]  # a token reads itself, whatever the decay
        return dquery.addcmul_(same, key), dto_end.add_(dkey).addcmul_(same, query), dlog_decay


class _Decays(torch.autograd.Function):
    """`decays`, with the derivative by hand as in `_Products`; here D itself is all that it needs."""

    @staticmethod
    def forward(ctx: Any, log_decay: Tensor) -> tuple[Tensor, ...]:
        tokens = log_decay.shape[-1]
        matrix = torch.eye(tokens, dtype=log_decay.dtype, device=log_decay.device).repeat(*log_decay.shape[:-1], 1, 1)
        from_start = log_decay.exp()[..., None]
        to_end = torch.ones_like(from_start)
        for size, late, early in _doubling(from_start, to_end):
            _corners(matrix, size).copy_(late * early.mT)
        ctx.save_for_backward(log_decay, matrix, from_start, to_end)
        return matrix, from_start[..., 0].clone(), to_end[..., 0].clone(), from_start[..., -1, 0].clone()

    @staticmethod
    def backward(ctx: Any, dmatrix: Tensor, dfrom_start: Tensor, dto_end: Tensor, dwhole: Tensor) -> Tensor | None:
        log_decay, matrix, from_start, to_end = ctx.saved_tensors
        if not once():
            gradients = (dmatrix, dfrom_start, dto_end, dwhole)
            return by_autograd(decays_naive, (log_decay,), (True,), gradients)[0]
        both = dmatrix * matrix
        later = both.sum(-1) - both.sum(-2) + dfrom_start * from_start[..., 0]
        whole = (dwhole * from_start[..., -1, 0])[..., None, None]
        return _log_decay_gradient(later[..., None], dto_end[..., None] * to_end, whole)[..., 0]


def _doubling(from_start: Tensor, to_end: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Blocks of 1, 2, 4, ... tokens [..., token, channel]; each yield shows a pair of neighbouring blocks.

    `from_start` begins as the decay of each token and `to_end` as 1. At a yield they hold, inside each block of `size`
    tokens, the decay from before the block to token t, and from token s to the end of the block. For a token t of the
    late block of a pair and a token s of the early one, D[t, s] is hence late[t] * early[s]. Then the two blocks become
    one, in place; at the end the whole chunk is one block.
    """
    size = 1
    while size < from_start.shape[-2]:
        (start_early, start_late), (end_early, _) = _halves(from_start, size), _halves(to_end, size)
        yield size, start_late, end_early
        end_early *= start_late[..., -1:, :]
        start_late *= start_early[..., -1:, :]
        size *= 2


def _halves(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Views of the early and the late blocks: [..., token, channel] to twice [..., pair, token in block, channel]."""
    early, late = x.unflatten(-2, (-1, 2, size)).unbind(-3)
    return early, late


def _corners(matrix: Tensor, size: int) -> Tensor:
    """A view of what late blocks have with the early ones of their pair: [..., pair, token in late, token in early]."""
    late = matrix.unflatten(-2, (-1, 2, size)).select(-3, 1)
    corners = late.unflatten(-1, (-1, 2, size)).select(-2, 0)  # [..., pair, token, pair, token]
    return corners.diagonal(0, -4, -2).movedim(-1, -3)


def _apply(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix @ x; for matrices of at most 4 x 4, of which there are many, column after column."""
    if matrix.shape[-1] > 4:
        return matrix @ x
    result = matrix[..., :1] * x[..., :1, :]
    for i in range(1, matrix.shape[-1]):
        result.addcmul_(matrix[..., i : i + 1], x[..., i : i + 1, :])
    return result


def _log_decay_gradient(later: Tensor, earlier: Tensor, whole: Tensor) -> Tensor:
    """The decay of token r stands between everything from before r and everything from r on.

    Hence its derivative is the sum of `later` (by log D[t, ...], minus that by log D[..., s] inside the chunk) from r
    on, plus the sum of `earlier` (by log D[C, s]) before r, plus `whole`. All [..., token, channel].
    """
    ones = later.new_ones(later.shape[-2], later.shape[-2])
    return ones.triu() @ later + ones.tril(-1) @ earlier + whole
