"""After `import physlm_lite`, transformers loads our folders and writes with them what our own decoder writes."""

import json
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedTokenizerFast,
    pipeline,
)

from physlm_lite import models
from physlm_lite.evaluation.decoding import generate
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, save_pretrained
from physlm_lite.scale.published.hugging_face_config import PhyslmConfig
from physlm_lite.scale.published.hugging_face_model import CACHE, PhyslmForCausalLM, StateCache
from physlm_lite.scale.published.layouts import resolved

WORDS = ["<pad>", "<eos>", *"one two three four five six seven eight nine ten".split()]
MODELS = {
    "LlamaCanon": {
        "canon": "ABCD",
        "qk_norm": True,
        "heads": 4,
        "kv_heads": 2,
        "rope_dim": 4,
        "rope_layout": "interleaved",
    },
    "ALiBi with experts": {"positions": "alibi", "experts": 2, "canon": "AC", "tied": True},
    "GLA5": {"mixer": "gla", "mixer_options": models.GLA5, "canon": "ACD"},
    "GDN2": {"mixer": "gated_delta", "mixer_options": models.GDN2, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {**models.MAMBA2, "state": 8}, "canon": "ACD"},
}
TOKENS = torch.randint(2, len(WORDS), (3, 7), generator=torch.Generator().manual_seed(1))


def model_of(name):
    return LanguageModel(ModelConfig(vocab=len(WORDS), width=32, **MODELS[name]), seed=2)


@pytest.fixture(params=MODELS)
def both(request, tmp_path):
    """A model, and what transformers makes of its folder."""
    model = model_of(request.param)
    save_pretrained(model, tmp_path / "folder")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    assert type(loaded) is PhyslmForCausalLM and not loaded.training
    return model, loaded


def test_the_same_tensors_and_logits(both, tmp_path):
    model, loaded = both
    assert torch.equal(loaded(TOKENS).logits, model(TOKENS))
    assert loaded(TOKENS).get(CACHE) is None
    loaded.save_pretrained(tmp_path / "again")
    again = load_pretrained(tmp_path / "again")
    assert again.config == resolved(model.config)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())
    config = AutoConfig.from_pretrained(tmp_path / "again")
    assert type(config) is PhyslmConfig and config.model_config() == resolved(model.config)
    fresh = AutoModelForCausalLM.from_config(config)
    assert fresh.model.config == resolved(model.config)
    weight = fresh.model.embedding.weight
    assert not torch.equal(weight, model.embedding.weight)
    assert abs(weight.std().item() / 32**-0.5 - 1) < 0.2


def test_generate_writes_what_our_decoder_writes(both):
    model, loaded = both
    expected = torch.tensor(generate(model, TOKENS.tolist(), 9))
    assert len(expected.unique()) > 2
    calls, hidden = [], loaded.model.hidden

    def watched(tokens, *rest):
        calls.append(tokens.shape[1])
        return hidden(tokens, *rest)

    loaded.model.hidden = watched
    options = {"attention_mask": torch.ones_like(TOKENS), "max_new_tokens": 9, "do_sample": False}
    assert torch.equal(loaded.generate(TOKENS, **options)[:, 7:], expected)
    assert calls == [7] + 8 * [1]  # one token at a time
    assert torch.equal(loaded.generate(TOKENS, **options, use_cache=False)[:, 7:], expected)


def test_beams_are_the_same_with_a_cache_and_without(both):
    _, loaded = both
    options = {"attention_mask": torch.ones_like(TOKENS), "max_new_tokens": 6, "do_sample": False, "num_beams": 3}
    with_cache = loaded.generate(TOKENS, **options)
    assert torch.equal(with_cache, loaded.generate(TOKENS, **options, use_cache=False))
    several = loaded.generate(TOKENS, **options, num_return_sequences=2)
    assert torch.equal(several[::2], with_cache)


def test_a_text_can_be_continued_with_several_tokens(both):
    model, loaded = both
    whole = model(TOKENS)
    first = loaded(TOKENS[:, :3], use_cache=True)
    cache = first[CACHE]
    assert type(cache) is StateCache and cache.get_seq_length() == 3
    rest = loaded(TOKENS[:, 3:6], past_key_values=cache, attention_mask=torch.ones(3, 6))
    last = loaded(TOKENS[:, 6:], past_key_values=cache)
    close(torch.cat([first.logits, rest.logits, last.logits], 1), whole)
    cache.batch_repeat_interleave(2)
    longer = torch.cat([TOKENS, TOKENS[:, :2]], 1)
    close(loaded(longer[:, 7:].repeat_interleave(2, 0), past_key_values=cache).logits[::2], model(longer)[:, 7:])
    # generate goes on as well, from the whole text or from what is new
    expected = torch.tensor(generate(model, TOKENS.tolist(), 4))
    for given in (TOKENS, TOKENS[:, 5:]):
        cache = loaded(TOKENS[:, :5], use_cache=True)[CACHE]
        written = loaded.generate(
            given, attention_mask=torch.ones_like(TOKENS), **{CACHE: cache}, max_new_tokens=4, do_sample=False
        )
        assert torch.equal(written[:, -4:], expected)


def test_padding_on_the_left_changes_nothing(both):
    model, loaded = both
    lengths = [7, 4, 5]
    texts = [TOKENS[row, :length].tolist() for row, length in enumerate(lengths)]
    padded = torch.tensor([[0] * (7 - len(text)) + text for text in texts])
    mask = (torch.arange(7) >= 7 - torch.tensor(lengths)[:, None]).long()
    logits = loaded(padded, attention_mask=mask).logits
    for row, text in enumerate(texts):
        close(logits[row, 7 - len(text) :], model(torch.tensor([text]))[0])
    written = loaded.generate(padded, attention_mask=mask, max_new_tokens=8, do_sample=False)[:, 7:]
    assert written.tolist() == [generate(model, [text], 8)[0] for text in texts]
    # in two parts, the second without a mask; and on the right, where nothing is continued
    first = loaded(padded[:, :4], attention_mask=mask[:, :4], use_cache=True)
    close(loaded(padded[:, 4:], past_key_values=first[CACHE]).logits[mask[:, 4:] == 1], logits[:, 4:][mask[:, 4:] == 1])
    turned = loaded(padded.flip(1), attention_mask=mask.flip(1)).logits
    close(turned[1, :4], model(padded.flip(1)[1:2, :4])[0])


def test_only_the_last_logits_are_made_on_request(both):
    model, loaded = both
    close(loaded(TOKENS, logits_to_keep=2).logits, model(TOKENS)[:, -2:])
    close(loaded(TOKENS, logits_to_keep=torch.tensor([1, 3])).logits, model(TOKENS)[:, [1, 3]])
    assert loaded(TOKENS, return_dict=False)[0].shape == (3, 7, len(WORDS))


def test_the_loss_is_that_of_the_next_token(both):
    model, loaded = both
    labels = TOKENS.clone()
    labels[0, 3:] = labels[1, 2] = -100
    chosen = labels != -100
    chosen[:, 0] = False
    close(loaded(TOKENS, labels=labels, logits_to_keep=1).loss, model.cross_entropy(TOKENS, chosen))
    loaded.train()
    everything = torch.ones_like(TOKENS, dtype=torch.bool)
    loss = loaded(TOKENS, labels=TOKENS).loss
    close(loss, model.loss(TOKENS, everything) if not model.config.experts else loss)
    loss.backward()
    assert all(p.grad is not None for p in loaded.parameters() if p.requires_grad)


def tokenizer():
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", padding_side="left")


def test_a_pipeline_writes_what_our_decoder_writes(both, tmp_path):
    model, _ = both
    save_pretrained(model, tmp_path / "folder", eos_token_id=1, pad_token_id=0)
    tokenizer().save_pretrained(tmp_path / "folder")
    write = pipeline("text-generation", model=str(tmp_path / "folder"), device="cpu")
    prompts = ["one two three", "nine four five six two"]
    encoded = AutoTokenizer.from_pretrained(tmp_path / "folder")(prompts)["input_ids"]
    assert encoded == [[WORDS.index(word) for word in prompt.split()] for prompt in prompts]
    for batch_size in (1, 2):
        answers = write(prompts, max_new_tokens=6, do_sample=False, batch_size=batch_size, return_full_text=False)
        expected = [[WORDS[token] for token in answer if token > 1] for answer in generate(model, encoded, 6, stop=1)]
        assert [answer[0]["generated_text"].split() for answer in answers] == expected
    assert write.model.generation_config.eos_token_id == 1


def test_where_and_in_which_precision_it_is_loaded(tmp_path):
    save_pretrained(model_of("GLA5").bfloat16(), tmp_path)
    for options, dtype in (
        ({}, torch.bfloat16),
        ({"dtype": "auto"}, torch.bfloat16),
        ({"dtype": "float32"}, torch.float32),
        ({"torch_dtype": torch.float64, "device_map": {"": "cpu"}}, torch.float64),
        ({"device_map": "cpu"}, torch.bfloat16),
    ):
        assert PhyslmForCausalLM.from_pretrained(tmp_path, **options).dtype == dtype


def test_what_it_cannot_do_is_said(tmp_path):
    save_pretrained(model_of("GLA5"), tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    mask = torch.ones_like(TOKENS)
    right = mask.clone()
    right[1, 5:] = 0

    def refused(said, call, *arguments, **options):
        with pytest.raises(ValueError, match=said):
            call(*arguments, **options)

    refused(
        "padding must stand on the left: set tokenizer.padding_side = 'left'", loaded, TOKENS, right, use_cache=True
    )
    refused(
        r"attention_mask should be \[3, 7\], the 0 positions of the past and .*, not \[3, 6\]",
        loaded,
        TOKENS,
        mask[:, 1:],
    )
    foreign = DynamicCache()
    refused(
        "should be the StateCache that this model returned, not a DynamicCache", loaded, TOKENS, past_key_values=foreign
    )
    cache = loaded(TOKENS, use_cache=True)[CACHE]
    late = torch.tensor([[0] + 7 * [1]]).expand(3, -1)
    refused("hides tokens that were read without one", loaded, TOKENS[:, :1], late, cache)
    refused("a StateCache cannot be shortened", cache.crop, 3)
    cache.reset()
    assert cache.get_seq_length() == 0
    refused(
        "quantization_config is an option that this model does not know",
        AutoModelForCausalLM.from_pretrained,
        tmp_path,
        quantization_config={"load_in_8bit": True},
    )
    refused(
        "device_map should name one device", PhyslmForCausalLM.from_pretrained, tmp_path, device_map={"model": "cpu"}
    )
    refused("push_to_hub is not supported", loaded.save_pretrained, tmp_path, push_to_hub=True)
    refused("unknown key 'canon_sett'", PhyslmForCausalLM, PhyslmConfig(**config_keys(tmp_path), canon_sett="A"))


def config_keys(folder):
    keys = json.loads((folder / "config.json").read_text())
    del keys["model_type"]
    return keys


LOAD = """
model = transformers.AutoModelForCausalLM.from_pretrained({folder!r})
assert type(model).__name__ == "PhyslmForCausalLM"
assert transformers.AutoConfig.for_model("physlm_lite").model_type == "physlm_lite"
"""
ORDERS = {
    "ours first": "import physlm_lite\nassert not {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
    "import importlib\nimportlib.reload(physlm_lite)\nimport transformers",
    "theirs first": "import transformers\ntransformers.AutoModelForCausalLM\nimport physlm_lite",
}


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_known_in_whichever_order_the_two_are_imported(order, tmp_path):
    save_pretrained(model_of("GLA5"), tmp_path)
    code = f"import sys\n{ORDERS[order]}\n{LOAD.format(folder=str(tmp_path))}\nfrom physlm_lite import registration\n"
    # the loader is what it would be without us, and our finder is gone
    code += (
        "auto = sys.modules[registration.AUTO]\nimport inspect\nassert 'class AutoConfig' in inspect.getsource(auto)\n"
    )
    code += "assert not any(type(finder).__module__.startswith('physlm_lite') for finder in sys.meta_path)\n"
    result = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_importing_transformers_never_fails_for_us(monkeypatch):
    from physlm_lite import registration

    monkeypatch.setattr(registration, "AUTO", "physlm_lite.registration")  # a module without AutoConfig
    with pytest.warns(UserWarning, match="could not register its models with transformers: .*AutoConfig"):
        registration.register_when_imported()


def close(a, b):
    torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)
