"""What works with a model of transformers' own works with ours: calls, generation, saving and loading in all forms."""

import copy
import io
import json
import pickle
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_model
from scale.published.kinds import KINDS, MASK, TOKENS, VOCAB, close, kit, loaded
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.trainer_utils import load_sharded_checkpoint

from physlm_lite.scale import load_pretrained, save_pretrained
from physlm_lite.scale.published.hugging_face_model import CACHE, PhyslmForCausalLM

ATTENTION = ("Llama", "LlamaCanon")
load = AutoModelForCausalLM.from_pretrained


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind, tmp_path):
    return loaded(kind, tmp_path / "folder")


def names_in(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


# calls


def test_embeddings_stand_in_the_place_of_tokens(model):
    embedded = model.get_input_embeddings()(TOKENS).detach().requires_grad_()
    assert torch.equal(model(inputs_embeds=embedded).logits, model(TOKENS).logits)
    model(inputs_embeds=embedded, labels=TOKENS).loss.backward()
    assert embedded.grad.abs().amax(-1)[:, :-1].min() > 0
    options = {"attention_mask": MASK, "max_new_tokens": 5, "do_sample": False}
    written = model.generate(TOKENS, **options)
    assert torch.equal(model.generate(inputs_embeds=embedded.detach(), **options), written[:, 9:])


def test_positions_that_count_up_change_nothing_and_those_that_begin_anew_begin_another_text(model):
    expected = model(TOKENS).logits
    for positions in (torch.arange(9)[None], torch.arange(9).expand(3, -1), torch.arange(9)[None] + 5):
        close(model(TOKENS, position_ids=positions).logits, expected)
        close(model(TOKENS, MASK, positions, token_type_ids=MASK, cache_position=torch.arange(9)).logits, expected)
    packed = model(TOKENS, position_ids=torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]])).logits
    close(packed[:, :4], expected[:, :4])
    close(packed[:, 4:], model(TOKENS[:, 4:]).logits)
    # padding on the left, counted from the first token that is shown
    mask = MASK.clone()
    mask[1, :4] = 0
    padded = model(TOKENS, mask, (mask.cumsum(1) - 1).clamp(min=0)).logits
    close(padded[1, 4:], model(TOKENS[1:2, 4:]).logits[0])
    for positions in ((mask.cumsum(1) - 1).clamp(min=0), torch.arange(9)[None]):
        cache = model(TOKENS[:, :6], mask[:, :6], positions[:, :6])[CACHE]
        rest = model(TOKENS[:, 6:], mask, positions[:, 6:], cache).logits
        close(rest, padded[:, 6:])


def test_padding_on_the_right_is_not_seen(model):
    mask = MASK.clone()
    mask[0, 5:] = 0
    close(model(TOKENS, mask).logits[0, :5], model(TOKENS[:1, :5]).logits[0])
    for kept in (MASK.bool(), MASK.float()):
        close(model(TOKENS, kept).logits, model(TOKENS).logits)
    mask[1] = 0
    assert model(TOKENS, mask).logits.isfinite().all()


@pytest.mark.parametrize("kind", ["Llama"])
def test_masks_and_positions_are_those_of_transformers(model, tmp_path):
    keys = {key: getattr(model.config, key) for key in ("vocab_size", "hidden_size", "num_hidden_layers")}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": model.config.rms_norm_eps}
    llama = LlamaForCausalLM(LlamaConfig(**keys, **heads, intermediate_size=model.config.intermediate_size)).eval()
    llama.load_state_dict(load_file(tmp_path / "folder" / "model.safetensors"))
    mask = MASK.clone()
    mask[0, 3:5] = mask[1, 0] = mask[2, 7:] = 0
    for given in (MASK, mask):
        for positions in (None, given.cumsum(1), 3 * torch.arange(9).expand(3, -1)):
            options = {"attention_mask": given, "position_ids": positions}
            close(model(TOKENS, **options).logits[given == 1], llama(TOKENS, **options).logits[given == 1])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "LlamaCanon"])
def test_what_a_mask_hides_in_the_middle_is_as_if_it_were_not_there(model):
    mask = MASK.clone()
    mask[0, 3:5] = mask[0, :1] = 0
    positions = mask.cumsum(1) - 1
    short = model(TOKENS[:1, mask[0] == 1]).logits[0]
    close(model(TOKENS, mask, positions).logits[0, mask[0] == 1], short)
    first = model(TOKENS[:, :4], mask[:, :4], positions[:, :4])  # the text ends in what is hidden, and goes on
    last = model(TOKENS[:, 4:], mask, positions[:, 4:], first[CACHE]).logits
    close(last[0, mask[0, 4:] == 1], short[2:])


def test_hidden_states_are_those_of_the_embedding_and_of_each_layer(model):
    output = model(TOKENS, output_hidden_states=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 9, 32)] * 3
    assert torch.equal(output.hidden_states[0], model.get_input_embeddings()(TOKENS))
    assert torch.equal(model.get_output_embeddings()(output.hidden_states[-1]), output.logits)
    one = load(model.config.name_or_path, num_hidden_layers=1)(TOKENS, output_hidden_states=True).hidden_states
    close(one[1], model.model.norm(output.hidden_states[1]))  # the last one is normed
    for state in output.hidden_states:
        state.retain_grad()
    output.logits.sum().backward()
    assert all(state.grad.abs().max() > 0 for state in output.hidden_states)
    written = model.generate(
        TOKENS,
        attention_mask=MASK,
        max_new_tokens=3,
        do_sample=False,
        return_dict_in_generate=True,
        output_hidden_states=True,
    )
    assert [len(step) for step in written.hidden_states] == [3, 3, 3]
    assert [step[-1].shape[1] for step in written.hidden_states] == [9, 1, 1]
    close(written.hidden_states[0][1], output.hidden_states[1])
    model.config.output_hidden_states = True
    assert len(model(TOKENS).hidden_states) == 3


def test_where_attention_looks_is_shown_where_there_is_attention(kind, model):
    assert model(TOKENS, output_attentions=False).attentions is None
    if kind not in ATTENTION:
        with pytest.raises(ValueError, match="output_attentions asks where attention looked, and this model has mixer"):
            model(TOKENS, output_attentions=True)
        return
    model.set_attn_implementation("eager")  # as transformers asks for
    output = model(TOKENS, output_attentions=True)
    close(output.logits, model(TOKENS).logits)
    assert len(output.attentions) == 2
    for weights in output.attentions:
        assert weights.shape == (3, 4, 9, 9) and not weights.triu(1).any()
        close(weights.sum(-1), torch.ones(3, 4, 9))
        weights.retain_grad()
    output.logits.sum().backward()
    assert all(weights.grad.abs().max() > 0 for weights in output.attentions)
    step = model(TOKENS[:, 8:], output_attentions=True, **{CACHE: model(TOKENS[:, :8])[CACHE]})
    close(step.attentions[1], output.attentions[1][:, :, 8:])


def test_the_forms_of_an_answer(model):
    whole = model(TOKENS)
    assert list(whole) == ["logits", CACHE] and list(model(TOKENS, use_cache=False)) == ["logits"]
    assert torch.equal(model(TOKENS, return_dict=False)[0], whole.logits)
    assert list(model.train()(TOKENS)) == ["logits"]  # no cache in training
    model.eval().config.use_cache = False
    assert list(model(TOKENS)) == ["logits"]
    model.config.return_dict = False
    assert isinstance(model(TOKENS), tuple)


def test_the_loss_counts_what_it_is_told(model):
    labels = TOKENS.clone()
    labels[0, :6] = -100
    counted = (labels[:, 1:] != -100).sum()
    plain = model(TOKENS, labels=labels).loss
    close(model(TOKENS, labels=labels, num_items_in_batch=counted).loss, plain)
    close(model(TOKENS, labels=labels, num_items_in_batch=2 * counted).loss, plain / 2)
    shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    close(model(TOKENS, labels=labels, shift_labels=shifted).loss, plain)
    assert model(TOKENS, labels=torch.full_like(TOKENS, -100)).loss.isnan()  # as in transformers


def test_experts_balance_their_load_by_the_share_of_the_batch(tmp_path):
    model = loaded("Llama", tmp_path, experts=2).train()
    labels = torch.where(torch.arange(9) < torch.tensor([[9], [9], [5]]), TOKENS, -100)
    everything = (labels[:, 1:] != -100).sum()
    parts = [
        model(row, labels=row_labels, num_items_in_batch=everything).loss
        for row, row_labels in zip(TOKENS.split(1), labels.split(1), strict=True)
    ]
    alone = [
        model(row, labels=row_labels).loss * (row_labels[:, 1:] != -100).sum() / everything
        for row, row_labels in zip(TOKENS.split(1), labels.split(1), strict=True)
    ]
    close(sum(parts), sum(alone))
    assert model.eval()(TOKENS, labels=labels).loss < model.train()(TOKENS, labels=labels).loss


# generation


@pytest.mark.parametrize(
    "options",
    [{}, {"num_beams": 3}, {"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True, "top_k": 5}],
)
def test_a_cache_changes_nothing(model, options):
    mask = MASK.clone()
    mask[1, :5] = 0
    options = {"attention_mask": mask, "max_new_tokens": 7, "do_sample": False, **options}
    written = []
    for more in ({}, {"use_cache": False}, {"prefill_chunk_size": 4} if "num_beams" not in options else {}):
        torch.manual_seed(0)
        written.append(model.generate(TOKENS, **options, **more))
    assert torch.equal(written[0], written[1]) and torch.equal(written[0], written[2])
    assert len(written[0].unique()) > 3


@pytest.mark.parametrize("given", [None, "new", "configured", "masked"])
def test_the_usual_loop_writes_what_generate_writes(model, given):
    right = model.generate(TOKENS, attention_mask=MASK, max_new_tokens=8, do_sample=False)
    past = {"new": DynamicCache(), "configured": DynamicCache(config=model.config)}.get(given)
    now, written, mask = TOKENS, [TOKENS], MASK
    with torch.no_grad():
        for _ in range(8):
            options = {}
            if given == "masked":
                options = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1)[:, -now.shape[1] :]}
            output = model(now, **options, **{CACHE: past})
            past, now = output[CACHE], output.logits[:, -1:].argmax(-1)
            written.append(now)
            mask = torch.cat([mask, mask[:, :1]], 1)
    assert torch.equal(torch.cat(written, 1), right)
    assert past.get_seq_length() == 9 + 7


def test_generation_goes_on_from_what_it_returned(model):
    options = {"do_sample": False, "return_dict_in_generate": True}
    first = model.generate(TOKENS, attention_mask=MASK, max_new_tokens=4, **options)
    mask = torch.ones_like(first.sequences)
    both = model.generate(first.sequences, attention_mask=mask, max_new_tokens=3, **{CACHE: first[CACHE]}, **options)
    whole = model.generate(TOKENS, attention_mask=MASK, max_new_tokens=7, **options)
    assert torch.equal(both.sequences, whole.sequences)


def test_a_cache_can_be_copied_repeated_and_emptied(model):
    with torch.no_grad():
        cache = model(TOKENS[:, :6])[CACHE]
        expected = model(TOKENS).logits[:, 6:]
        for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
            close(model(TOKENS[:, 6:], **{CACHE: other}).logits, expected)
        cache.batch_repeat_interleave(2)
        cache.batch_select_indices(torch.tensor([5, 0]))
        close(model(TOKENS[[2, 0], 6:], **{CACHE: cache}).logits, expected[[2, 0]])
        cache.reset()
        assert cache.get_seq_length() == 0
        close(model(TOKENS, **{CACHE: cache}).logits[:, 6:], expected)


# saving and loading


@pytest.mark.parametrize("tied", [False, True])
def test_a_folder_has_the_same_tensors_whoever_writes_it(kind, tied, tmp_path):
    model = loaded(kind, tmp_path / "kit", tied=tied)
    model.save_pretrained(save_directory=tmp_path / "theirs", is_main_process=True, max_shard_size="1GB")
    assert names_in(tmp_path / "theirs") == names_in(tmp_path / "kit")
    again = load(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    assert ours.config == model.model.config == again.model.config
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor) and torch.equal(ours.state_dict()[name], tensor)
    assert (again.get_output_embeddings().weight is again.get_input_embeddings().weight) == tied
    model.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other" / "config.json").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_is_saved_and_loaded(model, dtype, tmp_path):
    model = model.to(dtype)
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again", dtype="auto")
    assert again.dtype == dtype and again(TOKENS).logits.dtype == dtype
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert load(tmp_path / "again", dtype="float32").dtype == torch.float32


@pytest.mark.sampled(5)
def test_several_files_are_read_one_after_the_other(model, tmp_path):
    model.save_pretrained(tmp_path / "many", max_shard_size="8KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 5
    again, report = load(tmp_path / "many", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    right = model(TOKENS).logits
    assert torch.equal(again(TOKENS).logits, right)
    close(load_pretrained(tmp_path / "many")(TOKENS), right)
    fresh = PhyslmForCausalLM(model.config).eval()
    # it compares the names in the folder with those of the modules, as it does for all models whose names are translated,
    # such as transformers' own Mixtral: what it says to be missing is not
    load_sharded_checkpoint(fresh, tmp_path / "many", strict=False)
    assert torch.equal(fresh(TOKENS).logits, right)


def test_a_state_may_have_either_names(model, tmp_path):
    right = model(TOKENS).logits
    published = load_file(tmp_path / "folder" / "model.safetensors")
    for state in (published, model.state_dict()):
        fresh = PhyslmForCausalLM(model.config).eval()
        assert fresh.load_state_dict(state) == ([], [])
        assert torch.equal(fresh(TOKENS).logits, right)
        inside = torch.nn.Sequential(PhyslmForCausalLM(model.config).eval())
        assert inside.load_state_dict({f"0.{name}": tensor for name, tensor in state.items()}) == ([], [])
        assert torch.equal(inside[0](TOKENS).logits, right)
        assert torch.equal(
            PhyslmForCausalLM.from_pretrained(None, config=model.config, state_dict=state)(TOKENS).logits, right
        )
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert fresh.load_state_dict({"elsewhere": torch.ones(1)}, strict=False).unexpected_keys == ["elsewhere"]
    with pytest.raises(RuntimeError, match="elsewhere"):
        fresh.load_state_dict({**published, "elsewhere": torch.ones(1)})
    save_model(model, tmp_path / "whole.safetensors")
    load_model(inside[0], tmp_path / "whole.safetensors")
    assert torch.equal(inside[0](TOKENS).logits, right)


def test_a_given_state_is_saved_and_a_folder_can_be_written_over(model, tmp_path):
    folder = tmp_path / "folder"
    right = model(TOKENS).logits
    model.save_pretrained(folder)  # from which its tensors were read
    assert torch.equal(model(TOKENS).logits, right) and torch.equal(load(folder)(TOKENS).logits, right)
    model.save_pretrained(folder, state_dict={name: tensor + 1 for name, tensor in model.state_dict().items()})
    changed = load(folder)
    assert all(torch.equal(a + 1, b) for a, b in zip(model.parameters(), changed.parameters(), strict=True))


def test_the_options_of_from_pretrained(model, tmp_path):
    right = model(TOKENS).logits
    shutil.copytree(tmp_path / "folder", tmp_path / "root" / "below")
    assert torch.equal(load(tmp_path / "root", subfolder="below")(TOKENS).logits, right)
    for options in (
        {"revision": "main", "local_files_only": True, "trust_remote_code": False, "use_safetensors": True},
        {"low_cpu_mem_usage": True, "attn_implementation": "eager", "cache_dir": tmp_path / "cache"},
        {"attn_implementation": "sdpa", "device_map": "auto"},
        {"device_map": "cpu", "torch_dtype": torch.float32},
        {"device_map": {"": "cpu"}, "dtype": torch.float32},
    ):
        assert torch.equal(load(tmp_path / "folder", **options)(TOKENS).logits, right)


def test_what_the_configuration_says_is_what_is_computed(kind, model, tmp_path):
    folder = tmp_path / "folder"
    changed = AutoConfig.from_pretrained(folder)
    eps = next(key for key in ("layer_norm_epsilon", "rms_norm_eps", "norm_eps") if hasattr(changed, key))
    setattr(changed, eps, 0.3)
    keys = {**json.loads((folder / "config.json").read_text()), eps: 0.3}
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps(keys))
    right = load_pretrained(tmp_path / "other")(TOKENS)
    assert (right - model(TOKENS).logits).abs().max() > 0.1
    for other in (load(folder, config=changed), load(folder, **{eps: 0.3})):
        close(other(TOKENS).logits, right)
        assert getattr(other.config, eps) == other.model.config.norm_eps == 0.3
    # fewer layers, and more, which start anew and are told of
    assert len(load(folder, num_hidden_layers=1).model.blocks) == 1
    more, report = load(folder, num_hidden_layers=3, output_loading_info=True)
    assert {name.split(".")[2] for name in report["missing_keys"]} == {"2"}
    torch.manual_seed(0)
    for name, parameter in more.model.blocks[2].named_parameters():
        start = kit(kind, layers=3).blocks[2].get_parameter(name)
        assert parameter.isfinite().all()
        if parameter.numel() > 8:  # the spread of fewer says little
            assert 0.5 <= (1 + parameter.std()) / (1 + start.std()) <= 2
    with pytest.raises(ValueError, match=r"is \[24, 32\], and the configuration asks for \[50, 32\]"):
        load(folder, vocab_size=50)
    wider = load(folder, vocab_size=50, ignore_mismatched_sizes=True)
    assert wider(TOKENS).logits.shape == (3, 9, 50) and wider(TOKENS).logits.isfinite().all()
    assert torch.equal(wider.model.norm.weight, model.model.norm.weight)
    down = [other.model.blocks[1].feed_forward.down.weight for other in (wider, model)]
    assert torch.equal(*down)


@pytest.mark.parametrize("kind", ["Llama"])
def test_canon_layers_can_be_added_to_a_model_without(model, tmp_path):
    more, report = load(tmp_path / "folder", canon_set="AC", output_loading_info=True)
    added = {f"model.blocks.{layer}.canon_{place}.weight" for layer in (0, 1) for place in "ac"}
    assert set(report["missing_keys"]) == added
    assert more.model.config.canon == "AC" and 0.2 < more.model.blocks[0].canon_a.weight.std() < 0.4
    assert torch.equal(more.model.blocks[1].mixer.query.weight, model.model.blocks[1].mixer.query.weight)


def test_a_model_of_nothing_but_a_configuration_starts_like_any_other(model):
    torch.manual_seed(3)
    fresh = PhyslmForCausalLM(model.config)
    torch.manual_seed(3)
    empty = PhyslmForCausalLM.from_pretrained(None, config=model.config, state_dict={})
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), empty.parameters(), strict=True))
    assert AutoModelForCausalLM.from_config(model.config, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_keys_that_change_no_logits_are_kept(kind, tmp_path):
    save_pretrained(kit(kind), tmp_path, max_position_embeddings=777, eos_token_id=3, pad_token_id=0)
    model = load(tmp_path)
    model.generation_config.max_new_tokens = 4
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    for config in (model.config, again.config):
        assert (config.max_position_embeddings, config.eos_token_id, config.pad_token_id) == (777, 3, 0)
        assert config.bos_token_id is None
    assert (again.generation_config.max_new_tokens, again.generation_config.eos_token_id) == (4, 3)
    assert load_pretrained(tmp_path / "again").config == model.model.config


def test_modules_that_share_weights_are_saved_as_what_they_are(kind, tmp_path):
    model = loaded(kind, tmp_path / "0")
    model.model.head.weight = model.model.embedding.weight
    model.model.blocks[1] = model.model.blocks[0]
    model.save_pretrained(tmp_path / "shared")
    close(load(tmp_path / "shared")(TOKENS).logits, model(TOKENS).logits)
    model = loaded(kind, tmp_path / "1", tied=True)
    model.model.head.weight = torch.nn.Parameter(model.model.head.weight.detach() + 1)
    model.save_pretrained(tmp_path / "untied")
    close(load(tmp_path / "untied")(TOKENS).logits, model(TOKENS).logits)
    keys = json.loads((tmp_path / "untied" / "config.json").read_text())
    (tmp_path / "untied" / "config.json").write_text(json.dumps({**keys, "tie_word_embeddings": True}))
    with pytest.raises(ValueError, match="differs from the embedding, although the configuration ties them"):
        load(tmp_path / "untied")


@pytest.mark.parametrize("tied", [False, True])
def test_the_vocabulary_can_be_resized(kind, tied, tmp_path):
    model = loaded(kind, tmp_path / "0", tied=tied)
    right = model(TOKENS).logits
    model.resize_token_embeddings(40, mean_resizing=False)
    assert model.config.vocab_size == model.model.config.vocab == 40
    close(model(TOKENS).logits[..., :VOCAB], right)
    for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        assert weight.shape == (40, 32) and 0.8 < weight[VOCAB:].std() / weight[:VOCAB].std() < 1.25
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied
    model.save_pretrained(tmp_path / "1")
    close(load_pretrained(tmp_path / "1")(TOKENS + 9), model(TOKENS + 9).logits)
    close(load(tmp_path / "1")(TOKENS + 9).logits, model(TOKENS + 9).logits)
    model.resize_token_embeddings(pad_to_multiple_of=32)
    assert model(TOKENS + 9).logits.shape[-1] == model.config.vocab_size == 64
    model.resize_token_embeddings(VOCAB)
    close(model(TOKENS).logits, right)


def test_copies_compute_the_same(model):
    right = model(TOKENS).logits
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)
    for other in copies:
        assert torch.equal(other(TOKENS).logits, right)
        with torch.no_grad():
            other.model.embedding.weight.zero_()
    assert torch.equal(model(TOKENS).logits, right)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_can_be_compiled(kind, backend, tmp_path):
    model = loaded(kind, tmp_path / "folder", layers=1)
    loss = model(TOKENS, labels=TOKENS).loss
    right = torch.autograd.grad(loss, list(model.parameters()))
    compiled = torch.compile(model, backend=backend)
    output = compiled(TOKENS, labels=TOKENS)
    close(output.loss, loss)
    output.loss.backward()
    for parameter, gradient in zip(model.parameters(), right, strict=True):
        close(parameter.grad, gradient)
    compiled.save_pretrained(tmp_path / "compiled")
    assert names_in(tmp_path / "compiled") == names_in(tmp_path / "folder")
    torch.compiler.reset()
