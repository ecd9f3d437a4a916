"""The language model of Part 4.1: a pre-norm decoder with Canon layers at A, B, C and D.

A block, for an input x of shape [batch, position, width]:

    x = x + Attention( CanonA( RMSNorm(x) ) )        CanonB inside, on [query | key | value]
    x = x + FeedForward( CanonC( RMSNorm(x) ) )      CanonD inside, on [gate | up]

Canon layers sit inside the residual branches, never on the residual stream itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, causal_mask, rope_table
from .canon import Canon
from .context import Context, DecodingState
from .feed_forward import GatedFeedForward


@dataclass(frozen=True)
class ModelConfig:
    """One model. Fields that are None follow from the others.

    canon: any subset of "ABCD". rope_dim: rotated coordinates of each head (None: all; 0: none, that is NoPE).
    rope_layout: "half" or "interleaved" pairs. init: "lingua" (truncated normal, width ** -0.5) or "huggingface"
    (normal, 0.02), the starting points of the two published code bases. depth_scaling: divides the output projections
    of each branch by 1 ("none"), sqrt(2 (i + 1)) in layer i ("current") or sqrt(2 (layers + 1)) ("global"); only the
    "lingua" start knows it.
    """

    vocab: int
    width: int = 64
    layers: int = 2
    heads: int = 2
    kv_heads: int | None = None
    head_width: int | None = None
    hidden: int | None = None
    canon: str = ""
    canon_kernel: int = 4
    canon_residual: bool = True
    canon_activation: bool = False
    canon_frozen: bool = False
    canon_compiled: bool = False
    rope_dim: int | None = None
    rope_theta: float = 10_000.0
    rope_layout: str = "half"
    qk_norm: bool = False
    norm_eps: float = 1e-5
    tied: bool = False
    init: str = "lingua"
    depth_scaling: str = "none"

    def __post_init__(self) -> None:
        for name in ("vocab", "width", "layers", "heads", "canon_kernel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("kv_heads", "head_width", "hidden"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None to follow from the others, not {value}")
        if self.head_width is None and self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}; choose another number of "
                             "heads or give head_width")
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"each of the {self.kv_heads} kv heads must serve equally many of the {self.heads} heads")
        if wrong := sorted(set(self.canon) - set("ABCD")):
            raise ValueError(f"canon is a subset of 'ABCD', and {''.join(wrong)!r} is none of these letters")
        if not 0 <= self.rotated <= self.each_head or self.rotated % 2:
            raise ValueError(f"rope_dim must be even and between 0 and the head width {self.each_head}, "
                             f"not {self.rotated}")
        for name, valid in (("rope_layout", ("half", "interleaved")), ("init", ("lingua", "huggingface")),
                            ("depth_scaling", ("none", "current", "global"))):
            if getattr(self, name) not in valid:
                raise ValueError(f"{name} must be one of {', '.join(valid)}, not {getattr(self, name)!r}")

    @property
    def each_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.width // self.heads

    @property
    def rotated(self) -> int:
        """How many coordinates of each head rotate."""
        return self.each_head if self.rope_dim is None else self.rope_dim

    @property
    def feed_forward(self) -> int:
        """Hidden width of the gated feed-forward: 8/3 of the width, rounded up to a multiple of 16, unless given."""
        return self.hidden or 16 * math.ceil(8 * self.width / 3 / 16)

    @property
    def canon_widths(self) -> dict[str, int]:
        """Channels of each Canon position that is in use."""
        qkv = (self.heads + 2 * (self.kv_heads or self.heads)) * self.each_head
        widths = {"A": self.width, "B": qkv, "C": self.width, "D": 2 * self.feed_forward}
        return {name: width for name, width in widths.items() if name in self.canon}

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula (tested against the instantiated model)."""
        heads, kv = self.heads * self.each_head, (self.kv_heads or self.heads) * self.each_head
        block = 2 * self.width * (heads + kv) + 3 * self.width * self.feed_forward + 2 * self.width
        block += (heads + kv) * self.qk_norm + self.canon_kernel * sum(self.canon_widths.values())
        return (2 - self.tied) * self.vocab * self.width + self.width + self.layers * block


class Block(nn.Module):
    """One layer of the decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

        def canon(name: str) -> Canon | None:
            if name not in config.canon_widths:
                return None
            return Canon(config.canon_widths[name], config.canon_kernel, config.canon_residual, config.canon_activation,
                         frozen=config.canon_frozen, compiled=config.canon_compiled)

        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.canon_a = canon("A")
        self.attention = Attention(config.width, config.heads, config.kv_heads or config.heads, config.each_head,
                                   qk_norm=config.qk_norm, norm_eps=config.norm_eps, canon=canon("B"),
                                   rope_layout=config.rope_layout)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.canon_c = canon("C")
        self.feed_forward = GatedFeedForward(config.width, config.feed_forward, canon("D"))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        branch = self.attention_norm(x)
        if self.canon_a is not None:
            branch = context.canon(self.canon_a, "A", branch)
        x = x + self.attention(branch, context)
        branch = self.feed_forward_norm(x)
        if self.canon_c is not None:
            branch = context.canon(self.canon_c, "C", branch)
        return x + self.feed_forward(branch, context)


class LanguageModel(nn.Module):
    """Embedding, blocks, norm, head.

    The same `seed` always gives the same weights; without one PyTorch's generator is used.
    """

    def __init__(self, config: ModelConfig, seed: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head = nn.Linear(config.width, config.vocab, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self._tables: tuple[int, Tensor, Tensor] | None = None
        if self.embedding.weight.device.type != "meta":
            self.reset_parameters(None if seed is None else torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """The published starting distributions (appendix C.2; see `ModelConfig.init`)."""
        config = self.config

        def normal(weight: Tensor, std: float, bound: float) -> None:
            if config.init == "huggingface":
                weight.normal_(0, 0.02, generator=generator)
            else:
                nn.init.trunc_normal_(weight, 0, std, -bound, bound, generator=generator)

        std = config.width**-0.5
        normal(self.embedding.weight, std, 3 * std)
        if not config.tied:
            normal(self.head.weight, std, 3 * std)
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            depth = {"none": 1.0, "current": (2 * (i + 1)) ** 0.5, "global": (2 * (config.layers + 1)) ** 0.5}
            divisor = depth[config.depth_scaling]
            for layer in (block.attention.query, block.attention.key, block.attention.value,
                          block.feed_forward.gate, block.feed_forward.up):
                normal(layer.weight, std, 3 * std)
            normal(block.attention.output.weight, std / divisor, 3 * std)  # the published bound is not divided
            down = config.feed_forward**-0.5 / divisor
            normal(block.feed_forward.down.weight, down, 3 * down)
        for module in self.modules():
            if isinstance(module, Canon):
                module.reset_parameters(generator)
            elif isinstance(module, nn.RMSNorm):
                module.weight.fill_(1.0)

    def hidden(self, tokens: Tensor, document: Tensor | None = None, state: DecodingState | None = None) -> Tensor:
        """Final hidden vectors [batch, position, width] of tokens [batch, position].

        `document` [batch, position]: packed examples and padding (each example its own number, padding -1) that must
        not see each other; without it, every position sees all earlier ones (the published, leaky behaviour for packed
        windows). `state`: the past of a continued text, updated in place.
        """
        if tokens.dim() != 2:
            raise ValueError(f"tokens should be [batch, position], not {list(tokens.shape)}")
        if document is not None and document.shape != tokens.shape:
            raise ValueError(f"document should be {list(tokens.shape)} like tokens, not {list(document.shape)}")
        past = state.length if state is not None else 0
        count = past + tokens.shape[1]
        past_document = state.document if state is not None else None
        if state is not None:
            if past and (document is None) != (past_document is None):
                raise ValueError("a text begun with document numbers must be continued with them, and one begun "
                                 "without must not")
            if not state.layers:
                state.layers = [{} for _ in self.blocks]
            if document is not None:
                state.document = document if past_document is None else torch.cat([past_document, document], 1)
            state.length = count
        plain = document is None and (past == 0 or tokens.shape[1] == 1)
        mask = None
        if not plain:
            every = document if past_document is None or document is None else torch.cat([past_document, document], 1)
            mask = causal_mask(tokens.shape[1], count, every, tokens.device)
        elif past:
            mask = torch.ones(1, 1, 1, count, dtype=torch.bool, device=tokens.device)
        x = self.embedding(tokens)
        rope = self.rope(past, count, tokens.device)
        for i, block in enumerate(self.blocks):
            x = block(x, Context(rope, mask, document, past_document, state.layers[i] if state is not None else None))
        return self.norm(x)

    def forward(self, tokens: Tensor, document: Tensor | None = None, state: DecodingState | None = None) -> Tensor:
        """Next-token logits [batch, position, vocab]; arguments as in `hidden`."""
        return self.head(self.hidden(tokens, document, state))

    def loss(self, tokens: Tensor, targets: Tensor, document: Tensor | None = None) -> Tensor:
        """Mean cross-entropy over the tokens marked in `targets` (each predicted from the tokens before it)."""
        hidden = self.hidden(tokens[:, :-1], None if document is None else document[:, :-1])
        wanted = targets[:, 1:]
        return F.cross_entropy(self.head(hidden[wanted]).float(), tokens[:, 1:][wanted])

    @torch.no_grad()
    def guesses(self, tokens: Tensor, document: Tensor | None = None) -> Tensor:
        """The most likely token for each position under teacher forcing: guesses[:, t] is for tokens[:, t]."""
        best = self(tokens[:, :-1], None if document is None else document[:, :-1]).argmax(-1)
        return F.pad(best, (1, 0), value=-1)

    def rope(self, begin: int, end: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """The rotation tables of positions begin..end-1, or None for a model without positions."""
        if self.config.rotated == 0:
            return None
        if self._tables is None or self._tables[0] < end or self._tables[1].device != device:
            size = max(2 * end, 128)  # room to grow: decoding asks for one more position at each step
            with torch.inference_mode(False):  # the table outlives this call and may serve training next
                table = rope_table(torch.arange(size, device=device), self.config.rotated, self.config.rope_theta)
            self._tables = (size, *table)
        return self._tables[1][begin:end], self._tables[2][begin:end]
