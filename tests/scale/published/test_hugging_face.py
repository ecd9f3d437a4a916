"""After `import physlm_lite`, transformers loads our folders and writes with them what our own decoder writes."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedTokenizerFast,
    StaticCache,
    pipeline,
)

from physlm_lite import models, registration
from physlm_lite.evaluation.decoding import generate
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, save_pretrained
from physlm_lite.scale.published.hugging_face_config import PhyslmConfig
from physlm_lite.scale.published.hugging_face_model import CACHE, PhyslmForCausalLM, StateLayer
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
RECENT = int(transformers.__version__.split(".")[0]) >= 5
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
    assert loaded(TOKENS, use_cache=False).get(CACHE) is None
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
    assert type(cache.layers[0]) is StateLayer and cache.get_seq_length() == 3
    rest = loaded(TOKENS[:, 3:6], past_key_values=cache, attention_mask=torch.ones(3, 6))
    last = loaded(TOKENS[:, 6:], past_key_values=cache)
    close(torch.cat([first.logits, rest.logits, last.logits], 1), whole)
    cache.batch_repeat_interleave(2)
    longer = torch.cat([TOKENS, TOKENS[:, :2]], 1)
    close(loaded(longer[:, 7:].repeat_interleave(2, 0), past_key_values=cache).logits[::2], model(longer)[:, 7:])
    # generate goes on as well, from the whole text or (since transformers 5) from what is new
    expected = torch.tensor(generate(model, TOKENS.tolist(), 4))
    for given in (TOKENS, TOKENS[:, 5:])[: 1 + RECENT]:
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
        ({}, torch.bfloat16 if RECENT else torch.float32),
        ({"dtype": "auto"}, torch.bfloat16),
        ({"dtype": "float32"}, torch.float32),
        ({"torch_dtype": torch.float64, "device_map": {"": "cpu"}}, torch.float64),
        ({"device_map": "cpu", "dtype": "auto"}, torch.bfloat16),
    ):
        assert PhyslmForCausalLM.from_pretrained(tmp_path, **options).dtype == dtype


def test_what_it_cannot_do_is_said(tmp_path):
    save_pretrained(model_of("GLA5"), tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    mask = torch.ones_like(TOKENS)
    late = torch.tensor([[0] + 7 * [1]]).expand(3, -1)
    embedded = loaded.get_input_embeddings()(TOKENS)
    cache = loaded(TOKENS).get(CACHE)
    foreign = DynamicCache()
    foreign.update(torch.ones(3, 2, 7, 8), torch.ones(3, 2, 7, 8), 0)

    def refused(said, call, *arguments, **options):
        with pytest.raises(ValueError, match=said):
            call(*arguments, **options)

    wanted = r"attention_mask should be \[3, 7\], the 0 positions of the past and .*, not "
    refused(wanted + r"\[3, 6\]", loaded, TOKENS, mask[:, 1:])
    refused(wanted + r"\[3, 1, 7, 7\]", loaded, TOKENS, torch.ones(3, 1, 7, 7))
    refused(wanted + "dict", loaded, TOKENS, {"full_attention": mask})
    refused("attention_mask differs from that of the tokens already read", loaded, TOKENS[:, :1], late, cache=cache)
    refused("not a DynamicCache with 7 tokens", loaded, TOKENS, past_key_values=foreign)
    refused("not a StaticCache with 0 tokens", loaded, TOKENS, cache=StaticCache(loaded.config, max_cache_len=9))
    refused("begin another model's text without a cache", cache.update, mask, mask, 0)
    refused("the cache of this model cannot be shortened", cache.crop, 3)
    refused(r"position_ids should be \[3, 7\], not \[3, 6\]", loaded, TOKENS, position_ids=mask[:, 1:])
    refused("give either input_ids or inputs_embeds", loaded)
    refused("give either input_ids or inputs_embeds", loaded, TOKENS, inputs_embeds=embedded)
    refused("this model has mixer 'gla'", loaded, TOKENS, output_attentions=True)
    refused("unknown argument 'atention_mask'; did you mean 'attention_mask'", loaded, TOKENS, atention_mask=mask)
    assert loaded(TOKENS, anything=None).logits.shape == (3, 7, len(WORDS))
    refused("unknown key 'canon_sett'", PhyslmForCausalLM, PhyslmConfig(**config_keys(tmp_path), canon_sett="A"))
    load = AutoModelForCausalLM.from_pretrained
    refused("unknown key of the configuration 'canon_sett'; did you mean 'canon_set'", load, tmp_path, canon_sett="A")
    refused(
        r"embeddings.weight is \[12, 32\], and the configuration asks for \[12, 64\]", load, tmp_path, hidden_size=64
    )
    with pytest.raises(ValueError, match="unknown key 'hiden'"):
        load(tmp_path, config=PhyslmConfig(**config_keys(tmp_path), hiden=3))


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
    def broken():
        raise AttributeError("no AutoConfig any more")

    monkeypatch.setattr(registration, "register", broken)
    with pytest.warns(UserWarning, match="could not register its models with transformers: no AutoConfig any more"):
        registration.register_when_imported()


def close(a, b):
    torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)
