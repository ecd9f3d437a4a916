"""The sides that claims compare: each with its label, its colour in every figure, and the model options that set it apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any


@dataclass(frozen=True)
class Side:
    """One model of a comparison.

    options: what sets it apart from the model of its setting. published: the same at the papers' size, where that differs.
    """

    label: str
    colour: str
    options: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Any] | None = None

    def but(self, **options: Any) -> Side:
        """The same side with further options, such as a width that makes up for parameters elsewhere."""
        return dataclasses.replace(self, options={**self.options, **options})


# -- positions, and Canon layers everywhere ----------------------------------------------------------------------------

ROPE = Side("RoPE", "#4c6a92")
NOPE = Side("NoPE", "#8d8d8d", {"rope_dim": 0})
ROPE_CANON = Side("RoPE + Canon", "#d1495b", {"canon": "ABCD"})
NOPE_CANON = Side("NoPE + Canon", "#edae49", {"canon": "ABCD", "rope_dim": 0})
ROPE_FROZEN = Side("RoPE + frozen Canon", "#e8a0a8", {"canon": "ABCD", "canon_frozen": True})
ALIBI = Side("ALiBi", "#66a182", {"positions": "alibi"})
HARD_ALIBI = Side("H-ALiBi", "#2e4057", {"positions": "hard_alibi"})
QUARTER = Side(  # half of the coordinates of half of the heads
    "1/4 RoPE + Canon",
    "#7b2d8b",
    {"canon": "ABCD", "rope_heads": 1, "rope_dim": 16},
    published={"canon": "ABCD", "rope_heads": 4, "rope_dim": 32},
)
QUARTER_OF_EACH = Side(
    "1/4 RoPE (dims) + Canon", "#2a9d8f", {"canon": "ABCD", "rope_dim": 8}, published={"canon": "ABCD", "rope_dim": 16}
)

# -- the parts of Canon: more letters, more red ------------------------------------------------------------------------

CANON_A = Side("Canon-A", "#f2cf45", {"canon": "A"})
CANON_B = Side("Canon-B", "#2a9d8f", {"canon": "B"})
CANON_C = Side("Canon-C", "#8ab17d", {"canon": "C"})
CANON_D = Side("Canon-D", "#9c6644", {"canon": "D"})
CANON_AC = Side("Canon-AC", "#ee8434", {"canon": "AC"})
CANON_ABCD = Side("Canon-ABCD", "#d1495b", {"canon": "ABCD"})
NO_RESIDUAL = Side("Canon-ABCD, no residual", "#8e44ad", {"canon": "ABCD", "canon_residual": False})
SILU = Side("Canon-ABCD, silu", "#3d8b37", {"canon": "ABCD", "canon_activation": True})
FROZEN = Side("frozen Canon-ABCD", "#e8a0a8", {"canon": "ABCD", "canon_frozen": True})
PRIMER = Side("Primer", "#111c24", {"canon": "B", "canon_residual": False})

CANON_FIRST = Side("Canon in the first layer", "#f3c98b", {"canon": "ABCD", "canon_layers": (0,)})
CANON_LAST = Side("Canon in the last layer", "#b5838d", {"canon": "ABCD", "canon_layers": (-1,)})
ZERO_START = Side("Canon-ABCD from zero", "#6a994e", {"canon": "ABCD", "canon_init": "zeros"})
MEAN_START = Side("Canon-ABCD from a mean", "#386641", {"canon": "ABCD", "canon_init": "mean"})
INKLING = Side("Canon-KVOM", "#7b2d8b", {"canon": "KVOM"})
KERNEL_1, KERNEL_2, KERNEL_6 = (
    Side(f"Canon-ABCD, kernel {kernel}", shade, {"canon": "ABCD", "canon_kernel": kernel})
    for kernel, shade in ((1, "#c9b79c"), (2, "#f2a65a"), (6, "#81171b"))
)

# -- larger and smaller ones -------------------------------------------------------------------------------------------


def sized(side: Side, shade: str, **sizes: int) -> Side:
    """The same side, narrower, wider or deeper; its feed-forward layer keeps its proportion."""
    hidden = {"hidden": 5 * sizes["width"] // 2} if "width" in sizes else {}
    said = ", ".join(f"{name} {size}" if name == "width" else f"{size} {name}" for name, size in sizes.items())
    return Side(f"{side.label}, {said}", shade, {**side.options, **sizes, **hidden})


ROPE_TWICE = sized(ROPE, "#5fb3d4", layers=2)
ROPE_NARROW, ROPE_BROAD = sized(ROPE, "#a9bcd0", width=32), sized(ROPE, "#10243f", width=128)
CANON_NARROW, CANON_BROAD = sized(ROPE_CANON, "#eda6af", width=32), sized(ROPE_CANON, "#75101f", width=128)
ROPE_DEEP, CANON_DEEP = sized(ROPE, "#14294a", layers=6), sized(ROPE_CANON, "#7d0f14", layers=6)

# -- feed-forward layers; their widths belong to the claim -------------------------------------------------------------

GATED = Side("gated", "#4c6a92")
GATED_SQUARED = Side("gated, ReLU²", "#9db4d3", {"activation": "relu2"})
GATED_CANON = Side("gated + Canon", "#d1495b", {"canon": "ABCD"})
GATED_SQUARED_CANON = Side("gated, ReLU² + Canon", "#e8998d", {"canon": "ABCD", "activation": "relu2"})
STANDARD = Side("standard", "#e08a2e", {"mlp": "standard"})
STANDARD_SQUARED = Side("standard, ReLU²", "#f3c99b", {"mlp": "standard", "activation": "relu2"})
ONE_FOR_ALL = Side("one for all", "#4c6a92")
EXPERTS = Side("experts", "#8d8d8d")
EXPERTS_CANON = Side("experts + Canon-ABC", "#d1495b", {"canon": "ABC"})

# -- linear models: a colour for each family, darker with more convolutions --------------------------------------------

# the authors' own convolution inside the mixer ("b"), Canon layers outside it
VARIANTS: dict[str, dict[str, Any]] = {
    "no convolution": {"mixer_options": {"canon_b": False}},
    "b": {"mixer_options": {"canon_b": True}},
    "ACD": {"mixer_options": {"canon_b": False}, "canon": "ACD"},
    "AbCD": {"mixer_options": {"canon_b": True}, "canon": "ACD"},
}


def _with(model: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A linear model with further options, those of its mixer among them."""
    return {**model, **options, "mixer_options": {**model.get("mixer_options", {}), **options.get("mixer_options", {})}}


def _family(name: str, shades: str, small: Mapping[str, Any], published: Mapping[str, Any]) -> tuple[Side, ...]:
    """A linear model in four variants."""
    return tuple(
        Side(
            f"{name}, {variant}" if variant == "no convolution" else f"{name} + {variant}",
            shade,
            _with(small, options),
            _with(published, options),
        )
        for (variant, options), shade in zip(VARIANTS.items(), shades.split(), strict=True)
    )


# Where a family leaves it open, widths are the published proportions: heads of 64 for Mamba2's values, and feed-forward
# layers of 8/3 (GLA) or 2 times the width (the mixers of Mamba2 and GDN are half as large again).
FAMILIES = {
    "GLA": _family(
        "GLA",
        "#a6dcb9 #4fb583 #1c7a50 #063820",
        {"mixer": "gla", "hidden": 160},
        {"mixer": "gla", "heads": 4, "hidden": 1376, "init": "huggingface"},
    ),
    "Mamba2": _family(
        "Mamba2",
        "#c3b3e6 #8f6fd0 #5b2fb0 #24115a",
        {"mixer": "mamba2", "hidden": 128, "mixer_options": {"state": 32}},
        {"mixer": "mamba2", "heads": 16, "hidden": 1024, "init": "mamba2"},
    ),
    "GDN": _family(
        "GDN",
        "#edc795 #cf8a35 #94560c #4a2a04",
        {"mixer": "gated_delta", "hidden": 128},
        {"mixer": "gated_delta", "heads": 4, "hidden": 1024, "init": "huggingface"},
    ),
}
GLA, _, _, GLA_ABCD = FAMILIES["GLA"]
MAMBA2, GDN = FAMILIES["Mamba2"][0], FAMILIES["GDN"][0]


def _changed(side: Side, change: str, colour: str, **options: Any) -> Side:
    """A linear model with something else about it, small and as published."""
    return Side(f"{side.label}, {change}", colour, _with(side.options, options), _with(side.published or {}, options))


GLA_NO_RESIDUAL = _changed(GLA_ABCD, "no residual", "#8e44ad", canon_residual=False)
MAMBA2_NO_RESIDUAL, GDN_NO_RESIDUAL = (
    _changed(FAMILIES[name][-1], "no residual", shade, canon_residual=False)
    for name, shade in (("Mamba2", "#d13c9b"), ("GDN", "#e0559f"))
)
MIMETIC = _changed(FAMILIES["Mamba2"][1], "mimetic", "#c9a227", mixer_options={"mimetic": True})
GLA_FEATURES = _changed(GLA_ABCD, "1 + elu", "#c44569", mixer_options={"positive": True})

GLA_SINGLE = tuple(  # one Canon layer alone, outside the mixer
    _changed(GLA, f"Canon-{place} alone", shade, canon=place)
    for place, shade in zip("ACD", ("#d6c419", "#8f9e1e", "#4c5d0b"), strict=True)
)

_NAMED = (side for side in tuple(globals().values()) if isinstance(side, Side))
COLOURS = {side.label: side.colour for side in chain(_NAMED, GLA_SINGLE, *FAMILIES.values())}  # all of the above
