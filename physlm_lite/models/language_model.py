"""The language model of Part 4.1: a pre-norm decoder with Canon layers at A, B, C and D.

A block, for an input x of shape [batch, position, width]:

    x = x + Attention( CanonA( RMSNorm(x) ) )        CanonB inside, on [query | key | value]
    x = x + FeedForward( CanonC( RMSNorm(x) ) )      CanonD inside, on [gate | up]

Canon layers sit inside the residual branches, never on the residual stream itself. The one exception is the cross-layer
Canon of section 9, y = Block(x) + convolution(x). Another mixer may stand in the place of attention.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import unknown
from .attention import Attention, causal_mask
from .by_hand import transformed
from .canon import Canon
from .context import Context, DecodingState, Seen
from .experts import Experts
from .feed_forward import ACTIVATIONS, GatedFeedForward, StandardFeedForward
from .gated_delta import GatedDelta
from .gla import GLA
from .mamba2 import Mamba2
from .positions import POSITIONS, position_mask, rope_table

# The linear mixers. A class is made as cls(width, heads, **options) and has, beside forward(x, context) like Attention,
# reset_parameters(generator, init, divisor), and count and flops(width, heads, **options) of the class, its parameters and the
# operations for one token by formula.
MIXERS: dict[str, Any] = {"gla": GLA, "mamba2": Mamba2, "gated_delta": GatedDelta}


@dataclass(frozen=True)
class ModelConfig:
    """One model. Fields that are None follow from the others.

    mixer: "attention", or "gla", "mamba2", "gated_delta"; to these linear ones the options of attention do not apply.
    mixer_options: their own, for example those of the released models, `gla.GLA5`, `mamba2.MAMBA2`, `gated_delta.GDN2`.

    positions: "rope", "alibi" or "hard_alibi" (`positions.py`). rope_dim: rotated coordinates of each head (None: all;
    0: none, that is NoPE). rope_heads: how many heads rotate (None: all). rope_layout: "half" or "interleaved" pairs.
    The quarter layouts of figure 26 are rope_dim = head width / 4, rope_heads = heads / 4, or a half of both.

    mlp: "gated" (hidden width 8/3 of the width), "standard" (4 times) or "none". activation: "silu", "gelu" or "relu2".
    experts: how many feed-forward layers share the tokens (0: one for all). expert_capacity: the most tokens an expert
    takes in training, in equal shares. expert_balance: weight of the load-balance loss.

    canon: any subset of "ABCD". canon_layers: the layers that have Canon layers (None: all; -1 is the last one).
    canon_init: "uniform" or "zeros". canon_frozen: never trained. canon_cross: adds to each layer's output a convolution
    of its input. Primer's attention is canon="B" with canon_residual=False.

    init: "lingua" (truncated normal, width ** -0.5) or "huggingface" (normal, 0.02), the starting points of the two
    published code bases; "mamba2", for that mixer only, is a third one. init_std: another deviation than these, in the
    layers ("lingua") or everywhere ("huggingface"). depth_scaling: divides the output projections of each branch by 1
    ("none"), sqrt(2 (i + 1)) in layer i ("current") or sqrt(2 (layers + 1)) ("global"); only the "lingua" start knows it.
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
    positions: str = "rope"
    rope_heads: int | None = None
    mlp: str = "gated"
    activation: str = "silu"
    experts: int = 0
    expert_capacity: float = 2.0
    expert_balance: float = 0.01
    canon_init: str = "uniform"
    canon_layers: tuple[int, ...] | None = None
    canon_cross: bool = False
    init_std: float | None = None
    mixer: str = "attention"
    mixer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("vocab", "width", "layers", "heads", "canon_kernel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("kv_heads", "head_width", "hidden"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None to follow from the others, not {value}")
        if self.init_std is not None and not 0 < self.init_std < math.inf:
            raise ValueError(f"init_std must be a positive number, or None for the published one, not {self.init_std}")
        starts = ("lingua", "huggingface", *(["mamba2"] if self.mixer == "mamba2" else []))
        for name, valid in (
            ("rope_layout", ("half", "interleaved")),
            ("init", starts),
            ("depth_scaling", ("none", "current", "global")),
            ("canon_init", ("uniform", "zeros")),
            ("mlp", ("gated", "standard", "none")),
            ("activation", tuple(ACTIVATIONS)),
            ("mixer", ("attention", *MIXERS)),
            ("positions", POSITIONS),
        ):
            if getattr(self, name) not in valid:
                hint = "; for NoPE leave positions out and set rope_dim to 0" if name == "positions" else ""
                raise ValueError(f"{name} must be one of {', '.join(valid)}, not {getattr(self, name)!r}{hint}")
        self._check_mixer()
        self._check_feed_forward()
        self._check_canon()

    def _refuse(self, names: str, reason: str) -> None:
        """Refuse those of the options that differ from their defaults."""
        for name in names.split():
            default = self.__dataclass_fields__[name].default
            if getattr(self, name) != (default if default is not MISSING else {}):
                raise ValueError(f"{name} {reason}")

    def _check_mixer(self) -> None:
        rotation = "rope_dim rope_theta rope_layout rope_heads"
        if self.mixer != "attention":
            reason = f"is an option of attention; leave it out with mixer {self.mixer!r}"
            self._refuse(f"kv_heads head_width qk_norm init_std positions {rotation}", reason)
            options = inspect.signature(MIXERS[self.mixer]).parameters
            valid = [name for name in options if name not in ("width", "heads", "norm_eps", "canon_compiled")]
            for name in self.mixer_options:
                if name not in valid:
                    raise unknown(f"option of mixer {self.mixer!r}", name, valid)
            _ = self._mixer_parameters  # the mixer refuses sizes that do not fit
            return
        self._refuse("mixer_options", "are for a mixer other than attention; give mixer as well")
        if self.head_width is None and self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width}; choose another number of "
                "heads or give head_width"
            )
        if self.heads % (self.kv_heads or self.heads):
            raise ValueError(f"each of the {self.kv_heads} kv heads must serve equally many of the {self.heads} heads")
        if self.positions != "rope":
            self._refuse(rotation, f"is an option of rotation; leave it out with positions {self.positions!r}")
        if self.positions == "hard_alibi" and self.heads < 2:
            raise ValueError("hard_alibi limits half of the heads, so it needs at least 2")
        if not 0 <= self.rotated <= self.each_head or self.rotated % 2:
            raise ValueError(
                f"rope_dim must be even and between 0 and the head width {self.each_head}, not {self.rotated}"
            )
        if self.rope_heads is not None:
            group = self.heads // (self.kv_heads or self.heads)
            if self.rotated == 0:
                raise ValueError("rope_heads says which heads rotate, and with rope_dim 0 none does; leave one out")
            if not 0 < self.rope_heads <= self.heads or self.rope_heads % group:
                raise ValueError(
                    f"rope_heads must be between 1 and the {self.heads} heads, in steps of the {group} that "
                    f"share a kv head, not {self.rope_heads}; for none, set rope_dim to 0"
                )

    def _check_feed_forward(self) -> None:
        if self.mlp == "none":
            reason = "is an option of the feed-forward layer; leave it out with mlp 'none'"
            self._refuse("hidden activation experts", reason)
        if self.experts < 0 or self.experts == 1:
            raise ValueError(
                f"experts must be 0 (one feed-forward layer for all tokens) or at least 2, not {self.experts}"
            )
        if not self.experts:
            self._refuse("expert_capacity expert_balance", "is an option of a mixture of experts; give experts as well")
        if not 0 < self.expert_capacity < math.inf:
            raise ValueError(f"expert_capacity must be a positive number of equal shares, not {self.expert_capacity}")
        if not 0 <= self.expert_balance < math.inf:
            raise ValueError(f"expert_balance must be 0 or a positive weight, not {self.expert_balance}")

    def _check_canon(self) -> None:
        if wrong := sorted(set(self.canon) - set("ABCD")):
            raise ValueError(f"canon is a subset of 'ABCD', and {''.join(wrong)!r} is none of these letters")
        if self.mixer != "attention" and "B" in self.canon:
            raise ValueError(
                f"canon 'B' mixes query, key and value of attention; with mixer {self.mixer!r}, which has a "
                "short convolution of its own, choose a subset of 'ACD'"
            )
        if self.mlp == "none" and set(self.canon) & set("CD"):
            raise ValueError(
                "canon 'C' and 'D' belong to the feed-forward layer; with mlp 'none' choose a subset of "
                f"{'AB' if self.mixer == 'attention' else 'A'!r}"
            )
        if self.experts and "D" in self.canon:
            raise ValueError(
                "canon 'D' would mix neighbours inside an expert, and neighbours go to different experts; "
                "with experts choose a subset of 'ABC'"
            )
        if not self.canon and not self.canon_cross:
            self._refuse("canon_layers canon_init", "is an option of Canon layers; give canon as well")
        if self.canon_init == "zeros" and (self.canon_frozen or not self.canon_residual):
            raise ValueError(
                "canon_init 'zeros' starts from the identity and must be trained; it goes neither with "
                "canon_frozen nor without canon_residual"
            )
        if self.canon_layers is not None:
            places = [place % self.layers for place in self.canon_layers if -self.layers <= place < self.layers]
            if not places or len(set(places)) < len(self.canon_layers):
                raise ValueError(
                    f"canon_layers must name different layers between 0 and {self.layers - 1}, or from the "
                    f"end -1 to {-self.layers}, at least one; not {list(self.canon_layers)}"
                )

    @property
    def each_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.width // self.heads

    @property
    def rotated(self) -> int:
        """How many coordinates of each head that rotates do so."""
        if self.mixer != "attention" or self.positions != "rope":
            return 0
        return self.each_head if self.rope_dim is None else self.rope_dim

    @property
    def all_mixer_options(self) -> dict[str, Any]:
        """What a linear mixer is made with beside width and heads."""
        return {"norm_eps": self.norm_eps, "canon_compiled": self.canon_compiled, **self.mixer_options}

    @property
    def feed_forward(self) -> int:
        """Hidden width of a feed-forward layer, unless given: 8/3 of the width, rounded up to a multiple of 16, if it
        is gated, 4 times the width if it is standard; 0 without one."""
        default = {"gated": 16 * math.ceil(8 * self.width / 3 / 16), "standard": 4 * self.width, "none": 0}
        return self.hidden or default[self.mlp]

    @property
    def canon_widths(self) -> dict[str, int]:
        """Channels of each Canon position that is in use, in a layer that has Canon layers (X: the cross-layer one)."""
        qkv = (self.heads + 2 * (self.kv_heads or self.heads)) * self.each_head
        both = self.feed_forward * (2 if self.mlp == "gated" else 1)
        widths = {"A": self.width, "B": qkv, "C": self.width, "D": both, "X": self.width}
        used = self.canon + "X" * self.canon_cross
        return {name: width for name, width in widths.items() if name in used}

    @property
    def canon_depths(self) -> list[int]:
        """The layers that have Canon layers."""
        if self.canon_layers is None:
            return list(range(self.layers)) if self.canon_widths else []
        return sorted(place % self.layers for place in self.canon_layers)

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula (tested against the instantiated model)."""
        feed_forward = max(self.experts, 1) * self._one_feed_forward + self.experts * self.width
        norms = self.width * (1 if self.mlp == "none" else 2)
        ends = (2 - self.tied) * self.vocab * self.width + self.width
        return ends + self.layers * (self._mixer_parameters + feed_forward + norms) + self._taps

    def flops_per_token(self, length: int) -> int:
        """Floating-point operations of a forward pass over a text of `length` tokens, divided by `length`.

        A product of matrices counts 2 for each multiplication and addition, attention all pairs of tokens (the fused
        kernel skips the future, counters do not), a convolution 2 for each tap. A linear mixer counts its recurrence
        token after token, 2 for each multiplication with a number of its state, whatever the length: the chunks in
        which it is trained are another way to the same result. Norms, activations, rotation, the softmax and
        elementwise gates are left out. Each token visits one expert.
        """
        feed_forward = self._one_feed_forward + self.experts * self.width
        frame = 2 * (self.layers * feed_forward + self._taps + self.vocab * self.width)
        if self.mixer != "attention":
            return frame + self.layers * int(MIXERS[self.mixer].flops(self.width, self.heads, **self.all_mixer_options))
        pairs = 2 * length * self.heads * self.each_head  # the scores, and the sum of the values
        return frame + 2 * self.layers * (self._projections + pairs)

    @property
    def _projections(self) -> int:
        """Entries of the matrices of attention."""
        return 2 * self.width * self.each_head * (self.heads + (self.kv_heads or self.heads))

    @property
    def _mixer_parameters(self) -> int:
        if self.mixer != "attention":
            return int(MIXERS[self.mixer].count(self.width, self.heads, **self.all_mixer_options))
        return self._projections + self.qk_norm * self.each_head * (self.heads + (self.kv_heads or self.heads))

    @property
    def _one_feed_forward(self) -> int:
        """Entries of the matrices that a token passes on its way through the feed-forward layer."""
        return {"gated": 3, "standard": 2, "none": 0}[self.mlp] * self.width * self.feed_forward

    @property
    def _taps(self) -> int:
        """Entries of all Canon layers."""
        return len(self.canon_depths) * self.canon_kernel * sum(self.canon_widths.values())


class Block(nn.Module):
    """One layer of the decoder, the one at depth `layer`; `mixer` is attention or a linear mixer."""

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()

        def canon(name: str) -> Canon | None:
            if name not in config.canon_widths or layer not in config.canon_depths:
                return None
            # across layers the identity is the layer's own output
            return Canon(
                config.canon_widths[name],
                config.canon_kernel,
                config.canon_residual and name != "X",
                config.canon_activation,
                frozen=config.canon_frozen,
                compiled=config.canon_compiled,
                init=config.canon_init,
            )

        def mixer() -> Any:
            if config.mixer == "attention":
                return Attention(
                    config.width,
                    config.heads,
                    config.kv_heads or config.heads,
                    config.each_head,
                    qk_norm=config.qk_norm,
                    norm_eps=config.norm_eps,
                    canon=canon("B"),
                    rope_layout=config.rope_layout,
                    rope_heads=config.rope_heads,
                )
            return MIXERS[config.mixer](config.width, config.heads, **config.all_mixer_options)

        def feed_forward() -> Experts | GatedFeedForward | StandardFeedForward:
            if config.experts:
                return Experts(
                    config.width,
                    config.feed_forward,
                    config.experts,
                    config.expert_capacity,
                    gated=config.mlp == "gated",
                    activation=config.activation,
                )
            if config.mlp == "gated":
                return GatedFeedForward(config.width, config.feed_forward, canon("D"), config.activation)
            return StandardFeedForward(config.width, config.feed_forward, canon("D"), config.activation)

        self.mixer_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.canon_a = canon("A")
        self.mixer = mixer()
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_eps) if config.mlp != "none" else None
        self.canon_c = canon("C")
        self.feed_forward = feed_forward() if config.mlp != "none" else None
        self.canon_x = canon("X")

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        before = x
        branch = self.mixer_norm(x)
        if self.canon_a is not None:
            branch = context.canon(self.canon_a, "A", branch)
        x = x + self.mixer(branch, context)
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            branch = self.feed_forward_norm(x)
            if self.canon_c is not None:
                branch = context.canon(self.canon_c, "C", branch)
            x = x + self.feed_forward(branch, context)
        return x if self.canon_x is None else x + context.canon(self.canon_x, "X", before)


class LanguageModel(nn.Module):
    """Embedding, blocks, norm, head.

    The same `seed` always gives the same weights; without one PyTorch's generator is used.
    """

    layer = Block  # what a layer is made of: a class in its place is called with the same arguments

    def __init__(self, config: ModelConfig, seed: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(self.layer(config, layer) for layer in range(config.layers))
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
            if config.init == "mamba2":  # PyTorch's default
                weight.uniform_(-(weight.shape[-1] ** -0.5), weight.shape[-1] ** -0.5, generator=generator)
            elif config.init == "huggingface":
                weight.normal_(0, config.init_std or 0.02, generator=generator)
            else:
                nn.init.trunc_normal_(weight, 0, std, -bound, bound, generator=generator)

        std = config.width**-0.5
        if config.init == "mamba2":
            self.embedding.weight.normal_(0, 0.1, generator=generator)
        else:
            normal(self.embedding.weight, std, 3 * std)
        if not config.tied:
            normal(self.head.weight, std, 3 * std)
        std, mixers = config.init_std or std, []
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            depth = {"none": 1.0, "current": (2 * (i + 1)) ** 0.5, "global": (2 * (config.layers + 1)) ** 0.5}
            divisor = depth[config.depth_scaling]
            attention, feed_forward = block.mixer, block.feed_forward
            inner = attention.inputs() if isinstance(attention, Attention) else []
            for weight in inner + (feed_forward.inputs() if feed_forward is not None else []):
                normal(weight, std, 3 * std)
            if isinstance(attention, Attention):
                normal(attention.output.weight, std / divisor, 3 * std)  # the published bound is not divided
            else:
                mixers.append((attention, divisor))
            if feed_forward is not None:
                down = (config.init_std or config.feed_forward**-0.5) / divisor
                normal(feed_forward.output(), down, 3 * down)
        for module in self.modules():
            if isinstance(module, Canon):
                module.reset_parameters(generator)
            elif isinstance(module, nn.RMSNorm):
                module.weight.fill_(1.0)
        for mixer, divisor in mixers:  # linear mixers bring their own start, of their Canon-b as well
            mixer.reset_parameters(generator, config.init, divisor)

    def hidden(
        self,
        tokens: Tensor,
        document: Tensor | None = None,
        state: DecodingState | None = None,
        auxiliary: list[Tensor] | None = None,
        seen: Seen | None = None,
    ) -> Tensor:
        """Final hidden vectors [batch, position, width] of tokens [batch, position], or of what stands in the place of
        their embeddings [batch, position, width].

        `document` [batch, position]: packed examples and padding (each example its own number, padding -1) that must
        not see each other; without it, every position sees all earlier ones (the published, leaky behaviour for packed
        windows). `state`: the past of a continued text, updated in place. `auxiliary`: a list to which layers append
        losses of their own, given in training only (experts are then limited). `seen`: keeps what is on the way.
        """
        if tokens.dim() != 2 + tokens.is_floating_point():
            raise ValueError(
                "tokens should be numbers [batch, position], or embeddings [batch, position, width], not "
                f"{list(tokens.shape)} of {tokens.dtype}"
            )
        if document is not None and document.shape != tokens.shape[:2]:
            raise ValueError(f"document should be {list(tokens.shape[:2])} like tokens, not {list(document.shape)}")
        past = state.length if state is not None else 0
        count = past + tokens.shape[1]
        every, past_document = document, state.document if state is not None else None
        if state is not None:
            if past and (document is None) != (past_document is None):
                raise ValueError(
                    "a text begun with document numbers must be continued with them, and one begun without must not"
                )
            if not state.layers:
                state.layers = [{} for _ in self.blocks]
            if document is not None:
                every = document if past_document is None else torch.cat([past_document, document], 1)
                state.document = every
            state.length = count
        mask = self.mask(tokens.shape[1], count, every, tokens.device)
        x = tokens if tokens.is_floating_point() else self.embedding(tokens)
        rope = self.rope(past, count, tokens.device)
        for i, block in enumerate(self.blocks):
            memory = state.layers[i] if state is not None else None
            if seen is not None:
                seen.hidden.append(x)
            x = block(x, Context(rope, mask, document, past_document, memory, auxiliary, seen))
        return self.norm(x)

    def forward(self, tokens: Tensor, document: Tensor | None = None, state: DecodingState | None = None) -> Tensor:
        """Next-token logits [batch, position, vocab]; arguments as in `hidden`."""
        return self.head(self.hidden(tokens, document, state))

    def loss(self, tokens: Tensor, targets: Tensor, document: Tensor | None = None) -> Tensor:
        """What training minimises: `cross_entropy`, and with experts `expert_balance` times the sum of the layers'
        load-balance losses."""
        if not self.config.experts:
            return self.cross_entropy(tokens, targets, document)
        auxiliary: list[Tensor] = []
        loss = self.cross_entropy(tokens, targets, document, auxiliary)
        return loss + self.config.expert_balance * torch.stack(auxiliary).sum().float()

    def cross_entropy(
        self, tokens: Tensor, targets: Tensor, document: Tensor | None = None, auxiliary: list[Tensor] | None = None
    ) -> Tensor:
        """Mean cross-entropy over the tokens marked in `targets` (each predicted from the tokens before it)."""
        before = None if document is None else document[:, :-1]
        # without experts nobody has losses to add, and a model that overrides `hidden` need not know of them
        options: dict[str, Any] = {} if auxiliary is None else {"auxiliary": auxiliary}
        hidden = self.hidden(tokens[:, :-1], before, **options)
        wanted = targets[:, 1:]
        return F.cross_entropy(self.head(hidden[wanted]).float(), tokens[:, 1:][wanted])

    @torch.no_grad()
    def guesses(self, tokens: Tensor, document: Tensor | None = None) -> Tensor:
        """The most likely token for each position under teacher forcing: guesses[:, t] is for tokens[:, t]."""
        best = self(tokens[:, :-1], None if document is None else document[:, :-1]).argmax(-1)
        return F.pad(best, (1, 0), value=-1)

    def mask(
        self, queries: int, keys: int, document: Tensor | None = None, device: torch.device | None = None
    ) -> Tensor | None:
        """Where the last `queries` of `keys` positions may look, as `Context.mask`; None for plain causal attention."""
        config = self.config
        if config.mixer != "attention":
            return None
        if document is None and config.positions == "rope":
            if queries == keys:
                return None
            if queries == 1:
                return torch.ones(1, 1, 1, keys, dtype=torch.bool, device=device)
        return position_mask(config.positions, config.heads, causal_mask(queries, keys, document, device))

    def rope(self, begin: int, end: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """The rotation tables of positions begin..end-1, or None for a model without positions."""
        if self.config.rotated == 0:
            return None
        if self._tables is None or self._tables[0] < end or self._tables[1].device != device:
            size = max(2 * end, 128)  # room to grow: decoding asks for one more position at each step
            with torch.inference_mode(False):  # the table outlives this call and may serve training next
                table = rope_table(torch.arange(size, device=device), self.config.rotated, self.config.rope_theta)
            if transformed():  # what torch.func makes must not outlive it
                return table[0][begin:end], table[1][begin:end]
            self._tables = (size, *table)
        return self._tables[1][begin:end], self._tables[2][begin:end]
