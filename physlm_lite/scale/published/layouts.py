"""What the config.json of a published model says, as a `ModelConfig`, and the other way round (Part 4.2).

Four architectures are published: LlamaCanon, and the linear models GLA5, GDN2 and Mamba2. A `Layout` lists the keys of
each. Three things can happen to a key: it becomes a field, it must have the one value that this kit computes, or it is
known to change no logits and is ignored. Any other key is refused: it might stand for another function.

What a `ModelConfig` says beyond these keys (ALiBi, experts, how training starts, ...) is kept under one more key, `REST`.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from ...base.strict import Count, Positive, Range, build, choose, conform, hints, shown, unknown
from ...models import GDN2, GLA5, MAMBA2, ModelConfig
from ...models.attention import AttentionConfig
from ...models.canon import CanonConfig
from ...models.config import GIVEN, MIXERS
from ...models.feed_forward import FeedForwardConfig
from ...models.gla import GLAConfig
from ...models.mamba2 import Mamba2Config

MODEL_TYPE = "physlm_lite"
REST = "physlm"

Keys = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """One published architecture.

    model_type: in its config.json. clues: what other spellings of its name contain, and keys that only it has. init: what
    its weights start from. keys: their names of our fields; options: of the mixer's, on top of the `released` ones.
    fixed: the values of a key that this kit computes; the first one is written. canon_b: what keys say of a model with
    Canon-b, and the contrary without. needed: keys that change no logits, but without which the published class does not
    read our folder. other: further ones, which are read by name in `fields_of`, or ignored in this layout only.
    """

    model_type: str
    mixer: str
    clues: tuple[str, ...]
    init: str
    keys: Mapping[str, str]
    fixed: Mapping[str, tuple[Any, ...]]
    released: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    canon_b: Mapping[str, bool] = field(default_factory=dict)
    needed: Mapping[str, Any] = field(default_factory=dict)
    other: tuple[str, ...] = ()


def _only(value: Any, keys: str) -> dict[str, tuple[Any, ...]]:
    """These keys may have this one value."""
    return dict.fromkeys(keys.split(), (value,))


def _same(keys: str) -> dict[str, str]:
    """These keys have one name on both sides."""
    return {key: key for key in keys.split()}


COMMON = {
    "vocab_size": "vocab",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "intermediate_size": "hidden",
    "tie_word_embeddings": "tied",
    **_same("canon_kernel canon_residual canon_activation"),
}
REQUIRED = ("vocab", "width", "layers", "heads", "norm_eps")
ROPE_VERSIONS = {"lingua": "interleaved", "huggingface": "half"}
FLA: dict[str, Any] = {  # what the two layouts that stand on flash-linear-attention share
    "init": "huggingface",
    "keys": {"num_heads": "heads", "norm_eps": "norm_eps"},
    "options": {
        "expand_v": "expand_value",
        "output_gate_rank": "gate_rank",
        "conv_size": "canon_kernel",
        "zeyuan_split_init": "split_init",
    },
    "fixed": {"canon_bias": (False,), "attn": (None,), "hidden_act": ("swish", "silu")},
    "canon_b": {"use_short_conv": True},
    "needed": {"fuse_norm": True, "zeyuan_layernorm": False},
}
LAYOUTS = {
    "mamba2": Layout(
        "Mamba2Canon",
        "mamba2",
        clues=("mamba2", "state_size"),
        init="mamba2",
        keys={"num_heads": "heads", "layer_norm_epsilon": "norm_eps"},
        released=MAMBA2,
        options={"state_size": "state", "conv_kernel": "canon_kernel"},
        fixed={
            **_only(False, "canon_bias use_bias"),
            **{"hidden_act": ("silu", "swish"), "expand": (2,), "n_groups": (1,), "rms_norm": (True,)},
            "mlp_type": ("mlp10", None, ""),
            # transformers 5 writes infinity in its own way
            "time_step_limit": ([0.0, math.inf], (0.0, math.inf), [0.0, {"__float__": "Infinity"}], None),
        },
        canon_b={"use_conv_bias": True, "noconv1d": False},
        needed={"residual_in_fp32": False},
        other=("head_dim", "norm_eps"),
    ),
    "gla5": Layout(
        "GLACanon",
        "gla",
        clues=("gla", "expand_k", "gate_logit_normalizer"),
        released=GLA5,
        other=("num_kv_heads", "hidden_ratio", "mlp_type"),
        **FLA
        | {
            "options": {**FLA["options"], "expand_k": "expand_key", "gate_logit_normalizer": "decay_divisor"},
            "fixed": {
                **FLA["fixed"],
                **_only(True, "use_output_gate use_gk elementwise_affine"),
                **{"use_gv": (False,), "feature_map": (None,), "clamp_min": (None,)},
            },
            "needed": {**FLA["needed"], "num_kv_heads": None},
        },
    ),
    "gdn2": Layout(
        "GatedDeltaNetCanon",
        "gated_delta",
        clues=("gdn", "delta", "allow_neg_eigval"),
        released=GDN2,
        other=("head_dim", "num_kv_heads", "num_v_heads", "hidden_ratio"),
        **FLA | {"fixed": {**FLA["fixed"], "use_gate": (True,), "mlp_type": (None, "mlp10")}},
    ),
    "llama_canon": Layout(
        "LlamaCanon",
        "attention",
        clues=("llama", "num_attention_heads"),
        init="huggingface",
        keys={
            "num_attention_heads": "heads",
            "num_key_value_heads": "kv_heads",
            "head_dim": "head_width",
            "rms_norm_eps": "norm_eps",
            **_same("qk_norm rope_dim rope_theta"),
        },
        fixed={**_only(False, "canon_bias attention_bias mlp_bias"), "hidden_act": ("silu", "swish")},
        other=("rope_version", "rope_scaling", "rope_parameters", "partial_rotary_factor"),
    ),
}
LAYOUT_OF = {layout.mixer: name for name, layout in LAYOUTS.items()}  # in which a mixer is written
# Checked like those of a layout, and never written.
FIXED: dict[str, tuple[Any, ...]] = {
    **_only(False, "is_encoder_decoder add_cross_attention allow_neg_eigval"),
    **{"pruned_heads": ({}, None), "attention_dropout": (0,), "sliding_window": (None,)},
}
# These change no logits: names and bookkeeping, token numbers, how training starts or counts, how kernels are chosen, and
# how `generate` goes on from the logits.
IGNORED = frozenset(
    """
    _name_or_path name_or_path architectures auto_map model_type model_name transformers_version torch_dtype dtype
    id2label label2id num_labels problem_type return_dict output_attentions output_hidden_states use_cache is_decoder
    chunk_size_feed_forward _attn_implementation attn_implementation _attn_implementation_autoset tokenizer_class
    task_specific_params finetuning_task torchscript use_bfloat16 tf_legacy_loss tie_encoder_decoder
    cross_attention_hidden_size prefix bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id
    decoder_start_token_id max_position_embeddings max_sequence_length initializer_range init_std zeyuan_layernorm z_loss
    pretraining_tp attn_mode chunk_size fuse_norm fuse_swiglu fuse_cross_entropy fuse_linear_cross_entropy use_l2warp
    residual_in_fp32 rescale_prenorm_residual time_step_rank time_step_min time_step_max time_step_floor
    do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
    repetition_penalty length_penalty max_length min_length no_repeat_ngram_size encoder_no_repeat_ngram_size
    bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id
    remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
""".split()
)
PARAMETERS = 10**13  # more than anybody's; what is beyond was no number of a model, and would cost memory
# What a value has to be, by our name: as the part says to which it belongs.
PARTS = (GLAConfig, Mamba2Config, ModelConfig, FeedForwardConfig, CanonConfig, AttentionConfig)
KINDS = {name: kind for part in PARTS for name, kind in hints(part).items()}


def known_keys(name: str) -> set[str]:
    """The keys that say something about a model in this layout."""
    layout = LAYOUTS[name]
    tables = (COMMON, layout.keys, layout.options, FIXED, layout.fixed, layout.canon_b, layout.needed, layout.other)
    return {"layout", "model_type", "canon_set", REST}.union(*tables)


def layout_of(keys: Mapping[str, Any]) -> str:
    """Which of `LAYOUTS` these keys are written in: ours say it, others show it by their model_type or by their keys."""
    if "layout" in keys:
        choose("layout", keys["layout"], LAYOUTS)
        return str(keys["layout"])
    said = f"{keys.get('model_name')} {keys.get('model_type')} {keys.get('architectures')}".lower()
    for place in (said, keys):
        for name, layout in LAYOUTS.items():
            if any(clue in place for clue in layout.clues):
                return name
    raise ValueError(
        f"model_type {shown(keys.get('model_type'))} is none that this kit can compute; it reads folders of "
        "LlamaCanon, Llama, GLA5, GDN2 and Mamba2"
    )


def read_keys(keys: Mapping[str, Any], ignore: Collection[str] = ()) -> ModelConfig:
    """The model that a config.json describes, `resolved`. `ignore`: further keys that are known to change no logits.

    Raises ValueError for a key that is missing, unknown, contradictory, or that stands for another function.
    """
    keys = {key: value for key, value in keys.items() if key not in ignore}
    rest = _value(keys, REST, Mapping[str, Any]) or {}
    fields = fields_of(layout_of(keys), keys)
    if "mixer_options" in fields and isinstance(rest.get("mixer_options"), Mapping):
        rest = {**rest, "mixer_options": {**fields["mixer_options"], **rest["mixer_options"]}}
    config = resolved(build(ModelConfig, {**fields, **rest}))
    if config.parameters > PARAMETERS:
        raise ValueError(f"these are {config.parameters:,} parameters, and the limit is {PARAMETERS:,}")
    return config


def fields_of(name: str, keys: Mapping[str, Any]) -> Keys:
    """The fields of `ModelConfig` that the published keys of a layout give."""
    layout, known = LAYOUTS[name], known_keys(name)
    for key in keys:
        if key not in known and key not in IGNORED:
            hint = unknown("key", key, sorted(known))
            raise ValueError(f"{hint} If it changes no logits, pass ignore=[{key!r}]")
    for key, allowed in {**FIXED, **layout.fixed}.items():
        if key in keys and keys[key] not in allowed:
            computed = " or ".join(map(repr, allowed))
            raise ValueError(f"{key} is {shown(keys[key])}, and this kit only computes {name} with {computed}")
    named = {**COMMON, **layout.keys}
    fields = {"mixer": layout.mixer, **_take(keys, named)}
    if "layout" not in keys:  # ours say how they started, where it is not the default
        fields["init"] = layout.init
    for key in (key for key, ours in named.items() if ours in REQUIRED and ours not in fields):
        eps = ", which is 1e-05 in all released models" if key.endswith(("eps", "epsilon")) else ""
        raise ValueError(f"{key} is missing{eps}; add it to the configuration")
    return _attention(fields, keys) if layout.mixer == "attention" else _linear(name, fields, keys)


def write_keys(config: ModelConfig) -> Keys:
    """The config.json of a model: `read_keys` gives `resolved(config)` again, and the published class its function."""
    config = resolved(config)
    name = LAYOUT_OF[config.mixer]
    layout, options = LAYOUTS[name], config.mixer_options
    keys: Keys = {"model_type": MODEL_TYPE, "architectures": ["PhyslmForCausalLM"], "layout": name}
    keys |= {key: getattr(config, ours) for key, ours in {**COMMON, **layout.keys}.items()}
    keys |= {key: options[ours] for key, ours in layout.options.items()}
    keys |= {key: values[0] for key, values in layout.fixed.items()}
    keys |= {key: options["canon_b"] == with_b for key, with_b in layout.canon_b.items()}
    keys |= layout.needed
    published = "".join(place for place in config.canon if place in "ABCD")  # other places stand among the rest
    if layout.mixer == "attention":
        keys["rope_version"] = {ours: theirs for theirs, ours in ROPE_VERSIONS.items()}[config.rope_layout]
        keys["canon_set"] = published
    else:
        keys["canon_set"] = "A" * ("A" in published) + "bb" * options["canon_b"] + published.replace("A", "")
    if name == "gdn2":
        keys["head_dim"] = int(options["expand_key"] * config.width) // config.heads
    if name == "mamba2":
        keys["head_dim"] = 2 * config.width // config.heads
        keys["mlp_type"] = "mlp10" if config.mlp == "gated" else None
        keys["norm_eps"] = config.norm_eps
        keys["intermediate_size"] = None if config.hidden == 2 * config.width else config.hidden  # as in the release
    said: Keys = {f.name: f.default for f in dataclasses.fields(ModelConfig)} | fields_of(name, keys)
    rest = {key: value for key, value in vars(config).items() if key in said and value != said[key]}
    if rest.pop("mixer_options", None):  # of these only what is not said either
        rest["mixer_options"] = {key: value for key, value in options.items() if value != said["mixer_options"][key]}
    return keys | ({REST: rest} if rest else {})


def resolved(config: ModelConfig) -> ModelConfig:
    """The same model with nothing left to follow from something else."""
    attention, rope = config.mixer == "attention", config.positions == "rope"
    return dataclasses.replace(
        config,
        canon="".join(sorted(set(config.canon))),
        hidden=config.feed_forward or None,
        kv_heads=(config.kv_heads or config.heads) if attention else None,
        head_width=config.each_head if attention else None,
        rope_dim=config.rotated if attention and rope else None,
        mixer_options={} if attention else {**_defaults(config.mixer), **config.mixer_options},
    )


# The "model" part of a params.json, as the training code writes it: what its keys are called in a config.json.
LINGUA = {
    **_same("vocab_size canon_set canon_kernel canon_residual canon_activation canon_bias"),
    **{"dim": "hidden_size", "n_layers": "num_hidden_layers"},
    **{"hidden_dim": "intermediate_size", "weight_tying": "tie_word_embeddings"},
}
LINGUA_LLAMA = {
    **_same("head_dim rope_theta rope_dim qk_norm sliding_window"),
    **{"n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads", "norm_eps": "rms_norm_eps"},
}
LINGUA_LINEAR = {**_same("norm_eps mlp_type zeyuan_split_init"), "n_heads": "num_heads", "mamba_ssm": "state_size"}
# the kernel, the start, the loss, the longest training text, and what no model of the release reads
LINGUA_UNUSED = """
    model_name attn_impl seed z_loss max_seqlen multiple_of ffn_dim_multiplier init_base_std init_std_factor rope_version
    zeyuan_layernorm zeyuan_linearT zeyuan_alternate zeyuan_double
""".split()
DEPTHS = {"current_depth": "current", "global_depth": "global"}


def from_lingua(model: Mapping[str, Any], vocab: int = -1) -> Keys:
    """The published keys for the "model" part of a params.json. `vocab`: rows of the embedding, if it is left automatic.

    Raises ValueError for an unknown key, or one that is missing.
    """
    known = sorted({*LINGUA, *LINGUA_LLAMA, *LINGUA_LINEAR, *LINGUA_UNUSED})
    for key in model:
        if key not in known:
            raise unknown("key of params.json's model", key, known)
    said = str(model.get("model_name") or "llama")
    name = "llama_canon" if "llama" in said.lower() else said.lower()
    if name not in LAYOUTS:
        raise unknown("model_name", said, ["Llama", "GLA5", "GDN2", "Mamba2"])
    if model.get("dim") is None:
        raise ValueError("dim is missing; add it to the configuration")
    width = conform("dim", KINDS["width"], model["dim"])
    linear, factor = name != "llama_canon", _value(model, "ffn_dim_multiplier", Positive) or 1.0
    step = _value(model, "multiple_of", Count) or 256
    keys: Keys = {
        "model_type": LAYOUTS[name].model_type,
        "vocab_size": vocab,
        "intermediate_size": 2 * width if linear else _two_thirds(width, 4, factor, step),
    }
    for key, theirs in {**LINGUA, **(LINGUA_LINEAR if linear else LINGUA_LLAMA)}.items():
        if model.get(key) is not None and (key, model[key]) != ("vocab_size", -1):
            keys[theirs] = model[key]
    if keys["vocab_size"] == -1:
        raise ValueError("vocab_size is left to the tokenizer, and no tensors are there to tell; write the number")
    if linear:
        keys.pop("state_size", None) if name != "mamba2" else keys.setdefault("state_size", 256)
        # the published Mamba2 is given norm_eps under a name that it does not read
        keys |= {"layer_norm_epsilon": 1e-5} if name == "mamba2" else {"norm_eps": model.get("norm_eps", 1e-5)}
        return keys
    head = model.get("head_dim")
    if head and not model.get("n_heads"):
        keys["num_attention_heads"] = width // conform("head_dim", KINDS["width"], head)
    start = {"init_std": model.get("init_base_std"), "depth_scaling": DEPTHS.get(str(model.get("init_std_factor")))}
    rest = {key: value for key, value in start.items() if value is not None}
    return {"rms_norm_eps": 1e-5, **keys, "rope_version": "lingua", **({REST: rest} if rest else {})}


def _two_thirds(width: int, ratio: float = 4, factor: float = 1.0, step: int = 256) -> int:
    """Both code bases' width of a gated feed-forward layer that is not told it: of `ratio` widths, rounded up."""
    return step * math.ceil(int(factor * int(2 * (ratio * width) / 3)) / step)


def _value(keys: Mapping[str, Any], key: str, hint: Any) -> Any:
    """The value of a key of its own meaning, None if it is not given."""
    return None if keys.get(key) is None else conform(key, hint, keys[key])


def _take(keys: Mapping[str, Any], names: Mapping[str, str]) -> Keys:
    """The values of those keys that are given, under our names."""
    given = {key: ours for key, ours in names.items() if keys.get(key) is not None}
    return {ours: conform(key, KINDS[ours], keys[key]) for key, ours in given.items()}


def _letters(keys: Mapping[str, Any], valid: str, why: str) -> str:
    letters = "".join(sorted(set(_value(keys, "canon_set", str) or "")))
    if wrong := [letter for letter in letters if letter not in valid]:
        raise ValueError(f"canon_set {shown(keys['canon_set'])} has {wrong[0]!r}: {why}")
    return letters


def _attention(fields: Keys, keys: Mapping[str, Any]) -> Keys:
    fields["canon"] = _letters(keys, "ABCD", "it should be a subset of 'ABCD'")
    fields["rope_layout"] = choose("rope_version", _value(keys, "rope_version", str) or "huggingface", ROPE_VERSIONS)
    if "layout" not in keys:
        if "hidden" not in fields:
            raise ValueError("intermediate_size is missing; add it to the configuration")
        std = _value(keys, "initializer_range", float)
        if fields["rope_layout"] == "interleaved":  # only the training code makes them
            fields["init"] = "lingua"
        elif std not in (None, 0.02):
            fields["init_std"] = std
    # transformers 5 keeps three older keys in one
    scaling = {**(_value(keys, "rope_scaling", Mapping[str, Any]) or {})}
    scaling |= _value(keys, "rope_parameters", Mapping[str, Any]) or {}
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    scaling.setdefault("partial_rotary_factor", keys.get("partial_rotary_factor"))
    if "rope_theta" in scaling:
        fields["rope_theta"] = conform("rope_theta", KINDS["rope_theta"], scaling.pop("rope_theta"))
    factor = _value(scaling, "partial_rotary_factor", Annotated[float, Range(least=0, most=1)])
    del scaling["partial_rotary_factor"]
    if kind != "default" or scaling:
        raise ValueError(
            f"rope_scaling asks for positions of type {shown(kind)} with {shown(sorted(scaling))}, and this kit only "
            "computes plain rotation, 'default'"
        )
    if factor is not None:
        rotated = round(factor * (fields.get("head_width") or fields["width"] / fields["heads"]))
        if fields.setdefault("rope_dim", rotated) != rotated:
            raise ValueError(
                f"partial_rotary_factor {factor} rotates {rotated} coordinates of a head, and "
                f"rope_dim says {fields['rope_dim']}; leave one of them out"
            )
    return fields


def _linear(name: str, fields: Keys, keys: Mapping[str, Any]) -> Keys:
    layout, width, heads = LAYOUTS[name], fields["width"], fields["heads"]
    native = name == "mamba2" and "canon_set" not in keys  # transformers has a Mamba2 of its own
    if "canon_set" not in keys and not native:
        raise ValueError("canon_set is missing: 'AbbCD' with Canon layers, 'bb' without; add it to the configuration")
    letters = "b" if native else _letters(keys, "AbCD", "in a linear model it should be a subset of 'AbCD'")
    for key, with_b in layout.canon_b.items():
        if keys.get(key) not in (None, ("b" in letters) == with_b):
            said = f"canon_set {shown(keys.get('canon_set'))}" if not native else "a Mamba2 without canon_set"
            raise ValueError(f"{key} is {shown(keys[key])}, and {said} asks for the contrary; correct one of the two")
    for key in ("num_kv_heads", "num_v_heads"):
        if keys.get(key) not in (None, heads):
            only = f"this kit only computes as many as there are heads, {heads}"
            raise ValueError(f"{key} is {shown(keys[key])}, and {only}")
    options = {**_defaults(layout.mixer), **layout.released, **_take(keys, layout.options)}
    options["canon_b"] = "b" in letters
    if "output_gate_rank" in keys:  # null is another gate than none that is named: one full matrix
        options["gate_rank"] = conform("output_gate_rank", KINDS["gate_rank"], keys["output_gate_rank"])
    head = _value(keys, "head_dim", KINDS["width"])
    if name == "gdn2" and head:
        options["expand_key"] = head * heads / width
    if name == "mamba2" and head not in (None, 2 * width / heads):
        raise ValueError(f"head_dim is {head}, and {heads} heads of twice the width {width} have {2 * width / heads:g}")
    if name == "mamba2":
        fields["mlp"] = "gated" if keys.get("mlp_type") else "none"
    if fields.get("mlp") == "none":
        fields.pop("hidden", None)
        letters = letters.replace("C", "").replace("D", "")  # they have no place
    elif keys.get("mlp_type") and name != "gla5":
        fields["hidden"] = fields.get("hidden", 2 * width) if name == "mamba2" else 2 * width
    else:
        fields.setdefault("hidden", _two_thirds(width, _value(keys, "hidden_ratio", Positive) or 4))
    return {**fields, "canon": letters.replace("b", ""), "mixer_options": options}


def _defaults(mixer: str) -> Keys:
    """All options of a mixer that `ModelConfig.mixer_options` may give, with their defaults."""
    parameters = inspect.signature(MIXERS[mixer]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in GIVEN}
