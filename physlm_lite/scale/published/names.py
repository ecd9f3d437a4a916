"""What our tensors are called in the published files, and how those that are cut differently fit together (Part 4.2).

Most tensors are the same under another name. Some are cut in other places: the three short convolutions of a linear mixer
are one of ours, and their one matrix of a feed-forward layer holds our two. A `Group` says which tensors, put one under
the other, are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models import LanguageModel, ModelConfig, gated_delta, gla, mamba2
from ...models.linear_attention import LinearAttention
from .layouts import LAYOUT_OF


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

    def cut(self, tensors: Sequence[Tensor], names: Sequence[str]) -> dict[str, Tensor]:
        """The same rows as the tensors `names`: these `tensors` themselves, parts of one of them, or all put together."""
        if len(tensors) == len(names):
            return dict(zip(names, tensors, strict=True))
        whole = tensors[0].contiguous() if len(tensors) == 1 else torch.cat(list(tensors))
        return {name: _alone(part) for name, part in zip(names, whole.split(self.heights(names)), strict=True)}


def _alone(part: Tensor) -> Tensor:
    """A tensor in a storage of its own, on the same memory: two parts in one storage would pass for tied weights."""
    if part.device.type != "cpu":
        return part.clone()
    start = part.storage_offset() * part.element_size()
    return part.new_empty(0).set_(part.untyped_storage()[start : start + part.nbytes], 0, part.shape, part.stride())


HEAD = "lm_head.weight"
Names = tuple[str, ...]


def _named(text: str, before: str = "") -> dict[str, Names]:
    """Pairs of names without ".weight", ours and theirs, as a table."""
    pairs = (pair.split(":") for pair in text.split())
    return {f"{ours}.weight": (f"{before}{theirs}.weight",) for ours, theirs in pairs}


def _inside(names: Mapping[str, Names], before: str) -> dict[str, Names]:
    """The tensors of a mixer, as those of its block."""
    return {f"mixer.{ours}": tuple(before + name for name in theirs) for ours, theirs in names.items()}


BLOCK = {
    **_named("canon_a:canonA canon_c:canonC canon_x:canonX feed_forward.gate:mlp.gate_proj"),
    **_named("canon_o:canonO canon_m:canonM"),  # of no published model, either
    **_named("feed_forward.up:mlp.up_proj feed_forward.down:mlp.down_proj"),
    **_named("feed_forward.canon_d:mlp.canonD feed_forward.router:mlp.router"),
    # experts, of no published model
    **{f"feed_forward.{part}": (f"mlp.experts.{part}_proj",) for part in ("gate", "up", "down")},
}
LINEAR = {**BLOCK, **_named("mixer_norm:attn_norm feed_forward_norm:mlp_norm")}
ATTENTION = "query:q_proj key:k_proj value:v_proj output:o_proj query_norm:q_norm key_norm:k_norm canon_b:canonB"
ATTENTION += " canon_k:canonK canon_v:canonV"


# Where a layout puts things: the name before all others, what stands at the ends, and what in a block.
PLACES: dict[str, tuple[str, dict[str, Names], dict[str, Names]]] = {
    "llama_canon": (
        "model.",
        _named("embedding:embed_tokens norm:norm"),
        BLOCK
        | _named("mixer_norm:input_layernorm feed_forward_norm:post_attention_layernorm")
        | _inside(_named(ATTENTION), "self_attn."),
    ),
    "gla5": ("model.", _named("embedding:embeddings norm:norm"), LINEAR | _inside(gla.NAMES, "attn.")),
    "gdn2": ("model.", _named("embedding:embeddings norm:norm"), LINEAR | _inside(gated_delta.NAMES, "attn.")),
    "mamba2": (
        "backbone.",
        _named("embedding:embeddings norm:norm_f"),
        BLOCK | _named("mixer_norm:norm feed_forward_norm:pre_mlp_layernorm") | _inside(mamba2.NAMES, "mixer."),
    ),
}
# Further ways to cut or call the same, which depend on switches that change nothing else.
ALSO: dict[tuple[str, str], list[Names]] = {("gla5", "mixer.norm.weight"): [("attn.g_norm.weight",)]}
BOTH = [("mlp.gate_proj.weight",), ("mlp.both_proj.weight",), ("mlp.gate_proj.weight", "mlp.up_proj.weight")]


def without_memory(config: ModelConfig) -> LanguageModel:
    """The model, its tensors without numbers."""
    with torch.device("meta"):
        return LanguageModel(config)


def groups(model: LanguageModel) -> list[Group]:
    """How the tensors of a model (on any device) correspond to the published ones; a tied head is none of them."""
    state, found, layout = model.state_dict(), [], LAYOUT_OF[model.config.mixer]
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
    before, ends, block = PLACES[layout]
    if ours == "head.weight":
        return ((HEAD,),)
    if ours in ends:
        alternatives = [ends[ours]]
    else:
        _, layer, part = ours.split(".", 2)
        alternatives, before = [block[part], *ALSO.get((layout, part), [])], f"{before}layers.{layer}."
        if part == "feed_forward.gate.weight" and layout != "llama_canon":
            written = {"gla5": 0, "mamba2": 1, "gdn2": 1 if "D" in config.canon else 2}[layout]
            alternatives = sorted(BOTH, key=lambda names: names != BOTH[written])
    return tuple(tuple(before + name for name in names) for names in alternatives)


def unused(name: str, config: ModelConfig) -> bool:
    """Whether a published file may hold this tensor although the model does not use it."""
    if config.mixer == "attention":  # older versions of transformers wrote what follows from rope_theta
        return name.endswith("rotary_emb.inv_freq")
    return config.mixer == "mamba2" and not config.mixer_options["canon_b"] and name.endswith(".mixer.conv1d.weight")


def unread(config: ModelConfig) -> dict[str, Tensor]:
    """Tensors that a published class wants and does not use: the frozen convolution of a Mamba2 without Canon-b."""
    if config.mixer != "mamba2" or config.mixer_options["canon_b"]:
        return {}
    taps = torch.zeros(2 * (config.width + config.mixer_options["state"]), 1, config.mixer_options["canon_kernel"])
    taps[..., -1] = 1
    return {f"backbone.layers.{layer}.mixer.conv1d.weight": taps.clone() for layer in range(config.layers)}


def to_published(config: ModelConfig, state: Mapping[str, Tensor], inside: str = "") -> dict[str, Tensor]:
    """The tensors of our modules, whose names begin with `inside`, under the names of a folder.

    What is no tensor of a `LanguageModel` keeps its name.
    """
    content = dict(state)
    if config.tied:
        content.pop(f"{inside}head.weight", None)
    for group in groups(without_memory(config)):
        ours = [inside + name for name in group.ours]
        if all(name in content for name in ours):
            content |= group.cut([content.pop(name) for name in ours], group.theirs[0])
    return unread(config) | content


def from_published(
    config: ModelConfig,
    given: Mapping[str, Tensor],
    inside: str = "",
    now: Mapping[str, Tensor] | None = None,
    mend: str | None = "correct one of the two",
    spell: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """The tensors of a folder under the names of our modules; what has no place there keeps its name.

    now: the present tensors of the modules, of which `given` may replace parts, as one of several files does. mend: what
    to do about a tensor of another shape than the configuration asks for; None leaves it to others. spell: what messages
    call a published name.

    Raises ValueError for a tensor of another shape, and for a head that should be tied and differs.
    """
    state = {name: tensor for name, tensor in given.items() if not unused(name, config)}
    head = state.pop(HEAD, None) if config.tied else None
    for group in groups(without_memory(config)):
        ours = [inside + name for name in group.ours]
        there = [names for names in group.theirs if any(name in state for name in names)]
        fitting = [names for names in there if not _misfits(group, names, state)]
        if there and not fitting:
            for name in _misfits(group, there[0], state):
                if mend:
                    raise ValueError(
                        f"the tensor {spell(name)} is {list(state[name].shape)}, and the configuration asks for "
                        f"{list(group.shapes(there[0])[name])}; {mend}"
                    )
                if len(ours) == len(there[0]) == 1:
                    state[ours[0]] = state.pop(name)
        names = max(fitting, key=lambda names: sum(name in state for name in names), default=())
        if not all(name in state for name in names):
            if now is None or not all(name in now for name in ours):
                continue
            present = group.cut([now[name] for name in ours], names)
            state |= {name: state[name].to(tensor) if name in state else tensor for name, tensor in present.items()}
        if names:
            state |= zip(ours, group.cut([state.pop(name) for name in names], group.ours).values(), strict=True)
    embedding = state.get(f"{inside}embedding.weight")
    if head is not None and embedding is not None and not torch.equal(head, embedding):
        reason = "differs from the embedding, although the configuration ties them; untie them there"
        raise ValueError(f"{spell(HEAD)} {reason}")
    return state


def _misfits(group: Group, names: Sequence[str], state: Mapping[str, Tensor]) -> list[str]:
    """Which of these tensors have another shape than this way of cutting asks for."""
    return [name for name, shape in group.shapes(names).items() if name in state and state[name].shape != shape]


LINGUA = """
    embed_tokens:tok_embeddings lm_head:output input_layernorm:attention_norm post_attention_layernorm:ffn_norm
    self_attn:attention q_proj:wq k_proj:wk v_proj:wv o_proj:wo mlp:feed_forward gate_proj:w1 up_proj:w3 down_proj:w2
"""
LINGUA_PARTS = dict(pair.split(":") for pair in LINGUA.split())


def lingua_name(layout: str, name: str) -> str:
    """A published Hugging Face name, as the training code calls it.

    >>> lingua_name("llama_canon", "model.layers.3.mlp.up_proj.weight")
    'layers.3.feed_forward.w3.weight'
    """
    if layout != "llama_canon":
        return f"trans.{name}"
    return ".".join(LINGUA_PARTS.get(part, part) for part in name.removeprefix("model.").split("."))
