"""Models by name: the 64 models released with Part 4.2, and the architectures of Part 4.1 (section 3, appendix C)."""

from __future__ import annotations

import re
from typing import Any

from ..base.strict import build, choose, unknown
from .config import ModelConfig
from .gated_delta import GDN2
from .gla import GLA5
from .mamba2 import MAMBA2

# -- Part 4.2 ----------------------------------------------------------------------------------------------------------

_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "1B": {"vocab": 32_000, "width": 2048, "layers": 24, "heads": 32, "hidden": 5632, "qk_norm": True},
    "3B": {"vocab": 32_000, "width": 3072, "layers": 26, "heads": 24, "hidden": 8192, "qk_norm": True},
    "8B": {
        "vocab": 128_256,
        "width": 4096,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
        "hidden": 14336,
        "rope_theta": 100_000.0,
    },
}
_LINEAR: dict[str, dict[str, Any]] = {
    "1B": {"vocab": 32_000, "width": 2048, "layers": 24, "heads": 16, "hidden": 4096},
    "3B": {"vocab": 32_000, "width": 3072, "layers": 26, "heads": 24, "hidden": 6144},
    "8B": {"vocab": 128_256, "width": 4096, "layers": 32, "heads": 32, "hidden": 9472},
}
_MIXERS: dict[str, dict[str, Any]] = {
    "GLA5": {"mixer": "gla", "mixer_options": GLA5, "init": "huggingface"},
    "GDN2": {"mixer": "gated_delta", "mixer_options": GDN2, "init": "huggingface"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": MAMBA2, "init": "mamba2"},
}


def _families() -> dict[str, dict[str, Any]]:
    """The 24 released architectures: {name without data and learning rate: fields}."""
    families = {}
    for size, fields in _TRANSFORMERS.items():
        plain = {**fields, "rope_layout": "interleaved", "init": "lingua", "norm_eps": 1e-5}
        families[f"Llama-{size}"] = plain
        quarter = fields["width"] // fields["heads"] // 4
        families[f"LlamaCanon-{size}"] = {**plain, "canon": "ABCD", "rope_dim": quarter}
    for family, mixer in _MIXERS.items():
        for size, fields in _LINEAR.items():
            plain = {**fields, **mixer, "norm_eps": 1e-5}
            families[f"{family}conv-{size}"] = plain
            families[f"{family}Canon-{size}"] = {**plain, "canon": "ACD"}
    return families


def _runs(family: str) -> list[str]:
    """The released models of an architecture: data in tokens, and learning rate."""
    runs = ["1T-lr0.002", "1T-lr0.003"]
    if family in ("Llama-1B", "LlamaCanon-1B"):
        runs += ["2T-lr0.003", "2T-lr0.005"]
    elif not family.startswith("Llama") and not family.endswith("8B"):
        runs += ["1T-lr0.005"]
    return [f"{family}-Nemo-{run}" for run in runs]


def released() -> list[str]:
    """The names of the 64 released models: 16 Transformers, 48 linear ones.

    >>> len(released()), released()[0]
    (64, 'Llama-1B-Nemo-1T-lr0.002')
    """
    return [run for family in _families() for run in _runs(family)]


# -- Part 4.1 ----------------------------------------------------------------------------------------------------------


def _architectures(layers: int, width: int) -> dict[str, dict[str, Any]]:
    """The fields of each architecture, by name."""
    heads = max(1, width // 64)
    each = width // heads
    rope = {"heads": heads, "init": "huggingface"}
    quarter = {"rope_heads": heads // 2, "rope_dim": each // 2}
    standard = {**rope, "mlp": "standard"}
    mamba2 = {"mixer": "mamba2", "heads": 16, "init": "mamba2"}
    return {
        "RoPE": rope,
        "NoPE": {**rope, "rope_dim": 0},
        "RoPE(quarter)": {**rope, **quarter},
        "RoPE(quarter-heads)": {**rope, "rope_heads": heads // 4},
        "RoPE(quarter-dims)": {**rope, "rope_dim": each // 4},
        "RoPE(R2)": {**rope, "activation": "relu2"},
        "ALiBi": {**rope, "positions": "alibi"},
        "H-ALiBi": {**rope, "positions": "hard_alibi"},
        "Primer": {**rope, "canon": "B", "canon_residual": False},
        "GPT2": standard,
        "GPT2(quarter)": {**standard, **quarter},
        "GPT2(R2)": {**standard, "activation": "relu2"},
        "MoE": {**standard, "experts": 32},
        "GLA": {"mixer": "gla", "heads": 4, "init": "huggingface"},
        "Mamba2": {**mamba2, "mlp": "none", "layers": 2 * layers},
        "Mamba2(mlp)": {**mamba2, "hidden": 2 * width},
        "GDN": {"mixer": "gated_delta", "heads": max(1, width // 128), "hidden": 2 * width, "init": "huggingface"},
    }


def architectures() -> list[str]:
    """The names of the architectures of Part 4.1, to which `preset` adds convolutions and a size."""
    return list(_architectures(8, 512))


def _of_paper(architecture: str, convolutions: str | None, layers: int, width: int) -> dict[str, Any]:
    fields = choose("architecture", architecture, _architectures(layers, width))
    fields = {"vocab": 128, "width": width, "layers": layers, **fields}
    if convolutions is None:
        return fields
    own, outside = "b" in convolutions, convolutions.replace("b", "") if convolutions != "none" else ""
    if "mixer" in fields:
        return {**fields, "canon": outside, "mixer_options": {"canon_b": own}}
    if own:
        raise ValueError(
            f"b is the short convolution inside a linear mixer, and {architecture} has none; choose B, or "
            "another subset of ABCD"
        )
    return {**fields, "canon": outside}


# -- both --------------------------------------------------------------------------------------------------------------


def preset(name: str, **changes: Any) -> ModelConfig:
    """The model of this name; `changes` are fields of `ModelConfig` that should be different.

    **Released models** go by their published names, of which the data and the learning rate may be left out, since they
    change nothing in the architecture:

    >>> preset("LlamaCanon-1B-Nemo-1T-lr0.002") == preset("LlamaCanon-1B")
    True
    >>> preset("GDN2conv-8B").parameters
    8013756416

    **Architectures of Part 4.1** are written ARCHITECTURE+CONVOLUTIONS-SIZE. The size is `8L512D`, `12L512D`, `8L768D` or
    `12L768D` in the paper, and may be another one: layers, and width, with a head for each 64 of it.

    >>> model = preset("GLA+AbCD-12L512D", vocab=112)
    >>> model.layers, model.width, model.canon, dict(model.mixer_options)
    (12, 512, 'ACD', {'canon_b': True})

    The convolutions are the Canon layers A, B, C, D and the authors' own b of a linear mixer, any of them, or `none`.
    Without this part they are what the architecture is known with: b for Mamba2 and GDN, none for the others.
    The architectures are those of `architectures()`:

    * RoPE, a Llama, and NoPE; `RoPE(quarter)` rotates half of the heads on half of their coordinates, the paper's first
      choice, `RoPE(quarter-heads)` and `RoPE(quarter-dims)` a quarter of the heads or of the coordinates of each;
      ALiBi and H-ALiBi; Primer is RoPE with B and no residual; R2 is the squared ReLU.
    * GPT2 is RoPE with a standard feed-forward layer, and MoE has 32 of these. Nothing else of GPT-2 is copied.
    * GLA, GDN, and Mamba2, which has twice the layers and no feed-forward ones, unless it is `Mamba2(mlp)`.

    The vocabulary has 128 tokens, enough for the paper's tasks except Capo. Weights start as in the code base in which
    the authors found the architecture.

    Raises:
        ValueError: nothing has this name, or its parts do not go together; the sentence says what does.
    """
    if sized := re.fullmatch(r"([^+]+)(?:\+([A-Za-z]+))?-(\d+)L(\d+)D", name):
        fields = _of_paper(sized[1], sized[2], int(sized[3]), int(sized[4]))
    else:
        families, family = _families(), "-".join(name.split("-")[:2])
        if family not in families:
            raise unknown("model preset", name, [*families, *(f"{kind}-8L512D" for kind in architectures())])
        fields = choose("model preset", name, dict.fromkeys([family, *_runs(family)], families[family]))
    return build(ModelConfig, {**fields, **changes})
