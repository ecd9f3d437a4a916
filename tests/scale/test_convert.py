"""One model in every form: to and fro without a changed bit."""

import json
import os
import pickle

import pytest
import torch
from data.test_tokenizer import byte_pairs
from scale.published import kinds

from physlm_lite.base.files import StorageError
from physlm_lite.cli import main
from physlm_lite.data.tokenizer import Characters, load_tokenizer
from physlm_lite.models import LanguageModel, ModelConfig, preset
from physlm_lite.scale import load_pretrained, recipes, save_pretrained
from physlm_lite.scale.convert import WRITERS, convert, open_model, open_tokenizer
from physlm_lite.scale.published.layouts import from_lingua, read_keys, resolved
from physlm_lite.scale.published.lingua import save_lingua, to_lingua
from physlm_lite.scale.recipe import load_recipe
from physlm_lite.scale.sharded import METADATA, load_sharded, save_sharded

LLAMA = {"width": 32, "rope_layout": "interleaved"}
MODELS = {
    "Llama": {**LLAMA, "heads": 4, "kv_heads": 2, "canon": "ABCD", "rope_dim": 4, "qk_norm": True, "hidden": 24},
    "plain": {**LLAMA, "heads": 2, "head_width": 24, "hidden": 80},
    "tied": {**LLAMA, "heads": 2, "tied": True, "canon": "AC"},
    **{name: {"width": 32, **kinds.KINDS[name]} for name in kinds.KINDS if "Llama" not in name},
}


def model(name, dtype=torch.float32):
    return LanguageModel(ModelConfig(**{"vocab": 19, "layers": 2, **MODELS[name]}), seed=3).to(dtype)


def same(one, other):
    weights = dict(other.named_parameters())
    assert resolved(one.config).parameters == resolved(other.config).parameters
    assert set(dict(one.named_parameters())) == set(weights)
    return all(
        torch.equal(tensor, weights[name]) and tensor.dtype == weights[name].dtype
        for name, tensor in one.named_parameters()
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_round_trip_through_every_form_is_exact(tmp_path, name, dtype):
    made = model(name, dtype)
    save_pretrained(made, tmp_path / "start")
    before = tmp_path / "start"
    for form in ("sharded", "lingua", "transformers", "lingua", "sharded", "transformers"):
        after = tmp_path / f"{len(os.listdir(tmp_path))}-{form}"
        assert convert(before, after, form) == after
        assert same(made, open_model(after))
        before = after
    tensors = [(path / "model.safetensors").read_bytes() for path in (tmp_path / "start", before)]
    assert tensors[0] == tensors[1]
    tokens = torch.arange(8)[None]
    assert torch.equal(made(tokens), open_model(before)(tokens))


@pytest.mark.parametrize(
    "name", [name for name in recipes() if name.startswith(("Llama", "G", "M")) and "lr0.003" in name]
)
def test_every_published_model_has_a_place_in_the_training_code(name):
    config = load_recipe(name).model
    params = to_lingua(config)
    again = read_keys(from_lingua(json.loads(json.dumps(params))))
    assert again.parameters == config.parameters and resolved(again).canon == resolved(config).canon


def test_a_folder_of_the_training_code_is_tensors_alone(tmp_path):
    made = model("Llama")
    save_lingua(made, tmp_path / "run")
    content = torch.load(tmp_path / "run/consolidated.pth", weights_only=True)["model"]
    assert torch.equal(content["tok_embeddings.weight"], made.embedding.weight)
    assert torch.equal(content["layers.1.feed_forward.w3.weight"], made.blocks[1].feed_forward.up.weight)
    params = json.loads((tmp_path / "run/params.json").read_text())
    assert params["model"]["dim"] == 32 and params["data"]["seq_len"] == 4096
    assert same(made, load_pretrained(tmp_path / "run"))


@pytest.mark.parametrize("rope_dim", [None, 8, 0])
def test_a_model_that_rotates_halves_is_written_as_one_that_rotates_neighbours(tmp_path, rope_dim):
    options = {"heads": 4, "kv_heads": 2, "canon": "ABCD", "rope_dim": rope_dim, "qk_norm": True, "width": 64}
    made = LanguageModel(ModelConfig(vocab=19, **options), seed=0).double()
    with torch.no_grad():  # gains and taps that tell one channel from another
        for name, tensor in made.named_parameters():
            if "norm" in name:
                tensor += torch.rand(tensor.shape, generator=torch.Generator().manual_seed(1))
    save_pretrained(made, tmp_path / "a")
    found = open_model(convert(tmp_path / "a", tmp_path / "b", "lingua"))
    tokens = torch.arange(19)[None]
    assert found.config.rope_layout == "interleaved" != made.config.rope_layout
    assert torch.allclose(found(tokens), made(tokens), rtol=1e-6, atol=1e-6)
    again = open_model(convert(tmp_path / "b", tmp_path / "c", "transformers"))
    assert same(found, again) and torch.equal(found(tokens), again(tokens))
    key, other = (m.blocks[0].mixer.key.weight for m in (made, found))
    assert torch.equal(key.sort(0).values, other.sort(0).values)  # the same rows, in another order
    assert torch.equal(key, other) == (rope_dim == 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"positions": "alibi", "rope_layout": "half"},
            r"has no place for positions = 'alibi', it would compute 'rope'",
        ),
        ({"experts": 4}, r"has no place for experts = 4"),
    ],
)
def test_what_the_training_code_cannot_compute_is_refused(tmp_path, change, message):
    save_pretrained(LanguageModel(ModelConfig(vocab=19, **{**LLAMA, **change}), seed=0), tmp_path / "a")
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "a", tmp_path / "b", "lingua")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("form", WRITERS)
def test_a_tokenizer_comes_along(tmp_path, form):
    byte_pairs(tmp_path / "tokenizer.json")
    for number, tokenizer in enumerate((load_tokenizer(tmp_path), Characters(end=None))):
        save_pretrained(model("Llama"), tmp_path / f"a{number}")
        tokenizer.save(tmp_path / f"a{number}")
        convert(tmp_path / f"a{number}", tmp_path / f"b{number}", form)
        found = open_tokenizer(tmp_path / f"b{number}")
        assert (found.fingerprint, found.begin, found.end) == (tokenizer.fingerprint, tokenizer.begin, tokenizer.end)


def test_auto_classes_open_what_was_converted(tmp_path):
    from transformers import AutoModelForCausalLM

    made = model("Llama")
    save_sharded(made, tmp_path / "shards")
    convert(tmp_path / "shards", tmp_path / "auto")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "auto")
    tokens = torch.arange(9)[None]
    assert torch.equal(theirs(tokens).logits, made(tokens))


def test_optimiser_state_beside_a_sharded_model_is_passed_over(tmp_path):
    import torch.distributed.checkpoint as dcp

    made = model("Llama")
    state = {f"model.{name}": tensor.detach() for name, tensor in made.named_parameters()}
    moments = {f"adam.exp_avg.{name}": torch.zeros_like(tensor) for name, tensor in made.named_parameters()}
    with pytest.warns(UserWarning, match=r"torch.distributed is disabled"):
        dcp.save({**state, **moments}, checkpoint_id=tmp_path / "run/checkpoints/step-7", no_dist=True)
    with pytest.raises(ValueError, match=r"has no config.json, and neither have the two folders above"):
        load_sharded(tmp_path / "run/checkpoints/step-7")
    save_pretrained(made, tmp_path / "other")
    (tmp_path / "run/config.json").write_bytes((tmp_path / "other/config.json").read_bytes())
    assert same(made, open_model(tmp_path / "run/checkpoints/step-7"))


def test_what_is_wrong_with_a_sharded_folder(tmp_path):
    save_sharded(model("Llama"), tmp_path / "a")
    keys = json.loads((tmp_path / "a/config.json").read_text())
    (tmp_path / "a/config.json").write_text(json.dumps({**keys, "num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"it lacks the tensor model.blocks.2.*; save it again"):
        open_model(tmp_path / "a")
    (tmp_path / "a/config.json").write_text(json.dumps({**keys, "vocab_size": 20}))
    with pytest.raises(ValueError, match=r"it has \[19, 32\] for the tensor model.embedding.weight \[20, 32\]"):
        open_model(tmp_path / "a")
    (tmp_path / "a/config.json").write_text(json.dumps(keys))
    shard = next((tmp_path / "a").glob("*.distcp"))
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"is damaged: its tensors cannot be read; save it again") as error:
        open_model(tmp_path / "a")
    assert "\n" not in str(error.value)


class Danger:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_sharded_folder_carries_nothing_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_sharded(model("Llama"), tmp_path / "a")
    (tmp_path / "a" / METADATA).write_bytes(pickle.dumps(Danger()))
    with pytest.raises(
        ValueError, match=r"holds more than tensors \(it asks for posix.mkdir, which describes no tensor\)"
    ):
        open_model(tmp_path / "a")
    (tmp_path / "a" / METADATA).write_bytes(b"no pickle")
    with pytest.raises(ValueError, match=r".metadata is damaged, or holds more than tensors"):
        open_model(tmp_path / "a")
    assert not (tmp_path / "pwned").exists()


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path, monkeypatch):
    save_pretrained(model("Llama"), tmp_path / "a")
    with pytest.raises(ValueError, match=r"exists already; name a new folder"):
        convert(tmp_path / "a", tmp_path / "a", "lingua")
    with pytest.raises(ValueError, match="unknown form 'lingau'; did you mean 'lingua'"):
        convert(tmp_path / "a", tmp_path / "b", "lingau")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match="No space left on device"):
        convert(tmp_path / "a", tmp_path / "b", "lingua")
    assert not (tmp_path / "b").exists()
    with pytest.raises(
        ValueError, match=r"nowhere is not a folder; give the one that holds config.json or params.json"
    ):
        convert(tmp_path / "nowhere", tmp_path / "b")


def test_the_published_sizes_are_written_without_their_weights():
    """The configuration of the 8B model, as its params.json says it."""
    params = to_lingua(preset("LlamaCanon-8B"))
    assert (params["dim"], params["n_layers"], params["n_kv_heads"], params["hidden_dim"]) == (4096, 32, 8, 14336)
    assert (params["rope_dim"], params["canon_set"], params["vocab_size"]) == (32, "ABCD", 128256)


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    made = LanguageModel(ModelConfig(vocab=98, width=16, layers=1, rope_layout="interleaved"), seed=0)
    save_pretrained(made, tmp_path / "model")
    Characters().save(tmp_path / "model")
    return tmp_path / "model"


def test_generate_goes_on_with_a_text(folder, capsys):
    command = ["generate", str(folder), "--prompt", "In the", "--tokens", "12"]
    assert main(command) == 0
    greedy = capsys.readouterr().out
    assert greedy.startswith("In the") and len(greedy) > 8
    drawn = []
    for seed in ("1", "1", "2"):
        assert main([*command, "--temperature", "1", "--seed", seed, "--json"]) == 0
        drawn.append(json.loads(capsys.readouterr().out))
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]["tokens"]) <= 12
    assert drawn[0]["text"] == Characters().decode(drawn[0]["tokens"])


def test_generate_from_every_form(folder, tmp_path, capsys):
    said = []
    for form in WRITERS:
        assert main(["convert", str(folder), str(tmp_path / form), "--to", form]) == 0
        assert capsys.readouterr().out == f"written: {tmp_path / form}\n"
        assert main(["generate", str(tmp_path / form), "--prompt", "And", "--tokens", "9"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]


def test_wrong_words(folder, tmp_path, capsys):
    byte_pairs(tmp_path / "tokenizer.json")
    (folder / "physlm_tokenizer.json").unlink()
    for words, message in (
        ([str(folder), "--prompt", "a"], "holds no tokenizer; say --tokenizer with characters, a tokenizer.json"),
        (
            [str(folder), "--tokenizer", "characters"],
            "has no mark to begin with, so the text must be begun; say --prompt",
        ),
        (
            [str(folder), "--tokenizer", str(tmp_path / "tokenizer.json"), "--prompt", "a"],
            "the tokenizer tokenizer.json has 2",
        ),
        ([str(tmp_path / "no"), "--tokenizer", "characters", "--prompt", "a"], "no is not a folder; give the one"),
    ):
        assert main(["generate", *words]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["generate", "convert", "eval"])
def test_help_shows_an_example(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"example: physlm {verb} my-model" in " ".join(capsys.readouterr().out.split())
