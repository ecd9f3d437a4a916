"""Configuration files in the form in which the 64 released models have them, from tables: nothing is copied from a file.

`hugging_face` gives what is published beside a linear model, `lingua` the arguments of the training code, as its
params.json holds them under "model": all its options, most of them left at their defaults.
"""

import math

SIZES = {  # width, layers, heads of a linear model and of a Transformer, its key-value heads, vocabulary
    "1B": (2048, 24, 16, 32, None, 32_000),
    "3B": (3072, 26, 24, 24, None, 32_000),
    "8B": (4096, 32, 32, 32, 8, 128_256),
}
SPLIT_NORM = ("GLA5Canon-3B-Nemo-1T-lr0.005",)  # beside those of GLA5 and GDN2 at 8B
# What transformers 4 adds to each configuration: none of it changes what a model computes.
GENERAL = {
    **dict.fromkeys(
        """output_hidden_states output_attentions torchscript use_bfloat16 tf_legacy_loss is_encoder_decoder is_decoder
        add_cross_attention tie_encoder_decoder do_sample early_stopping output_scores return_dict_in_generate
        remove_invalid_values _attn_implementation_autoset tie_word_embeddings""".split(),
        False,
    ),
    **dict.fromkeys(
        """torch_dtype cross_attention_hidden_size bad_words_ids forced_bos_token_id forced_eos_token_id architectures
        exponential_decay_length_penalty suppress_tokens begin_suppress_tokens finetuning_task tokenizer_class prefix
        pad_token_id sep_token_id decoder_start_token_id task_specific_params problem_type""".split()
    ),
    **dict.fromkeys("num_beams num_beam_groups num_return_sequences".split(), 1),
    **dict.fromkeys("temperature top_p typical_p repetition_penalty length_penalty".split(), 1.0),
    **dict.fromkeys("chunk_size_feed_forward min_length no_repeat_ngram_size encoder_no_repeat_ngram_size".split(), 0),
    **{"return_dict": True, "pruned_heads": {}, "max_length": 20, "top_k": 50, "diversity_penalty": 0.0},
    **{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}},
    **{"_name_or_path": "", "bos_token_id": 1, "eos_token_id": 2, "transformers_version": "4.47.1"},
}
OPTIONS = {
    "GLA5": {
        "model_type": "GLACanon",
        **{"expand_k": 1, "num_kv_heads": None, "feature_map": None, "clamp_min": None, "elementwise_affine": True},
        **{"use_output_gate": True, "use_gk": True, "use_gv": False, "use_l2warp": False},
    },
    "GDN2": {"model_type": "GatedDeltaNetCanon", "head_dim": 128, "use_gate": True},
    "Mamba2": {
        "model_type": "Mamba2Canon",
        **{"state_size": 128, "layer_norm_epsilon": 1e-5, "conv_kernel": 4, "expand": 2, "use_bias": False},
        **{"use_conv_bias": True, "hidden_act": "silu", "initializer_range": 0.1, "time_step_rank": -10344},
        **{"time_step_min": 0.001, "time_step_max": 0.1, "time_step_floor": 0.0001, "n_groups": 1, "head_dim": 256},
        **{"rescale_prenorm_residual": False, "residual_in_fp32": False, "rms_norm": True, "chunk_size": 256},
        **{"time_step_limit": [0.0, math.inf], "noconv1d": False, "mlp_type": "mlp10", "bos_token_id": 0},
    },
}
FLA = {  # what GLA5 and GDN2 share
    **{"expand_v": 2, "hidden_ratio": 4, "attn_mode": "chunk", "use_short_conv": True, "conv_size": 4},
    **{"hidden_act": "swish", "max_position_embeddings": 2048, "attn": None, "initializer_range": 0.02},
    **{"fuse_norm": True, "fuse_swiglu": True, "zeyuan_split_init": True, "output_gate_rank": 16},
}


def parts(name):
    """Family, whether it has Canon layers, and size of a released model."""
    family, size = name.split("-")[:2]
    return family.replace("Canon", "").replace("conv", ""), "Canon" in family, size


def hugging_face(name):
    """The config.json of a linear model."""
    (family, canon, size), split = parts(name), name in SPLIT_NORM
    width, layers, heads, _, _, vocab = SIZES[size]
    mamba, hidden = family == "Mamba2", {"8B": 9472}.get(size)
    keys = {"vocab_size": vocab, "hidden_size": width, "num_hidden_layers": layers, "num_heads": heads, **GENERAL}
    keys |= {"canon_set": "AbbCD" if canon else "bb", "canon_bias": False, "canon_activation": False}
    keys |= {
        "canon_kernel": 4,
        "canon_residual": True,
        "norm_eps": 1e-5,
        "use_cache": True,
        "fuse_cross_entropy": False,
    }
    keys |= {"intermediate_size": hidden if mamba else hidden or 2 * width}
    keys |= {} if mamba else {**FLA, "zeyuan_layernorm": split or size == "8B"}
    return {**keys, **OPTIONS[family]}


def lingua(name):
    """The arguments of the training code, for any of the 64; the vocabulary is left to the tokenizer."""
    family, canon, size = parts(name)
    width, layers, linear_heads, heads, kv_heads, _ = SIZES[size]
    keys = {"dim": width, "n_layers": layers, "norm_eps": 1e-5, "vocab_size": -1, "seed": 42, "multiple_of": 256}
    keys |= dict.fromkeys("head_dim hidden_dim ffn_dim_multiplier rope_dim init_base_std sliding_window".split())
    keys |= {"n_heads": linear_heads, "n_kv_heads": None, "rope_theta": 10_000.0, "max_seqlen": 4096, "z_loss": False}
    keys |= {"init_std_factor": "disabled", "weight_tying": False, "attn_impl": "sdpa", "qk_norm": False}
    keys |= {"canon_bias": False, "canon_activation": False, "canon_kernel": 4, "canon_residual": True}
    if family != "Llama":
        keys |= {"model_name": family, "canon_set": "AbbCD" if canon else "bb", "mlp_type": None, "mamba_ssm": None}
        keys |= {"zeyuan_layernorm": False, "zeyuan_linearT": None, "zeyuan_alternate": False, "zeyuan_double": False}
        keys |= {"mlp_type": "mlp10", "mamba_ssm": 128} if family == "Mamba2" else {}
        return keys | ({"hidden_dim": 9472} if size == "8B" else {})
    keys |= {"n_heads": heads, "n_kv_heads": kv_heads, "canon_set": "ABCD" if canon else ""}
    keys |= {"rope_dim": width // heads // 4} if canon else {}
    large = {"hidden_dim": 14_336, "multiple_of": 1024, "ffn_dim_multiplier": 1.3, "rope_theta": 100_000.0}
    return keys | (large if size == "8B" else {"qk_norm": True, "z_loss": True})
