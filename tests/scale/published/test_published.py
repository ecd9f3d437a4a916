"""A published folder gives the logits of its formulas, for every option of every architecture."""

import json

import pytest
import torch
from safetensors.torch import save_file
from scale.published import originals
from scale.published.originals import GDN2, GLA5, LLAMA, MAMBA2, TOKENS, logits_of, tensors_of, write

from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, read_config, save_pretrained
from physlm_lite.scale.published.layouts import from_lingua, resolved

LLAMAS = {
    "released": {},
    "half split": {"rope_version": "huggingface"},
    "grouped": {"num_key_value_heads": 2},
    "no QK-norm": {"qk_norm": False},
    "whole heads rotate": {"rope_dim": None},
    "NoPE": {"rope_dim": 0},
    "tied": {"tie_word_embeddings": True},
    "wide heads": {"head_dim": 12},
    "plain": {"canon_set": "", "rope_dim": None},
    "no Canon": {"canon_set": None},
    **{f"Canon-{x}": {"canon_set": x} for x in ("A", "B", "C", "D", "AC", "DCBAB")},
    "kernel 2": {"canon_kernel": 2},
    "kernel 3": {"canon_kernel": 3},
    "no identity": {"canon_residual": False},
    "SiLU": {"canon_activation": True},
    "both": {"canon_residual": False, "canon_activation": True},
    "8B": {"num_key_value_heads": 1, "qk_norm": False, "rope_theta": 100_000.0},
}
LINEARS = {
    **{f"GLA5 {x}": {**GLA5, "canon_set": x} for x in ("AbbCD", "bb", "", "ACD", "Ab")},
    "GLA5 with zeyuan_layernorm": {**GLA5, "zeyuan_layernorm": True},
    "GLA5 with a full gate": {**GLA5, "output_gate_rank": None},
    "GDN2 with a full gate": {**GDN2, "output_gate_rank": None},
    **{f"GDN2 {x}": {**GDN2, "canon_set": x} for x in ("AbbCD", "bb", "", "bC")},
    **{f"Mamba2 {x}": {**MAMBA2, "canon_set": x} for x in ("AbbCD", "bb", "ACD")},
    "Mamba2 alone": {**MAMBA2, "mlp_type": None},
    "bare Mamba2": {**MAMBA2, "mlp_type": None, "canon_set": "bb"},
}
CASES = {**{f"LlamaCanon {name}": {**LLAMA, **options} for name, options in LLAMAS.items()}, **LINEARS}


@pytest.mark.parametrize("name", CASES)
def test_a_folder_gives_the_logits_of_the_formulas(tmp_path, name):
    keys = CASES[name]
    tensors = tensors_of(keys)
    expected = logits_of(keys, tensors)
    assert expected.std() > 0.5
    tokens = torch.from_numpy(TOKENS)
    model = load_pretrained(write(tmp_path, keys, tensors))
    # the tables of rotation have 32 bits
    rotates = "num_attention_heads" in keys and keys["rope_dim"] != 0
    torch.testing.assert_close(model(tokens), expected, atol=1e-5 if rotates else 1e-10, rtol=0)
    single = load_pretrained(tmp_path, dtype=torch.float32)
    assert all(parameter.dtype == torch.float32 for parameter in single.parameters())
    torch.testing.assert_close(single(tokens).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("keys", [GLA5, GDN2, {**GDN2, "canon_set": "bb"}, MAMBA2], ids=lambda keys: keys["model_type"])
def test_gate_and_up_may_be_one_matrix_or_two(tmp_path, keys):
    tensors = tensors_of(keys)
    expected = load_pretrained(write(tmp_path / "given", keys, tensors)).state_dict()
    gates = {
        name: value
        for name, value in tensors.items()
        if ".mlp." in name and name.endswith("_proj.weight") and "down" not in name
    }
    rest = {name: value for name, value in tensors.items() if name not in gates}
    spelled = {"gate_proj": {}, "both_proj": {}, "two": {}}
    for n in range(originals.LAYERS):
        before = next(name for name in gates if f".{n}.mlp." in name).rsplit(".mlp.", 1)[0] + ".mlp."
        both = torch.cat([gates[name] for name in gates if name.startswith(before)])
        spelled["gate_proj"][f"{before}gate_proj.weight"] = spelled["both_proj"][f"{before}both_proj.weight"] = both
        gate, up = both.chunk(2)
        spelled["two"] |= {f"{before}gate_proj.weight": gate.clone(), f"{before}up_proj.weight": up.clone()}
    for name, other in spelled.items():
        found = load_pretrained(write(tmp_path / name, keys, {**rest, **other})).state_dict()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


LINGUA = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
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
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "output",
    "model.layers": "layers",
}


def lingua(name):
    """The training code's name of a tensor of LlamaCanon."""
    for theirs, its in LINGUA.items():
        name = name.replace(theirs, its)
    return name


PARAMS = {
    "dim": originals.WIDTH,
    "n_layers": originals.LAYERS,
    "norm_eps": 1e-3,
    "vocab_size": -1,
    "z_loss": True,
    "seed": 42,
    "init_std_factor": "disabled",
    "max_seqlen": 4096,
}
LLAMA_PARAMS = {
    **PARAMS,
    "n_heads": 4,
    "n_kv_heads": 2,
    "rope_theta": 100.0,
    "rope_dim": 4,
    "qk_norm": True,
    "canon_set": "ABCD",
    "hidden_dim": originals.HIDDEN,
    "head_dim": None,
    "weight_tying": False,
}


def write_lingua(folder, params, tensors, pickled=True):
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps({"name": "run", "model": params, "data": {"seq_len": 4096}}))
    if pickled:
        torch.save({"model": tensors}, folder / "consolidated.pth")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("pickled", [True, False])
def test_a_folder_of_the_training_code_gives_the_same_model(tmp_path, pickled):
    keys = {**LLAMA, "num_key_value_heads": 2}
    tensors = tensors_of(keys)
    found = load_pretrained(
        write_lingua(tmp_path / "lingua", LLAMA_PARAMS, {lingua(n): t for n, t in tensors.items()}, pickled)
    )
    expected = load_pretrained(write(tmp_path / "hugging_face", keys, tensors))
    assert resolved(found.config) == resolved(expected.config)
    assert all(torch.equal(found.state_dict()[name], value) for name, value in expected.state_dict().items())


@pytest.mark.parametrize(
    ("name", "more"),
    [("GLA5", {}), ("GDN2", {"zeyuan_layernorm": True}), ("Mamba2", {"mamba_ssm": 5, "mlp_type": "mlp10"})],
)
@pytest.mark.parametrize("prefix", ["trans.", ""])
def test_so_does_one_of_a_linear_model(tmp_path, name, more, prefix):
    keys = originals.ALL[name]
    keys = {**keys, "layer_norm_epsilon": 1e-5} if name == "Mamba2" else keys  # whatever norm_eps says
    tensors = tensors_of(keys)
    params = {**PARAMS, "model_name": name, "n_heads": 2, "canon_set": "AbbCD", "hidden_dim": originals.HIDDEN, **more}
    folder = write_lingua(tmp_path / "lingua", params, {prefix + n: tensor for n, tensor in tensors.items()})
    torch.testing.assert_close(
        load_pretrained(folder)(torch.from_numpy(TOKENS)), logits_of(keys, tensors), atol=1e-10, rtol=0
    )


def test_the_width_that_the_training_code_is_not_told_follows_from_the_width(tmp_path):
    base = {"dim": 2048, "n_heads": 32, "n_layers": 1}
    assert from_lingua({**base, "multiple_of": 256}, 7)["intermediate_size"] == 5632
    assert from_lingua({**base, "dim": 3072}, 7)["intermediate_size"] == 8192
    assert (
        from_lingua({**base, "dim": 4096, "ffn_dim_multiplier": 1.3, "multiple_of": 1024}, 7)["intermediate_size"]
        == 14336
    )
    assert from_lingua({**base, "hidden_dim": 7}, 7)["intermediate_size"] == 7


def test_a_variant_inside_the_folder_is_the_model_of_the_folder(tmp_path):
    tensors = {lingua(n): t for n, t in tensors_of({**LLAMA, "num_key_value_heads": 2}).items()}
    inside = write_lingua(tmp_path / "LlamaCanon-1B", LLAMA_PARAMS, tensors)
    assert load_pretrained(tmp_path).config == load_pretrained(inside).config == read_config(tmp_path)
    write_lingua(tmp_path / "LlamaCanon-3B", LLAMA_PARAMS, tensors)
    with pytest.raises(
        ValueError, match=r"holds several models, 'LlamaCanon-1B', 'LlamaCanon-3B'; give the folder of one"
    ):
        load_pretrained(tmp_path)


def pickled(tensors, path):
    torch.save(tensors, path)


def legacy(tensors, path):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("file", "save"),
    [("model.safetensors", save_file), ("pytorch_model.bin", pickled), ("pytorch_model.bin", legacy)],
)
def test_one_file_or_several_with_an_index_are_one_model(tmp_path, file, save):
    tensors = tensors_of(LLAMA)
    expected = load_pretrained(write(tmp_path / "given", LLAMA, tensors)).state_dict()
    folders = [tmp_path / "one", tmp_path / "several"]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**LLAMA, "model_type": "LlamaCanon"}))
    save(tensors, folders[0] / file)
    stem, suffix = file.split(".")
    index = {name: f"{stem}-0000{i % 3 + 1}-of-00003.{suffix}" for i, name in enumerate(tensors)}
    for part in set(index.values()):
        save({name: tensors[name] for name in index if index[name] == part}, folders[1] / part)
    (folders[1] / f"{file}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for folder in folders:
        found = load_pretrained(folder).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    (folders[1] / f"{stem}-00002-of-00003.{suffix}").unlink()
    with pytest.raises(ValueError, match=rf"lacks '{stem}-00002-of-00003.{suffix}', which its index names"):
        load_pretrained(folders[1])


def test_tables_of_rotation_that_older_files_hold_are_left_out(tmp_path):
    tensors = tensors_of(LLAMA)
    expected = load_pretrained(write(tmp_path / "new", LLAMA, tensors)).state_dict()
    for layer in range(originals.LAYERS):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    found = load_pretrained(write(tmp_path / "old", LLAMA, tensors)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    linear = {**tensors_of(GDN2), "model.layers.0.attn.rotary_emb.inv_freq": torch.ones(2)}
    with pytest.raises(ValueError, match="for which this model has no place"):
        load_pretrained(write(tmp_path / "linear", GDN2, linear))


def test_plain_llama_agrees_with_the_one_of_transformers(tmp_path):
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=originals.VOCAB,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-3,
        max_position_embeddings=64,
        rope_theta=100.0,
    )
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(8).add_(0.3 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    tokens = torch.from_numpy(TOKENS)
    expected = theirs(tokens).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(load_pretrained(tmp_path)(tokens), expected, atol=1e-4 * expected.std().item(), rtol=0)


def test_mamba2_alone_agrees_with_the_one_of_transformers(tmp_path):
    import transformers

    config = transformers.Mamba2Config(
        vocab_size=originals.VOCAB,
        hidden_size=32,
        num_hidden_layers=2,
        num_heads=4,
        head_dim=16,
        state_size=5,
        n_groups=1,
        layer_norm_epsilon=1e-3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    theirs = transformers.Mamba2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    tokens = torch.from_numpy(TOKENS)
    expected = theirs(tokens).logits
    torch.testing.assert_close(load_pretrained(tmp_path)(tokens), expected, atol=1e-4 * expected.std().item(), rtol=0)


NATIVE = {
    "LlamaForCausalLM": {"heads": 4, "kv_heads": 2, "rope_theta": 100.0},
    "Mamba2ForCausalLM": {"mixer": "mamba2", "heads": 4, "mlp": "none", "mixer_options": {"state": 5}},
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", NATIVE)
def test_what_is_written_is_read_by_the_class_of_transformers(tmp_path, name, tied):
    import transformers

    model = LanguageModel(
        ModelConfig(vocab=originals.VOCAB, width=32, norm_eps=1e-3, tied=tied, **NATIVE[name]), seed=1
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2).add_(0.1 * torch.randn_like(parameter))
    save_pretrained(model, tmp_path)
    theirs, report = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    tokens = torch.from_numpy(TOKENS)
    expected = model(tokens)
    assert expected.std() > 0.5
    torch.testing.assert_close(theirs.eval()(tokens).logits, expected, atol=1e-4 * expected.std().item(), rtol=0)


def test_transformers_5_writes_rotation_in_another_place(tmp_path):
    keys = {name: value for name, value in LLAMA.items() if name not in ("rope_theta", "rope_dim")}
    tensors = tensors_of(LLAMA)
    expected = load_pretrained(write(tmp_path / "a", LLAMA, tensors)).config
    for more in (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}},
        {"rope_theta": 100.0, "partial_rotary_factor": 0.5, "rope_scaling": None, "rope_dim": 4},
    ):
        assert load_pretrained(write(tmp_path / "b", {**keys, **more}, tensors)).config == expected
