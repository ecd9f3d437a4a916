"""A loaded model is the pages of its file: it costs no memory, computes the same bits, and training leaves the file alone."""

import copy
import json
import os
import struct
from pathlib import Path

import pytest
import skip_reasons
import torch
from safetensors.torch import load_file, save_file
from scale.published.originals import GLA5, LLAMA, TOKENS, tensors_of, write

from physlm_lite import models
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, save_pretrained

KINDS = {
    "Llama": {"heads": 4, "kv_heads": 2},
    "LlamaCanon": {"canon": "ABCD", "heads": 4, "tied": True},
    "GLA5": {"mixer": "gla", "mixer_options": models.GLA5, "canon": "ACD"},
    # 3 heads: 12 bytes of rates, which would push all later tensors off
    "GDN2": {"mixer": "gated_delta", "mixer_options": models.GDN2, "canon": "ACD", "heads": 3, "width": 48},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {**models.MAMBA2, "state": 8}, "heads": 3, "width": 48},
    "odd sizes": {"mixer": "gla", "mixer_options": models.GLA5, "canon": "D", "heads": 3, "width": 33, "hidden": 7},
}


def made(kind):
    return LanguageModel(ModelConfig(**{"vocab": 32, "width": 32, **KINDS[kind]}), seed=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_model_computes_the_same_bits_for_any_number_of_rows(tmp_path, kind):
    model = made(kind)
    save_pretrained(model, tmp_path)
    found = load_pretrained(tmp_path)
    matrices = [p for p in found.parameters() if p.dim() == 2]
    assert matrices and all(p.data_ptr() % 64 == 0 for p in matrices)
    for tokens in (torch.from_numpy(TOKENS % 32), torch.tensor([[3]]), torch.tensor([[1], [2], [3]])):
        assert torch.equal(found(tokens), model(tokens))


def test_no_tensor_is_copied(tmp_path):
    if not Path("/proc/self/maps").exists():
        pytest.skip(skip_reasons.NOT_LINUX)
    save_pretrained(made("GLA5"), tmp_path)
    found = load_pretrained(tmp_path)
    spans = [
        tuple(int(end, 16) for end in line.split()[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(str(tmp_path / "model.safetensors"))
    ]
    outside = [
        name
        for name, p in found.named_parameters()
        if not any(start <= p.data_ptr() and p.data_ptr() + p.nbytes <= end for start, end in spans)
    ]
    assert outside == [f"blocks.{i}.mixer.canon_b.weight" for i in range(2)]  # three tensors of the file put together


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_training_leaves_the_file_as_it_is(tmp_path, file):
    tensors = {name: tensor.float() for name, tensor in tensors_of(LLAMA).items()}
    write(tmp_path, LLAMA, tensors)
    if file != "model.safetensors":
        (tmp_path / "model.safetensors").unlink()
        torch.save(tensors, tmp_path / file)
    before = (tmp_path / file).read_bytes()
    model, other = load_pretrained(tmp_path), load_pretrained(tmp_path)
    start = copy.deepcopy(model.state_dict())
    tokens = torch.from_numpy(TOKENS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        model.loss(tokens, torch.ones_like(tokens, dtype=torch.bool)).backward()
        optimizer.step()
    assert not any(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    assert (tmp_path / file).read_bytes() == before
    assert all(torch.equal(value, start[name]) for name, value in other.state_dict().items())
    assert all(torch.equal(value, start[name]) for name, value in load_pretrained(tmp_path).state_dict().items())


def test_a_model_is_saved_into_the_folder_it_came_from(tmp_path):
    save_pretrained(made("GDN2"), tmp_path)
    model = load_pretrained(tmp_path)
    expected = {name: value + 1 for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    save_pretrained(model, tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "model.safetensors").unlink()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_the_two_halves_of_one_matrix_are_two_tensors(tmp_path):
    found = load_pretrained(write(tmp_path, GLA5, tensors_of(GLA5))).blocks[0].feed_forward
    gate, up = found.gate.weight, found.up.weight
    assert gate.untyped_storage().data_ptr() != up.untyped_storage().data_ptr()
    assert gate.untyped_storage().nbytes() == gate.nbytes
    both = load_file(tmp_path / "model.safetensors")["model.layers.0.mlp.gate_proj.weight"]
    with torch.no_grad():
        gate.zero_()
    assert torch.equal(up, both[24:]) and not gate.any()


def test_a_file_whose_tensors_lie_anywhere_is_read(tmp_path):
    """The format pads to 8 bytes, and not every writer does even that."""
    tensors = tensors_of(LLAMA)
    expected = load_pretrained(write(tmp_path / "given", LLAMA, tensors)).state_dict()
    raw = (tmp_path / "given" / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    for shift in (1, 4, 8, 16):
        folder = write(tmp_path / str(shift), LLAMA, {})
        header = raw[8 : 8 + size].rstrip() + b" " * 64
        header = header[: len(header) - (8 + len(header)) % 64] + b" " * shift
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + size :])
        found = load_pretrained(folder).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_other_dtypes_are_copies_and_those_of_no_model_are_refused(tmp_path):
    write(tmp_path, LLAMA, tensors_of(LLAMA))
    os.chmod(tmp_path / "model.safetensors", 0o444)
    halves = load_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in halves.parameters()} == {torch.bfloat16}
    for wrong in (torch.int8, "float32", 16):
        with pytest.raises(ValueError, match=r"dtype must be one of torch.float64, .* or None, not"):
            load_pretrained(tmp_path, dtype=wrong)
    with pytest.raises(ValueError, match="there is no device 'gpu' here; choose one of"):
        load_pretrained(tmp_path, device="gpu")
    tensors = {**tensors_of(LLAMA), "model.norm.weight": torch.ones(32, dtype=torch.int8)}
    with pytest.raises(
        ValueError, match=r"the tensor model.norm.weight is of torch.int8 \(torch.strided\), and this kit reads"
    ):
        load_pretrained(write(tmp_path / "whole", LLAMA, tensors))


def index(folder, file):
    names = {name: file for name in tensors_of(LLAMA)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_an_index_does_not_lead_out_of_its_folder(tmp_path):
    folder, outside = write(tmp_path / "model", LLAMA, tensors_of(LLAMA)), tmp_path / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "below").mkdir()
    (folder / "below" / "b.safetensors").symlink_to(outside)
    for file in ("../outside.safetensors", str(outside), "link.safetensors", "below/b.safetensors", "../model/x", ".."):
        index(folder, file)
        with pytest.raises(ValueError, match=r"index.json names '.*', which leaves the folder; get the file again"):
            load_pretrained(folder)
    for wrong in ({"a": 1}, ["a"], {"a": None}):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(ValueError, match="has no weight_map"):
            load_pretrained(folder)
    index(folder, "\x1b[2J")
    with pytest.raises(ValueError, match=r"lacks '\\x1b\[2J', which its index names") as caught:
        load_pretrained(folder)
    assert str(caught.value).isprintable()


def test_links_of_the_cache_of_the_hub_are_followed(tmp_path):
    snapshot = write(tmp_path / "snapshots" / "1a2b", LLAMA, tensors_of(LLAMA))
    (tmp_path / "blobs").mkdir()
    (snapshot / "model.safetensors").rename(tmp_path / "blobs" / "cafe")
    (snapshot / "part.safetensors").symlink_to("../../blobs/cafe")
    index(snapshot, "part.safetensors")
    assert load_pretrained(snapshot).config.qk_norm


def test_a_configuration_that_asks_for_more_than_the_files_hold_is_refused_before_a_model_is_made(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(LanguageModel, "__init__", lambda *_: pytest.fail("a model was made"))
    write(tmp_path, {**LLAMA, "num_hidden_layers": 9999}, tensors_of(LLAMA))
    with pytest.raises(ValueError, match="has tensors of 2 layers, and its configuration asks for 9999"):
        load_pretrained(tmp_path)
    write(tmp_path, {**LLAMA, "num_hidden_layers": 10**9}, tensors_of(LLAMA))
    with pytest.raises(ValueError, match="num_hidden_layers must be a whole number from 1 to 10,000, not 1000000000"):
        load_pretrained(tmp_path)


def test_an_empty_file_is_damaged(tmp_path):
    write(tmp_path, LLAMA, {"x": torch.zeros(1)})
    for content in (b"", b"\x00" * 8, struct.pack("<Q", 10**15) + b"{}", struct.pack("<Q", 4) + b'{"a"'):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
            load_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for content in (b"", b"\x80\x02", b"PK\x03\x04rubbish"):
        (tmp_path / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ValueError, match=r"pytorch_model.bin is damaged"):
            load_pretrained(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
