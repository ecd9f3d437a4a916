"""What is written is read again bit by bit, and what is wrong with a folder is said in one sentence."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from scale.published.originals import ALL, GDN2, GLA5, LLAMA, MAMBA2, TOKENS, tensors_of, write

from physlm_lite import models
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, save_pretrained
from physlm_lite.scale.published.layouts import resolved
from physlm_lite.training import StorageError

MODELS = {
    "plain": {},
    "LlamaCanon": {
        "canon": "ABCD",
        "qk_norm": True,
        "heads": 4,
        "kv_heads": 2,
        "rope_dim": 4,
        "tied": True,
        "rope_layout": "interleaved",
        "init": "huggingface",
    },
    "Canon options": {
        "canon": "CA",
        "canon_kernel": 3,
        "canon_residual": False,
        "canon_activation": True,
        "canon_layers": (-1,),
        "canon_cross": True,
        "canon_frozen": True,
    },
    "other places": {"canon": "AKVOM", "heads": 4, "kv_heads": 2},
    "linear, other places": {"mixer": "gated_delta", "canon": "COM"},
    "ALiBi": {"positions": "alibi", "mlp": "standard", "activation": "relu2"},
    "NoPE": {"rope_dim": 0, "mlp": "none"},
    "quarter": {"heads": 4, "rope_heads": 2, "rope_dim": 4, "activation": "gelu"},
    "experts": {"experts": 3, "expert_capacity": 1.5, "canon": "ABC"},
    "standard experts": {"experts": 2, "mlp": "standard", "hidden": 20},
    "GLA": {"mixer": "gla", "heads": 4},
    "GLA5": {"mixer": "gla", "mixer_options": models.GLA5, "canon": "ACD"},
    "GLA5 without b": {"mixer": "gla", "mixer_options": {**models.GLA5, "canon_b": False, "split_init": False}},
    "standard GLA": {"mixer": "gla", "mlp": "standard", "canon": "D", "norm_eps": 0.1},
    "gated delta": {"mixer": "gated_delta", "canon": "AC", "mixer_options": {"canon_kernel": 2}},
    "GDN2": {"mixer": "gated_delta", "mixer_options": models.GDN2, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {**models.MAMBA2, "state": 6}, "canon": "ACD", "init": "mamba2"},
    "bare Mamba2": {"mixer": "mamba2", "mlp": "none", "mixer_options": {"canon_b": False, "state": 3}, "canon": "A"},
    "linear experts": {"mixer": "mamba2", "experts": 2, "canon_layers": (0,), "canon": "A"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_as_it_was_written(tmp_path, name):
    model = LanguageModel(ModelConfig(vocab=13, width=32, **MODELS[name]), seed=3)
    save_pretrained(model, tmp_path / "new" / "folder", eos_token_id=2)
    keys = json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
    assert keys["model_type"] == "physlm_lite" and keys["eos_token_id"] == 2 and keys["vocab_size"] == 13
    found = load_pretrained(tmp_path / "new" / "folder")
    assert found.config == resolved(model.config)
    assert same_tensors(found.state_dict(), model.state_dict())
    assert [p.requires_grad for p in found.parameters()] == [p.requires_grad for p in model.parameters()]
    assert (found.head.weight is found.embedding.weight) == model.config.tied
    tokens = torch.from_numpy(TOKENS % 13)
    assert torch.equal(found(tokens), model(tokens))
    found.loss(tokens, torch.ones_like(tokens, dtype=torch.bool)).backward()  # what was read can be trained


@pytest.mark.parametrize("name", ALL)
def test_a_published_folder_is_written_with_the_same_names_and_tensors(tmp_path, name):
    keys, tensors = ALL[name], tensors_of(ALL[name], dtype=torch.bfloat16)
    model = load_pretrained(write(tmp_path / "theirs", keys, tensors))
    save_pretrained(model, tmp_path / "ours")
    assert same_tensors(load_file(tmp_path / "ours" / "model.safetensors"), tensors)
    ours = json.loads((tmp_path / "ours" / "config.json").read_text())
    known = {key: value for key, value in keys.items() if key in ours and key != "model_type"}
    assert {key: ours[key] for key in known} == known and len(known) > 8
    assert ours.get("physlm", {}).keys() <= {"init"} and ours["dtype"] == "bfloat16"
    assert resolved(load_pretrained(tmp_path / "ours").config) == resolved(model.config)


def test_tensors_are_read_into_a_model_without_memory(tmp_path, monkeypatch):
    save_pretrained(LanguageModel(ModelConfig(vocab=13, width=32), seed=0), tmp_path)
    made = []
    start = LanguageModel.__init__

    def watched(self, config, seed=None):
        start(self, config, seed)
        made.append({parameter.device.type for parameter in self.parameters()})

    monkeypatch.setattr(LanguageModel, "__init__", watched)
    model = load_pretrained(tmp_path, dtype=torch.bfloat16, device="cpu")
    assert set().union(*made) == {"meta"}
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cpu", torch.bfloat16)}


def test_a_failed_write_leaves_the_old_folder(tmp_path, monkeypatch):
    model = LanguageModel(ModelConfig(vocab=13, width=32), seed=0)
    save_pretrained(model, tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("physlm_lite.scale.published.folders._write_tensors", full)
    with pytest.raises(StorageError, match="No space left"):
        save_pretrained(LanguageModel(ModelConfig(vocab=13, width=32), seed=1), tmp_path)
    assert same_tensors(load_pretrained(tmp_path).state_dict(), model.state_dict())


KEYS = {  # what is changed in config.json, and what is said
    "unknown": (LLAMA, {"canon_sett": "AB"}, r"unknown key 'canon_sett'; did you mean 'canon_set'\?.*pass ignore="),
    "another function": (LLAMA, {"attention_bias": True}, r"attention_bias is True, and this kit only .* with False"),
    "activation": (
        GLA5,
        {"hidden_act": "gelu"},
        r"hidden_act is 'gelu', and this kit only computes gla5 with 'swish' or",
    ),
    "no eps": (
        LLAMA,
        {"rms_norm_eps": None},
        r"rms_norm_eps is missing, which is 1e-05 in all released models; add it",
    ),
    "no width": (GDN2, {"hidden_size": None}, r"hidden_size is missing; add it"),
    "no hidden": (LLAMA, {"intermediate_size": None}, r"intermediate_size is missing; add it"),
    "scaled": (
        LLAMA,
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
        r"positions of type 'yarn' with \['factor'\]",
    ),
    "rope twice": (
        LLAMA,
        {"partial_rotary_factor": 1.0},
        r"rotates 8 coordinates of a head, and rope_dim says 4; leave one",
    ),
    "rope_version": (LLAMA, {"rope_version": "linga"}, r"unknown rope_version 'linga'; did you mean 'lingua'\?"),
    "b in Llama": (LLAMA, {"canon_set": "AbCD"}, r"canon_set 'AbCD' has 'b': it should be a subset of 'ABCD'"),
    "B in GLA": (
        GLA5,
        {"canon_set": "ABCD"},
        r"canon_set 'ABCD' has 'B': in a linear model it should be a subset of 'AbCD'",
    ),
    "no canon_set": ({**GLA5, "canon_set": ...}, {}, r"canon_set is missing: 'AbbCD' with Canon layers, 'bb' without"),
    "conv": (GLA5, {"use_short_conv": False}, r"use_short_conv is False, and canon_set 'AbbCD' asks for the contrary"),
    "kv heads": (GLA5, {"num_kv_heads": 1}, r"num_kv_heads is 1, and this kit only computes as many as .* heads, 2"),
    "value heads": (GDN2, {"num_v_heads": 4}, r"num_v_heads is 4"),
    "head": (MAMBA2, {"head_dim": 8}, r"head_dim is 8, and 2 heads of twice the width 32 have 32"),
    "limits": (MAMBA2, {"time_step_limit": [0.001, 0.1]}, r"time_step_limit is \[0.001, 0.1\]"),
    "groups": (MAMBA2, {"n_groups": 8}, r"n_groups is 8, and this kit only computes mamba2 with 1"),
    "of lingua": (MAMBA2, {"mamba_ssm": 6}, r"unknown key 'mamba_ssm'"),
    "mlp": (MAMBA2, {"mlp_type": "mlp11"}, r"mlp_type is 'mlp11'"),
    "stranger": (
        {"model_type": "gpt2"},
        {},
        r"model_type 'gpt2' is none that this kit can compute; it reads folders of",
    ),
    "layout": (LLAMA, {"layout": "llama"}, r"unknown layout 'llama'; did you mean 'llama_canon'\?"),
    "heads": (LLAMA, {"num_key_value_heads": 3}, r"each of the 3 kv heads must serve equally many of the 4 heads"),
    "rest": (LLAMA, {"physlm": {"experst": 2}}, r"unknown ModelConfig option 'experst'; did you mean 'experts'\?"),
    "type": (
        LLAMA,
        {"hidden_size": "32"},
        r"config.json: hidden_size must be a whole number from 1 to 1,048,576, not '32'",
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_configuration_that_cannot_be_computed_is_refused(tmp_path, name):
    base, change, said = KEYS[name]
    keys = {key: value for key, value in {**base, **change}.items() if value is not ...}
    (tmp_path / "config.json").write_text(json.dumps(keys))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=said) as caught:
        load_pretrained(tmp_path)
    assert str(tmp_path / "config.json") in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_that_changes_nothing_can_be_ignored_by_name(tmp_path):
    tensors = tensors_of(LLAMA)
    write(tmp_path, {**LLAMA, "favourite_colour": "blue", "transformers_version": "4.47.1", "use_cache": True}, tensors)
    assert load_pretrained(tmp_path, ignore=["favourite_colour"]).config.qk_norm


def test_a_wrong_missing_or_surplus_tensor_is_named(tmp_path):
    tensors = tensors_of(LLAMA)
    name = "model.layers.1.self_attn.canonB.weight"

    def refused(change, said, keys=LLAMA):
        with pytest.raises(ValueError, match=said):
            load_pretrained(write(tmp_path, keys, {k: v for k, v in {**tensors, **change}.items() if v is not None}))

    refused(
        {name: torch.zeros(96, 1, 3)},
        rf"the tensor {name} is \[96, 1, 3\], and the configuration asks for \[96, 1, 4\]",
    )
    refused({name: None}, rf"lacks the tensor {name} \[96, 1, 4\]; get its files again, or correct its configuration")
    refused(
        {"model.layers.2.canonA.weight": torch.zeros(32, 1, 4)},
        r"has the tensor 'model.layers.2.canonA.weight' \[32, 1, 4\], for which this model has no place",
    )
    refused(
        {},
        r"has the tensor .*canonA.weight' \[32, 1, 4\], for which .* no place; .* canon_set",
        {**LLAMA, "canon_set": "BCD"},
    )
    tied = {**LLAMA, "tie_word_embeddings": True}
    refused({}, r"lm_head.weight differs from the embedding, although the configuration ties them", tied)
    embedding = tensors["model.embed_tokens.weight"]
    folder = write(tmp_path, tied, {**tensors, "lm_head.weight": embedding.clone()})
    assert torch.equal(load_pretrained(folder).head.weight, embedding)


def test_alternatives_of_a_missing_tensor_are_named(tmp_path):
    tensors = tensors_of(GLA5)
    one = "model.layers.0.mlp.gate_proj.weight"
    with pytest.raises(
        ValueError, match=rf"lacks the tensor {one} \[48, 32\] or .*both_proj.* or {one} \[24, 32\] and "
    ):
        load_pretrained(write(tmp_path, GLA5, {name: value for name, value in tensors.items() if name != one}))
    short = {**tensors, "model.layers.0.attn.v_conv1d.weight": torch.zeros(32, 1, 4)}
    with pytest.raises(
        ValueError, match=r"v_conv1d.weight is \[32, 1, 4\], and the configuration asks for \[64, 1, 4\]"
    ):
        load_pretrained(write(tmp_path, GLA5, short))


def test_a_folder_that_is_none_is_refused(tmp_path):
    def refused(said, folder=tmp_path):
        with pytest.raises(ValueError, match=said):
            load_pretrained(folder)

    refused(r"nowhere is not a folder; give the one that holds config.json", tmp_path / "nowhere")
    refused(r"has neither config.json nor params.json")
    (tmp_path / "params.json").write_text("{}")
    refused(r'params.json has no part "model"')
    (tmp_path / "params.json").write_text('{"model": {"dim": 4, "n_hedas": 2}}')
    refused(r"params.json: unknown key of params.json's model 'n_hedas'; did you mean 'n_heads'\?")
    params = {"dim": 4, "n_heads": 2, "n_layers": 1, "vocab_size": 9}
    (tmp_path / "params.json").write_text(json.dumps({"model": params}))
    refused(r"has no tensors; expected model.safetensors")
    torch.save({"optimizer": 1}, tmp_path / "consolidated.pth")
    refused(r'should hold tensors by name, or under the key "model"')
    torch.save({"model": {}}, tmp_path / "consolidated.pth")
    refused(r"has tensors of 0 layers, and its configuration asks for 1")
    torch.save({"model": {"x": Danger()}}, tmp_path / "consolidated.pth")
    refused(r"consolidated.pth is damaged, or holds more than tensors")
    (tmp_path / "config.json").write_text("{")
    refused(r"config.json cannot be read as JSON")
    (tmp_path / "config.json").write_text("[]")
    refused(r"config.json should hold a JSON object, not list")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"rubbish")
    refused(r"has 2 safetensors files and no model.safetensors.index.json")
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    refused(r"has no weight_map")
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    refused(r"model.safetensors is damaged")
    model = LanguageModel(ModelConfig(vocab=13, width=32))
    with pytest.raises(ValueError, match="is a file; name a folder"):
        save_pretrained(model, tmp_path / "config.json")
    with pytest.raises(ValueError, match="hidden_size is not a key that changes no logits"):
        save_pretrained(model, tmp_path / "new", hidden_size=2)


class Danger:
    """Whoever unpickles it runs code."""

    def __reduce__(self):
        return print, ("run",)


def same_tensors(a, b):
    return a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a)


def test_a_compiled_model_is_saved_under_its_own_names(tmp_path):
    model = LanguageModel(ModelConfig(vocab=13, width=32), seed=0)
    whole, inner = torch.compile(model), LanguageModel(ModelConfig(vocab=13, width=32), seed=0)
    inner.blocks[0] = torch.compile(inner.blocks[0])
    for compiled, folder in ((whole, "whole"), (inner, "inner")):
        assert any("_orig_mod" in name for name in compiled.state_dict())
        save_pretrained(compiled, tmp_path / folder)
        assert same_tensors(load_pretrained(tmp_path / folder).state_dict(), model.state_dict())


def test_a_head_that_was_tied_or_untied_by_hand_is_saved_as_what_it_is(tmp_path):
    tokens = torch.from_numpy(TOKENS % 13)
    tied = LanguageModel(ModelConfig(vocab=13, width=32), seed=0)
    tied.head.weight = tied.embedding.weight
    untied = LanguageModel(ModelConfig(vocab=13, width=32, tied=True), seed=0)
    untied.head = torch.nn.Linear(32, 13, bias=False)
    for model, expected in ((tied, True), (untied, False)):
        save_pretrained(model, tmp_path / str(expected))
        found = load_pretrained(tmp_path / str(expected))
        assert found.config.tied == expected and (found.head.weight is found.embedding.weight) == expected
        assert torch.equal(found(tokens), model(tokens))


def test_a_layer_that_is_used_twice_is_saved_twice(tmp_path):
    model = LanguageModel(ModelConfig(vocab=13, width=32, layers=3), seed=0)
    model.blocks[2] = model.blocks[0]
    model.blocks[1].mixer.key = model.blocks[1].mixer.query
    save_pretrained(model, tmp_path)
    found = load_pretrained(tmp_path)
    assert found.blocks[2] is not found.blocks[0] and same_tensors(found.state_dict(), model.state_dict())
    tokens = torch.from_numpy(TOKENS % 13)
    assert torch.equal(found(tokens), model(tokens))


def test_what_is_no_longer_the_model_of_its_configuration_is_refused(tmp_path):
    def refused(change, said):
        model = LanguageModel(ModelConfig(vocab=13, width=32), seed=0)
        change(model)
        with pytest.raises(ValueError, match=said):
            save_pretrained(model, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def wrapped(model):
        model.blocks[0].mixer.query = torch.nn.Sequential(model.blocks[0].mixer.query)

    def resized(model):
        model.embedding = torch.nn.Embedding(20, 32)

    refused(wrapped, r"the model lacks the tensor blocks.0.mixer.query.weight, which its configuration asks for; merge")
    refused(
        resized, r"the model's tensor embedding.weight is \[20, 32\] of torch.float32 on cpu, .* saved as \[13, 32\]"
    )
    refused(lambda m: m.to("meta"), r"is \[13, 32\] of torch.float32 on meta, .* numbers that are there")
    refused(
        lambda m: m.register_buffer("more", torch.ones(1)), r"has the tensor more, which its configuration knows no"
    )


def test_a_saved_folder_has_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        save_pretrained(LanguageModel(ModelConfig(vocab=13, width=32), seed=0), tmp_path / "new")
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o644}
    finally:
        os.umask(before)


def test_a_mamba2_without_b_holds_the_convolution_that_its_class_does_not_use(tmp_path):
    model = LanguageModel(ModelConfig(vocab=13, width=32, mixer="mamba2", mixer_options={"canon_b": False}), seed=0)
    save_pretrained(model, tmp_path)
    taps = load_file(tmp_path / "model.safetensors")["backbone.layers.1.mixer.conv1d.weight"]
    assert taps.shape == (2 * 32 + 2 * 64, 1, 4) and torch.equal(taps[5, 0], torch.tensor([0.0, 0, 0, 1]))
    assert same_tensors(load_pretrained(tmp_path).state_dict(), model.state_dict())
