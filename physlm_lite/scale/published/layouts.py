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
from typing import Any

from ...base.strict import build, choose, unknown
from ...models import GDN2, GLA5, MAMBA2, ModelConfig
from ...models.language_model import MIXERS

MODEL_TYPE = "physlm_lite"
REST = "physlm"

Keys = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """One published architecture.

    clues: words of its model_type, and keys that only it has. keys: the names of our fields; options: those of the
    mixer's options, on top of the `released` ones. fixed: keys that may only have these values.
    """

    mixer: str
    clues: tuple[str, ...]
    keys: Mapping[str, str]
    released: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """What this layout calls our field `name`."""
        return next(key for key, ours in {**COMMON, **self.keys}.items() if ours == name)


COMMON = {
    "vocab_size": "vocab",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "intermediate_size": "hidden",
    "tie_word_embeddings": "tied",
    "canon_kernel": "canon_kernel",
    "canon_residual": "canon_residual",
    "canon_activation": "canon_activation",
}
REQUIRED = ("vocab", "width", "layers", "heads", "norm_eps")
ROPE_VERSIONS = {"lingua": "interleaved", "huggingface": "half"}

SILU = {"hidden_act": ("silu", "swish")}
LAYOUTS = {
    "mamba2": Layout(
        "mamba2",
        ("mamba2", "state_size", "mamba_ssm"),
        {"num_heads": "heads", "layer_norm_epsilon": "norm_eps"},
        MAMBA2,
        {"state_size": "state", "mamba_ssm": "state", "conv_kernel": "canon_kernel"},
        {
            **SILU,
            "expand": (2,),
            "n_groups": (1,),
            "use_bias": (False,),
            "use_conv_bias": (True,),
            "rms_norm": (True,),
            "mlp_type": (None, "", "mlp10"),
        },
    ),
    "gla5": Layout(
        "gla",
        ("gla", "expand_k", "gate_logit_normalizer"),
        {"num_heads": "heads", "norm_eps": "norm_eps"},
        GLA5,
        {
            "expand_k": "expand_key",
            "expand_v": "expand_value",
            "gate_logit_normalizer": "decay_divisor",
            "conv_size": "canon_kernel",
            "zeyuan_split_init": "split_init",
        },
        {
            **SILU,
            "use_output_gate": (True,),
            "use_gk": (True,),
            "use_gv": (False,),
            "feature_map": (None,),
            "clamp_min": (None,),
            "attn": (None,),
            "elementwise_affine": (True,),
        },
    ),
    "gdn2": Layout(
        "gated_delta",
        ("gdn", "delta", "allow_neg_eigval"),
        {"num_heads": "heads", "norm_eps": "norm_eps"},
        GDN2,
        {
            "expand_k": "expand_key",
            "expand_v": "expand_value",
            "conv_size": "canon_kernel",
            "zeyuan_split_init": "split_init",
        },
        {**SILU, "use_gate": (True,), "allow_neg_eigval": (False,), "attn": (None,)},
    ),
    "llama_canon": Layout(
        "attention",
        ("llama", "num_attention_heads"),
        {
            "num_attention_heads": "heads",
            "num_key_value_heads": "kv_heads",
            "head_dim": "head_width",
            "rms_norm_eps": "norm_eps",
            "qk_norm": "qk_norm",
            "rope_dim": "rope_dim",
            "rope_theta": "rope_theta",
        },
        fixed={
            **SILU,
            "attention_bias": (False,),
            "mlp_bias": (False,),
            "attention_dropout": (0,),
            "sliding_window": (None,),
        },
    ),
}
FIXED = {"canon_bias": (False,), "is_encoder_decoder": (False,), "add_cross_attention": (False,)}
# Read by name in `fields_of`, beside those of a layout.
SPECIAL = {
    "layout",
    REST,
    "canon_set",
    "rope_version",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "head_dim",
    "num_kv_heads",
    "num_v_heads",
    "use_short_conv",
    "time_step_limit",
}
# These change no logits: names and bookkeeping, token numbers, how training starts or counts, how kernels are chosen.
IGNORED = frozenset(
    """
    _name_or_path name_or_path architectures auto_map model_type model_name transformers_version torch_dtype dtype
    id2label label2id num_labels problem_type return_dict output_attentions output_hidden_states use_cache is_decoder
    chunk_size_feed_forward _attn_implementation attn_implementation tokenizer_class task_specific_params
    bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id
    max_position_embeddings initializer_range init_std zeyuan_layernorm z_loss
    pretraining_tp attn_mode chunk_size fuse_norm fuse_swiglu fuse_cross_entropy fuse_linear_cross_entropy use_l2warp
    hidden_ratio residual_in_fp32 rescale_prenorm_residual time_step_rank time_step_min time_step_max time_step_floor
""".split()
)


def known_keys(name: str) -> set[str]:
    """The keys that say something about a model in this layout."""
    layout = LAYOUTS[name]
    return {*COMMON, *layout.keys, *layout.options, *FIXED, *layout.fixed, *SPECIAL}


def layout_of(keys: Mapping[str, Any]) -> str:
    """Which of `LAYOUTS` these keys are written in: ours say it, others show it by their model_type or by their keys."""
    if "layout" in keys:
        choose("layout", keys["layout"], LAYOUTS)
        return str(keys["layout"])
    said = f"{keys.get('model_name')} {keys.get('model_type')} {keys.get('architectures')}".lower()
    for name, layout in LAYOUTS.items():
        if layout.clues[0] in said:
            return name
    for name, layout in LAYOUTS.items():
        if any(clue in keys or clue in said for clue in layout.clues[1:]):
            return name
    raise ValueError(
        f"model_type {keys.get('model_type')!r} is none that this kit can compute; it reads folders of "
        "LlamaCanon, Llama, GLA5, GDN2 and Mamba2"
    )


def read_keys(keys: Mapping[str, Any], ignore: Collection[str] = ()) -> ModelConfig:
    """The model that a config.json describes. `ignore`: further keys that are known to change no logits.

    Raises ValueError for a key that is missing, unknown, contradictory, or that stands for another function.
    """
    fields = fields_of(layout_of(keys), keys, ignore)
    fields.update(keys.get(REST) or {})
    return build(ModelConfig, fields)


def fields_of(name: str, keys: Mapping[str, Any], ignore: Collection[str] = ()) -> Keys:
    """The fields of `ModelConfig` that the published keys of a layout give."""
    layout = LAYOUTS[name]
    named = {**COMMON, **layout.keys}
    fixed = {**FIXED, **layout.fixed}
    known = known_keys(name)
    for key in keys:
        if key not in known and key not in IGNORED and key not in ignore:
            hint = unknown("key", key, sorted(known))
            raise ValueError(f"{hint} If it changes no logits, pass ignore=[{key!r}]")
    for key, allowed in fixed.items():
        if key in keys and keys[key] not in allowed:
            raise ValueError(
                f"{key} is {keys[key]!r}, and this kit only computes {name} with {' or '.join(map(repr, allowed))}"
            )
    fields = _take(keys, named)
    missing = [key for key, ours in named.items() if ours in REQUIRED and fields.get(ours) is None]
    if missing:
        eps = ", which is 1e-05 in all released models" if missing[0].endswith(("eps", "epsilon")) else ""
        raise ValueError(f"{missing[0]} is missing{eps}; add it to the configuration")
    fields["mixer"] = layout.mixer
    if layout.mixer == "attention":
        return _attention(fields, keys)
    return _linear(name, fields, keys)


def write_keys(config: ModelConfig) -> Keys:
    """The config.json of a model: `read_keys` gives `resolved(config)` again."""
    config = resolved(config)
    name = next(name for name, layout in LAYOUTS.items() if layout.mixer == config.mixer)
    layout = LAYOUTS[name]
    keys: Keys = {"model_type": MODEL_TYPE, "architectures": ["PhyslmForCausalLM"], "layout": name}
    keys |= {key: getattr(config, ours) for key, ours in {**COMMON, **layout.keys}.items()}
    options = config.mixer_options
    keys |= {key: options[ours] for key, ours in layout.options.items() if key != "mamba_ssm"}
    if layout.mixer == "attention":
        keys["rope_version"] = {ours: theirs for theirs, ours in ROPE_VERSIONS.items()}[config.rope_layout]
        keys["canon_set"] = config.canon
    else:
        letters = {"A": "A" * ("A" in config.canon), "CD": "".join(x for x in config.canon if x in "CD")}
        keys["canon_set"] = letters["A"] + "bb" * options["canon_b"] + letters["CD"]
    if name == "gdn2":
        del keys["expand_k"]  # it is called by the width of a head
        keys["head_dim"] = int(options["expand_key"] * config.width) // config.heads
    if name == "mamba2":
        keys["head_dim"] = 2 * config.width // config.heads
        keys |= {"n_groups": 1, "mlp_type": "mlp10" if config.mlp == "gated" else None}
    keys = {key: value for key, value in keys.items() if value is not None}
    said = {f.name: f.default for f in dataclasses.fields(ModelConfig)} | fields_of(name, keys)
    rest = {
        f.name: getattr(config, f.name)
        for f in dataclasses.fields(ModelConfig)
        if getattr(config, f.name) != said[f.name] and not (f.name == "mixer_options" and layout.mixer == "attention")
    }
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


def from_lingua(model: Mapping[str, Any], vocab: int) -> Keys:
    """The published keys for the "model" part of a params.json. `vocab`: rows of the embedding, if it is left automatic.

    Raises ValueError for an unknown key.
    """
    linear = model.get("model_name") is not None and "llama" not in str(model["model_name"]).lower()
    names = {
        "dim": "hidden_size",
        "n_layers": "num_hidden_layers",
        "hidden_dim": "intermediate_size",
        "weight_tying": "tie_word_embeddings",
        "n_heads": "num_heads" if linear else "num_attention_heads",
    }
    names |= {} if linear else {"n_kv_heads": "num_key_value_heads"}
    same = {
        "vocab_size",
        "canon_set",
        "canon_kernel",
        "canon_residual",
        "canon_activation",
        "canon_bias",
        "rope_theta",
        "rope_dim",
        "qk_norm",
        "head_dim",
        "sliding_window",
        "model_name",
        "mamba_ssm",
        "mlp_type",
        "zeyuan_layernorm",
        "zeyuan_split_init",
    }
    # the starting point, the loss and the longest training text
    silent = {
        "init_base_std",
        "init_std_factor",
        "seed",
        "z_loss",
        "max_seqlen",
        "multiple_of",
        "ffn_dim_multiplier",
        "norm_eps",
        "rope_version",
    }
    for key in model:
        if key not in {*names, *same, *silent}:
            raise unknown("key of params.json's model", key, sorted({*names, *same, *silent}))
    keys = {names.get(key, key): value for key, value in model.items() if key not in silent}
    if "dim" in model and model.get("hidden_dim") is None:
        keys["intermediate_size"] = _hidden(model)
    if keys.get("vocab_size") in (None, -1):
        keys["vocab_size"] = vocab
    if linear:  # what they share with the Transformers, and do not use
        keys = {
            key: value
            for key, value in keys.items()
            if key not in ("rope_theta", "rope_dim", "qk_norm", "head_dim", "n_kv_heads", "sliding_window")
        }
        keys.setdefault("intermediate_size", 2 * model["dim"])
    else:
        keys = {key: value for key, value in keys.items() if key not in ("mamba_ssm", "mlp_type", "model_name")}
        keys |= {"model_type": "llama", "rope_version": "lingua"}
    return {**keys, LAYOUTS[layout_of(keys)].key("norm_eps"): model.get("norm_eps", 1e-5)}


def _hidden(model: Mapping[str, Any]) -> int:
    """The width of the feed-forward layer when lingua is not told it: 8/3 of the width, in steps of `multiple_of`."""
    width = int(2 * (4 * model["dim"]) / 3)
    if model.get("ffn_dim_multiplier") is not None:
        width = int(model["ffn_dim_multiplier"] * width)
    step = model.get("multiple_of") or 256
    return step * math.ceil(width / step)


def _take(keys: Mapping[str, Any], names: Mapping[str, str]) -> Keys:
    """The values of those keys that are given, under our names."""
    taken: Keys = {}
    for key, ours in names.items():
        value = keys.get(key)
        if value is None:
            continue
        if taken.setdefault(ours, value) != value:
            raise ValueError(f"{key} is {value}, and another key says {taken[ours]}; leave one of them out")
    return taken


def _letters(keys: Mapping[str, Any], valid: str, why: str) -> str:
    letters = "".join(sorted(set(keys.get("canon_set") or "")))
    if wrong := [letter for letter in letters if letter not in valid]:
        raise ValueError(f"canon_set {keys['canon_set']!r} has {wrong[0]!r}: {why}")
    return letters


def _attention(fields: Keys, keys: Mapping[str, Any]) -> Keys:
    fields["canon"] = _letters(keys, "ABCD", "it should be a subset of 'ABCD'")
    fields["rope_layout"] = choose("rope_version", keys.get("rope_version") or "huggingface", ROPE_VERSIONS)
    # transformers 5 keeps three older keys in one
    scaling = {**(keys.get("rope_scaling") or {}), **(keys.get("rope_parameters") or {})}
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    scaling.setdefault("partial_rotary_factor", keys.get("partial_rotary_factor"))
    if "rope_theta" in scaling:
        fields["rope_theta"] = scaling.pop("rope_theta")
    factor = scaling.pop("partial_rotary_factor")
    if kind != "default" or scaling:
        raise ValueError(
            f"rope_scaling asks for positions of type {kind!r} with {sorted(scaling)}, and this kit only "
            "computes plain rotation, 'default'"
        )
    if factor is not None:
        rotated = factor * (fields.get("head_width") or fields["width"] / fields["heads"])
        if fields.setdefault("rope_dim", round(rotated)) != round(rotated):
            raise ValueError(
                f"partial_rotary_factor {factor} rotates {round(rotated)} coordinates of a head, and "
                f"rope_dim says {fields['rope_dim']}; leave one of them out"
            )
    return fields


def _linear(name: str, fields: Keys, keys: Mapping[str, Any]) -> Keys:
    layout, width, heads = LAYOUTS[name], fields["width"], fields["heads"]
    native = name == "mamba2" and "canon_set" not in keys  # transformers has a Mamba2 of its own
    if "canon_set" not in keys and not native:
        raise ValueError("canon_set is missing: 'AbbCD' with Canon layers, 'bb' without; add it to the configuration")
    letters = "b" if native else _letters(keys, "AbCD", "in a linear model it should be a subset of 'AbCD'")
    if keys.get("use_short_conv") not in (None, "b" in letters):
        raise ValueError(
            f"use_short_conv is {keys['use_short_conv']}, and canon_set says {keys['canon_set']!r}; leave "
            "use_short_conv out"
        )
    for key in ("num_kv_heads", "num_v_heads"):
        if keys.get(key) not in (None, heads):
            raise ValueError(f"{key} is {keys[key]}, and this kit only computes as many as there are heads, {heads}")
    options = {**_defaults(layout.mixer), **layout.released, **_take(keys, layout.options)}
    options["canon_b"] = "b" in letters
    if name == "gdn2" and keys.get("head_dim"):
        options["expand_key"] = keys["head_dim"] * heads / width
    if name == "mamba2":
        if keys.get("head_dim") not in (None, 2 * width / heads):
            raise ValueError(
                f"head_dim is {keys['head_dim']}, and {heads} heads of twice the width {width} have "
                f"{2 * width / heads:g}"
            )
        # transformers 5 writes infinity as {"__float__": "Infinity"}
        limits = [
            float(x["__float__"] if isinstance(x, dict) else x) for x in keys.get("time_step_limit") or (0, "inf")
        ]
        if limits != [0, math.inf]:
            raise ValueError(f"time_step_limit is {limits}, and this kit only computes steps without limits")
        fields["mlp"] = "gated" if keys.get("mlp_type") else "none"
    gated = fields.get("mlp", "gated") == "gated"
    if gated and fields.get("hidden") is None:
        raise ValueError("intermediate_size is missing; add it to the configuration")
    if not gated:
        fields.pop("hidden", None)
    fields["canon"] = "".join(letter for letter in letters if letter in ("ACD" if gated else "A"))
    return {**fields, "mixer_options": options}


def _defaults(mixer: str) -> Keys:
    """All options of a mixer that `ModelConfig.mixer_options` may give, with their defaults."""
    parameters = inspect.signature(MIXERS[mixer]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("width", "heads", "norm_eps", "canon_compiled")}
