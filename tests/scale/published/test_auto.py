"""The Auto classes of transformers read folders under the published model types, pickled tensors included."""

import json
import pickle

import pytest
import torch
from accelerate import init_empty_weights, load_checkpoint_and_dispatch
from safetensors.torch import load_file
from scale.published.originals import ALL, TOKENS, logits_of, tensors_of, write
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import physlm_lite
from physlm_lite.scale import load_pretrained, read_config
from physlm_lite.scale.published.hugging_face_config import KINDS
from physlm_lite.scale.published.hugging_face_model import PhyslmForCausalLM

TYPES = {"LlamaCanon": "LlamaCanon", "GLA5": "GLACanon", "GDN2": "GatedDeltaNetCanon", "Mamba2": "Mamba2Canon"}


def test_each_published_kind_is_known():
    assert set(KINDS) == {"physlm_lite", *TYPES.values()}
    assert physlm_lite.__version__


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", TYPES)
def test_a_published_folder_is_read_by_the_auto_classes_and_written_as_one(tmp_path, name, file):
    tensors = tensors_of(ALL[name], dtype=torch.float32)
    folder = write(tmp_path / "theirs", {**ALL[name], "model_type": TYPES[name]}, tensors)
    if file != "model.safetensors":
        (folder / "model.safetensors").unlink()
        torch.save(tensors, folder / file)
    config = AutoConfig.from_pretrained(folder)
    assert type(config) is KINDS[TYPES[name]] and pickle.loads(pickle.dumps(config)).to_dict() == config.to_dict()
    assert type(KINDS["physlm_lite"].from_pretrained(folder)) is type(config)
    tokens = torch.from_numpy(TOKENS)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model) is PhyslmForCausalLM
    torch.testing.assert_close(model(tokens).logits.double(), logits_of(ALL[name], tensors), atol=1e-4, rtol=0)
    model.save_pretrained(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["model_type"] == TYPES[name]
    assert read_config(tmp_path / "ours") == read_config(folder)
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert written.keys() == tensors.keys() and all(torch.equal(written[key], tensors[key]) for key in tensors)


def test_a_folder_with_other_names_is_written_under_those_that_its_keys_ask_for(tmp_path):
    keys = {**ALL["GLA5"], "zeyuan_layernorm": True}
    write(tmp_path / "theirs", {**keys, "model_type": TYPES["GLA5"]}, tensors_of(keys))
    AutoModelForCausalLM.from_pretrained(tmp_path / "theirs").save_pretrained(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["zeyuan_layernorm"] is False
    assert load_file(tmp_path / "ours" / "model.safetensors").keys() == tensors_of(ALL["GLA5"]).keys()


@pytest.mark.parametrize("name", TYPES)
def test_sizes_are_bounded_before_a_model_is_made(tmp_path, name):
    for key, most in (("num_hidden_layers", "10,000"), ("hidden_size", "1,048,576"), ("vocab_size", "16,777,216")):
        keys = {**ALL[name], "model_type": TYPES[name], key: 10**9}
        write(tmp_path, keys, {"x": torch.zeros(1)})
        with pytest.raises(ValueError, match=rf"{key} must be a whole number from 1 to {most}, not 1000000000"):
            AutoModelForCausalLM.from_pretrained(tmp_path)


def test_a_folder_of_an_older_transformers_is_read(tmp_path):
    config = LlamaConfig(
        vocab_size=19, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    torch.manual_seed(0)
    llama = LlamaForCausalLM(config).eval()
    llama.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    for layer in range(2):
        name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
        tensors[name] = 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    tokens = torch.from_numpy(TOKENS)
    torch.testing.assert_close(load_pretrained(tmp_path)(tokens), llama(tokens).logits, atol=1e-5, rtol=0)


UNUSED = {  # what is in a folder beside the tensors of its model
    "LlamaCanon": ({}, {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(2) for layer in (0, 1)}),
    "Mamba2": ({"canon_set": "ACD", "noconv1d": True, "use_conv_bias": False}, {}),
}


@pytest.mark.parametrize("name", UNUSED)
def test_tensors_that_a_published_class_does_not_use_are_no_news(tmp_path, name, caplog):
    more, tensors = UNUSED[name]
    keys = {**ALL[name], "model_type": TYPES[name], **more}
    tensors = {**tensors_of({**ALL[name], **more}, dtype=torch.float32), **tensors}
    unused = [key for key in tensors if "inv_freq" in key or "conv1d" in key]
    assert len(unused) == 2
    write(tmp_path / "theirs", keys, tensors)
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs", output_loading_info=True)
    assert not any(report.values()) and not any(key in caplog.text for key in unused)
    assert model.load_state_dict(tensors) == ([], [])
    model.save_pretrained(tmp_path / "ours", max_shard_size="8KB")
    tokens = torch.from_numpy(TOKENS)
    assert torch.equal(load_pretrained(tmp_path / "ours")(tokens), model(tokens).logits)


@pytest.mark.parametrize("name", TYPES)
def test_accelerate_does_not_know_the_published_names_and_transformers_does(tmp_path, name):
    keys = {**ALL[name], "model_type": TYPES[name]}
    write(tmp_path, keys, tensors_of(ALL[name], dtype=torch.float32))
    with init_empty_weights():
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    with pytest.raises(ValueError, match=r"does not know the published names; load it with AutoModelForCausalLM.from_"):
        load_checkpoint_and_dispatch(empty, str(tmp_path), device_map="auto")
    tokens, right = torch.from_numpy(TOKENS), load_pretrained(tmp_path)
    split = AutoModelForCausalLM.from_pretrained(tmp_path, device_map="auto")
    torch.testing.assert_close(split(tokens).logits, right(tokens), atol=1e-5, rtol=0)
