"""What our tensors are called in the published files, and how those that are cut differently fit together (Part 4.2).

Most tensors are the same under another name. Some are cut in other places: the three short convolutions of a linear mixer
are one of ours, and their one matrix of a feed-forward layer holds our two. A `Group` says which tensors, put one under
the other, are the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import LanguageModel, ModelConfig, gated_delta, gla, mamba2
from ...models.linear_attention import LinearAttention


@dataclass(frozen=True)
class Group:
    """`ours`, put one under the other, are equal to each of the alternatives `theirs`; the first of these is written.

    rows: the heights of the finest pieces; all tensors of one alternative consist of equally many pieces. rest: the
    shape of one row.
    """

    ours: tuple[str, ...]
    theirs: tuple[tuple[str, ...], ...]
    rows: tuple[int, ...]
    rest: tuple[int, ...]

    def heights(self, names: Sequence[str]) -> list[int]:
        """The rows of each of the tensors `names`."""
        each = len(self.rows) // len(names)
        return [sum(self.rows[i * each : (i + 1) * each]) for i in range(len(names))]

    def shapes(self, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """The shape of each of the tensors `names`."""
        return {name: (rows, *self.rest) for name, rows in zip(names, self.heights(names), strict=True)}

    def found(self, present: Collection[str]) -> tuple[str, ...] | None:
        """The alternative that is there, if any; of two, the one of more tensors."""
        complete = [names for names in self.theirs if all(name in present for name in names)]
        return max(complete, key=len) if complete else None

    def cut(self, tensors: Sequence[Tensor], names: Sequence[str]) -> dict[str, Tensor]:
        """The same rows as the tensors `names`: these `tensors` themselves, parts of one of them, or all put together."""
        if len(tensors) == len(names):
            return dict(zip(names, tensors, strict=True))
        whole = tensors[0].contiguous() if len(tensors) == 1 else torch.cat(list(tensors))
        return {name: _alone(part) for name, part in zip(names, whole.split(self.heights(names)), strict=True)}


def _alone(part: Tensor) -> Tensor:
    """A tensor in a storage of its own, on the same memory: two parts in one storage would pass for tied weights."""
    start = part.storage_offset() * part.element_size()
    return part.new_empty(0).set_(part.untyped_storage()[start : start + part.nbytes], 0, part.shape, part.stride())


HEAD = "lm_head.weight"
Names = tuple[str, ...]
# The places of a layout's tensors: ends of the model, then the parts of block N, which stand under `blocks`.
ENDS = {"embedding.weight": "embeddings.weight", "norm.weight": "norm.weight"}
FEED_FORWARD = {
    "feed_forward.gate.weight": ("mlp.gate_proj.weight",),
    "feed_forward.up.weight": ("mlp.up_proj.weight",),
    "feed_forward.down.weight": ("mlp.down_proj.weight",),
    "feed_forward.canon_d.weight": ("mlp.canonD.weight",),
    "canon_a.weight": ("canonA.weight",),
    "canon_c.weight": ("canonC.weight",),
    "canon_x.weight": ("canonX.weight",),
    # of no published model
    "feed_forward.router.weight": ("mlp.router.weight",),
    "feed_forward.gate": ("mlp.experts.gate_proj",),
    "feed_forward.up": ("mlp.experts.up_proj",),
    "feed_forward.down": ("mlp.experts.down_proj",),
}
LINEAR_NORMS = {"mixer_norm.weight": ("attn_norm.weight",), "feed_forward_norm.weight": ("mlp_norm.weight",)}
LLAMA_NORMS = {
    "mixer_norm.weight": ("input_layernorm.weight",),
    "feed_forward_norm.weight": ("post_attention_layernorm.weight",),
}
MAMBA_NORMS = {"mixer_norm.weight": ("norm.weight",), "feed_forward_norm.weight": ("pre_mlp_layernorm.weight",)}
ATTENTION = {
    "query.weight": ("q_proj.weight",),
    "key.weight": ("k_proj.weight",),
    "value.weight": ("v_proj.weight",),
    "output.weight": ("o_proj.weight",),
    "query_norm.weight": ("q_norm.weight",),
    "key_norm.weight": ("k_norm.weight",),
    "canon_b.weight": ("canonB.weight",),
}


@dataclass(frozen=True)
class Place:
    """Where a layout puts things: the names before the ends, before a block's mixer, and of everything in a block."""

    root: str
    mixer: str
    block: Mapping[str, Names]
    mixed: Mapping[str, Names]
    ends: Mapping[str, str]


PLACES = {
    "llama_canon": Place(
        "model.",
        "self_attn.",
        {**FEED_FORWARD, **LLAMA_NORMS},
        ATTENTION,
        {**ENDS, "embedding.weight": "embed_tokens.weight"},
    ),
    "gla5": Place("model.", "attn.", {**FEED_FORWARD, **LINEAR_NORMS}, gla.NAMES, ENDS),
    "gdn2": Place("model.", "attn.", {**FEED_FORWARD, **LINEAR_NORMS}, gated_delta.NAMES, ENDS),
    "mamba2": Place(
        "backbone.", "mixer.", {**FEED_FORWARD, **MAMBA_NORMS}, mamba2.NAMES, {**ENDS, "norm.weight": "norm_f.weight"}
    ),
}
# Depends on a switch that changes nothing else.
ALSO: dict[tuple[str, str], list[Names]] = {("gla5", "norm.weight"): [("g_norm.weight",)]}


def groups(model: LanguageModel, layout: str) -> list[Group]:
    """How the tensors of a model (on any device) correspond to the published ones; a tied head is none of them."""
    state, found = model.state_dict(), []
    linear = layout != "llama_canon"
    for ours, tensor in state.items():
        pair = ours.replace("feed_forward.gate.weight", "feed_forward.up.weight")
        gate = ours.replace("feed_forward.up.weight", "feed_forward.gate.weight")
        if (ours == "head.weight" and model.config.tied) or (linear and ours != gate and gate in state):
            continue  # this is the embedding, and that goes with the gate
        names: Names = (ours, pair) if linear and pair != ours else (ours,)
        rows: tuple[int, ...] = (len(tensor),) * len(names)
        theirs = _theirs(ours, layout, model.config)
        if len(theirs[0]) == 3:  # [query | key | value]
            mixer = model.get_submodule(ours.removesuffix(".canon_b.weight"))
            assert isinstance(mixer, LinearAttention)
            rows = (mixer.config.key_width, mixer.config.key_width, mixer.config.value_width)
        found.append(Group(names, theirs, rows, tuple(tensor.shape[1:])))
    return found


def _theirs(ours: str, layout: str, config: ModelConfig) -> tuple[Names, ...]:
    """The published tensors in place of ours; of several alternatives, the one that is written comes first."""
    place = PLACES[layout]
    if ours == "head.weight":
        return ((HEAD,),)
    if ours in place.ends:
        return ((place.root + place.ends[ours],),)
    _, layer, part = ours.split(".", 2)
    before = f"{place.root}layers.{layer}."
    if part.startswith("mixer."):
        part = part.removeprefix("mixer.")
        alternatives = [place.mixed[part], *ALSO.get((layout, part), [])]
        return tuple(tuple(before + place.mixer + name for name in names) for names in alternatives)
    alternatives = [place.block[part]]
    if part == "feed_forward.gate.weight" and layout != "llama_canon":
        one, other, two = (
            ("mlp.gate_proj.weight",),
            ("mlp.both_proj.weight",),
            ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        )
        written = {"gla5": one, "mamba2": other, "gdn2": other if "D" in config.canon else two}[layout]
        alternatives = sorted([one, other, two], key=lambda names: names != written)
    return tuple(tuple(before + name for name in names) for names in alternatives)


def unused(layout: str, name: str, config: ModelConfig) -> bool:
    """Whether a published file may hold this tensor although the model does not use it."""
    if layout == "llama_canon":
        return name.endswith(
            "rotary_emb.inv_freq"
        )  # follows from rope_theta; written by older versions of transformers
    return layout == "mamba2" and not config.mixer_options["canon_b"] and name.endswith(".mixer.conv1d.weight")


def unread(layout: str, config: ModelConfig) -> dict[str, Tensor]:
    """Tensors that a published class wants and does not use: the frozen convolution of a Mamba2 without Canon-b."""
    if layout != "mamba2" or config.mixer_options["canon_b"]:
        return {}
    taps = torch.zeros(2 * (config.width + config.mixer_options["state"]), 1, config.mixer_options["canon_kernel"])
    taps[..., -1] = 1
    return {f"backbone.layers.{layer}.mixer.conv1d.weight": taps for layer in range(config.layers)}


LINGUA_ENDS = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    HEAD: "output.weight",
}
LINGUA_BLOCK = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "canonA": "canonA",
    "canonC": "canonC",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "self_attn.q_norm": "attention.q_norm",
    "self_attn.k_norm": "attention.k_norm",
    "self_attn.canonB": "attention.canonB",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.canonD": "feed_forward.canonD",
}


def lingua_name(layout: str, name: str) -> str:
    """A published Hugging Face name, as the training code calls it.

    >>> lingua_name("llama_canon", "model.layers.3.mlp.up_proj.weight")
    'layers.3.feed_forward.w3.weight'
    """
    if layout != "llama_canon":
        return f"trans.{name}"
    if name in LINGUA_ENDS:
        return LINGUA_ENDS[name]
    match = re.fullmatch(r"model\.(layers\.\d+)\.(.+)\.weight", name)
    assert match is not None and match[2] in LINGUA_BLOCK, name  # a configuration of lingua asks for no other tensor
    return f"{match[1]}.{LINGUA_BLOCK[match[2]]}.weight"
