"""A mixture of experts in place of one feed-forward layer (Part 4.1, section 5.4, and Part 3.3, Result 9).

A router sends each token to its most likely expert and multiplies what comes back by that probability (Fedus et al.,
arXiv 2101.03961). While training, an expert takes at most `capacity` times its equal share of the tokens; a token that
finds no room gets zero from the layer, so only the residual stream carries it. Room is given in the order of positions:
the first tokens of all rows, then the second ones, and so on, so that nobody's place depends on a later token. Outside
of training (logits, scores, decoding) nobody is turned away, and a token's output depends on the token alone.

`dispatch_naive` sends one token after another; `dispatch` sorts them by expert. They agree (tested).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import Range
from .context import Context
from .feed_forward import ACTIVATIONS, FeedForwardConfig
from .joined import plain
from .start import Start

Activation = Callable[[Tensor], Tensor]


def balance(share: Tensor, expert: Tensor) -> Tensor:
    """The load-balance loss of one layer: experts * sum over e of (fraction of tokens sent to e) * (mean share of e).

    share [token, expert]: the router's probabilities; expert [token]: where each went, before anybody is turned away.
    It is 1 when all experts are used alike, and at most the number of experts.
    """
    fraction = torch.bincount(expert, minlength=share.shape[1]).to(share.dtype) / max(len(expert), 1)
    return share.shape[1] * (fraction * share.mean(0)).sum()


def dispatch_naive(
    x: Tensor,
    expert: Tensor,
    up: Tensor,
    down: Tensor,
    gate: Tensor | None,
    activation: Activation,
    room: int | None = None,
) -> Tensor:
    """Each token through its own expert, in order; zero for those that find it full.

    x [token, width]; expert [token], a number that is no expert's sends it nowhere; up and gate [expert, hidden,
    width], no gate for standard experts; down [expert, width, hidden]; room: how many tokens an expert takes (None: all).
    """
    taken = [0] * len(up)
    outputs = []
    for token, e in zip(x, expert.tolist(), strict=True):
        if e >= len(up) or taken[e] == room:
            outputs.append(torch.zeros_like(token))
            continue
        taken[e] += 1
        inner = activation(up[e] @ token) if gate is None else activation(gate[e] @ token) * (up[e] @ token)
        outputs.append(down[e] @ inner)
    return torch.stack(outputs)


def dispatch(
    x: Tensor,
    expert: Tensor,
    up: Tensor,
    down: Tensor,
    gate: Tensor | None,
    activation: Activation,
    room: int | None = None,
) -> Tensor:
    """`dispatch_naive`, with one product for all tokens of an expert."""
    order = expert.argsort(stable=True)
    loads = torch.bincount(expert, minlength=len(up)).tolist()
    queues = order.split(loads)[: len(up)]
    served = [queue if room is None else queue[:room] for queue in queues]
    every = torch.cat(served)
    parts = x.index_select(0, every).split([len(queue) for queue in served])
    # taken apart at once: one after the other, each would bring a gradient of the size of all experts
    ups, downs, gates = up.unbind(), down.unbind(), [None] * len(up) if gate is None else gate.unbind()
    outputs = []
    for part, u, d, g in zip(parts, ups, downs, gates, strict=True):
        inner = activation(F.linear(part, u)) if g is None else activation(F.linear(part, g)) * F.linear(part, u)
        outputs.append(F.linear(inner, d))
    joined = torch.cat(outputs)
    return joined.new_zeros(len(x), joined.shape[1]).index_copy(0, every, joined)


def room_for(tokens: int, experts: int, capacity: float) -> int:
    """How many of `tokens` tokens an expert takes in training: `capacity` times an equal share, rounded up."""
    return math.ceil(capacity * tokens / experts)


@dataclass(frozen=True)
class ExpertsConfig(FeedForwardConfig):
    """The options of a mixture of experts; `ModelConfig` says what they mean."""

    experts: Annotated[int, Range(most=2**16)] = 2
    expert_capacity: float = 2.0
    expert_balance: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.experts < 2:
            raise ValueError(
                f"experts must be 0 (one feed-forward layer for all tokens) or at least 2, not {self.experts}"
            )
        if self.expert_capacity <= 0:
            raise ValueError(f"expert_capacity must be a positive number of equal shares, not {self.expert_capacity}")
        if self.expert_balance < 0:
            raise ValueError(f"expert_balance must be 0 or a positive weight, not {self.expert_balance}")

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula: the experts and the router."""
        return self.experts * (super().parameters + self.width)

    def flops(self) -> int:
        """Operations for one token, which visits the router and one expert."""
        return 2 * (super().parameters + self.experts * self.width)


class Experts(nn.Module):
    """A router and `experts` feed-forward layers of the same form, gated or standard.

    In training (`context.auxiliary` is a list) it appends its load-balance loss there. Padding, that is a negative
    document number, goes to no expert and counts nowhere.
    """

    def __init__(self, config: ExpertsConfig) -> None:
        super().__init__()
        self.config, shape = config, (config.experts, config.inner, config.width)
        self.router = nn.Linear(config.width, config.experts, bias=False)
        self.gate = nn.Parameter(torch.empty(*shape)) if config.mlp == "gated" else None
        self.up = nn.Parameter(torch.empty(*shape))
        self.down = nn.Parameter(torch.empty(config.experts, config.width, config.inner))
        self.activation = ACTIVATIONS[config.activation]
        for weight in (self.gate, self.up, self.down):
            if weight is not None:
                nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)

    def route(self, x: Tensor) -> Tensor:
        """The router's probabilities [token, expert] for x [token, width], in float32 whatever the precision around."""
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.promote_types(x.dtype, torch.float32)
            if plain(self.router):
                return F.linear(x.to(wide), self.router.weight.to(wide)).softmax(-1)
            own = next((p.dtype for p in self.router.parameters() if p.is_floating_point()), wide)
            return self.router(x.to(own)).to(wide).softmax(-1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        tokens = x.transpose(0, 1).flatten(0, 1)  # in the order in which room is given
        share = self.route(tokens)
        probability, expert = share.max(-1)
        padding = None if context.document is None else (context.document < 0).t().flatten()
        if context.auxiliary is not None:
            kept = slice(None) if padding is None else ~padding
            context.auxiliary.append(balance(share[kept], expert[kept]))
        if padding is not None:
            expert = expert.masked_fill(padding, self.config.experts)
        most = None  # outside of training nobody is turned away
        if context.auxiliary is not None:
            most = room_for(len(tokens), self.config.experts, self.config.expert_capacity)
        mixed = dispatch(tokens, expert, self.up, self.down, self.gate, self.activation, most)
        mixed = (mixed * probability[:, None]).to(x.dtype)
        return mixed.unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1)

    def inputs(self) -> list[Tensor]:
        """The matrices that read the stream."""
        return [self.router.weight, *([] if self.gate is None else [self.gate]), self.up]

    def start_output(self, start: Start, divisor: float) -> None:
        """The matrices that write to it; the bound is three deviations."""
        std = (start.std or self.config.inner**-0.5) / divisor
        start.fill(self.down, std, 3 * std)
