"""The released configuration files, in the form in which a user has them, give the models of `preset`, and back."""

import json
import math

import pytest
from scale.published.forms import hugging_face, lingua, parts

from physlm_lite.models import ModelConfig, preset, released
from physlm_lite.scale import read_config
from physlm_lite.scale.published.layouts import LAYOUTS, known_keys, read_keys, resolved, write_keys

LINEAR = [name for name in released() if parts(name)[0] != "Llama"]


def read(folder, content, name="config.json"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return read_config(folder)


@pytest.mark.parametrize("name", LINEAR)
def test_a_released_config_json_is_the_preset(tmp_path, name):
    found = read(tmp_path, hugging_face(name))
    assert found == resolved(preset(name)) and found.parameters == preset(name).parameters
    assert read_config(tmp_path / "config.json") == found


@pytest.mark.parametrize("name", released())
def test_so_are_the_arguments_of_the_training_code(tmp_path, name):
    model, tokenizer = lingua(name), "tiktoken" if "8B" in name else "sp"
    found = read(tmp_path, {"name": name, "model": model, "data": {"tokenizer": {"name": tokenizer}}}, "params.json")
    assert found == resolved(preset(name))
    alone = tmp_path / f"{name}_model_lingua.json"
    alone.write_text(json.dumps({**model, "vocab_size": found.vocab}))
    assert read_config(alone) == found
    with pytest.raises(ValueError, match=r"params.json: vocab_size is left to the tokenizer, and no tensors are there"):
        read(tmp_path, {"model": model}, "params.json")


# What changes no logits, and what its class does not need in order to read our folder.
FREE = set(
    """
    _name_or_path _attn_implementation_autoset add_cross_attention architectures attn_mode bad_words_ids
    begin_suppress_tokens bos_token_id chunk_size chunk_size_feed_forward cross_attention_hidden_size
    decoder_start_token_id diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id fuse_cross_entropy fuse_norm
    fuse_swiglu hidden_ratio id2label initializer_range is_decoder is_encoder_decoder label2id length_penalty max_length
    max_position_embeddings min_length model_type no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
    output_attentions output_hidden_states output_scores pad_token_id prefix problem_type pruned_heads
    remove_invalid_values repetition_penalty rescale_prenorm_residual return_dict return_dict_in_generate sep_token_id
    suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder time_step_floor time_step_max
    time_step_min time_step_rank tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p
    use_bfloat16 use_cache use_l2warp zeyuan_layernorm
""".split()
)


@pytest.mark.parametrize("name", LINEAR)
def test_what_is_written_has_the_keys_and_values_of_the_original(name):
    theirs = hugging_face(name)
    ours = json.loads(json.dumps(write_keys(read_keys(theirs))))
    wanted = {key: value for key, value in theirs.items() if key not in FREE}
    assert {key: ours[key] for key in wanted} == wanted and len(wanted) > 17
    assert ours.get("physlm", {}) in (
        {},
        {"init": resolved(preset(name)).init},
    )  # nothing that its class would not know
    assert read_keys(ours) == resolved(preset(name))


@pytest.mark.parametrize("mixer", ["gla", "gated_delta", "mamba2"])
@pytest.mark.parametrize("b", [True, False])
def test_keys_of_a_model_with_or_without_b_agree(mixer, b):
    options = {"mixer_options": {"canon_b": b}}
    keys = write_keys(ModelConfig(vocab=9, width=32, mixer=mixer, canon="AC", **options))
    assert keys["canon_set"] == ("AbbC" if b else "AC")
    said = {key: keys[key] for key in ("use_short_conv", "noconv1d", "use_conv_bias") if key in keys}
    assert said == ({"noconv1d": not b, "use_conv_bias": b} if mixer == "mamba2" else {"use_short_conv": b})
    assert ("output_gate_rank" in keys) == (mixer != "mamba2")
    if mixer == "mamba2":
        assert keys["residual_in_fp32"] is False
    for key, value in said.items():
        with pytest.raises(
            ValueError, match=rf"{key} is {not value}, and canon_set '{keys['canon_set']}' asks for the"
        ):
            read_keys({**keys, key: not value})


def test_an_option_that_the_published_keys_say_is_said_once():
    options = {"expand_key": 2.0, "silu": False, "decay_rank": 3}
    keys = write_keys(ModelConfig(vocab=9, width=32, mixer="gla", mixer_options=options))
    assert keys["expand_k"] == 2 and keys["physlm"]["mixer_options"] == {"silu": False, "decay_rank": 3}
    assert read_keys({**keys, "expand_k": 1}).mixer_options["expand_key"] == 1


def test_a_full_output_gate_is_another_model():
    keys = hugging_face("GDN2conv-1B-Nemo-1T-lr0.002")
    narrow, full = read_keys(keys), read_keys({**keys, "output_gate_rank": None})
    width, value = 2048, 4096
    assert full.parameters - narrow.parameters == 24 * (width * value - (16 * (width + value) + value))
    assert write_keys(full)["output_gate_rank"] is None and read_keys(write_keys(full)) == full


def test_where_a_model_started_is_known_from_its_file():
    llama = {"model_type": "LlamaCanon", "vocab_size": 9, "hidden_size": 32, "num_hidden_layers": 1}
    llama |= {"num_attention_heads": 2, "intermediate_size": 24, "rms_norm_eps": 1e-5}
    assert read_keys(llama).init == "huggingface"
    assert read_keys({**llama, "rope_version": "lingua"}).init == "lingua"
    assert read_keys({**llama, "initializer_range": 0.1}).init_std == 0.1
    for config in (ModelConfig(vocab=9), ModelConfig(vocab=9, init="huggingface", init_std=0.3)):
        assert read_keys(write_keys(config)) == resolved(config)


def test_a_width_that_is_not_told_follows_from_the_width():
    gla, mamba2 = (hugging_face(f"{family}conv-1B-Nemo-1T-lr0.002") for family in ("GLA5", "Mamba2"))
    assert read_keys({**gla, "intermediate_size": None}).hidden == 5632  # the rule of flash-linear-attention
    assert read_keys({**mamba2, "intermediate_size": 512}).hidden == 512
    assert read_keys({**mamba2, "mlp_type": None}).mlp == "none"
    assert read_keys({**hugging_face("GDN2conv-8B-Nemo-1T-lr0.002"), "mlp_type": "mlp10"}).hidden == 8192
    assert read_keys({**mamba2, "norm_eps": 0.5}).norm_eps == 1e-5  # its class does not read it


REFUSED = {  # changes to GLA5's file, or to Mamba2's
    "unknown": ({"noconv1d": False}, r"unknown key 'noconv1d'; did you mean 'attn_mode|unknown key 'noconv1d'"),
    "near": ({"output_gate_rnk": 16}, r"unknown key 'output_gate_rnk'; did you mean 'output_gate_rank'\?"),
    "hybrid": ({"attn": {"layers": [1]}}, r"attn is \{'layers': \[1\]\}, and this kit only computes gla5 with None"),
    "pruned": (
        {"pruned_heads": {"0": [1]}},
        r"pruned_heads is \{'0': \[1\]\}, and this kit only computes gla5 with \{\}",
    ),
    "bias": ({"canon_bias": True}, r"canon_bias is True, and this kit only"),
    "layers": (
        {"num_hidden_layers": 10**9},
        r"num_hidden_layers must be a whole number from 1 to 10,000, not 1000000000",
    ),
    "width": ({"hidden_size": 10**9}, r"hidden_size must be a whole number from 1 to 1,048,576, not 1000000000"),
    "vocabulary": ({"vocab_size": 10**12}, r"vocab_size must be a whole number from 1 to 16,777,216, not"),
    "all": (
        {"hidden_size": 10**6, "num_heads": 16, "num_hidden_layers": 10**4},
        r"these are 60,123,955,251,000,000 parameters, and the limit is 10,000,000,000,000",
    ),
    "text": ({"hidden_size": "2048"}, r"hidden_size must be a whole number from 1 to 1,048,576, not '2048'"),
    "a bool": ({"canon_residual": "yes"}, r"canon_residual must be True or False, not 'yes'"),
    "no number": ({"norm_eps": math.nan}, r"norm_eps must be a number.*, not nan"),
    "a list": ({"canon_set": ["A"]}, r"canon_set must be a text, not \['A'\]"),
    "rest": ({"physlm": [1]}, r"physlm must be a mapping of names to values, not \[1\]"),
    "rest too large": ({"physlm": {"experts": 10**9}}, r"experts must be a whole number.* 65,536, not 10000"),
    "terminal": ({"\x1b[2J": 1}, r"unknown key '\\x1b\[2J'"),
    "terminal value": ({"hidden_act": "\x1b[2J"}, r"hidden_act is '\\x1b\[2J', and this kit only computes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_stands_for_another_function_is_refused_in_a_sentence(tmp_path, name):
    change, said = REFUSED[name]
    with pytest.raises(ValueError, match=said) as caught:
        read(tmp_path, {**hugging_face("GLA5conv-1B-Nemo-1T-lr0.002"), **change})
    assert str(caught.value).isprintable()


NONSENSE = ({"a": 1}, [1], "\x1b[2J", math.nan, math.inf, -(10**9))
UNREAD = {"model_type", "hidden_ratio", "fuse_norm", "zeyuan_layernorm", "residual_in_fp32"}
READ_BY_OTHERS = {"gla5": {"mlp_type"}, "mamba2": {"norm_eps"}}


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_key_that_is_read_takes_nonsense(name):
    keys = write_keys(ModelConfig(vocab=9, width=32, mixer=LAYOUTS[name].mixer))
    names = known_keys(name) - UNREAD - READ_BY_OTHERS.get(name, set())
    for key in sorted(names):
        for value in NONSENSE:
            with pytest.raises(ValueError) as caught:
                read_keys({**keys, key: value})
            assert str(caught.value).isprintable() and len(str(caught.value)) > 20
    assert len(names) * len(NONSENSE) > 150


LINGUA_REFUSED = {
    "unknown": ({"n_hedas": 2}, r"unknown key of params.json's model 'n_hedas'; did you mean 'n_heads'\?"),
    "family": ({"model_name": "GLA"}, r"unknown model_name 'GLA'; did you mean 'GLA5'\?"),
    "no width": ({"dim": None}, r"dim is missing; add it"),
    "width": ({"dim": 10**9}, r"dim must be a whole number from 1 to 1,048,576, not 1000000000"),
    "steps": ({"multiple_of": 0}, r"multiple_of must be a whole number of at least 1, not 0"),
    "window": ({"sliding_window": 512}, r"sliding_window is 512, and this kit only computes llama_canon with None"),
}


@pytest.mark.parametrize("name", LINGUA_REFUSED)
def test_so_are_the_arguments_of_another_model(tmp_path, name):
    change, said = LINGUA_REFUSED[name]
    with pytest.raises(ValueError, match=said):
        read(tmp_path, {"model": {**lingua("Llama-1B"), "vocab_size": 9, **change}}, "params.json")


def test_how_training_began_is_read_from_its_arguments(tmp_path):
    change = {"vocab_size": 9, "init_base_std": 0.05, "init_std_factor": "global_depth"}
    found = read(tmp_path, {"model": {**lingua("Llama-1B"), **change}}, "params.json")
    assert (found.init, found.init_std, found.depth_scaling) == ("lingua", 0.05, "global")
    heads = {"vocab_size": 9, "n_heads": None, "head_dim": 128}
    assert read(tmp_path, {"model": {**lingua("Llama-1B"), **heads}}, "params.json").heads == 16
