"""One model, in one flat table of options; the parts know what their own options mean (Part 4.1, appendix C).

Attention, feed-forward layers, experts, Canon layers and linear mixers each check their options and count their
parameters and operations. `ModelConfig` puts them together, and refuses what does not go together.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from ..base.strict import Range, choose, unknown, verify
from .attention import AttentionConfig
from .canon import CanonConfig
from .experts import ExpertsConfig
from .feed_forward import FeedForwardConfig
from .gated_delta import GatedDelta
from .gla import GLA
from .mamba2 import Mamba2

# The linear mixers. A class is made as cls(width, heads, **options) and has, beside forward(x, context) like Attention,
# reset_parameters(generator, init, divisor), and `options`, the dataclass of its options, which counts parameters and flops.
MIXERS: dict[str, Any] = {"gla": GLA, "mamba2": Mamba2, "gated_delta": GatedDelta}
GIVEN = ("width", "heads", "norm_eps", "canon_compiled")  # of these options, by the model

P = TypeVar("P")


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

    canon: any subset of "ABCD" and of "KVOM", places that others chose: keys, values, what the mixer and what the feed-forward
    layer write. canon_layers: the layers that have Canon layers (None: all; -1 is the last one).
    canon_init: "uniform", "zeros" or "mean" (1/kernel). canon_frozen: never trained. canon_cross: adds to each layer's output
    a convolution of its input. Primer's attention is canon="B" with canon_residual=False.

    init: "lingua" (truncated normal, width ** -0.5) or "huggingface" (normal, 0.02), the starting points of the two
    published code bases; "mamba2", for that mixer only, is a third one. init_std: another deviation than these, in the
    layers ("lingua") or everywhere ("huggingface"). depth_scaling: divides the output projections of each branch by 1
    ("none"), sqrt(2 (i + 1)) in layer i ("current") or sqrt(2 (layers + 1)) ("global"); only the "lingua" start knows it.

    Raises ValueError for an option that nobody knows, whose value makes no sense, or that does not go with the others.
    """

    vocab: Annotated[int, Range(1, 2**24)]
    width: Annotated[int, Range(1, 2**20)] = 64
    layers: Annotated[int, Range(1, 10_000)] = 2
    heads: Annotated[int, Range(1, 2**20)] = 2
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
    init: Literal["lingua", "huggingface", "mamba2"] = "lingua"
    depth_scaling: Literal["none", "current", "global"] = "none"
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
    init_std: Annotated[float, Range(above=0)] | None = None
    mixer: str = "attention"
    mixer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        verify(self)
        _ = self.mixer_part, self.feed_forward_part, self.canon_part  # each checks its own options
        if self.init == "mamba2" and self.mixer != "mamba2":
            raise ValueError(
                f"init 'mamba2' is how mixer 'mamba2' starts; with mixer {self.mixer!r} choose lingua or huggingface"
            )
        if self.mlp == "none":
            reason = "is an option of the feed-forward layer; leave it out with mlp 'none'"
            self._refuse("hidden activation experts", reason)
        if not self.experts:
            self._refuse("expert_capacity expert_balance", "is an option of a mixture of experts; give experts as well")
        of_attention = sorted(set(self.canon) & set("BKV"))
        if self.mixer != "attention" and of_attention:
            raise ValueError(
                f"canon {of_attention[0]!r} mixes query, key and value of attention; with mixer {self.mixer!r}, which has a "
                "short convolution of its own, choose a subset of 'ACD'"
            )
        if self.mlp == "none" and set(self.canon) & set("CDM"):
            raise ValueError(
                "canon 'C', 'D' and 'M' belong to the feed-forward layer; with mlp 'none' choose a subset of "
                f"{'AB' if self.mixer == 'attention' else 'A'!r}"
            )
        if self.experts and "D" in self.canon:
            raise ValueError(
                "canon 'D' would mix neighbours inside an expert, and neighbours go to different experts; "
                "with experts choose a subset of 'ABC'"
            )

    def _refuse(self, names: str, reason: str) -> None:
        """Refuse those of the options that differ from their defaults."""
        for name in names.split():
            default = self.__dataclass_fields__[name].default
            if getattr(self, name) != (default if default is not MISSING else {}):
                raise ValueError(f"{name} {reason}")

    # -- the parts -----------------------------------------------------------------------------------------------------

    def _part(self, cls: type[P]) -> P:
        """The options of one part, which have the same names here."""
        names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: getattr(self, name) for name in names})

    @cached_property
    def mixer_part(self) -> Any:
        """The options of the mixer: an `AttentionConfig`, or those of a linear mixer."""
        choose("mixer", self.mixer, {"attention": None, **MIXERS})
        rotation = "rope_dim rope_theta rope_layout rope_heads"
        if self.mixer == "attention":
            self._refuse("mixer_options", "are for a mixer other than attention; give mixer as well")
            if self.positions != "rope":
                self._refuse(rotation, f"is an option of rotation; leave it out with positions {self.positions!r}")
            return self._part(AttentionConfig)
        reason = f"is an option of attention; leave it out with mixer {self.mixer!r}"
        self._refuse(f"kv_heads head_width qk_norm init_std positions {rotation}", reason)
        valid = [name for name in inspect.signature(MIXERS[self.mixer]).parameters if name not in GIVEN]
        for name in self.mixer_options:
            if name not in valid:
                raise unknown(f"option of mixer {self.mixer!r}", name, valid)
        return MIXERS[self.mixer].options(self.width, self.heads, **self.all_mixer_options)

    @cached_property
    def feed_forward_part(self) -> FeedForwardConfig:
        """The options of the feed-forward layer, or of the experts."""
        return self._part(ExpertsConfig if self.experts else FeedForwardConfig)

    @cached_property
    def canon_part(self) -> CanonConfig:
        """The options of the Canon layers."""
        return self._part(CanonConfig)

    @property
    def all_mixer_options(self) -> dict[str, Any]:
        """What a linear mixer is made with beside width and heads."""
        return {"norm_eps": self.norm_eps, "canon_compiled": self.canon_compiled, **self.mixer_options}

    @property
    def each_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.width // self.heads

    @property
    def rotated(self) -> int:
        """How many coordinates of each head that rotates do so."""
        return self.mixer_part.rotated if self.mixer == "attention" else 0

    @property
    def feed_forward(self) -> int:
        """Hidden width of a feed-forward layer; 0 without one."""
        return self.feed_forward_part.inner

    @property
    def canon_widths(self) -> dict[str, int]:
        """Channels of each Canon position that is in use, in a layer that has Canon layers (X: the cross-layer one)."""
        attention = self.mixer_part if self.mixer == "attention" else None
        widths = dict.fromkeys("ACOMX", self.width) | {"D": self.feed_forward_part.mixed}
        if attention is not None:
            widths |= {"B": attention.mixed} | dict.fromkeys("KV", attention.keys * attention.each_head)
        return {name: widths[name] for name in sorted(set(self.canon_part.places))}

    @property
    def canon_depths(self) -> list[int]:
        """The layers that have Canon layers."""
        return self.canon_part.depths

    # -- their sums ----------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> int:
        """Number of parameters, by formula (tested against the instantiated model)."""
        norms = self.width * (1 if self.mlp == "none" else 2)
        ends = (2 - self.tied) * self.vocab * self.width + self.width
        each = int(self.mixer_part.parameters) + self.feed_forward_part.parameters + norms
        return ends + self.layers * each + self._taps

    def flops_per_token(self, length: int) -> int:
        """Floating-point operations of a forward pass over a text of `length` tokens, divided by `length`.

        A product of matrices counts 2 for each multiplication and addition, attention all pairs of tokens (the fused
        kernel skips the future, counters do not), a convolution 2 for each tap. A linear mixer counts its recurrence
        token after token, 2 for each multiplication with a number of its state, whatever the length: the chunks in
        which it is trained are another way to the same result. Norms, activations, rotation, the softmax and
        elementwise gates are left out. Each token visits one expert.
        """
        each = int(self.mixer_part.flops(length)) + self.feed_forward_part.flops()
        return self.layers * each + 2 * (self._taps + self.vocab * self.width)

    def mixing_per_token(self, length: int) -> int:
        """Those of the `flops_per_token` that no matrix of weights has a part in: of attention, over all pairs of tokens, or of
        the states of a linear mixer."""
        return self.layers * int(self.mixer_part.mixing(length))

    @property
    def _taps(self) -> int:
        """Entries of all Canon layers."""
        return len(self.canon_depths) * self.canon_kernel * sum(self.canon_widths.values())
